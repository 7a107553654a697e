"""Facts, and dimensions with history: every version of a row is appended, numbered by the surrogate key.

No version is overwritten, and each is known to be of one batch: a row is a version when it differs from the last one of
its key, or when its key was deleted before. The functions are those of :class:`.session.TableKind`.
"""

from __future__ import annotations

from ....shared.model.declarations import WarehouseTable
from ....shared.postgres import sql
from ..binary.copying import column_types
from ..control import pending
from ..references import refusals
from ..references.foreign_keys import deferred_foreign_key_check, known_rows
from ..schemas import SchemaNames
from ..session import WarehouseSession, analyze, temporary
from ..table_sql import TableSql, compared, content
from . import filling, validity
from .late_arrivals import rebuild_history

PROBED_RATIO = 10  # versions for each staged row, from which on each key is looked up alone
_FILTERED_RATIO = 2  # likewise, up to which the versions of all keys are sorted: most are of staged ones

_APPEND = """
    INSERT INTO $table ($record, $columns$own) OVERRIDING SYSTEM VALUE
    SELECT $last_record + row_number() OVER (ORDER BY $key_of_s), $staged$own_values
    FROM $rows AS s
"""
_NEW_VERSIONS = """
    SELECT s.* FROM $staging AS s
    LEFT JOIN $last_versions
    WHERE ($key_of_last) IS NULL
       OR ROW($new) IS DISTINCT FROM ROW($latest)
       OR EXISTS (
           SELECT FROM $deletion AS d
           WHERE d.table_name = $name AND d.key = $key_text_of_s AND d.undeleted_batch IS NULL
       )
"""
_STAGE_NEW_VERSIONS = "CREATE TEMPORARY TABLE $fresh ON COMMIT DROP AS $new_versions"
# The last version of each key by its record: of all staged keys together, with and without an index; or one by one,
# where few are staged beside many versions. The sum keeps the planner from reading the primary key backwards instead.
# Keys are in descending order, as records are: the index, which has key and record, is read backwards, without a sort.
_LAST_VERSIONS = """(
        SELECT DISTINCT ON ($key_of_f) f.* FROM $table AS f
        $among ORDER BY $descending, f.$record DESC
    ) AS last ON ($key_of_last) = ($key_of_s)"""
_AMONG_STAGED = "WHERE ($key_of_f) IN (SELECT $key FROM $staging)"
_LAST_VERSION_OF_EACH = """LATERAL (
        SELECT f.* FROM $table AS f WHERE ($key_of_f) = ($key_of_s) ORDER BY f.$record + 0 DESC LIMIT 1
    ) AS last ON true"""
# As in a backfill: then all are new, and the versions that are there, however many, need not be read. Where they are
# not, one of the first rows says so.
_ALL_ARE_BEYOND = """
    SELECT NOT EXISTS (SELECT FROM $staging WHERE $key <= (SELECT max($key) FROM $table))
        AND (SELECT max($key) FROM $table) IS NOT NULL
"""
_HAS_INDEX_ON_KEY = """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
        WHERE i.indrelid = CAST(:table AS regclass) AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree'
          AND CAST(:keys AS text[]) <@ ARRAY(
              SELECT a.attname::text FROM unnest(i.indkey, i.indcollation, i.indclass) WITH ORDINALITY
                  AS k(attnum, of, class, n)
              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
              JOIN pg_catalog.pg_opclass AS o ON o.oid = k.class AND o.opcdefault
              WHERE k.n <= cardinality(CAST(:keys AS text[])) AND k.of = a.attcollation
          )
    )
"""
# Of the table and of the ranges: a number that was given once never identifies another version.
_LAST_RECORD = """
    SELECT GREATEST(
        (SELECT max($record) FROM $table),
        (SELECT max(last_record) FROM $version_range WHERE table_name = $name),
        0
    )
"""
_RANGE = """
    INSERT INTO $version_range (table_name, first_record, last_record, batch)
    VALUES ($name, $first_record, $last_record, $batch)
"""
# The versions of these keys that the warehouse has, each with its batch.
_STORED = """
    CREATE TEMPORARY TABLE $stored ON COMMIT DROP AS
    SELECT t.$record AS "_record", v.batch AS "_batch", $of_table
    FROM $table AS t
    $loaded_by_batch
    WHERE ($key_of_t) IN (SELECT $key_of_k FROM $keys AS k)
"""
_STATE_BEFORE_FIRST_EVENT = """
    SELECT DISTINCT ON ($key_of_s) $of_stored, s."_batch", false AS "_deleted" FROM $stored AS s
    WHERE s."_batch" < $first ORDER BY $key_of_s, s."_record" DESC
"""
_DIFFERENT = """
    CREATE TEMPORARY TABLE $different ON COMMIT DROP AS
    SELECT $key, min("_batch") AS "_batch"
    FROM (SELECT * FROM $history WHERE NOT "_deleted" AND "_batch" >= $first) AS h
    FULL JOIN (SELECT * FROM $stored WHERE "_batch" >= $first) AS s USING ($key, "_batch")
    WHERE h."_batch" IS NULL OR s."_batch" IS NULL OR ROW($of_history) IS DISTINCT FROM ROW($compared_stored)
    GROUP BY $key
"""
_RETRACT = """
    DELETE FROM $table AS t
    USING $stored AS s JOIN $different AS d ON ($key_of_d) = ($key_of_s) AND s."_batch" >= d."_batch"
    WHERE t.$record = s."_record"
"""
_NUMBER = """
    CREATE TEMPORARY TABLE $numbered ON COMMIT DROP AS
    SELECT h.*, $last_record + row_number() OVER (ORDER BY h."_batch", $key_of_h) AS "_record"
    FROM $history AS h JOIN $different AS d ON ($key_of_d) = ($key_of_h) AND h."_batch" >= d."_batch"
    WHERE NOT h."_deleted"
"""
_APPEND_HISTORY = """
    INSERT INTO $table ($record, $columns$own) OVERRIDING SYSTEM VALUE
    SELECT "_record", $columns$own_values FROM $numbered AS s ORDER BY "_record"
"""
_APPEND_PENDING = """
    INSERT INTO $table ($record, $columns$own) OVERRIDING SYSTEM VALUE
    SELECT $last_record, $columns$own_values FROM $rows AS s
"""
_HISTORY_RANGES = """
    INSERT INTO $version_range (table_name, first_record, last_record, batch)
    SELECT $name, min("_record"), max("_record"), "_batch" FROM $numbered GROUP BY "_batch"
"""
# The facts that refer to a key which has no version any more.
_WITHOUT_VERSION = """
    CREATE TEMPORARY TABLE $waiting ON COMMIT DROP AS
    SELECT $key_of_t, v.batch AS "_batch" FROM $table AS t
    $loaded_by_batch
    WHERE v.batch IS NOT NULL AND ($by) IN (
        SELECT $keys_of_k FROM $different AS k
        WHERE NOT EXISTS (SELECT FROM $dimension AS d WHERE ($keys_of_d) = ($keys_of_k))
    )
"""
# The versions of the staged keys as of the batch, each the last one up to it.
_AS_OF = """
    CREATE TEMPORARY TABLE $as_of ON COMMIT DROP AS
    SELECT DISTINCT ON ($key_of_t) t.*, v.batch AS "_batch" FROM $table AS t
    $loaded_by_batch
    WHERE ($key_of_t) IN (SELECT $key_of_s FROM $staging AS s) AND v.batch <= $batch
    ORDER BY $key_of_t, t.$record DESC
"""
_CHANGED_KEYS = """
    CREATE TEMPORARY TABLE $changed ON COMMIT DROP AS
    SELECT $key_of_s FROM $staging AS s LEFT JOIN $as_of AS a ON ($key_of_a) = ($key_of_s)
    WHERE ($key_of_a) IS NULL OR ROW($staged) IS DISTINCT FROM ROW($present) OR EXISTS (
        SELECT FROM $deletion AS d
        WHERE d.table_name = $name AND d.key = $key_text_of_s AND d.batch > a."_batch" AND d.batch <= $batch
    )
    UNION
    SELECT $key_of_t FROM $table AS t
    JOIN $version_range AS r ON r.table_name = $name AND t.$record BETWEEN r.first_record AND r.last_record
    WHERE r.batch = $batch AND NOT EXISTS (SELECT FROM $staging AS s WHERE ($key_of_s) = ($key_of_t))
"""
_COMPARED = """
    SELECT true AS "_present", $of_table$own_of_t, t.$record AS "_record", v.batch AS "_batch",
        row_number() OVER (PARTITION BY $key_of_t ORDER BY t.$record) AS "_version"
    FROM $table AS t
    $loaded_by_batch
"""


def apply(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> int:
    """Appends the staged rows of ``batch``, which are new versions of their keys; returns how many.

    Their record numbers follow the last one, in the order of their keys: the same batches give the same numbers.
    """
    names = session.sql(table)
    rows = _count(session, staging)
    if not rows:
        return 0
    last = _last_record(session, names)
    with deferred_foreign_key_check(session.connection, session.schemas, table, rows, staging):
        session.connection.run(_append(session, table, staging, sql.number(last), sql.number(batch)))
    _record_range(session, table, last, rows, batch)
    if last:  # there are versions before
        validity.refresh(session, table, staging)
    return rows


def fill(session: WarehouseSession, table: WarehouseTable, read: filling.Read, rows: int, batch: int) -> int | None:
    """Copies the first rows straight into the table, where nothing is in the way; returns how many, or None."""
    copied = filling.fill(session, table, read, rows)
    if copied:
        _record_range(session, table, 0, copied, batch)
    return copied


def drop_unchanged(
    session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, fresh: sql.Fragment
) -> bool:
    """Moves the staged rows that are new versions of their keys to ``fresh``; False where all keys are new."""
    names = session.sql(table)
    if not _last_record(session, names):
        return False
    if session.connection.is_duckdb:  # one join of all keys costs little there
        session.run(_STAGE_NEW_VERSIONS, fresh=fresh, new_versions=_new_versions(session, table, staging))
        session.run("DROP TABLE $staging", staging=staging)
        return True
    is_indexed = _has_index_on_key(session, table)
    if is_indexed and _all_are_beyond(session, table, staging):
        return False
    staged, known = (known_rows(session.connection, each) for each in (staging, session.schemas.table(table.name)))
    probes = is_indexed and staged * PROBED_RATIO <= known
    new_versions = _new_versions(session, table, staging, probes=probes, filters=staged * _FILTERED_RATIO < known)
    session.run(_STAGE_NEW_VERSIONS, fresh=fresh, new_versions=new_versions)
    session.run("DROP TABLE $staging", staging=staging)
    # PostgreSQL takes a table that it has no statistics of for ten pages: for so many rows it would read all of each
    # dimension, to look them up.
    analyze(session.connection, fresh, table.keys)
    return True


def _all_are_beyond(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment) -> bool:
    """Whether every staged key sorts after all of ``table``: of one column, of a type that has min() and one order."""
    types = column_types(session.connection, session.schemas.table(table.name))
    if len(table.keys) != 1 or types.get(table.keys[0]) not in filling.SORTED_ALIKE:
        return False
    return bool(session.rows(_ALL_ARE_BEYOND, **session.sql(table).parts, staging=staging)[0][0])


def _record_range(session: WarehouseSession, table: WarehouseTable, last: int, rows: int, batch: int) -> None:
    """Records that ``batch`` appended ``rows`` versions after the record number ``last``."""
    numbers = {"first_record": sql.number(last + 1), "last_record": sql.number(last + rows)}
    session.run(_RANGE, **session.sql(table).parts, **numbers, batch=sql.number(batch))


def _count(session: WarehouseSession, staging: sql.Fragment) -> int:
    return int(session.rows("SELECT count(*) FROM $staging", staging=staging)[0][0])


def trial(session: WarehouseSession, table: WarehouseTable, rows: sql.Fragment, batch: int) -> sql.Fragment:
    """Appends the row, unless it is no new version."""
    new_versions = sql.compose("($new_versions)", new_versions=_new_versions(session, table, rows))
    return _append(session, table, new_versions, _number_of_trial(session, table), sql.number(batch))


def write_resolved(session: WarehouseSession, table: WarehouseTable, last: int) -> int:
    """Rebuilds the history of the pending rows that meet the requirements now, from the oldest on; returns the rows."""
    if table.name in session.tries_rows_of:
        _reject_refused(session, table)
    resolvable = temporary(f"resolvable_{table.name}")
    first = pending.stage_resolvable(session, table, resolvable)
    return 0 if first is None else rebuild_history(session, table, resolvable, first, last)


def _reject_refused(session: WarehouseSession, table: WarehouseTable) -> None:
    """The pending rows that could be written, and that the server refuses, wait no more."""
    resolved = temporary(f"resolved_{table.name}")
    if not pending.stage_resolved_rows(session, table, resolved):
        return
    batch, number = sql.compose('s."_batch"'), _number_of_trial(session, table)
    parts = {**session.sql(table).parts, **validity.parts(session, table, batch), "last_record": number}
    for row in refusals.reject_refused(
        session, table, resolved, batch, lambda one: sql.compose(_APPEND_PENDING, **parts, rows=one)
    ):
        pending.discard(session, table, row.key, row.batch)
    session.run("DROP TABLE $resolved", resolved=resolved)


def _append(
    session: WarehouseSession, table: WarehouseTable, rows: sql.Fragment, last: sql.Fragment, batch: sql.Fragment
) -> sql.Fragment:
    """The statement that appends ``rows`` of ``batch``; ``last``: the record number before theirs."""
    return sql.compose(
        _APPEND,
        **session.sql(table).parts,
        rows=rows,
        staged=sql.columns(table.column_names, of="s"),
        last_record=last,
        **validity.parts(session, table, batch),
    )


def _new_versions(
    session: WarehouseSession,
    table: WarehouseTable,
    staging: sql.Fragment,
    *,
    probes: bool = False,
    filters: bool = True,
) -> sql.Fragment:
    """The query of the staged rows that are new versions of their keys.

    ``probes``: it looks up each key alone; otherwise, ``filters``: it sorts the versions of the staged keys alone.
    """
    parts = {**session.sql(table).parts, "staging": staging}
    among = sql.compose(_AMONG_STAGED if filters else "", **parts)
    descending = sql.joined(", ", [sql.compose("$key DESC", key=sql.columns([name], of="f")) for name in table.keys])
    return sql.compose(
        _NEW_VERSIONS,
        **parts,
        last_versions=sql.compose(
            _LAST_VERSION_OF_EACH if probes else _LAST_VERSIONS, **parts, among=among, descending=descending
        ),
        new=compared(table, of="s"),
        latest=compared(table, of="last"),
    )


def _has_index_on_key(session: WarehouseSession, table: WarehouseTable) -> bool:
    """Whether an index finds the versions of a key."""
    relation = session.schemas.table(table.name)
    return bool(session.connection.rows(_HAS_INDEX_ON_KEY, table=relation, keys=list(table.keys))[0][0])


def _number_of_trial(session: WarehouseSession, table: WarehouseTable) -> sql.Fragment:
    """The record number before that of a row that is tried alone: each has one of its own."""
    last = sql.number(_last_record(session, session.sql(table)))
    return sql.compose("($last + $number)", last=last, number=refusals.TRIED_NUMBER)


def discard_superseded(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> None:
    """Nothing: every version of a fact counts, however late it arrives."""


def discard_deleted(session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> None:
    """Nothing: every version of a fact counts, whatever becomes of the row."""


def discard_superseded_by_events(session: WarehouseSession, table: WarehouseTable, events: sql.Fragment) -> None:
    """Nothing: every version of a fact counts, however late it arrives."""


def stage_state_before(session: WarehouseSession, parts: dict[str, sql.Fragment]) -> sql.Fragment | None:
    """Stages the stored versions of the keys; returns the query of the last ones before the first event."""
    session.run(_STORED, **parts)
    return sql.compose(f"({_STATE_BEFORE_FIRST_EVENT})", **parts)


def write_history(session: WarehouseSession, table: WarehouseTable, parts: dict[str, sql.Fragment]) -> int:
    """Retracts the versions that differ from ``$history``, with all later ones of their keys, and appends them again.

    So the order of the record numbers stays the order of the versions. Returns how many rows were appended.
    """
    session.run(_DIFFERENT, **parts)
    if table.referring and not session.connection.is_duckdb:
        session.run("SET CONSTRAINTS ALL DEFERRED")
    session.run(_RETRACT, **parts)
    session.run(_NUMBER, **parts, last_record=sql.number(_last_record(session, session.sql(table))))
    since = validity.parts(session, table, sql.compose('s."_batch"'))
    rows = session.run(_APPEND_HISTORY, **parts, **since)
    session.run(_HISTORY_RANGES, **parts)
    if table.referring:
        _let_facts_follow(session, table, parts)
        if not session.connection.is_duckdb:
            session.run("SET CONSTRAINTS ALL IMMEDIATE")  # again: what other tables refuse is refused row by row
    return rows


def _let_facts_follow(session: WarehouseSession, table: WarehouseTable, parts: dict[str, sql.Fragment]) -> None:
    """Lets the facts follow the versions of a dimension that are others now, or have other numbers.

    Facts of rows that have no version any more wait again. The last batch loaded is the last of their history.
    """
    last = int(session.rows("SELECT max(batch) FROM $ledger", **parts)[0][0])
    for fact in table.referring:
        for entry in (entry for entry in fact.versions if entry.dimension == table.name):
            names = session.sql(fact).parts
            waiting = temporary(f"waiting_{fact.name}")
            session.run(
                _WITHOUT_VERSION,
                **names,
                waiting=waiting,
                by=sql.columns(entry.columns, of="t"),
                different=parts["different"],
                dimension=parts["table"],
                keys_of_d=sql.columns(entry.keys, of="d"),
                keys_of_k=sql.columns(entry.keys, of="k"),
            )
            first = session.rows('SELECT min("_batch") FROM $waiting', waiting=waiting)[0][0]
            if first is not None:
                rebuild_history(session, fact, waiting, int(first), last)
            session.run("DROP TABLE $waiting", waiting=waiting)
    validity.follow(session, table, parts["different"])


def stage_changed_keys(session: WarehouseSession, parts: dict[str, sql.Fragment]) -> None:
    """Creates ``$changed``: the keys of which the table, as of the batch, has another version than ``$staging``."""
    session.run(_AS_OF, **parts)
    session.run(_CHANGED_KEYS, **parts)


def compared_rows(schemas: SchemaNames, table: WarehouseTable) -> sql.Fragment:
    """The query of what a comparison reads: the versions, with ``_record``, ``_batch`` and ``_version`` (from 1)."""
    parts = TableSql.of(schemas, table).parts
    own = validity.compared(schemas, table)
    return sql.compose(_COMPARED, **parts, of_table=content(table, of="t"), own_of_t=own)


def compared_columns(table: WarehouseTable) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that identify a compared row, and those that are compared."""
    return (*table.keys, "_version"), (*table.column_names, *table.filled_by_load[1:], "_batch")


def _last_record(session: WarehouseSession, names: TableSql) -> int:
    """The highest record number that was ever given in the table; 0 where none was."""
    return int(session.rows(_LAST_RECORD, **names.parts)[0][0])
