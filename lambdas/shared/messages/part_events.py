"""The request and the result of a part: some files of a batch, transformed for one warehouse table.

Which parts a batch has follows from its manifest and the declaration alone, not from who transforms them: transform
itself, another invocation of it, or Spark. So the same batch has the same files whoever did it. See ``events`` for the
rules that both messages follow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .events import BatchNumber, Request
from .message import Message
from .read_events import StoredPart


@dataclass(frozen=True)
class PartRequest(Request):
    """Asks for one part of a batch."""

    action = "part"

    batch: BatchNumber
    table: str
    """The warehouse table."""
    number: int
    """The number of the part; the first is 0."""
    parts: int
    """How many parts the batch has of that table."""
    fingerprint: str
    """Of the declaration and the batch: whoever has another would transform something else."""


@dataclass(frozen=True)
class StoredRejects(StoredPart):
    """The file of a part's rejects."""

    source_rows: int = 0
    """The number of rejected rows of the source."""


@dataclass(frozen=True)
class PartResult(Message):
    """What became of a part. The same part gives the same, however often it is transformed."""

    table: str
    number: int
    refused: str | None = None
    """Why nothing was transformed; null: it was."""
    read: int = 0
    """How many new and changed rows were read."""
    unchanged: int = 0
    """How many rows were read beside these, as what they refer to has changed."""
    unmatched: int = 0
    """How many rows of both do not meet the table's condition."""
    rows: StoredPart | None = None
    rejected: StoredRejects | None = None
    deleted: StoredPart | None = None
    """The keys of deleted rows."""
    unfit: StoredPart | None = None
    """The keys of deleted rows that the warehouse's types do not have."""
    dates: tuple[int, ...] = ()
    """The dates that the rows refer to, as pairs: days since 1970, and how many days in a row from there on."""
    bytes: int = field(default=0, compare=False)
    """The size of its files."""
    milliseconds: float = field(default=0.0, compare=False)

    @property
    def stored(self) -> tuple[StoredPart, ...]:
        """All its files."""
        return tuple(file for file in (self.rows, self.rejected, self.deleted, self.unfit) if file)
