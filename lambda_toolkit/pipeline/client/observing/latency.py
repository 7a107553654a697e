"""From the commit in the source to the commit in the warehouse: how long the changes of batches took."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

MEDIAN, ALMOST_ALL = 0.5, 0.99


@dataclass(frozen=True)
class Sample:
    """How long some of the changes took, in seconds, and for how many transactions that is an example."""

    seconds: float
    weight: float = 1.0


@dataclass(frozen=True)
class Latency:
    """How long the changes of one batch took, or of several, from commit to commit."""

    samples: tuple[Sample, ...] = ()
    """At least one."""
    at_most: bool = False
    """Whether the source keeps no times of commits: its changes came after the batch before, at the earliest."""

    def to_json(self) -> dict[str, Any]:
        """``median``, ``p99`` and ``worst`` in seconds, and ``at_most``."""
        return {
            "median": round(percentile(self.samples, MEDIAN), 3),
            "p99": round(percentile(self.samples, ALMOST_ALL), 3),
            "worst": round(max(sample.seconds for sample in self.samples), 3),
            "at_most": self.at_most,
        }


def of_batch(
    commits: Mapping[str, Any] | None, extracted_before: datetime | None, loaded_at: datetime | None
) -> Latency | None:
    """The latency of a batch. None where it is not loaded, or nothing is known of when its changes were committed.

    ``commits``: of its manifest. ``extracted_before``: when the batch before was extracted; None of a batch whose
    every row was read. The clocks are those of the two databases.
    """
    if loaded_at is None:
        return None
    if commits:
        times = [datetime.fromisoformat(time) for time in commits["times"]]
        weight = commits["transactions"] / len(times)
        return Latency(tuple(Sample((loaded_at - time).total_seconds(), weight) for time in times))
    if extracted_before is None:
        return None
    return Latency((Sample((loaded_at - extracted_before).total_seconds()),), at_most=True)


def of_batches(latencies: Iterable[Latency | None]) -> Latency | None:
    """The latency of several batches together: of those whose times are known, and only without them, the bounds."""
    found = [latency for latency in latencies if latency is not None]
    chosen = [latency for latency in found if not latency.at_most] or found
    if not chosen:
        return None
    return Latency(tuple(sample for each in chosen for sample in each.samples), at_most=chosen[0].at_most)


def percentile(samples: Sequence[Sample], share: float) -> float:
    """The shortest time within which at least ``share`` of the transactions were: the nearest rank, weighted."""
    ordered = sorted(samples, key=lambda sample: sample.seconds)
    passed = list(accumulate(sample.weight for sample in ordered))
    return ordered[bisect_left(passed, share * passed[-1] - 1e-9)].seconds  # weights are fractions
