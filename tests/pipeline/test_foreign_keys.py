"""Foreign keys of the warehouse when very many rows come at once: dropped, made again as they were, and checked."""

from __future__ import annotations

import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.load.warehouse import foreign_keys
from lambda_toolkit.pipeline.lambdas.load.warehouse.foreign_keys import deferred_foreign_key_check
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect, sqlstate, transaction

KEYS = """
    SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
    WHERE conrelid = 'fact_payment'::regclass AND contype = 'f' ORDER BY conname
"""
IDENTITIES = "SELECT oid FROM pg_constraint WHERE conrelid = 'fact_payment'::regclass AND contype = 'f'"


@pytest.fixture
def any_are_many(monkeypatch):
    monkeypatch.setattr(foreign_keys, "MANY", 1)


@pytest.fixture
def facts(shop):
    """The declaration of a fact of a warehouse that is filled."""
    shop.run()
    return shop.declarations.warehouse["fact_payment"]


def identities(shop) -> set[int]:
    """Of the foreign keys: one that is made again is another."""
    return {row[0] for row in shop.rows(IDENTITIES)}


def together(shop, facts, rows=10):
    """Nothing written, with the foreign keys dropped for it where that may be."""
    with transaction(shop.warehouse), deferred_foreign_key_check(shop.warehouse, LIVE, facts, rows):
        return identities(shop)


def test_they_are_the_same_afterwards(shop, facts, any_are_many):
    before, known = shop.rows(KEYS), identities(shop)
    assert len(before) == 7
    assert together(shop, facts) == set()
    assert shop.rows(KEYS) == before
    assert not identities(shop) & known


def test_the_batch_that_is_loaded_so_is_loaded_whole(shop, any_are_many):
    before = shop.rows(KEYS)
    _, loaded = shop.run()
    assert loaded.appended["fact_payment"] == shop.rows("SELECT count(*) FROM fact_payment")[0][0] > 0
    assert shop.rows(KEYS) == before


def test_a_row_that_refers_to_nothing_is_refused_and_all_is_as_before(shop, facts, any_are_many):
    before, known = shop.rows(KEYS), identities(shop)
    with (
        pytest.raises(DatabaseError) as refused,
        transaction(shop.warehouse),
        deferred_foreign_key_check(shop.warehouse, LIVE, facts, 10),
    ):
        shop.warehouse.run("UPDATE fact_payment SET currency_id = 99")
    assert sqlstate(refused.value) == "23503"
    assert (shop.rows(KEYS), identities(shop)) == (before, known)
    assert shop.rows("SELECT count(*) FROM fact_payment WHERE currency_id = 99") == [[0]]


def test_while_somebody_reads_each_row_is_checked(shop, facts, any_are_many, credentials):
    known = identities(shop)
    with connect(credentials[1]) as reader, transaction(reader):
        reader.run("SELECT count(*) FROM dim_currency")
        assert together(shop, facts) == known
    assert together(shop, facts) == set()


def test_what_follows_in_the_transaction_waits_for_locks_as_long_as_before(shop, facts, any_are_many):
    before = shop.rows("SHOW lock_timeout")
    with transaction(shop.warehouse), deferred_foreign_key_check(shop.warehouse, LIVE, facts, 10):
        assert shop.rows("SHOW lock_timeout") == before


def test_of_a_table_that_is_somebody_elses_they_stay(shop, facts, any_are_many):
    known = identities(shop)
    shop.warehouse.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO reader")
    shop.warehouse.run("SET ROLE reader")
    assert together(shop, facts) == known


def test_one_that_is_not_enforced_or_carries_a_comment_stays(shop, facts, any_are_many):
    first, second = (row[0] for row in shop.rows(KEYS)[:2])
    shop.warehouse.run(f"COMMENT ON CONSTRAINT {first} ON fact_payment IS 'ours'")
    shop.warehouse.run(f"ALTER TABLE fact_payment DROP CONSTRAINT {second}")
    shop.warehouse.run(
        f"ALTER TABLE fact_payment ADD CONSTRAINT {second} FOREIGN KEY (currency_id) REFERENCES dim_currency NOT VALID"
    )
    before = shop.rows(KEYS)
    assert len(together(shop, facts)) == 2
    assert shop.rows(KEYS) == before


def test_a_few_rows_or_few_beside_what_is_there_are_checked_one_by_one(shop, facts, monkeypatch):
    known = identities(shop)
    assert together(shop, facts, foreign_keys.MANY - 1) == known
    monkeypatch.setattr(foreign_keys, "MANY", 1)
    shop.warehouse.run("UPDATE pg_class SET reltuples = 1000 WHERE oid = 'fact_payment'::regclass")
    assert together(shop, facts, 49) == known
    assert together(shop, facts, 50) == set()
