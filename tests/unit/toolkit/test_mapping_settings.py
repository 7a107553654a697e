"""The settings of an event source mapping: what a new one is sent, how a live one differs, what an update sends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lambda_toolkit.resources.triggers.mapping_settings import compare, creation, shown, update
from lambda_toolkit.spec.triggers.queue import QueueTrigger
from lambda_toolkit.spec.triggers.stream import StreamTrigger

Trigger = QueueTrigger | StreamTrigger
NEW, OLD = {"body": {"kind": ["new"]}}, {"body": {"kind": ["old"], "a": [1]}}
SENT_NEW, SENT_OLD = '{"body":{"kind":["new"]}}', '{"body":{"a":[1],"kind":["old"]}}'
FAILED = "arn:aws:sqs:eu-west-2:123456789012:failed"
QUEUE = QueueTrigger("orders")
STREAM = StreamTrigger("clicks")

CREATED: tuple[tuple[Trigger, dict[str, Any]], ...] = (
    (QUEUE, {"BatchSize": 10, "Enabled": True}),
    (
        QueueTrigger("orders", 50, 5, (OLD, NEW), True, 7, enabled=False),
        {
            "BatchSize": 50,
            "MaximumBatchingWindowInSeconds": 5,
            "FilterCriteria": {"Filters": [{"Pattern": SENT_OLD}, {"Pattern": SENT_NEW}]},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": 7},
            "Enabled": False,
        },
    ),
    (STREAM, {"BatchSize": 100, "Enabled": True, "StartingPosition": "TRIM_HORIZON"}),
    (
        StreamTrigger("", "orders", "LATEST", "", 5, 3, (), False, FAILED, 2, True, 0, 60),
        {
            "BatchSize": 5,
            "MaximumBatchingWindowInSeconds": 3,
            "DestinationConfig": {"OnFailure": {"Destination": FAILED}},
            "ParallelizationFactor": 2,
            "BisectBatchOnFunctionError": True,
            "MaximumRetryAttempts": 0,
            "MaximumRecordAgeInSeconds": 60,
            "StartingPosition": "LATEST",
            "Enabled": True,
        },
    ),
    (
        StreamTrigger("clicks", "", "AT_TIMESTAMP", "2026-11-01T02:00:00+02:00"),
        {
            "BatchSize": 100,
            "StartingPosition": "AT_TIMESTAMP",
            "StartingPositionTimestamp": datetime(2026, 11, 1, tzinfo=UTC),
            "Enabled": True,
        },
    ),
)


@pytest.mark.parametrize(("trigger", "sent"), CREATED)
def test_new_mapping_is_sent_what_is_not_the_default(trigger: Trigger, sent: dict[str, Any]) -> None:
    assert creation(trigger) == sent


@pytest.mark.parametrize(("trigger", "sent"), CREATED)
def test_mapping_as_it_was_made_does_not_differ(trigger: Trigger, sent: dict[str, Any]) -> None:
    live = {**sent, "State": "Enabled" if trigger.enabled else "Disabled"}
    assert compare(live, trigger) == ()


LIVE = {"BatchSize": 10, "State": "Enabled"}
LIVE_STREAM = {"BatchSize": 100, "State": "Enabled", "StartingPosition": "LATEST"}
DIFFERENT: tuple[tuple[Trigger, dict[str, Any], list[str]], ...] = (
    (QUEUE, {"BatchSize": 20}, ["batch_size: 20 -> 10"]),
    (QUEUE, {"MaximumBatchingWindowInSeconds": 5}, ["batching_window: 5 -> 0"]),
    (QUEUE, {"FunctionResponseTypes": ["ReportBatchItemFailures"]}, ["report_failures: True -> False"]),
    (QUEUE, {"FunctionResponseTypes": []}, []),
    (QUEUE, {"ScalingConfig": {"MaximumConcurrency": 5}}, ["maximum_concurrency: 5 -> none"]),
    (QUEUE, {"ScalingConfig": {}}, []),
    (
        QUEUE,
        {"FilterCriteria": {"Filters": [{"Pattern": SENT_NEW}]}},
        ['filters: [{"body": {"kind": ["new"]}}] -> none'],
    ),
    (QUEUE, {"FilterCriteria": {"Filters": [{"Pattern": "no JSON"}]}}, ["filters: no JSON -> none"]),
    (QUEUE, {"FilterCriteria": {"Filters": [{}]}}, ["filters: [{}] -> none"]),
    (QUEUE, {"FilterCriteria": {}}, []),
    (QUEUE, {"ParallelizationFactor": 5, "BisectBatchOnFunctionError": True}, []),
    (QUEUE, {"State": "Disabled"}, ["enabled: False -> True"]),
    (QUEUE, {"State": "Disabling"}, ["enabled: False -> True"]),
    (QUEUE, {"State": "Enabling"}, []),
    (QUEUE, {"State": "Updating"}, []),
    (QueueTrigger("orders", enabled=False), {"State": "Enabling"}, ["enabled: True -> False"]),
    (QueueTrigger("orders", enabled=False), {"State": "Creating"}, []),
    (
        QueueTrigger("orders", filters=(NEW, OLD)),
        {"FilterCriteria": {"Filters": [{"Pattern": SENT_OLD}, {"Pattern": SENT_NEW}]}},
        [],
    ),
    (STREAM, LIVE_STREAM, []),
    (
        STREAM,
        {**LIVE_STREAM, "DestinationConfig": {"OnFailure": {"Destination": FAILED}}},
        [f"on_failure: {FAILED} -> none"],
    ),
    (STREAM, {**LIVE_STREAM, "DestinationConfig": {"OnFailure": {}}}, []),
    (STREAM, {**LIVE_STREAM, "DestinationConfig": {}}, []),
    (STREAM, {**LIVE_STREAM, "ParallelizationFactor": 2}, ["parallelization_factor: 2 -> 1"]),
    (STREAM, {**LIVE_STREAM, "BisectBatchOnFunctionError": True}, ["bisect: True -> False"]),
    (STREAM, {**LIVE_STREAM, "MaximumRetryAttempts": 3}, ["retries: 3 -> -1"]),
    (STREAM, {**LIVE_STREAM, "MaximumRecordAgeInSeconds": 60}, ["max_record_age: 60 -> -1"]),
    (STREAM, {**LIVE_STREAM, "MaximumRetryAttempts": None}, []),
)


@pytest.mark.parametrize(("trigger", "live", "differences"), DIFFERENT)
def test_difference_names_the_field_of_the_trigger(
    trigger: Trigger, live: dict[str, Any], differences: list[str]
) -> None:
    assert [str(item) for item in compare({**LIVE, **live}, trigger)] == differences


@pytest.mark.parametrize(
    ("trigger", "fields", "sent"),
    [
        (QUEUE, ["report_failures"], {"FunctionResponseTypes": []}),
        (QUEUE, ["filters", "maximum_concurrency"], {"FilterCriteria": {}, "ScalingConfig": {}}),
        (QUEUE, ["batch_size"], {"BatchSize": 10, "MaximumBatchingWindowInSeconds": 0}),
        (QUEUE, ["batching_window"], {"BatchSize": 10, "MaximumBatchingWindowInSeconds": 0}),
        (QueueTrigger("a.fifo"), ["batch_size"], {"BatchSize": 10}),
        (QueueTrigger("a.fifo"), ["batching_window"], {"BatchSize": 10, "MaximumBatchingWindowInSeconds": 0}),
        (QUEUE, ["enabled"], {"Enabled": True}),
        (STREAM, ["on_failure"], {"DestinationConfig": {"OnFailure": {"Destination": ""}}}),
        (STREAM, ["retries"], {"MaximumRetryAttempts": -1}),
        (STREAM, [], {}),
    ],
)
def test_update_sends_only_what_differs(trigger: Trigger, fields: list[str], sent: dict[str, Any]) -> None:
    """Lambda checks the size of a batch by its window, so that both are sent; a FIFO queue has no window."""
    assert update(trigger, fields) == sent


def test_plan_shows_what_is_not_the_default() -> None:
    assert shown(QUEUE) == ("batch_size 10",)
    queue = QueueTrigger("orders", filters=(NEW,), enabled=False)
    assert shown(queue) == ('batch_size 10, filters [{"body": {"kind": ["new"]}}], disabled',)
    assert shown(STREAM) == ("from TRIM_HORIZON, batch_size 100",)
    at = StreamTrigger("clicks", "", "AT_TIMESTAMP", "2026-11-01T00:00:00Z", retries=2)
    assert shown(at) == ("from 2026-11-01T00:00:00Z, batch_size 100, retries 2",)
