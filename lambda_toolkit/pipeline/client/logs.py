"""What the functions write to CloudWatch Logs: read in order, and searched for errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import suggested

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws


def events(
    aws: Aws, function: str, start: int, *, follow: bool = False, wait: Callable[[], None] | None = None
) -> Iterator[dict[str, Any]]:
    """The log events of ``function`` since ``start`` (milliseconds since 1970), in order, each once.

    With ``follow`` they never end, and ``wait`` is called between two reads. Raises CommandError where the function has
    no log group.
    """
    from lambda_script import AwsError

    seen: set[object] = set()
    group = f"/aws/lambda/{function}"
    while True:
        try:
            found = aws.list_all("logs", "filter_log_events", "events", logGroupName=group, startTime=start)
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                raise CommandError(f"{function} has no log group. Deploy it first: {suggested()}") from error
            raise
        for event in found:
            if _identity(event) not in seen:
                seen.add(_identity(event))
                yield event
        if not follow or wait is None:
            return
        wait()


def first_error(aws: Aws, function: str, start: int) -> str | None:
    """The first error that ``function`` logged since ``start`` (milliseconds since 1970), or ``None``."""
    return next(filter(None, (error_in(event["message"]) for event in events(aws, function, start))), None)


def error_in(line: str) -> str | None:
    """The error in a log line, or ``None``: a structured line of level ERROR, or a report of the runtime."""
    text = line.strip()
    if text.startswith("{"):
        try:
            entry = json.loads(text)
        except ValueError:
            return None
        if isinstance(entry, dict) and entry.get("level") in ("ERROR", "CRITICAL"):
            return str(entry.get("message"))
        return None
    return text if "[ERROR]" in text or "Task timed out" in text else None


def _identity(event: dict[str, Any]) -> object:
    """What distinguishes an event from others: CloudWatch's ID, which emulators omit."""
    return event.get("eventId") or (event.get("logStreamName"), event["timestamp"], event["message"])
