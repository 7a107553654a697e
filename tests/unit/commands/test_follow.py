"""Follow a batch with a fake AWS and a fake clock: what is reported when a step does not run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from lambda_script import AwsError
from lambda_toolkit.pipeline.client.observing import follow, logs
from lambda_toolkit.pipeline.client.observing.status import status
from lambda_toolkit.pipeline.commands.run import run
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.messages.events import (
    ExtractRequest,
    ExtractResult,
    LoadRequest,
    LoadResult,
    OpenCounts,
    ReportRequest,
)
from tests.support.fake_functions import INSTANT, FakeAws, follower


def extracted(batch: int | None, last: int | None) -> dict[str, Any]:
    return {"batch": batch, "last_batch": last, "rows": {"payment": 2} if batch else {}, "deleted": {}}


def loaded(last: int | None, *batches: int) -> dict[str, Any]:
    return {
        "loaded": list(batches),
        "last_batch": last,
        "loaded_at": INSTANT.isoformat(),
        "appended": {"fact_payment": 2},
    }


def test_a_batch_is_followed_to_its_end():
    aws = FakeAws({"extract": [extracted(3, 3)], "load": [loaded(3, 3)]})
    document = run(
        follower(
            aws, lambda: aws.manifests["processed"].update({3: {"rejected": {"x": {"rows": 2, "source_rows": 1}}}})
        )
    )
    assert document["appended"] == {"fact_payment": 2}
    assert document["summary"] == "Batch 3 is in the warehouse. Rejected: 1 row."


def test_a_new_batch_is_followed_with_few_requests():
    """Transform takes 0.1 s for a few rows: the next look comes soon after, and nothing else is asked meanwhile."""
    aws = FakeAws({"extract": [extracted(3, 3)], "load": [loaded(3, 3)]})
    pauses = []

    def transform_ends() -> None:
        pauses.append(waiting.clock())
        if pauses[-1] >= 0.1:
            aws.manifests["processed"][3] = {}

    following = follower(aws, transform_ends)
    waiting = following.waiting
    run(following)
    assert pauses[-1] <= 0.15
    looks = ["get_object"] * (len(pauses) + 1)
    assert aws.requests == ["get_function_configuration", "invoke", *looks, "get_function_configuration", "invoke"]


def test_the_log_of_transform_is_read_once_a_second():
    aws = FakeAws({"extract": [extracted(3, 3)], "load": [loaded(3, 3)]})

    def transform_ends() -> None:
        if following.waiting.clock() > 10:
            aws.manifests["processed"][3] = {}

    following = follower(aws, transform_ends)
    run(following)
    assert aws.requests.count("filter_log_events") <= 10
    assert aws.requests.count("get_object") <= 30


def test_a_batch_that_another_run_extracted_is_followed_too():
    aws = FakeAws({"extract": [extracted(None, 3)], "load": [loaded(2), loaded(3, 3)]})
    aws.manifests["processed"][3] = {}
    assert run(follower(aws))["loaded"] == [3]


def test_a_large_table_is_extracted_until_it_is_read_to_its_end():
    aws = FakeAws({"load": [loaded(5, 3, 4, 5)]})
    aws.answers["extract"] = [
        {**extracted(3, 3), "incomplete": {"payment": "read up to payment_id 9"}},
        {**extracted(4, 4), "incomplete": {"payment": "read up to payment_id 18"}},
        {**extracted(5, 5), "incomplete": {}},
    ]
    aws.manifests["processed"][5] = {}
    document = run(follower(aws))
    assert (document["batch"], document["rows"], document["loaded"]) == (5, {"payment": 6}, [3, 4, 5])


def part(batch: int | None, last: int, read: dict[str, str], **rows: int) -> dict[str, Any]:
    """What one invocation extracts; of each table, a row is deleted for ten that changed."""
    deleted = {table: count // 10 for table, count in rows.items()}
    return {"batch": batch, "last_batch": last, "rows": rows, "deleted": deleted, "incomplete": read}


def test_parts_of_a_first_read_are_added_up():
    """Tables that only the first or the last part has included; a part without a batch is none."""
    aws = FakeAws({"load": [{**loaded(4, 3, 4), "appended": {"fact_payment": 2, "dim_staff": 0}}]})
    aws.answers["extract"] = [
        part(3, 3, {"payment": "to 9", "design": "to 1"}, payment=1200, design=10),
        part(None, 3, {"payment": "to 9"}),
        part(4, 4, {}, payment=30, staff=20),
    ]
    aws.manifests["processed"][4] = {"rejected": {"x": {"rows": 2, "source_rows": 1}, "y": {"source_rows": 1200}}}
    said: list[str] = []
    assert run(replace(follower(aws), report=said.append)) == {
        "summary": "Batch 4 is in the warehouse. Rejected: 1,201 rows.",
        "batch": 4,
        "last_batch": 4,
        "rows": {"payment": 1230, "design": 10, "staff": 20},
        "deleted": {"payment": 123, "design": 1, "staff": 2},
        "loaded": [3, 4],
        "appended": {"fact_payment": 2},
    }
    assert said == [
        "extract: reading the source ...",
        "extract: batch 3; more remains to be read: design (to 1), payment (to 9) ...",
        "extract: batch 3; more remains to be read: payment (to 9) ...",
        "extract: batch 4, 1,260 rows changed, 126 deleted",
        "transform: started by the manifest of batch 4 ...",
        "transform: batch 4 is written, 1,201 rows rejected",
        "load: writing the warehouse ...",
    ]


def test_an_extract_that_makes_no_progress_is_reported():
    """After three invocations without a batch; fewer, then one with a batch, and as many again are no failure."""
    read = {"payment": "read up to payment_id 9"}
    stuck, aws = part(None, 3, read), FakeAws()
    aws.answers["extract"] = [stuck]
    with pytest.raises(CommandError, match=r"makes no progress: payment \(read up to payment_id 9\)"):
        run(follower(aws))
    assert aws.requests.count("invoke") == 4
    pauses = [part(3, 3, read), stuck, stuck, part(4, 4, read), part(None, 4, read), part(None, 4, read)]
    aws = FakeAws({"load": [loaded(4, 3, 4)], "extract": [*pauses, part(None, 4, {})]})
    aws.manifests["processed"][4] = {}
    assert run(follower(aws))["batch"] == 4


def test_first_batch_of_another_run_is_followed():
    aws = FakeAws({"extract": [extracted(None, 1)], "load": [loaded(None), loaded(1, 1)]})
    aws.manifests["processed"][1] = {}
    said: list[str] = []
    document = run(replace(follower(aws), report=said.append))
    assert (document["loaded"], document["batch"], document["last_batch"]) == ([1], None, 1)
    assert (said[1], said[3]) == ("extract: nothing changed since batch 1", "transform: batch 1 is written")


def test_run_without_new_rows_ends_immediately():
    assert (
        "Nothing changed" in run(follower(FakeAws({"extract": [extracted(None, 3)], "load": [loaded(3)]})))["summary"]
    )
    assert "source is empty" in run(follower(FakeAws({"extract": [extracted(None, None)]})))["summary"]


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (
            ['{"level": "ERROR", "message": "no such currency table"}'],
            "transform failed on batch 3: no such currency table",
        ),
        ([], "transform has not written it after 300 s"),
    ],
)
def test_missing_transform_is_reported(log, says):
    aws = FakeAws({"extract": [extracted(3, 3)], "load": [loaded(2)]}, log=log)
    with pytest.raises(CommandError, match=says):
        run(follower(aws))


def test_load_that_waits_past_the_timeout_is_reported():
    aws = FakeAws({"extract": [extracted(3, 3)], "load": [{**loaded(1), "missing_batch": 2}]})
    aws.manifests["processed"][3] = {}
    with pytest.raises(CommandError, match="not in the warehouse after 900 s: load waits for batch 2"):
        run(follower(aws))


def test_load_is_repeated_until_the_batch_is_loaded():
    """What all invocations did is added up; the rest is the last one's."""
    answers = [
        {"loaded": [1], "last_batch": 1, "appended": {"a": 1}, "open": {"rejected": 5, "pending": 5}},
        {"loaded": [], "last_batch": None, "appended": {}},
        {"loaded": [2], "last_batch": 2, "appended": {"a": 2, "b": 5}},
        {"loaded": [3, 4], "last_batch": 4, "loaded_at": "t", "open": {"rejected": 1, "pending": 2}},
    ]
    following = follower(FakeAws({"load": answers}))
    found = following.load(3)
    assert found == LoadResult((1, 2, 3, 4), 4, loaded_at="t", appended={"a": 3, "b": 5}, open=OpenCounts(1, 2))
    assert following.waiting.clock() == 1.5


@pytest.mark.parametrize(("step", "limit"), [(lambda of: of.load(3), 900), (lambda of: of.await_transform(3), 300)])
def test_step_is_waited_for_to_the_end_of_its_time(step, limit):
    following = follower(FakeAws({"load": [loaded(1)]}))
    with pytest.raises(CommandError, match=f"{limit} s"):
        step(following)
    assert limit < following.waiting.clock() <= limit + 0.5


def test_log_is_searched_from_when_the_wait_began(monkeypatch):
    """Once a second; an error of before is that of another batch."""
    aws, asked = FakeAws(), list[Any]()
    following = follower(aws, lambda: len(asked) > 2 and aws.manifests["processed"].update({3: {"batch": 3}}))
    following = replace(following, waiting=replace(following.waiting, now=lambda: 60.5))

    def first_error(*of: Any) -> None:
        asked.append((*of, following.waiting.clock()))

    monkeypatch.setattr(logs, "first_error", first_error)
    assert following.await_transform(3) == {"batch": 3}
    assert [of[:-1] for of in asked] == [(aws, following.pipeline, "transform", 60_500)] * 3
    times = [0.0, *(of[-1] for of in asked)]
    assert [end - begin for begin, end in pairwise(times)] == [pytest.approx(1.25, abs=0.25), *[pytest.approx(1)] * 2]


def test_functions_are_asked_for_what_their_step_is(monkeypatch):
    asked: list[Any] = []
    monkeypatch.setattr(follow, "call", lambda aws, *of: asked.append(of) or LoadResult(last_batch=3))
    following = follower(FakeAws())
    for step in (following.extract, following.loaded, lambda: following.load(3)):
        step()
    assert asked == [
        ("totes-dev-extract", ExtractRequest(), ExtractResult),
        ("totes-dev-load", ReportRequest(), LoadResult),
        ("totes-dev-load", LoadRequest(), LoadResult),
    ]
    assert following.bucket("processed") == "totes-dev-processed-123456789012"


def test_a_function_that_fails_is_quoted():
    aws = FakeAws({"extract": [{"errorMessage": "no table payment", "errorType": "SourceError"}]})
    with pytest.raises(CommandError, match=r"totes-dev-extract failed: no table payment \(SourceError\)"):
        run(follower(aws))


def test_undeployed_function_is_reported():
    with pytest.raises(CommandError, match="There is no function totes-dev-extract on AWS yet"):
        run(follower(FakeAws(deployed=False)))
    document = status(follower(FakeAws(deployed=False)), INSTANT)
    assert [function["state"] for function in document["functions"]] == ["not deployed"] * 5
    assert document["freshness"]["summary"].startswith("Not deployed; there are buckets without a batch")


def test_status_without_functions_shows_what_the_buckets_have():
    """Destroyed, with the data kept: nothing is said of the warehouse, which only load knows."""
    aws = FakeAws(deployed=False)
    aws.manifests["ingestion"] = {1: {}, 2: {}, 3: {}}
    aws.manifests["processed"] = {1: {}}
    document = status(follower(aws), INSTANT)
    assert document["batches"] == {"extracted": 3, "transformed": 1, "loaded": None}
    assert document["freshness"]["loaded_unknown"] is True
    assert "the buckets have 3 batches extracted, 1 batch transformed" in document["freshness"]["summary"]


def test_status_tells_how_old_what_waits_is():
    aws = FakeAws({"load": [loaded(2)]})
    aws.manifests["ingestion"] = {1: {}, 2: {}, 3: {}, 4: {}}
    aws.manifests["processed"] = {1: {}, 2: {}, 3: {}}
    document = status(follower(aws), INSTANT + timedelta(seconds=90))
    assert document["batches"] == {"extracted": 4, "transformed": 3, "loaded": 2}
    assert document["freshness"]["lag_seconds"] == 90
    assert document["freshness"]["summary"] == "Not loaded yet: 2 extracted batches, the oldest 90 s old."


def test_status_says_why_the_warehouse_cannot_be_asked():
    aws = FakeAws({"load": [{"errorMessage": "the server refuses the password"}]})
    document = status(follower(aws), INSTANT)
    assert (
        "cannot be queried: totes-dev-load failed: the server refuses the password" in document["freshness"]["summary"]
    )


def test_status_answers_while_load_is_throttled():
    """A load runs, and no more of them may: what the buckets have is known, what the warehouse has is not."""
    aws = FakeAws({"load": [AwsError("Rate exceeded", code="TooManyRequestsException")]})
    aws.manifests["ingestion"] = {1: {}, 2: {}}
    document = status(follower(aws), INSTANT)
    assert document["batches"]["extracted"] == 2 and document["freshness"]["loaded_unknown"]
    assert "totes-dev-load is throttled: as many of its invocations run" in document["freshness"]["summary"]


def test_status_shows_differences_from_the_declaration():
    """Status shows how the warehouse differs from its declaration."""
    found = ["table dim_staff: column location is NOT NULL, expected nullable"]
    aws = FakeAws({"load": [{**loaded(None), "differences": found}]})
    assert status(follower(aws), INSTANT)["differences"] == found
    assert status(follower(FakeAws({"load": [loaded(None)]})), INSTANT)["differences"] == []


def test_status_of_an_unprepared_warehouse_names_prepare():
    """Status says what to run where the warehouse is not prepared."""
    error = {"errorMessage": "It lacks the table pipeline.ledger.", "errorType": "NotPreparedError"}
    document = status(follower(FakeAws({"load": [error]})), INSTANT)
    assert "prepare, which creates what is missing" in document["freshness"]["summary"]


def test_status_before_the_first_run():
    document = status(follower(FakeAws({"load": [loaded(None)]})), INSTANT)
    assert document["batches"] == {"extracted": None, "transformed": None, "loaded": None}
    assert "Nothing was extracted yet" in document["freshness"]["summary"]


def test_status_does_not_call_fresh_what_is_in_alarm():
    ringing = {"AlarmName": "totes-dev-extract-errors", "StateValue": "ALARM", "StateUpdatedTimestamp": INSTANT}
    aws = FakeAws({"load": [loaded(2)]}, alarms=[ringing])
    freshness = status(follower(aws), INSTANT)["freshness"]
    assert freshness["fresh"] is False
    assert "Not known to be fresh: in alarm is totes-dev-extract-errors (since 2026-01-02" in freshness["summary"]
    aws.alarms = [{**ringing, "StateValue": "OK"}]
    assert status(follower(aws), INSTANT)["freshness"]["fresh"] is True


def test_status_shows_who_gets_no_alerts():
    """A subscription that was not confirmed is on the list of AWS, and gets no message."""
    topic = {"Protocol": "email", "Endpoint": "a@example.com", "SubscriptionArn": "arn:aws:sns:eu-west-2:1:t:1"}
    waiting = {"Protocol": "email", "Endpoint": "b@example.com", "SubscriptionArn": "PendingConfirmation"}
    queue = {
        "Protocol": "sqs",
        "Endpoint": "a queue",
        "SubscriptionArn": "arn:aws:sns:eu-west-2:1:t:2",
    }
    aws = FakeAws({"load": [loaded(None)]}, subscriptions=[topic, waiting, queue])
    assert status(follower(aws), INSTANT)["subscriptions"] == [
        {"address": "a@example.com", "state": "confirmed"},
        {"address": "b@example.com", "state": "not confirmed"},
        {"address": "data-alerts@example.com", "state": "not subscribed"},
    ]
    assert status(follower(FakeAws(deployed=False)), INSTANT)["subscriptions"] == []
