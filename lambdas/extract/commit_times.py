"""When the changes of a batch were committed in the source: a summary of bounded size, for those who measure latency.

Rows carry the transaction that wrote them (``xmin``), and the source may know when that committed. A batch may have
millions of transactions; a sample of their ids is kept, and of their times the manifest has a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ..shared.lake.manifest import Commits

SAMPLE = 4096  # ids of transactions that a run keeps at most
TIMES = 21  # times that a manifest has at most: the first, the last, and nineteen between them


class Transactions:
    """The ids of the transactions that wrote what a run captured, while there are few; of many, an even sample.

    A sample has every id that is a multiple of ``step``, which doubles where it grows too large: so that it does not
    depend on the order in which ids come, nor on how often.
    """

    def __init__(self, limit: int = SAMPLE) -> None:
        self._limit = limit
        self.step = 1
        self._ids = pa.array([], pa.int64())

    def add(self, ids: pa.ChunkedArray) -> None:
        """Adds the ids of the rows of one chunk."""
        self._ids = self._sampled(pc.unique(pa.chunked_array([self._ids, *_chunks(self._sampled(ids))])))
        while len(self._ids) > self._limit:
            self.step *= 2
            self._ids = self._sampled(self._ids)

    def merge(self, ids: Sequence[int], step: int) -> None:
        """Adds the ids that another has kept, at its ``step``."""
        self.step = max(self.step, step)
        self._ids = self._sampled(self._ids)
        self.add(pa.chunked_array([pa.array(ids, pa.int64())]))

    @property
    def ids(self) -> list[int]:
        """The ids that were kept, each once."""
        found: list[int] = self._ids.to_pylist()
        return found

    def _sampled(self, ids: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
        if self.step == 1:
            return ids
        return ids.filter(pc.equal(pc.bit_wise_and(ids, self.step - 1), 0))


def _chunks(ids: pa.ChunkedArray | pa.Array) -> list[pa.Array]:
    return ids.chunks if isinstance(ids, pa.ChunkedArray) else [ids]


def summary(transactions: Transactions, times: Sequence[datetime] | None) -> Commits | None:
    """The summary of ``times``, when those of ``transactions`` committed that the source still knows. None: of none."""
    if not times:
        return None
    ordered = sorted(times)
    last, count = len(ordered) - 1, min(TIMES, len(ordered))
    chosen = [ordered[round(place * last / max(count - 1, 1))] for place in range(count)]
    return Commits(len(ordered) * transactions.step, tuple(time.isoformat() for time in chosen))
