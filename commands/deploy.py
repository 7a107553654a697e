"""``deploy``: makes AWS what the configuration says, and writes only what differs."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from commands.changes import report_document, show_progress, show_report
from commands.deployment import chosen, deployment
from commands.options import DONE, FAILED, Request, with_request
from commands.screen import Screen
from commands.target import Target

if TYPE_CHECKING:
    from lambda_toolkit.execute import Report


@click.command("deploy")
@click.argument("functions", nargs=-1, metavar="[FUNCTION]...")
@with_request
def command(request: Request, functions: tuple[str, ...]) -> int:
    """Deploy everything in the configuration, or redeploy just the FUNCTIONs named.

    Only differences are written: when nothing changed, nothing is. Database URLs reach Secrets Manager from the
    environment variables that the configuration names; where one is not set, the stored value stays.
    """
    report = apply(request.screen, request.target(), functions)
    request.screen.document(report_document(report) if report else {"done": [], "failed": []})
    return DONE if report is None or report.ok else FAILED


def apply(screen: Screen, target: Target, functions: Collection[str] = ()) -> Report | None:
    """Deploys to ``target`` and tells ``screen``. Returns what was done, or ``None`` when nothing differed."""
    from lambda_toolkit.execute import execute
    from lambda_toolkit.plan import make_plan

    aws = target.aws()
    only = chosen(target.pipeline, functions)
    with screen.waiting("Comparing the configuration with AWS ..."):
        plan = make_plan(aws, deployment(target.pipeline, aws.account_id, target.environ), only=only)
    if not plan:
        screen.say("Nothing changed.")
        return None
    report = execute(aws, plan, on_progress=lambda progress: show_progress(screen, progress))
    show_report(screen, report, f"Deployed {target.pipeline.name} ({target.pipeline.stage})")
    return report
