"""``destroy``: removes what deploy made. Data and secrets only when that is said twice."""

from __future__ import annotations

import click

from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.commands.shared.show_changes import (
    notes_of,
    report_document,
    show_changes,
    show_progress,
    show_report,
)
from lambda_toolkit.pipeline.config.deployment import deployment
from lambda_toolkit.pipeline.errors import CommandError, UsageError


@click.command("destroy")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--delete-data", is_flag=True, help="Remove the buckets with every object in them, and the secrets, too.")
@with_request
def command(request: Request, yes: bool, delete_data: bool) -> int:
    """Remove functions, roles, schedules, triggers, alarms, logs and the topic.

    The buckets with their data and the secrets stay unless --delete-data is given. The databases are never touched; a
    warehouse that was filled from buckets that are deleted must be emptied before it can be filled anew.
    """
    from lambda_toolkit.deploy.execute import execute
    from lambda_toolkit.deploy.plan import make_destroy_plan

    screen, target = request.screen, request.target()
    aws = target.aws()
    plan = make_destroy_plan(aws, deployment(target.pipeline, aws.account_id, {}), delete_data=delete_data)
    if not plan:
        screen.say("Nothing to remove.")
        screen.document({"done": [], "failed": []})
        return DONE
    show_changes(screen, plan.changes)
    for note in notes_of(plan):
        screen.say(note)
    if not yes:
        if screen.as_json:
            raise UsageError("destroy --json does not ask: add --yes once you have read the plan.")
        if not click.confirm(f"Remove these {len(plan.changes)} from AWS account {aws.account_id}?", err=True):
            raise CommandError("Nothing was removed.")
    report = execute(aws, plan, on_progress=lambda progress: show_progress(screen, progress))
    show_report(screen, report, "Removed")
    screen.document(report_document(report))
    return DONE if report.ok else FAILED
