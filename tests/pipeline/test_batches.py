"""The timeline of batches says what a batch has, when each step was done, and how long its changes took."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_toolkit.aws import Aws
from lambda_toolkit.pipeline.client.observing import latency
from lambda_toolkit.pipeline.client.observing.batches import TimelineReader
from lambda_toolkit.pipeline.client.observing.latency import Sample, percentile
from lambda_toolkit.pipeline.client.warehouses.reader import WarehouseReader
from lambda_toolkit.pipeline.lambdas.extract.source import postgres
from tests.support.sessions import new_session


class _Declared:
    """What the reader needs of a pipeline's declaration."""

    name, stage = "totes", "test"

    def bucket_name(self, name: str, account: str) -> str:
        return name


@pytest.fixture
def timeline(emulated_aws, credentials, buckets):
    return TimelineReader(Aws("eu-west-2", session=new_session()), _Declared(), WarehouseReader(credentials[1]))


def documents(timeline: TimelineReader, *count: int) -> list[dict[str, Any]]:
    """Those of the batches, the first batch first."""
    return timeline.read(*count).to_json(_Declared(), datetime.now(UTC))["batches"][::-1]


def test_each_batch_is_shown_as_far_as_it_has_come(pipeline, timeline):
    assert documents(timeline) == []
    pipeline.run()
    committed = datetime.now(UTC)
    pipeline.admin.run("UPDATE payment SET paid = NOT paid WHERE payment_id < 3")
    pipeline.admin.run("UPDATE design SET file_name = 'x'; DELETE FROM payment WHERE payment_id = 9")
    pipeline.run()
    pipeline.admin.run("UPDATE staff SET first_name = 'x' WHERE staff_id = 1")
    assert pipeline.extract().batch == 3
    pipeline.transform(3)
    pipeline.admin.run("UPDATE staff SET first_name = 'y' WHERE staff_id = 1")
    assert pipeline.extract().batch == 4
    first, second, third, fourth = documents(timeline)
    assert [each["batch"] for each in (first, second, third, fourth)] == [1, 2, 3, 4]
    assert [each["state"] for each in (first, second, third, fourth)] == [
        "loaded",
        "loaded",
        "transformed",
        "extracted",
    ]
    assert (first["mode"], first["rows"], first["latency"], first["commits"]) == ("full", 46, None, None)
    assert (second["rows"], second["deleted"], second["versions"]) == (4, 1, 4)
    assert second["tables"] == {"design": {"rows": 2, "deleted": 0}, "payment": {"rows": 2, "deleted": 1}}
    assert second["written"] == {"dim_design": 2, "fact_payment": 2}
    assert second["commits"]["transactions"] == 2
    assert committed - timedelta(seconds=1) < datetime.fromisoformat(second["commits"]["first"]) < datetime.now(UTC)
    loaded_at = datetime.fromisoformat(second["loaded_at"])
    since_first = (loaded_at - datetime.fromisoformat(second["commits"]["first"])).total_seconds()
    assert second["latency"]["worst"] == pytest.approx(since_first, abs=0.002)
    assert second["latency"]["median"] <= second["latency"]["p99"] == second["latency"]["worst"]
    assert second["latency"]["at_most"] is False
    assert second["seconds"]["total"] == pytest.approx(
        (loaded_at - datetime.fromisoformat(second["extracted_at"])).total_seconds(), abs=0.002
    )
    assert (third["loaded_at"], third["latency"], third["seconds"]["load"]) == (None, None, None)
    assert (fourth["transformed_at"], fourth["seconds"]["transform"]) == (None, None)
    assert documents(timeline, 2) == [third, fourth]
    assert timeline.one(2).to_json(_Declared(), committed)["batches"] == [second]
    assert timeline.one(9).batches == ()


def test_without_commit_times_latency_is_an_upper_bound(pipeline, timeline, monkeypatch):
    """Then a change came after the snapshot of the batch before it: no later than shown, perhaps sooner."""
    monkeypatch.setattr(postgres, "_COMMIT_TIMES", "SELECT 1/0 FROM unnest(CAST(:ids AS bigint[])) AS t(id)")
    pipeline.run()
    pipeline.admin.run("UPDATE staff SET first_name = 'x'")
    pipeline.run()
    first, second = documents(timeline)
    bound = datetime.fromisoformat(second["loaded_at"]) - datetime.fromisoformat(first["extracted_at"])
    assert first["latency"] is None
    assert second["latency"]["at_most"] is True
    assert second["latency"]["worst"] == pytest.approx(bound.total_seconds(), abs=0.002)
    assert documents(timeline, 1) == [second], "of which the batch before is not shown"


def test_open_rows_of_a_batch_are_counted(pipeline, timeline):
    pipeline.run()
    pipeline.admin.run("UPDATE payment SET payment_date = 'soon' WHERE payment_id = 1")
    pipeline.run()
    assert (documents(timeline)[1]["rejected"], documents(timeline)[1]["still_rejected"]) == (1, 1)


def test_unreadable_warehouse_leaves_the_rest_of_the_timeline(pipeline, timeline):
    pipeline.run()
    away = dataclasses.replace(timeline.warehouse.credentials, port=1)
    found = TimelineReader(timeline.aws, timeline.pipeline, WarehouseReader(away)).read()
    assert [batch.state for batch in found.batches] == ["transformed"]
    assert "cannot be reached" in str(found.problem)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), min_size=1), st.sampled_from([0.01, 0.5, 0.9, 0.99]))
def test_percentile_is_the_nearest_rank_of_all_transactions(samples, share):
    """As if each sample stood as often as it has weight."""
    every = sorted(seconds for seconds, weight in samples for _ in range(weight))
    rank = next(rank for rank in range(1, len(every) + 1) if rank >= share * len(every) - 1e-9)
    assert percentile([Sample(*each) for each in samples], share) == every[rank - 1]


def test_bounds_count_only_where_no_times_are_known():
    def known(*seconds: float) -> latency.Latency:
        return latency.Latency(tuple(Sample(each) for each in seconds))

    bound = latency.Latency((Sample(900.0),), at_most=True)
    assert latency.of_batches([None, known(1, 2), bound, known(3)]) == known(1, 2, 3)
    assert latency.of_batches([bound, None]) == bound
    assert latency.of_batches([None]) is None
