"""``rejected``: the rows that are not in the warehouse, because they are invalid or wait for a referenced row."""

from __future__ import annotations

import click

from lambda_toolkit.pipeline.client.invocation import call
from lambda_toolkit.pipeline.commands.shared.options import DONE, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.installed import program
from lambda_toolkit.pipeline.lambdas.shared.events import OpenItem, RejectedRequest, RejectedResult

_COLUMNS = ("batch", "table", "key", "column", "value", "reason")
_SHOWN = 60  # characters of a value in the table; --json has more


@click.command("rejected")
@with_request
def command(request: Request) -> int:
    """Show the rows that are kept out of the warehouse: rejected ones, and pending ones that wait for another row."""
    target = request.target()
    found = call(target.aws(), target.pipeline.function_name("load"), RejectedRequest(), RejectedResult)
    screen = request.screen
    for title, items, rows in (
        ("Rejected", found.rejected, found.counts.rejected),
        ("Pending, until the row that they reference is loaded", found.pending, found.counts.pending),
    ):
        if items:
            screen.table(title, _COLUMNS, [_cells(item) for item in items])
            _say_more(request, items, rows)
    screen.say(_summary(found))
    screen.document(found.to_json())
    return DONE


def _cells(item: OpenItem) -> list[object]:
    value = "NULL" if item.value is None else item.value
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
    return [str(item.batch), item.table, item.key, item.column, shown, item.reason]


def _say_more(request: Request, items: tuple[OpenItem, ...], rows: int) -> None:
    """A row may have several items: rows are counted, not items."""
    shown = len({(item.batch, item.table, item.key) for item in items})
    if shown < rows:
        request.screen.say(f"... and {counted(rows - shown, 'row')} more")


def _summary(found: RejectedResult) -> str:
    counts = found.counts
    if not counts.rejected and not counts.pending:
        return "No row is outstanding: every row that was extracted is in the warehouse."
    text = f"Outstanding: {counted(counts.rejected, 'rejected row')}, {counts.pending:,} pending."
    if counts.rejected:
        text += f" After fixing and deploying the cause: {program()} replay"
    return text
