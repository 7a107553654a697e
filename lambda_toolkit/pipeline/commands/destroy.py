"""``destroy``: removes what deploy created; data, logs and secrets only with an option of their own."""

from __future__ import annotations

import click

from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.commands.shared.show_changes import (
    notes_of,
    report_document,
    show_changes,
    show_progress,
    show_report,
)
from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.errors import CommandError, UsageError


@click.command("destroy")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--delete-data", is_flag=True, help="Also remove the buckets with their objects, logs and secrets.")
@with_request
def command(request: Request, yes: bool, delete_data: bool) -> int:
    """Remove functions, roles, schedules, triggers, alarms and the topic.

    The buckets with their data, the logs and the secrets stay unless --delete-data is given. The databases are never
    changed: a warehouse that was loaded from deleted buckets must be emptied before it can be loaded again.
    """
    from lambda_script import apply, plan_destroy

    screen, target = request.screen, request.target()
    aws = target.aws()
    plan = plan_destroy(deployment(target.pipeline, aws.account_id, {}), aws, delete_data=delete_data)
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
        if not click.confirm(
            f"Remove {counted(len(plan.changes), 'resource')} from AWS account {aws.account_id}?", err=True
        ):
            raise CommandError("Nothing was removed.")
    report = apply(plan, aws, on_progress=lambda progress: show_progress(screen, progress))
    show_report(screen, report, "Removed")
    screen.document(report_document(report))
    return DONE if report.ok else FAILED
