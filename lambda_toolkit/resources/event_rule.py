"""A function's schedule: an EventBridge rule, its target the alias, and the permission to invoke it."""

from __future__ import annotations

from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources import alias, invoke_permission, tags
from lambda_toolkit.resources.diff import differences
from lambda_toolkit.resources.invoke_permission import Permission
from lambda_toolkit.resources.tags import TagChange
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.ownership import as_list, as_mapping, derived_name, desired_tags, is_owned, require_owned

KIND = "schedule"
_TARGET = "lambda-script"
_INPUTS = ("Input", "InputPath", "InputTransformer")  # what the function gets in place of the event
_NOT_OURS = ("DeadLetterConfig", "RetryPolicy")  # of a target, which EventBridge takes as a whole
_NEW = ("ResourceNotFoundException",)  # a rule that was made a moment ago is not known everywhere
_STATEMENTS = f"{invoke_permission.PREFIX}schedule-"


def rule_name(function: str) -> str:
    """The name of the rule that starts ``function``."""
    return derived_name(function, "schedule")


def read_rules(aws: Aws, prefix: str) -> list[dict[str, Any]]:
    """The rules whose names begin with ``prefix``; read once."""
    return aws.cached(("rules", prefix), lambda: aws.list_all("events", "list_rules", "Rules", NamePrefix=prefix))


def read_target(aws: Aws, function: str, prefix: str) -> dict[str, Any] | None:
    """Our own target of the function's rule; ``None`` where either is missing. Read once."""
    if _find(aws, function, prefix) is None:
        return None
    rule = rule_name(function)
    targets = aws.cached(
        ("targets", rule), lambda: aws.list_all("events", "list_targets_by_rule", "Targets", Rule=rule)
    )
    return next((target for target in targets if target["Id"] == _TARGET), None)


def _find(aws: Aws, function: str, prefix: str) -> dict[str, Any] | None:
    return next((rule for rule in read_rules(aws, prefix) if rule["Name"] == rule_name(function)), None)


def plan(aws: Aws, spec: FunctionSpec, prefix: str) -> list[Change]:
    """The change that makes the function run by ``spec.schedule``, or no longer. Raises OwnershipError.

    Where ``spec`` says nothing of a schedule, none is read; where it is empty, it is removed. ``prefix`` is what
    functions are listed by.
    """
    if spec.schedule is None:
        return []
    name = rule_name(spec.name)
    live = _find(aws, spec.name, prefix)
    if not spec.schedule:
        return plan_removal(aws, spec.name, frozenset()) if live else []
    expression = spec.schedule
    function = alias.arn(aws, spec.name)
    rule = aws.arn("events", f"rule/{name}")
    permission = Permission("schedule", "events.amazonaws.com", rule, aws.account_id)
    allowed = invoke_permission.read(aws, spec.name)
    stale = [key for key in allowed if key.startswith(_STATEMENTS) and key != permission.statement_id]
    target: dict[str, Any] = {}
    tag_change: TagChange | None = None
    if live:
        live_tags = tags.tags_of(aws, rule, spec.tags, spec.name, lambda: _tags(aws, rule))
        require_owned("rule", name, live_tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
        tag_change = tags.compare(live_tags, spec.tags, spec.name)
        target = read_target(aws, spec.name, prefix) or {}
    known = (
        {
            "schedule": live.get("ScheduleExpression"),
            "state": live.get("State"),
            "event_pattern": live.get("EventPattern") or None,
        }
        if live
        else {}
    )
    # A pattern, set by other hands, lets events start the function as well.
    ruled = differences(known, {"schedule": expression, "state": "ENABLED", "event_pattern": None})
    targeted = differences(
        {"target": target.get("Arn"), "input": next((target[key] for key in _INPUTS if target.get(key)), None)},
        {"target": function, "input": None},
    )
    permission_differs = allowed.get(permission.statement_id) != rule
    found = (
        *ruled,
        *targeted,
        *([Difference("permission to invoke", None, function)] if permission_differs else []),
        *(tag_change.differences if tag_change else ()),
    )
    details = ("a permission that is no longer needed goes",) if stale else ()
    if not found and not details:
        return []

    def apply(aws: Aws) -> None:
        if ruled:
            labels = as_list(desired_tags(spec.tags, spec.name))
            made: dict[str, Any] = (
                {} if live else {"Tags": labels, "Description": f"Starts the Lambda function {spec.name}"}
            )
            # EventBridge takes a rule as a whole: what is not managed is said again
            described = {key: live[key] for key in ("Description", "RoleArn") if live and live.get(key)}
            aws.call(
                "events", "put_rule", Name=name, ScheduleExpression=expression, State="ENABLED", **made, **described
            )
        if tag_change:
            tag_change.apply(aws, "events", rule)
        if permission_differs:
            invoke_permission.grant(aws, spec.name, permission, allowed)
        if targeted:
            kept = {key: target[key] for key in _NOT_OURS if target.get(key)}
            targets = [{"Id": _TARGET, "Arn": function, **kept}]
            answer = aws.call("events", "put_targets", also_retry=_NEW, Rule=name, Targets=targets)
            _require_all(answer, f"schedule {name}")
        invoke_permission.revoke(aws, spec.name, stale)

    after: frozenset[Key] = frozenset({("function", spec.name)})
    if live is None:
        return [Change(KIND, name, "create", (expression, *details), after, apply=apply)]
    return [Change(KIND, name, "update", details, after, found, apply=apply)]


def plan_removal(aws: Aws, function: str, after: frozenset[Key]) -> list[Change]:
    """The change that removes the rule of ``function``, if the toolkit made it, and its permission."""
    name = rule_name(function)
    live = aws.find("events", "describe_rule", Name=name)
    if live is None or not is_owned(_tags(aws, aws.arn("events", f"rule/{name}")), function):
        return []
    statements = [key for key in invoke_permission.read(aws, function) if key.startswith(_STATEMENTS)]

    def delete(aws: Aws) -> None:
        targets = aws.list_all("events", "list_targets_by_rule", "Targets", Rule=name)
        if targets:
            answer = aws.call("events", "remove_targets", Rule=name, Ids=[target["Id"] for target in targets])
            _require_all(answer, f"schedule {name}", "let go of")
        invoke_permission.revoke(aws, function, statements)
        aws.find("events", "delete_rule", Name=name)  # last: by the rule, what is left half way is found again

    return [Change(KIND, name, "delete", (str(live.get("ScheduleExpression")),), after, apply=delete)]


def _tags(aws: Aws, rule: str) -> dict[str, str]:
    answer = aws.find("events", "list_tags_for_resource", ResourceARN=rule)
    return as_mapping(answer.get("Tags")) if answer else {}


def _require_all(answer: dict[str, Any], what: str, verb: str = "take") -> None:
    """EventBridge reports a target that it did not take, or let go, inside a successful answer."""
    if answer.get("FailedEntryCount"):
        entry = answer["FailedEntries"][0]
        raise AwsError(
            f"{what}: EventBridge did not {verb} its target: {entry.get('ErrorMessage')}.",
            code=str(entry.get("ErrorCode")),
        )
