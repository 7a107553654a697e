"""The values that transform rejected, whose rows are missing in the warehouse: the control table ``rejected_value``.

An entry is deleted by a replay that converts the row. Of a dimension, which keeps the latest row only, it is also
deleted when a newer row of that key is loaded, or the key is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from ....shared.lake.manifest import DataFile, ProcessedManifest
from ....shared.model.declarations import Declarations, WarehouseTable
from ....shared.postgres import sql
from ..binary.copying import copy_rows
from ..read_ahead import ReadAhead
from ..references.refusals import REASON
from ..session import WarehouseSession, temporary
from ..tables.late_arrivals import stage_events

_FILE_COLUMNS = ("key", "column", "value", "reason")
_COLUMNS = ("key", "column_name", "value", "reason", "table_name", "batch")

_DELETE_BATCH = "DELETE FROM $rejected_value WHERE batch = $batch"
_REJECTED_KEYS = "SELECT DISTINCT r.key FROM $rejected_value AS r WHERE r.table_name = $name AND r.batch = $batch"
_SUPERSEDED = """
    DELETE FROM $rejected_value AS r USING $staging AS s
    WHERE r.table_name = $name AND r.key = $key_text_of_s AND r.batch <= $batch
"""
_SUPERSEDED_KEYS = """
    DELETE FROM $rejected_value AS r USING $staging AS s
    WHERE r.table_name = $name AND r.key = s.key AND r.batch <= $batch
"""
_SUPERSEDED_BY_EVENTS = """
    DELETE FROM $rejected_value AS r USING $staging AS s
    WHERE r.table_name = $name AND r.key = $key_text_of_s AND r.batch < s."_batch"
"""


def record(session: WarehouseSession, manifest: ProcessedManifest) -> None:
    """Records what was rejected of a batch, and deletes what was recorded of it before."""
    control = session.schemas.control_tables()
    session.run(_DELETE_BATCH, **control, batch=sql.number(manifest.batch))
    for name, file in manifest.rejected.items():
        values = _rejected_values(session.reads, name, file.files, manifest.batch)
        copy_rows(session.connection, control["rejected_value"], _COLUMNS, values)


def replace(session: WarehouseSession, declarations: Declarations, manifest: ProcessedManifest, last: int) -> None:
    """Records what a revision rejects of a batch that was loaded before; ``last`` is the last batch loaded.

    Where only the latest row is kept, what a later batch of the lake supersedes is not recorded.
    """
    record(session, manifest)
    for name in manifest.rejected:
        table = declarations.warehouse[name]
        if table.record:  # every version counts
            continue
        rejected = session.rows(_REJECTED_KEYS, **session.sql(table).parts, batch=sql.number(manifest.batch))
        events = stage_events(session, table, [row[0] for row in rejected], manifest.batch + 1, last)
        discard_superseded_by_events(session, table, events)
        session.run("DROP TABLE $events", events=events)


def record_refused(session: WarehouseSession) -> None:
    """Records the rows that the server refused in this transaction, after ``record``."""
    columns = zip(*[(r.key, r.constraint, None, r.reason, r.table, r.batch) for r in session.refused], strict=True)
    types = [pa.string()] * 5 + [pa.int64()]
    rows = pa.table([pa.array(found, kind) for found, kind in zip(columns, types, strict=True)], list(_COLUMNS))
    copy_rows(session.connection, session.schemas.control_tables()["rejected_value"], _COLUMNS, [rows])


def discard_refused(session: WarehouseSession, batch: int) -> None:
    """Forgets that the server refused rows of ``batch``, which is replayed."""
    query = "DELETE FROM $rejected_value WHERE batch = $batch AND reason LIKE $reason"
    control = session.schemas.control_tables()
    session.run(query, **control, batch=sql.number(batch), reason=sql.constant(f"{REASON}: %"))


def discard_keys(session: WarehouseSession, table: WarehouseTable, keys: Iterable[pa.Table], batch: int) -> None:
    """Deletes what was rejected of ``keys`` up to ``batch``: Arrow tables with the one field ``key: string``."""
    staging = temporary(f"unfit_{table.name}")
    session.run("CREATE TEMPORARY TABLE $staging (key text) ON COMMIT DROP", staging=staging)
    copy_rows(session.connection, staging, ("key",), keys)
    session.run(_SUPERSEDED_KEYS, **session.sql(table).parts, staging=staging, batch=sql.number(batch))


def discard_superseded(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> None:
    """Deletes what was rejected of the keys in ``staging``, up to ``batch``."""
    session.run(_SUPERSEDED, **session.sql(table).parts, staging=staging, batch=sql.number(batch))


def discard_superseded_by_events(session: WarehouseSession, table: WarehouseTable, events: sql.Fragment) -> None:
    """Deletes what was rejected of a key before a batch that has an event of that key."""
    session.run(_SUPERSEDED_BY_EVENTS, **session.sql(table).parts, staging=events)


def _rejected_values(reads: ReadAhead, table: str, files: Iterable[DataFile], batch: int) -> Iterator[pa.Table]:
    """The rejects in ``files``, as the control table has them: six columns, all strings but ``batch`` (int64)."""
    for part in reads.iter_files(files):
        rows = part.select(list(_FILE_COLUMNS)).rename_columns(list(_COLUMNS[:4]))
        yield rows.append_column("table_name", pa.repeat(pa.scalar(table), len(rows))).append_column(
            "batch", pa.repeat(pa.scalar(batch, pa.int64()), len(rows))
        )
