"""``prepare``: creates the missing objects of the warehouse, and reports every difference from the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from lambda_toolkit.pipeline.client.sources.mirror import Follow, refreshed
from lambda_toolkit.pipeline.client.warehouses.warehouse import prepare
from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted


@click.command("prepare")
@click.option("--alter", is_flag=True, help="Alter tables where that loses nothing.")
@with_request
def command(request: Request, alter: bool) -> int:
    """Create what the warehouse lacks: the tables of config/warehouse.sql, mirrored tables, the load log, the views.

    A view that is out of date is replaced. Existing tables are not changed, and each difference is reported, with exit
    code 1; the statements that would lose nothing are shown. With --alter they are run: a column is added, NULL is
    allowed, a type is widened.

    Where the environment has the source's URL, config/mirror.json is updated first: with the tables that are new or not
    there any more, and with --alter with all that changed.
    """
    mirror = refreshed(request.target(), Follow.EVERYTHING if alter else Follow.TABLES)
    for line in mirror.lines:
        request.screen.say(line)
    document = prepare(mirror.target, alter=alter, source=mirror.source)
    for name in document["created"]:
        request.screen.say(f"+ {name}", color="green")
    for name in (*document["altered"], *document["replaced"]):
        request.screen.say(f"~ {name}", color="yellow")
    for difference in document["differences"]:
        request.screen.say(f"! {difference}", color="red", bold=True)
    for statement in document["alterations"]:
        request.screen.say(f"  {statement};")
    if document["alterations"]:
        request.screen.say("These lose nothing: prepare --alter runs them.")
    request.screen.say(_summary(document))
    request.screen.document({**document, "mirror": [*mirror.changes, *mirror.notes]})
    return FAILED if document["differences"] else DONE


def _summary(document: Mapping[str, Sequence[str]]) -> str:
    counts = {key: len(found) for key, found in document.items()}
    done = [f"{counted(counts['created'], 'object')} created"] if counts["created"] else []
    done += [f"{counted(counts['altered'], 'column')} altered"] if counts["altered"] else []
    done += [f"{counted(counts['replaced'], 'view')} replaced"] if counts["replaced"] else []
    text = f"{', '.join(done)}. " if done else ""
    if not counts["differences"]:
        return f"{text}The warehouse is complete."
    verb = "remains" if counts["differences"] == 1 else "remain"
    return (
        f"{text}{counted(counts['differences'], 'difference')} from the configuration {verb}: existing tables are not "
        "changed. Change them, or config/warehouse.sql."
    )
