"""What a deployed function wrote to CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    own = group_name(function)
    seen: set[object] = set()
    while True:
        for event in sorted(_read(aws, function, group or own, since), key=lambda each: int(each["timestamp"])):
            identity = event.get("eventId") or (event.get("logStreamName"), event["timestamp"], event["message"])
            if identity not in seen:
                seen.add(identity)
                at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
                yield LogEvent(at, str(event["message"]).rstrip("\n"))
        if wait is None:
            return
        wait()


def _read(aws: Aws, function: str, group: str, since: float) -> list[dict[str, Any]]:
    try:
        found = aws.list_all("logs", "filter_log_events", "events", logGroupName=group, startTime=int(since * 1000))
    except AwsError as error:
        if error.code in NOT_FOUND:
            raise ToolkitError(f"{function} has no log group {group} yet. Deploy it first.") from error
        raise
    is_shared = group != group_name(function)
    return [event for event in found if not is_shared or f"/{function}[" in str(event.get("logStreamName"))]
