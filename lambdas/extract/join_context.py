"""The rows that joined dimensions need beside the changed ones, found by the server in the same snapshot."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..shared.declarations import Declarations
from ..shared.postgres import sql


def context_conditions(
    declarations: Declarations,
    written: Mapping[str, sql.Fragment],
    covered: Mapping[str, sql.Fragment],
    active: Collection[str],
) -> dict[str, sql.Fragment]:
    """Source table -> the condition on its rows ``t`` that belong to this batch's context.

    For each warehouse table with joins, when any of its source tables has changes: a changed row of a joined table
    brings the rows that name it, and those, like every changed row, bring all the rows that they name.
    ``written``: the condition on a table's rows ``t`` that they are read as changes. ``covered``: that they were read
    in this batch or an earlier one; rows that were not come with their own changes. ``active``: tables with changes.
    """
    conditions: dict[str, list[sql.Fragment]] = {}
    for table in declarations.warehouse.values():
        if table.source is None or not table.joins or not {table.source, *table.joins} & set(active):
            continue
        named_changed = [
            sql.compose(
                "($covered AND t.$column IN (SELECT t.$key FROM $joined AS t WHERE $written))",
                covered=covered[table.source],
                column=sql.identifier(column),
                key=sql.identifier(declarations.source[joined].key),
                joined=sql.table(joined),
                written=written[joined],
            )
            for joined, column in table.joins.items()
        ]
        conditions.setdefault(table.source, []).extend(named_changed)
        reached = sql.joined(" OR ", [written[table.source], *named_changed])
        for joined, column in table.joins.items():
            conditions.setdefault(joined, []).append(
                sql.compose(
                    "t.$key IN (SELECT t.$column FROM $base AS t WHERE $reached)",
                    key=sql.identifier(declarations.source[joined].key),
                    column=sql.identifier(column),
                    base=sql.table(table.source),
                    reached=reached,
                )
            )
    return {name: sql.joined(" OR ", found) for name, found in conditions.items()}
