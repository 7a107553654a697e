"""How often deletes are looked for, what is kept of the keys, and tables that are compared by content."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from lambda_toolkit.pipeline.lambdas.extract.capture import deletes, key_files
from lambda_toolkit.pipeline.lambdas.extract.extraction import Extracted, Request, extract
from lambda_toolkit.pipeline.lambdas.extract.limits import DEFAULT_LIMITS, Limits
from lambda_toolkit.pipeline.lambdas.extract.source import reader
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import EVERY_RUN, NEVER
from lambda_toolkit.pipeline.lambdas.shared.postgres import connection
from tests.support.lake_contents import keys, manifest, objects

BEGIN = datetime(2026, 1, 2, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)


def declare(pipeline, table="payment", **change) -> None:
    changed = dataclasses.replace(pipeline.declarations.source[table], **change)
    pipeline.declarations = dataclasses.replace(
        pipeline.declarations, source={**pipeline.declarations.source, table: changed}
    )


def run_at(pipeline, minutes: float, limits=DEFAULT_LIMITS, **request) -> Extracted:
    return extract(
        PostgresSource(pipeline.reader),
        pipeline.ingestion,
        pipeline.declarations,
        uuid.uuid4().hex,
        Request(**request),
        lambda: BEGIN + timedelta(minutes=minutes),
        limits,
    )


def insert(pipeline, key: int) -> None:
    pipeline.admin.run(
        "INSERT INTO payment SELECT CAST(:k AS int), created_at, last_updated, 9, 1, 5, 1, 1, false, payment_date, 1, 2"
        " FROM payment WHERE payment_id = 8",
        k=key,
    )


def test_keys_between_compares_are_found_at_the_next_compare(pipeline):
    """Between two compares no keys are written and what came and went is found at the next."""
    declare(pipeline, deletes=HOUR)
    run_at(pipeline, 0)
    first = manifest(pipeline.ingestion, 1).tables["payment"]
    insert(pipeline, 10)
    insert(pipeline, 11)
    assert run_at(pipeline, 10).rows == {"payment": 2}
    pipeline.admin.run("DELETE FROM payment WHERE payment_id IN (1, 10)")
    insert(pipeline, 12)
    assert run_at(pipeline, 20).deleted == {}
    files = manifest(pipeline.ingestion, 3).tables["payment"]
    assert (files.keys, files.compared_at) == (first.keys, first.compared_at)
    assert [file.rows for file in files.keys_since_compare] == [2, 1]
    assert run_at(pipeline, 30).batch is None
    assert run_at(pipeline, 60).deleted == {"payment": 2}
    assert keys(pipeline.ingestion, 4, "payment", "deleted") == [1, 10]
    files = manifest(pipeline.ingestion, 4).tables["payment"]
    assert (files.keys_since_compare, sum(part.rows for part in files.keys)) == ((), 10)
    assert run_at(pipeline, 200).batch is None


def test_a_compare_that_finds_nothing_is_remembered_once(pipeline):
    declare(pipeline, deletes=HOUR)
    run_at(pipeline, 0)
    insert(pipeline, 10)
    run_at(pipeline, 10)
    remembered = run_at(pipeline, 70)
    assert (remembered.batch, remembered.rows, remembered.deleted) == (3, {}, {})
    assert run_at(pipeline, 200).batch is None


def test_a_clock_that_is_set_back_postpones_no_compare(pipeline):
    declare(pipeline, deletes=HOUR)
    run_at(pipeline, 0)
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 1")
    assert run_at(pipeline, 30).batch is None
    assert run_at(pipeline, -10_000).deleted == {"payment": 1}


def test_many_keys_that_came_are_compared_before_their_time(pipeline, monkeypatch):
    monkeypatch.setattr(deletes, "KEYS_SINCE_COMPARE", 2)
    declare(pipeline, deletes=HOUR)
    run_at(pipeline, 0)
    pipeline.admin.run(
        "UPDATE payment SET payment_amount = 1 WHERE payment_id IN (1, 2, 3); DELETE FROM payment WHERE payment_id = 4"
    )
    assert run_at(pipeline, 1).deleted == {"payment": 1}


def test_deletes_are_found_once_detection_is_declared_again(pipeline):
    """Deletes that are never looked for are found when they are again."""
    run_at(pipeline, 0)
    declare(pipeline, deletes=NEVER)
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 1")
    insert(pipeline, 10)
    assert (run_at(pipeline, 1000).deleted, run_at(pipeline, 2000).batch) == ({}, None)
    declare(pipeline, deletes=EVERY_RUN)
    assert run_at(pipeline, 3000).deleted == {"payment": 1}


def test_key_files_are_rewritten_only_for_changed_ranges(pipeline, monkeypatch):
    """Only the files of keys in whose range something changed are written again."""
    monkeypatch.setattr(key_files, "KEY_FILE_ROWS", 4)
    for key in range(10, 30):
        insert(pipeline, key)
    run_at(pipeline, 0)
    run_at(pipeline, 0, full=frozenset({"payment"}))
    before = manifest(pipeline.ingestion, 2).tables["payment"].keys
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 6")
    insert(pipeline, 30)
    assert run_at(pipeline, 1).deleted == {"payment": 1}
    after = manifest(pipeline.ingestion, 3).tables["payment"].keys
    assert set(before) & set(after)
    stored = [key for part in after for key in pipeline.ingestion.table(part.key)["payment_id"].to_pylist()]
    assert stored == [key for key in range(1, 31) if key != 6]
    assert run_at(pipeline, 2).batch is None


def view(pipeline) -> None:
    pipeline.admin.run("ALTER TABLE design RENAME TO base; CREATE VIEW design AS SELECT * FROM base")
    pipeline.admin.run("GRANT SELECT ON design TO reader")
    declare(pipeline, "design", by_content=True)


def test_a_view_is_compared_by_content(pipeline, monkeypatch):
    pipeline.admin.run(
        "INSERT INTO design (design_id, design_name, file_location, file_name) VALUES (3, 'd', 'l', 'f')"
    )
    view(pipeline)
    assert run_at(pipeline, 0).rows["design"] == 3
    written = objects(pipeline.ingestion)
    assert run_at(pipeline, 1).batch is None
    assert objects(pipeline.ingestion) == written
    pipeline.admin.run("UPDATE base SET file_location = file_location")
    assert run_at(pipeline, 2).batch is None  # written, and the same
    pipeline.admin.run(
        "UPDATE base SET file_location = '/opt' WHERE design_id = 2; DELETE FROM base WHERE design_id = 3"
    )
    done = run_at(pipeline, 3)
    assert (done.rows, done.deleted) == ({"design": 1}, {"design": 1})
    assert keys(pipeline.ingestion, 2, "design") == [2]
    assert run_at(pipeline, 4, full=frozenset({"design"})).rows == {"design": 2}
    pipeline.admin.run("CREATE OR REPLACE VIEW design AS SELECT b.* FROM base AS b, generate_series(1, 2)")
    with pytest.raises(SourceError, match="design_id of design is not unique"):
        run_at(pipeline, 5)
    monkeypatch.setattr(reader, "CHUNK_BYTES", 1)
    monkeypatch.setattr(connection, "whole_rows", lambda _: ((), 0))
    with pytest.raises(SourceError, match="design_id of design is not unique"):
        run_at(pipeline, 6)  # each row is a chunk


def test_a_table_may_turn_to_be_compared_by_content_and_back(pipeline):
    pipeline.admin.run(
        "INSERT INTO design (design_id, design_name, file_location, file_name) VALUES (3, 'd', 'l', 'f')"
    )
    run_at(pipeline, 0)
    pipeline.admin.run("DELETE FROM design WHERE design_id = 3")
    declare(pipeline, "design", by_content=True)
    assert run_at(pipeline, 1).deleted == {"design": 1}
    declare(pipeline, "design", by_content=False)
    run_at(pipeline, 2)
    assert run_at(pipeline, 3).batch is None


def test_a_view_larger_than_a_batch_is_taken_over_several(pipeline, monkeypatch):
    monkeypatch.setattr(reader, "CHUNK_BYTES", 32_000)
    pipeline.admin.run(
        "INSERT INTO design (design_id, design_name, file_location, file_name)"
        " SELECT n, 'd', 'l', 'f' FROM generate_series(10, 3000) AS n"
    )
    view(pipeline)
    few = Limits(rows=100)
    reported: list[int] = []
    for number in range(1, 40):
        done = run_at(pipeline, number, few)
        if done.batch is None:
            break
        reported += keys(pipeline.ingestion, done.batch, "design")
    assert done.incomplete == {}
    assert sorted(reported) == [1, 2, *range(10, 3001)]


def test_changed_rows_of_a_joined_view_bring_referencing_rows(pipeline):
    """A view that is joined brings what names its changed rows."""
    pipeline.admin.run("ALTER TABLE department RENAME TO base; CREATE VIEW department AS SELECT * FROM base")
    pipeline.admin.run("GRANT SELECT ON department TO reader")
    declare(pipeline, "department", by_content=True)
    pipeline.run()
    pipeline.admin.run("UPDATE base SET location = 'Hull' WHERE department_id = 1")
    assert pipeline.run()[1].appended == {"dim_staff": 2}
    assert pipeline.rows("SELECT staff_id FROM dim_staff WHERE location = 'Hull' ORDER BY 1") == [[1], [2]]
