"""What a deployed function wrote to CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.retries import NOT_FOUND
from lambda_toolkit.errors import AwsError, ToolkitError
from lambda_toolkit.resources.monitoring.log_group import group_name


@dataclass(frozen=True)
class LogEvent:
    """One event of a log."""

    at: datetime
    """When it was written, in UTC."""
    message: str
    """Without the final line break."""

    def __str__(self) -> str:
        """Time and message."""
        return f"{self.at:%H:%M:%SZ}  {self.message}"


def log_events(
    aws: Aws,
    function: str,
    since: float,
    *,
    group: str | None = None,
    wait: Callable[[], None] | None = None,
) -> Iterator[LogEvent]:
    """The events of ``function`` since ``since`` (seconds since 1970), in order, each once.

    ``group``: the log group where it is not the function's own; of its streams, those of the function are read. With
    ``wait`` they never end: it is called between two reads. Raises ToolkitError where there is no log group, and
    AwsError.
    """
    seen: set[object] = set()
    while True:
        found = stored_events(aws, function, int(since * 1000), group=group or "")
        if found is None:
            raise ToolkitError(f"{function} has no log group {group or group_name(function)} yet. Deploy it first.")
        for _, event in unseen({function: found}, seen):
            at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
            yield LogEvent(at, str(event["message"]).rstrip("\n"))
        if wait is None:
            return
        wait()


def stored_events(
    aws: Aws, function: str, start: int, *, group: str = "", **limits: Any
) -> list[dict[str, Any]] | None:
    """CloudWatch's events of ``function`` since ``start`` (milliseconds since 1970), or ``None`` without a log group.

    Of a ``group`` that several functions share, those streams are read that have the function's name. ``limits`` are
    more parameters of FilterLogEvents. Raises AwsError.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html
    """
    own = group_name(function)
    request = {"logGroupName": group or own, "startTime": start, **limits}
    try:
        found = aws.list_all("logs", "filter_log_events", "events", **request)
    except AwsError as error:
        if error.code in NOT_FOUND:
            return None
        raise
    is_shared = group not in ("", own)
    return [event for event in found if not is_shared or f"/{function}[" in str(event.get("logStreamName"))]


def unseen(events: Mapping[str, Sequence[dict[str, Any]]], seen: set[object]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of several functions in order, each once: none that is in ``seen``; the others are added to it."""
    merged = [(function, event) for function, listed in events.items() for event in listed]
    for function, event in sorted(merged, key=lambda each: int(each[1]["timestamp"])):
        # CloudWatch's id, which emulators omit
        identity = event.get("eventId") or (event.get("logStreamName"), event["timestamp"], event["message"])
        if (function, identity) not in seen:
            seen.add((function, identity))
            yield function, event
