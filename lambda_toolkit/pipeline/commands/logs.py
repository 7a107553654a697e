"""``logs``: what a function wrote to CloudWatch Logs."""

from __future__ import annotations

import re
import threading
import time

import click

from lambda_toolkit.pipeline.client.logs import events
from lambda_toolkit.pipeline.commands.shared.options import DONE, Request, with_request
from lambda_toolkit.pipeline.config.deployment import aws_name
from lambda_toolkit.pipeline.errors import UsageError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
POLL_SECONDS = 1.0


@click.command("logs")
@click.argument("function")
@click.option("--since", default="10m", show_default=True, help="How far back: 30s, 10m, 2h, 1d.")
@click.option("--follow", is_flag=True, help="Keep showing new events until Ctrl-C.")
@with_request
def command(request: Request, function: str, since: str, follow: bool) -> int:
    """Show FUNCTION's log."""
    target = request.target()
    name = aws_name(target.pipeline, function)
    if follow and request.screen.as_json:
        raise UsageError("--follow never ends, so its output cannot be one JSON document. Omit one of the two options.")
    start = int((time.time() - seconds(since)) * 1000)
    shown = []
    for event in events(target.aws(), name, start, follow=follow, wait=_wait):
        shown.append({"timestamp": event["timestamp"], "message": event["message"].rstrip()})
        request.screen.say(f"{_time_of_day(event['timestamp'])}  {event['message'].rstrip()}")
    if not shown:
        request.screen.progress(f"{name} wrote nothing in the last {since}.")
    request.screen.document({"events": shown})
    return DONE


def seconds(text: str) -> float:
    """``30s``, ``10m``, ``2h`` or ``1d`` in seconds. Raises UsageError for anything else."""
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if not match:
        raise UsageError(f"--since {text!r} is not a duration. Write 30s, 10m, 2h or 1d.")
    return int(match[1]) * UNITS[match[2]]


def _wait() -> None:
    threading.Event().wait(POLL_SECONDS)


def _time_of_day(milliseconds: int) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(milliseconds / 1000)) + "Z"
