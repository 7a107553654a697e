"""How planned and applied changes are shown, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lambda_script import Hint, Wording
from lambda_toolkit.pipeline.commands.shared.screen import Screen, counted
from lambda_toolkit.pipeline.installed import suggested

if TYPE_CHECKING:
    from lambda_script import Change, Plan, Progress, Report

SIGNS = {"create": "+", "update": "~", "delete": "-"}
_RACED = (  # codes of AWS: the resource was made, or is being changed, by another process
    *("AlreadyExists", "ResourceExistsException", "ResourceConflictException", "AlreadyOwnedByYou"),
    *("OperationAborted", "ConcurrentModification"),
)
_ALREADY = "another process has just made or changed it"
COLORS = {"create": "green", "update": "yellow", "delete": "red"}


def wording() -> Wording:
    """The toolkit's remedies as options and commands."""
    rollback = suggested("rollback <0> --to <1>").replace("{", "{{").replace("}", "}}")
    return {
        Hint.ADOPT: "To adopt it, deploy once with --adopt.",
        Hint.DELETE_DATA: "To remove data too, add --delete-data.",
        Hint.OVERWRITE_SECRET: "To write the declared value to {0}, deploy once with --overwrite-secret {0}.",
        Hint.ROLLBACK_TO: f"To do it: {rollback.replace('<0>', '{0}').replace('<1>', '{1}')}",
    }


def show_changes(screen: Screen, changes: Iterable[Change]) -> None:
    """One line per change, with what differs below it."""
    for change in changes:
        screen.say(f"{SIGNS[change.action]} {change.kind} {change.name}", color=COLORS[change.action])
        for line in (*map(str, change.differences), *change.details):
            screen.say(f"    {line}", dim=True)


def as_document(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """The changes as JSON values. Secret values are masked; ``null`` is a value that does not exist."""
    return [
        {
            "action": change.action,
            "kind": change.kind,
            "name": change.name,
            "differences": [
                {"attribute": item.attribute, "live": item.shown_live, "desired": item.shown_desired}
                for item in change.differences
            ],
            "details": list(change.details),
        }
        for change in changes
    ]


def notes_of(plan: Plan) -> list[str]:
    """The plan's notes and advice, a sentence each, without the final period."""
    return [*plan.notes, *(advice.worded(wording()).rstrip(".") for advice in plan.advice)]


def show_progress(screen: Screen, progress: Progress) -> None:
    """A change that was made, failed or was skipped."""
    change = progress.change
    counted = f"[{progress.finished}/{progress.total}]"
    if progress.state == "done":
        result = f": {progress.message}" if progress.message else ""
        text = f"{counted} {SIGNS[change.action]} {change.kind} {change.name}{result}"
        screen.progress(text, color=COLORS[change.action])
    elif progress.state in ("failed", "skipped"):
        text = _ALREADY if is_raced(progress.message) else progress.worded(wording())
        screen.progress(f"{counted} ! {change.kind} {change.name}: {text}", color="red")


def report_document(report: Report) -> dict[str, Any]:
    """The changes that were made, failed or were skipped, as JSON values."""
    return {
        "done": as_document(report.done),
        "failed": [
            {"kind": f.change.kind, "name": f.change.name, "message": f.worded(wording())}
            for f in (*report.failed, *report.skipped)
        ],
    }


def show_report(screen: Screen, report: Report, verb: str) -> None:
    """The end of a deploy or destroy: how many changes, and each that was not made, with its reason."""
    screen.say(f"{verb}: {_counts(report)}.", bold=True)
    for failure in report.failed:
        text = _ALREADY if is_raced(failure.message) else failure.worded(wording())
        screen.say(f"! {failure.change.kind} {failure.change.name}: {text}", color="red", bold=True)
    for failure in report.skipped:
        screen.say(f"- not tried: {failure.change.kind} {failure.change.name}: {failure.message}", color="yellow")
    if not report.ok:
        raced = [is_raced(failure.message) for failure in report.failed]
        if any(raced):
            screen.say("Another deploy of this pipeline is under way. Wait until it has ended, and repeat the command.")
        if not all(raced):
            screen.say("The rest is done. Fix the cause and rerun the command.")


def is_raced(message: str) -> bool:
    """Whether the ``message`` of a failure says that another process changes the same resource."""
    return any(code in message for code in _RACED)


def _counts(report: Report) -> str:
    done = counted(len(report.done), "change")
    return done if report.ok else f"{done} made, {len(report.failed)} failed, {len(report.skipped)} not tried"
