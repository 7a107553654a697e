"""Rules of EventBridge, with a schedule and with a pattern: what of them is planned, and which calls follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.changes import Change
from lambda_toolkit.errors import AwsError, OwnershipError
from lambda_toolkit.resources.planning.invoke_permission import Permission
from lambda_toolkit.resources.schedules import event_rule, handover
from lambda_toolkit.resources.triggers import event_pattern_rule
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.ownership import as_list
from lambda_toolkit.spec.schedules.schedule import Schedule
from lambda_toolkit.spec.triggers.event import EventTrigger
from tests.support.answering_aws import AnsweringAccount, planning

LIVE = "arn:aws:lambda:eu-west-2:123456789012:function:f:live"
RULES = "arn:aws:events:eu-west-2:123456789012:rule"
OURS = {"managed-by": "lambda_script", "lambda-script:function": "f"}
TARGET = {"Id": "lambda-script", "Arn": LIVE}
KEPT = {"DeadLetterConfig": {"Arn": "queue"}, "RetryPolicy": {"MaximumRetryAttempts": 1}}
THEIR_TARGET = {"Id": "theirs", "Arn": "arn"}
PATTERN = {"source": ["shop"]}
DAILY, TRIGGERED = {"schedule": "rate(1 day)"}, {"event_triggers": (EventTrigger(PATTERN, "a"),)}
MODULES = {event_rule: (DAILY, "f-schedule", "schedule"), event_pattern_rule: (TRIGGERED, "f-a", "event")}
AS_DECLARED = {
    event_rule: {"Name": "f-schedule", "State": "ENABLED", "ScheduleExpression": "rate(1 day)"},
    event_pattern_rule: {"Name": "f-a", "State": "ENABLED", "EventPattern": json.dumps(PATTERN)},
}


def allowed(purpose: str, *rules: str) -> list[tuple[str, str]]:
    """The statements that the toolkit writes for rules, by their ids."""
    arns = [f"{RULES}/{rule}" for rule in rules]
    return [(Permission(purpose, "events.amazonaws.com", arn, "123456789012").statement_id, arn) for arn in arns]


def account(module: Any, **different: Any) -> Any:
    """With the rule as it is declared of ``f``, its target and its permission, save for what is ``different``."""
    _, name, purpose = MODULES[module]
    given: dict[str, Any] = {
        "rule": AS_DECLARED[module],
        "targets": [THEIR_TARGET, TARGET],
        "grants": allowed(purpose, name),
        "tags": OURS,
        **different,
    }
    statements = [
        {"Sid": sid, "Resource": LIVE, "Condition": {"ArnLike": {"AWS:SourceArn": arn}}} for sid, arn in given["grants"]
    ]
    rule = given["rule"]
    return AnsweringAccount(
        list_rules=[{"Name": f"{name}-2"}, *([rule] if rule else [])],
        describe_rule=lambda **on: rule if on["Name"] == name else None,
        list_targets_by_rule=given["targets"],
        get_policy={"Policy": json.dumps({"Statement": statements})},
        list_tags_for_resource={"Tags": as_list(given["tags"])},
        get_function={"Configuration": {"FunctionName": "f"}, "Tags": OURS},
        put_targets={},
        **given.get("more", {}),
    )


def plan(module: Any, aws: Any, **declared: Any) -> list[Change]:
    spec = FunctionSpec(**{"name": "f", "source": Path("f.py"), **(declared or MODULES[module][0])})
    return list(module.plan(planning(aws, spec)))


def said(change: Change) -> list[str]:
    return [*change.details, *map(str, change.differences)]


PUT_RULE, PUT_TARGET, ALLOW = "put_rule", "put_targets", "add_permission"
BOTH: tuple[tuple[dict[str, Any], str, list[str]], ...] = (
    ({"targets": [THEIR_TARGET]}, f"target: none -> {LIVE}", [PUT_TARGET]),
    ({"targets": [{**TARGET, **KEPT, "Arn": "arn"}]}, f"target: arn -> {LIVE}", [PUT_TARGET]),
    ({"targets": [{**TARGET, "Input": "{}"}]}, "input: {} -> none", [PUT_TARGET]),
    ({"targets": [{**TARGET, "InputPath": "$.a"}]}, "input: $.a -> none", [PUT_TARGET]),
    ({"grants": []}, f"permission to invoke: none -> {LIVE}", [ALLOW]),
    ({"tags": {**OURS, "managed-by": "lambda_script", "x": "y"}}, "", []),
)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(("different", "says", "writes"), BOTH)
def test_only_what_differs_of_a_rule_is_written(module: Any, different: Any, says: str, writes: list[str]) -> None:
    aws = account(module, **different)
    changes = plan(module, aws)
    assert [said(change) for change in changes] == ([[says]] if says else [])
    for change in changes:
        assert (change.action, change.name, change.after) == ("update", MODULES[module][1], {(Kind.FUNCTION, "f")})
        change.apply(aws)
    assert [name for name, _ in aws.writes] == writes
    if "arn ->" in says:
        assert aws.writes[0][1]["Targets"] == [{**TARGET, **KEPT}], "what is not managed of a target stays"


@pytest.mark.parametrize("module", MODULES)
def test_rule_is_made_with_its_permission_before_its_target(module: Any) -> None:
    declared, name, _ = MODULES[module]
    aws = account(module, rule=None, grants=[])
    [change] = plan(module, aws)
    shown = {event_rule: "rate(1 day)", event_pattern_rule: '{"source":["shop"]}'}[module]
    assert (change.action, said(change), change.after) == ("create", [shown], {(Kind.FUNCTION, "f")})
    change.apply(aws)
    rule, permission, target = aws.writes
    assert [rule[0], permission[0], target[0]] == [PUT_RULE, ALLOW, PUT_TARGET]
    assert rule[1]["Tags"] == as_list(OURS)
    assert permission[1]["SourceArn"] == f"{RULES}/{name}"
    assert permission[1]["Principal"] == "events.amazonaws.com"
    assert target[1]["Targets"] == [TARGET]
    assert plan(module, account(module, rule=None), **dict.fromkeys(declared)) == []
    grown = account(module, tags={"managed-by": "lambda_script", "lambda-script:function": "f"})
    [tagged] = plan(module, grown, **declared, tags={"team": "data"})
    assert said(tagged) == ["tags.team: none -> data"]
    tagged.apply(grown)
    team = {"ResourceARN": f"{RULES}/{name}", "Tags": [{"Key": "team", "Value": "data"}]}
    assert grown.writes == [("tag_resource", team)]


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("tags", [{}, {**OURS, "lambda-script:function": "g"}, {**OURS, "stage": "prod"}])
def test_rule_of_others_is_refused_or_adopted(module: Any, tags: dict[str, str]) -> None:
    declared = {**MODULES[module][0], "tags": {"stage": "dev"}}
    with pytest.raises(OwnershipError):
        plan(module, account(module, tags=tags), **declared)
    [change] = plan(module, account(module, tags=tags), **declared, adopt=True)
    assert all(each.startswith("tags.") for each in said(change))


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"ScheduleExpression": "rate(2 days)"}, "schedule: rate(2 days) -> rate(1 day)"),
        ({"State": "DISABLED"}, "state: DISABLED -> ENABLED"),
        ({"EventPattern": "{}"}, "event_pattern: {} -> none"),
    ],
)
def test_schedule_of_a_rule_that_was_changed_by_hand(rule: dict[str, str], says: str) -> None:
    kept = {"Description": "theirs", "RoleArn": "arn"}
    aws = account(event_rule, rule={**AS_DECLARED[event_rule], **rule, **kept})
    [change] = plan(event_rule, aws)
    assert said(change) == [says]
    change.apply(aws)
    assert aws.writes == [(PUT_RULE, {**AS_DECLARED[event_rule], **kept})]


def test_permission_of_an_earlier_schedule_is_removed() -> None:
    [(sid, arn), (old, _)] = allowed("schedule", "f-schedule", "old")
    others = allowed("event", "f-a")
    aws = account(event_rule, grants=[(sid, arn), (old, "x"), *others])
    [change] = plan(event_rule, aws)
    assert (change.action, said(change)) == ("update", ["removes a permission that is no longer needed"])
    change.apply(aws)
    assert aws.writes == [("remove_permission", {"FunctionName": "f", "Qualifier": "live", "StatementId": old})]
    wrong = account(event_rule, grants=[(sid, "x")])
    [again] = plan(event_rule, wrong)
    again.apply(wrong)
    assert [name for name, _ in wrong.writes] == ["remove_permission", ALLOW], "the id is right, the rule is not"


@pytest.mark.parametrize("module", MODULES)
def test_rule_is_deleted_with_its_targets_and_permission(module: Any) -> None:
    """Last what shows the rest: the rule of a schedule, the permission of one with a pattern."""
    declared, name, purpose = MODULES[module]
    others = allowed({"schedule": "event", "event": "schedule"}[purpose], "other")

    def removal(aws: Any, **more: Any) -> list[Change]:
        spec = FunctionSpec(**{"name": "f", "source": Path("f.py"), **declared, **more})
        return list(module.plan_removal(planning(aws, spec)))

    aws = account(module, grants=[*allowed(purpose, name), *others])
    [change] = removal(aws)
    assert (change.action, change.name) == ("delete", name)
    change.apply(aws)
    revoked = ("remove_permission", allowed(purpose, name)[0][0])
    order = [("remove_targets", ["theirs", "lambda-script"]), ("delete_rule", name), revoked]
    found = [(called, on.get("Ids") or on.get("StatementId") or on["Name"]) for called, on in aws.writes]
    assert found == ([order[0], revoked, order[1]] if module is event_rule else order)
    bare = account(module, targets=[], grants=[])
    removal(bare)[0].apply(bare)
    assert [called for called, _ in bare.writes] == ["delete_rule"]
    failed = {"FailedEntryCount": 1, "FailedEntries": [{"ErrorCode": "Limit", "ErrorMessage": "no"}]}
    refusing = account(module, more={"remove_targets": failed})
    with pytest.raises(AwsError, match=f"{name}: EventBridge did not remove its target: no"):
        removal(refusing)[0].apply(refusing)
    for different in ({"rule": None}, {"tags": {}}, {"tags": {**OURS, "lambda-script:function": "g"}}):
        assert removal(account(module, grants=[], **different)) == []


def test_rule_that_is_not_declared_is_found_by_its_tags() -> None:
    tagged = {"rule/f-schedule", "rule/f-a", "function:f"}

    def undeclared(module: Any, names: Any = tagged, **declared: Any) -> list[str]:
        spec = FunctionSpec(**{"name": "f", "source": Path("f.py"), **declared})
        return [change.name for change in module.plan_undeclared(planning(account(module), spec), names)]

    assert (undeclared(event_rule), undeclared(event_pattern_rule)) == (["f-schedule"], ["f-a"])
    assert undeclared(event_rule, **DAILY) == undeclared(event_pattern_rule, **TRIGGERED) == []
    assert undeclared(event_rule, schedule="") == undeclared(event_pattern_rule, event_triggers=()) == []
    assert undeclared(event_rule, {"rule/f-a"}) == undeclared(event_pattern_rule, {"rule/f-schedule"}) == []


def test_rule_with_a_pattern_is_found_by_its_permission() -> None:
    """That of a rule that is not there, or not the toolkit's, is revoked alone."""
    rules = allowed("event", "f-a", "shop/f-b")
    aws = account(event_pattern_rule, grants=[*rules, *allowed("schedule", "f-schedule")])
    assert [change.name for change in plan(event_pattern_rule, aws, event_triggers=())] == ["f-a", "f-b"]
    for different in ({"rule": None}, {"tags": {}}):
        others = account(event_pattern_rule, **different)
        [change] = plan(event_pattern_rule, others, event_triggers=())
        change.apply(others)
        assert [called for called, _ in others.writes] == ["remove_permission"]
    new = account(event_pattern_rule)
    new.answers["get_function"] = None
    assert plan(event_pattern_rule, new, event_triggers=()) == [], "what a function that is not ours allows"


@pytest.mark.parametrize(("bus", "exists", "missing"), [("default", False, 0), ("shop", True, 0), ("shop", False, 1)])
def test_bus_of_a_new_rule_is_looked_for(bus: str, exists: bool, missing: int) -> None:
    aws = account(event_pattern_rule, rule=None, grants=[], more={"describe_event_bus": {} if exists else None})
    [change] = plan(event_pattern_rule, aws, event_triggers=(EventTrigger(PATTERN, "a", bus),))
    assert change.missing == ({(Kind.EVENT_BUS, "shop")} if missing else set())
    assert change.details[1:] == (() if bus == "default" else ("bus shop",))


def test_rule_is_removed_once_schedules_replace_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[tuple[str, Any]] = []
    monkeypatch.setattr(handover, "wait", lambda _aws, what, old: waited.append((what, old.expression)))
    aws = account(event_rule)
    schedules = tuple(Schedule("rate(1 day)", "Asia/Tokyo", name) for name in "ab")
    [change] = plan(event_rule, aws, schedule="", schedules=schedules)
    assert change.after == {(Kind.SCHEDULE, "f.a"), (Kind.SCHEDULE, "f.b")}
    change.apply(aws)
    assert waited == [("schedule f-schedule", "rate(1 day)")]
    assert aws.writes[-1] == ("delete_rule", {"Name": "f-schedule"})
    [alone] = plan(event_rule, account(event_rule), schedule="")
    assert (alone.action, alone.after, alone.details) == ("delete", frozenset(), ("rate(1 day)",))
    assert plan(event_rule, account(event_rule, rule=None), schedule="") == []


@pytest.mark.parametrize(
    ("different", "ready"),
    [
        ({}, True),
        ({"rule": None}, False),
        ({"targets": []}, False),
        ({"rule": {**AS_DECLARED[event_rule], "State": "DISABLED"}}, False),
        ({"rule": {**AS_DECLARED[event_rule], "ScheduleExpression": "rate(2 days)"}}, False),
    ],
)
def test_rule_is_ready_once_it_starts_its_target(different: dict[str, Any], ready: bool) -> None:
    aws, spec = account(event_rule, **different), FunctionSpec("f", Path("f.py"), schedule="rate(1 day)")
    assert event_rule.exists(planning(aws, spec)) is (different.get("rule", True) is not None)
    if ready:
        event_rule.require_ready(aws, spec)
        return
    with pytest.raises(AwsError, match="schedule f-schedule is as declared: not true"):
        event_rule.require_ready(aws, spec)
