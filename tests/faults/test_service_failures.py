"""What can go wrong around the functions: each fault ends in an error that says so, and the next run makes it good."""

from __future__ import annotations

import json
import random
import re
import threading
import time

import pytest

from tests.support.fault_proxies import Action, Answer, Step
from tests.support.source_changes import change_everything
from tests.support.worker_pipeline import Line

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.no_cover]


def once(then: Action | Answer, side: str, pattern: str, *, times: int = 1, skip: int = 0):
    """Decides ``then`` about the next ``times`` steps of ``side`` whose name begins so, after ``skip`` of them."""
    seen = [0]

    def decide(step: Step) -> Action | Answer:
        if step.side != side or not re.match(pattern, step.what):
            return Action.PASS
        seen[0] += 1
        return then if skip < seen[0] <= skip + times else Action.PASS

    return decide


def changed(line: Line) -> None:
    change_everything(line.admin)


def many_rows(line: Line, rows: int) -> None:
    """So many rows that a copy of them is under way when it is cut."""
    line.admin.run(
        f"UPDATE design SET file_name = 'x' || design_id WHERE design_id > 1000 AND design_id <= 1000 + {rows}"
    )
    line.admin.run(
        "INSERT INTO design (design_id, design_name, file_location, file_name, created_at, last_updated)"
        f" SELECT 1000 + n, repeat('w', 200), '/lib', 'f' || n, now(), now() FROM generate_series(1, {rows}) AS n"
        " ON CONFLICT DO NOTHING"
    )


def batch_to_transform(line: Line) -> dict[str, int]:
    return {"action": "transform", "batch": max(line.batches("ingestion"))}


def extracted(line: Line) -> None:
    changed(line)
    answer = line.call("extract")
    assert answer.error is None, answer


def transformed(line: Line) -> None:
    extracted(line)
    line.transform()


@pytest.mark.parametrize(
    ("what", "then"),
    [
        ("BEGIN", Action.CUT_BEFORE),
        ("SELECT", Action.CUT_AFTER),
        ("COPY", Action.CUT_BEFORE),
        ("COMMIT", Action.CUT_AFTER),
    ],
)
def test_the_source_hangs_up(line, what, then):
    changed(line)
    line.database.decide = once(then, "postgresql", what)
    answer = line.call("extract")
    assert answer.error, "it must raise"
    line.settle()


@pytest.mark.parametrize(
    ("what", "then"),
    [
        ("BEGIN", Action.CUT_BEFORE),
        ("COPY", Action.CUT_AFTER),
        ("INSERT INTO .*ledger", Action.CUT_BEFORE),
        ("COMMIT", Action.CUT_BEFORE),
        ("COMMIT", Action.CUT_AFTER),
    ],
)
def test_the_warehouse_hangs_up(line, what, then):
    """Cut off after COMMIT, load cannot know that it succeeded: it raises, and the next one finds the batch loaded."""
    transformed(line)
    line.database.decide = once(then, "postgresql", what)
    answer = line.call("load")
    assert answer.error, "it must raise"
    line.settle()


def test_the_warehouse_hangs_up_in_the_middle_of_a_copy(line):
    many_rows(line, 20_000)
    extracted(line)
    line.transform()
    line.database.decide = once(Action.CUT_BEFORE, "postgresql", "COPY data", skip=2)
    answer = line.call("load")
    assert answer.error, "it must raise"
    line.settle()


def test_extract_source_disconnects_in_the_middle_of_copy(line):
    """The server ends the session while rows are on their way."""
    many_rows(line, 20_000)
    changed(line)
    reading = threading.Event()

    def watch(step: Step) -> Action:
        if step.what.startswith("COPY (SELECT") and "design" in step.what:
            reading.set()
        return Action.PASS

    line.database.decide = watch
    line.workers.begin("extract", {})
    assert reading.wait(10)
    line.admin.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'lambda_script pipeline' AND pid <> pg_backend_pid() AND query LIKE 'COPY%'"
    )
    line.workers.end()  # it may have been quicker than the server
    line.settle()


@pytest.mark.parametrize("function", ["extract", "transform", "load"])
def test_s3_has_faults_that_pass(line, function):
    """Each of the first requests is refused once, in another way: slow down, out of order, hung up."""
    {"extract": changed, "transform": extracted, "load": transformed}[function](line)
    refusals = iter([Answer(503, "SlowDown"), Answer(500, "InternalError"), Action.CUT_BEFORE])
    allowed = iter([False, True, False, True, False])

    def decide(step: Step) -> Action | Answer:
        if step.side != "s3" or next(allowed, True):
            return Action.PASS
        return next(refusals)

    line.aws.decide = decide
    done = line.call(function, batch_to_transform(line) if function == "transform" else {})
    assert done.error is None, done
    assert next(refusals, None) is None, "all three were met"
    line.settle()


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        ("extract", Answer(400, "ExpiredToken")),
        ("transform", Answer(400, "ExpiredToken")),
        ("load", Answer(400, "ExpiredToken")),
    ],
)
def test_s3_has_a_fault_that_stays(line, function, answer):
    {"extract": changed, "transform": extracted, "load": transformed}[function](line)
    line.aws.decide = once(answer, "s3", "", times=1000, skip=1)
    done = line.call(function, batch_to_transform(line) if function == "transform" else {})
    assert done.error and answer.code in done.error
    line.settle()


@pytest.mark.parametrize("function", ["extract", "transform"])
def test_an_answer_of_s3_is_lost_after_every_put(line, function):
    """The object is there, and the function gets no answer: the repeated put must not take it for another run's."""
    {"extract": changed, "transform": extracted}[function](line)
    last = max(line.batches("ingestion"))
    put: set[str] = set()

    def decide(step: Step) -> Action:
        if step.side == "s3" and step.what.startswith("PUT") and step.what not in put:
            put.add(step.what)
            return Action.CUT_AFTER
        return Action.PASS

    line.aws.decide = decide
    done = line.call(function, batch_to_transform(line) if function == "transform" else {})
    assert done.error is None, done
    assert len(put) >= 7
    if function == "extract":
        assert done.result["batch"] == last + 1, "it is this run's own batch"
    line.settle()


def test_the_password_is_changed_while_a_run_reads_it(line, postgres_server):
    """The secret was read, and then both it and the database's password change."""
    changed(line)
    secret = line.secrets.get_secret_value(SecretId="faults/source")["SecretString"]
    line.admin.run("CREATE ROLE rotated LOGIN SUPERUSER PASSWORD 'first'")
    value = {**json.loads(secret), "username": "rotated", "password": "first"}
    line.secrets.put_secret_value(SecretId="faults/source", SecretString=json.dumps(value))

    try:
        line.aws.decide = rotate_after_reading(line)
        answer = line.call("extract")
        assert answer.error and "refuses the password" in answer.error
        assert "first" not in answer.error and "second" not in answer.error
        value["password"] = "second"
        line.secrets.put_secret_value(SecretId="faults/source", SecretString=json.dumps(value))
        line.settle()
    finally:
        line.secrets.put_secret_value(SecretId="faults/source", SecretString=secret)
        line.admin.run("DROP ROLE rotated")


def rotate_after_reading(line: Line):
    def decide(step: Step) -> Action:
        if step.side == "secretsmanager":
            line.admin.run("ALTER ROLE rotated PASSWORD 'second'")
        return Action.PASS

    return decide


@pytest.mark.parametrize("function", ["extract", "transform", "load"])
def test_lambda_ends_a_function_at_any_moment(line, function):
    """As at its timeout: no warning, no time to clean up."""
    moment = random.Random(function).uniform(0, 0.25)  # noqa: S311  # the same at every run
    {"extract": changed, "transform": extracted, "load": transformed}[function](line)
    line.workers.begin(function, batch_to_transform(line) if function == "transform" else {})
    time.sleep(moment)
    line.workers.kill()
    line.workers.end()
    line.settle()


def test_the_clock_is_set_back_by_an_hour(line):
    extracted(line)
    line.model.look(line.reader)
    changed(line)
    back = line.call("extract", clock_offset=-3600)
    assert back.error is None and back.result["batch"]
    line.settle()
    moments = [row[0] for row in line.warehouse.rows("SELECT extracted_at FROM pipeline.ledger ORDER BY batch")]
    assert moments == sorted(moments)
    assert len(set(moments)) == len(moments)


@pytest.mark.parametrize("function", ["extract", "transform", "load"])
def test_the_disk_is_full(line, function):
    {"extract": changed, "transform": extracted, "load": transformed}[function](line)
    event = batch_to_transform(line) if function == "transform" else {}
    done = line.call(function, event, disk_bytes=1000)
    assert done.error and "File too large" in done.error
    line.settle()
