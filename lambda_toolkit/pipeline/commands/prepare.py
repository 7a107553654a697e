"""``prepare``: creates the missing objects of the warehouse, and reports every difference from the configuration."""

from __future__ import annotations

import click

from lambda_toolkit.pipeline.client.warehouse import prepare
from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request


@click.command("prepare")
@with_request
def command(request: Request) -> int:
    """Create what the warehouse lacks: the tables of config/warehouse.sql, the load log, the views.

    Existing objects are never changed: every difference is reported, and the exit code is 1.
    """
    target = request.target()
    document = prepare(target)
    for name in document["created"]:
        request.screen.say(f"+ {name}", color="green")
    for difference in document["differences"]:
        request.screen.say(f"! {difference}", color="red", bold=True)
    if document["differences"]:
        request.screen.say("The warehouse differs from config/warehouse.sql. Existing objects were not changed.")
    elif not document["created"]:
        request.screen.say("The warehouse is complete.")
    request.screen.document(document)
    return FAILED if document["differences"] else DONE
