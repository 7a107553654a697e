"""``prepare``: creates the missing objects of the warehouse, and reports every difference from the configuration."""

from __future__ import annotations

import click

from lambda_toolkit.pipeline.client.warehouse import prepare
from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted


@click.command("prepare")
@with_request
def command(request: Request) -> int:
    """Create what the warehouse lacks: the tables of config/warehouse.sql, the load log, the views.

    A view that is out of date is replaced. Existing tables are never changed: every difference is reported, and the
    exit code is 1.
    """
    target = request.target()
    document = prepare(target)
    for name in document["created"]:
        request.screen.say(f"+ {name}", color="green")
    for name in document["replaced"]:
        request.screen.say(f"~ {name}", color="yellow")
    for difference in document["differences"]:
        request.screen.say(f"! {difference}", color="red", bold=True)
    request.screen.say(_summary(len(document["created"]), len(document["replaced"]), len(document["differences"])))
    request.screen.document(document)
    return FAILED if document["differences"] else DONE


def _summary(created: int, replaced: int, differences: int) -> str:
    done = [f"{counted(created, 'object')} created"] if created else []
    done += [f"{counted(replaced, 'view')} replaced"] if replaced else []
    text = f"{', '.join(done)}. " if done else ""
    if not differences:
        return f"{text}The warehouse is complete."
    verb = "remains" if differences == 1 else "remain"
    return (
        f"{text}{counted(differences, 'difference')} from the configuration {verb}: existing tables are not changed. "
        "Change them, or config/warehouse.sql."
    )
