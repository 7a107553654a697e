"""Steps of a plan: what waits for what, what is missing, which functions are chosen, and which destinations exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit import calls, console, lazy_names
from lambda_toolkit.changes import Change, Difference, Plan, Progress
from lambda_toolkit.deploy import plan as plans
from lambda_toolkit.deploy import removal
from lambda_toolkit.errors import AwsError, LimitError, PlanError, ToolkitError
from lambda_toolkit.resources.planning import destinations
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.model import Alarm, Canary, Deployment, FunctionSpec, Kind
from lambda_toolkit.spec.triggers.s3 import S3Trigger


def spec(name: str = "f", **different: Any) -> FunctionSpec:
    return FunctionSpec(name, Path("f.py"), **different)


def change(kind: Kind, name: str, action: Any = "create", **more: Any) -> Change:
    return Change(kind, name, action, apply=lambda _: None, **more)


SHARED = (
    change(Kind.BUCKET, "lake"),
    change(Kind.SECRET, "s", "update"),
    change(Kind.BUCKET, "old", "delete"),
    change(Kind.TOPIC, "t"),
    change(Kind.ALARM, "f-e"),
)
NEEDED = {(Kind.ROLE, "r"), (Kind.BUCKET, "lake"), (Kind.SECRET, "s")}
ALARMS = (Alarm("e", "Errors"), Alarm("x", "Errors"))


@pytest.mark.parametrize(
    ("declared", "after"),
    [
        ({}, {(Kind.ROLE, "r")}),
        ({"alarms": ALARMS}, {(Kind.ROLE, "r")}),
        ({"health_event": {}}, NEEDED),
        ({"health_event": {}, "alarms": ALARMS}, NEEDED),
        ({"canary": Canary()}, NEEDED),
        ({"canary": Canary(), "alarms": ALARMS}, {*NEEDED, (Kind.ALARM, "f-e"), (Kind.ALARM, "f-x")}),
    ],
)
def test_checked_function_waits_for_what_its_check_may_use(declared: dict[str, Any], after: set[Any]) -> None:
    own = change(Kind.FUNCTION, "f", "update", after=frozenset({(Kind.ROLE, "r")}))
    other = change(Kind.FUNCTION, "g")
    found = plans._checked_after([own, other, *SHARED], [spec(**declared), spec("g")])
    assert found[0].after == after
    assert found[1:] == [other, *SHARED]
    assert found[1].after == frozenset()


def test_what_no_change_creates_is_said_once_with_its_users() -> None:
    lake, topic = (Kind.BUCKET, "lake"), (Kind.TOPIC, "t")
    changes = [
        change(Kind.ALARM, "a", missing=frozenset({topic})),
        change(Kind.S3_NOTIFICATION, "x", missing=frozenset({lake, topic})),
        change(Kind.BUCKET, "lake"),
        change(Kind.TOPIC, "t", "update"),
    ]
    assert list(plans._missing_notes(changes)) == [
        "there is no topic t yet, and this plan does not create it: alarm a, trigger x needs it"
    ]
    assert list(plans._missing_notes([*changes[:1], change(Kind.TOPIC, "t")])) == []


def test_chosen_functions_are_those_that_are_named() -> None:
    functions = [spec("a"), spec("b"), spec("c")]
    assert [each.name for each in plans._chosen(functions, None)] == ["a", "b", "c"]
    assert [each.name for each in plans._chosen(functions, ["c", "a"])] == ["a", "c"]
    assert plans._chosen(functions, []) == []
    with pytest.raises(ToolkitError, match=r"no function `d` to deploy\. There are: a, b, c\."):
        plans._chosen(functions, ["a", "d"])
    with pytest.raises(ToolkitError, match=r"There are: none\."):
        plans._chosen([], ["d"])
    with pytest.raises(ToolkitError, match="Two functions are called `a`"):
        plans._chosen([*functions, spec("a")], None)


def test_all_that_aws_would_refuse_is_reported_together() -> None:
    trigger = (S3Trigger("lake"),)
    functions = [spec("a b"), spec("c", s3_triggers=trigger), spec("d", s3_triggers=trigger)]
    deployment = Deployment(tuple(functions), buckets=(BucketSpec("UP"),))
    with pytest.raises(PlanError) as refused:
        plans._check(functions, deployment)
    assert [str(each).split("`")[1] for each in refused.value.problems] == ["a b", "UP", "c"]
    plans._check([spec("a")], Deployment((spec("a"),), buckets=(BucketSpec("lake"),)))
    with pytest.raises(LimitError, match="Bucket `UP`"):
        plans._check([], Deployment(buckets=(BucketSpec("UP"),)))


class Context:
    """What a look for a destination needs; notes what is asked."""

    region, account_id = "eu-west-2", "123456789012"

    def __init__(self, answer: Any = None) -> None:
        self.aws = self.reads = self
        self.asked: list[tuple[Any, ...]] = []
        self._answer = answer

    def once(self, key: object, read: Any) -> Any:
        return read()

    def find(self, service: str, operation: str, **given: Any) -> Any:
        self.asked.append((service, operation, given))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def arn(service: str, resource: str, region: str = "eu-west-2", account: str = "123456789012") -> str:
    return f"arn:aws:{service}:{region}:{account}:{resource}"


QUEUE, BUCKET = arn("sqs", "q"), "arn:aws:s3:::lake"


@pytest.mark.parametrize(
    ("destination", "asked", "key"),
    [
        (QUEUE, ("sqs", "get_queue_url", {"QueueName": "q"}), (Kind.QUEUE, "q")),
        (arn("sns", "t"), ("sns", "get_topic_attributes", {"TopicArn": arn("sns", "t")}), (Kind.TOPIC, "t")),
        (BUCKET, ("s3", "head_bucket", {"Bucket": "lake"}), (Kind.BUCKET, "lake")),
        (
            arn("events", "event-bus/b"),
            ("events", "describe_event_bus", {"Name": arn("events", "event-bus/b")}),
            (Kind.EVENT_BUS, "b"),
        ),
        (
            arn("lambda", "function:f:live"),
            ("lambda", "get_function", {"FunctionName": arn("lambda", "function:f:live")}),
            (Kind.FUNCTION, "f"),
        ),
    ],
)
def test_destination_is_looked_for_where_it_is_new(destination: str, asked: Any, key: Any) -> None:
    context: Any = Context()
    found = [Difference("retries", 1, 2), Difference("on_failure", None, destination)]
    assert destinations.missing_destination(context, destination, found, "on_failure") == {key}
    assert context.asked == [asked]
    there: Any = Context({})
    assert destinations.missing_destination(there, destination, found, "on_failure") == frozenset()
    for arguments in ((None, found), ("", found), (destination, found[:1]), (destination, [])):
        unasked: Any = Context()
        assert destinations.missing_destination(unasked, *arguments, "on_failure") == frozenset()
        assert unasked.asked == []


def test_destination_that_may_not_be_seen_counts_as_there() -> None:
    for code in ("AccessDenied", "AccessDeniedException", "AuthorizationError", "403", "301", "PermanentRedirect"):
        denied: Any = Context(AwsError("x", code=code))
        assert destinations.exists(denied, BUCKET) is True
    for code in ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"):
        missing: Any = Context(AwsError("x", code=code))
        assert destinations.exists(missing, QUEUE) is False
    failing: Any = Context(AwsError("x", code="Other"))
    with pytest.raises(AwsError):
        destinations.exists(failing, QUEUE)
    for elsewhere in (arn("sqs", "q", region="us-east-1"), arn("sqs", "q", account="210987654321")):
        unasked: Any = Context()
        assert destinations.exists(unasked, elsewhere) is True
        assert unasked.asked == []


def test_data_that_is_no_longer_declared_is_kept_unless_asked() -> None:
    kept, found = change(Kind.TOPIC, "t"), [change(Kind.BUCKET, "lake", "delete")]
    assert removal._kept([kept], ["n"], found, True) == ([kept, *found], ["n"])
    said = "bucket lake is no longer declared and is kept with its content"
    assert removal._kept([kept], ["n"], found, False) == ([kept], ["n", said])


def test_functions_deployed_together_have_one_application() -> None:
    one = Deployment((spec("a"),), application="shop", stage="dev")
    two = Deployment((spec("b"),), application="shop", stage="dev")
    other = Deployment((spec("c"),), application="shop", stage="prod")
    found = calls.together([(one, "eu-west-2"), (two, None)])
    assert [each.name for each in found.functions] == ["a", "b"]
    assert (found.application, found.stage) == ("shop", "dev")
    mixed = calls.together([(one, None), (other, None)])
    assert (mixed.application, mixed.stage) == ("", "")
    assert [each.tags["stage"] for each in mixed.functions] == ["dev", "prod"]
    with pytest.raises(ToolkitError, match="not in eu-west-1 and eu-west-2"):
        calls.together([(one, "eu-west-2"), (two, "eu-west-1")])


def test_progress_has_a_sign_for_each_action(capsys: pytest.CaptureFixture[str]) -> None:
    for number, action in enumerate(("create", "update", "delete"), start=1):
        console._show(Progress(change(Kind.ROLE, "r", action), "started", number, 3))
        console._show(Progress(change(Kind.ROLE, "r", action), "done", number, 3))
    console._show(Progress(change(Kind.ROLE, "r"), "skipped", 3, 3, "no"))
    assert capsys.readouterr().err.splitlines() == [
        *("[1/3] + role r", "[2/3] ~ role r", "[3/3] - role r", "[3/3] ! role r: no"),
    ]


def test_terminal_is_asked_for_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    assert console.shown_on_terminal(Plan()) is None


@pytest.mark.parametrize("name", lazy_names.MODULES)
def test_name_that_takes_long_to_import_is_found(name: str) -> None:
    found = lazy_names.imported("lambda_script", name)
    assert getattr(found, "__name__", name).rpartition(".")[2] == name
