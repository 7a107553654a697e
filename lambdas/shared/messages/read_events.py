"""The request and the result of a reader: one range of one table, read in the snapshot that extract has exported.

See ``events`` for the rules that both follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .events import BatchNumber, Request
from .message import Message


@dataclass(frozen=True)
class SharedSnapshot(Message):
    """A snapshot that a transaction has exported: others may import it while that transaction is open."""

    name: str
    """What ``pg_export_snapshot()`` returned."""
    visible: str
    """``pg_current_snapshot()`` as text: which transactions it sees."""
    source: Mapping[str, str | int]
    """Which server it was taken on: the fields of ``SourceIdentity``."""


@dataclass(frozen=True)
class ReadRequest(Request):
    """Asks for one range of a table."""

    action = "read"

    table: str
    batch: BatchNumber
    """The batch that the range will be part of."""
    run: str
    """Begins the names of the files."""
    number: int
    """The number of the range; the first is 0."""
    snapshot: SharedSnapshot
    first: str | None = None
    """The place in the table's storage at which the range begins; null: its beginning."""
    end: str | None = None
    """The place before which it ends; null: the end of the table."""
    full: bool = True
    """Whether all rows of the range are read; else those written since the batch before."""


@dataclass(frozen=True)
class StoredPart(Message):
    """A file that a reader stored in the ingestion bucket."""

    key: str
    rows: int
    digest: str
    """The SHA-256 of its bytes, in hexadecimal."""


@dataclass(frozen=True)
class ReadResult(Message):
    """What a reader read of its range. The same range of the same snapshot gives the same, however often it is read."""

    number: int
    refused: str | None = None
    """Why the snapshot could not be shared, so that nothing was read; null: it was."""
    visible: str = ""
    """``pg_current_snapshot()`` of the reader, after its last row."""
    rows: int = 0
    """How many rows the source returned, those included that the batch before has already."""
    sums: Mapping[str, int] = field(default_factory=dict)
    """Column -> the sum of its values over these rows, modulo 2^64; of decimals, in units of their last digit."""
    changes: StoredPart | None = None
    """The new and changed rows; null: there are none."""
    in_flight: StoredPart | None = None
    """(key, xmin) of the rows that the next run rereads; null: there are none."""
    transactions: tuple[int, ...] = ()
    """A sample of the transactions that wrote the changes: see ``commit_times.Transactions``."""
    step: int = 1
    """Of that sample: every id in it is a multiple of this."""
