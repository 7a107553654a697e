"""Topic triggers: the function's own subscription changes, those of others are preserved."""

from __future__ import annotations

import json

import pytest

from lambda_script import DeployError, LimitError, OwnershipError, TopicTrigger, TriggerError
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.spec.model import Deployment, TopicSpec

ACCOUNT = "123456789012"  # moto's
REGION = "eu-west-2"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:orders"
LIVE = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:my-function:live"
POLICY = {"kind": ["new", "changed"]}


@pytest.fixture
def topic(client) -> str:
    """A topic of others, with a subscription of theirs."""
    arn = client("sns").create_topic(Name="orders")["TopicArn"]
    client("sns").subscribe(TopicArn=arn, Protocol="email", Endpoint="theirs@example.com")
    return str(arn)


def subscriptions(client) -> dict[str, str]:
    found = client("sns").list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]
    return {item["Endpoint"]: item["SubscriptionArn"] for item in found}


def statements(client) -> list[dict]:
    try:
        policy = client("lambda").get_policy(FunctionName="my-function", Qualifier="live")["Policy"]
    except client("lambda").exceptions.ResourceNotFoundException:
        return []
    return json.loads(policy)["Statement"]


def test_subscription_is_made_once(script, client, recorder, topic) -> None:
    assert {change.kind for change in script(topic_trigger="orders").deploy().done} >= {"subscription"}
    assert recorder.writes.index("AddPermission") < recorder.writes.index("Subscribe")
    assert set(subscriptions(client)) == {LIVE, "theirs@example.com"}
    [statement] = statements(client)
    assert statement["Principal"]["Service"] == "sns.amazonaws.com"
    assert statement["Condition"]["ArnLike"] == {"AWS:SourceArn": TOPIC}
    recorder.clear()
    for same in ("orders", TOPIC, [TopicTrigger("orders")], {"topic": "orders"}):
        assert script(topic_trigger=same).deploy().done == ()
    assert recorder.writes == []
    assert recorder.calls.count("ListSubscriptionsByTopic") == 4, "one read per deploy"


def test_topic_of_the_same_deployment_is_created_first(aws, script, client) -> None:
    deployment = Deployment((script(topic_trigger="orders").spec,), topics=(TopicSpec("orders"),))
    assert execute(aws, make_plan(aws, deployment)).ok
    assert set(subscriptions(client)) == {LIVE}
    assert not make_plan(aws, deployment)
    report = execute(aws, make_destroy_plan(aws, deployment))
    assert report.ok
    kinds = [change.kind for change in report.done]
    assert kinds.index("subscription") < kinds.index("topic")
    assert client("sns").list_subscriptions()["Subscriptions"] == []


def test_whatever_was_changed_by_hand_is_restored(script, client, recorder, topic) -> None:
    declared = TopicTrigger("orders", POLICY, "MessageBody")
    script(topic_trigger=declared).deploy()
    sns, own = client("sns"), subscriptions(client)[LIVE]
    assert json.loads(sns.get_subscription_attributes(SubscriptionArn=own)["Attributes"]["FilterPolicy"]) == POLICY
    by_hand = {
        "filter_policy": lambda: sns.set_subscription_attributes(
            SubscriptionArn=own, AttributeName="FilterPolicy", AttributeValue='{"kind": ["other"]}'
        ),
        "filter_scope": lambda: sns.set_subscription_attributes(
            SubscriptionArn=own, AttributeName="FilterPolicyScope", AttributeValue="MessageAttributes"
        ),
        "permission to invoke": lambda: client("lambda").remove_permission(
            FunctionName="my-function", Qualifier="live", StatementId=statements(client)[0]["Sid"]
        ),
        "subscription": lambda: sns.unsubscribe(SubscriptionArn=own),
    }
    for name, change in by_hand.items():
        change()
        [planned] = script(topic_trigger=declared).plan().changes
        assert planned.kind == "subscription"
        assert (name in {item.attribute for item in planned.differences}) is (planned.action == "update")
        assert [change.key for change in script(topic_trigger=declared).deploy().done] == [planned.key]
        assert not script(topic_trigger=declared).plan()
    recorder.clear()
    assert [change.kind for change in script(topic_trigger="orders").deploy().done] == ["subscription"]
    assert recorder.writes == ["SetSubscriptionAttributes"]
    assert not script(topic_trigger="orders").plan(), "a filter that is not declared is removed"


def test_no_trigger_any_more_ends_the_subscription(script, client, topic) -> None:
    script(topic_trigger="orders").deploy()
    assert not script().plan(), "without a declaration it stays"
    [change] = script(topic_trigger=()).deploy().done
    assert (change.kind, change.action) == ("subscription", "delete")
    assert set(subscriptions(client)) == {"theirs@example.com"}
    assert statements(client) == []


def test_prune_ends_a_subscription_that_is_undeclared(aws, script, client, topic) -> None:
    def shop(**declared) -> Deployment:
        return Deployment((script(**declared).spec,), application="shop", stage="dev")

    assert execute(aws, make_plan(aws, shop(topic_trigger="orders"))).ok
    [change] = make_plan(aws, shop(), prune=True).changes
    assert (change.kind, change.action) == ("subscription", "delete")
    assert execute(aws, make_plan(aws, Deployment(application="shop", stage="dev"), prune=True)).ok
    assert set(subscriptions(client)) == {"theirs@example.com"}, "with the function, its subscription"


def test_destroy_ends_only_its_own_subscription(script, client, recorder, topic) -> None:
    script(topic_trigger="orders").deploy()
    recorder.clear()
    assert script(topic_trigger="orders").destroy().ok
    assert set(subscriptions(client)) == {"theirs@example.com"}
    assert recorder.writes.index("Unsubscribe") < recorder.writes.index("DeleteFunction")
    subscribed_again = client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=LIVE)
    assert script(topic_trigger="orders").destroy().ok, "without permissions, the declared topic is read"
    assert subscribed_again["SubscriptionArn"] not in subscriptions(client).values()


def test_subscription_beside_the_alias_is_adopted_or_refused(script, client, recorder, topic) -> None:
    script().deploy()
    unqualified = LIVE.removesuffix(":live")
    client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=unqualified)
    recorder.clear()
    with pytest.raises(OwnershipError, match="beside its alias `live`"):
        script(topic_trigger="orders").deploy()
    assert recorder.writes == []
    assert script(topic_trigger="orders", adopt=True).deploy().ok
    assert set(subscriptions(client)) == {LIVE, "theirs@example.com"}
    assert not script(topic_trigger="orders").plan()


def test_topic_that_does_not_exist_is_named(script, client) -> None:
    with pytest.raises(DeployError, match="There is no topic orders to trigger my-function"):
        script(topic_trigger="orders").deploy()


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        (5, "topic_trigger takes the name"),
        ({"name": "orders"}, "topic_trigger takes the name"),
        ({"topic": "orders", "filter_policy": "new"}, "topic_trigger takes the name"),
        ("", r"names no topic; topic_trigger=\[\] removes"),
        ("orders.fifo", "neither the name of a standard topic"),
        ("arn:aws:sqs:eu-west-2:123456789012:orders", "neither the name of a standard topic"),
        (["orders", "orders"], "two triggers on the topic `orders`"),
        ({"topic": "orders", "filter_scope": "Body"}, "`Body` must be MessageAttributes or MessageBody"),
        (f"arn:aws:sns:us-east-1:{ACCOUNT}:orders", "is in us-east-1, and the function is in eu-west-2"),
    ],
)
def test_trigger_that_aws_would_reject_is_refused(script, recorder, trigger, message) -> None:
    with pytest.raises((TriggerError, LimitError), match=message):
        script(topic_trigger=trigger).plan()
    assert recorder.writes == []


def test_address_that_is_not_confirmed_is_a_note(aws, session) -> None:
    """Nothing is sent to it, and nothing else would show that."""
    pending: list[str] = []

    def as_on_aws(parsed: dict, **_: object) -> None:
        for item in parsed.get("Subscriptions", ()):
            if item["Endpoint"] in pending:
                item["SubscriptionArn"] = "PendingConfirmation"

    session.events.register("after-call.sns.ListSubscriptionsByTopic", as_on_aws)
    declared = Deployment(topics=(TopicSpec("alerts", emails=("a@example.com", "b@example.com")),))
    assert execute(aws, make_plan(aws, declared)).ok
    assert make_plan(aws, declared).notes == ()
    pending.append("b@example.com")
    plan = make_plan(aws, declared)
    [note] = plan.notes
    assert note.startswith("b@example.com has not confirmed its subscription to topic alerts, so nothing is sent to it")
    assert plan.changes == ()
