"""``batches``: the timeline of the last batches, and how long their changes took from commit to commit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from lambda_toolkit.pipeline.client.observing.batches import SHOWN
from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted, duration
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import suggested

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambda_toolkit.pipeline.commands.shared.screen import Screen

_COLUMNS = ("batch", "extracted", "rows", "versions", "open", "e/t/l, s", "latency")
_NOTES = (
    "Times are UTC. open: rows rejected or waiting. e/t/l: seconds until extract,",
    "transform and load were done. latency: from the commit in the source to the",
    "one in the warehouse, 99 of 100 transactions; `<` at most, as the source keeps",
    "no times of commits (track_commit_timestamp).",
)


@click.command("batches")
@click.argument("number", type=click.IntRange(min=1), required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=SHOWN, show_default=True, help="How many batches.")
@with_request
def command(request: Request, number: int | None, limit: int) -> int:
    """Show the last batches: when each was extracted, transformed and loaded, its rows, and how long changes took.

    With NUMBER: that batch, with its rows by table.
    """
    from lambda_toolkit.pipeline.client.observing.batches import TimelineReader
    from lambda_toolkit.pipeline.client.warehouses.reader import warehouse_of

    target = request.target()
    reader = TimelineReader(target.aws(), target.pipeline, warehouse_of(target))
    timeline = reader.read(limit) if number is None else reader.one(number)
    if number is not None and not timeline.batches:
        raise CommandError(f"There is no batch {number}. Those that there are: {suggested('batches')}")
    document = timeline.to_json(target.pipeline, datetime.now(UTC))
    if number is None:
        _show(request.screen, document)
    else:
        _show_one(request.screen, document["batches"][0])
    if timeline.problem:
        request.screen.say(f"! Which of them are loaded is not known: {timeline.problem}", color="yellow")
    request.screen.document(document)
    return FAILED if timeline.problem else DONE


def _show(screen: Screen, document: Mapping[str, Any]) -> None:
    found = document["batches"]
    if not found:
        screen.say(f"Nothing was extracted yet: {suggested('run')}")
        return
    rows = [
        [
            str(batch["batch"]),
            batch["extracted_at"][5:19].replace("T", " "),
            batch["rows"] + batch["deleted"],
            batch["versions"],
            batch["still_rejected"] + batch["still_waiting"],
            "/".join(_short(batch["seconds"][step]) for step in ("extract", "transform", "load")),
            _latency(batch["latency"]) if batch["loaded_at"] else f"({batch['state']})",
        ]
        for batch in found
    ]
    right = [name for name in _COLUMNS if name != "extracted"]
    title = "The last batch" if len(found) == 1 else f"The last {counted(len(found), 'batch', 'es')}"
    screen.table(title, _COLUMNS, rows, right=right)
    if document["latency"]:
        of = document["latency"]
        bound = "at most " if of["at_most"] else ""
        screen.say(
            f"From commit to commit: {bound}{duration(of['median'])} (median), {duration(of['p99'])} (99 %), "
            f"{duration(of['worst'])} (worst)."
        )
    for note in _NOTES:
        screen.say(note, dim=True)


def _show_one(screen: Screen, batch: Mapping[str, Any]) -> None:
    seconds = batch["seconds"]
    screen.say(f"Batch {batch['batch']} is {batch['state']}.", bold=True)
    for name, at, step in (
        ("extracted", batch["extracted_at"], "extract"),
        ("transformed", batch["transformed_at"], "transform"),
        ("loaded", batch["loaded_at"], "load"),
    ):
        if at:
            took = f"  ({duration(seconds[step])} until {step} was done)" if seconds[step] is not None else ""
            screen.say(f"  {name:12} {at}{took}")
    if batch["commits"]:
        of = batch["commits"]
        screen.say(f"  {'committed':12} {of['first']} to {of['last']}, {counted(of['transactions'], 'transaction')}")
    if batch["latency"]:
        screen.say(f"  {'latency':12} {_latency(batch['latency'])} of the slowest of 100 transactions")
    screen.say(
        f"  {'open':12} {counted(batch['still_rejected'], 'rejected row')}, {batch['still_waiting']:,} waiting"
        f" ({batch['rejected']:,} were rejected at first)"
    )
    screen.table(
        "Changed in the source",
        ["table", "rows", "deleted"],
        [[name, of["rows"], of["deleted"]] for name, of in sorted(batch["tables"].items())],
        right=["rows", "deleted"],
    )
    screen.table("Written to the warehouse", ["table", "rows"], sorted(batch["written"].items()), right=["rows"])


def _latency(of: Mapping[str, Any] | None) -> str:
    return "" if of is None else f"{'<' if of['at_most'] else ''}{duration(of['p99'])}"


def _short(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
