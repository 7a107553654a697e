"""``rejected``: the rows that are not in the warehouse, because they are invalid or wait for a referenced row."""

from __future__ import annotations

from typing import Any

import click

from lambda_toolkit.pipeline.client.invocation import call
from lambda_toolkit.pipeline.client.lake import batches_after
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.lambdas.shared.messages.events import OpenItem, RejectedRequest, RejectedResult

_COLUMNS = ("batch", "table", "key", "column", "value", "reason")
_SHOWN = 60  # characters of a value in the table; --json has more


@click.command("rejected")
@with_request
def command(request: Request) -> None:
    """Show the rows that are kept out of the warehouse: rejected ones, and pending ones that wait for another row."""
    found, waiting = _read(request.target())
    screen = request.screen
    for title, items, rows in (
        ("Rejected", found.rejected, found.counts.rejected),
        ("Pending, until the row that they reference is loaded", found.pending, found.counts.pending),
    ):
        if items:
            screen.table(title, _COLUMNS, [_cells(item) for item in items])
            _say_more(request, items, rows)
    screen.say(_summary(found, waiting))
    screen.document(_document(found, waiting))


def rejected(target: Target) -> dict[str, Any]:
    """The rows that are kept out of the warehouse of ``target``, as JSON values. Raises CommandError and AwsError."""
    return _document(*_read(target))


def _read(target: Target) -> tuple[RejectedResult, list[int]]:
    """What load says, and the batches that were extracted after the last one that it loaded."""
    found = call(target.aws(), target.pipeline.function_name("load"), RejectedRequest(), RejectedResult)
    return found, _not_loaded(target, found.last_batch or 0)


def _document(found: RejectedResult, not_loaded: list[int]) -> dict[str, Any]:
    return {**found.to_json(), "not_loaded": not_loaded}


def _cells(item: OpenItem) -> list[object]:
    value = "NULL" if item.value is None else item.value
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
    return [str(item.batch), item.table, item.key, item.column, shown, item.reason]


def _say_more(request: Request, items: tuple[OpenItem, ...], rows: int) -> None:
    """A row may have several items: rows are counted, not items."""
    shown = len({(item.batch, item.table, item.key) for item in items})
    if shown < rows:
        request.screen.say(f"... and {counted(rows - shown, 'row')} more")


def _not_loaded(target: Target, last: int) -> list[int]:
    """The batches that were extracted after batch ``last``."""
    aws = target.aws()
    found = batches_after(aws, target.pipeline.bucket_name("ingestion", aws.account_id), last)
    return [batch.number for batch in found]


def _summary(found: RejectedResult, not_loaded: list[int]) -> str:
    """``not_loaded``: the extracted batches that the warehouse does not have yet."""
    counts = found.counts
    if counts.rejected or counts.pending:
        text = f"Outstanding: {counted(counts.rejected, 'rejected row')}, {counts.pending:,} pending."
    elif found.last_batch is None and not not_loaded:
        return f"Nothing was extracted yet: {suggested('run')}"
    elif not_loaded:
        text = "No row of the batches in the warehouse is outstanding."
    else:
        return f"No row is outstanding: all that was extracted is in the warehouse, up to batch {found.last_batch}."
    if not_loaded:
        text += (
            f" {counted(len(not_loaded), 'extracted batch', 'es')} not loaded yet, from batch {not_loaded[0]}: which "
            f"of their rows will be outstanding is not known. See: {suggested('status')}"
        )
    if counts.rejected:
        text += f" After fixing and deploying the cause: {suggested('replay')}"
    return text
