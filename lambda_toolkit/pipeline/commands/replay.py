"""``replay``: reprocesses batches from the lake, and applies to the warehouse what differs now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from lambda_toolkit.pipeline.client.observing.failed_events import replay_failed
from lambda_toolkit.pipeline.client.observing.follow import Follower
from lambda_toolkit.pipeline.client.rebuild import Rebuild
from lambda_toolkit.pipeline.client.replay import Replay
from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.errors import UsageError


@click.command("replay")
@click.argument("batch", type=click.IntRange(min=1), required=False)
@click.option("--from", "first", type=click.IntRange(min=1), help="The first of a range of batches.")
@click.option("--to", "last", type=click.IntRange(min=1), help="The last of the range.")
@click.option("--all", "everything", is_flag=True, help="Every batch, into the schema that --into names.")
@click.option("--into", "schema", metavar="SCHEMA", help="Rebuild the warehouse in this schema of the same database.")
@click.option("--failed", is_flag=True, help="The events on which functions failed for good, not batches.")
@click.option("--function", metavar="NAME", help="With --failed: those of this function alone.")
@click.option("--no-compare", is_flag=True, help="Do not compare the rebuilt warehouse with the live one.")
@with_request
def command(
    request: Request,
    batch: int | None,
    first: int | None,
    last: int | None,
    everything: bool,
    schema: str | None,
    no_compare: bool,
    failed: bool,
    function: str | None,
) -> int:
    """Reprocess batches and apply them: those with rejected rows, or BATCH, or a range of batches.

    The source is not read. Nothing in the lake is overwritten: a batch with another outcome gets a new revision.

    With --all --into SCHEMA the complete warehouse is rebuilt from the lake in that schema, and compared with the live
    one: exit code 0 if they are equal, row for row, and 1 if they are not.

    With --failed functions are invoked with the events that Lambda gave up, and what succeeds is no longer kept: exit
    code 1 if one fails again or is refused.
    """
    if failed or function:
        if not failed or batch or first or last or everything or schema or no_compare:
            raise UsageError("--failed takes --function alone, and no batches: replay --failed --function extract")
        return _failed_events(request, function)
    if everything or schema or no_compare:
        if not everything or not schema or batch or first or last:
            raise UsageError("--all and --into SCHEMA need each other, and take no batches: replay --all --into check")
        return _rebuild(request, schema, compared=not no_compare)
    if (first is None) != (last is None) or (batch and first) or (first and last and last < first):
        raise UsageError("Name one BATCH, or a range with --from and --to, the first no later than the last.")
    target = request.target()
    replay = Replay(Follower(target.aws(), target.pipeline, request.screen.progress))
    named = range(first, last + 1) if first and last else [batch] if batch else replay.rejected()
    batches = list(named)
    document = replay.replay(batches)
    for line in _lines(document):
        request.screen.say(line)
    request.screen.document(document)
    return DONE


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    batches, written, opened = document["batches"], document["written"], document["open"]
    if not batches:
        yield "No rejected row is missing from the warehouse: there is nothing to replay."
        return
    revised = [entry["batch"] for entry in batches if entry["changed"]]
    yield f"Replayed {counted(len(batches), 'batch', 'es')}; {len(revised)} with another outcome than before."
    for table, rows in written.items():
        yield f"{table}: {counted(rows, 'row')} written"
    if any(opened.values()):
        yield f"Still outstanding: {counted(opened['rejected'], 'rejected row')}, {opened['pending']:,} pending."


def _failed_events(request: Request, function: str | None) -> int:
    target = request.target()
    document = replay_failed(target.aws(), target.pipeline, request.screen.progress, function)
    screen = request.screen
    screen.document(document)
    if not any(document[outcome] for outcome in ("done", "failed", "refused")):
        screen.say("No failed event is kept: there is nothing to replay.")
    for each in document["done"]:
        screen.say(f"{each['function']}: {counted(each['events'], 'failed event')} made up for.")
    for each in document["failed"]:
        text = f"{each['function']} failed again on {counted(each['events'], 'event')}: {each['error']}"
        screen.say(text, color="red", bold=True)
    for each in document["refused"]:
        screen.say(f"{each['function']}: not repeated, as {each['reason']}: {each['key']}", color="yellow")
    return FAILED if document["failed"] or document["refused"] else DONE


def _rebuild(request: Request, schema: str, *, compared: bool) -> int:
    target = request.target()
    rebuild = Rebuild(target, schema, request.screen.progress)
    document = rebuild.rebuild()
    screen = request.screen
    screen.say(f"The schema {schema} contains everything up to batch {document['last_batch']}.")
    if not compared:
        screen.document(document)
        return DONE
    comparison = rebuild.compare()
    document["comparison"] = {key: value for key, value in comparison.to_json().items() if key != "busy"}
    for table in comparison.tables:
        if table.differences:
            screen.say(f"{table.table}: {counted(table.differences, 'difference')}", color="red", bold=True)
            for example in table.examples:
                screen.say(f"  {example}")
    if comparison.renumbered:
        why = " (replayed late versions have later numbers)" if comparison.replayed else ""
        screen.say(f"{counted(comparison.renumbered, 'version')} with another record number{why}")
    live, other = comparison.last_batches
    if live != other:
        screen.say(f"The live warehouse contains batch {live}, and {schema} batch {other}.")
    screen.say(
        f"Equal, row for row: {counted(comparison.rows, 'row')} in {counted(len(document['tables']), 'table')}."
        if comparison.equal
        else f"The live warehouse and {schema} are not equal."
    )
    screen.document(document)
    return DONE if comparison.equal else FAILED
