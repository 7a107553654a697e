"""Freshness is decided by comparing the source with what is loaded, whichever of the functions runs or does not."""

from __future__ import annotations

import dataclasses
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.freshness import comparison, handler, source
from lambda_toolkit.pipeline.lambdas.freshness.handler import check, lambda_handler
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError, LakeError, NotPreparedError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import BackfillCursor, IngestionManifest
from lambda_toolkit.pipeline.lambdas.shared.messages.freshness_events import FreshnessResult
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect
from tests.support.pipeline import READER_PASSWORD
from tests.support.repository import configuration

PROMISE = timedelta(minutes=30)


class Checks:
    """Compares a pipeline's source with its warehouse, at times of the test's choice."""

    def __init__(self, pipeline: Any, credentials: Any) -> None:
        self.pipeline = pipeline
        self.reader = dataclasses.replace(credentials[0], user="reader", password=READER_PASSWORD)
        self.own = connect(credentials[1])
        self.declared = parse({**configuration(), "fresh_within": "30 minutes"})
        self.left = math.inf

    def __call__(self, after: timedelta = timedelta(0), **changes: Any) -> FreshnessResult:
        """What a comparison finds ``after`` that time from now."""
        reader = dataclasses.replace(self.reader, **changes)
        lake, now = self.pipeline.ingestion, lambda: datetime.now(UTC) + after
        return check(self.own, lambda: reader, lake, self.declared, lambda: self.left, now)

    def changed(self, after: timedelta = timedelta(0)) -> set[str]:
        """The tables that have changes which are not loaded."""
        return {table.table for table in self(after).tables if table.state != "unchanged"}


@pytest.fixture
def checks(pipeline, credentials):
    made = Checks(pipeline, credentials)
    yield made
    made.own.close()


def test_nothing_changed_is_fresh_however_long_nothing_runs(pipeline, checks):
    pipeline.run()
    for hours in (0, 1, 100):
        found = checks(timedelta(hours=hours))
        assert (found.batch, found.seconds_overdue, found.problem) == (1, 0, None)
        assert found.seconds_behind < 1
        assert {table.state for table in found.tables} == {"unchanged"}
        assert {table.fresh_within for table in found.tables} == {1800}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE payment SET paid = NOT paid WHERE payment_id = 1",
        "DELETE FROM payment WHERE payment_id = 9",
        "TRUNCATE payment",
        "BEGIN; SAVEPOINT a; DELETE FROM payment WHERE payment_id = 9; RELEASE a;"
        " INSERT INTO payment SELECT (jsonb_populate_record(p, '{\"payment_id\": 99}')).* FROM payment AS p"
        " WHERE payment_id = 1; COMMIT",
    ],
)
def test_change_is_behind_until_it_is_loaded(pipeline, checks, change):
    """Whether extract does not run, or transform, or load: as old as the last time at which all was there."""
    pipeline.run()
    before = datetime.now(UTC)
    assert checks(timedelta(0)).seconds_behind < 1
    pipeline.admin.run(change)
    assert checks.changed() == {"payment"}
    found = checks(PROMISE + timedelta(minutes=5))
    assert found.seconds_behind == pytest.approx(2100, abs=(datetime.now(UTC) - before).total_seconds())
    assert found.seconds_overdue == pytest.approx(found.seconds_behind - 1800, abs=0.01)
    batch = pipeline.extract().batch
    assert checks.changed() == {"payment"}, "transform has not run"
    pipeline.transform(batch)
    assert checks.changed() == {"payment"}, "load has not run"
    pipeline.load()
    assert checks.changed() == set()
    assert checks(timedelta(hours=5)).seconds_overdue == 0


def test_what_a_batch_has_of_younger_transactions_is_no_change(pipeline, checks):
    """An older transaction is open: the next extract rereads rows that the batch has, and so does the comparison."""
    older, undone = pipeline.new_session(), pipeline.new_session()
    older.run("BEGIN; UPDATE staff SET last_name = 'x' WHERE staff_id = 1")
    pipeline.admin.run("UPDATE staff SET last_name = 'y' WHERE staff_id = 2")
    pipeline.run()
    undone.run("BEGIN; UPDATE design SET file_name = 'x'; ROLLBACK")
    assert checks.changed() == set()
    pipeline.admin.run("UPDATE staff SET last_name = 'z' WHERE staff_id = 2")
    assert checks.changed() == {"staff"}
    pipeline.run()
    assert checks.changed() == set()
    older.run("COMMIT")
    assert checks.changed() == {"staff"}


@pytest.mark.parametrize("seed", range(2))
def test_source_is_unchanged_exactly_when_extract_finds_nothing(pipeline, checks, seed):
    """Along random histories of commits, rollbacks, deletions and transactions that stay open."""
    dice = random.Random(seed)  # noqa: S311
    pipeline.run()
    sessions = [pipeline.new_session() for _ in range(2)]
    open_ones: set[int] = set()
    for _ in range(25):
        number = dice.randrange(2)
        session = sessions[number]
        match dice.choice(["write", "write", "delete", "begin", "end", "nothing"]):
            case "begin" if number not in open_ones:
                session.run("BEGIN")
                open_ones.add(number)
            case "end" if number in open_ones:
                session.run(dice.choice(["COMMIT", "ROLLBACK"]))
                open_ones.discard(number)
            case "write":
                session.run(f"UPDATE payment SET paid = NOT paid WHERE payment_id = {number * 4 + dice.randint(1, 4)}")
            case "delete":
                session.run(f"DELETE FROM payment WHERE payment_id = {number * 4 + dice.randint(1, 4)}")
            case _:
                pass
        changed = checks.changed()
        extracted, _ = pipeline.run()
        assert changed == {*extracted.rows, *extracted.deleted}


def test_source_that_is_down_is_as_fresh_as_it_last_was(pipeline, checks):
    """The age of the last comparison grows, and what failed is said."""
    pipeline.run()
    compared = datetime.fromisoformat(checks(timedelta(minutes=10)).at)
    found = checks(timedelta(minutes=50), port=1)
    assert "cannot be reached" in str(found.problem)
    assert found.seconds_behind == pytest.approx(2400, abs=5)
    assert found.seconds_overdue == pytest.approx(600, abs=5)
    assert {table.state for table in found.tables} == {"unknown"}
    assert {datetime.fromisoformat(str(table.fresh_at)) for table in found.tables} == {compared}
    assert checks(timedelta(minutes=51)).seconds_overdue == 0, "it is up again, and nothing has changed"


def test_source_that_ends_a_comparison_is_its_problem(pipeline, checks, monkeypatch):
    """The answer of a server is; an error of another kind is a defect of ours."""
    pipeline.run()
    assert {table.state for table in checks().tables} == {"unchanged"}
    errors: list[Exception] = [RuntimeError("a defect"), DatabaseError({"C": "57014", "M": "canceling statement"})]

    def position(self: Any) -> source.Position:
        raise errors.pop(0)

    monkeypatch.setattr(source.ComparedSource, "position", position)
    with pytest.raises(RuntimeError, match="a defect"):
        checks()
    found = checks()
    assert "canceling statement (SQLSTATE 57014)" in str(found.problem)
    assert {(table.state, table.problem) for table in found.tables} == {("unknown", found.problem)}


def test_statement_has_half_of_the_time_that_is_left(pipeline, checks, monkeypatch):
    """Less 20 seconds for what comes after; with no more than 40 seconds no further table is compared."""
    pipeline.run()
    limits: list[float] = []
    monkeypatch.setattr(source.ComparedSource, "limit", lambda self, seconds: limits.append(seconds))
    for left, states in ((math.inf, "unchanged"), (100.0, "unchanged"), (41.0, "unchanged"), (40.0, "unknown")):
        checks.left = left
        assert {table.state for table in checks().tables} == {states}
    assert limits == [30.0, 1.0, 1.0]


def test_table_that_cannot_be_read_leaves_the_others_compared(pipeline, checks):
    pipeline.run()
    pipeline.admin.run("ALTER TABLE staff RENAME TO crew; REVOKE SELECT ON design FROM reader")
    found = {table.table: table for table in checks(timedelta(minutes=40)).tables}
    assert "does not exist" in str(found["staff"].problem)
    assert "permission denied" in str(found["design"].problem)
    assert found["staff"].seconds_behind == found["design"].seconds_behind > 2000
    assert {name for name, table in found.items() if table.state == "unknown"} == {"staff", "design"}
    pipeline.admin.run("ALTER TABLE crew RENAME TO staff; GRANT SELECT ON design TO reader")
    assert checks(timedelta(minutes=40)).seconds_overdue == 0


def test_pipeline_that_never_loaded_is_behind_since_first_seen(pipeline, checks):
    assert checks(timedelta(0)).seconds_overdue == 0
    found = checks(timedelta(minutes=31))
    assert (found.batch, found.seconds_overdue) == (None, pytest.approx(60, abs=5))
    pipeline.admin.run("TRUNCATE " + ", ".join(pipeline.declarations.source))
    assert checks(timedelta(hours=1)).seconds_overdue == 0, "an empty source has nothing to load"


def test_table_that_is_read_in_ranges_is_behind_until_its_end(pipeline, checks, monkeypatch):
    pipeline.run()
    original = handler.ingestion_manifest

    def backfilled(content: bytes, key: str) -> IngestionManifest:
        found = original(content, key)
        files = dataclasses.replace(found.tables["payment"], backfill=BackfillCursor("3", None))
        return dataclasses.replace(found, tables={**found.tables, "payment": files})

    monkeypatch.setattr(handler, "ingestion_manifest", backfilled)
    assert checks.changed() == {"payment"}
    assert checks(timedelta(hours=1)).seconds_overdue > 1000


def test_other_server_or_a_copy_of_it_is_not_known_to_be_fresh(pipeline, checks, monkeypatch):
    """Its transactions may have the ids of others: until extract has read every row, nothing is known."""
    pipeline.run()
    pipeline.admin.run("TRUNCATE payment")
    pipeline.run()
    original = source.server_of
    monkeypatch.setattr(source, "server_of", lambda stored: (*original(stored)[:3], 0, 0))
    assert checks.changed() == {*pipeline.declarations.source} - {"payment"}, "an empty table needs no server"


def test_row_security_is_compared_by_content(pipeline, checks):
    """Rows may appear that nothing wrote: a digest of all that the user sees is compared, once it is due."""
    pipeline.admin.run("ALTER TABLE staff ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON staff USING (staff_id < 3)")
    pipeline.admin.run("UPDATE staff SET last_name = E'\\\\x \\u20ac, \"(' WHERE staff_id = 1")
    pipeline.run()
    assert checks.changed(PROMISE) == set()
    pipeline.admin.run("DROP POLICY p ON staff; CREATE POLICY p ON staff USING (staff_id < 4)")
    assert checks.changed(PROMISE) == set(), "not due yet: half of the promise has not passed since"
    assert checks.changed(2 * PROMISE) == {"staff"}
    pipeline.run()
    assert checks.changed(3 * PROMISE) == set()
    pipeline.admin.run("UPDATE staff SET last_name = 'y' WHERE staff_id = 1")
    assert checks.changed(4 * PROMISE) == {"staff"}


def test_large_table_is_looked_at_after_half_of_its_promise(pipeline, checks, monkeypatch):
    monkeypatch.setattr(comparison, "SMALL", 0)
    looked: list[str] = []
    original = source.ComparedSource.has_changes

    def has_changes(self: Any, table: Any, *rest: Any) -> bool:
        looked.append(table.name)
        return original(self, table, *rest)

    monkeypatch.setattr(source.ComparedSource, "has_changes", has_changes)
    pipeline.run()
    assert checks(timedelta(minutes=14)).seconds_behind == pytest.approx(840, abs=5)
    assert looked == []
    assert checks(timedelta(minutes=16)).seconds_behind < 1
    assert set(looked) == set(pipeline.declarations.source)


def test_rejected_row_is_fresh_as_its_batch_is_loaded(pipeline, checks):
    """It is not whole, which the alarm of rejected rows says: that it arrived is known."""
    pipeline.run()
    pipeline.admin.run("UPDATE payment SET payment_date = 'soon' WHERE payment_id = 1")
    pipeline.run()
    assert pipeline.rows("SELECT count(*) FROM pipeline.rejected_value")[0][0]
    assert checks.changed() == set()


def test_promises_of_tables_are_their_own(pipeline, checks):
    """A warehouse table's shortens that of the tables it is made of; a source table's own comes first."""
    document = configuration()
    tables = {"fact_payment": "5 minutes", "dim_staff": "2 days"}
    warehouse = {
        name: {**entry, **({"fresh_within": tables[name]} if name in tables else {})}
        for name, entry in document["warehouse"].items()
    }
    source_tables = {**document["source"], "design": {**document["source"]["design"], "fresh_within": "1 hour"}}
    declared = {"source": source_tables, "warehouse": warehouse, "fresh_within": "30 minutes"}
    checks.declared = parse(declared)
    pipeline.run()
    checks()
    pipeline.admin.run("UPDATE payment SET paid = NOT paid; UPDATE department SET location = 'x'")
    found = checks(timedelta(minutes=6))
    within = {table.table: table.fresh_within for table in found.tables}
    assert within == {
        **dict.fromkeys(document["source"], 1800),
        "payment": 300,
        "design": 3600,
        "staff": 172_800,
        "department": 172_800,
    }
    assert found.seconds_overdue == pytest.approx(60, abs=5)
    checks.declared = parse({"source": document["source"], "warehouse": document["warehouse"]})
    found = checks(timedelta(days=9))
    assert (found.seconds_overdue, {table.fresh_within for table in found.tables}) == (0, {None})
    assert found.seconds_behind > 8 * 86_400


def test_clocks_that_differ_do_not_make_the_warehouse_fresher(pipeline, checks, monkeypatch):
    """The source's clock is an hour ahead of the function's, whose own times are the ones that count."""
    pipeline.run()
    original = source.ComparedSource.position

    def ahead(self: Any) -> source.Position:
        found, hour = original(self), timedelta(hours=1)
        return dataclasses.replace(found, clock=found.clock + hour, as_of=found.as_of + hour)

    monkeypatch.setattr(source.ComparedSource, "position", ahead)
    found = checks(timedelta(minutes=10))
    assert {table.fresh_at for table in found.tables} == {found.at}


def test_standby_is_as_fresh_as_the_last_commit_that_it_has(pipeline, checks, monkeypatch):
    """One that does not receive, or does not replay what it receives: what it shows is of then."""
    pipeline.run()
    original = source.ComparedSource.position

    def lagging(self: Any) -> source.Position:
        found = original(self)
        return dataclasses.replace(found, as_of=found.clock - timedelta(minutes=3))

    monkeypatch.setattr(source.ComparedSource, "position", lagging)
    assert checks(timedelta(hours=1)).seconds_behind == pytest.approx(180, abs=1)


def test_warehouse_that_is_not_ready_puts_no_metric(deployed, log, credentials):
    """Missing data is breaching: nothing that fails here may look fresh."""
    deployed.warehouse.run("DROP TABLE pipeline.freshness")
    with pytest.raises(NotPreparedError, match="not prepared"):
        lambda_handler({}, None)
    assert "SecondsOverdue" not in log.getvalue()


def test_lake_of_another_pipeline_is_refused(pipeline, checks):
    pipeline.run()
    pipeline.warehouse.run("UPDATE pipeline.ledger SET extracted_at = extracted_at - interval '1 hour'")
    with pytest.raises(LakeError, match="of two pipelines"):
        checks()


def test_function_puts_metrics_and_fails_without_the_source(deployed, log, monkeypatch):
    deployed.run()
    found = lambda_handler({"source": "aws.events"}, None)
    assert found["batch"] == 1
    assert '"SecondsOverdue": 0' in log.getvalue()
    monkeypatch.setattr(handler, "_source", lambda: Credentials("127.0.0.1", 1, "source", "reader", ""))
    log.truncate(0)
    with pytest.raises(ConnectionFailedError, match="cannot be reached"):
        lambda_handler({"action": "freshness"}, None)
    assert '"SecondsBehind": ' in log.getvalue(), "the age of the last comparison"
    assert lambda_handler({"action": "check"}, None) == {"checked": True}
