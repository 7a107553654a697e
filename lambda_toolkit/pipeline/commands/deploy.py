"""``deploy``: makes AWS what the configuration says, and writes only what differs."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.commands.shared.plan_scope import EVERYTHING, Scope, scope_options
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
    from lambda_toolkit.changes import Report


_UNASKED = ("layer", "old versions")  # nobody uses them any more


@click.command("deploy")
@click.argument("functions", nargs=-1, metavar="[FUNCTION]...")
@scope_options
@click.option("--yes", is_flag=True, help="Do not ask before something is removed.")
@with_request
def command(request: Request, functions: tuple[str, ...], scope: Scope, yes: bool) -> int:
    """Deploy everything in the configuration, or redeploy just the FUNCTIONs named.

    Only differences are written: when nothing changed, nothing is. Database URLs reach Secrets Manager from the
    environment variables that the configuration names; where one is not set, the stored value stays.

    What an earlier deploy of this pipeline and stage made and the configuration no longer names is removed. On a
    terminal that is shown and asked first (--yes: not); elsewhere, as in CI, it is done: what was merged is meant. Look
    with `plan`, which names every deletion, or keep it with --no-prune. With FUNCTIONs named, nothing else is removed.
    Buckets, secrets and logs stay unless --delete-data is given.
    """
    report = apply(request.screen, request.target(), functions, scope, ask=not yes)
    request.screen.document(report_document(report) if report else {"done": [], "failed": []})
    return DONE if report is None or report.ok else FAILED


def apply(
    screen: Screen, target: Target, functions: Collection[str] = (), scope: Scope = EVERYTHING, *, ask: bool = False
) -> Report | None:
    """Deploys to ``target`` and tells ``screen``. Returns what was done, or ``None`` when nothing differed.

    With ``ask``, and on a terminal, what would be removed is shown and confirmed first. Raises CommandError where it is
    not.
    """
    from lambda_toolkit.deploy.execute import execute

    aws = target.aws()
    with screen.waiting("Comparing the configuration with AWS ..."):
        plan = scope.plan(aws, target, functions)
    for note in notes_of(plan):
        screen.progress(f"Note: {note}.")
    if not plan:
        screen.say("Nothing changed.")
        return None
    removed = [item for item in plan.changes if item.action == "delete" and item.kind not in _UNASKED]
    if removed and ask and not screen.as_json and sys.stdin.isatty():
        show_changes(screen, removed)
        if not click.confirm(
            f"Remove {counted(len(removed), 'thing')} that the configuration no longer names?", err=True
        ):
            raise CommandError("Nothing was changed. To deploy and keep them: --no-prune.")
    try:
        report = execute(aws, plan, on_progress=lambda progress: show_progress(screen, progress))
    except KeyboardInterrupt:
        screen.progress("Stopped half way: what was done stays, and the same command finishes the work.")
        raise
    show_report(screen, report, f"Deployed {target.pipeline.name} ({target.pipeline.stage})")
    return report
