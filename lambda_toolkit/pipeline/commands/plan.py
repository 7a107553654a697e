"""``plan``: what deploy would change. Only reads."""

from __future__ import annotations

import click

from lambda_toolkit.pipeline.commands.shared.options import CHANGES, DONE, Request, with_request
from lambda_toolkit.pipeline.commands.shared.plan_scope import Scope, scope_options
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.commands.shared.show_changes import as_document, notes_of, show_changes


@click.command("plan")
@click.argument("functions", nargs=-1, metavar="[FUNCTION]...")
@click.option(
    "--exit-code", "exit_code", is_flag=True, help="Exit with 0 when nothing would change, 2 when something would."
)
@scope_options
@with_request
def command(request: Request, functions: tuple[str, ...], exit_code: bool, scope: Scope) -> int:
    """Show what deploy would create (+), update (~) and delete (-), for everything or for the FUNCTIONs named.

    Each attribute that differs is shown as `attribute: on AWS -> declared`, also where it was changed outside of this
    tool. Secret values are masked. With the same options, deploy does exactly this.
    """
    target = request.target()
    plan = scope.plan(target.aws(), target, functions)
    show_changes(request.screen, plan.changes)
    for note in notes_of(plan):
        request.screen.say(f"Note: {note}.")
    request.screen.say(f"{counted(len(plan.changes), 'change')}." if plan else "Nothing would change.", bold=True)
    request.screen.document({"changes": as_document(plan.changes), "notes": notes_of(plan)})
    return CHANGES if exit_code and plan else DONE
