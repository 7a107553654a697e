"""``deploy``: makes AWS what the configuration says, and writes only what differs."""

from __future__ import annotations

from collections.abc import Collection

import click

from commands.changes import report_document, show_progress, show_report
from commands.deployment import chosen, deployment
from commands.options import DONE, FAILED, Request, with_request
from commands.screen import Screen
from commands.target import Target


@click.command("deploy")
@click.argument("functions", nargs=-1, metavar="[FUNCTION]...")
@with_request
def command(request: Request, functions: tuple[str, ...]) -> int:
    """Deploy everything in the configuration, or redeploy just the FUNCTIONs named.

    Only differences are written: when nothing changed, nothing is. Database URLs reach Secrets Manager from the
    environment variables that the configuration names; where one is not set, the stored value stays.
    """
    return deploy(request.screen, request.target(), functions)


def deploy(screen: Screen, target: Target, functions: Collection[str] = ()) -> int:
    """Deploys to ``target`` and reports to ``screen``. Returns the exit code: 1 when any change failed."""
    from lambda_toolkit.execute import execute
    from lambda_toolkit.plan import make_plan

    aws = target.aws()
    only = chosen(target.pipeline, functions)
    with screen.waiting("Comparing the configuration with AWS ..."):
        plan = make_plan(aws, deployment(target.pipeline, aws.account_id, target.environ), only=only)
    if not plan:
        screen.say("Nothing changed.")
        screen.document({"done": [], "failed": []})
        return DONE
    report = execute(aws, plan, on_progress=lambda progress: show_progress(screen, progress))
    show_report(screen, report, f"Deployed {target.pipeline.name} ({target.pipeline.stage})")
    screen.document(report_document(report))
    return DONE if report.ok else FAILED
