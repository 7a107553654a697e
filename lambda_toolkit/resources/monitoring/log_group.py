"""A function's log group: created before the function, else Lambda creates one without a retention period."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference
from lambda_toolkit.errors import LimitError
from lambda_toolkit.resources.planning import tags
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.reads import Listing, Prefetch
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.ownership import desired_tags, is_owned, require_owned

KIND = Kind.LOG_GROUP
DEPLOYER_ACTIONS = DeployerActions(
    "Logs",
    "logs",
    ("CreateLogGroup", "ListTagsForResource", "PutRetentionPolicy", "TagResource", "UntagResource"),
    lists=("DescribeLogGroups",),
    with_data=("DeleteLogGroup",),
)
_START = "/aws/lambda/"
_GROUPS = Listing("logs", "describe_log_groups", "logGroups", "logGroupNamePrefix", "logGroupName", start=_START)
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new resource is not known everywhere yet


def group_name(function: str) -> str:
    """The log group that Lambda writes to."""
    return f"{_START}{function}"


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """The log group and its streams."""
    arn = _arn(arns, spec.name)
    return [arn, f"{arn}:*"]


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """The right to write to the log group."""
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    arn = arns.arn("logs", f"log-group:{spec.log_group or group_name(spec.name)}")
    return [{"Effect": "Allow", "Action": actions, "Resource": [f"{arn}:*"]}]


def prefetch(context: Context) -> Prefetch:
    """The list of log groups; of others', whether it exists."""
    others = _of_others(context.spec)
    own = [lambda: _exists(context, others)] if others else []
    return Prefetch({} if others else context.reads.prefetch_listed(_GROUPS, context.spec.name), own)


def plan(context: Context) -> list[Change]:
    """The change that brings the log group to ``context.spec``. Raises OwnershipError.

    A log group without tags is the toolkit's if the function is: Lambda created it. One of others must exist, as Lambda
    may not create it; the function's own then stays as it is. Raises LimitError where it does not.
    """
    spec, name = context.spec, group_name(context.spec.name)
    others = _of_others(spec)
    if others:
        if not _exists(context, others):
            raise LimitError(
                f"Function {spec.name}: the log group {others} does not exist in this account and region. Create it, "
                "with a retention period, or correct log_group: Lambda would lose the log."
            )
        return []
    live = context.reads.named(_GROUPS, spec.name, name)
    if live is None:
        return [_creation(spec, name)]
    days = spec.log_retention_days
    arn = _arn(context.reads, spec.name)
    live_tags = context.reads.tags(arn, spec.tags, spec.name, lambda: _tags(context.aws, arn))
    if not is_owned(live_tags, spec.name, spec.tags):
        adopt = spec.adopt or (not is_owned(live_tags) and context.function_is_ours())
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

    def update(executor_aws: Aws) -> None:
        if retention_differs:
            executor_aws.call("logs", "put_retention_policy", logGroupName=name, retentionInDays=days)
        tag_change.apply(executor_aws, "logs", arn)

    return [Change(KIND, name, "update", differences=found, apply=update)]


def _creation(spec: FunctionSpec, name: str) -> Change:
    days = spec.log_retention_days

    def create(executor_aws: Aws) -> None:
        labels = desired_tags(spec.tags, spec.name)
        exists = ("ResourceAlreadyExistsException",)
        executor_aws.create("logs", "create_log_group", exists=exists, logGroupName=name, tags=labels)
        if days is not None:
            retention = {"logGroupName": name, "retentionInDays": days}
            executor_aws.call("logs", "put_retention_policy", also_retry=_NEW, **retention)

    return Change(KIND, name, "create", (f"kept for {days} days" if days else "kept for ever",), apply=create)


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """None: every function has a log group."""
    return []


def plan_removal(context: Context) -> list[Change]:
    """The change that deletes the log group, if the toolkit created it, after the function."""
    function, name = context.spec.name, group_name(context.spec.name)
    if context.reads.named(_GROUPS, function, name) is None:
        return []
    if not is_owned(_tags(context.aws, _arn(context.reads, function)), function):
        return []

    def delete(executor_aws: Aws) -> None:
        executor_aws.find("logs", "delete_log_group", logGroupName=name)

    return [Change(KIND, name, "delete", after=frozenset({context.function_key}), apply=delete)]


def _of_others(spec: FunctionSpec) -> str:
    """The declared log group where that is not the function's own; else empty."""
    return spec.log_group if spec.log_group and spec.log_group != group_name(spec.name) else ""


def _exists(context: Context, group: str) -> bool:
    def read() -> bool:
        found = context.aws.list_all("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=group)
        return any(item["logGroupName"] == group for item in found)

    return context.reads.once(("log group", group), read)


def _arn(arns: ArnFormat, function: str) -> str:
    return arns.arn("logs", f"log-group:{group_name(function)}")


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    answer = aws.find("logs", "list_tags_for_resource", resourceArn=arn)
    return dict(answer.get("tags", {})) if answer else {}
