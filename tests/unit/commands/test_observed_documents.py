"""What is observed of a pipeline, as documents: batches, freshness, functions, alarms, what a month used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.client.observing import deployed, freshness, latency, starts, usage
from lambda_toolkit.pipeline.client.observing.batches import Batch, Stored, Timeline, iso
from lambda_toolkit.pipeline.client.observing.freshness import Checked
from lambda_toolkit.pipeline.client.observing.latency import Latency, Sample
from lambda_toolkit.pipeline.client.warehouses.ledger import LoadedBatch
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.cost.month import FunctionUse, Month, Network
from lambda_toolkit.pipeline.installed import DEFAULT_PATH

AT = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


MANIFEST: dict[str, Any] = {
    "mode": "changes",
    "extracted_at": iso(AT),
    "tables": {
        "payment": {
            "changes": {"rows": 5},
            "more_changes": [{"rows": 7}, {"rows": 11}],
            "deleted": {"rows": 2},
            "backfill": None,
        },
        "staff": {"changes": None, "deleted": {"rows": 3}, "backfill": None},
        "design": {"changes": None, "deleted": None, "backfill": None},
    },
    "commits": {"transactions": 4, "times": [iso(after(-20)), iso(after(-10))]},
}
LOADED = LoadedBatch(7, AT, after(30.5), {"fact_payment": 25, "dim_staff": 0}, 2, 1, 4)
REVISION = {"rejected": {"a": {"source_rows": 2}, "b": {"source_rows": 1}}}
BATCH = Batch(7, Stored(after(1.25), MANIFEST), Stored(after(3), REVISION), LOADED, after(-60))


def test_loaded_batch_has_everything() -> None:
    assert BATCH.to_json() == {
        "batch": 7,
        "mode": "changes",
        "state": "loaded",
        "extracted_at": "2026-01-02T03:00:00.000Z",
        "transformed_at": "2026-01-02T03:00:03.000Z",
        "loaded_at": "2026-01-02T03:00:30.500Z",
        "revision": 2,
        "rows": 23,
        "deleted": 5,
        "versions": 25,
        "rejected": 3,
        "still_rejected": 1,
        "still_waiting": 4,
        "tables": {"payment": {"rows": 23, "deleted": 2}, "staff": {"rows": 0, "deleted": 3}},
        "written": {"fact_payment": 25},
        "seconds": {"extract": 1.25, "transform": 1.75, "load": 27.5, "total": 30.5},
        "commits": {"transactions": 4, "first": "2026-01-02T02:59:40.000Z", "last": "2026-01-02T02:59:50.000Z"},
        "latency": {"median": 40.5, "p99": 50.5, "worst": 50.5, "at_most": False},
    }


def test_batch_on_its_way_has_what_is_known() -> None:
    transformed = replace(BATCH, loaded=None, transformed=Stored(after(3), {"rejected": None}))
    extracted = replace(transformed, transformed=None, extracted=Stored(after(-1), {**MANIFEST, "commits": None}))
    assert transformed.to_json() == {
        **BATCH.to_json(),
        "state": "transformed",
        "loaded_at": None,
        "revision": 1,
        "versions": 0,
        "rejected": 0,
        "still_rejected": 0,
        "still_waiting": 0,
        "written": {},
        "seconds": {"extract": 1.25, "transform": 1.75, "load": None, "total": None},
        "latency": None,
    }
    found = extracted.to_json()
    assert (found["state"], found["transformed_at"], found["commits"]) == ("extracted", None, None)
    one = {**MANIFEST, "commits": {"transactions": 1, "times": [iso(AT)]}}
    assert replace(extracted, extracted=Stored(AT, one)).to_json()["commits"]["last"] == iso(AT)
    nothing = {"transform": None, "load": None, "total": None}
    assert found["seconds"] == {"extract": 0.0, **nothing}, "clocks differ, and no step takes less than nothing"
    alone = replace(BATCH, transformed=None).to_json()["seconds"]
    assert alone == {"extract": 1.25, "transform": None, "load": None, "total": 30.5}


def test_seconds_are_rounded_to_thousandths() -> None:
    exact = after(30.123456)
    found = replace(
        BATCH, loaded=replace(LOADED, loaded_at=exact), extracted=Stored(after(1.00049), MANIFEST)
    ).to_json()
    assert found["seconds"] == {"extract": 1.0, "transform": 2.0, "load": 27.123, "total": 30.123}
    assert found["latency"] == {"median": 40.123, "p99": 50.123, "worst": 50.123, "at_most": False}
    [table] = freshness.document({"a": checked("a", 1.23456)}, {"a": timedelta(1)}, AT)["tables"]
    assert table["seconds_behind"] == 1.235


def test_latency_is_bounded_by_the_batch_before() -> None:
    unknown = {**MANIFEST, "commits": None}
    backfilled = {**unknown, "tables": {**MANIFEST["tables"], "staff": {**MANIFEST["tables"]["staff"], "backfill": {}}}}
    backfilled["tables"]["staff"]["backfill"] = {"after": 3}
    found = [
        replace(BATCH, extracted=Stored(AT, manifest)).latency
        for manifest in (unknown, {**unknown, "mode": "full"}, backfilled)
    ]
    assert found == [Latency((Sample(90.5),), at_most=True), None, None]
    assert replace(BATCH, before=None, extracted=Stored(AT, unknown)).latency is None
    assert replace(BATCH, loaded=None).latency is None


def test_timeline_has_the_latency_of_all_batches() -> None:
    bound = replace(BATCH, extracted=Stored(AT, {**MANIFEST, "commits": None}))
    pipeline: Any = SimpleNamespace(name="totes", stage="dev")
    found = Timeline((BATCH, bound), "no answer").to_json(pipeline, AT)
    assert found["latency"] == {"median": 40.5, "p99": 50.5, "worst": 50.5, "at_most": False}, "not of bounds"
    assert found["batches"] == [BATCH.to_json(), bound.to_json()]
    assert (found["format"], found["pipeline"], found["stage"], found["problem"]) == (1, "totes", "dev", "no answer")
    assert found["at"] == "2026-01-02T03:00:00.000Z"
    assert Timeline((bound,)).to_json(pipeline, AT)["latency"]["at_most"] is True
    assert Timeline().to_json(pipeline, AT)["latency"] is None


def test_sample_counts_for_the_transactions_that_it_is_of() -> None:
    """Three samples of nine transactions, and one of a single transaction."""
    many = latency.of_batch({"transactions": 9, "times": [iso(after(n)) for n in (0, 10, 20)]}, None, after(30))
    one = latency.of_batch({"transactions": 1, "times": [iso(AT)]}, None, after(100))
    both = latency.of_batches([many, None, one])
    assert both is not None and both.samples == (Sample(30, 3), Sample(20, 3), Sample(10, 3), Sample(100, 1))
    shares = (0.3, 0.31, 0.6, 0.9, 0.91)
    assert [latency.percentile(both.samples, share) for share in shares] == [10, 20, 20, 30, 100]
    assert latency.of_batches([None]) is None


# ------------------------------------------------------------------------------------------------------------ freshness


def checked(name: str, behind: float, ago: float = 0, state: str = "unchanged", problem: str | None = None) -> Checked:
    return Checked(name, after(-9000), after(-behind), after(-ago), state, problem)


def test_freshness_has_each_table_with_its_promise() -> None:
    due = {name: timedelta(minutes=5) for name in ("b", "a", "c", "d")}
    found = {
        "a": checked("a", 300, 60, "changed"),
        "b": checked("b", 300.5, 30, "unchanged"),
        "c": checked("c", 20, 900.5, "unknown", "locked"),
        "other": checked("other", 8000, 8000),
    }
    document = freshness.document(found, due, AT)
    assert [(each["table"], each["state"], each["changed"]) for each in document["tables"]] == [
        ("a", "fresh", True),
        ("b", "late", False),
        ("c", "unknown", None),
        ("d", "unknown", None),
    ]
    assert document["tables"][2] == {
        "table": "c",
        "state": "unknown",
        "changed": None,
        "fresh_at": "2026-01-02T02:59:40.000Z",
        "seconds_behind": 20.0,
        "fresh_within": 300.0,
        "problem": "locked",
    }
    absent = {"fresh_at": None, "seconds_behind": None, "fresh_within": 300.0, "problem": "it was not compared yet"}
    assert document["tables"][3] == {"table": "d", "state": "unknown", "changed": None, **absent}
    del document["tables"]
    assert document == {
        "state": "late",
        "fresh_at": None,
        "checked_at": "2026-01-02T02:44:59.500Z",
        "seconds_behind": 300.5,
        "fresh_within_seconds": 300.0,
    }


def test_freshness_is_that_of_the_oldest_table() -> None:
    due = {"a": timedelta(minutes=5), "b": timedelta(minutes=4)}
    both = {"a": checked("a", 100, 900), "b": checked("b", 90, 10)}
    document = freshness.document(both, due, AT)
    assert (document["state"], document["fresh_at"]) == ("fresh", "2026-01-02T02:58:20.000Z")
    assert (document["seconds_behind"], document["fresh_within_seconds"]) == (100.0, 240.0)
    never = {**both, "a": replace(both["a"], fresh_at=None)}
    document = freshness.document(never, due, AT)
    assert (document["fresh_at"], document["seconds_behind"], document["state"]) == (None, 9000.0, "late")
    nothing = dict.fromkeys(("fresh_at", "checked_at", "seconds_behind", "fresh_within_seconds"))
    assert freshness.document({}, {}, AT) == {"state": "unknown", **nothing, "tables": []}
    assert checked("a", -5).behind(AT) == 0.0, "clocks differ"


# ------------------------------------------------------------------------------------------------ functions and alarms


class Answers:
    """AWS with one answer for each operation; keeps what it was asked."""

    account_id = "123456789012"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:eu-west-2:{self.account_id}:{resource}"

    def find(self, service: str, operation: str, **parameters: Any) -> Any:
        self.asked.append((service, operation, parameters))
        answer = self.answers[operation]
        if isinstance(answer, Exception):
            raise answer
        return answer

    call = find

    def list_all(self, service: str, operation: str, key: str, **parameters: Any) -> Any:
        assert key in ("MetricAlarms", "Subscriptions", "MetricDataResults", "events")
        return self.find(service, operation, **parameters)


PIPELINE = load(DEFAULT_PATH)


def test_live_version_of_a_function_is_its_state() -> None:
    live = {"Version": "7", "Runtime": "python3.13", "LastModified": "2026-01-02T03:04:05.000+0000", "State": "Pending"}
    aws: Any = Answers(get_function_configuration=live)
    found = deployed.function_state(aws, PIPELINE, "transform")
    asked = {"FunctionName": "totes-dev-transform", "Qualifier": "live"}
    assert aws.asked == [("lambda", "get_function_configuration", asked)]
    schedule = found.pop("schedule")
    assert schedule.split(", ")[0] == "S3 event"
    about = {"version": "7", "runtime": "python3.13", "last_deployed": "2026-01-02 03:04:05Z"}
    assert found == {"name": "totes-dev-transform", "state": "Pending", **about}
    aws.answers["get_function_configuration"] = {"Version": "7", "LastModified": "2026-01-02T03:04:05"}
    assert deployed.function_state(aws, PIPELINE, "load")["state"] == "Active"
    assert deployed.function_state(aws, PIPELINE, "extract")["schedule"].startswith("rate(")
    topic = next(name for name, function in PIPELINE.functions.items() if function.topic_triggers)
    assert deployed.function_state(aws, PIPELINE, topic)["schedule"].startswith("topic ")
    aws.answers["get_function_configuration"] = None
    absent = dict.fromkeys(("version", "runtime", "last_deployed"))
    found = deployed.function_state(aws, PIPELINE, "transform")
    assert found == {"name": "totes-dev-transform", "state": "not deployed", "schedule": schedule, **absent}
    by_hand = replace(PIPELINE.functions["load"].spec, schedule="", schedules=())
    alone = replace(PIPELINE, functions={"load": replace(PIPELINE.functions["load"], spec=by_hand)})
    assert deployed.function_state(aws, alone, "load")["schedule"] is None, "nothing starts it"


def test_alarms_of_the_stage_have_their_states() -> None:
    alarm = {"AlarmName": "a", "StateValue": "OK", "StateUpdatedTimestamp": AT, "StateReason": "r"}
    aws: Any = Answers(describe_alarms=[{**alarm, "AlarmDescription": "d"}, dict(list(alarm.items())[:3])])
    assert deployed.alarm_states(aws, PIPELINE) == [
        {"name": "a", "state": "OK", "since": "2026-01-02 03:00:00Z", "reason": "r", "description": "d"},
        {"name": "a", "state": "OK", "since": "2026-01-02 03:00:00Z", "reason": "", "description": ""},
    ]
    assert aws.asked == [("cloudwatch", "describe_alarms", {"AlarmNamePrefix": "totes-dev-"})]


def test_addresses_are_those_declared_and_those_subscribed() -> None:
    emails = replace(PIPELINE, topic=replace(PIPELINE.topic, emails=("d@x.com", "a@x.com", "b@x.com")))
    listed = [
        {"Protocol": "email", "Endpoint": "b@x.com", "SubscriptionArn": "PendingConfirmation"},
        {"Protocol": "email", "Endpoint": "a@x.com", "SubscriptionArn": "arn:aws:sns:x"},
        {"Protocol": "email", "Endpoint": "c@x.com", "SubscriptionArn": "arn:aws:sns:y"},
        {"Protocol": "lambda", "Endpoint": "f", "SubscriptionArn": "arn:aws:sns:z"},
    ]
    aws: Any = Answers(get_topic_attributes={}, list_subscriptions_by_topic=listed)
    assert deployed.subscription_states(aws, emails) == [
        {"address": "a@x.com", "state": "confirmed"},
        {"address": "b@x.com", "state": "not confirmed"},
        {"address": "c@x.com", "state": "confirmed"},
        {"address": "d@x.com", "state": "not subscribed"},
    ]
    topic = {"TopicArn": "arn:aws:sns:eu-west-2:123456789012:totes-dev-alerts"}
    assert [parameters for _, _, parameters in aws.asked] == [topic, topic]
    none = replace(emails, topic=replace(emails.topic, emails=None))
    assert len(deployed.subscription_states(aws, none)) == 3, "those that are subscribed"
    aws.answers["get_topic_attributes"] = None
    assert deployed.subscription_states(aws, emails) == []


def test_starts_are_asked_for_in_one_request() -> None:
    minute = timedelta(minutes=1)
    aws: Any = Answers(
        get_metric_data=[
            {"Id": "q0_invocations", "Timestamps": [AT, AT - minute], "Values": [0.0, 2.0]},
            {"Id": "q0_invocations", "Timestamps": [AT - 2 * minute], "Values": [1.0]},
            {"Id": "q0_errors", "Timestamps": [AT - 2 * minute, AT - minute], "Values": [1.0, 0.0]},
        ]
    )
    found = starts.last_starts(aws, PIPELINE, AT)
    first, *rest = found.values()
    assert first == {"last_run": "2026-01-02T02:59:00.000Z", "last_failed": False}
    assert all(each == {"last_run": None, "last_failed": None} for each in rest)
    [(service, operation, parameters)] = aws.asked
    assert (service, operation) == ("cloudwatch", "get_metric_data")
    assert (parameters["StartTime"], parameters["EndTime"]) == (AT - timedelta(hours=3), AT + minute)
    queries = parameters["MetricDataQueries"]
    metric = {
        "Namespace": "AWS/Lambda",
        "MetricName": "Errors",
        "Dimensions": [{"Name": "FunctionName", "Value": f"totes-dev-{next(iter(PIPELINE.functions))}"}],
    }
    assert queries[1] == {"Id": "q0_errors", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    assert len(queries) == 2 * len(PIPELINE.functions)


# ---------------------------------------------------------------------------------------------------------------- usage


def test_half_a_month_has_half_of_what_is_paid_by_the_hour(monkeypatch) -> None:
    numbers = [Decimal(n) for n in range(1, 30)]
    use = FunctionUse("extract", 1024, False, Decimal(10), *numbers[:5], provisioned=4)
    rare = replace(use, name="load", starts=Decimal(0))
    network = Network(Decimal(2), Decimal(4), Decimal(6))
    whole = Month((use, rare), *numbers[5:14], network=network)
    monkeypatch.setattr(usage, "month", lambda parts: whole)
    parts: Any = SimpleNamespace(functions=(SimpleNamespace(on_aws="a"), SimpleNamespace(on_aws="b")))
    sums: Mapping[tuple[str, str], Decimal] = {("a", "Invocations"): Decimal(30), ("a", "Duration"): Decimal(45_000)}
    found = usage.so_far(parts, sums, Decimal("0.5"))
    first, second = found.functions
    assert first == replace(
        use,
        starts=Decimal(30),
        seconds=45 + 30 * Decimal("0.05") * Decimal("1.2"),
        s3_writes=3 * use.s3_writes,
        s3_reads=3 * use.s3_reads,
        secret_reads=3 * use.secret_reads,
        log_bytes=3 * use.log_bytes,
        provisioned=2,
    )
    assert (second.starts, second.seconds, second.log_bytes, second.provisioned) == (0, 0, 0, 2)
    assert found.network == Network(Decimal(1), Decimal(2), Decimal(3))
    names = ("alarm_metrics", "metrics", "dashboards", "secrets", "kms_keys", "kms_requests", "emails")
    for name in (*names, "stored_gb", "log_gb"):
        assert getattr(found, name) == getattr(whole, name) / 2, name


def test_points_of_a_metric_are_added_up() -> None:
    points = [{"Timestamp": after(n), "Sum": of, "Average": 7 - n} for n, of in ((2, 1.5), (0, 1.25), (1, 0.75))]
    aws: Any = Answers(get_metric_statistics={"Datapoints": points})
    assert usage._sum(aws, "AWS/Lambda", "Duration", {"FunctionName": "f"}, AT, after(9)) == Decimal("3.5")
    assert usage._bucket_bytes(aws, "b", AT) == 5, "the newest"
    [(_, _, first), (_, _, second)] = aws.asked
    assert first == {
        "Namespace": "AWS/Lambda",
        "MetricName": "Duration",
        "Dimensions": [{"Name": "FunctionName", "Value": "f"}],
        "StartTime": AT,
        "EndTime": after(9),
        "Period": 86_400,
        "Statistics": ["Sum"],
    }
    dimensions = [{"Name": "BucketName", "Value": "b"}, {"Name": "StorageType", "Value": "StandardStorage"}]
    assert (second["Dimensions"], second["StartTime"]) == (dimensions, AT - timedelta(days=3))
    assert (second["Namespace"], second["MetricName"], second["Statistics"]) == (
        "AWS/S3",
        "BucketSizeBytes",
        ["Average"],
    )
    aws.answers["get_metric_statistics"] = {}
    assert usage._sum(aws, "n", "m", {}, AT, AT) is None and usage._bucket_bytes(aws, "b", AT) is None


@pytest.mark.parametrize(
    ("last", "written", "asked", "found"),
    [
        (None, [], [], None),
        (1, [7200], [0], None),
        (2, [7200, 60], [0], 2 * 730 / 2),
        (2, [3600, 60], [0], 2 * 730),
        (2, [3599, 60], [0], None),
        (700, [36_000] * 4, [200], 4 * 730 / 10),
    ],
)
def test_batches_of_a_month_are_those_of_the_last_ones(monkeypatch, last, written, asked, found) -> None:
    listed: list[int] = []

    def batches(aws: Any, bucket: str, after_batch: int) -> list[Any]:
        listed.append(after_batch)
        return [SimpleNamespace(written=after(-seconds)) for seconds in written]

    monkeypatch.setattr(usage, "last_batch", lambda aws, bucket: last)
    monkeypatch.setattr(usage, "batches_after", batches)
    aws: Any = None
    assert (usage._batches_a_month(aws, "b", AT), listed) == (found and pytest.approx(Decimal(found)), asked)
