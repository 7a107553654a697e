"""How one table is read in this run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

from ..shared.declarations import SourceTable
from ..shared.lake.manifest import Coverage, TableFiles
from ..shared.postgres import sql
from .capture.key_files import up_to
from .source.catalog import Column
from .source.reader import ALL, NONE, SINCE, written_since


@dataclass(frozen=True)
class TablePlan:
    """``previous``: what the last batch says of the table. ``whole``: every row is read, whoever wrote it and when.

    ``bytes``: what the table takes on the server. ``since_xmin``: the xmin of the last batch's snapshot.
    """

    table: SourceTable
    columns: Sequence[Column]
    previous: TableFiles | None
    whole: bool
    since_xmin: int
    bytes: int = 0
    relations: tuple[int, ...] = ()
    meaning: str = ""

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    @property
    def key(self) -> str:
        """The name of the key's column."""
        return self.table.key

    @property
    def key_column(self) -> Column:
        """The key's column."""
        return next(column for column in self.columns if column.name == self.key)

    @property
    def key_field(self) -> pa.Field:
        """The key as a column of the lake."""
        return pa.field(self.key, self.key_column.arrow)

    @property
    def before(self) -> TableFiles:
        """What the last batch says of the table; nothing, where there is none."""
        return self.previous or TableFiles({})

    @property
    def pending(self) -> Coverage | None:
        """How far the table was read that is being taken in key ranges. None: to its end."""
        return Coverage(None, None) if self.whole else self.before.coverage

    @property
    def written(self) -> sql.Fragment:
        """The condition on rows ``t`` that they were written since the last batch, or need not have been."""
        return ALL if self.whole else written_since(sql.setting(SINCE))

    def region(self, pending: Coverage | None) -> sql.Fragment:
        """The condition on the rows ``t`` that are read as they were written, whatever their key, while ``pending``."""
        if pending is None:
            return self.written
        if pending.upto is None:
            return NONE
        return sql.compose(
            "($written AND $covered)", written=self.written, covered=up_to(self.key_column, pending.upto)
        )


COMPARED_EVERY_RUN = 1_000_000  # rows; what comparing keys costs: python -m benchmarks.capturing


def deletes_interval(table: SourceTable, rows: int) -> timedelta:
    """How often the keys of a table of so many rows are compared."""
    if table.deletes is not None:
        return table.deletes
    return timedelta(0) if rows <= COMPARED_EVERY_RUN else timedelta(hours=1)
