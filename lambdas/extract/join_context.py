"""The rows that joins need beside the changed ones: the source finds them in the same snapshot."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..shared.declarations import Declarations
from .row_set import ReferencedBy, Referencing, RowSet, intersection, union


def context_rows(
    declarations: Declarations,
    changed: Mapping[str, RowSet],
    captured: Mapping[str, RowSet],
    active: Collection[str],
) -> dict[str, RowSet]:
    """Source table -> its rows that belong to this batch's join context.

    For each warehouse table with joins, when any of its source tables has changes: a changed row of a joined table
    adds the rows that reference it; those, and every changed row, add all the rows that they reference.
    ``changed``: the rows read as changes. ``captured``: the rows read in this batch or an earlier one; all others will
    be read later, as changes. ``active``: the tables with changes.
    """
    context: dict[str, list[RowSet]] = {}
    for table in declarations.warehouse.values():
        if table.source is None or not table.joins or not {table.source, *table.joins} & set(active):
            continue
        referencing = [
            intersection(captured[table.source], Referencing(column, joined, changed[joined]))
            for joined, column in table.joins.items()
        ]
        context.setdefault(table.source, []).extend(referencing)
        reached = union(changed[table.source], *referencing)
        for joined, column in table.joins.items():
            context.setdefault(joined, []).append(ReferencedBy(table.source, column, reached))
    return {name: union(*found) for name, found in context.items()}
