"""Foreign keys of the warehouse during a bulk load: dropped, recreated as they were, and checked."""

from __future__ import annotations

import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.load.warehouse import foreign_keys
from lambda_toolkit.pipeline.lambdas.load.warehouse.foreign_keys import deferred_foreign_key_check
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect, transaction
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import sqlstate

KEYS = """
    SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
    WHERE conrelid = 'fact_payment'::regclass AND contype = 'f' ORDER BY conname
"""
IDENTITIES = "SELECT oid FROM pg_constraint WHERE conrelid = 'fact_payment'::regclass AND contype = 'f'"


@pytest.fixture
def any_are_many(monkeypatch):
    monkeypatch.setattr(foreign_keys, "MANY", 1)


@pytest.fixture
def facts(pipeline):
    """The declaration of a fact of a warehouse that is filled."""
    pipeline.run()
    return pipeline.declarations.warehouse["fact_payment"]


def identities(pipeline) -> set[int]:
    """Of the foreign keys: one that is made again is another."""
    return {row[0] for row in pipeline.rows(IDENTITIES)}


def together(pipeline, facts, rows=10):
    """Nothing written, with the foreign keys dropped for it where that may be."""
    with transaction(pipeline.warehouse), deferred_foreign_key_check(pipeline.warehouse, LIVE, facts, rows):
        return identities(pipeline)


def test_they_are_the_same_afterwards(pipeline, facts, any_are_many):
    before, known = pipeline.rows(KEYS), identities(pipeline)
    assert len(before) == 7
    assert together(pipeline, facts) == set()
    assert pipeline.rows(KEYS) == before
    assert not identities(pipeline) & known


def test_the_batch_that_is_loaded_so_is_loaded_whole(pipeline, any_are_many):
    before = pipeline.rows(KEYS)
    _, loaded = pipeline.run()
    assert loaded.appended["fact_payment"] == pipeline.rows("SELECT count(*) FROM fact_payment")[0][0] > 0
    assert pipeline.rows(KEYS) == before


def test_foreign_key_violation_is_refused_and_rolled_back(pipeline, facts, any_are_many):
    """A row that refers to nothing is refused and all is as before."""
    before, known = pipeline.rows(KEYS), identities(pipeline)
    with (
        pytest.raises(DatabaseError) as refused,
        transaction(pipeline.warehouse),
        deferred_foreign_key_check(pipeline.warehouse, LIVE, facts, 10),
    ):
        pipeline.warehouse.run("UPDATE fact_payment SET currency_id = 99")
    assert sqlstate(refused.value) == "23503"
    assert (pipeline.rows(KEYS), identities(pipeline)) == (before, known)
    assert pipeline.rows("SELECT count(*) FROM fact_payment WHERE currency_id = 99") == [[0]]


def test_each_row_is_checked_while_another_session_reads(pipeline, facts, any_are_many, credentials):
    known = identities(pipeline)
    with connect(credentials[1]) as reader, transaction(reader):
        reader.run("SELECT count(*) FROM dim_currency")
        assert together(pipeline, facts) == known
    assert together(pipeline, facts) == set()


def test_lock_timeout_is_restored_within_the_transaction(pipeline, facts, any_are_many):
    """What follows in the transaction waits for locks as long as before."""
    before = pipeline.rows("SHOW lock_timeout")
    with transaction(pipeline.warehouse), deferred_foreign_key_check(pipeline.warehouse, LIVE, facts, 10):
        assert pipeline.rows("SHOW lock_timeout") == before


def test_keys_stay_on_a_table_of_another_owner(pipeline, facts, any_are_many):
    known = identities(pipeline)
    pipeline.warehouse.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO reader")
    pipeline.warehouse.run("SET ROLE reader")
    assert together(pipeline, facts) == known


def test_one_that_is_not_enforced_or_carries_a_comment_stays(pipeline, facts, any_are_many):
    first, second = (row[0] for row in pipeline.rows(KEYS)[:2])
    pipeline.warehouse.run(f"COMMENT ON CONSTRAINT {first} ON fact_payment IS 'ours'")
    pipeline.warehouse.run(f"ALTER TABLE fact_payment DROP CONSTRAINT {second}")
    pipeline.warehouse.run(
        f"ALTER TABLE fact_payment ADD CONSTRAINT {second} FOREIGN KEY (currency_id) REFERENCES dim_currency NOT VALID"
    )
    before = pipeline.rows(KEYS)
    assert len(together(pipeline, facts)) == 2
    assert pipeline.rows(KEYS) == before


def test_few_rows_are_checked_one_by_one(pipeline, facts, monkeypatch):
    """A few rows or few beside what is there are checked one by one."""
    known = identities(pipeline)
    assert together(pipeline, facts, foreign_keys.MANY - 1) == known
    monkeypatch.setattr(foreign_keys, "MANY", 1)
    pipeline.warehouse.run("UPDATE pg_class SET reltuples = 1000 WHERE oid = 'fact_payment'::regclass")
    assert together(pipeline, facts, 49) == known
    assert together(pipeline, facts, 50) == set()
