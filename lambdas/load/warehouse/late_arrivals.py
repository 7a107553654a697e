"""Rows that come late are put in their place: where they would be if their batch had brought them in time.

What is known of such ids from that batch on is read again from the lake, and their history is derived from it anew: the
versions, what is held, and the deletions. Where that differs from what the warehouse has, the newer versions of the id
are taken off and appended again, so that the order of the records stays the order of the versions.
"""

from __future__ import annotations

from collections.abc import Callable

from ...shared.declarations import FACT, WarehouseTable
from ...shared.lake.store import Lake
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from .facts import last_record, names
from .lake_history import stage_events
from .pending import hold_events
from .rejects import close_overtaken
from .schemas import Warehouse
from .staging import analyze, temporary

_KEYS = "CREATE TEMPORARY TABLE $keys ON COMMIT DROP AS SELECT DISTINCT l.$key FROM $late AS l"
_FORGET = """
    DELETE FROM $held AS h USING $keys AS k
    WHERE h.table_name = $name AND h.key = k.$key::text AND h.batch >= $first
"""
# The versions of these ids that the warehouse has, each with its batch: 0 where that is not known.
_STORED = """
    CREATE TEMPORARY TABLE $stored ON COMMIT DROP AS
    SELECT t.$record AS "_record", COALESCE(v.batch, 0) AS "_batch", $of_table
    FROM $table AS t
    $brought_by
    WHERE t.$key IN (SELECT k.$key FROM $keys AS k)
"""
# The state before the first event: the last version, and a deletion that was open then.
_BASE_VERSION = """
    SELECT DISTINCT ON (s.$key) $of_stored, s."_batch", false AS "_deleted" FROM $stored AS s
    WHERE s."_batch" < $first ORDER BY s.$key, s."_record" DESC
"""
_BASE_DELETION = """
    SELECT $key_alone, d.batch, true FROM $deletion AS d JOIN $keys AS k ON d.key = k.$key::text
    WHERE d.table_name = $name AND d.batch < $first AND (d.ended_batch IS NULL OR d.ended_batch >= $first)
"""
# A row is a version where it differs from what was before it; a deletion counts where the row was not deleted already.
_CHAIN = """
    CREATE TEMPORARY TABLE $chain ON COMMIT DROP AS
    SELECT $columns, "_batch", "_deleted" FROM (
        SELECT x.*, lag(x."_deleted") OVER w AS "_was_deleted", lag(ROW($of_event)) OVER w AS "_was"
        FROM ($events) AS x
        WINDOW w AS (PARTITION BY x.$key ORDER BY x."_batch")
    ) AS x
    WHERE CASE
        WHEN "_deleted" THEN "_was_deleted" IS NOT TRUE
        ELSE "_was_deleted" IS NULL OR "_was_deleted" OR "_was" IS DISTINCT FROM ROW($of_event)
    END
"""
_DIFFERENT = """
    CREATE TEMPORARY TABLE $different ON COMMIT DROP AS
    SELECT COALESCE(c.$key, s.$key) AS $key, min(COALESCE(c."_batch", s."_batch")) AS "_batch"
    FROM (SELECT * FROM $chain WHERE NOT "_deleted" AND "_batch" >= $first) AS c
    FULL JOIN (SELECT * FROM $stored WHERE "_batch" >= $first) AS s ON s.$key = c.$key AND s."_batch" = c."_batch"
    WHERE c.$key IS NULL OR s.$key IS NULL OR ROW($of_chain) IS DISTINCT FROM ROW($of_stored)
    GROUP BY 1
"""
_TAKE_OFF = """
    DELETE FROM $table AS t USING $stored AS s JOIN $different AS d ON d.$key = s.$key AND s."_batch" >= d."_batch"
    WHERE t.$record = s."_record"
"""
_NUMBER = """
    CREATE TEMPORARY TABLE $numbered ON COMMIT DROP AS
    SELECT c.*,
        current_setting('pipeline.record')::bigint + row_number() OVER (ORDER BY c."_batch", c.$key) AS "_record"
    FROM $chain AS c JOIN $different AS d ON d.$key = c.$key AND c."_batch" >= d."_batch"
    WHERE NOT c."_deleted"
"""
_APPEND = """
    INSERT INTO $table ($record, $columns) OVERRIDING SYSTEM VALUE
    SELECT "_record", $columns FROM $numbered ORDER BY "_record"
"""
_RANGES = """
    INSERT INTO $version (table_name, first_record, last_record, batch)
    SELECT $name, min("_record"), max("_record"), "_batch" FROM $numbered GROUP BY "_batch"
"""
_UPSERT = """
    INSERT INTO $table AS t ($columns)
    SELECT DISTINCT ON ($key) $columns FROM $chain WHERE NOT "_deleted" ORDER BY $key, "_batch" DESC
    ON CONFLICT ($key) DO UPDATE SET ($columns) = ROW($excluded)
    WHERE ROW($of_table) IS DISTINCT FROM ROW($excluded)
"""
# Every deletion from the first event on, and the one that was open then.
_UNDELETE = """
    DELETE FROM $deletion AS d USING $keys AS k
    WHERE d.table_name = $name AND d.key = k.$key::text
      AND (d.batch >= $first OR d.ended_batch IS NULL OR d.ended_batch >= $first)
"""
_DELETE = """
    INSERT INTO $deletion (table_name, key, batch, ended_batch)
    SELECT $name, x.key, x.batch, x.ended_batch FROM (
        SELECT c.$key::text AS key, c."_batch" AS batch, c."_deleted", min(c."_batch") FILTER (WHERE NOT c."_deleted")
            OVER (PARTITION BY c.$key ORDER BY c."_batch" ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
            AS ended_batch
        FROM $chain AS c
    ) AS x WHERE x."_deleted"
"""


def place(
    connection: Connection,
    warehouse: Warehouse,
    lake: Lake,
    table: WarehouseTable,
    late: sql.Fragment,
    first: int,
    last: int,
) -> int:
    """Derives the history of the ids in ``late`` anew, from the batch ``first`` to ``last``, the last one loaded.

    ``late`` is a table with the column that is the table's key. Returns how many rows were appended or upserted: none
    where the warehouse has it all as the lake says. Belongs in a transaction.
    """
    stages = {name: temporary(f"{name}_{table.name}") for name in ("keys", "stored", "chain", "different", "numbered")}
    parts = {**names(warehouse, table), **stages, "late": late, **_columns(table)}

    def run(template: str) -> int:
        connection.run(sql.compose(template, **parts))
        return int(connection.row_count)

    run(_KEYS)
    analyze(connection, stages["keys"])
    if table.kind == FACT:
        run(_STORED)
        unknown = sql.compose('SELECT count(*) FROM $stored WHERE "_batch" = 0', stored=stages["stored"])
        if connection.rows(unknown)[0][0]:
            first = 0  # of a release that did not note the batches: derived from the beginning
    parts["first"] = sql.number(first)
    events = stage_events(connection, warehouse, lake, table, stages["keys"], max(first, 1), last)
    run(_FORGET)
    hold_events(connection, warehouse, table, events)
    parts["events"] = _with_base(parts, events, is_fact=table.kind == FACT)
    if table.kind != FACT:
        close_overtaken(connection, warehouse, table, events)
    run(_CHAIN)
    rows = _write_versions(connection, warehouse, table, run) if table.kind == FACT else run(_UPSERT)
    run(_UNDELETE)
    run(_DELETE)
    for name in ("events", *stages):
        connection.run(sql.compose("DROP TABLE IF EXISTS $stage", stage=temporary(f"{name}_{table.name}")))
    return rows


def _write_versions(
    connection: Connection, warehouse: Warehouse, table: WarehouseTable, run: Callable[[str], int]
) -> int:
    run(_DIFFERENT)
    run(_TAKE_OFF)
    last = last_record(connection, warehouse, table)
    connection.run("SELECT set_config('pipeline.record', CAST(:last AS text), true)", last=str(last))
    run(_NUMBER)
    rows = run(_APPEND)
    run(_RANGES)
    return rows


def _columns(table: WarehouseTable) -> dict[str, sql.Fragment]:
    """The table's columns as the statements above name them."""
    aliases = {"of_table": "t", "of_stored": "s", "of_event": "x", "of_chain": "c", "excluded": "excluded"}
    lists = {name: sql.columns(table.column_names, of=alias) for name, alias in aliases.items()}
    alone = [sql.identifier(name) if name == table.key else sql.compose("NULL") for name in table.column_names]
    return {**lists, "columns": sql.columns(table.column_names), "key_alone": sql.joined(", ", alone)}


def _with_base(parts: dict[str, sql.Fragment], events: sql.Fragment, *, is_fact: bool) -> sql.Fragment:
    """The events, and before them the state that they found."""
    queries = [sql.compose('SELECT $columns, "_batch", "_deleted" FROM $events', **{**parts, "events": events})]
    if is_fact:
        queries.append(sql.compose(f"({_BASE_VERSION})", **parts))
    return sql.joined(" UNION ALL ", [*queries, sql.compose(_BASE_DELETION, **parts)])
