"""The views of the lake: which files count, the history of each table, and its present. One SQL text for all engines.

A file counts when the newest revision of its batch names it: files of runs that died, and of outcomes that a replay
replaced, are in the same folders. The manifests are read line by line (each file's key has a line of its own), so that
an engine needs no JSON. A batch counts when every batch before it is there, as for load.

Every text here runs in Athena (Trino), DuckDB and Spark: they differ in how they quote a name, and name a type. What
they read must have a column ``$path`` with the object's address.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lambda_toolkit.pipeline.lake.columns import BIGINT, MOMENT, TEXT, LakeType, lake_type
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import CALENDAR, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import Expression
from lambda_toolkit.pipeline.warehouse.views import history_times

MANIFEST_LINES, REVISION_LINES = "lake_manifest_lines", "lake_revision_lines"
FILES, BATCHES = "lake_files", "lake_batches"
PATH, LINE = "$path", "line"
BATCH = "lake_batch"  # the column with a row's batch; names of the lake's own begin so
_ATHENA = "athena"


@dataclass(frozen=True)
class Dialect:
    """How an engine writes what SQL leaves open."""

    name: str
    quote: str = '"'

    def quoted(self, name: str) -> str:
        """``name`` as an identifier."""
        return f"{self.quote}{name.replace(self.quote, self.quote * 2)}{self.quote}"

    def type_name(self, kind: LakeType) -> str:
        """The name of a type in a CAST."""
        return {_ATHENA: kind.athena, "duckdb": kind.duckdb}.get(self.name, str(kind.hive))

    def reads(self, kind: LakeType) -> bool:
        """Whether the engine reads Parquet columns of this type."""
        return kind.hive is not None or self.name == "duckdb"


ATHENA, DUCKDB, SPARK = Dialect(_ATHENA), Dialect("duckdb"), Dialect("spark", "`")


@dataclass(frozen=True)
class Column:
    """A column of a table or a view."""

    name: str
    kind: LakeType


@dataclass(frozen=True)
class View:
    """A view: its name, its columns in order, and its query in the dialect of an engine."""

    name: str
    columns: tuple[Column, ...]
    query: str


@dataclass(frozen=True)
class LakeTable:
    """A warehouse table as the lake has it."""

    name: str
    columns: tuple[Column, ...]
    """Those that transform fills and the engine reads, in the order of the files."""
    keys: tuple[Column, ...]
    is_calendar: bool
    keeps_latest: bool
    """A dimension without history: the warehouse's table has the latest row of each key, deleted ones too."""

    @property
    def files(self) -> str:
        """The relation of its data files."""
        return f"files_{self.name}"

    @property
    def deleted(self) -> str:
        """The relation of the keys that were deleted."""
        return f"deleted_{self.name}"


def lake_table(table: WarehouseTable, dialect: Dialect) -> LakeTable:
    """``table``, whose types are known, with the columns that the engine reads."""
    columns = [Column(name, lake_type(_written_type(table, name))) for name in table.column_names]
    return LakeTable(
        table.name,
        tuple(column for column in columns if dialect.reads(column.kind)),
        tuple(column for name in table.keys for column in columns if column.name == name),
        table.kind == CALENDAR,
        not table.record,
    )


def _written_type(table: WarehouseTable, name: str) -> str:
    """The type in the files: of ``decimal(c, p, s)`` its own, where the warehouse's column takes any number."""
    kind, made = table.types[name].type, table.columns.get(name)
    if kind == "numeric" and isinstance(made, Expression) and made.function == "decimal":
        return f"numeric({','.join(map(str, made.arguments))})"
    return kind


def views(tables: Sequence[LakeTable], dialect: Dialect) -> Iterator[View]:
    """All views, each after those that it reads."""
    at = Column("extracted_at", MOMENT)
    yield View(FILES, (Column(BATCH, BIGINT), at, Column("file", TEXT)), _FILES.format(**_names(dialect)))
    yield View(BATCHES, (Column(BATCH, BIGINT), at), _BATCHES.format(**_names(dialect)))
    for table in tables:
        yield from _of_table(table, dialect)


def _names(dialect: Dialect) -> dict[str, str]:
    own = {"path": PATH, "line": LINE, "manifests": MANIFEST_LINES, "revisions": REVISION_LINES, "files": FILES}
    return {key: dialect.quoted(name) for key, name in own.items()} | {"bigint": "bigint", "braced": "{12}"}


_FILES = """
WITH texts AS (
    SELECT {path} AS place, {line} AS words FROM {manifests}
    UNION ALL
    SELECT {path} AS place, {line} AS words FROM {revisions}
), read AS (
    SELECT
        CAST(coalesce(
            nullif(regexp_extract(place, '/manifests/batch-([0-9]{braced})[.]json$', 1), ''),
            nullif(regexp_extract(place, '/revisions/batch-([0-9]{braced})-[0-9]+[.]json$', 1), '')
        ) AS {bigint}) AS lake_batch,
        coalesce(
            CAST(nullif(regexp_extract(place, '/revisions/batch-[0-9]{braced}-([0-9]+)[.]json$', 1), '') AS {bigint}), 1
        ) AS revision,
        nullif(regexp_extract(words, '^ *"key": "([^"]+)"', 1), '') AS file,
        nullif(regexp_extract(words, '^ "extracted_at": "([0-9T:.-]+)', 1), '') AS moment
    FROM texts
), newest AS (
    SELECT lake_batch, revision, row_number() OVER (ORDER BY lake_batch) AS position
    FROM (SELECT lake_batch, max(revision) AS revision FROM read WHERE lake_batch IS NOT NULL GROUP BY lake_batch) AS n
), counted AS (
    SELECT r.lake_batch, r.file, max(r.moment) OVER (PARTITION BY r.lake_batch) AS moment
    FROM read AS r JOIN newest AS n ON n.lake_batch = r.lake_batch AND n.revision = r.revision
    WHERE n.lake_batch = n.position AND (r.file IS NOT NULL OR r.moment IS NOT NULL)
)
SELECT lake_batch, CAST(replace(moment, 'T', ' ') AS timestamp) AS extracted_at, file FROM counted
"""
_BATCHES = "\nSELECT lake_batch, extracted_at FROM {files} WHERE file IS NULL\n"
_DATA = "f.file = regexp_extract(r.{path}, '(data/[^/]+/batch=[0-9]+/[^/]+)$', 1)"
_DELETED = "f.file = regexp_extract(r.{path}, '(deleted/[^/]+/batch=[0-9]+/[^/]+)$', 1)"
# A version is a row that differs from the one before it of its key, or follows the deletion of its key. Keys that are
# deleted in a batch come before its rows.
_HISTORY = """
WITH events AS (
    SELECT f.lake_batch, f.extracted_at AS lake_at, false AS lake_deleted, {of_row}
    FROM {data} AS r JOIN {files} AS f ON {is_data}
    UNION ALL
    SELECT f.lake_batch, f.extracted_at AS lake_at, true AS lake_deleted, {of_deleted}
    FROM {deleted} AS r JOIN {files} AS f ON {is_deleted}
), compared AS (
    SELECT e.*,
        lag(e.lake_deleted) OVER w AS lake_was_deleted,
        {same} AS lake_is_same
    FROM events AS e WINDOW w AS ({before})
), changes AS (
    SELECT * FROM compared
    WHERE lake_deleted OR lake_was_deleted IS NULL OR lake_was_deleted OR NOT lake_is_same
), timed AS (
    SELECT e.*, lead(e.lake_at) OVER w AS lake_until FROM changes AS e WINDOW w AS ({before})
)
SELECT {columns}, lake_batch, lake_at AS {valid_from}, lake_until AS {valid_to} FROM timed WHERE NOT lake_deleted
"""
_CURRENT = "\nSELECT {columns} FROM {history} WHERE {valid_to} IS NULL\n"
_LATEST = """
SELECT {columns} FROM (
    SELECT {of_row}, row_number() OVER (PARTITION BY {keys} ORDER BY f.lake_batch DESC) AS lake_position
    FROM {data} AS r JOIN {files} AS f ON {is_data}
) AS l WHERE lake_position = 1
"""


def _of_table(table: LakeTable, dialect: Dialect) -> Iterator[View]:
    quoted = dialect.quoted
    history = f"history_{table.name}"
    keys = {key.name for key in table.keys}
    times = history_times([column.name for column in table.columns])
    window = ", ".join(f"e.{quoted(key.name)}" for key in table.keys)
    before = f"PARTITION BY {window} ORDER BY e.lake_batch, e.lake_deleted DESC"
    parts = {
        "columns": ", ".join(quoted(column.name) for column in table.columns),
        "keys": ", ".join(f"r.{quoted(key.name)}" for key in table.keys),
        "of_row": ", ".join(f"r.{quoted(column.name)}" for column in table.columns),
        "of_deleted": ", ".join(
            f"r.{quoted(column.name)}"
            if column.name in keys
            else f"CAST(NULL AS {dialect.type_name(column.kind)}) AS {quoted(column.name)}"
            for column in table.columns
        ),
        "same": " AND ".join(
            f"e.{quoted(column.name)} IS NOT DISTINCT FROM lag(e.{quoted(column.name)}) OVER w"
            for column in table.columns
            if column.name not in keys
        )
        or "true",
        "before": before,
        "data": quoted(table.files),
        "deleted": quoted(table.deleted),
        "files": quoted(FILES),
        "history": quoted(history),
        "is_data": _DATA.format(path=quoted(PATH)),
        "is_deleted": _DELETED.format(path=quoted(PATH)),
        "valid_from": quoted(times[0]),
        "valid_to": quoted(times[1]),
    }
    if table.keeps_latest:
        yield View(table.name, table.columns, _LATEST.format(**parts))
    if table.is_calendar:
        return
    moments = (Column(BATCH, BIGINT), *(Column(name, MOMENT) for name in times))
    yield View(history, (*table.columns, *moments), _HISTORY.format(**parts))
    yield View(f"current_{table.name}", table.columns, _CURRENT.format(**parts))


def folded(view: View) -> View:
    """The view with the name and the columns in small letters, as the Glue catalog has them."""
    columns = tuple(replace(column, name=column.name.lower()) for column in view.columns)
    return replace(view, name=view.name.lower(), columns=columns)
