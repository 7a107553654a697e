"""How many rows the tables have, and how many of them were written since the last batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..shared.postgres import sql
from ..shared.postgres.copy import Connection
from .table_plan import TablePlan


@dataclass(frozen=True)
class Counted:
    """``written``: those of all the rows that the plan reads as they were written, whatever their key."""

    total: int = 0
    written: int = 0


def count(connection: Connection, plans: Iterable[TablePlan]) -> dict[str, Counted]:
    """The rows of each table by its name, counted in one statement; not of those that are compared by content."""
    counts = [
        sql.compose(
            "SELECT $name, count(*), count(*) FILTER (WHERE $region) FROM $table AS t",
            name=sql.constant(plan.name),
            region=plan.region(plan.pending),
            table=sql.table(plan.name),
        )
        for plan in plans
        if not plan.table.by_content
    ]
    rows = connection.rows(sql.joined(" UNION ALL ", counts)) if counts else []
    return {name: Counted(total, written) for name, total, written in rows}
