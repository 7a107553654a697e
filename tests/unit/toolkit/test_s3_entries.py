"""Entries of a bucket's notification configuration: their form, their owner, and which overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.aws.account import Place
from lambda_toolkit.errors import AwsError, TriggerError
from lambda_toolkit.resources.planning.attachment import PlanScope
from lambda_toolkit.resources.triggers import s3_notification
from lambda_toolkit.resources.triggers.s3_notification import overlap
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.triggers.s3 import S3Trigger

ALL, PUT, REMOVED = "s3:ObjectCreated:*", "s3:ObjectCreated:Put", "s3:ObjectRemoved:*"


def entry(prefix: str = "", suffix: str = "", *events: str) -> dict[str, Any]:
    rules = [{"Name": name, "Value": value} for name, value in (("Prefix", prefix), ("Suffix", suffix)) if value]
    filtered = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return {"Id": "theirs", "Events": list(events or (ALL,)), "LambdaFunctionArn": "arn", **filtered}


@pytest.mark.parametrize(
    ("one", "other", "overlaps"),
    [
        (entry(), entry(), True),
        (entry("a/"), entry("b/"), False),
        (entry("a/"), entry("a/b/"), True),
        (entry("a/"), entry(), True),
        (entry("", ".csv"), entry("", ".json"), False),
        (entry("", ".csv"), entry("", "x.csv"), True),
        (entry("", ".csv"), entry(), True),
        (entry("a/", ".csv"), entry("b/", ".csv"), False),
        (entry("a/", ".csv"), entry("a/", ".json"), False),
        (entry("a/", ".csv"), entry("a/b", ".csv"), True),
        (entry("", "", PUT), entry("", "", ALL), True),
        (entry("", "", PUT), entry("", "", PUT), True),
        (entry("", "", PUT), entry("", "", "s3:ObjectCreated:Post"), False),
        (entry("", "", PUT), entry("", "", f"{PUT}X"), False),
        (entry("", "", ALL), entry("", "", REMOVED), False),
        (entry("", "", ALL, REMOVED), entry("", "", "s3:ObjectRemoved:Delete"), True),
        (entry("", "", PUT, REMOVED), entry("", "", "s3:ObjectCreated:Copy", "s3:ObjectRemoved:Delete"), True),
        ({"Events": [ALL], "Filter": {}}, {"Events": [ALL], "Filter": {"Key": {}}}, True),
    ],
)
def test_entries_overlap_where_one_object_matches_both(one: Any, other: Any, overlaps: bool) -> None:
    assert overlap(one, other) is overlaps
    assert overlap(other, one) is overlaps


def spec(name: str, *triggers: S3Trigger) -> FunctionSpec:
    return FunctionSpec(name, Path("f.py"), s3_triggers=triggers)


def test_declared_triggers_of_one_object_are_refused() -> None:
    lake = S3Trigger("lake", "in/")
    s3_notification.check_declared(
        [spec("a", lake), spec("b", S3Trigger("other", "in/")), FunctionSpec("c", Path("c"))]
    )
    s3_notification.check_declared([spec("a", lake, S3Trigger("lake", "out/"))])
    for functions in ([spec("a", lake), spec("b"), spec("b", lake)], [spec("a", S3Trigger("lake"), lake)]):
        with pytest.raises(TriggerError, match="s3://lake/.* of `a` .*s3://lake/in/"):
            s3_notification.check_declared(functions)


def test_entry_is_as_s3_takes_it() -> None:
    made = s3_notification._entry("arn", "f", S3Trigger("lake", "in/", ".csv", (REMOVED, ALL)))
    assert made == {
        "Id": made["Id"],
        "LambdaFunctionArn": "arn",
        "Events": [ALL, REMOVED],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".csv"}]}},
    }
    assert "Filter" not in s3_notification._entry("arn", "f", S3Trigger("lake"))
    [rule] = s3_notification._entry("arn", "f", S3Trigger("lake", suffix=".csv"))["Filter"]["Key"]["FilterRules"]
    assert rule == {"Name": "suffix", "Value": ".csv"}


def test_id_of_an_entry_has_its_owner_and_what_it_matches() -> None:
    triggers = (
        *(S3Trigger("lake"), S3Trigger("lake", "in/"), S3Trigger("lake", suffix="in/")),
        *(S3Trigger("lake", events=(PUT,)), S3Trigger("lake", "in/", "out/")),
    )
    ids = [s3_notification._entry("arn", "f:1", trigger)["Id"] for trigger in triggers]
    assert len(set(ids)) == len(ids)
    assert {s3_notification._owner_of({"Id": each}) for each in ids} == {"f:1"}
    same = s3_notification._entry("other", "f:1", S3Trigger("b", events=(ALL, PUT)))["Id"]
    assert same == s3_notification._entry("arn", "f:1", S3Trigger("c", events=(PUT, ALL)))["Id"]
    assert s3_notification.is_own({"Id": ids[0]}, "f:1") is True
    assert s3_notification.is_own({"Id": ids[0]}, "f:2") is False
    assert s3_notification.is_own({"Id": "lambda-script:f2:0"}, "f") is False
    for of_others in ({"Id": "theirs"}, {"Id": "other:f:1"}, {}, {"Id": "lambda-script"}):
        assert s3_notification._owner_of(of_others) == ""
        assert s3_notification.is_own(of_others, "f") is False


def test_what_this_plan_wrote_counts_before_what_is_read() -> None:
    """A read may not show it yet: what was added is there, and what was removed is not."""
    read = [{"Id": "kept"}, {"Id": "removed"}, {"Id": "changed", "old": 1}, {}]
    written = {"removed": None, "changed": {"Id": "changed", "new": 1}, "added": {"Id": "added"}}
    assert s3_notification._with_written(read, written) == [
        *({"Id": "kept"}, {}),
        *({"Id": "changed", "new": 1}, {"Id": "added"}),
    ]


def test_permissions_of_the_function_name_its_buckets() -> None:
    grants = {"lambda-script-s3-1": "arn:aws:s3:::lake", "lambda-script-s3-2": "arn:aws:s3:::other", "x": ""}
    assert s3_notification._buckets(grants) == {"lake", "other"}
    assert s3_notification._granted_to(grants, "lake") == ["lambda-script-s3-1"]
    declared = spec("f", S3Trigger("b"), S3Trigger("a"), S3Trigger("b", "x"))
    assert s3_notification.deployer_resources(declared, Place("1", "eu-west-2")) == ["arn:aws:s3:::a", "arn:aws:s3:::b"]
    assert s3_notification.deployer_resources(FunctionSpec("f", Path("f")), Place("1", "eu-west-2")) == []


class S3:
    """A bucket's configuration, and what is written of it."""

    def __init__(self, configuration: dict[str, Any] | None) -> None:
        self.configuration = configuration
        self.written: list[dict[str, Any]] = []

    def find(self, service: str, operation: str, **given: Any) -> Any:
        assert (operation, given) == ("get_bucket_notification_configuration", {"Bucket": "lake"})
        return None if self.configuration is None else {**self.configuration, "ResponseMetadata": {}}

    def call(self, service: str, operation: str, **given: Any) -> None:
        assert (operation, given["Bucket"]) == ("put_bucket_notification_configuration", "lake")
        self.written.append(given)
        self.configuration = given["NotificationConfiguration"]

    def wait_until(self, look: Any, what: str) -> None:
        assert look() is True


def own(function: str, prefix: str = "") -> dict[str, Any]:
    return s3_notification._entry(f"arn:{function}", function, S3Trigger("lake", prefix))


def merged(
    entries: list[dict[str, Any]], desired: list[dict[str, Any]], scope: PlanScope | None = None, **more: Any
) -> tuple[Any, S3]:
    aws = S3({"LambdaFunctionConfigurations": entries, **more} if entries or more else {})
    s3_notification._merge(aws, "lake", "f", desired, scope or PlanScope())  # type: ignore[arg-type]
    return (aws.configuration or {}).get("LambdaFunctionConfigurations", []), aws


def test_entries_of_others_stay_and_our_own_are_replaced() -> None:
    queues = {"QueueConfigurations": [{"Id": "q"}], "TopicConfigurations": [], "EventBridgeConfiguration": {}}
    found, aws = merged([entry("x/"), own("f", "a/"), own("g", "b/")], [own("f", "c/")], **queues)
    assert found == [entry("x/"), own("g", "b/"), own("f", "c/")]
    assert aws.written[0]["SkipDestinationValidation"] is False
    assert set(aws.configuration or {}) == {
        *("LambdaFunctionConfigurations", "QueueConfigurations", "EventBridgeConfiguration")
    }
    found, aws = merged([own("f", "a/"), entry("x/")], [])
    assert (found, aws.written[0]["SkipDestinationValidation"]) == ([entry("x/")], True)
    for entries, desired in (([own("f", "a/")], [own("f", "a/")]), ([entry()], []), ([], [])):
        assert merged(entries, desired)[1].written == []


def test_replaced_entry_is_removed_where_it_overlaps() -> None:
    def scope() -> PlanScope:  # a new one for each plan: it remembers what the plan wrote
        return PlanScope(with_triggers=frozenset({"g"}))

    entries = [own("g", "a/"), own("g", "b/"), own("h", "a/")]
    assert merged(entries, [own("f", "a/")], scope())[0] == [own("g", "b/"), own("h", "a/"), own("f", "a/")]
    assert merged(entries, [own("f", "c/")], scope())[0] == [*entries, own("f", "c/")]
    removed = PlanScope(removed=lambda: {(Kind.S3_NOTIFICATION, "h on lake")})
    assert merged(entries, [own("f", "a/")], removed)[0] == [*entries[:2], own("f", "a/")]
    assert merged(entries, [own("f", "a/")])[0] == [*entries, own("f", "a/")]
    assert [PlanScope().replaces("", "lake"), scope().replaces("g", "x"), removed.replaces("h", "x")] == [
        *(False, True, False),
    ]


def test_bucket_that_does_not_exist_has_nothing_to_remove() -> None:
    aws: Any = S3(None)
    s3_notification._merge(aws, "lake", "f", [], PlanScope())
    with pytest.raises(AwsError, match="There is no bucket lake to trigger f") as said:
        s3_notification._merge(aws, "lake", "f", [own("f")], PlanScope())
    assert (said.value.code, aws.written) == ("NoSuchBucket", [])
