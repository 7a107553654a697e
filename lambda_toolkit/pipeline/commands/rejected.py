"""``rejected``: the rows that are not in the warehouse because they could not be converted, or wait for another row."""

from __future__ import annotations

from typing import Any

import click

from lambda_toolkit.pipeline.client.invocation import call
from lambda_toolkit.pipeline.commands.shared.options import DONE, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.installed import program

_COLUMNS = ("batch", "table", "key", "column", "value", "reason")
_SHOWN = 60  # characters of a value in the table; --json has more


@click.command("rejected")
@with_request
def command(request: Request) -> int:
    """Show what is open: rows that were rejected, and rows that are held because they name one of them."""
    target = request.target()
    document = call(target.aws(), target.pipeline.function_name("load"), {"action": "rejected"})
    screen, counts = request.screen, document["counts"]
    for title, kind in (("Rejected", "rejected"), ("Held, until what they name is there", "held")):
        if document[kind]:
            screen.table(title, _COLUMNS, [_cells(entry) for entry in document[kind]])
            _say_more(request, document[kind], counts[kind])
    screen.say(_summary(document))
    screen.document(document)
    return DONE


def _cells(entry: dict[str, Any]) -> list[object]:
    value = "NULL" if entry["value"] is None else str(entry["value"])
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
    return [str(entry["batch"]), entry["table"], entry["key"], entry["column"], shown, entry["reason"]]


def _say_more(request: Request, entries: list[dict[str, Any]], rows: int) -> None:
    """A row may have several entries, so what is compared is rows."""
    told = len({(entry["batch"], entry["table"], entry["key"]) for entry in entries})
    if told < rows:
        request.screen.say(f"... and {counted(rows - told, 'row')} more")


def _summary(document: dict[str, Any]) -> str:
    counts = document["counts"]
    if not counts["rejected"] and not counts["held"]:
        return "Nothing is open: every row that was extracted is in the warehouse."
    text = f"Open: {counted(counts['rejected'], 'rejected row')}, {counts['held']:,} held."
    if counts["rejected"]:
        text += f" Once what was wrong is mended and deployed: {program()} replay"
    return text
