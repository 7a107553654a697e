"""What is known of events that failed, from the records in their bucket; and which runs made up for them."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_script import AwsError
from lambda_toolkit.pipeline.client.invocation import Invocation
from lambda_toolkit.pipeline.client.observing import failed_events
from lambda_toolkit.pipeline.client.observing.failed_events import Record, kept, made_good, replay_failed, state
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from tests.support.answering_aws import AnsweringAws

PIPELINE = load(DEFAULT_PATH)
BUCKET = "totes-dev-failed-123456789012"
BELOW = "aws/lambda/async/"
AT = datetime(2026, 1, 2, 3, tzinfo=UTC)


def records(*of: tuple[str, int, Any], answer: Any = None) -> Any:
    """AWS whose bucket has a record for each function, minute and document; ``answer``: of a list of it."""
    keys = [f"{BELOW}totes-dev-{name}/2026/01/02/{number}" for number, (name, _, _) in enumerate(of)]
    listed = [
        {"Key": key, "LastModified": AT + timedelta(minutes=at)} for key, (_, at, _) in zip(keys, of, strict=True)
    ]
    bodies = {key: body for key, (_, _, body) in zip(keys, of, strict=True)}

    def read(Bucket: str, Key: str) -> Any:  # noqa: N803
        body = bodies[Key]
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return None if body is None else {"Body": io.BytesIO(text)}

    return AnsweringAws(list_objects_v2=answer or listed, get_object=read)


def failed(kind: str, event: Any = None) -> dict[str, Any]:
    return {"responsePayload": {"errorType": kind}, "requestPayload": event}


def test_records_are_in_the_order_in_which_events_failed() -> None:
    aws = records(("load", 2, {}), ("extract", 1, {}), ("load", 0, {}), ("extract", 2, {}))
    paths = [("load", 2), ("extract", 1), ("extract", 3), ("load", 0)]
    names = [(f"{BELOW}totes-dev-{name}/2026/01/02/{number}", f"totes-dev-{name}") for name, number in paths]
    minutes = [AT + timedelta(minutes=minute) for minute in (0, 1, 2, 2)]
    assert kept(aws, PIPELINE) == tuple(Record(*name, at) for name, at in zip(names, minutes, strict=True))
    assert aws.asked == [("s3", "list_objects_v2", {"Bucket": BUCKET, "Prefix": BELOW})]
    assert kept(aws, replace(PIPELINE, buckets={})) == ()


def test_state_has_the_newest_reason_of_each_function() -> None:
    of = (("load", 3, failed("Last")), ("extract", 2, failed("Only")), ("load", 1, failed("First")))
    aws = records(*of)
    assert state(aws, PIPELINE) == {
        "count": 3,
        "oldest_at": "2026-01-02T03:01:00.000Z",
        "functions": [
            {
                "function": "totes-dev-load",
                "count": 2,
                "oldest_at": "2026-01-02T03:01:00.000Z",
                "newest_at": "2026-01-02T03:03:00.000Z",
                "reason": "Last",
            },
            {
                "function": "totes-dev-extract",
                "count": 1,
                "oldest_at": "2026-01-02T03:02:00.000Z",
                "newest_at": "2026-01-02T03:02:00.000Z",
                "reason": "Only",
            },
        ],
    }
    assert [given for operation, given in aws.operations if operation == "get_object"] == [
        {"Bucket": BUCKET, "Key": f"{BELOW}totes-dev-load/2026/01/02/0"},
        {"Bucket": BUCKET, "Key": f"{BELOW}totes-dev-extract/2026/01/02/1"},
    ], "one object of each function"


@pytest.mark.parametrize("body", [None, b"\x00", [1], "text", {}])
def test_record_that_says_nothing_has_no_reason(body: Any) -> None:
    found = state(records(("load", 1, body)), PIPELINE)
    assert found is not None and [each["reason"] for each in found["functions"]] == ["not known"]


def test_record_that_breaks_off_is_read_again_later() -> None:
    """It is not said to have no event: its event would be refused."""

    def broken() -> bytes:
        raise ConnectionError

    aws = records(("load", 1, {}))
    aws.answers["get_object"] = {"Body": SimpleNamespace(read=broken)}
    for read in (lambda: state(aws, PIPELINE), lambda: replay_failed(aws, PIPELINE, len)):
        with pytest.raises(ConnectionError):
            read()


def test_state_is_not_known_where_it_may_not_be_read() -> None:
    assert state(records(answer=AwsError("no", code="AccessDenied")), PIPELINE) is None
    assert state(records(), replace(PIPELINE, buckets={})) is None
    for error in (AwsError("no", code="Throttling"), ZeroDivisionError()):
        with pytest.raises(type(error)):
            state(records(answer=error), PIPELINE)


RUN = {"name": "totes-dev-load", "last_run": "2026-01-02T03:05:00.000Z", "last_failed": False}


@pytest.mark.parametrize(
    ("changed", "newest", "is_good"),
    [
        ({}, "2026-01-02T03:04:59.999Z", True),
        ({}, "2026-01-02T03:05:00.000Z", False),
        ({"last_failed": None}, "2026-01-02T03:00:00.000Z", True),
        ({"last_failed": True}, "2026-01-02T03:00:00.000Z", False),
        ({"last_run": None}, "2026-01-02T03:00:00.000Z", False),
        ({"name": "totes-dev-extract"}, "2026-01-02T03:00:00.000Z", False),
    ],
)
def test_events_are_made_good_by_a_later_run(changed: dict[str, Any], newest: str, is_good: bool) -> None:
    """That is one that began after the last of them, of a function that goes on where it was."""
    found = {"function": "totes-dev-load", "newest_at": newest}
    other = {**RUN, "name": "totes-dev-transform", "last_run": "2026-01-02T09:00:00.000Z"}
    assert made_good(found, [other, {**RUN, **changed}], PIPELINE) is is_good
    own = {**PIPELINE.functions, "own": replace(PIPELINE.functions["load"], name="own")}
    del own["load"]
    assert made_good(found, [RUN], replace(PIPELINE, functions=own)) is False, "what is not shipped may not go on"


def test_replay_says_what_it_invokes_and_deletes_what_succeeded(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, tick = {"action": "sweep"}, {"source": "aws.events", "id": "1"}
    of = (
        ("load", 2, failed("X", tick)),
        ("load", 1, failed("X", sweep)),
        ("load", 3, failed("X", {**tick, "id": "2"})),
    )
    aws = records(
        *of, ("extract", 4, failed("X", sweep)), ("other", 0, failed("X", sweep)), ("load", 5, failed("X", {}))
    )
    invoked, said = list[Any](), list[str]()

    def invoke(of: Any, function: str, event: Any) -> Invocation:
        assert of is aws
        invoked.append((function, event))
        return Invocation(None, "no." if event == sweep and function == "totes-dev-load" else None, "")

    monkeypatch.setattr(failed_events, "invoke", invoke)
    document = replay_failed(aws, PIPELINE, said.append)
    assert invoked == [("totes-dev-load", sweep), ("totes-dev-load", tick), ("totes-dev-extract", sweep)]
    assert said == [f"{function}: invoked with an event that failed ..." for function, _ in invoked]
    keys = [f"{BELOW}totes-dev-{name}/2026/01/02/{number}" for number, (name, *_) in enumerate((*of, ("extract",)))]
    assert aws.writes == [("delete_object", {"Bucket": BUCKET, "Key": key}) for key in (keys[0], keys[2], keys[3])]
    assert document == {
        "format": 1,
        "done": [{"function": "totes-dev-load", "events": 2}, {"function": "totes-dev-extract", "events": 1}],
        "failed": [{"function": "totes-dev-load", "events": 1, "error": "no."}],
        "refused": [
            {
                "function": "totes-dev-other",
                "key": f"{BELOW}totes-dev-other/2026/01/02/4",
                "reason": "this pipeline has no such function",
            },
            {
                "function": "totes-dev-load",
                "key": f"{BELOW}totes-dev-load/2026/01/02/5",
                "reason": "the event is none of those that load takes",
            },
        ],
    }
    invoked.clear()
    assert replay_failed(aws, PIPELINE, said.append, "extract")["done"] == document["done"][1:]
    assert invoked == [("totes-dev-extract", sweep)]
