"""The manifests: the JSON documents that list the files of a batch. A batch exists when its manifest does.

Each has ``"format": 1``; readers refuse another format by name. Numbers of transactions are xid8.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import LakeError

FORMAT = 1


@dataclass(frozen=True)
class DataFile:
    """A Parquet object of the lake."""

    key: str
    """The object key, in the bucket of the manifest."""
    rows: int
    """The number of rows in the file."""


@dataclass(frozen=True)
class RejectedFile(DataFile):
    """The rejects of a warehouse table: one row per invalid value, with its reason."""

    source_rows: int = 0
    """The number of rejected rows of the source, in all files: one row may have several invalid values."""
    more: Sequence[DataFile] = ()
    """Further files of rejects, where the batch was transformed in parts; no source row is in two files."""

    @property
    def files(self) -> tuple[DataFile, ...]:
        """The files of all rejects."""
        return (self, *self.more)


@dataclass(frozen=True)
class SourceIdentity:
    """Which server a batch was read from, and how far that had come."""

    system_identifier: str
    """Of the server's data directory: pg_control_system()."""
    timeline: int
    """Changes when a server is restored or a standby is promoted: transaction ids may then be used again."""
    database: str
    database_oid: int
    """Its object id: a copy that was given the name of the database has another."""
    snapshot_xmin: int
    """The oldest transaction that was unfinished, an xid8."""
    started: int
    """When the server was started, in microseconds since 1970."""
    statistics_reset: int
    """When its statistics began, in microseconds since 1970: a server that recovers from a crash forgets them, and may
    have lost transactions that did not wait for the disk."""
    wal_position: int
    """How far its log was written, or on a standby replayed, in bytes."""
    snapshot_xmax: int = 0
    """The transaction after the last that had ended, an xid8; where it is ``snapshot_xmin``, none was unfinished
    before it. 0: not known."""


@dataclass(frozen=True)
class KeyFile:
    """A sorted part of a table's keys. The files of one generation follow each other in the keys' order."""

    key: str
    """The object key."""
    rows: int
    last_key: str
    """The last key in the file, as ``key_text`` writes it."""
    generation: int = 0
    """Above 0 only while a table is backfilled: each start of a backfill has its own, until keys are compared."""


@dataclass(frozen=True)
class BackfillCursor:
    """How far a table was read that is backfilled in the order of its keys, over several batches."""

    last_key: str | None
    """The last key that was read, as ``key_text`` writes it; None: none was read yet."""
    since_xmin: int | None
    """The rows that remain: those written by a transaction unfinished at this xmin, an xid8; None: all of them."""
    unchanged_xmin: int | None = None
    """Where rows that the lake has are read once more, since something along their paths changed: those written by a
    transaction finished at this xmin, an xid8, are no changes. None: every row that is read is one."""
    again: bool = False
    """Whether rows that were read must be read once more when the end is reached, for the same reason."""


@dataclass(frozen=True)
class Commits:
    """When the transactions that wrote a batch's changes were committed, by the clock of the source."""

    transactions: int
    """How many there were; of more than a few thousand, about as many."""
    times: Sequence[str]
    """ISO 8601, UTC, ascending: the first, the last, and of the others as many as are evenly spread, 21 at most."""


@dataclass(frozen=True)
class TableFiles:
    """What a batch contains of one source table, and what the next extract must know of it."""

    columns: Mapping[str, str]
    """Name -> PostgreSQL type in the snapshot, in the table's order."""
    key_columns: Sequence[str] = ()
    """The columns that together are its key, in the order declared; those of the files of keys."""
    changes: DataFile | None = None
    """New and changed rows."""
    context: DataFile | None = None
    """Unchanged rows that joins need, from the same snapshot."""
    deleted: DataFile | None = None
    """The keys of deleted rows."""
    keys: Sequence[KeyFile] = ()
    """Every key that the table had at ``compared_at``; with a hash of each row where ``by_content``."""
    in_flight: DataFile | None = None
    """(key, xmin) of the rows that the next extract rereads, as their transaction is not older than the snapshot."""
    relation_oids: Sequence[int] = ()
    """The object ids of the table and its partitions. With others, rows appear that no transaction wrote since."""
    column_identities: Mapping[str, str] = field(default_factory=dict)
    """Name -> a hash of what else makes the column this one. Under another, its values changed with no row written."""
    enum_labels: Mapping[str, str] = field(default_factory=dict)
    """The labels of the enums in its columns, by object id: a renamed one changes values with no row written."""
    declaration_fingerprint: str = ""
    """A hash of all that the declarations make of the table. With another, every row is read again."""
    keys_since_compare: Sequence[DataFile] = ()
    """Files whose rows have the keys that were written since ``compared_at``."""
    compared_at: str | None = None
    """When keys were last compared, ISO 8601; None where deletes are not tracked."""
    backfill: BackfillCursor | None = None
    """How far the table was read; None: completely."""
    by_content: bool = False
    """Whether rows are compared by a hash, as their xmin does not show every change."""
    lookups: DataFile | None = None
    """Unchanged rows that are only looked up, where those of ``context`` are transformed again."""
    rows: int | None = None
    """How many rows the table had in the snapshot, where keys are compared in every run; None elsewhere."""
    content: str | None = None
    """Of a table that is compared by content: a digest of all its rows in the snapshot."""
    more_changes: Sequence[DataFile] = ()
    """Further files of changes, where several functions read ranges of the table; no row is in two files."""

    @property
    def change_files(self) -> tuple[DataFile, ...]:
        """The files of all new and changed rows."""
        return (self.changes, *self.more_changes) if self.changes else ()

    @property
    def changed_rows(self) -> int:
        """How many rows are new or changed."""
        return sum(file.rows for file in self.change_files)


@dataclass(frozen=True)
class IngestionManifest:
    """One batch as extract writes it."""

    batch: int
    """Its number: 1, or one more than ``previous``."""
    previous: int | None
    """The batch before it; None for the first."""
    run: str
    """The unique id of the run that wrote it; its first 8 characters are in the keys of the run's files."""
    mode: str
    """``full``: every row was read; ``changes``: the rows written since ``previous``."""
    extracted_at: str
    """The time of the snapshot, ISO 8601, UTC; later than that of ``previous``."""
    source: SourceIdentity
    tables: Mapping[str, TableFiles]
    """By the name of the source table."""
    commits: Commits | None = None
    """Of the rows that transactions wrote since ``previous``; None where the source keeps no times of commits, or every
    row was read."""
    format: int = FORMAT
    """The version of this document's form."""


@dataclass(frozen=True)
class ProcessedTable:
    """What a batch writes to one warehouse table."""

    rows: int = 0
    """The number of rows in all data files."""
    key: str | None = None
    """The object key of the first data file; None: there are no rows."""
    deleted: DataFile | None = None
    """The keys of deleted rows, in the columns of the table's key."""
    unfit: DataFile | None = None
    """Of a dimension without history, the keys of deleted rows that its columns cannot have, so that the rows were
    rejected: texts, in one column ``key``."""
    more: Sequence[DataFile] = ()
    """Further data files, where the batch was transformed in parts; no row is in two files."""
    more_deleted: Sequence[DataFile] = ()
    """Further files such as ``deleted``, of other parts; no key is in two files."""
    more_unfit: Sequence[DataFile] = ()
    """Further files such as ``unfit``, of other parts."""

    @property
    def data_files(self) -> tuple[DataFile, ...]:
        """The files of all rows, in the order of the parts."""
        if self.key is None:
            return ()
        return (DataFile(self.key, self.rows - sum(file.rows for file in self.more)), *self.more)

    @property
    def deleted_files(self) -> tuple[DataFile, ...]:
        """The files of all keys of deleted rows."""
        return (self.deleted, *self.more_deleted) if self.deleted else ()

    @property
    def unfit_files(self) -> tuple[DataFile, ...]:
        """The files of all keys of deleted rows that were rejected before."""
        return (self.unfit, *self.more_unfit) if self.unfit else ()


@dataclass(frozen=True)
class ProcessedManifest:
    """One batch as transform writes it: a pure function of the ingestion batch and the declarations."""

    batch: int
    """The number of the ingestion batch."""
    source_manifest: str
    """The key of the ingestion batch's manifest, in the ingestion bucket."""
    extracted_at: str
    """As in the ingestion batch: the time of the snapshot, ISO 8601, UTC."""
    tables: Mapping[str, ProcessedTable]
    """By the name of the warehouse table; a table without rows and deletions is omitted."""
    rejected: Mapping[str, RejectedFile] = field(default_factory=dict)
    """The rejects, by the name of the warehouse table."""
    revision: int = 1
    """1, and one more for each replay with a different outcome."""
    format: int = FORMAT
    """The version of this document's form."""


def key_text(key: Sequence[str]) -> str:
    """A key as one text, from the text of each of its columns: of one column as it is, of several as a JSON array.

    As PostgreSQL writes it: ``jsonb_build_array(a::text, b::text)::text``.
    """
    return key[0] if len(key) == 1 else json.dumps(key, ensure_ascii=False)


def key_of_text(text: str, columns: int) -> tuple[str, ...]:
    """The text of each of so many ``columns`` of the key that ``key_text`` wrote."""
    return (text,) if columns == 1 else tuple(json.loads(text))


def files_of(manifest: IngestionManifest | ProcessedManifest) -> frozenset[str]:
    """The keys of all data files that ``manifest`` lists, those carried forward from earlier batches included."""
    return frozenset(_keys(asdict(manifest)))


def _keys(value: Any) -> Iterator[str]:
    """Every ``key`` of a file at any depth, so that files in new fields are found too."""
    if isinstance(value, Mapping):
        key = value.get("key")
        if isinstance(key, str):
            yield key
        for inner in value.values():
            yield from _keys(inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            yield from _keys(inner)


def to_json(manifest: IngestionManifest | ProcessedManifest) -> bytes:
    """The manifest as UTF-8 JSON: the same bytes for the same content."""
    return json.dumps(asdict(manifest), indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def ingestion_manifest(content: bytes, key: str) -> IngestionManifest:
    """Parses the ingestion manifest stored as ``key``. Raises LakeError when ``content`` is not one of this format."""
    document = _document(content, key)
    try:
        return IngestionManifest(
            **{
                **document,
                "source": SourceIdentity(**document["source"]),
                "tables": {name: _table_files(entry) for name, entry in document["tables"].items()},
                "commits": _commits(document.get("commits")),
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise LakeError(f"{key} is not a manifest that extract wrote: {error!r}.") from error


def processed_manifest(content: bytes, key: str) -> ProcessedManifest:
    """Parses the processed manifest stored as ``key``. Raises LakeError when ``content`` is not one of this format."""
    document = _document(content, key)
    try:
        return ProcessedManifest(
            **{
                **document,
                "tables": {
                    name: ProcessedTable(
                        **{
                            **entry,
                            **{of: _file(entry[of]) for of in ("deleted", "unfit")},
                            **{of: _files(entry, of) for of in ("more", "more_deleted", "more_unfit")},
                        }
                    )
                    for name, entry in document["tables"].items()
                },
                "rejected": {
                    name: RejectedFile(**{**entry, "more": _files(entry, "more")})
                    for name, entry in document["rejected"].items()
                },
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise LakeError(f"{key} is not a manifest that transform wrote: {error!r}.") from error


def _document(content: bytes, key: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise LakeError(f"{key} is not valid JSON: {error}.") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else None
        raise LakeError(
            f"{key} is a manifest of format {found!r}; this code reads format {FORMAT}. If a newer release wrote it, "
            "deploy all functions with that release, then invoke this one again."
        )
    return document


def _table_files(entry: Mapping[str, Any]) -> TableFiles:
    backfill = entry["backfill"]
    return TableFiles(
        **{
            **entry,
            **{name: _file(entry[name]) for name in ("changes", "context", "lookups", "deleted", "in_flight")},
            "keys": tuple(KeyFile(**file) for file in entry["keys"]),
            "key_columns": tuple(entry["key_columns"]),
            "relation_oids": tuple(entry["relation_oids"]),
            "keys_since_compare": tuple(DataFile(**file) for file in entry["keys_since_compare"]),
            "backfill": None if backfill is None else BackfillCursor(**backfill),
            "more_changes": _files(entry, "more_changes"),
        }
    )


def _commits(entry: Mapping[str, Any] | None) -> Commits | None:
    return None if entry is None else Commits(entry["transactions"], tuple(entry["times"]))


def _files(entry: Mapping[str, Any], name: str) -> tuple[DataFile, ...]:
    """The files in ``entry`` under ``name``, which manifests of before had not."""
    return tuple(DataFile(**file) for file in entry.get(name, ()))


def _file(entry: Mapping[str, Any] | None) -> DataFile | None:
    return None if entry is None else DataFile(**entry)
