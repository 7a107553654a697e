"""Requests and results of the functions: what is parsed, what is rejected, what survives a round trip."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.messages import events
from lambda_toolkit.pipeline.lambdas.shared.messages.message import Message

COUNTS = events.OpenCounts(2, 1)
ITEM = events.OpenItem(3, "fact_payment", "7", "payment_date", None, "not a date")
MESSAGES: list[Message] = [
    events.CheckResult(),
    events.ExtractResult(2, 2, {"payment": 3}, {"staff": 1}, {"address": "read up to address_id 9"}),
    events.ExtractResult(),
    events.TransformResult((1, 2), {"fact_payment": 3}, {}),
    events.SweepResult((), {}, {}, 4),
    events.TransformReplayResult(1, 2, {"fact_payment": 1}, changed=True),
    events.LoadResult((1,), 1, "2024-01-01T00:00:00Z", None, 2, {"dim_staff": 1}, {"fact_payment": 2}, COUNTS),
    events.LoadReplayResult((1,), {"dim_staff": 2}, (9,), (3,), busy=True, open=COUNTS),
    events.RebuildResult(3, (1, 2), (3,), done=True),
    events.CompareResult(False, (3, None), 7, 1, True, (events.TableComparison("a", (3, 4), 1, 0, ("x",)),)),
    events.RejectedResult(COUNTS, (3,), (ITEM,), ()),
]
REQUESTS: list[tuple[Any, events.Request]] = [
    (events.extract_request, events.ExtractRequest()),
    (events.extract_request, events.ExtractRequest(True)),
    (events.extract_request, events.ExtractRequest(("staff",), ("staff.phone",))),
    (events.transform_request, events.TransformRequest(7)),
    (events.transform_request, events.TransformReplayRequest(7)),
    (events.transform_request, events.SweepRequest()),
    (events.load_request, events.LoadRequest()),
    (events.load_request, events.ReportRequest()),
    (events.load_request, events.RejectedRequest()),
    (events.load_request, events.LoadReplayRequest((1, 2))),
    (events.load_request, events.RebuildRequest("check")),
    (events.load_request, events.CompareRequest("check")),
]
SCHEDULED = {"source": "aws.events", "detail-type": "Scheduled Event", "resources": ["arn"]}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_result_comes_back_from_json_as_it_was(message: Message) -> None:
    assert type(message).from_json(json.loads(json.dumps(message.to_json()))) == message


@pytest.mark.parametrize(("read", "request_"), REQUESTS, ids=lambda value: type(value).__name__)
def test_a_request_comes_back_from_its_event(read: Any, request_: events.Request) -> None:
    event = json.loads(json.dumps(request_.to_json()))
    assert event["action"] == request_.action
    assert read(event) == request_


def test_events_of_aws_stand_for_requests() -> None:
    assert events.extract_request({}) == events.extract_request(SCHEDULED) == events.ExtractRequest()
    assert events.load_request({}) == events.load_request(SCHEDULED) == events.LoadRequest()
    assert events.transform_request(SCHEDULED) == events.SweepRequest()
    assert events.transform_request({"Event": "s3:TestEvent"}) == events.ManifestsWritten(())
    notification = {"Records": [{"s3": {"object": {"key": "a%2Fb+c"}}}]}
    assert events.transform_request(notification) == events.ManifestsWritten(("a/b c",))


@pytest.mark.parametrize(
    ("read", "event", "message"),
    [
        (events.transform_request, {}, "the actions are transform, replay, sweep, check"),
        (events.extract_request, {"full": True}, 'must be {"action": name, ...}'),
        (events.load_request, {"action": ["load"]}, "load has the actions load, report, .*, check, not ['load']"),
        (events.transform_request, {"action": "load"}, "transform has the actions transform, replay, sweep, check"),
        (events.extract_request, {"action": "extract", "ful": []}, "unknown key `ful`. Known keys: `full`, `accept_"),
        (events.load_request, {"action": "load", "batch": 1}, "unknown key `batch`. Known keys: none."),
        (events.transform_request, {"action": "transform"}, "lacks the key `batch`: it must be an integer of at least"),
        (events.transform_request, {"action": "transform", "batch": True}, "`batch` must be an integer .*, not True"),
        (events.transform_request, {"action": "replay", "batch": 0}, "`batch` must be an integer of at least 1, not 0"),
        (events.transform_request, {"action": "replay", "batch": "1"}, "action replay,: `batch` must be an integer"),
        (events.extract_request, {"action": "extract", "full": "staff"}, "true or false or a list of strings, not 's"),
        (
            events.extract_request,
            {"action": "extract", "accept_types": [1]},
            "`accept_types` must be a list of strings",
        ),
        (events.load_request, {"action": "replay", "batches": [0]}, "`batches` must be a list of integers of at least"),
        (events.load_request, {"action": "rebuild", "schema": None}, "`schema` must be a string, not None"),
    ],
)
def test_an_event_that_is_not_a_request_is_refused_by_name(read: Any, event: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineError) as refused:
        read(event)
    for part in message.split(" .*, "):
        assert part in str(refused.value)


def test_a_result_may_have_more_fields_but_not_other_types() -> None:
    assert events.LoadResult.from_json({"loaded": [1], "speed": 3}) == events.LoadResult((1,))
    with pytest.raises(PipelineError, match="LoadResult: `open`: `pending` must be an integer, not 'x'"):
        events.LoadResult.from_json({"open": {"pending": "x"}})
    with pytest.raises(PipelineError, match="`rows` must be an object with values that are integers, not"):
        events.TransformResult.from_json({"rows": {"a": 1.5}})
    with pytest.raises(PipelineError, match="the result lacks the key `revision`"):
        events.TransformReplayResult.from_json({"batch": 1}, "the result")


def test_events_are_read_without_the_libraries_of_the_functions() -> None:
    code = (
        "import sys, lambda_toolkit.pipeline.lambdas.shared.messages.events;"
        "print([name for name in ('boto3', 'botocore', 'pg8000', 'pyarrow')"
        " if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("read", [events.extract_request, events.transform_request, events.load_request])
@pytest.mark.parametrize("event", [None, 1, 1.5, True, "text", "", [], [1], {"Records": [], "full": True}, {"ful": 1}])
def test_event_that_is_no_object_or_has_more_is_refused(read, event):
    with pytest.raises(PipelineError):
        read(event)


@pytest.mark.parametrize(
    "records", [None, "ab", {}, [None], [{}], [{"s3": {}}], [{"s3": []}], [{"s3": {"object": {"key": 1}}}]]
)
def test_notification_of_another_form_is_refused(records):
    with pytest.raises(PipelineError, match="notification of S3"):
        events.transform_request({"Records": records})
