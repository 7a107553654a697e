"""A batch's manifest has a summary of when its changes were committed, whose size and cost are bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.extract.commit_times import Transactions, summary
from lambda_toolkit.pipeline.lambdas.extract.source import postgres
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import ingestion_manifest, to_json
from tests.support.lake_contents import manifest


def test_times_are_those_at_which_the_source_committed(pipeline):
    """Each transaction once, also one with savepoints; none of the full read; none that an earlier batch reported."""
    pipeline.extract()
    assert manifest(pipeline.ingestion, 1).commits is None
    late, early = pipeline.new_session(), pipeline.new_session()
    late.run("BEGIN; UPDATE design SET file_name = 'late' WHERE design_id = 1")
    early.run("BEGIN; SAVEPOINT a; UPDATE staff SET last_name = 'x' WHERE staff_id < 3; RELEASE a; COMMIT")
    early_at = early.rows("SELECT timestamp FROM pg_last_committed_xact()")[0][0]
    pipeline.extract()
    late.run("COMMIT")
    late_at = late.rows("SELECT timestamp FROM pg_last_committed_xact()")[0][0]
    pipeline.extract()
    found = [manifest(pipeline.ingestion, batch).commits for batch in (2, 3)]
    assert [(each.transactions, list(each.times)) for each in found] == [
        (1, [early_at.isoformat()]),
        (1, [late_at.isoformat()]),  # and not again that of the rows that the run rereads
    ]


def test_source_without_commit_times_leaves_them_out(pipeline, monkeypatch):
    """As where ``track_commit_timestamp`` is off: the function raises an error there, and the batch is whole."""
    monkeypatch.setattr(postgres, "_COMMIT_TIMES", "SELECT 1/0 FROM unnest(CAST(:ids AS bigint[])) AS t(id)")
    pipeline.extract()
    pipeline.admin.run("UPDATE staff SET last_name = 'x'")
    assert pipeline.extract().rows == {"staff": 3}
    stored = manifest(pipeline.ingestion, 2)
    assert stored.commits is None
    assert ingestion_manifest(to_json(stored), "again") == stored


ids = st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=60), max_size=8)


@given(ids)
def test_few_transactions_are_all_kept(chunks):
    found = Transactions(limit=1000)
    for chunk in chunks:
        found.add(pa.chunked_array([pa.array(chunk, pa.int64())]))
    assert sorted(found.ids) == sorted({number for chunk in chunks for number in chunk})
    assert found.step == 1


@given(st.integers(0, 2**31), st.integers(1, 5000), st.integers(1, 50))
def test_many_transactions_become_an_even_sample(first, count, size):
    """Whatever the chunks are: bounded, and as many as there were, about."""
    found, limit = Transactions(limit=256), 256
    for start in range(first, first + count, 97 * size):
        ids = [*range(start, min(start + 97 * size, first + count))] * 2
        found.add(pa.chunked_array([pa.array(ids, pa.int64())]))
        assert len(found.ids) <= limit
    assert abs(len(found.ids) * found.step - count) <= found.step
    assert found.step == 1 or len(found.ids) >= limit // 2 - 1


def test_sample_has_every_transaction_up_to_4096():
    """Of more, those that a number divides which doubles until they are few enough; another's sample joins so."""
    found = Transactions()
    found.add(pa.chunked_array([pa.array(range(4096), pa.int64())]))
    assert (found.ids, found.step) == ([*range(4096)], 1)
    found.add(pa.chunked_array([pa.array([4096], pa.int64())]))
    assert (found.ids, found.step) == ([*range(0, 4097, 2)], 2)
    found.merge([8, 8192, 8200], 8)
    assert (found.ids, found.step) == ([*range(0, 4097, 8), 8192, 8200], 8)
    found.merge([4, 9, 16_000], 1)
    assert (found.ids, found.step) == ([*range(0, 4097, 8), 8192, 8200, 16_000], 8)


def test_times_between_are_evenly_spread():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [start + timedelta(seconds=number) for number in range(41)]
    transactions = Transactions(limit=2)
    transactions.add(pa.chunked_array([pa.array([0, 1, 2, 3], pa.int64())]))
    found = summary(transactions, times)
    assert found is not None
    assert found.times == tuple(time.isoformat() for time in times[::2])
    assert found.transactions == 82, "each of the sample is two"


@pytest.mark.parametrize("count", [1, 2, 20, 21, 22, 4096])
def test_summary_has_the_first_the_last_and_few_between(count):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [start + timedelta(seconds=number) for number in range(count)]
    transactions = Transactions()
    found = summary(transactions, times[::-1])
    assert found is not None
    assert (found.transactions, len(found.times)) == (count, min(count, 21))
    assert (found.times[0], found.times[-1]) == (times[0].isoformat(), times[-1].isoformat())
    assert list(found.times) == sorted(set(found.times))
    assert summary(transactions, []) is None
    assert summary(transactions, None) is None
