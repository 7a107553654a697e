"""``deploy``: changes AWS to match the configuration, and writes only what differs."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from lambda_toolkit.pipeline.client.sources.mirror import Follow, refreshed
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.commands.plan import EVERYTHING, Scope, scope_options
from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import Screen, counted
from lambda_toolkit.pipeline.commands.shared.show_changes import (
    notes_of,
    report_document,
    show_changes,
    show_progress,
    show_report,
)
from lambda_toolkit.pipeline.errors import CommandError

if TYPE_CHECKING:
    from lambda_script import Report


_UNCONFIRMED = ("layer", "old versions")  # not in use: removed without a question


@click.command("deploy")
@click.argument("functions", nargs=-1, metavar="[FUNCTION]...")
@scope_options
@click.option("--yes", is_flag=True, help="Do not ask before resources are removed.")
@with_request
def command(request: Request, functions: tuple[str, ...], scope: Scope, yes: bool) -> int:
    """Deploy everything in the configuration, or redeploy just the FUNCTIONs named.

    Only differences are written: when nothing changed, nothing is. Database URLs reach Secrets Manager from the
    environment variables that the configuration names; where one is not set, the stored value stays.

    Resources of this pipeline and stage that the configuration no longer declares are removed. On a terminal they are
    shown and confirmed first (--yes skips that); elsewhere, as in CI, they are removed without a question. `plan` shows
    every removal, and --no-prune keeps them. With FUNCTIONs named, nothing else is removed. Buckets, secrets and logs
    stay unless --delete-data is given.
    """
    mirror = refreshed(request.target(), Follow.NOTHING)
    for line in mirror.lines:
        request.screen.progress(line)
    report = apply(request.screen, mirror.target, functions, scope, ask=not yes)
    request.screen.document(report_document(report) if report else {"done": [], "failed": []})
    return DONE if report is None or report.ok else FAILED


def apply(
    screen: Screen, target: Target, functions: Collection[str] = (), scope: Scope = EVERYTHING, *, ask: bool = False
) -> Report | None:
    """Deploy to ``target`` and show it on ``screen``. Returns the report, or ``None`` where nothing differed.

    With ``ask``, and on a terminal, removals are shown and confirmed first. Raises CommandError where they are not
    confirmed, and ToolkitError.
    """
    from lambda_script import apply as apply_changes

    aws = target.aws()
    with screen.waiting("Comparing the configuration with AWS ..."):
        plan = scope.plan(aws, target, functions)
    for note in notes_of(plan):
        screen.progress(f"Note: {note}.")
    if not plan:
        screen.say("Nothing changed.")
        return None
    removed = [item for item in plan.changes if item.action == "delete" and item.kind not in _UNCONFIRMED]
    if removed and ask and not screen.as_json and sys.stdin.isatty():
        show_changes(screen, removed)
        if not click.confirm(
            f"Remove {counted(len(removed), 'resource')} that the configuration no longer declares?", err=True
        ):
            raise CommandError("Nothing was changed. To deploy and keep them: --no-prune.")
    try:
        report = apply_changes(plan, aws, on_progress=lambda progress: show_progress(screen, progress))
    except KeyboardInterrupt:
        screen.progress("Interrupted: completed changes stay, and the same command makes the rest.")
        raise
    show_report(screen, report, f"Deployed {target.pipeline.name} ({target.pipeline.stage})")
    return report
