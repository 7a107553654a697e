"""What the warehouse must hold, from what the runs of extract could see: whole states, compared naively."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tests.proof.star import DIMENSIONS, FACTS, STAR, StarRow, StarTable, State, UnfitError


@dataclass(frozen=True)
class Look:
    """The committed state of the source at the snapshot of a batch.

    ``written``: for each row the transaction that wrote it, so that one knows which rows are new without their content.
    ``altered``: tables whose columns changed since the look before.
    """

    batch: int
    extracted_at: str
    state: State
    written: Mapping[str, Mapping[int, int]]
    full: frozenset[str] = frozenset()
    altered: frozenset[str] = frozenset()

    @cached_property
    def star(self) -> Mapping[str, Mapping[int, StarRow | list[UnfitError]]]:
        """Every row of every warehouse table as the source has it now, or why it has no place there."""
        return {
            name: {key: table.derive(row, self.state) for key, row in self.state[table.source].items()}
            for name, table in STAR.items()
        }


@dataclass(frozen=True)
class Version:
    """A version of a fact, and the batch that wrote it."""

    row: StarRow
    batch: int


@dataclass(frozen=True)
class Line:
    """The history of one key: its versions, and the batches in which it was deleted and undeleted."""

    versions: list[Version] = field(default_factory=list)
    deletions: list[tuple[int, int | None]] = field(default_factory=list)

    @property
    def present(self) -> bool:
        """Whether the row is there now."""
        return bool(self.versions) and not (self.deletions and self.deletions[-1][1] is None)


Lines = Mapping[int, Line]


class Oracle:
    """The history of every key according to ``looks``, which are the batches from 1 on, complete."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self.looks = looks
        self._published = {
            name: {key for look in looks for key, row in look.star[name].items() if not isinstance(row, list)}
            for name in DIMENSIONS
        }

    def lines(self, name: str) -> Lines:
        """What happened to each key of a warehouse table."""
        lines: dict[int, Line] = {}
        before: Iterable[int] = ()
        for look in self.looks:
            rows = look.star[name]
            for key, row in rows.items():
                if not isinstance(row, list) and self._names_what_is_there(STAR[name], row):
                    _row_seen(lines.setdefault(key, Line()), row, look.batch)
            for key in set(before) - set(rows):
                _row_deleted(lines.setdefault(key, Line()), look.batch)
            before = rows
        return lines

    def dates(self) -> set[str]:
        """Every date that a published or pending fact references."""
        return {
            value
            for name, table in FACTS.items()
            for look in self.looks
            for row in look.star[name].values()
            if not isinstance(row, list)
            for column, value in zip(table.cells, row, strict=True)
            if column.endswith("_date") and value is not None
        }

    def rejected(self, name: str) -> set[tuple[str, str, str | None]]:
        """(key, column, value) of everything that the star refused of a table and that is still missing there.

        Of a fact, each version counts; of a dimension, a row that is accepted or deleted ends what was before it.
        """
        found: dict[int, set[tuple[str, str, str | None]]] = {}
        for look in self.looks:
            rows = look.star[name]
            if name in DIMENSIONS:
                found = {key: faults for key, faults in found.items() if isinstance(rows.get(key), list)}
            for key, row in rows.items():
                if isinstance(row, list):
                    faults = found.setdefault(key, set())
                    faults |= {(str(key), unfit.column, unfit.value) for unfit in row}
        return set().union(*found.values())

    def _names_what_is_there(self, table: StarTable, row: StarRow) -> bool:
        named = dict(zip(table.cells, row, strict=True))
        return all(int(named[column] or 0) in self._published[dimension] for column, dimension in table.names.items())


def _row_seen(line: Line, row: StarRow, batch: int) -> None:
    is_back = bool(line.deletions) and line.deletions[-1][1] is None
    if is_back:
        line.deletions[-1] = (line.deletions[-1][0], batch)
    if is_back or not line.versions or line.versions[-1].row != row:
        line.versions.append(Version(row, batch))


def _row_deleted(line: Line, batch: int) -> None:
    if not line.deletions or line.deletions[-1][1] is not None:
        line.deletions.append((batch, None))
