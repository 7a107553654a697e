"""Queue triggers: the alias's own event source mapping is made, waited for, repaired, adopted and removed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lambda_script import (
    DeployError,
    OwnershipError,
    QueueTrigger,
    TriggerError,
)
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.spec.model import Deployment

REGION, ACCOUNT = "eu-west-2", "123456789012"  # moto's account
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:my-function"
LIVE = f"{FUNCTION}:live"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders"
KEY = ("event source mapping", "my-function on queue orders")
ALL = QueueTrigger(
    "orders",
    batch_size=100,
    batching_window=5,
    filters=({"body": {"kind": ["new", {"prefix": "ch"}]}},),
    report_failures=True,
    maximum_concurrency=5,
)


@pytest.fixture(autouse=True)
def _queues(client) -> None:
    failed = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": f"{QUEUE}-failed", "maxReceiveCount": "5"})}
    client("sqs").create_queue(QueueName="orders-failed")
    for name in ("orders", "returns"):
        client("sqs").create_queue(QueueName=name, Attributes={"VisibilityTimeout": "360", **failed})


def mappings(client) -> list[dict]:
    found = client("lambda").list_event_source_mappings()["EventSourceMappings"]
    return [item for item in found if item["State"] != "Deleting"]


def by_hand(client, function: str = FUNCTION, **settings: object) -> dict:
    return client("lambda").create_event_source_mapping(EventSourceArn=QUEUE, FunctionName=function, **settings)


def settle(client) -> None:
    for _ in range(4):
        client("lambda").list_event_source_mappings()


def _policy(resource: str) -> dict:
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def statements(client) -> list[dict]:
    return client("iam").get_role_policy(RoleName="my-function-role", PolicyName="lambda_script")["PolicyDocument"][
        "Statement"
    ]


def test_mapping_is_made_once_and_waited_for(script, client, recorder) -> None:
    """The role may poll before Lambda is asked to; the deploy ends when Lambda polls; no second plan changes it."""
    assert KEY in [change.key for change in script(queue_trigger="orders").deploy().done]
    assert recorder.writes.index("PutRolePolicy") < recorder.writes.index("CreateEventSourceMapping")
    assert recorder.writes.index("CreateAlias") < recorder.writes.index("CreateEventSourceMapping")
    [live] = mappings(client)
    assert (live["FunctionArn"], live["State"], live["BatchSize"]) == (LIVE, "Enabled", 10)
    tags = client("lambda").list_tags(Resource=live["EventSourceMappingArn"])["Tags"]
    assert tags == {
        "managed-by": "lambda_script",
        "lambda-script:function": "my-function",
        "application": "my-function",
        "stage": "dev",
    }
    recorder.clear()
    for same in ("orders", QUEUE, [QueueTrigger("orders")], {"queue": "orders"}):
        assert not script(queue_trigger=same).plan()
    assert recorder.writes == []
    assert recorder.calls.count("ListEventSourceMappings") == 4, "one list per plan"


def test_one_list_serves_all_and_others_need_none(aws, script, client, recorder) -> None:
    def shop(**declared) -> Deployment:
        one = script(**declared).spec
        two = replace(one, name="other")
        return Deployment((one, two), application="shop", stage="dev")

    assert execute(aws, make_plan(aws, shop(queue_trigger="orders"))).ok
    recorder.clear()
    assert not make_plan(aws, shop(queue_trigger="orders"), prune=True)
    assert recorder.calls.count("ListEventSourceMappings") == 1
    assert recorder.calls.count("GetQueueAttributes") == 1, "both triggers are on one queue"
    assert {"GetEventSourceMapping", "ListTags"}.isdisjoint(recorder.calls)
    assert execute(aws, make_plan(aws, shop(queue_trigger=()))).ok
    assert mappings(client) == []
    recorder.clear()
    assert not make_plan(aws, shop(), prune=True)
    assert not [name for name in recorder.calls if "EventSource" in name or "Queue" in name]


def test_mapping_changed_by_hand_is_restored(script, client, recorder) -> None:
    script(queue_trigger=ALL).deploy()
    made = mappings(client)[0]
    uuid, lambda_ = made["UUID"], client("lambda")
    assert made["FilterCriteria"] == {"Filters": [{"Pattern": '{"body":{"kind":["new",{"prefix":"ch"}]}}'}]}
    changed = {
        "batch_size": {"BatchSize": 50},
        "batching_window": {"MaximumBatchingWindowInSeconds": 9},
        "filters": {"FilterCriteria": {}},
        "report_failures": {"FunctionResponseTypes": []},
        "maximum_concurrency": {"ScalingConfig": {}},
        "enabled": {"Enabled": False},
        "function": {"FunctionName": f"{FUNCTION}"},
    }
    for name, settings in changed.items():
        lambda_.update_event_source_mapping(UUID=uuid, **settings)
        settle(client)
        [planned] = script(queue_trigger=ALL).plan().changes
        assert (planned.key, planned.action) == (KEY, "update")
        assert [item.attribute for item in planned.differences] == [name]
        recorder.clear()
        assert script(queue_trigger=ALL).deploy().ok
        assert recorder.writes == ["UpdateEventSourceMapping"]
        assert not script(queue_trigger=ALL).plan()
    [live] = mappings(client)
    kept = ("UUID", "BatchSize", "FilterCriteria", "FunctionResponseTypes", "ScalingConfig", "FunctionArn")
    assert {key: live[key] for key in kept} == {key: made[key] for key in kept}
    lambda_.untag_resource(Resource=live["EventSourceMappingArn"], TagKeys=["stage"])
    assert [str(item) for item in script(queue_trigger=ALL).plan().changes[0].differences] == [
        "tags.stage: none -> dev"
    ]
    lambda_.delete_event_source_mapping(UUID=uuid)
    [planned] = script(queue_trigger=ALL).plan().changes
    assert (planned.key, planned.action) == (KEY, "create")
    assert script(queue_trigger=ALL).deploy().ok, "the former one is still being deleted"
    assert [item["BatchSize"] for item in mappings(client)] == [100]


def test_settings_that_are_not_declared_become_lambdas(script, client) -> None:
    """What a trigger has no field for stays."""
    script(queue_trigger=ALL).deploy()
    [live] = mappings(client)
    client("lambda").update_event_source_mapping(UUID=live["UUID"], MetricsConfig={"Metrics": ["EventCount"]})
    settle(client)
    [change] = script(queue_trigger="orders").deploy().done
    shown = [str(item) for item in change.differences]
    assert shown[:2] == ["batch_size: 100 -> 10", "batching_window: 5 -> 0"]
    [live] = mappings(client)
    assert (live["BatchSize"], live["FilterCriteria"], live["ScalingConfig"]) == (10, {}, {})
    assert live["MetricsConfig"] == {"Metrics": ["EventCount"]}
    assert not script(queue_trigger="orders").plan()


def test_disabled_trigger_is_waited_for(script, client) -> None:
    script(queue_trigger=QueueTrigger("orders", enabled=False)).deploy()
    assert mappings(client)[0]["State"] == "Disabled"
    [change] = script(queue_trigger="orders").deploy().done
    assert [str(item) for item in change.differences] == ["enabled: False -> True"]
    assert mappings(client)[0]["State"] == "Enabled"


def test_another_queue_takes_the_place_of_the_first(script, client) -> None:
    script(queue_trigger="orders").deploy()
    done = script(queue_trigger="returns").deploy().done
    assert {(change.name, change.action) for change in done if change.kind == KEY[0]} == {
        ("my-function on queue orders", "delete"),
        ("my-function on queue returns", "create"),
    }
    [live] = mappings(client)
    assert live["EventSourceArn"].endswith(":returns")
    assert QUEUE not in json.dumps(statements(client)), "the right to poll the first one is taken away"


def test_no_trigger_any_more_ends_the_polling(script, client, recorder) -> None:
    script(queue_trigger="orders").deploy()
    theirs = by_hand(client, f"{FUNCTION}:$LATEST")
    settle(client)
    recorder.clear()
    assert not script().plan(), "without a declaration it stays"
    assert "ListEventSourceMappings" not in recorder.calls
    done = script(queue_trigger=()).deploy().done
    assert {(str(change.kind), change.action) for change in done} == {("role", "update"), (KEY[0], "delete")}
    assert [item["UUID"] for item in mappings(client)] == [theirs["UUID"]], "that of others stays"
    assert "sqs:" not in json.dumps(statements(client))
    assert not script(queue_trigger=()).plan()


def test_prune_removes_a_mapping_that_is_undeclared(aws, script, client) -> None:
    def shop(**declared) -> Deployment:
        return Deployment((script(**declared).spec,), application="shop", stage="dev")

    assert execute(aws, make_plan(aws, shop(queue_trigger="orders"))).ok
    [change] = make_plan(aws, shop(), prune=True).changes
    assert (change.key, change.action) == (KEY, "delete")
    assert execute(aws, make_plan(aws, Deployment(application="shop", stage="dev"), prune=True)).ok
    assert mappings(client) == [], "with the function, its mapping"


def test_destroy_deletes_only_its_own_mapping(script, client, recorder) -> None:
    """Also where the function was deleted, as Lambda keeps its mappings."""
    declared = script(queue_trigger="orders")
    declared.deploy()
    recorder.clear()
    assert declared.destroy().ok
    assert recorder.writes.index("DeleteEventSourceMapping") < recorder.writes.index("DeleteFunction")
    assert mappings(client) == []
    declared.deploy()
    theirs = by_hand(client)
    client("lambda").delete_function(FunctionName="my-function")
    settle(client)
    assert declared.destroy().ok
    assert [item["UUID"] for item in mappings(client)] == [theirs["UUID"]]


def test_orphaned_mapping_invokes_the_new_function(script, client) -> None:
    """One that was left when its function was deleted is found by its tags, and serves the new one."""
    script(queue_trigger="orders").deploy()
    client("lambda").delete_function(FunctionName="my-function")
    assert script(queue_trigger="orders").deploy().ok
    assert [item["State"] for item in mappings(client)] == ["Enabled"]
    assert not script(queue_trigger="orders").plan()


@pytest.mark.parametrize("function", [FUNCTION, LIVE], ids=["beside the alias", "of the alias"])
def test_mapping_made_by_hand_is_adopted_or_refused(script, client, recorder, function) -> None:
    script().deploy()
    client("iam").put_role_policy(
        RoleName="my-function-role",
        PolicyName="theirs",
        PolicyDocument=json.dumps(_policy("*")),
    )
    made = by_hand(client, function, BatchSize=3)
    settle(client)
    recorder.clear()
    with pytest.raises(OwnershipError, match="beside its alias `live`|is not managed by this toolkit"):
        script(queue_trigger="orders").deploy()
    assert recorder.writes == []
    assert script(queue_trigger="orders", adopt=True).deploy().ok
    [live] = mappings(client)
    assert (live["UUID"], live["FunctionArn"], live["BatchSize"]) == (made["UUID"], LIVE, 10), "it keeps its place"
    assert not script(queue_trigger="orders").plan()


def test_second_mapping_beside_the_alias_is_removed_when_adopted(script, client) -> None:
    script(queue_trigger="orders").deploy()
    by_hand(client)
    settle(client)
    with pytest.raises(OwnershipError, match="beside its alias"):
        script(queue_trigger="orders").plan()
    assert script(queue_trigger="orders", adopt=True).deploy().ok
    assert [item["FunctionArn"] for item in mappings(client)] == [LIVE]


def test_queue_that_does_not_exist_is_said_in_the_plan(script, client, recorder) -> None:
    declared = script(queue_trigger="ordres")
    note = "there is no queue ordres yet, and this plan does not create it: event source mapping my-function on queue"
    assert any(found.startswith(note) for found in declared.plan().notes)
    with pytest.raises(DeployError, match="There is no queue ordres to trigger my-function. Create it"):
        declared.deploy()
    assert "CreateEventSourceMapping" not in recorder.calls
    client("sqs").create_queue(QueueName="ordres", Attributes={"VisibilityTimeout": "360"})
    assert [change.name for change in declared.deploy().done] == ["my-function on queue ordres"]
    url = client("sqs").get_queue_url(QueueName="ordres")["QueueUrl"]
    client("sqs").delete_queue(QueueUrl=url)
    assert "There is no queue ordres to trigger my-function. Create it, or correct its name" in declared.plan().notes


def test_visibility_timeout_is_compared_with_the_functions(script, client, recorder) -> None:
    """Shorter is refused before a call, as Lambda would; less than six times as long is said."""
    url = client("sqs").create_queue(QueueName="quick")["QueueUrl"]  # 30 s
    with pytest.raises(TriggerError, match="shows a message again after 30 s, and `my-function` may run for 60 s"):
        script(queue_trigger="quick").deploy()
    assert recorder.writes == []
    notes = script(queue_trigger="quick", timeout=30).plan().notes
    assert any("its visibility timeout is 30 s; AWS advises 180 s" in note for note in notes)
    assert any("queue quick has no dead-letter queue" in note for note in notes)
    client("sqs").set_queue_attributes(
        QueueUrl=url,
        Attributes={"VisibilityTimeout": "180", "KmsMasterKeyId": "alias/shop", "RedrivePolicy": ""},
    )
    assert not any("visibility" in note for note in script(queue_trigger="quick", timeout=30).plan().notes)
    window = QueueTrigger("quick", batching_window=1)
    assert any("AWS advises 181 s" in note for note in script(queue_trigger=window, timeout=30).plan().notes)
    assert any("needs kms:Decrypt" in note for note in script(queue_trigger=window, timeout=30).plan().notes)
    decrypt = [{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}]
    notes = script(queue_trigger=window, timeout=30, permissions=decrypt).plan().notes
    assert not any("kms:" in note for note in notes)


def test_what_lambda_says_of_its_last_attempt_is_a_note(script, session) -> None:
    def as_on_aws(parsed: dict, **_: object) -> None:
        for item in parsed["EventSourceMappings"]:
            item["LastProcessingResult"] = "PROBLEM: Function call failed"

    session.events.register("after-call.lambda.ListEventSourceMappings", as_on_aws)
    script(queue_trigger="orders").deploy()
    plan = script(queue_trigger="orders").plan()
    assert plan.notes == (
        "queue orders: Lambda's last attempt to poll it for my-function, or to deliver: PROBLEM: Function call failed",
    )


def test_mapping_that_the_list_does_not_show_is_found(aws, script, client, session) -> None:
    """The list lags: Lambda says that the mapping exists, and it becomes what is declared."""
    stale = [0]

    def lagging(parsed: dict, **_: object) -> None:
        stale[0] -= 1
        if stale[0] >= 0:
            parsed["EventSourceMappings"] = []

    session.events.register("after-call.lambda.ListEventSourceMappings", lagging)
    script(queue_trigger="orders").deploy()
    stale[0] = 4
    [change] = script(queue_trigger=ALL).deploy().done
    assert (change.key, change.action) == (KEY, "create")
    assert [item["BatchSize"] for item in mappings(client)] == [100]


def test_mapping_that_is_in_use_is_waited_for(script, client) -> None:
    script(queue_trigger="orders").deploy()
    [live] = mappings(client)
    client("lambda").update_event_source_mapping(UUID=live["UUID"], BatchSize=5)
    assert script(queue_trigger=QueueTrigger("orders", batch_size=7)).deploy().ok
    assert mappings(client)[0]["BatchSize"] == 7
    client("lambda").update_event_source_mapping(UUID=live["UUID"], BatchSize=5)
    assert script(queue_trigger=()).deploy().ok
    assert mappings(client) == []


def test_given_role_is_not_written(script, client, recorder) -> None:
    """Its statements are printed for whoever writes it; the mapping waits for no change of it."""
    arn = client("iam").create_role(RoleName="given", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("iam").put_role_policy(RoleName="given", PolicyName="own", PolicyDocument=json.dumps(_policy(QUEUE)))
    assert script(queue_trigger="orders", role=arn).deploy().ok
    assert not [name for name in recorder.writes if "Role" in name]


def test_fifo_queue_has_no_window(script, client) -> None:
    attributes = {"FifoQueue": "true", "VisibilityTimeout": "360"}
    client("sqs").create_queue(QueueName="orders.fifo", Attributes=attributes)
    assert script(queue_trigger=QueueTrigger("orders.fifo", batch_size=5)).deploy().ok
    assert script(queue_trigger="orders.fifo").deploy().ok
    assert mappings(client)[0]["BatchSize"] == 10


def test_destroy_looks_once_for_all_functions(aws, script, recorder) -> None:
    one = script(queue_trigger="orders").spec
    deployment = Deployment((one, replace(one, name="other")), application="shop", stage="dev")
    assert execute(aws, make_plan(aws, deployment)).ok
    recorder.clear()
    assert execute(aws, make_destroy_plan(aws, deployment)).ok
    assert recorder.calls.count("ListEventSourceMappings") == 1
