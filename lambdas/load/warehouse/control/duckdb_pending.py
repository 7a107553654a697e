"""The rows that wait, moved in a DuckDB file: statement by statement, as one that deletes and inserts is PostgreSQL's.

Of a table that refers to itself the rows are moved level by level: without those that wait, others may refer to
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....shared.model.declarations import WarehouseTable
from ....shared.postgres import sql
from ..references.requirements import Requirement, any_unmet
from ..session import WarehouseSession, temporary

_UNMET = "CREATE TEMPORARY TABLE $moved AS SELECT s.* FROM $staging AS s WHERE $is_row AND ($unmet)"
_UNMET_TOGETHER = "($unmet AND NOT EXISTS (SELECT FROM $staging AS p WHERE $is_referred AND $same))"
_KEEP = """
    INSERT INTO $pending_row (table_name, key, batch, content)
    SELECT $name, $key_text_of_u, $batch, json_object($members) FROM $moved AS u WHERE NOT EXISTS (
        SELECT FROM $pending_row AS p WHERE p.table_name = $name AND p.key = $key_text_of_u AND p.batch = $batch
    )
"""
_DELETE = "DELETE FROM $staging AS s USING $moved AS u WHERE $is_row AND ($key_of_s) = ($key_of_u) AND $same_batch"


def move_unmet(
    session: WarehouseSession,
    table: WarehouseTable,
    staging: sql.Fragment,
    required: Sequence[Requirement],
    batch: sql.Fragment | None,
    *,
    is_row: str,
    has_batches: bool,
) -> int:
    """Moves the rows of ``staging`` that do not meet the requirements to the pending rows; returns how many.

    ``batch``: theirs, of a row ``u``; None: they are deleted, and not kept. ``is_row``: the condition that ``$row`` is
    a row, not a deletion. ``has_batches``: whether the staging table has the batch of each row.
    """
    moved = temporary(f"moved_{table.name}")
    parts = {
        **session.sql(table).parts,
        "staging": staging,
        "moved": moved,
        "is_row": sql.compose(is_row, row=sql.compose("s")),
        "is_referred": sql.compose(is_row, row=sql.compose("p")),
        "members": sql.joined(", ", [_member(name) for name in table.column_names]),
        "same_batch": sql.compose('s."_batch" = u."_batch"' if has_batches else "true"),
    }
    unmet = [any_unmet(entry for entry in required if not entry.same)]
    for entry in required:
        if entry.same:
            unmet.append(sql.compose(_UNMET_TOGETHER, **parts, unmet=entry.unmet, same=entry.same))
    condition, written = sql.joined(" OR ", unmet), 0
    while count := session.run(_UNMET, **parts, unmet=condition):
        written += session.run(_KEEP, **parts, batch=batch) if batch is not None else count
        session.run(_DELETE, **parts)
        session.run("DROP TABLE $moved", moved=moved)
    session.run("DROP TABLE $moved", moved=moved)
    return written


def _member(name: str) -> sql.Fragment:
    """A column as a member of a JSON object: its text, which every type of DuckDB reads back."""
    return sql.compose("$name, CAST($column AS varchar)", name=sql.constant(name), column=sql.columns([name], of="u"))
