"""A function's log group: made before the function, so that Lambda does not make one that never expires."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference
from lambda_toolkit.resources import tags
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.ownership import desired_tags, is_owned, require_owned

KIND = "log group"
_NEW = ("ResourceNotFoundException",)  # what was made a moment ago is not known everywhere


def group_name(function: str) -> str:
    """The log group that Lambda writes to."""
    return f"/aws/lambda/{function}"


def read_groups(aws: Aws, prefix: str) -> list[dict[str, Any]]:
    """The log groups of functions whose names begin with ``prefix``; read once."""
    start = group_name(prefix)
    return aws.cached(
        ("log groups", prefix),
        lambda: aws.list_all("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=start),
    )


def plan(aws: Aws, spec: FunctionSpec, prefix: str, *, function_is_ours: Callable[[], bool]) -> list[Change]:
    """The change that gives ``spec`` its log group. One that Lambda made for a function of ours is ours too.

    ``prefix`` is what functions are listed by. ``function_is_ours`` is asked only where the group's tags do not say it.
    """
    name, days = group_name(spec.name), spec.log_retention_days
    live = _find(aws, spec.name, prefix)
    if live is None:

        def create(aws: Aws) -> None:
            aws.call("logs", "create_log_group", logGroupName=name, tags=desired_tags(spec.tags, spec.name))
            if days is not None:
                aws.call("logs", "put_retention_policy", also_retry=_NEW, logGroupName=name, retentionInDays=days)

        kept = f"kept for {days} days" if days else "kept for ever"
        return [Change(KIND, name, "create", (kept,), apply=create)]

    arn = aws.arn("logs", f"log-group:{name}")
    live_tags = tags.tags_of(aws, arn, spec.tags, spec.name, lambda: _tags(aws, arn))
    if not is_owned(live_tags, spec.name, spec.tags):
        adopt = spec.adopt or (not is_owned(live_tags) and function_is_ours())
        require_owned(KIND, name, live_tags, adopt=adopt, function=spec.name, declared=spec.tags)
    tag_change = tags.compare(live_tags, spec.tags, spec.name)
    live_days = live.get("retentionInDays")
    retention_differs = days is not None and live_days != days
    found = (
        *([Difference("retention_days", live_days or "for ever", days)] if retention_differs else []),
        *tag_change.differences,
    )
    if not found:
        return []

    def update(aws: Aws) -> None:
        if retention_differs:
            aws.call("logs", "put_retention_policy", logGroupName=name, retentionInDays=days)
        tag_change.apply(aws, "logs", arn)

    return [Change(KIND, name, "update", differences=found, apply=update)]


def plan_removal(aws: Aws, function: str) -> list[Change]:
    """The change that removes the log group of ``function``, if the toolkit made it."""
    name = group_name(function)
    if _find(aws, function, function) is None or not is_owned(
        _tags(aws, aws.arn("logs", f"log-group:{name}")), function
    ):
        return []

    def delete(aws: Aws) -> None:
        aws.find("logs", "delete_log_group", logGroupName=name)

    return [Change(KIND, name, "delete", after=frozenset({("function", function)}), apply=delete)]


def _find(aws: Aws, function: str, prefix: str) -> dict[str, Any] | None:
    name = group_name(function)
    return next((group for group in read_groups(aws, prefix) if group["logGroupName"] == name), None)


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    answer = aws.find("logs", "list_tags_for_resource", resourceArn=arn)
    return dict(answer.get("tags", {})) if answer else {}
