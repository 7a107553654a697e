"""A table that is too large for a batch is read by several readers in one snapshot, as one batch or not at all."""

from __future__ import annotations

import threading
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.extract.extraction import extract
from lambda_toolkit.pipeline.lambdas.extract.limits import Limits
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.extract.source.shared_snapshot import ranges
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from tests.support.lake_contents import manifest
from tests.support.large_table import ROWS, check_one_batch, grow, present, rows_of, step
from tests.support.readers import ChangedReaders, quick


def test_readers_read_a_large_table_as_one_batch(pipeline, readers):
    """A first load is one batch, whose manifest lists the files of all ranges; a small table is read as ever."""
    grow(pipeline)
    done = step(pipeline, quick(readers))
    assert "4 at a time" in done.readers["payment"]
    assert set(done.readers) == {"payment"}
    assert done.incomplete == {}
    files = manifest(pipeline.ingestion, 1).tables["payment"]
    assert len(files.change_files) == len(readers.requests) == 5
    assert sum(file.rows for file in files.keys) == ROWS + 9  # deletes will be found
    assert manifest(pipeline.ingestion, 1).tables["design"].more_changes == ()
    check_one_batch(pipeline, present(pipeline))
    pipeline.transform(1)
    pipeline.load()
    assert pipeline.rows("SELECT count(*) FROM fact_payment") == [[ROWS + 9]]
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 500")
    assert step(pipeline, quick(readers)).deleted == {"payment": 1}


def test_readers_change_nothing_below_the_threshold(pipeline, readers):
    """Where everything fits into a batch, no reader is started, and the files are those of before, byte for byte."""
    grow(pipeline, count=100)
    source, client, stored = PostgresSource(pipeline.reader), pipeline.ingestion._client, []
    for name, fan_out in (("alone", None), ("with-readers", quick(readers))):
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        lake = Lake(client, name)
        extract(source, lake, pipeline.declarations, "0" * 32, limits=Limits(rows=5000), fan_out=fan_out)
        stored.append({entry.key: lake.get(entry.key) for entry in lake.listing("data/")})
    assert stored[0] == stored[1]
    assert readers.requests == []


def torn(pipeline) -> None:
    """What tears ranges that are read one after the other: rows move to the end, or to the beginning."""
    pipeline.admin.run("UPDATE payment SET payment_amount = payment_amount + 1 WHERE payment_id % 3 = 0")
    pipeline.admin.run("DELETE FROM payment WHERE payment_id % 7 = 0")
    grow(pipeline, first=10_000, count=50)


def test_ranges_of_one_snapshot_are_not_torn(pipeline, readers):
    """Rows move while ranges are read, one after the other: each is read once, as it was when the snapshot was taken.

    The same ranges in snapshots of their own lose rows, and have others twice: the control.
    """
    grow(pipeline)
    before = present(pipeline)
    one_at_a_time = threading.Lock()

    def read(request, really):
        with one_at_a_time:
            found = really(request)
            if len(readers.requests) == 2:
                torn(pipeline)
            return found

    done = step(pipeline, quick(ChangedReaders(readers, read)))
    assert "ranges" in done.readers["payment"]
    check_one_batch(pipeline, before)
    assert before != present(pipeline)

    pipeline.admin.run("CREATE TABLE moving AS SELECT n, repeat('x', 100) AS text FROM generate_series(1, 1200) AS n")
    seen: Counter[int] = Counter()
    for number, (first, end) in enumerate(
        (each.first or "(0,0)", each.end or "(999,1)") for each in ranges(20, 1200, 4)
    ):
        found = pipeline.admin.rows(
            "SELECT n FROM moving WHERE ctid >= CAST(CAST(:first AS text) AS tid)"
            " AND ctid < CAST(CAST(:last AS text) AS tid)",
            first=first,
            last=end,
        )
        seen.update(key for (key,) in found)
        if number == 1:
            pipeline.admin.run("DELETE FROM moving WHERE n <= 300; UPDATE moving SET n = n WHERE n <= 600 OR n % 3 = 0")
    assert any(count > 1 for count in seen.values()), "the experiment tears nothing: then it proves nothing"


def test_large_backlog_is_one_batch_with_rows_in_flight(pipeline, readers):
    """A transaction wrote more rows than a batch may have: readers read these, and what is in flight is not lost."""
    grow(pipeline)
    step(pipeline, quick(readers), Limits(rows=5000))
    writer = pipeline.new_session()
    writer.run("BEGIN; UPDATE payment SET payment_amount = 7 WHERE payment_id IN (20, 21)")
    pipeline.admin.run("UPDATE payment SET payment_amount = payment_amount + 1 WHERE payment_id > 21")
    done = step(pipeline, quick(readers))
    assert "ranges" in done.readers["payment"]
    assert done.rows == {"payment": ROWS + 9 - 21}
    files = manifest(pipeline.ingestion, 2).tables["payment"]
    assert len(files.change_files) > 1
    assert files.in_flight.rows == ROWS + 9 - 21
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 30")
    writer.run("COMMIT")
    pipeline.admin.run("UPDATE payment SET payment_amount = 8 WHERE payment_id = 22")
    done = step(pipeline, quick(readers))  # the rows in flight are reread, and known
    assert (done.rows, done.deleted) == ({"payment": 3}, {"payment": 1})
    pipeline.admin.run("UPDATE payment SET payment_amount = 9")  # so many that readers read, beside rows in flight
    state = {}
    step(pipeline, quick(readers))
    for batch in range(1, 5):
        state |= {row["payment_id"]: row["payment_amount"] for row in rows_of(pipeline, batch)}
    del state[30]
    assert state == present(pipeline)
    assert step(pipeline, quick(readers)).batch is None


@given(st.integers(0, 3000), st.integers(0, 400_000), st.integers(1, 60))
def test_each_row_is_in_exactly_one_range(pages, rows, count):
    """Whatever the numbers of pages and rows are, and wherever a row is: also beyond the pages that were counted."""
    found = ranges(pages, rows, count)
    assert found[0].first is None
    assert found[-1].end is None
    assert len(found) <= 2 * count + 1
    bounds = [tuple(map(int, each.end.strip("()").split(","))) for each in found[:-1]]
    assert bounds == sorted(set(bounds))
    assert [each.first for each in found[1:]] == [each.end for each in found[:-1]]
    assert all(offset < 65536 for _, offset in bounds)


def test_join_finds_rows_in_every_file_of_readers(pipeline, readers):
    """Addresses that readers read, in several files: counterparties find theirs in each of these."""
    pipeline.admin.run("""
        INSERT INTO address SELECT n, 'Street ' || n, NULL, NULL, 'City', 'P' || n, 'Country', '1', created_at,
            created_at
        FROM address, generate_series(1000, 1599) AS n WHERE address_id = (SELECT min(address_id) FROM address);
        INSERT INTO counterparty SELECT n, 'Name ' || n, n, NULL, NULL, created_at, created_at
        FROM address, generate_series(1000, 1599, 50) AS n WHERE address_id = n""")
    done = step(pipeline, quick(readers))
    assert "ranges" in done.readers["address"]
    assert len(manifest(pipeline.ingestion, 1).tables["address"].change_files) > 3
    pipeline.transform(1)
    pipeline.load()
    found = pipeline.rows(
        "SELECT counterparty_id, counterparty_legal_postal_code FROM dim_counterparty WHERE counterparty_id >= 1000"
    )
    assert sorted(found) == [[key, f"P{key}"] for key in range(1000, 1600, 50)]
