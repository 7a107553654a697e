"""``status`` says on one screen what is wrong and which command helps, and exits with 1 where something is."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambda_script import Schedule
from lambda_toolkit.pipeline.client.observing import freshness
from lambda_toolkit.pipeline.client.observing.starts import next_run
from lambda_toolkit.pipeline.client.observing.status import Seldom, StatusReader
from lambda_toolkit.pipeline.commands import status as command
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from tests.support.fake_functions import INSTANT, FakeAws, follower
from tests.support.repository import REPOSITORY

LOADED = {"loaded": [], "last_batch": 3, "loaded_at": INSTANT.isoformat(), "open": {"rejected": 0, "pending": 0}}
CONFIRMED = [{"Protocol": "email", "Endpoint": "data-alerts@example.com", "SubscriptionArn": "arn:aws:sns:x"}]
TABLES = ("address", "counterparty", "currency", "department", "design", "payment", "payment_type", "purchase_order")
TABLES += ("sales_order", "staff", "transaction")


@dataclasses.dataclass
class FakeWarehouse:
    """Answers with the rows of the control table, or raises."""

    ago: timedelta | None = timedelta(minutes=2)  # when it was fresh
    checked: timedelta = timedelta(minutes=1)
    state: str = "unchanged"
    problem: str | None = None
    error: Exception | None = None

    def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
        if self.error:
            raise self.error
        fresh_at = None if self.ago is None else INSTANT - self.ago
        first = INSTANT - timedelta(days=1)
        return [[name, first, fresh_at, INSTANT - self.checked, self.state, self.problem] for name in TABLES]


def read(warehouse: FakeWarehouse | None = None, aws: FakeAws | None = None, **changes: Any) -> dict[str, Any]:
    """The document of a pipeline in which all that is not given is well."""
    aws = aws or FakeAws({"load": [{**LOADED, **changes}]}, subscriptions=CONFIRMED)
    made = warehouse or FakeWarehouse()
    return StatusReader(follower(aws), lambda: made).read(INSTANT)


def troubles(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["what"], each["command"].rpartition("deploy.py ")[2]) for each in document["troubles"]]


def test_nothing_is_wrong_where_all_is_fresh_and_whole():
    found = read()
    assert (found["troubles"], found["freshness"]["promise"]["state"]) == ([], "fresh")
    assert found["freshness"]["seconds_behind"] == 120
    assert found["freshness"]["fresh_within_seconds"] == 1800


@pytest.mark.parametrize(
    ("warehouse", "says", "helps"),
    [
        (
            FakeWarehouse(timedelta(minutes=45), state="changed"),
            "Late: address and 10 more, 45 min behind, promised within 30 min.",
            "batches",
        ),
        (FakeWarehouse(None), "Late: address and 10 more, 24 h behind, promised within 30 min.", "logs freshness"),
        (
            FakeWarehouse(checked=timedelta(minutes=20)),
            "Freshness was not checked since 2026-01-02T02:44",
            "logs fresh",
        ),
        (FakeWarehouse(problem="it is locked."), "Freshness of transaction is not known: it is locked.", "logs freshn"),
        (FakeWarehouse(error=ConnectionFailedError("No way.")), "Freshness is not known: No way.", "logs freshness"),
        (FakeWarehouse(error=CommandError("No key.")), "Freshness is not known: No key.", "logs freshness"),
    ],
)
def test_freshness_that_is_not_kept_is_a_trouble(warehouse, says, helps):
    document = read(warehouse)
    assert document["freshness"]["fresh"] is (warehouse.problem is not None), "it was fresh two minutes ago"
    [(what, run)] = troubles(document)
    assert what.startswith(says) and run.startswith(helps), what


def test_each_trouble_has_the_command_that_helps():
    alarm = {"AlarmName": "totes-dev-load-errors", "StateValue": "ALARM", "StateUpdatedTimestamp": INSTANT}
    addresses = [{"Protocol": "email", "Endpoint": "me@example.com", "SubscriptionArn": "PendingConfirmation"}]
    answer = {**LOADED, "open": {"rejected": 2, "pending": 1}, "differences": ["x lacks a key."]}
    aws = FakeAws({"load": [answer]}, alarms=[alarm], subscriptions=addresses)
    reader = StatusReader(follower(aws), FakeWarehouse)
    reader.drift = Seldom(lambda: {"changes": ["function a", "role b", "alarm c", "topic d"], "problem": None})
    found = troubles(reader.read(INSTANT))
    assert [run.split(" --")[0] for _, run in found][:5] == [
        "logs load",
        "rejected",
        "prepare",
        "plan",
        "python deploy.py",
    ]
    assert [what for what, _ in found][:4] == [
        "In alarm since 2026-01-02 03:04:05Z: totes-dev-load-errors.",
        "Kept out of the warehouse: 2 rejected rows, 1 pending.",
        "The warehouse differs from its declaration: x lacks a key.",
        "AWS differs from the declaration: function a, role b, alarm c, ....",
    ]
    assert any("me@example.com gets no alerts" in what for what, _ in found)
    [first, *_] = troubles(read(aws=FakeAws(deployed=False)))
    assert first[0].startswith("Not deployed: totes-dev-extract, ")


@pytest.mark.parametrize("late", [False, True])
def test_screen_fits_eighty_columns(capsys, late):
    names = [f"function a-very-long-name-of-a-function-on-aws-{number}" for number in range(9)]
    alarms = [
        {
            "AlarmName": f"totes-dev-load-{number}",
            "StateValue": "ALARM",
            "StateUpdatedTimestamp": INSTANT,
            "StateReason": "x",
        }
        for number in range(12)
    ]
    aws = FakeAws({"load": [LOADED]}, alarms=alarms if late else [], subscriptions=[] if late else CONFIRMED)
    warehouse = FakeWarehouse(timedelta(hours=5), problem="no " * 80) if late else FakeWarehouse()
    reader = StatusReader(follower(aws), lambda: warehouse)
    reader.drift = Seldom(lambda: {"changes": names if late else [], "problem": None})
    reader.cost = Seldom(lambda: "123456.78")
    command._show(Screen(), reader.read(INSTANT))
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) <= 80, max(shown, key=len)
    assert shown[0].startswith("totes (dev), eu-west-2 ") and shown[0].endswith("2026-01-02 03:04:05Z")
    assert ("LATE, at most 5 h behind" in shown[1]) is late
    assert ("Nothing is wrong." in shown) is not late
    assert len(shown) < (60 if late else 20)


def test_last_and_next_runs_are_shown_with_what_failed():
    minute = INSTANT.replace(second=0)
    starts = [
        {"Id": "q0_invocations", "Timestamps": [minute, minute - timedelta(minutes=5)], "Values": [1.0, 1.0]},
        {"Id": "q0_errors", "Timestamps": [minute], "Values": [1.0]},
        {"Id": "q2_invocations", "Timestamps": [minute - timedelta(minutes=9)], "Values": [2.0]},
    ]
    aws = FakeAws({"load": [LOADED]}, starts=starts)
    functions = StatusReader(follower(aws)).read(INSTANT)["functions"]
    assert [(f["last_run"], f["last_failed"], f["next_run"]) for f in functions][:3] == [
        ("2026-01-02T03:04:00.000Z", True, "2026-01-02T03:09:00.000Z"),
        (None, None, None),
        ("2026-01-02T02:55:00.000Z", False, "2026-01-02T03:04:05.000Z"),  # overdue: due now
    ]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("cron(0 8 * * ? *)", datetime(2026, 1, 2, 8, tzinfo=UTC)),
        ("cron(0/20 3 * * ? *)", datetime(2026, 1, 2, 3, 20, tzinfo=UTC)),
        ("cron(4 3 * * ? *)", datetime(2026, 1, 3, 3, 4, tzinfo=UTC)),
        ("cron(0 8 ? * MON-FRI *)", datetime(2026, 1, 2, 8, tzinfo=UTC)),
        ("cron(0 8 ? * 2 *)", datetime(2026, 1, 5, 8, tzinfo=UTC)),
        ("cron(0 0 29 2 ? *)", datetime(2028, 2, 29, tzinfo=UTC)),
        ("cron(0 0 L * ? *)", datetime(2026, 1, 31, tzinfo=UTC)),
        ("rate(5 minutes)", None),
    ],
)
def test_next_run_of_a_schedule(schedule, expected):
    assert next_run([Schedule(schedule)], None, INSTANT) == expected


def test_next_run_is_that_of_the_first_schedule_in_its_zone():
    """In New York, eight o'clock is one in UTC in winter; a rate counts from the last run, or from its start."""
    nine, eight = Schedule("cron(0 9 * * ? *)", "Europe/London"), Schedule("cron(0 8 * * ? *)", "America/New_York")
    assert next_run([], None, INSTANT) is None
    assert next_run([eight, nine], None, INSTANT) == datetime(2026, 1, 2, 9, tzinfo=UTC)
    assert next_run([eight], None, INSTANT) == datetime(2026, 1, 2, 13, tzinfo=UTC)
    assert next_run([eight], None, datetime(2026, 7, 1, tzinfo=UTC)) == datetime(2026, 7, 1, 12, tzinfo=UTC)
    hourly = Schedule("rate(1 hour)", input={}, start="2026-01-03T00:00:00+01:00", end="2026-01-04")
    assert next_run([hourly], None, INSTANT) == datetime(2026, 1, 2, 23, tzinfo=UTC)
    last = datetime(2026, 1, 3, 23, 30, tzinfo=UTC)
    assert next_run([hourly], last, last) is None, "it has ended by then"


@pytest.mark.parametrize(
    ("start", "end", "last", "expected"),
    [
        (None, None, None, None),
        (None, None, 0, 60),
        (None, None, -59, 1),
        (None, None, -61, 0),
        (7, None, 5, 7),
        (-7, None, None, None),
        (0, None, None, None),
        (-7, None, -50, 10),
        (None, 60, 0, 60),
        (None, 59, 0, None),
        (7, 6, None, None),
    ],
)
def test_rate_is_counted_from_the_last_run_or_its_begin(start, end, last, expected):
    """In minutes from now, hourly."""

    def at(minutes):
        return None if minutes is None else INSTANT + timedelta(minutes=minutes)

    times = {name: at(of).isoformat() for name, of in (("start", start), ("end", end)) if of is not None}
    schedule = Schedule("rate(1 hour)", input={}, **times)
    assert next_run([schedule], at(last), INSTANT) == at(expected)


def test_what_costs_to_ask_is_asked_seldom():
    asked: list[int] = []
    seldom = Seldom(lambda: asked.append(1), seconds=60)
    for seconds in (0, 0, 30, 59, 60, 61):
        seldom.at(INSTANT + timedelta(seconds=seconds))
    seldom.at(INSTANT)  # the clock was set back
    assert len(asked) == 3


def test_promise_is_made_where_one_is_declared():
    pipeline = follower(FakeAws()).pipeline
    assert freshness.promises(pipeline) == dict.fromkeys(TABLES, timedelta(minutes=30))
    assert freshness.promises(dataclasses.replace(pipeline, fresh_within=None)) == {}


def test_promise_of_one_table_is_its_own():
    due = {"payment": timedelta(minutes=5), "staff": timedelta(days=1)}
    found = {
        name: freshness.Checked(name, INSTANT, INSTANT - timedelta(minutes=6), INSTANT, "changed", None) for name in due
    }
    document = freshness.document(found, due, INSTANT)
    assert [(table["table"], table["state"]) for table in document["tables"]] == [
        ("payment", "late"),
        ("staff", "fresh"),
    ]
    assert (document["state"], document["fresh_within_seconds"], document["seconds_behind"]) == ("late", 300, 360)
    assert freshness.document({}, {}, INSTANT)["state"] == "unknown"


WATCH = """
import sys
from tests.unit.commands.test_status import FakeAws, FakeWarehouse, LOADED, StatusReader, follower
from lambda_toolkit.pipeline.commands import status
status.reader_of = lambda target, screen: StatusReader(follower(FakeAws({"load": [LOADED]})), FakeWarehouse)
status.command(["--watch", "--every", "1", *sys.argv[1:]])
"""


@pytest.fixture
def watching():
    """Starts ``status --watch``, with its output in a pipe."""
    environ = {**os.environ, "AWS_REGION": "eu-west-2", "PYTHONPATH": str(REPOSITORY)}
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WATCH, *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, cwd=REPOSITORY, env=environ, text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_watch_into_a_pipe_ends_with_130_and_no_traceback(watching, options):
    process = watching(*options)
    lines = [process.stdout.readline() for _ in range(2)]
    if options:
        assert {json.loads(line)["pipeline"] for line in lines} == {"totes"}
    else:
        assert lines[0].startswith("totes (dev)")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in error) == (130, False), error


def test_watch_ends_quietly_when_its_reader_leaves(watching):
    process = watching("--json")
    assert json.loads(process.stdout.readline())["stage"] == "dev"
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    error = process.stderr.read()
    assert "Error" not in error and "Traceback" not in error


@pytest.mark.parametrize("succeeds", [True, False])
def test_failed_event_is_a_trouble_until_a_later_run(capsys, succeeds):
    """One that a later run made up for is shown, and is none."""
    begun = INSTANT.replace(second=0)
    key = "aws/lambda/async/totes-dev-extract/2026/01/02/2026-01-02T03.00.00-a"
    failed = [{"Key": key, "LastModified": begun - timedelta(minutes=4)}]
    starts = [
        {"Id": "q0_invocations", "Timestamps": [begun], "Values": [1.0]},
        {"Id": "q0_errors", "Timestamps": [begun], "Values": [0.0 if succeeds else 1.0]},
    ]
    aws = FakeAws({"load": [LOADED]}, subscriptions=CONFIRMED, starts=starts, failed=failed)
    document = StatusReader(follower(aws), FakeWarehouse).read(INSTANT)
    command._show(Screen(), document)
    shown = capsys.readouterr().out
    assert document["failed_events"]["count"] == 1
    assert ("failed events extract 1, which later runs made up for" in shown) is succeeds
    if succeeds:
        assert document["troubles"] == []
    else:
        what = "1 failed event of totes-dev-extract since 2026-01-02 03:00:00Z: SourceError: no answer."
        assert troubles(document) == [(what, "replay --failed")]
