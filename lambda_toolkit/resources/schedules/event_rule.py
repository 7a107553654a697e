"""A function's schedule: an EventBridge rule, the alias as its target, and the permission to invoke it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning import alias, invoke_permission, tags
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.invoke_permission import Permission
from lambda_toolkit.resources.planning.reads import Listing, Prefetch
from lambda_toolkit.resources.planning.tags import TagChange
from lambda_toolkit.resources.schedules import handover
from lambda_toolkit.resources.schedules.handover import Old
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.ownership import as_list, as_mapping, derived_name, desired_tags, is_owned, require_owned
from lambda_toolkit.spec.schedules.schedule import schedule_name

KIND = Kind.EVENT_RULE
DEPLOYER_ACTIONS = DeployerActions(
    "Schedules",
    "events",
    (
        "DeleteRule",
        "DescribeRule",
        "ListTagsForResource",
        "ListTargetsByRule",
        "PutRule",
        "PutTargets",
        "RemoveTargets",
        "TagResource",
        "UntagResource",
    ),
    lists=("ListRules",),
)
_RULES = Listing("events", "list_rules", "Rules", "NamePrefix", "Name")
_TARGET = "lambda-script"
_INPUTS = ("Input", "InputPath", "InputTransformer")  # what the function gets instead of the event
_UNMANAGED = ("Description", "RoleArn")  # attributes of a rule: PutRule replaces all, so these are resent unchanged
_UNMANAGED_OF_TARGET = ("DeadLetterConfig", "RetryPolicy")  # PutTargets replaces all, so these are resent unchanged
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new rule is not known everywhere yet
_STATEMENTS = f"{invoke_permission.PREFIX}schedule-"


def rule_name(function: str) -> str:
    """The name of the rule that invokes ``function``."""
    return derived_name(function, "schedule")


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """The rule."""
    return [arns.arn("events", f"rule/{rule_name(spec.name)}")]


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """None: EventBridge invokes the function, which needs no permission for that."""
    return ()


def prefetch(context: Context) -> Prefetch:
    """The list of rules; the invoke permissions and the rule's targets."""
    reads, spec = context.reads, context.spec
    if spec.schedule is None:
        return Prefetch({})
    shared = reads.prefetch_listed(_RULES, spec.name)
    return Prefetch(shared, [lambda: reads.grants(spec.name), lambda: _live_target(context)] if spec.schedule else [])


@dataclass(frozen=True)
class _Comparison:
    """How a schedule differs from the declaration."""

    ruled: tuple[Difference, ...]
    """The differences of the rule."""
    targeted: tuple[Difference, ...]
    """The differences of its target."""
    granted: tuple[Difference, ...]
    """The missing invoke permission."""
    stale: tuple[str, ...]
    """The ids of our policy statements that are no longer needed."""
    tag_change: TagChange | None
    """The tags to set and to remove; ``None`` where the rule does not exist."""

    @property
    def found(self) -> tuple[Difference, ...]:
        """All differences."""
        of_tags = self.tag_change.differences if self.tag_change else ()
        return (*self.ruled, *self.targeted, *self.granted, *of_tags)


def plan(context: Context) -> list[Change]:
    """The change that brings the schedule to ``context.spec``; one declared empty is removed. Raises OwnershipError."""
    spec = context.spec
    if spec.schedule is None:
        return []
    name = rule_name(spec.name)
    live = context.reads.named(_RULES, spec.name, name)
    if not spec.schedule:
        return _plan_replaced(context, live) if live else []
    target = _live_target(context) or {}
    permission = Permission(
        "schedule", "events.amazonaws.com", context.reads.arn("events", f"rule/{name}"), context.reads.account_id
    )
    compared = _compare(context, live, target, permission)
    details = ("removes a permission that is no longer needed",) if compared.stale else ()
    if not compared.found and not details:
        return []
    grants = context.reads.grants(spec.name)

    def apply(executor_aws: Aws) -> None:
        if compared.ruled:
            _put_rule(executor_aws, spec, live)
        if compared.tag_change:
            compared.tag_change.apply(executor_aws, "events", permission.source_arn)
        if compared.granted:
            invoke_permission.grant(executor_aws, spec.name, permission, grants)
        if compared.targeted:
            _put_target(executor_aws, spec.name, target)
        invoke_permission.revoke(executor_aws, spec.name, compared.stale)

    after = frozenset({context.function_key})
    if live is None:
        return [Change(KIND, name, "create", (spec.schedule, *details), after, apply=apply)]
    return [Change(KIND, name, "update", details, after, compared.found, apply=apply)]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """The removal of a rule that exists though no schedule is declared."""
    if context.spec.schedule is None and f"rule/{rule_name(context.spec.name)}" in tagged:
        return plan_removal(context)
    return []


def plan_removal(context: Context) -> list[Change]:
    """The change that deletes the rule, if the toolkit created it, and revokes its permission."""
    function, name = context.spec.name, rule_name(context.spec.name)
    live = context.aws.find("events", "describe_rule", Name=name)
    if live is None or not is_owned(tags_of(context.aws, context.reads.arn("events", f"rule/{name}")), function):
        return []
    statements = [key for key in context.reads.grants(function) if key.startswith(_STATEMENTS)]

    def delete(executor_aws: Aws) -> None:
        targets = executor_aws.list_existing("events", "list_targets_by_rule", "Targets", Rule=name)
        if targets:
            ids = [target["Id"] for target in targets]
            answer = executor_aws.find("events", "remove_targets", Rule=name, Ids=ids)
            require_all(answer or {}, f"schedule {name}", "remove")
        invoke_permission.revoke(executor_aws, function, statements)
        executor_aws.find("events", "delete_rule", Name=name)  # last: while the rule exists, the rest can be found

    return [Change(KIND, name, "delete", (str(live.get("ScheduleExpression")),), apply=delete)]


def exists(context: Context) -> bool:
    """Whether the function has its rule; from the list that a plan of a rule reads. Raises AwsError."""
    return context.reads.named(_RULES, context.spec.name, rule_name(context.spec.name)) is not None


def require_ready(aws: Aws, spec: FunctionSpec) -> None:
    """Return once the rule of ``spec`` is there, enabled, with a target. Raises AwsError where that takes too long."""
    name = rule_name(spec.name)

    def read() -> bool | None:
        rule = aws.find("events", "describe_rule", Name=name) or {}
        targets = aws.list_existing("events", "list_targets_by_rule", "Targets", Rule=name)
        is_ready = rule.get("State") == "ENABLED" and rule.get("ScheduleExpression") == spec.schedule and targets
        return True if is_ready else None

    aws.wait_until(read, f"schedule {name} is as declared")


def _plan_replaced(context: Context, live: Mapping[str, Any]) -> list[Change]:
    """The removal of the rule, after the schedules that replace it, where there are some."""
    spec, name = context.spec, rule_name(context.spec.name)
    after = frozenset((Kind.SCHEDULE, schedule_name(spec.name, item)) for item in spec.schedules or ())
    removals = plan_removal(context)
    if not after:
        return removals

    def handing_over(change: Change) -> Change:
        def apply(executor_aws: Aws) -> None:
            handover.wait(executor_aws, f"schedule {name}", Old.of_rule(live))
            change.apply(executor_aws)

        return replace(change, after=after, apply=apply)

    return [handing_over(change) for change in removals]


def _live_target(context: Context) -> Mapping[str, Any] | None:
    """Our own target of the function's rule; ``None`` where either does not exist."""
    function, name = context.spec.name, rule_name(context.spec.name)
    if context.reads.named(_RULES, function, name) is None:
        return None
    targets = context.reads.once(
        ("targets", name), lambda: context.aws.list_all("events", "list_targets_by_rule", "Targets", Rule=name)
    )
    return next((target for target in targets if target["Id"] == _TARGET), None)


def _compare(
    context: Context, live: Mapping[str, Any] | None, target: Mapping[str, Any], permission: Permission
) -> _Comparison:
    spec, rule = context.spec, permission.source_arn
    tag_change: TagChange | None = None
    if live:
        live_tags = context.reads.tags(rule, spec.tags, spec.name, lambda: tags_of(context.aws, rule))
        require_owned("rule", rule_name(spec.name), live_tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
        tag_change = tags.compare(live_tags, spec.tags, spec.name)
    names = {"schedule": "ScheduleExpression", "state": "State", "event_pattern": "EventPattern"}
    known = {key: live.get(name) or None for key, name in names.items()} if live else {}
    function = alias.arn(context.reads, spec.name)
    grants = context.reads.grants(spec.name)
    is_granted = grants.get(permission.statement_id) == rule
    return _Comparison(
        # An event pattern, set outside this tool, makes events invoke the function as well.
        ruled=differences(known, {"schedule": spec.schedule, "state": "ENABLED", "event_pattern": None}),
        targeted=differences(
            {"target": target.get("Arn"), "input": next((target[key] for key in _INPUTS if target.get(key)), None)},
            {"target": function, "input": None},
        ),
        granted=() if is_granted else (Difference("permission to invoke", None, function),),
        stale=tuple(key for key in grants if key.startswith(_STATEMENTS) and key != permission.statement_id),
        tag_change=tag_change,
    )


def _put_rule(aws: Aws, spec: FunctionSpec, live: Mapping[str, Any] | None) -> None:
    if live:
        others: dict[str, Any] = {key: live[key] for key in _UNMANAGED if live.get(key)}
    else:
        labels = as_list(desired_tags(spec.tags, spec.name))
        others = {"Tags": labels, "Description": f"Starts the Lambda function {spec.name}"}
    rule: dict[str, Any] = {"Name": rule_name(spec.name), "ScheduleExpression": spec.schedule, "State": "ENABLED"}
    aws.call("events", "put_rule", **rule, **others)


def _put_target(aws: Aws, function: str, live: Mapping[str, Any]) -> None:
    name = rule_name(function)
    kept = {key: live[key] for key in _UNMANAGED_OF_TARGET if live.get(key)}
    targets = [{"Id": _TARGET, "Arn": alias.arn(aws, function), **kept}]
    answer = aws.call("events", "put_targets", also_retry=_NEW, Rule=name, Targets=targets)
    require_all(answer, f"schedule {name}", "accept")


def tags_of(aws: Aws, rule: str) -> dict[str, str]:
    """The tags of the rule with this ARN; none where it does not exist. Raises AwsError."""
    answer = aws.find("events", "list_tags_for_resource", ResourceARN=rule)
    return as_mapping(answer.get("Tags")) if answer else {}


def require_all(answer: dict[str, Any], what: str, verb: str) -> None:
    """Raise AwsError where EventBridge reports, inside a successful answer, a target that it did not ``verb``."""
    if answer.get("FailedEntryCount"):
        entry = answer["FailedEntries"][0]
        raise AwsError(
            f"{what}: EventBridge did not {verb} its target: {entry.get('ErrorMessage')}.",
            code=str(entry.get("ErrorCode")),
        )
