"""Late-arriving data: the history of some keys is rebuilt from the lake, as if their rows had been loaded in order.

What the lake has of these keys from a batch on is read again. From it follow the versions, the pending rows and the
deletions. Where the versions differ from those in the warehouse, the newer ones are retracted and appended again.
"""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from ....shared.model.declarations import WarehouseTable
from ....shared.postgres import sql
from ..binary.copying import copy_rows
from ..control import ledger
from ..control.pending import defer_unresolved_events
from ..read_ahead import MissingHistoryError, NeededHistory
from ..references.refusals import REASON
from ..session import WarehouseSession, analyze, temporary, with_columns
from ..table_sql import compared
from . import validity

BATCH, DELETED = "_batch", "_deleted"  # columns of the staging table of events, after those of the table

_CREATE_EVENTS = """
    CREATE TEMPORARY TABLE $staging ON COMMIT DROP AS
    SELECT $columns, NULL::bigint AS $batch, NULL::boolean AS $deleted FROM $table WITH NO DATA
"""

# What the server refused is no version of its key, until its batch is replayed.
_DISCARD_REFUSED = """
    DELETE FROM $staging AS s USING $rejected_value AS r
    WHERE r.table_name = $name AND r.key = $key_text_of_s AND r.batch = s."_batch" AND NOT s."_deleted"
      AND r.reason LIKE $reason
"""
_KEYS = "CREATE TEMPORARY TABLE $keys ON COMMIT DROP AS SELECT DISTINCT $key_of_c FROM $changed AS c"
_DISCARD_PENDING = """
    DELETE FROM $pending_row AS p USING $keys AS k
    WHERE p.table_name = $name AND p.key = $key_text_of_k AND p.batch >= $first
"""
_EVENTS = 'SELECT $columns, "_batch", "_deleted" FROM $events'
# A deletion that was recorded before the first event, and not undeleted before it.
_DELETED_BEFORE = """
    SELECT $key_alone, d.batch, true FROM $deletion AS d JOIN $keys AS k ON d.key = $key_text_of_k
    WHERE d.table_name = $name AND d.batch < $first AND (d.undeleted_batch IS NULL OR d.undeleted_batch >= $first)
"""
# A row is a version where it differs from what was before it; a deletion counts where the row was not deleted already.
_HISTORY = """
    CREATE TEMPORARY TABLE $history ON COMMIT DROP AS
    SELECT $columns, "_batch", "_deleted" FROM (
        SELECT x.*, lag(x."_deleted") OVER w AS "_was_deleted", lag(ROW($of_event)) OVER w AS "_was"
        FROM ($all_events) AS x
        WINDOW w AS (PARTITION BY $key_of_x ORDER BY x."_batch")
    ) AS x
    WHERE CASE
        WHEN "_deleted" THEN "_was_deleted" IS NOT TRUE
        ELSE "_was_deleted" IS NULL OR "_was_deleted" OR "_was" IS DISTINCT FROM ROW($of_event)
    END
"""
# Every deletion from the first event on, and the one that was in effect then: those that end later, or never.
_DISCARD_DELETIONS = """
    DELETE FROM $deletion AS d USING $keys AS k
    WHERE d.table_name = $name AND d.key = $key_text_of_k
      AND (d.undeleted_batch IS NULL OR d.undeleted_batch >= $first)
"""
# What follows a deletion is a row: the history has no deletion of what is deleted.
_WRITE_DELETIONS = """
    INSERT INTO $deletion (table_name, key, batch, undeleted_batch)
    SELECT $name, x.key, x.batch, x.undeleted_batch FROM (
        SELECT $key_text_of_h AS key, h."_batch" AS batch, h."_deleted",
            lead(h."_batch") OVER (PARTITION BY $key_of_h ORDER BY h."_batch") AS undeleted_batch
        FROM $history AS h
    ) AS x WHERE x."_deleted"
"""
_TEMPORARY = ("keys", "stored", "history", "different", "numbered")


def rebuild_history(
    session: WarehouseSession, table: WarehouseTable, changed: sql.Fragment, first: int, last: int
) -> int:
    """Rebuilds the history of the keys in ``changed`` from the batch ``first`` to ``last``, the last one loaded.

    ``changed`` is a table that has the key's columns of ``table``, of the same types. Returns how many rows were
    appended or upserted: none where the warehouse agrees with the lake. Runs within a transaction.

    The parts of the statements: the names of the table (:class:`.table_sql.TableSql`), ``$first``, and temporary
    tables: ``$keys`` (the key's columns), ``$history`` (the table's columns, ``_batch`` bigint, ``_deleted`` boolean),
    and those that only a kind of table uses.
    """
    kind = session.kind_of(table)
    staged = {name: temporary(f"{name}_{table.name}") for name in _TEMPORARY}
    parts = {**session.sql(table).parts, **staged, **_columns(table), "changed": changed, "first": sql.number(first)}
    session.run(_KEYS, **parts)
    analyze(session.connection, staged["keys"])
    before = kind.stage_state_before(session, parts)
    chosen = session.rows("SELECT $key_text_of_k FROM $keys AS k", **parts)
    try:
        events = stage_events(session, table, [row[0] for row in chosen], first, last)
    except MissingHistoryError:  # what else the transaction lacks is looked for, in the same tables
        _drop(session, temporary(f"events_{table.name}"), *staged.values())
        raise
    session.run(_DISCARD_PENDING, **parts)
    defer_unresolved_events(session, table, events)
    kind.discard_superseded_by_events(session, table, events)
    queries = [sql.compose(_EVENTS, **parts, events=events), sql.compose(_DELETED_BEFORE, **parts)]
    queries += [before] if before else []
    session.run(_HISTORY, **parts, all_events=sql.joined(" UNION ALL ", queries))
    rows = kind.write_history(session, table, parts)
    session.run(_DISCARD_DELETIONS, **parts)
    session.run(_WRITE_DELETIONS, **parts)
    validity.refresh(session, table, staged["keys"])
    _drop(session, events, *staged.values())
    return rows


def _drop(session: WarehouseSession, *tables: sql.Fragment) -> None:
    for name in tables:
        session.run("DROP TABLE IF EXISTS $temporary", temporary=name)


def stage_events(
    session: WarehouseSession, table: WarehouseTable, keys: Collection[str], first: int, last: int
) -> sql.Fragment:
    """Stages all rows and deletions of ``keys`` in the batches ``first`` to ``last``; returns the table.

    ``keys``: each as one text, as the control tables have it. Of each batch the newest revision counts. The staging
    table has the columns of ``table``, ``_batch`` (bigint) and ``_deleted`` (boolean); of a deletion the other columns
    are NULL. Raises MissingHistoryError when what it needs was not read before the transaction began.
    """
    staging = temporary(f"events_{table.name}")
    names = session.sql(table).parts
    session.run(_CREATE_EVENTS, **names, staging=staging, batch=sql.identifier(BATCH), deleted=sql.identifier(DELETED))
    if keys and first <= last:
        written = ledger.batches_with(session.connection, session.schemas, table.name, first, last)
        needed = NeededHistory(table, tuple(sorted(set(keys))), first, last, written)
        history = session.reads.history(needed)
        for pieces, columns, deleted in (
            (history.rows, table.column_names, False),
            (history.deletions, table.keys, True),
        ):
            marked = (_marked(with_columns(table, columns, rows), batch, deleted=deleted) for batch, rows in pieces)
            copy_rows(session.connection, staging, (*columns, BATCH, DELETED), marked)
        session.run(_DISCARD_REFUSED, **names, staging=staging, reason=sql.constant(f"{REASON}: %"))
    analyze(session.connection, staging)
    return staging


def _marked(rows: pa.Table, batch: int, *, deleted: bool) -> pa.Table:
    """The rows with ``_batch`` (int64) and ``_deleted`` (bool) as their last columns."""
    count = rows.num_rows
    return rows.append_column(BATCH, pa.repeat(pa.scalar(batch, pa.int64()), count)).append_column(
        DELETED, pa.repeat(pa.scalar(deleted), count)
    )


def _columns(table: WarehouseTable) -> dict[str, sql.Fragment]:
    """The table's columns as the statements name them, by the alias of each."""
    aliases = {"of_table": "t", "of_stored": "s"}
    as_compared = {"compared_stored": "s", "of_event": "x", "of_history": "h"}
    alone = [sql.columns([name], of="k") if name in table.keys else sql.compose("NULL") for name in table.column_names]
    return {
        **{name: sql.columns(table.column_names, of=alias) for name, alias in aliases.items()},
        **{name: compared(table, of=alias) for name, alias in as_compared.items()},
        "key_alone": sql.joined(", ", alone),
    }
