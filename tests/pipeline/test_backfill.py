"""A table too large for a batch is read in key ranges: no change meanwhile is lost or reported twice."""

from __future__ import annotations

import dataclasses
import random
import uuid

import pytest

from lambda_toolkit.pipeline.lambdas.extract import extraction
from lambda_toolkit.pipeline.lambdas.extract.capture import backfill, key_files
from lambda_toolkit.pipeline.lambdas.extract.extraction import Extracted, Request, extract_all
from lambda_toolkit.pipeline.lambdas.extract.limits import Limits
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSnapshot, PostgresSource
from lambda_toolkit.pipeline.lambdas.shared.deadline import Deadline
from tests.support import large_table
from tests.support.lake_contents import keys, manifest
from tests.support.source_model import EXPECTED, current_rows, expected_rows

SMALL = Limits(rows=40)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Chunks and key files of a few rows."""
    monkeypatch.setattr(backfill, "FIRST_CHUNK", 15)
    monkeypatch.setattr(key_files, "KEY_FILE_ROWS", 16)


def grow(pipeline, count=100):
    pipeline.admin.run(
        "INSERT INTO payment SELECT n, created_at, last_updated, 1, 1, 5, 1, 1, false, payment_date, 1, 2"
        " FROM payment, generate_series(10, :last) AS n WHERE payment_id = 8",
        last=9 + count,
    )


def step(pipeline, limits=SMALL, **request) -> Extracted:
    return large_table.step(pipeline, None, limits, **request)


def batches(pipeline) -> int:
    return pipeline.ingestion.last_batch() or 0


def reported(pipeline, table="payment", kind="changes", begun=1) -> list:
    return [
        key for batch in range(begun, batches(pipeline) + 1) for key in keys(pipeline.ingestion, batch, table, kind)
    ]


def equal(pipeline) -> None:
    """The batches, one applied after the other, give the source's payments."""
    state = {}
    for batch in range(1, batches(pipeline) + 1):
        files = manifest(pipeline.ingestion, batch).tables["payment"]
        for row in pipeline.ingestion.table(files.changes.key).to_pylist() if files.changes else ():
            state[row["payment_id"]] = row["payment_amount"]
        for key in keys(pipeline.ingestion, batch, "payment", "deleted"):
            del state[key]
    assert state == dict(pipeline.admin.rows("SELECT payment_id, payment_amount::text FROM payment"))


def finish(pipeline, limits=SMALL) -> None:
    for _ in range(60):
        done = step(pipeline, limits)
        if not done.incomplete and done.batch is None:
            return
    raise AssertionError(f"never complete: {done}")


def begin(pipeline) -> None:
    """Reads some of the payments, of which the first ones are among the first rows."""
    while not step(pipeline).incomplete.get("payment", "").startswith("read up to"):
        pass
    step(pipeline)
    assert 6 < int(manifest(pipeline.ingestion, batches(pipeline)).tables["payment"].backfill.last_key) < 100


def test_backfill_reads_dimensions_first_and_resumes(pipeline):
    """A first load takes dimensions first and goes on where it stopped."""
    grow(pipeline)
    first = step(pipeline, Limits(rows=25))
    assert first.incomplete.keys() >= {"payment", "sales_order"}
    assert (first.incomplete["payment"], first.rows["staff"]) == ("not read yet", 3)
    assert sum(first.rows.values()) == 25
    done = extract_all(PostgresSource(pipeline.reader), pipeline.ingestion, pipeline.declarations, Request(), SMALL)
    assert done.incomplete == {}
    assert sorted(reported(pipeline)) == list(range(1, 110))
    assert step(pipeline).batch is None
    for batch in range(1, batches(pipeline) + 1):
        pipeline.transform(batch)
    pipeline.load()
    for table in EXPECTED:
        assert current_rows(pipeline.warehouse, table) == expected_rows(pipeline.admin, table), table


def test_changes_during_a_backfill_are_read_below_its_last_key(pipeline):
    """What changes during a first load is taken concurrently below and in its turn beyond."""
    grow(pipeline)
    while not step(pipeline).incomplete.get("payment", "").startswith("read up to"):
        pass
    last_key = int(manifest(pipeline.ingestion, batches(pipeline)).tables["payment"].backfill.last_key)
    assert 1 <= last_key < 80
    pipeline.admin.run("UPDATE payment SET payment_amount = 77 WHERE payment_id IN (1, 109)")
    pipeline.admin.run("DELETE FROM payment WHERE payment_id IN (2, 100)")
    pipeline.admin.run("UPDATE payment SET payment_id = 200 WHERE payment_id = 3")
    pipeline.admin.run("UPDATE payment SET payment_id = 0 WHERE payment_id = 108")
    step(pipeline)
    assert {0, 1} <= set(keys(pipeline.ingestion, batches(pipeline), "payment"))
    assert 109 not in keys(pipeline.ingestion, batches(pipeline), "payment")
    finish(pipeline)
    assert sorted(reported(pipeline, kind="deleted")) == [2, 3]  # 100 and 108 were never reported
    equal(pipeline)


def test_keys_are_not_read_again_of_unwritten_rows(pipeline, monkeypatch):
    """At the end of a first load there are as many rows as keys, and none was written since it was read.

    Between batches the allocator returns its memory.
    """
    read_again, released = [], []
    monkeypatch.setattr(extraction, "release_memory", lambda: released.append(batches(pipeline)))
    monkeypatch.setattr(PostgresSnapshot, "keys", lambda _, table, *rest, **named: read_again.append(table.name))
    grow(pipeline)
    done = extract_all(PostgresSource(pipeline.reader), pipeline.ingestion, pipeline.declarations, Request(), SMALL)
    assert "payment" not in read_again
    assert released == [*range(1, batches(pipeline))]
    assert done.deletes["payment"].startswith("unchanged: no row that was read was written since")
    files = manifest(pipeline.ingestion, batches(pipeline)).tables["payment"]
    assert sum(file.rows for file in files.keys) == 109
    assert files.compared_at


def test_as_many_rows_may_be_inserted_as_deleted(pipeline):
    """The number of rows is that of the keys, and yet the keys are others."""
    grow(pipeline)
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 5")
    begin(pipeline)
    pipeline.admin.run("UPDATE payment SET payment_id = 5 WHERE payment_id = 6")
    finish(pipeline)
    assert sorted(reported(pipeline, kind="deleted")) == [6]
    equal(pipeline)


def test_a_deleted_row_is_missing_from_the_count(pipeline):
    """No row was written since, and one was deleted."""
    grow(pipeline)
    begin(pipeline)
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 6")
    finish(pipeline)
    assert sorted(reported(pipeline, kind="deleted")) == [6]
    equal(pipeline)


def test_huge_update_is_read_in_key_ranges(pipeline):
    """A gigantic update is taken in ranges of what was written."""
    grow(pipeline)
    finish(pipeline)
    known = manifest(pipeline.ingestion, batches(pipeline)).tables["payment"].keys
    pipeline.admin.run("UPDATE payment SET payment_amount = 6 WHERE payment_id % 2 = 0")
    first = step(pipeline)
    assert set(first.incomplete) == {"payment"}
    files = manifest(pipeline.ingestion, batches(pipeline)).tables["payment"]
    assert files.backfill.since_xmin is not None
    assert files.keys == known, "the keys of what was written are in the file of the changes"
    pipeline.admin.run("UPDATE payment SET payment_amount = 7 WHERE payment_id IN (2, 3, 108)")
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 106")
    begun = batches(pipeline)
    finish(pipeline)
    assert sorted(reported(pipeline, begun=begun)) == sorted([*(key for key in range(2, 109, 2) if key != 106), 2, 3])
    equal(pipeline)


def test_update_larger_than_a_batch_restarts_the_backfill(pipeline):
    """An update larger than a batch during a first load begins it again."""
    grow(pipeline)
    while not step(pipeline).incomplete["payment"].startswith("read up to"):
        pass
    step(pipeline)
    pipeline.admin.run("UPDATE payment SET payment_amount = 6")
    finish(pipeline)
    equal(pipeline)


def test_full_compare_in_ranges_keeps_known_keys_until_complete(pipeline):
    """A full compare in ranges keeps the known keys until it is through."""
    grow(pipeline)
    finish(pipeline)
    pipeline.admin.run("DELETE FROM payment WHERE payment_id IN (5, 60, 109)")
    step(pipeline, full=frozenset({"payment"}))
    step(pipeline)
    step(pipeline, full=frozenset({"payment"}))  # and once more, before it is through
    pipeline.admin.run("DELETE FROM payment WHERE payment_id IN (6, 70)")
    finish(pipeline)
    assert sorted(reported(pipeline, kind="deleted")) == [5, 6, 60, 70, 109]
    assert {part.generation for part in manifest(pipeline.ingestion, batches(pipeline)).tables["payment"].keys} == {0}
    equal(pipeline)


def test_deadline_ends_a_batch_and_the_next_run_resumes(pipeline):
    """Time that runs out ends a batch and the next run goes on."""
    grow(pipeline)
    clock = iter([*[100.0] * 16, *[10.0] * 1000])
    limits = Limits(rows=40, deadline=Deadline(lambda: next(clock), reserve=60))
    done = extract_all(PostgresSource(pipeline.reader), pipeline.ingestion, pipeline.declarations, Request(), limits)
    assert done.incomplete
    assert (
        extract_all(
            PostgresSource(pipeline.reader), pipeline.ingestion, pipeline.declarations, Request(), SMALL
        ).incomplete
        == {}
    )
    equal(pipeline)


def test_open_transaction_during_a_backfill_repeats_no_row(pipeline):
    """An open transaction during a first load makes nothing come twice."""
    older = pipeline.new_session()
    older.run("BEGIN; UPDATE payment SET payment_amount = 9 WHERE payment_id = 1")
    grow(pipeline)
    pipeline.admin.run("UPDATE staff SET last_name = 'x'")
    finish(pipeline)
    assert sorted(reported(pipeline)) == list(range(1, 110))
    older.run("COMMIT")
    assert step(pipeline).rows == {"payment": 1}
    assert step(pipeline).batch is None
    equal(pipeline)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "text",
            ["a", "B", "b", "Z", "é", "😀", "\ufffd", "", " ", "a'b", "a\\b", "a\nb", *(f"k{n}" for n in range(50))],
        ),
        ("char(4)", ["a", "a\tb", "B", *(f"k{n}" for n in range(50))]),
        ("reversed", [f"v{n}" for n in range(60)]),  # an enum: its order is that of its declaration
        ("uuid", [str(uuid.UUID(int=n * 2**120)) for n in range(60)]),
    ],
)
def test_keys_that_are_no_numbers_are_ordered_by_their_bytes(pipeline, kind, words):
    labels = ", ".join(f"'v{n}'" for n in reversed(range(60)))
    pipeline.admin.run(f"CREATE TYPE reversed AS ENUM ({labels})")
    pipeline.admin.run(f"CREATE TABLE note (code {kind} PRIMARY KEY, body text); GRANT SELECT ON note TO reader")
    for word in words:
        pipeline.admin.run(f"INSERT INTO note VALUES (CAST(:w AS {kind}), 'x')", w=word)
    note = dataclasses.replace(pipeline.declarations.source["payment"], name="note", keys=("code",))
    pipeline.declarations = dataclasses.replace(
        pipeline.declarations, source={**pipeline.declarations.source, "note": note}
    )
    finish(pipeline)
    stored = [row[0] for row in pipeline.admin.rows("SELECT code::text FROM note")]
    assert sorted(reported(pipeline, "note")) == sorted(stored)
    pipeline.admin.run("DELETE FROM note WHERE code IN (SELECT code FROM note ORDER BY code::text LIMIT 9)")
    left = {row[0] for row in pipeline.admin.rows("SELECT code::text FROM note")}
    step(pipeline)
    assert keys(pipeline.ingestion, batches(pipeline), "note", "deleted") == sorted(set(stored) - left)


def test_random_histories_during_loading_end_in_the_same_rows(pipeline):
    chance = random.Random(7)  # noqa: S311
    grow(pipeline, 60)
    for _ in range(40):
        key = chance.randint(0, 90)
        match chance.randint(0, 5):
            case 0:
                pipeline.admin.run("DELETE FROM payment WHERE payment_id = :k", k=key)
            case 1:
                pipeline.admin.run(
                    "UPDATE payment SET payment_amount = payment_amount + 1 WHERE payment_id > :k", k=key
                )
            case 2:
                pipeline.admin.run(
                    "INSERT INTO payment SELECT CAST(:k AS int), created_at, last_updated, 1, 1, 5, 1, 1, false,"
                    " agreed_payment_date, 1, 2 FROM sales_order WHERE sales_order_id = 1 ON CONFLICT DO NOTHING",
                    k=key,
                )
            case 3:
                step(pipeline, full=frozenset({"payment"}) if chance.random() < 0.3 else frozenset())
            case _:
                step(pipeline, dataclasses.replace(SMALL, rows=chance.choice([5, 20, 1000])))
    finish(pipeline)
    equal(pipeline)
