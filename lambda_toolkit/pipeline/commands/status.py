"""``status``: one screen that says whether the pipeline is fresh and whole, what is wrong, and which command helps."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from lambda_script import price_list
from lambda_toolkit.pipeline.client.observing.follow import Follower
from lambda_toolkit.pipeline.client.observing.freshness import FRESH, LATE
from lambda_toolkit.pipeline.client.observing.status import Seldom, StatusReader
from lambda_toolkit.pipeline.client.observing.usage import month_so_far
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.client.warehouses.reader import warehouse_of
from lambda_toolkit.pipeline.commands.plan import EVERYTHING
from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import Screen, counted, duration
from lambda_toolkit.pipeline.cost.month import total
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError

WIDTH = 80  # columns
_EVERY = 5  # seconds


@click.command("status")
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option(
    "--every", type=click.IntRange(min=1), default=_EVERY, show_default=True, help="Of --watch: how many seconds."
)
@with_request
def command(request: Request, watch: bool, every: int) -> int:
    """Show whether the warehouse is fresh and whole, what is wrong, and which command helps. Exit code 1: something is.

    With --watch and --json, one document on each line.
    """
    reader = reader_of(request.target(), request.screen)
    if not watch:
        document = reader.read(datetime.now(UTC))
        _show(request.screen, document)
        request.screen.document(document)
        return FAILED if document["troubles"] else DONE
    try:
        while True:
            _again(request.screen, reader)
            time.sleep(every)
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def reader_of(target: Target, screen: Screen) -> StatusReader:
    """What reads all that the screen shows of ``target``."""
    aws = target.aws()
    return StatusReader(
        Follower(aws, target.pipeline, screen.progress),
        lambda: warehouse_of(target),
        drift=Seldom(lambda: _drift(target, aws)),
        cost=Seldom(lambda: _cost(target, aws), seconds=600),
    )


def _drift(target: Target, aws: Any) -> dict[str, Any]:
    """What a deploy would change; why that is not known."""
    from lambda_script import ToolkitError

    try:
        changes = EVERYTHING.plan(aws, target).changes
    except (ToolkitError, CommandError, OSError) as error:
        return {"changes": [], "problem": str(error)}
    return {"changes": [f"{change.kind} {change.name}" for change in changes], "problem": None}


def _cost(target: Target, aws: Any) -> str | None:
    """What this month has cost, in US dollars; None where AWS does not say."""
    from lambda_script import ToolkitError

    try:
        month = month_so_far(aws, target.pipeline, datetime.now(UTC))
        return str(round(total(month, price_list(target.pipeline.region)), 2))
    except ToolkitError:
        return None


def _again(screen: Screen, reader: StatusReader) -> None:
    """One more screen: on a terminal in place of the last. A moment in which AWS does not answer ends nothing."""
    from lambda_script import ToolkitError

    try:
        document = reader.read(datetime.now(UTC))
    except (ToolkitError, CommandError, PipelineError) as error:
        screen.progress(f"Not known at {datetime.now(UTC):%H:%M:%S}: {error}")
        return
    if screen.as_json:
        screen.line(document)
        return
    click.clear()  # nothing happens where there is no terminal
    _show(screen, document)
    screen.say("")


def _show(screen: Screen, document: Mapping[str, Any]) -> None:
    if screen.as_json:
        return
    title = f"{document['pipeline']} ({document['stage']}), {document['region']}"
    screen.say(f"{title}{_clock(document['at']):>{WIDTH - len(title)}}", bold=True)
    text, color = _freshness(document)
    screen.say(text, color=color, bold=True)
    fresh = document["freshness"]
    shown = {step: "none" if batch is None else batch for step, batch in document["batches"].items()}
    if fresh["loaded_unknown"]:
        shown["loaded"] = "unknown"
    screen.say("Last batch: " + ", ".join(f"{step} {batch}" for step, batch in shown.items()))
    for line in _wrapped(fresh["summary"]):
        screen.say(line)
    screen.say("")
    screen.say(_row("function", "state", "live", "last run", "next", "started by"), dim=True)
    for function in document["functions"]:
        screen.say(_function(document, function))
    screen.say("")
    kept, raised = document["open"], [alarm for alarm in document["alarms"] if alarm["state"] == "ALARM"]
    parts = [
        f"rejected {kept['rejected']:,}",
        f"waiting {kept['pending']:,}",
        f"alarms {len(raised)} of {len(document['alarms'])}",
        f"drift {_drift_text(document['drift'])}",
    ]
    if document["cost_so_far"] is not None:
        parts.append(f"this month ${Decimal(document['cost_so_far']):,.2f}")
    screen.say("  ".join(parts))
    for line in _wrapped(_failed_events(document)):
        screen.say(line)
    for trouble in document["troubles"]:
        for number, line in enumerate(_wrapped(trouble["what"], 2)):
            screen.say(line if number else f"! {line[2:]}", color="yellow")
        if trouble["command"]:
            screen.say(f"  -> {trouble['command']}")
    if not document["troubles"]:
        screen.say("Nothing is wrong.", color="green")


def _freshness(document: Mapping[str, Any]) -> tuple[str, str | None]:
    promise = document["freshness"]["promise"]
    if promise is None:
        return "Nothing is promised of freshness.", None
    within = f"promised within {duration(promise['fresh_within_seconds'])}"
    if promise["seconds_behind"] is None:
        return f"FRESHNESS NOT KNOWN, {within}", "yellow"
    behind = f"at most {duration(promise['seconds_behind'])} behind"
    if promise["state"] == FRESH:
        return f"FRESH, {behind}, {within}", "green"
    if promise["state"] == LATE:
        return f"LATE, {behind}, {within}", "red"
    return f"FRESHNESS NOT KNOWN since {_clock(promise['checked_at'] or '-')}, {behind}, {within}", "yellow"


def _function(document: Mapping[str, Any], function: Mapping[str, Any]) -> str:
    prefix = f"{document['pipeline']}-{document['stage']}-"
    last = "-"
    if function["last_run"]:
        last = f"{function['last_run'][11:16]} {'failed' if function['last_failed'] else 'done'}"
    return _row(
        function["name"].removeprefix(prefix),
        function["state"],
        function["version"] or "-",
        last,
        function["next_run"][11:16] if function["next_run"] else "-",
        (function["schedule"] or "-").replace("S3 event, ", "S3, "),
    )


def _row(*cells: str) -> str:
    widths = (12, 12, 4, 12, 5, 25)
    fitted = (_cut(cell, width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(fitted, widths, strict=True)).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _failed_events(document: Mapping[str, Any]) -> str:
    """Those that a later run made up for; the others are troubles. Empty where there are none."""
    prefix = f"{document['pipeline']}-{document['stage']}-"
    found = [each for each in (document["failed_events"] or {"functions": ()})["functions"] if each["made_good"]]
    if not found:
        return ""
    named = ", ".join(f"{each['function'].removeprefix(prefix)} {each['count']:,}" for each in found)
    return f"failed events {named}, which later runs made up for"


def _drift_text(drift: Mapping[str, Any] | None) -> str:
    if drift is None or drift["problem"]:
        return "not known"
    return counted(len(drift["changes"]), "change") if drift["changes"] else "none"


def _clock(text: str) -> str:
    return text[:19].replace("T", " ") + "Z" if len(text) > 19 else text


def _wrapped(text: str, indent: int = 0) -> Iterator[str]:
    yield from textwrap.wrap(
        text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent, break_long_words=False
    )
