"""Foreign keys of the warehouse during a bulk load: dropped, recreated as they were, and checked."""

from __future__ import annotations

import threading
import time

import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.load.warehouse.references import foreign_keys, proven_references
from lambda_toolkit.pipeline.lambdas.load.warehouse.references.foreign_keys import deferred_foreign_key_check
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
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


# What follows is of the references that are locked, so that the foreign keys need not check each row.
NEW = "SELECT * FROM fact_payment LIMIT 4"
LAST = "(SELECT max(payment_record_id) FROM fact_payment)"
PAYMENTS = "SELECT count(*) FROM fact_payment"


@pytest.fixture
def few_are_enough(monkeypatch):
    monkeypatch.setattr(proven_references, "FEW", 1)


def write(pipeline, facts, *, within=lambda: None, **changes):
    """Writes four more facts as load does; returns whether their references were locked instead of checked."""
    connection, columns = pipeline.warehouse, sql.columns(facts.column_names)
    with transaction(connection):
        connection.run(f"CREATE TEMPORARY TABLE rows ON COMMIT DROP AS {NEW}")
        for column, value in changes.items():
            connection.run(f"UPDATE rows SET {column} = {value}")
        with deferred_foreign_key_check(connection, LIVE, facts, 4, sql.table("rows", "pg_temp")):
            within()
            locked = connection.rows("SHOW session_replication_role") == [["replica"]]
            connection.run(
                f"INSERT INTO fact_payment (payment_record_id, {columns})"
                f" SELECT {LAST} + row_number() OVER (), {columns} FROM rows"
            )
        assert connection.rows("SHOW session_replication_role") == [["origin"]]
    return locked


def test_locked_references_are_not_checked_again(pipeline, facts, few_are_enough, credentials):
    """While other sessions read, and without another constraint afterwards."""
    known, before = identities(pipeline), pipeline.rows(PAYMENTS)[0][0]
    with connect(credentials[1]) as reader, transaction(reader):
        reader.run("SELECT count(*) FROM dim_currency, fact_payment")
        assert write(pipeline, facts)
    assert identities(pipeline) == known
    assert pipeline.rows(PAYMENTS) == [[before + 4]]
    for _, _, validated in pipeline.rows(KEYS):
        assert validated


def test_missing_reference_is_refused_as_ever(pipeline, facts, few_are_enough):
    before = pipeline.rows(PAYMENTS)
    with pytest.raises(DatabaseError) as refused:
        write(pipeline, facts, currency_id=99)
    assert sqlstate(refused.value) == "23503"
    assert pipeline.rows(PAYMENTS) == before
    assert pipeline.rows("SHOW session_replication_role") == [["origin"]]


@pytest.mark.parametrize(
    "statement", ["DELETE FROM dim_currency", "UPDATE dim_currency SET currency_id = currency_id + 50"]
)
def test_a_referenced_row_cannot_be_removed_meanwhile(pipeline, facts, few_are_enough, credentials, statement):
    """Who tries waits for the end of the transaction, and is refused then: the new rows refer to it."""
    pipeline.warehouse.run("INSERT INTO dim_currency VALUES (9, 'XXX', 'new')")
    refused: list[str] = []

    def remove():
        with connect(credentials[1]) as other:
            try:
                other.run(f"{statement} WHERE currency_id = 9")
            except DatabaseError as error:
                refused.append(sqlstate(error))

    other = threading.Thread(target=remove)

    def begin():
        other.start()
        while pipeline.warehouse.rows("SELECT count(*) FROM pg_locks WHERE NOT granted") == [[0]] and other.is_alive():
            time.sleep(0.01)

    assert write(pipeline, facts, within=begin, currency_id=9)
    other.join()
    assert refused == ["23503"]
    assert pipeline.rows(
        "SELECT count(*) FROM fact_payment JOIN dim_currency USING (currency_id) WHERE currency_id = 9"
    ) == [[4]]


def test_a_reference_that_is_just_being_removed_is_waited_for(
    pipeline, facts, few_are_enough, credentials, monkeypatch
):
    """And when it is deleted, the foreign key refuses the row."""
    pipeline.warehouse.run("INSERT INTO dim_currency VALUES (9, 'XXX', 'new')")
    with connect(credentials[1]) as other:
        other.run("BEGIN")
        other.run("DELETE FROM dim_currency WHERE currency_id = 9")
        commit = threading.Timer(0.3, other.run, ["COMMIT"])
        commit.start()
        with pytest.raises(DatabaseError) as refused:
            write(pipeline, facts, currency_id=9)
        commit.join()
    assert sqlstate(refused.value) == "23503"
    assert pipeline.rows("SELECT count(*) FROM fact_payment WHERE currency_id = 9") == [[0]]


AUDITED = """
    CREATE TABLE audit (id bigint);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN INSERT INTO audit VALUES (1); RETURN NULL; END $$
"""


@pytest.mark.parametrize(
    ("made", "written"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON fact_payment FOR EACH ROW EXECUTE FUNCTION note()", 4),
        ("CREATE TRIGGER t AFTER INSERT ON fact_payment FOR EACH STATEMENT EXECUTE FUNCTION note()", 1),
        ("CREATE CONSTRAINT TRIGGER t AFTER INSERT ON fact_payment DEFERRABLE FOR EACH ROW EXECUTE FUNCTION note()", 4),
        ("CREATE TRIGGER t AFTER UPDATE ON dim_currency FOR EACH ROW EXECUTE FUNCTION note()", 0),
        ("CREATE RULE r AS ON INSERT TO fact_payment DO ALSO INSERT INTO audit VALUES (2)", 4),
        ("ALTER TABLE fact_payment ADD UNIQUE (payment_record_id, payment_id) DEFERRABLE", 0),
        ("ALTER TABLE fact_payment ADD FOREIGN KEY (payment_id) REFERENCES audit", None),
    ],
)
def test_triggers_and_rules_of_others_are_run(pipeline, facts, few_are_enough, made, written):
    """Where there are any, each row is checked as ever: an audit misses nothing."""
    pipeline.warehouse.run(AUDITED)
    if written is None:  # a key of another type, which is compared by another operator
        pipeline.warehouse.run("ALTER TABLE audit ADD PRIMARY KEY (id)")
        pipeline.warehouse.run("INSERT INTO audit SELECT DISTINCT payment_id FROM fact_payment")
    pipeline.warehouse.run(made)
    assert not write(pipeline, facts)
    if written is not None:
        assert pipeline.rows("SELECT count(*) FROM audit") == [[written]]


def test_a_role_without_the_right_leaves_each_row_to_be_checked(pipeline, facts, few_are_enough):
    pipeline.warehouse.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO reader; GRANT ALL ON SCHEMA public TO reader")
    pipeline.warehouse.run("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO reader")
    pipeline.warehouse.run("SET ROLE reader")
    assert not write(pipeline, facts)
    pipeline.warehouse.run("RESET ROLE; GRANT SET ON PARAMETER session_replication_role TO reader; SET ROLE reader")
    assert write(pipeline, facts)
    pipeline.warehouse.run("RESET ROLE; REVOKE UPDATE ON dim_currency FROM reader; SET ROLE reader")
    assert not write(pipeline, facts)  # it cannot lock the rows
    pipeline.warehouse.run("RESET ROLE; REVOKE SET ON PARAMETER session_replication_role FROM reader")
