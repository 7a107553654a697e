"""What the warehouse must hold, from what the runs of extract could see: whole states, compared naively."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tests.proof.star import DIMENSIONS, REFERRING, STAR, Key, StarRow, StarTable, State, UnfitError


@dataclass(frozen=True)
class Look:
    """The committed state of the source at the snapshot of a batch.

    ``written``: for each row the transaction that wrote it, so that one knows which rows are new without their content.
    ``altered``: tables whose columns changed since the look before. ``secured``: those under a policy; ``state`` and
    ``written`` have the rows that it shows.
    """

    batch: int
    extracted_at: str
    state: State
    written: Mapping[str, Mapping[Key, int]]
    full: frozenset[str] = frozenset()
    altered: frozenset[str] = frozenset()
    secured: frozenset[str] = frozenset()

    @cached_property
    def star(self) -> Mapping[str, Mapping[Key, StarRow | list[UnfitError] | None]]:
        """Every row of every warehouse table as the source has it now, or why it has no place there.

        None: it does not match the table's filter.
        """
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


Lines = Mapping[Key, Line]


class Oracle:
    """The history of every key according to ``looks``, which are the batches from 1 on, complete."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self.looks = looks
        self._published = {
            name: {key for look in looks for key, row in look.star[name].items() if isinstance(row, tuple)}
            for name in DIMENSIONS
        }
        self._known: dict[str, Followed] = {}

    def lines(self, name: str) -> Lines:
        """What happened to each key of a warehouse table."""
        if name in REFERRING:
            return self._followed(name).lines
        lines: dict[Key, Line] = {}
        before: Iterable[Key] = ()
        for look in self.looks:
            rows = look.star[name]
            for key, row in rows.items():
                if row is None:
                    _row_deleted(lines.setdefault(key, Line()), look.batch)
                elif not isinstance(row, list) and self._names_what_is_there(STAR[name], row):
                    _row_seen(lines.setdefault(key, Line()), row, look.batch)
            for key in filter(STAR[name].fits, set(before) - set(rows)):
                _row_deleted(lines.setdefault(key, Line()), look.batch)
            before = rows
        return lines

    def dates(self) -> set[str]:
        """Every date that a published or pending row references."""
        return {
            value
            for name, table in STAR.items()
            for look in self.looks
            for row in look.star[name].values()
            if isinstance(row, tuple)
            for column, value in zip(table.cells, row, strict=True)
            if column.endswith("_date") and value is not None
        }

    def rejected(self, name: str) -> set[tuple[str, str, str | None]]:
        """(key, column, value) of everything that the star refused of a table and that is still missing there.

        Of a fact, each version counts; of a dimension, a row that is accepted or deleted ends what was before it.
        """
        if name in REFERRING:
            return {entry for _, entry in self._followed(name).rejected}
        found: dict[Key, set[tuple[str, str, str | None]]] = {}
        for look in self.looks:
            rows = look.star[name]
            if name in DIMENSIONS:
                found = {key: faults for key, faults in found.items() if isinstance(rows.get(key), list)}
            for key, row in rows.items():
                if isinstance(row, list):
                    faults = found.setdefault(key, set())
                    faults |= {(str(key), unfit.column, _shown(unfit.value)) for unfit in row}
        return set().union(*found.values())

    def _followed(self, name: str) -> Followed:
        if name not in self._known:
            self._known[name] = follow(name, self.looks)
        return self._known[name]

    def _names_what_is_there(self, table: StarTable, row: StarRow) -> bool:
        return all(key is None or key in self._published[dimension] for dimension, key in table.named(row))


Entry = tuple[int, Key, StarRow]  # batch, key, row


@dataclass
class Followed:
    """A dimension whose rows name rows of dimensions: what of it was loaded, batch by batch, and what waits."""

    lines: dict[Key, Line] = field(default_factory=dict)
    waiting: list[Entry] = field(default_factory=list)
    rejected: set[tuple[int, tuple[str, str, str | None]]] = field(default_factory=set)  # batch, entry

    def write(self, entries: Iterable[Entry], *, until: int | None = None) -> None:
        """The rows are loaded. Older ones of their keys, up to the batch ``until``, wait and are rejected no more."""
        for batch, key, row in sorted(entries):
            line = self.lines.setdefault(key, Line())
            if line.deletions and line.deletions[-1][1] is None and batch < line.deletions[-1][0]:
                line.versions.append(Version(row, batch))  # deleted while it waited
            else:
                _row_seen(line, row, batch)
            self.waiting = [entry for entry in self.waiting if entry[1] != key or entry[0] > (until or batch)]
            last = until or batch - 1
            self.rejected = {entry for entry in self.rejected if entry[1][0] != str(key) or entry[0] > last}

    def delete(self, key: Key, batch: int) -> None:
        """The source has the key no more: what was rejected of it is discarded; what waits is there once it may be."""
        _row_deleted(self.lines.setdefault(key, Line()), batch)
        self.forget(key)

    def forget(self, key: Key) -> None:
        """What was rejected of the key is discarded."""
        self.rejected = {entry for entry in self.rejected if entry[1][0] != str(key)}


def follow(name: str, looks: Sequence[Look]) -> Followed:
    """Loads the batches one after the other: the most rows that name nothing but rows that are there, or come along."""
    table, done = STAR[name], Followed()
    others: dict[str, set[Key]] = {other: set() for other in table.names.values() if other != name}

    def able(entries: list[Entry]) -> list[Entry]:
        while True:
            there = {key for key, line in done.lines.items() if line.versions} | {key for _, key, _ in entries}
            known = {**others, name: there}
            left = [entry for entry in entries if _names_known(table, entry[2], known)]
            if left == entries:
                return entries
            entries = left

    for number, look in enumerate(looks):
        for other, keys in others.items():
            keys |= {key for key, row in look.star[other].items() if not isinstance(row, list)}
        before = looks[number - 1].written[table.source] if number else {}
        now = look.written[table.source]
        whole = table.source in look.full or table.source in look.altered
        rows = {key: row for key, row in look.star[name].items() if whole or before.get(key) != now[key]}
        done.write(able(done.waiting))
        new = [(look.batch, key, row) for key, row in rows.items() if not isinstance(row, list)]
        loaded = able(new)
        done.write(loaded, until=look.batch)
        done.waiting += [entry for entry in new if entry not in loaded]
        if new:
            done.write(able(done.waiting))
        for key in set(before) - set(now):
            if table.fits(key):
                done.delete(key, look.batch)
            else:  # which was never loaded
                done.forget(key)
        for key, row in rows.items():
            if isinstance(row, list):
                done.rejected |= {(look.batch, (str(key), unfit.column, _shown(unfit.value))) for unfit in row}
    return done


def _shown(value: str | None) -> str | None:
    """A rejected value as it is reported: what is longer than 1,000 characters is cut, with its length."""
    return value if value is None or len(value) <= 1000 else f"{value[:1000]}… ({len(value)} characters)"


def _names_known(table: StarTable, row: StarRow, known: Mapping[str, set[Key]]) -> bool:
    return all(key is None or key in known[other] for other, key in table.named(row))


def _row_seen(line: Line, row: StarRow, batch: int) -> None:
    is_back = bool(line.deletions) and line.deletions[-1][1] is None
    if is_back:
        line.deletions[-1] = (line.deletions[-1][0], batch)
    if is_back or not line.versions or line.versions[-1].row != row:
        line.versions.append(Version(row, batch))


def _row_deleted(line: Line, batch: int) -> None:
    if not line.deletions or line.deletions[-1][1] is not None:
        line.deletions.append((batch, None))
