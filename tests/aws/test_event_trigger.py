"""Event triggers: rules of EventBridge with a pattern, each with the alias as its target."""

from __future__ import annotations

import json

import pytest

from lambda_script import DeployError, EventTrigger, LimitError, OwnershipError, TriggerError
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.spec.model import Deployment

REGION, ACCOUNT = "eu-west-2", "123456789012"  # moto's account
LIVE = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:my-function:live"
PATTERN = {"source": ["shop"], "detail-type": ["order placed"], "detail": {"total": [{"numeric": [">", 100]}]}}
KEY = ("event trigger", "my-function-events")


def rules(client, bus: str = "default") -> dict[str, dict]:
    return {item["Name"]: item for item in client("events").list_rules(EventBusName=bus)["Rules"]}


def sources(client) -> set[str]:
    try:
        policy = client("lambda").get_policy(FunctionName="my-function", Qualifier="live")["Policy"]
    except client("lambda").exceptions.ResourceNotFoundException:
        return set()
    return {
        item["Condition"]["ArnLike"]["AWS:SourceArn"].rpartition(":")[2] for item in json.loads(policy)["Statement"]
    }


def test_rule_is_made_once_beside_the_schedule(script, client, recorder) -> None:
    declared = {"event_trigger": {"pattern": PATTERN}, "schedule": "@daily"}
    script(**declared).deploy()
    rule = rules(client)["my-function-events"]
    assert json.loads(rule["EventPattern"]) == PATTERN
    assert set(rules(client)) == {"my-function-events", "my-function-schedule"}
    assert sources(client) == {"rule/my-function-events", "rule/my-function-schedule"}
    [target] = client("events").list_targets_by_rule(Rule="my-function-events")["Targets"]
    assert target["Arn"] == LIVE
    recorder.clear()
    assert not script(**declared).plan()
    assert not script(schedule="@daily").plan(), "without a declaration it stays"
    assert recorder.writes == []
    assert recorder.calls.count("DescribeRule") == 1


def test_rule_changed_by_hand_is_restored(script, client) -> None:
    declared = script(event_trigger=EventTrigger(PATTERN))
    declared.deploy()
    events, rule = client("events"), "my-function-events"
    arn = rules(client)[rule]["Arn"]
    policy = client("lambda").get_policy(FunctionName="my-function", Qualifier="live")["Policy"]
    sid = json.loads(policy)["Statement"][0]["Sid"]
    by_hand = {
        "pattern": lambda: events.put_rule(Name=rule, EventPattern='{"source": ["other"]}'),
        "enabled": lambda: events.disable_rule(Name=rule),
        "target": lambda: events.put_targets(
            Rule=rule, Targets=[{"Id": "lambda-script", "Arn": LIVE.removesuffix(":live")}]
        ),
        "input": lambda: events.put_targets(Rule=rule, Targets=[{"Id": "lambda-script", "Arn": LIVE, "Input": "{}"}]),
        "permission to invoke": lambda: client("lambda").remove_permission(
            FunctionName="my-function", Qualifier="live", StatementId=sid
        ),
        "tags.stage": lambda: events.untag_resource(ResourceARN=arn, TagKeys=["stage"]),
    }
    for name, change in by_hand.items():
        change()
        [planned] = declared.plan().changes
        assert (planned.key, planned.action) == (KEY, "update")
        assert [item.attribute for item in planned.differences] == [name]
        assert declared.deploy().ok
        assert not declared.plan()
    [change] = script(event_trigger=EventTrigger(PATTERN, enabled=False)).deploy().done
    assert [str(item) for item in change.differences] == ["enabled: True -> False"]
    assert rules(client)[rule]["State"] == "DISABLED"


def test_triggers_come_and_go_by_their_names(script, client) -> None:
    client("events").create_event_bus(Name="shop")
    two = [EventTrigger(PATTERN), EventTrigger({"source": ["till"]}, name="till", bus="shop")]
    script(event_trigger=two, schedule="@daily").deploy()
    assert sources(client) == {"rule/my-function-events", "rule/shop/my-function-till", "rule/my-function-schedule"}
    assert not script(event_trigger=two).plan()
    done = script(event_trigger=two[1]).deploy().done
    assert [(change.key, change.action) for change in done] == [(KEY, "delete")]
    assert set(rules(client, "shop")) == {"my-function-till"}
    script(event_trigger=()).deploy()
    assert (set(rules(client)), rules(client, "shop")) == ({"my-function-schedule"}, {})
    assert sources(client) == {"rule/my-function-schedule"}


def test_prune_and_destroy_remove_the_rules(aws, script, client) -> None:
    def shop(**declared) -> Deployment:
        return Deployment((script(**declared).spec,), application="shop", stage="dev")

    assert execute(aws, make_plan(aws, shop(event_trigger={"pattern": PATTERN}))).ok
    [change] = make_plan(aws, shop(), prune=True).changes
    assert (change.key, change.action) == (KEY, "delete")
    nothing = Deployment(application="shop", stage="dev")
    assert execute(aws, make_plan(aws, nothing, prune=True, delete_data=True)).ok
    assert rules(client) == {}
    declared = script(event_trigger={"pattern": PATTERN})
    declared.deploy()
    client("lambda").delete_function(FunctionName="my-function")
    assert declared.destroy().ok
    assert rules(client) == {}, "also where the function was deleted with its permissions"


def test_rule_of_others_is_adopted_or_refused(script, client, recorder) -> None:
    client("events").put_rule(Name="my-function-events", EventPattern='{"source": ["theirs"]}', Description="theirs")
    with pytest.raises(OwnershipError, match="is not managed by this toolkit"):
        script(event_trigger={"pattern": PATTERN}).deploy()
    assert recorder.writes == []
    assert script(event_trigger={"pattern": PATTERN}, adopt=True).deploy().ok
    rule = rules(client)["my-function-events"]
    assert (json.loads(rule["EventPattern"]), rule["Description"]) == (PATTERN, "theirs")


def test_bus_that_does_not_exist_is_said_in_the_plan(script) -> None:
    declared = script(event_trigger=EventTrigger(PATTERN, bus="shop"))
    assert any(note.startswith("there is no event bus shop yet") for note in declared.plan().notes)
    with pytest.raises(DeployError, match="shop"):
        declared.deploy()


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        ("orders", "event_trigger takes `pattern`"),
        ({"source": ["shop"]}, "event_trigger takes `pattern`"),
        ({"pattern": {}}, "its pattern must be a mapping"),
        ({"pattern": {"source": "shop"}}, r"`source` must be a list of values, such as \[\"shop\"\]"),
        ({"pattern": {"detail": {"kind": []}}}, "`detail.kind` must be a list"),
        ({"pattern": {"$or": [{"source": ["a"]}]}}, "must be a list of two or more patterns"),
        ({"pattern": PATTERN, "name": "schedule"}, "and not schedule"),
        ({"pattern": PATTERN, "name": "two words"}, "its name must be"),
        ({"pattern": PATTERN, "bus": "arn:aws:events:eu-west-2:123456789012:event-bus/shop"}, "not the name of an"),
        ([{"pattern": PATTERN}, {"pattern": PATTERN}], "two triggers on the event trigger `events`"),
    ],
)
def test_event_trigger_that_aws_would_reject_is_refused(script, recorder, trigger, message) -> None:
    with pytest.raises((TriggerError, LimitError), match=message):
        script(event_trigger=trigger).plan()
    assert recorder.writes == []
