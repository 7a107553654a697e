"""Events that failed for good: what is kept of them is shown, and made up for by the same event once more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_script import deploy_all
from lambda_toolkit.pipeline.client.observing.failed_events import kept, made_good, replay_failed, state
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from tests.support.repository import CONFIG

BUCKET = "totes-dev-failed-123456789012"
ERROR = {"errorType": "SourceError", "errorMessage": "Cannot connect\nto the source."}
TICK = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}, "resources": ["arn:rule"]}
WRITTEN = {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "manifests/batch-000000000001.json"}}}]}


def record(event: Any, **changes: Any) -> dict[str, Any]:
    """As AWS documents it."""
    return {
        "version": "1.0",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": event,
        "responsePayload": ERROR,
        **changes,
    }


@pytest.fixture
def pipeline(script, client) -> Pipeline:
    """Two functions of a pipeline are deployed, and the bucket of what failed is there."""
    deploy_all([script(function_name_template=f"totes-dev-{name}") for name in ("extract", "transform")])
    client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    return load(CONFIG / "pipeline.toml")


@pytest.fixture
def fails(client):
    def put(function: str, document: Any, number: int = 0) -> str:
        key = f"aws/lambda/async/totes-dev-{function}/2026/01/02/2026-01-02T03.04.{number:02d}-a"
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
        return key

    return put


def silently(text: str) -> None:
    pass


def test_what_failed_is_shown_with_its_reason(aws, pipeline, fails):
    assert state(aws, pipeline) == {"count": 0, "oldest_at": None, "functions": []}
    fails("extract", record(TICK), 1)
    fails("extract", record(TICK), 2)
    expired = record(WRITTEN, requestContext={"condition": "EventAgeExceeded"})
    del expired["responsePayload"]
    fails("transform", expired)
    found = state(aws, pipeline)
    assert found is not None and found["count"] == 3
    shown = {each["function"]: (each["count"], each["reason"]) for each in found["functions"]}
    assert shown == {
        "totes-dev-extract": (2, "SourceError: Cannot connect to the source."),
        "totes-dev-transform": (1, "EventAgeExceeded"),
    }


def test_firings_of_one_schedule_are_made_up_for_by_one_run(aws, pipeline, fails, invocations):
    for number in range(3):
        fails("extract", record({**TICK, "id": str(number), "time": f"2026-01-02T03:0{number}:00Z"}), number)
    fails("transform", record(WRITTEN), 9)
    found = replay_failed(aws, pipeline, silently)
    assert found["done"] == [
        {"function": "totes-dev-extract", "events": 3},
        {"function": "totes-dev-transform", "events": 1},
    ]
    assert (found["failed"], found["refused"]) == ([], [])
    first = {**TICK, "id": "0", "time": "2026-01-02T03:00:00Z"}
    assert [event for _, event in invocations.made] == [first, WRITTEN], "as they were, the oldest first"
    assert kept(aws, pipeline) == ()
    again = replay_failed(aws, pipeline, silently)
    assert again == {"format": 1, "done": [], "failed": [], "refused": []}


def test_event_that_fails_again_is_kept(aws, pipeline, fails, invocations):
    key = fails("transform", record(WRITTEN))
    fails("extract", record(TICK))
    invocations.problem = lambda version, event: "still broken" if "Records" in event else None
    found = replay_failed(aws, pipeline, silently)
    assert [each["function"] for each in found["done"]] == ["totes-dev-extract"]
    [failed] = found["failed"]
    assert failed["function"] == "totes-dev-transform" and "still broken" in failed["error"]
    assert [each.key for each in kept(aws, pipeline)] == [key]


@pytest.mark.parametrize(
    ("function", "document", "reason"),
    [
        ("extract", record({"mode": "full"}), "none of those that extract takes"),
        ("extract", record({"Records": [{"eventSource": "aws:sqs"}]}), "none of those that extract takes"),
        ("extract", record({"Records": []}), "none of those that extract takes"),
        ("extract", record("text"), "the record has no event"),
        ("extract", {"version": "1.0"}, "the record has no event"),
        ("extract", b"\x00 not JSON", "the record has no event"),
        ("report", record(TICK), "this pipeline has no such function"),
    ],
)
def test_unknown_event_is_refused_and_kept(aws, pipeline, fails, invocations, function, document, reason):
    key = fails(function, document)
    [refused] = replay_failed(aws, pipeline, silently)["refused"]
    assert refused["key"] == key and reason in refused["reason"]
    assert invocations.made == [] and [each.key for each in kept(aws, pipeline)] == [key]


def test_replay_that_is_stopped_before_the_deletion_repeats(aws, pipeline, fails, invocations, recorder):
    """A lost deletion leaves the record: the function gets the event twice, as Lambda itself may do."""
    fails("extract", record(TICK))
    recorder.refuse("DeleteObject", "AccessDenied", times=1)
    with pytest.raises(Exception, match="AccessDenied"):
        replay_failed(aws, pipeline, silently)
    assert len(kept(aws, pipeline)) == 1
    replay_failed(aws, pipeline, silently)
    assert kept(aws, pipeline) == () and len(invocations.made) == 2


def test_one_function_alone_and_no_bucket(aws, pipeline, fails, client):
    fails("extract", record(TICK))
    assert replay_failed(aws, pipeline, silently, "transform")["done"] == []
    assert len(kept(aws, pipeline)) == 1
    with pytest.raises(UsageError, match="no function `other`"):
        replay_failed(aws, pipeline, silently, "other")
    client("s3").delete_object(Bucket=BUCKET, Key=kept(aws, pipeline)[0].key)
    client("s3").delete_bucket(Bucket=BUCKET)
    assert kept(aws, pipeline) == (), "before the deploy that creates it"


def test_pipeline_that_keeps_none_says_so(aws, tmp_path):
    (tmp_path / "config").mkdir()
    path = tmp_path / "config" / "pipeline.toml"
    text = (CONFIG / "pipeline.toml").read_text(encoding="utf-8").replace('lock = "', '# lock = "')
    path.write_text(text.replace("[pipeline]", "[pipeline]\nkeep_failed_events = false"), encoding="utf-8")
    pipeline = load(path)
    assert state(aws, pipeline) is None
    with pytest.raises(CommandError, match="failed events are not kept"):
        replay_failed(aws, pipeline, silently)


def test_only_a_later_run_that_did_well_makes_good(pipeline):
    failed = {"function": "totes-dev-extract", "newest_at": "2026-01-02T03:04:05.000Z"}
    run = {"name": "totes-dev-extract", "last_run": "2026-01-02T03:05:00.000Z", "last_failed": False}
    assert made_good(failed, [run], pipeline)
    assert not made_good(failed, [{**run, "last_failed": True}], pipeline)
    assert not made_good(failed, [{**run, "last_run": "2026-01-02T03:04:00.000Z"}], pipeline), "it began before"
    assert not made_good(failed, [{**run, "last_run": None}], pipeline)
    assert not made_good({**failed, "function": "totes-dev-report"}, [{**run, "name": "totes-dev-report"}], pipeline)
