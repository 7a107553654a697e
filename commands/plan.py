"""``plan``: what deploy would do. It only reads."""

from __future__ import annotations

import click

from commands.changes import as_document, show_changes
from commands.deployment import chosen, deployment
from commands.options import CHANGES, DONE, Request, with_request
from commands.screen import counted


@click.command("plan")
@click.argument("functions", nargs=-1, metavar="[FUNCTION]...")
@click.option(
    "--exit-code", "exit_code", is_flag=True, help="Exit with 0 when nothing would change, 2 when something would."
)
@with_request
def command(request: Request, functions: tuple[str, ...], exit_code: bool) -> int:
    """Show what deploy would create (+), update (~) and delete (-), for everything or for the FUNCTIONs named."""
    from lambda_toolkit.plan import make_plan

    target = request.target()
    aws, only = target.aws(), chosen(target.pipeline, functions)
    plan = make_plan(aws, deployment(target.pipeline, aws.account_id, target.environ), only=only)
    show_changes(request.screen, plan.changes)
    request.screen.say(f"{counted(len(plan.changes), 'change')}." if plan else "Nothing would change.", bold=True)
    request.screen.document({"changes": as_document(plan.changes)})
    return CHANGES if exit_code and plan else DONE
