"""Event source mappings as they are planned: which are the function's own, which stay, and what is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.errors import AwsError, OwnershipError, TriggerError
from lambda_toolkit.resources.triggers import event_source_mapping as mappings
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.triggers.queue import QueueTrigger
from lambda_toolkit.spec.triggers.stream import StreamTrigger
from tests.support.answering_aws import AnsweringAccount, planning

START = "arn:aws:{}:eu-west-2:123456789012:{}"
FUNCTION = START.format("lambda", "function:f")
LIVE = f"{FUNCTION}:live"
QUEUE, OTHER = START.format("sqs", "q"), START.format("sqs", "other")
STREAM = START.format("kinesis", "stream/clicks")
TABLE = START.format("dynamodb", "table/orders/stream/{}")
SCOPE = {"application": "shop", "stage": "dev"}
OURS = {**SCOPE, "managed-by": "lambda_script", "lambda-script:function": "f"}
TRIGGER = QueueTrigger("q")


def mapping(uuid: str, function: str = LIVE, source: str = QUEUE, **different: Any) -> dict[str, Any]:
    made = {"UUID": uuid, "FunctionArn": function, "EventSourceArn": source, "BatchSize": 10, "State": "Enabled"}
    return {**made, **different}


def account(*listed: dict[str, Any], theirs: str = "", visible: str = "360", **more: Any) -> Any:
    """``theirs``: the ids of mappings without the toolkit's tags."""

    def tags(Resource: str) -> Any:  # noqa: N803 - AWS's name of the parameter
        return {"Tags": {} if Resource.rpartition(":")[2] in theirs.split() else OURS}

    by_id = {item["UUID"]: item for item in listed}
    answers = {
        "list_event_source_mappings": list(listed),
        "get_event_source_mapping": lambda **on: by_id.get(on["UUID"]),
        "list_tags": tags,
        "get_queue_url": {"QueueUrl": "url"},
        "get_queue_attributes": {"Attributes": {"VisibilityTimeout": visible, "RedrivePolicy": "x"}},
        "describe_table": {"Table": {"LatestStreamArn": TABLE.format(2)}},
    }
    return AnsweringAccount(**{**answers, **more})


def context(aws: Any, **declared: Any) -> Any:
    return planning(
        aws, FunctionSpec(**{"name": "f", "source": Path("f.py"), "tags": SCOPE, "timeout": 60, **declared})
    )


def planned(aws: Any, **declared: Any) -> list[str]:
    changes = mappings.plan(context(aws, **declared))
    return [f"{change.action} {change.name}: {'; '.join(map(str, change.differences))}" for change in changes]


ONE = {"queue_triggers": (TRIGGER,)}
ADOPTED = {**ONE, "adopt": True}
OF_TABLE = {"stream_triggers": (StreamTrigger("", "orders"),)}
MOVED = f"update f on queue q: function: {FUNCTION} -> {LIVE}"
PLANNED: tuple[tuple[Any, dict[str, Any], list[str]], ...] = (
    (account(), {}, []),
    (account(), ONE, ["create f on queue q: "]),
    (account(mapping("1")), ONE, []),
    (account(mapping("1", BatchSize=5)), ONE, ["update f on queue q: batch_size: 5 -> 10"]),
    (account(mapping("1", State="Deleting")), ONE, ["create f on queue q: "]),
    (account(mapping("1", f"{FUNCTION}2:live")), ONE, ["create f on queue q: "]),
    (
        account({"UUID": "1", "FunctionArn": LIVE}, {"UUID": "2", "EventSourceArn": QUEUE}),
        ONE,
        ["create f on queue q: "],
    ),
    (account(mapping("1", FUNCTION)), ONE, [MOVED]),
    (account(mapping("1", f"{FUNCTION}:5")), ONE, [MOVED.replace("f ->", "f:5 ->")]),
    (account(mapping("1", FUNCTION), theirs="1"), ADOPTED, [MOVED]),
    (account(mapping("1"), mapping("2", FUNCTION)), ONE, ["delete f on queue q (2): "]),
    (account(mapping("1"), mapping("2", FUNCTION), theirs="2"), ADOPTED, ["delete f on queue q (2): "]),
    (account(mapping("1", FUNCTION), mapping("2", FUNCTION)), ONE, [MOVED, "delete f on queue q (2): "]),
    (account(mapping("1"), mapping("2", source=OTHER)), ONE, ["delete f on queue other: "]),
    (account(mapping("1"), mapping("2", source=OTHER), theirs="2"), ONE, []),
    (account(mapping("1")), {"queue_triggers": ()}, ["delete f on queue q: "]),
    (account(mapping("1", source=STREAM)), {"queue_triggers": ()}, []),
    (account(mapping("1")), {"stream_triggers": ()}, []),
    (account(mapping("1", source=STREAM)), {"stream_triggers": ()}, ["delete f on stream clicks: "]),
    (
        account(mapping("1", source=TABLE.format(1), StartingPosition="TRIM_HORIZON", BatchSize=100)),
        OF_TABLE,
        ["create f on table orders: ", "delete f on table orders (1): "],
    ),
)


@pytest.mark.parametrize(("aws", "declared", "expected"), PLANNED)
def test_mapping_of_the_alias_is_made_moved_or_removed(aws: Any, declared: Any, expected: list[str]) -> None:
    found = planned(aws, **declared)
    assert [each.partition("; tags.")[0] for each in found] == expected


@pytest.mark.parametrize(
    ("aws", "declared", "error", "says"),
    [
        (account(mapping("1"), theirs="1"), ONE, OwnershipError, "event source mapping `1` exists already"),
        (account(mapping("1", FUNCTION), theirs="1"), ONE, OwnershipError, r"beside its alias `live` \(.* 1\)"),
        (account(mapping("1"), mapping("2", FUNCTION), theirs="2"), ONE, OwnershipError, r"beside .* 2\)"),
        (
            account(mapping("1", FUNCTION), mapping("2", f"{FUNCTION}:5"), theirs="1"),
            ONE,
            OwnershipError,
            r"beside .* 1\)",
        ),
        (account(visible="59"), ONE, TriggerError, "shows a message again after 59 s"),
        (account(mapping("1", BatchSize=5), visible="59"), ONE, TriggerError, "shows a message again after 59 s"),
        (
            account(),
            {"queue_triggers": (QueueTrigger(QUEUE.replace("eu-west-2", "us-east-1")),)},
            TriggerError,
            "queue q of a trigger of `f` is in us-east-1, and the function is in eu-west-2",
        ),
    ],
)
def test_mapping_of_others_or_a_queue_that_lambda_rejects(aws: Any, declared: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        planned(aws, **declared)
    assert planned(account(mapping("1"), visible="59"), **ONE) == [], "it is there already"


def test_mapping_waits_for_what_it_needs() -> None:
    failed, role = START.format("sns", "failed"), (Kind.ROLE, "f-role")
    stream = {"stream_triggers": (StreamTrigger("clicks", on_failure=failed),)}
    own = {(Kind.FUNCTION, "f"), role}
    destination = {(Kind.TOPIC, "failed"), (Kind.BUCKET, "failed")}
    given = {"role": "arn:aws:iam::123456789012:role/x"}
    for declared, after in ((ONE, own), ({**ONE, **given}, own - {role}), (stream, own | destination)):
        [change] = mappings.plan(context(account(), **declared))
        assert change.after == after
    assert change.missing == {(Kind.STREAM, "clicks"), (Kind.TOPIC, "failed")}
    live = account(mapping("1", source=STREAM, BatchSize=100), describe_stream_summary={}, get_topic_attributes={})
    [update] = mappings.plan(context(live, **stream))
    assert (update.after, update.missing) == (own | destination, set())
    live.answers["get_topic_attributes"] = None
    assert mappings.plan(context(live, **stream))[0].missing == {(Kind.TOPIC, "failed")}
    assert mappings.destinations(context(live, **stream).spec) == [failed]


@pytest.mark.parametrize(
    ("aws", "declared", "tagged", "deleted"),
    [
        (account(mapping("1"), mapping("2", source=STREAM)), {}, "12", ["f on queue q", "f on stream clicks"]),
        (account(mapping("1"), mapping("2", source=STREAM), theirs="1"), {}, "12", ["f on stream clicks"]),
        (account(mapping("1", State="Deleting")), {}, "1", []),
        (account(), {}, "1", []),
        (account(mapping("1"), mapping("2", source=STREAM)), ONE, "12", ["f on stream clicks"]),
        (account(mapping("1"), mapping("2", source=STREAM)), {"stream_triggers": ()}, "12", ["f on queue q"]),
        (account(mapping("1"), mapping("2", source=STREAM)), ONE, "1", []),
        (account(mapping("2", source=STREAM), theirs="2"), ONE, "2", []),
    ],
)
def test_mapping_with_the_tag_that_is_not_declared_is_removed(
    aws: Any, declared: Any, tagged: str, deleted: list[str]
) -> None:
    names = {*(f"event-source-mapping:{uuid}" for uuid in tagged), "function:f"}
    changes = mappings.plan_undeclared(context(aws, **declared), names)
    assert [(change.action, change.name) for change in changes] == [("delete", name) for name in deleted]
    assert ("list_event_source_mappings" in {name for name, _ in aws.operations}) == bool(declared)


def test_mappings_of_the_toolkit_are_removed_with_the_function() -> None:
    aws = account(mapping("1"), mapping("2", FUNCTION, STREAM), mapping("3", source=OTHER), theirs="3")
    changes = mappings.plan_removal(context(aws))
    assert [change.name for change in changes] == ["f on queue q", "f on stream clicks"]
    looks = iter([{}, {}, None])
    aws.answers["get_event_source_mapping"] = lambda **on: next(looks) if on == {"UUID": "1"} else 0
    changes[0].apply(aws)
    assert (aws.writes, aws.waits) == ([("delete_event_source_mapping", {"UUID": "1"})], [5.0])
    assert next(looks, "asked") == "asked", "until it is deleted"


def written(create: Any, *listed: Any, theirs: str = "", trigger: Any = TRIGGER, **more: Any) -> Any:
    """What is sent where the plan's list showed none, and the list shows ``listed`` at its second look."""
    aws = account(theirs=theirs, create_event_source_mapping=create, **more)
    [change] = mappings.plan(context(aws, queue_triggers=(trigger,)))
    looks = iter([[], list(listed)])
    aws.answers["list_event_source_mappings"] = lambda **on: next(looks) if on == {"EventSourceArn": QUEUE} else 0
    change.apply(aws)
    return aws.writes


EXISTS = AwsError("The mapping already exists", code="ResourceConflictException")
SENT = {"FunctionName": LIVE, "EventSourceArn": QUEUE, "BatchSize": 10, "Enabled": True}


def test_mapping_that_no_list_showed_becomes_as_declared() -> None:
    [(operation, sent)] = written({"UUID": "1", "State": "Enabled"})
    assert (operation, sent.pop("Tags"), sent) == ("create_event_source_mapping", OURS, SENT)
    for create in (None, EXISTS):
        others = mapping("9", f"{FUNCTION}:5")
        assert [name for name, _ in written(create, others, mapping("1"))] == ["create_event_source_mapping"]
        _, update = written(create, mapping("1", BatchSize=5), update_event_source_mapping={"State": "Enabled"})
        settings = {"BatchSize": 10, "MaximumBatchingWindowInSeconds": 0}
        assert update == ("update_event_source_mapping", {"UUID": "1", "FunctionName": LIVE, **settings})
        with pytest.raises(OwnershipError):
            written(create, mapping("1"), theirs="1")
    for code, text in (("ResourceConflictException", "busy"), ("Other", "already exists")):
        with pytest.raises(AwsError, match=text):
            written(AwsError(text, code=code))


def test_mapping_is_made_once_the_former_is_deleted_and_polls() -> None:
    aws = account(create_event_source_mapping={"UUID": "1", "State": "Creating"})
    [change] = mappings.plan(context(aws, queue_triggers=(QueueTrigger("q", enabled=False),)))
    former = iter([[mapping("0", State="Deleting")]] * 2 + [[]])
    aws.answers["list_event_source_mappings"] = lambda **_: next(former)
    states = iter([None, {"State": "Creating"}, {"State": "Disabled"}])
    aws.answers["get_event_source_mapping"] = lambda **on: next(states) if on == {"UUID": "1"} else None
    change.apply(aws)
    assert next(former, None) is next(states, None) is None
    assert aws.waits == [5.0, 5.0], "as long as an update of a function may take"
    missing = account(get_queue_url=AwsError("x", code="QueueDoesNotExist"))
    [change] = mappings.plan(context(missing, **ONE))
    assert change.missing == {(Kind.QUEUE, "q")}
    with pytest.raises(AwsError, match="There is no queue q to trigger f") as said:
        change.apply(missing)
    assert (said.value.code, missing.writes) == ("ResourceNotFoundException", [])


@pytest.mark.parametrize(
    ("own", "notes"),
    [
        ({}, []),
        ({"LastProcessingResult": "OK"}, []),
        ({"LastProcessingResult": "PROBLEM: denied."}, ["or to deliver: PROBLEM: denied"]),
        ({"StartingPosition": "TRIM_HORIZON"}, []),
        ({"StartingPosition": "LATEST"}, ["f began to read it at LATEST; starting_position TRIM_HORIZON would"]),
    ],
)
def test_note_says_what_is_odd_about_a_mapping(own: dict[str, Any], notes: list[str]) -> None:
    aws = account(mapping("1", source=STREAM, **own), describe_stream_summary={})
    declared = {"stream_triggers": (StreamTrigger("clicks"),)}
    found = mappings.notes(context(aws, **declared))
    assert len(found) == len(notes)
    assert all(said in each for said, each in zip(notes, found, strict=True))
    assert mappings.notes(context(aws)) == []
    *_, last = mappings.notes(context(account(mapping("1", **own), visible="60"), **ONE, timeout=11))
    assert last.startswith("queue q: its visibility timeout is 60 s"), "what is said of any queue"
    aws.answers["describe_stream_summary"] = None
    assert "There is no stream clicks to trigger f. Create it, or correct its name" in mappings.notes(
        context(aws, **declared)
    )
