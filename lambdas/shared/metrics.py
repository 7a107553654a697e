"""The metrics of the functions, in CloudWatch's embedded metric format: CloudWatch makes them of lines of the log.

Each has one dimension, the function's name, as each combination of a name and dimensions costs $0.30 a month.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DIMENSION = "FunctionName"
MOST_VALUES = 100  # of one metric in one line


@dataclass(frozen=True)
class Metric:
    """A metric that functions put into the namespace ``METRICS_NAMESPACE``, ``<pipeline>-<stage>``."""

    name: str
    """Its name in CloudWatch."""
    unit: str
    """CloudWatch's unit."""
    statistic: str
    """How its values are put together: ``Sum`` of counts, ``Maximum`` of states, which two values never double."""
    functions: tuple[str, ...]
    """The functions that put it, as ``lambdas/`` names them."""
    meaning: str
    """What it counts, for the documentation."""


ROWS_EXTRACTED = Metric(
    "RowsExtracted", "Count", "Sum", ("extract",), "changed and deleted rows of the source in the batches of this run"
)
ROWS_REJECTED = Metric(
    "RowsRejected",
    "Count",
    "Sum",
    ("transform", "load"),
    "rows that transform could not convert; rows that load deferred, as they wait for another row or a value",
)
VERSIONS_WRITTEN = Metric(
    "VersionsWritten", "Count", "Sum", ("load",), "versions of facts and rows of dimensions written by this run"
)
OPEN_REJECTED = Metric(
    "OpenRejectedRows", "Count", "Maximum", ("load",), "all rejected rows that are not resolved, after this run"
)
OPEN_PENDING = Metric(
    "OpenPendingRows", "Count", "Maximum", ("load",), "all pending rows of the warehouse, after this run"
)
BATCH_LATENCY = Metric(
    "BatchLatency", "Seconds", "Maximum", ("load",), "of each batch, the time from its snapshot to its commit"
)
MEMORY_USED = Metric(
    "MemoryUsed",
    "Megabytes",
    "Maximum",
    ("extract", "transform", "load", "freshness"),
    "the most memory that the process had",
)

SECONDS_BEHIND = Metric(
    "SecondsBehind", "Seconds", "Maximum", ("freshness",), "how old the oldest change is at most that is not loaded"
)
SECONDS_OVERDUE = Metric(
    "SecondsOverdue",
    "Seconds",
    "Maximum",
    ("freshness",),
    "by how much `fresh_within` is exceeded, of the table that is the furthest beyond it; 0 where it is kept",
)

METRICS = (
    ROWS_EXTRACTED,
    ROWS_REJECTED,
    VERSIONS_WRITTEN,
    OPEN_REJECTED,
    OPEN_PENDING,
    BATCH_LATENCY,
    MEMORY_USED,
    SECONDS_BEHIND,
    SECONDS_OVERDUE,
)
"""All of them. The duration of an invocation is a metric of Lambda itself, without a price."""

Values = Mapping[Metric, Sequence[float]]
"""The values of metrics, each at most MOST_VALUES."""


def embedded(values: Values, namespace: str, function: str, milliseconds: int) -> dict[str, Any]:
    """The fields that make a line of the log put ``values`` at a time in milliseconds since 1970.

    ``function`` is the name on AWS. Without values there are no fields. Of more than MOST_VALUES, those that a Maximum
    or a Sum needs remain: the largest, or all in one.
    """
    used = {metric: _fewer(metric, found) for metric, found in values.items() if found}
    if not used:
        return {}
    declared = [{"Name": metric.name, "Unit": metric.unit} for metric in used]
    directive = {"Namespace": namespace, "Dimensions": [[DIMENSION]], "Metrics": declared}
    return {
        "_aws": {"Timestamp": milliseconds, "CloudWatchMetrics": [directive]},
        DIMENSION: function,
        **{metric.name: found[0] if len(found) == 1 else list(found) for metric, found in used.items()},
    }


def _fewer(metric: Metric, values: Sequence[float]) -> Sequence[float]:
    if metric.statistic == "Sum":
        return [sum(values)]
    return sorted(values, reverse=True)[:MOST_VALUES]
