"""Reading a table in the order of its key, step by step in one snapshot, until it ends or the batch is full."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from ..limits import MEBIBYTE, Budget
from ..source.reader import read
from ..table_plan import TablePlan
from .key_files import beyond, ordering, text_of

FIRST_STEP = 1_000  # rows: as nobody knows yet how long they are
STEP_BYTES = 32 * MEBIBYTE  # of rows as Arrow holds them, which a step should have
STEP_GROWTH = 16  # times, at most, from one step to the next


def read_range(
    connection: Connection,
    plan: TablePlan,
    budget: Budget,
    query: sql.Fragment,
    schema: pa.Schema,
    after: str | None,
    consume: Callable[[pa.Table], object],
) -> tuple[str | None, bool]:
    """Hands the rows of ``query`` whose keys come after ``after`` to ``consume``, in the order of their keys.

    ``query`` ends in a condition on rows ``t``. Returns the last key that was read (``after`` where there was none),
    and whether there is no row beyond it. Stops when ``budget`` is spent, which ``consume`` takes from.
    """
    step, position = FIRST_STEP, schema.get_field_index(plan.key)
    while not budget.is_spent:
        rows, size, last = 0, 0, None

        def count(chunk: pa.Table) -> None:
            nonlocal rows, size, last
            rows, size, last = rows + chunk.num_rows, size + chunk.nbytes, text_of(chunk.column(position)) or last
            consume(chunk)

        asked = min(step, budget.rows)
        bounded = sql.compose(
            "$query AND $beyond ORDER BY $order LIMIT $limit",
            query=query,
            beyond=beyond(plan.key_column, after) if after is not None else sql.Fragment("TRUE"),
            order=ordering(plan.key_column),
            limit=sql.number(asked),
        )
        read(connection, bounded, schema, count)
        after = last if last is not None else after
        if rows < asked:
            return after, True
        step = max(1, min(step * STEP_GROWTH, step * STEP_BYTES // max(size, 1)))
    return after, False
