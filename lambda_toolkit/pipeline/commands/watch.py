"""``watch``: deploys after each save, shows the log, and says in one line what happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lambda_toolkit.pipeline.client.observing.log_lines import parse
from lambda_toolkit.pipeline.client.observing.logs import events_of
from lambda_toolkit.pipeline.client.watched import Watched, WatchedPipeline, WatchedScript
from lambda_toolkit.pipeline.commands.shared.options import INTERRUPTED, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import Screen, counted
from lambda_toolkit.pipeline.commands.shared.show_changes import wording
from lambda_toolkit.pipeline.errors import CommandError

if TYPE_CHECKING:
    from lambda_script import Report

_LOG_SECONDS = 1.0  # between two reads of the log
_LOG_AFTER_ERROR = 5.0
_LATE = 30_000  # milliseconds for which events of CloudWatch Logs may arrive out of order
_MOST_NAMED = 3  # changes in a line


@click.command("watch")
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True))
@click.argument("arguments", nargs=-1)
@click.option("--no-logs", is_flag=True, help="Do not show what the functions log.")
@with_request
def command(request: Request, file: Path | None, arguments: Sequence[str], no_logs: bool) -> int:
    """Deploy, and deploy again after each save, until Ctrl-C. For development: it asks nothing.

    Without FILE the pipeline: its functions, and all of it after a change in the configuration's folder. With FILE the
    functions of a script with `Lambda_script`, which is run with ARGUMENTS to learn what it declares, or the function
    whose source FILE is.

    One line says what happened: what went live after how many seconds, or why nothing was deployed, as for code that
    does not compile. Several saves during a deploy are followed by one more. Nothing that is no longer declared is
    removed.
    """
    from lambda_script import ToolkitError
    from lambda_toolkit.running.watching import watch

    watched: Watched = WatchedScript(file, arguments) if file else WatchedPipeline(request.config, request.target)
    ended = threading.Event()
    log: threading.Thread | None = None

    def deploy(changed: Collection[str]) -> None:
        nonlocal log
        _deploy(request.screen, watched, changed)
        if log is None and not no_logs:
            log = threading.Thread(target=_show_log, args=(request.screen, watched, ended), daemon=True)
            log.start()

    try:
        with suppress(CommandError, ToolkitError):  # which the first deploy says
            watched.read()
        watch(watched.places, deploy, ended)
    except KeyboardInterrupt:
        request.screen.progress("Stopped watching. What is deployed stays.")
    finally:
        ended.set()
        if log is not None:
            log.join(_LOG_SECONDS)
    return INTERRUPTED


def _deploy(screen: Screen, watched: Watched, changed: Collection[str]) -> None:
    """Deploy once, and say in one line what happened."""
    from lambda_script import ToolkitError, apply

    begun = time.monotonic()
    try:
        watched.read()
        plan = watched.plan(changed)
        for note in plan.notes:
            screen.progress(f"Note: {note}.")
        report = apply(plan, watched.aws())
    except (CommandError, ToolkitError) as error:
        text = error.worded(wording()) if isinstance(error, ToolkitError) else str(error)
        _say(screen, f"not deployed: {' / '.join(text.splitlines())}", changed, seconds=None, ok=False)
        return
    seconds = time.monotonic() - begun
    _say(screen, _outcome(report, seconds), changed, seconds=seconds, ok=report.ok)


def _outcome(report: Report, seconds: float) -> str:
    if report.failed:
        first = report.failed[0]
        more = f" (and {len(report.failed) - 1} more)" if report.failed[1:] else ""
        message = " / ".join(first.worded(wording()).splitlines())
        return (
            f"{counted(len(report.failed), 'change')} failed: {first.change.kind} {first.change.name}: {message}{more}"
        )
    if not report.done:
        return f"nothing changed on AWS ({seconds:.1f} s)"
    names = [f"{change.kind} {change.name}" for change in report.done]
    more = f" and {len(names) - _MOST_NAMED} more" if names[_MOST_NAMED:] else ""
    return f"live after {seconds:.1f} s: {', '.join(names[:_MOST_NAMED])}{more}"


def _say(screen: Screen, text: str, changed: Collection[str], *, seconds: float | None, ok: bool) -> None:
    names = sorted({Path(path).name for path in changed})
    saved = f"{', '.join(names[:_MOST_NAMED])}{', ...' if names[_MOST_NAMED:] else ''}: " if names else ""
    screen.say(f"{time.strftime('%H:%M:%S')}  {saved}{text}", color="green" if ok else "red", bold=True)
    screen.line({"saved": names, "ok": ok, "seconds": seconds, "text": text})


def _show_log(screen: Screen, watched: Watched, ended: threading.Event) -> None:
    """Show what the functions log from now on, until ``ended``. What cannot be read now is read later."""
    from lambda_script import ToolkitError

    start = int(time.time() * 1000)
    seen: dict[object, int] = {}
    while not ended.is_set():
        try:
            groups = watched.log_groups()
            for name, event in events_of(watched.aws(), list(groups), start, groups=groups):
                key = (name, event.get("eventId") or (event.get("logStreamName"), event["timestamp"], event["message"]))
                if key not in seen:
                    seen[key] = int(event["timestamp"])
                    _show_event(screen, name, event)
        except (CommandError, ToolkitError):  # no log group yet, or AWS cannot be reached: the deploy says so
            ended.wait(_LOG_AFTER_ERROR)
        if seen:
            start = max(start, max(seen.values()) - _LATE)
            seen = {key: at for key, at in seen.items() if at >= start}
        ended.wait(_LOG_SECONDS)


def _show_event(screen: Screen, name: str, event: dict[str, Any]) -> None:
    line = parse(event["message"])
    if not line.is_runtime:
        screen.progress(f"  {name}  {line}")
