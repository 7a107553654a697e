"""``logs``: what a function wrote to CloudWatch Logs."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from lambda_toolkit.pipeline.commands.shared.options import DONE, Request, with_request
from lambda_toolkit.pipeline.config.deployment import one
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.installed import program

if TYPE_CHECKING:
    from lambda_toolkit.aws.client import Aws

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
POLL_SECONDS = 1.0


@click.command("logs")
@click.argument("function")
@click.option("--since", default="10m", show_default=True, help="How far back: 30s, 10m, 2h, 1d.")
@click.option("--follow", is_flag=True, help="Go on showing what comes, until Ctrl-C.")
@with_request
def command(request: Request, function: str, since: str, follow: bool) -> int:
    """Show FUNCTION's log."""
    target = request.target()
    name = one(target.pipeline, function)
    if follow and request.screen.as_json:
        raise UsageError("--follow never ends, so it cannot be one JSON document. Leave one of the two away.")
    start = int((time.time() - seconds(since)) * 1000)
    collected = []
    for event in events(target.aws(), name, start, follow=follow, wait=_wait):
        collected.append({"timestamp": event["timestamp"], "message": event["message"].rstrip()})
        request.screen.say(f"{_clock(event['timestamp'])}  {event['message'].rstrip()}")
    if not collected:
        request.screen.progress(f"{name} wrote nothing in the last {since}.")
    request.screen.document({"events": collected})
    return DONE


def seconds(text: str) -> float:
    """``30s``, ``10m``, ``2h`` or ``1d`` in seconds. Raises UsageError for anything else."""
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if not match:
        raise UsageError(f"--since {text!r} is not a length of time. Write 30s, 10m, 2h or 1d.")
    return int(match[1]) * UNITS[match[2]]


def events(
    aws: Aws, function: str, start: int, *, follow: bool = False, wait: Callable[[], None] | None = None
) -> Iterator[dict[str, Any]]:
    """The log events of ``function`` since ``start`` (milliseconds since 1970), in order; with ``follow`` without end.

    Raises CommandError where the function has no log group.
    """
    from lambda_toolkit.errors import AwsError

    seen: set[object] = set()
    group = f"/aws/lambda/{function}"
    while True:
        try:
            found = aws.list_all("logs", "filter_log_events", "events", logGroupName=group, startTime=start)
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                raise CommandError(f"{function} has no log group. Deploy it first: {program()}") from error
            raise
        for event in found:
            if _identity(event) not in seen:
                seen.add(_identity(event))
                yield event
        if not follow or wait is None:
            return
        wait()


def _identity(event: dict[str, Any]) -> object:
    """What tells an event from others: CloudWatch's own id, which emulators leave out."""
    return event.get("eventId") or (event.get("logStreamName"), event["timestamp"], event["message"])


def _wait() -> None:
    threading.Event().wait(POLL_SECONDS)


def _clock(milliseconds: int) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(milliseconds / 1000)) + "Z"
