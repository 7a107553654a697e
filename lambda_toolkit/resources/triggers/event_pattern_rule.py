"""Event triggers: EventBridge rules with a pattern, each with the alias as its target and the permission to invoke it.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rules.html
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference
from lambda_toolkit.resources.planning import alias, invoke_permission, tags
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.invoke_permission import Permission
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.resources.planning.tags import TagChange
from lambda_toolkit.resources.schedules import event_rule
from lambda_toolkit.spec.event_pattern import as_json
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.ownership import as_list, derived_name, desired_tags, is_owned, require_owned
from lambda_toolkit.spec.triggers.event import EventTrigger

KIND = Kind.EVENT_TRIGGER
DEPLOYER_ACTIONS = DeployerActions(
    "EventTriggers", "events", (*event_rule.DEPLOYER_ACTIONS.actions, "DescribeEventBus")
)
_BUS = "default"
_TARGET = "lambda-script"
_INPUTS = ("Input", "InputPath", "InputTransformer")  # what the function gets instead of the event
_UNMANAGED = ("Description", "RoleArn")  # attributes of a rule: PutRule replaces all, so these are resent unchanged
_UNMANAGED_OF_TARGET = ("DeadLetterConfig", "RetryPolicy")
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new rule is not known everywhere yet
_STATEMENTS = f"{invoke_permission.PREFIX}event-"
_RULE = "rule/"


@dataclass(frozen=True)
class _Rule:
    """Where a rule is."""

    name: str
    bus: str

    @property
    def resource(self) -> str:
        """The last part of its ARN: ``rule/<name>``, of another bus than the default one ``rule/<bus>/<name>``."""
        return f"{_RULE}{self.name}" if self.bus == _BUS else f"{_RULE}{self.bus}/{self.name}"

    @property
    def named(self) -> dict[str, Any]:
        """The parameters of calls that name the rule."""
        return {"Name": self.name, "EventBusName": self.bus}

    @property
    def ruled(self) -> dict[str, Any]:
        """The parameters of calls about its targets."""
        return {"Rule": self.name, "EventBusName": self.bus}

    @classmethod
    def of(cls, resource: str) -> _Rule:
        """The rule with this last part of an ARN. A bus of a partner has slashes in its name."""
        bus, _, name = resource.removeprefix(_RULE).rpartition("/")
        return cls(name, bus or _BUS)


@dataclass(frozen=True)
class _Live:
    """A rule on AWS."""

    rule: Mapping[str, Any]
    tags: Mapping[str, str]
    target: Mapping[str, Any]
    """Our own target; empty where there is none."""


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """The rules of the declared triggers, and their buses."""
    triggers = spec.event_triggers or ()
    buses = [f"event-bus/{trigger.bus}" for trigger in triggers if trigger.bus != _BUS]
    return [arns.arn("events", item) for item in (*(_rule(spec, trigger).resource for trigger in triggers), *buses)]


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """None: EventBridge invokes the function, which needs no permission for that."""
    return ()


def prefetch(context: Context) -> Prefetch:
    """The invoke permissions and the rules of the declared triggers."""
    reads, spec = context.reads, context.spec
    rules = [_rule(spec, trigger) for trigger in spec.event_triggers or ()]
    if not rules:
        return Prefetch({})
    return Prefetch({}, [lambda: reads.grants(spec.name), *(_reading(context, rule) for rule in rules)])


def _reading(context: Context, rule: _Rule) -> Any:
    return lambda: _read(context, rule)


def plan(context: Context) -> list[Change]:
    """The changes, one per trigger, that bring the rules to ``context.spec``; others of ours are removed.

    They are found by the function's invoke permissions. Raises OwnershipError.
    """
    spec = context.spec
    if spec.event_triggers is None:
        return []
    grants = _grants(context) if context.function_is_ours() else {}
    wanted = {_rule(spec, trigger).resource: trigger for trigger in spec.event_triggers}
    unwanted = sorted(_resources(grants) - {*wanted})
    planned = (_plan_rule(context, trigger, grants) for trigger in wanted.values())
    return [
        *(change for change in planned if change),
        *(change for item in unwanted for change in _plan_removal_of(context, _Rule.of(item), grants)),
    ]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """The removal of rules with a pattern that have the function's tag, though no event trigger is declared."""
    spec = context.spec
    if spec.event_triggers is not None:
        return []
    schedule = f"{_RULE}{event_rule.rule_name(spec.name)}"
    found = sorted(item for item in tagged if item.startswith(_RULE) and item != schedule)
    grants = _grants(context) if found else {}
    return [change for item in found for change in _plan_removal_of(context, _Rule.of(item), grants)]


def plan_removal(context: Context) -> list[Change]:
    """The changes that delete the function's rules with a pattern that the toolkit created.

    They are those that may invoke it; where the permissions were deleted with the function, the declared ones.
    """
    grants = _grants(context)
    declared = {_rule(context.spec, trigger).resource for trigger in context.spec.event_triggers or ()}
    found = sorted(_resources(grants) | declared)
    return [change for item in found for change in _plan_removal_of(context, _Rule.of(item), grants)]


def _rule(spec: FunctionSpec, trigger: EventTrigger) -> _Rule:
    return _Rule(derived_name(spec.name, trigger.name), trigger.bus)


def _grants(context: Context) -> dict[str, str]:
    """The policy statements that allow our rules to invoke the function: by statement id, the rule's ARN."""
    statements = context.reads.grants(context.spec.name)
    return {key: arn for key, arn in statements.items() if key.startswith(_STATEMENTS)}


def _resources(grants: Mapping[str, str]) -> set[str]:
    return {arn.split(":", 5)[5] for arn in grants.values() if arn}


def _read(context: Context, rule: _Rule) -> _Live | None:
    return context.reads.once(("event rule", rule), lambda: _read_now(context, rule))


def _has_bus(context: Context, bus: str) -> bool:
    """Whether the bus exists; every account has the default one."""
    if bus == _BUS:
        return True
    answer = context.reads.once(("event bus", bus), lambda: context.aws.find("events", "describe_event_bus", Name=bus))
    return answer is not None


def _read_now(context: Context, rule: _Rule) -> _Live | None:
    aws, arn = context.aws, context.reads.arn("events", rule.resource)
    live = aws.find("events", "describe_rule", **rule.named)
    if live is None:
        return None
    spec = context.spec
    labels = context.reads.tags(arn, spec.tags, spec.name, lambda: event_rule.tags_of(aws, arn))
    targets = aws.list_existing("events", "list_targets_by_rule", "Targets", **rule.ruled)
    return _Live(live, labels, next((target for target in targets if target["Id"] == _TARGET), {}))


def _plan_rule(context: Context, trigger: EventTrigger, grants: dict[str, str]) -> Change | None:
    spec, rule = context.spec, _rule(context.spec, trigger)
    live, function = _read(context, rule), alias.arn(context.reads, spec.name)
    arn = context.reads.arn("events", rule.resource)
    permission = Permission("event", "events.amazonaws.com", arn, context.reads.account_id)
    tag_change: TagChange | None = None
    ruled: tuple[Difference, ...] = ()
    targeted: tuple[Difference, ...] = ()
    if live is not None:
        require_owned("rule", rule.name, live.tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
        tag_change = tags.compare(live.tags, spec.tags, spec.name)
        ruled, targeted = _compare(live, trigger, function)
    granted = grants.get(permission.statement_id) == arn
    found = (
        *ruled,
        *targeted,
        *(() if granted else (Difference("permission to invoke", None, function),)),
        *(tag_change.differences if tag_change else ()),
    )
    if live is not None and not found:
        return None

    def apply(executor_aws: Aws) -> None:
        if live is None or ruled:
            _put_rule(executor_aws, spec, trigger, live)
        if tag_change:
            tag_change.apply(executor_aws, "events", arn)
        invoke_permission.grant(executor_aws, spec.name, permission, grants)
        if live is None or targeted:
            _put_target(executor_aws, spec.name, rule, live.target if live else {})

    after = frozenset({context.function_key})
    if live is None:
        details = (as_json(trigger.pattern), *([f"bus {rule.bus}"] if rule.bus != _BUS else []))
        missing = frozenset(() if _has_bus(context, rule.bus) else ((Kind.EVENT_BUS, rule.bus),))
        return Change(KIND, rule.name, "create", details, after, missing=missing, apply=apply)
    return Change(KIND, rule.name, "update", (), after, found, apply=apply)


def _compare(
    live: _Live, trigger: EventTrigger, function: str
) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
    """The differences of the rule, and those of its target."""
    known = {
        "pattern": _parsed(live.rule.get("EventPattern")),
        "enabled": live.rule.get("State") != "DISABLED",
        "schedule": live.rule.get("ScheduleExpression") or None,  # set outside this tool, it invokes the function, too
    }
    declared = {"pattern": json.loads(as_json(trigger.pattern)), "enabled": trigger.enabled, "schedule": None}
    ruled = tuple(
        Difference(name, known[name], value) for name, value in declared.items() if known[name] != value
    )  # the pattern as a whole: half of one means something else
    replaced = next((live.target[key] for key in _INPUTS if live.target.get(key)), None)
    targeted = differences({"target": live.target.get("Arn"), "input": replaced}, {"target": function, "input": None})
    return ruled, targeted


def _parsed(pattern: str | None) -> Any:
    try:
        return json.loads(pattern) if pattern else None
    except ValueError:
        return pattern


def _put_rule(aws: Aws, spec: FunctionSpec, trigger: EventTrigger, live: _Live | None) -> None:
    if live is not None:
        others: dict[str, Any] = {key: live.rule[key] for key in _UNMANAGED if live.rule.get(key)}
    else:
        labels = as_list(desired_tags(spec.tags, spec.name))
        others = {"Tags": labels, "Description": f"Events that start the Lambda function {spec.name}"}
    state = "ENABLED" if trigger.enabled else "DISABLED"
    rule = _rule(spec, trigger)
    aws.call("events", "put_rule", **rule.named, EventPattern=as_json(trigger.pattern), State=state, **others)


def _put_target(aws: Aws, function: str, rule: _Rule, live: Mapping[str, Any]) -> None:
    kept = {key: live[key] for key in _UNMANAGED_OF_TARGET if live.get(key)}
    targets = [{"Id": _TARGET, "Arn": alias.arn(aws, function), **kept}]
    answer = aws.call("events", "put_targets", also_retry=_NEW, **rule.ruled, Targets=targets)
    event_rule.require_all(answer, f"event trigger {rule.name}", "accept")


def _plan_removal_of(context: Context, rule: _Rule, grants: Mapping[str, str]) -> list[Change]:
    """The deletion of a rule that the toolkit created, with its permission; of the permission alone where it is not."""
    arn = context.reads.arn("events", rule.resource)
    statements = [key for key, source in grants.items() if source == arn]
    live = _read(context, rule)
    is_ours = live is not None and is_owned(live.tags, context.spec.name)
    if not is_ours and not statements:
        return []
    function = context.spec.name

    def delete(executor_aws: Aws) -> None:
        if is_ours:
            targets = executor_aws.list_existing("events", "list_targets_by_rule", "Targets", **rule.ruled)
            if targets:
                ids = [target["Id"] for target in targets]
                answer = executor_aws.find("events", "remove_targets", **rule.ruled, Ids=ids)
                event_rule.require_all(answer or {}, f"event trigger {rule.name}", "remove")
            executor_aws.find("events", "delete_rule", **rule.named)
        invoke_permission.revoke(executor_aws, function, statements)  # last: by it, the rest can be found

    return [Change(KIND, rule.name, "delete", apply=delete)]
