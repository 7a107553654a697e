"""The manifests: what a batch consists of. A batch exists when its manifest does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import LakeError

FORMAT = 1


@dataclass(frozen=True)
class File:
    """A Parquet object of the lake and its number of rows."""

    key: str
    rows: int


@dataclass(frozen=True)
class RejectedFile(File):
    """The faults that kept rows out of a warehouse table, one to a row of the file. ``source_rows``: how many rows that
    makes, since one row may have several faults.
    """

    source_rows: int = 0


@dataclass(frozen=True)
class SourceIdentity:
    """Which server a batch was read from, and the oldest transaction that was still open then.

    ``timeline`` changes when a server is restored or a standby is promoted: transaction ids may then be used again.
    ``started``: when the server was started, microseconds since 1970; None in the manifests of releases before it.
    """

    system_identifier: str
    timeline: int
    database: str
    snapshot_xmin: int
    started: int | None = None


@dataclass(frozen=True)
class KeyFile:
    """A sorted part of a table's keys. The parts of one ``series`` follow each other in the keys' order.

    ``last``: the last key of it, as text; None for the one unsorted file of releases before it. There is more than one
    series only while a table is read in key ranges: each such reading makes one, until keys are compared.
    """

    key: str
    rows: int
    last: str | None = None
    series: int = 0


@dataclass(frozen=True)
class Coverage:
    """How far a table was read that is taken in key ranges, over several batches.

    ``upto``: the last key that was reached; None: none was. Of the rows beyond it, those remain to be read that were
    written by a transaction unfinished at the xmin ``since``; None: all of them.
    """

    upto: str | None
    since: int | None


@dataclass(frozen=True)
class TableFiles:
    """What a batch holds of one source table. ``columns``: name -> PostgreSQL type at the time of the snapshot.

    ``changes``: new and changed rows. ``context``: unchanged rows that joins need, from the same snapshot.
    ``deleted``: keys that are gone. ``keys``: every key that there was when keys were last compared, ``compared_at``
    (``by_content``: with a digest of each row). ``since``: files in whose rows are the keys that came since then.
    ``seen``: (key, xmin) of the rows that the next run will meet again. ``relations``: the object ids of the table and
    its partitions; ``meaning``: a digest of what the declaration reads of it. When either has changed, so may
    have rows that nobody wrote: all are read again. ``coverage``: how far it was read, where that is not to its end.
    """

    columns: Mapping[str, str]
    changes: File | None = None
    context: File | None = None
    deleted: File | None = None
    keys: Sequence[KeyFile] = ()
    seen: File | None = None
    relations: Sequence[int] = ()
    meaning: str = ""
    since: Sequence[File] = ()
    compared_at: str | None = None
    coverage: Coverage | None = None
    by_content: bool = False


@dataclass(frozen=True)
class IngestionManifest:
    """One batch as extract leaves it. ``previous``: the batch that it continues."""

    batch: int
    previous: int | None
    run: str
    mode: str
    extracted_at: str
    source: SourceIdentity
    tables: Mapping[str, TableFiles]
    format: int = FORMAT


@dataclass(frozen=True)
class ProcessedTable:
    """What a batch writes to one warehouse table, and the keys that it records as deleted."""

    rows: int = 0
    key: str | None = None
    deleted: File | None = None


@dataclass(frozen=True)
class ProcessedManifest:
    """One batch as transform leaves it: a pure function of the ingestion batch.

    ``rejected``: what is wrong with the rows that were kept out, by warehouse table. ``revision``: 1, or one more for
    each replay that gave something else.
    """

    batch: int
    source_manifest: str
    extracted_at: str
    tables: Mapping[str, ProcessedTable]
    rejected: Mapping[str, RejectedFile] = field(default_factory=dict)
    revision: int = 1
    format: int = FORMAT


def files_of(manifest: IngestionManifest | ProcessedManifest) -> frozenset[str]:
    """The keys of all data files that ``manifest`` names, those that it carries forward included."""
    return frozenset(_keys(asdict(manifest)))


def _keys(value: Any) -> Iterator[str]:
    """Every ``key`` of a file, however deep: what a later release adds is found as well."""
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
    """The manifest as it is stored: the same bytes for the same content."""
    return json.dumps(asdict(manifest), indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def ingestion_manifest(content: bytes, key: str) -> IngestionManifest:
    """Reads what extract stored as ``key``. Raises LakeError where that is something else."""
    document = _document(content, key)
    try:
        return IngestionManifest(
            **{
                **document,
                "source": SourceIdentity(**document["source"]),
                "tables": {name: _table_files(entry) for name, entry in document["tables"].items()},
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise LakeError(f"{key} is not a manifest that extract wrote: {error!r}.") from error


def processed_manifest(content: bytes, key: str) -> ProcessedManifest:
    """Reads what transform stored as ``key``. Raises LakeError where that is something else."""
    document = _document(content, key)
    if document.pop("quarantined", None) is not None:  # an earlier release's, of another shape: a replay tells it anew
        document.setdefault("rejected", {})
    try:
        return ProcessedManifest(
            **{
                **document,
                "tables": {
                    name: ProcessedTable(**{**entry, "deleted": _file(entry["deleted"])})
                    for name, entry in document["tables"].items()
                },
                "rejected": {name: RejectedFile(**entry) for name, entry in document["rejected"].items()},
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
        raise LakeError(f"{key} is not a manifest of format {FORMAT}. Was it written by a newer release?")
    return document


def _table_files(entry: Mapping[str, Any]) -> TableFiles:
    files = {name: _file(entry[name]) for name in ("changes", "context", "deleted", "seen")}
    keys, coverage = entry["keys"] or (), entry.get("coverage")
    # A release that did not know them yet has left them out; and had all keys in one file.
    return TableFiles(
        columns=entry["columns"],
        keys=tuple(KeyFile(**part) for part in ([keys] if isinstance(keys, Mapping) else keys)),
        relations=tuple(entry.get("relations", ())),
        meaning=entry.get("meaning", ""),
        since=tuple(File(**part) for part in entry.get("since", ())),
        compared_at=entry.get("compared_at"),
        coverage=Coverage(**coverage) if coverage else None,
        by_content=entry.get("by_content", False),
        **files,
    )


def _file(entry: Mapping[str, Any] | None) -> File | None:
    return None if entry is None else File(**entry)
