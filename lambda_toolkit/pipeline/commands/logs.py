"""``logs``: what the functions wrote to CloudWatch Logs."""

from __future__ import annotations

import re
import threading
import time

import click

from lambda_toolkit.pipeline.client.observing.log_lines import parse
from lambda_toolkit.pipeline.client.observing.logs import events_of
from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.config.aws.deployment import aws_name
from lambda_toolkit.pipeline.config.aws.role_policy import group_of
from lambda_toolkit.pipeline.errors import UsageError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
POLL_SECONDS = 1.0
_COLORS = {"WARN": "yellow", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


@click.command("logs")
@click.argument("function", required=False)
@click.option("--since", default="10m", show_default=True, help="How far back: 30s, 10m, 2h, 1d.")
@click.option("--follow", is_flag=True, help="Keep showing new events until Ctrl-C.")
@click.option("--all", "everything", is_flag=True, help="Also Lambda's own lines: START, END, REPORT.")
@with_request
def command(request: Request, function: str | None, since: str, follow: bool, everything: bool) -> None:
    """Show the log of FUNCTION, or of all functions: time, level, message, fields. Times are UTC."""
    if follow and request.screen.as_json:
        raise UsageError("--follow never ends, so its output cannot be one JSON document. Omit one of the two options.")
    start = int((time.time() - seconds(since)) * 1000)
    target = request.target()
    named = {target.pipeline.function_name(name): name for name in target.pipeline.functions}
    chosen = [aws_name(target.pipeline, function)] if function else list(named)
    width = 0 if function else max(map(len, named.values())) + 2
    shown, hidden = [], 0
    aws = target.aws()
    declared = target.pipeline.functions.values()
    shared = {function.spec.name: group_of(target.pipeline, function, aws.account_id) for function in declared}
    for name, event in events_of(aws, chosen, start, groups=shared, follow=follow, wait=_wait):
        line = parse(event["message"])
        if line.is_runtime and not everything:
            hidden += 1
            continue
        shown.append(
            {
                "timestamp": event["timestamp"],
                "function": name,
                "level": line.level,
                "message": event["message"].rstrip(),
            }
        )
        prefix = named.get(name, name).ljust(width) if width else ""
        request.screen.say(f"{_time_of(event['timestamp'])}  {prefix}{line}", color=_COLORS.get(line.level))
    if not shown:
        lines = f" but {counted(hidden, 'line')} of Lambda's own: --all shows them" if hidden else ""
        request.screen.progress(f"{' and '.join(chosen)} wrote nothing in the last {since}{lines}.")
    request.screen.document({"events": shown})


def seconds(text: str) -> float:
    """``30s``, ``10m``, ``2h`` or ``1d`` in seconds. Raises UsageError for anything else."""
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if not match:
        raise UsageError(f"--since {text!r} is not a duration. Write 30s, 10m, 2h or 1d.")
    return int(match[1]) * UNITS[match[2]]


def _wait() -> None:
    threading.Event().wait(POLL_SECONDS)


def _time_of(milliseconds: int) -> str:
    """The time in UTC, and the date where it is not today's."""
    at = time.gmtime(milliseconds / 1000)
    today = time.gmtime()[:3] == at[:3]
    return time.strftime("%H:%M:%SZ" if today else "%Y-%m-%d %H:%M:%SZ", at)
