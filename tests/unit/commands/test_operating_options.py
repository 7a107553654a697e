"""What the commands for operating make of their options, with all that they call replaced."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

import deploy
import lambda_script
from lambda_script import ToolkitError
from lambda_toolkit.pipeline.client.sources.mirror import Follow
from lambda_toolkit.pipeline.commands import alert_test, prepare, watch
from lambda_toolkit.pipeline.commands import logs as command_logs
from lambda_toolkit.pipeline.commands.local import inbox
from lambda_toolkit.pipeline.commands.shared import options
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lake import scripts
from lambda_toolkit.pipeline.spark import backfill as spark

AWS = SimpleNamespace(account_id="123456789012")


@pytest.fixture
def target() -> Any:
    return SimpleNamespace(aws=lambda: AWS, pipeline=load(DEFAULT_PATH), is_local=False, environ={})


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, target: Any) -> Callable[..., Result]:
    """Calls a command of a pipeline whose AWS is ``AWS``."""
    monkeypatch.setattr(options, "choose", lambda *_: target)
    return lambda *arguments: CliRunner().invoke(deploy.main, list(arguments))


RUNTIME = "START RequestId: 1 Version: $LATEST"
EVENTS = (
    ("totes-dev-extract", {"timestamp": 1000, "message": '{"level": "WARNING", "message": "slow"}\n'}),
    ("totes-dev-load", {"timestamp": 2000, "message": RUNTIME}),
)


def test_logs_of_all_functions_are_shown_with_their_names(call, monkeypatch) -> None:
    asked: list[Any] = []

    def events(aws: Any, names: list[str], start: int, *, groups: Any, follow: bool, wait: Any) -> Iterator[Any]:
        asked.append((aws is AWS, sorted(names), start, follow, sorted(groups)))
        return iter(EVENTS)

    monkeypatch.setattr(command_logs, "events_of", events)
    monkeypatch.setattr(command_logs.time, "time", lambda: 10_000.0)
    names = sorted(f"totes-dev-{name}" for name in load(DEFAULT_PATH).functions)
    done = call("logs", "--since", "2h")
    assert done.stdout.splitlines() == ["1970-01-01 00:00:01Z  extract    WARNING slow"]
    assert asked == [(True, names, 2_800_000, False, names)]
    assert call("logs", "--all").stdout.splitlines()[1] == f"1970-01-01 00:00:02Z  load       INFO    {RUNTIME}"
    one = call("logs", "extract", "--json")
    assert asked[-1][1:3] == (["totes-dev-extract"], 9_400_000)
    event = {"timestamp": 1000, "function": "totes-dev-extract", "level": "WARNING", "message": EVENTS[0][1]["message"]}
    assert json.loads(one.stdout) == {"events": [{**event, "message": event["message"].rstrip()}]}
    assert call("logs", "extract").stdout.splitlines() == ["1970-01-01 00:00:01Z  WARNING slow"]


@pytest.mark.parametrize(
    ("hours", "shown"),
    [(-4, "2026-01-01 23:00:00Z"), (-1, "02:00:00Z"), (0, "03:00:00Z"), (24, "2026-01-03 03:00:00Z")],
)
def test_event_of_another_day_has_its_date(monkeypatch, hours: int, shown: str) -> None:
    now = int(datetime(2026, 1, 2, 3, tzinfo=UTC).timestamp())
    clock = SimpleNamespace(gmtime=lambda at=now: time.gmtime(at), strftime=time.strftime)
    monkeypatch.setattr(command_logs, "time", clock)
    assert command_logs._time_of((now + 3600 * hours) * 1000 + 999) == shown


def test_silent_log_says_what_is_hidden(call, monkeypatch) -> None:
    monkeypatch.setattr(command_logs, "events_of", lambda *_, **named: iter([EVENTS[1]] * 2))
    hidden = " but 2 lines of Lambda's own: --all shows them."
    assert call("logs", "load").stderr == f"totes-dev-load wrote nothing in the last 10m{hidden}\n"
    monkeypatch.setattr(command_logs, "events_of", lambda *_, **named: iter(()))
    assert call("logs", "load", "--since", "1d").stderr == "totes-dev-load wrote nothing in the last 1d.\n"
    assert call("logs", "--follow", "--json").exit_code == 2


class Once:
    """An event that is set when it is waited for; the log is read ``reads`` times."""

    def __init__(self, reads: int) -> None:
        self.reads, self.waits = reads, []  # type: int, list[float]

    def is_set(self) -> bool:
        return self.reads <= 0

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.reads -= seconds == 1


def test_log_of_what_is_watched_shows_each_event_once(capsys, monkeypatch) -> None:
    """Events may come late, and are read twice; what cannot be read is read later."""
    now = 1_000_000
    starts: list[int] = []
    said = [
        [{"timestamp": now + 1, "message": "one", "eventId": "a"}, {"timestamp": now, "message": RUNTIME}],
        [{"timestamp": now + 1, "message": "one", "eventId": "a"}, {"timestamp": now + 60_000, "message": "two"}],
        [{"timestamp": now + 60_000, "message": "two"}, {"timestamp": now + 60_000, "message": "two", "eventId": "b"}],
    ]

    def events(aws: Any, names: list[str], start: int, groups: Any) -> Iterator[Any]:
        assert (aws, names, groups) == (AWS, ["shop"], {"shop": "/shop"})
        starts.append(start)
        if len(starts) <= 2:
            raise (CommandError if len(starts) == 1 else ToolkitError)("no log group yet")
        return (("shop", event) for event in said[len(starts) - 3])

    monkeypatch.setattr(watch, "events_of", events)
    monkeypatch.setattr(watch.time, "time", lambda: now / 1000)
    watched: Any = SimpleNamespace(aws=lambda: AWS, log_groups=lambda: {"shop": "/shop"})
    ended: Any = Once(5)
    watch._show_log(Screen(), watched, ended)
    assert [line.split() for line in capsys.readouterr().err.splitlines()] == [
        ["shop", word] for word in ("one", "two", "two")
    ]
    assert starts == [now, now, now, now, now + 30_000], "as late as events may be"
    assert ended.waits == [5.0, 1.0, 5.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(("arguments", "logs"), [([], True), (["--no-logs"], False)])
def test_watch_deploys_and_shows_the_log_until_its_end(call, monkeypatch, arguments, logs) -> None:
    from lambda_toolkit.running import watching

    happened: list[Any] = []
    begun = threading.Event()

    def show(screen: Any, watched: Any, ended: threading.Event) -> None:
        begun.set()
        happened.append("ended" if ended.wait(10) and threading.current_thread().daemon else "goes on")

    def watch_twice(places: Any, deployed: Callable[[Any], None], ended: Any) -> None:
        assert DEFAULT_PATH.parent in places()
        deployed(())
        deployed(["a.py"])
        assert begun.wait(10) or not logs
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "_show_log", show)
    monkeypatch.setattr(
        watch, "_deploy", lambda screen, watched, changed: happened.append(list(changed) or screen.as_json)
    )
    monkeypatch.setattr(watching, "watch", watch_twice if logs else lambda *of: happened.append(of[1](["b.py"])))
    done = call("watch", *arguments)
    assert done.exit_code == 130
    assert happened == ([False, ["a.py"], "ended"] if logs else [["b.py"], None])
    assert ("Stopped watching." in done.stderr) is logs


DONE = {"created": ["fact_payment"], "altered": ["a.b", "a.c"], "replaced": ["v"], "differences": [], "alterations": []}
DIFFERS = {"created": [], "altered": [], "replaced": [], "differences": ["a lacks b"], "alterations": ["ALTER TABLE a"]}


@pytest.mark.parametrize(
    ("arguments", "follow", "document", "code", "shown"),
    [
        (
            [],
            Follow.TABLES,
            DONE,
            0,
            [
                "+ fact_payment",
                "~ a.b",
                "~ a.c",
                "~ v",
                "1 object created, 2 columns altered, 1 view replaced. The warehouse is complete.",
            ],
        ),
        (
            ["--alter"],
            Follow.EVERYTHING,
            DIFFERS,
            1,
            [
                "! a lacks b",
                "  ALTER TABLE a;",
                "These lose nothing: prepare --alter runs them.",
                "1 difference from the configuration remains: existing tables are not changed. Change them, or "
                "config/warehouse.sql.",
            ],
        ),
    ],
)
def test_prepare_shows_each_object(call, monkeypatch, target, arguments, follow, document, code, shown) -> None:
    mirror = SimpleNamespace(target=target, lines=["a table is new"], source="source", changes=["new"], notes=["note"])
    monkeypatch.setattr(prepare, "refreshed", lambda of, how: mirror if (of, how) == (target, follow) else None)

    def prepared(of: Any, *, alter: bool, source: Any) -> dict[str, list[str]]:
        assert (of, alter, source) == (target, bool(arguments), "source")
        return document

    monkeypatch.setattr(prepare, "prepare", prepared)
    done = call("prepare", *arguments)
    assert (done.exit_code, done.stdout.splitlines()) == (code, ["a table is new", *shown])
    found = json.loads(call("prepare", *arguments, "--json").stdout)
    assert found == {**document, "mirror": ["new", "note"]}


def test_two_differences_of_a_warehouse_are_counted() -> None:
    found = prepare._summary({**DIFFERS, "differences": ["a", "b"], "created": ["c"]})
    assert found.startswith("1 object created. 2 differences from the configuration remain:")
    assert prepare._summary({**DIFFERS, "differences": []}) == "The warehouse is complete."


TEST: dict[str, Any] = {
    "test": "ab12",
    "topic": "totes-dev-alarms",
    "seconds": 1.5,
    "email": {"state": "published", "message": "id-1"},
    "slack": {"state": "sent", "reason": None},
    "addresses": [
        {"address": "a@x.com", "state": "confirmed"},
        {"address": "b@x.com", "state": "confirmed"},
    ],
    "alarms": {"declared": 9, "deployed": 8, "notifying": 7},
    "reached": True,
}


@pytest.mark.parametrize(
    ("changed", "code", "shown"),
    [
        ({}, 0, ["  email    published as id-1, for a@x.com, b@x.com", "  Slack    took it"]),
        (
            {
                "addresses": [{"address": "a@example.com", "state": "not confirmed"}],
                "slack": {"state": "dropped", "reason": "404"},
                "reached": False,
            },
            1,
            [
                "  email    published as id-1, for no address",
                "           a@example.com gets nothing: not confirmed. ",
                "  Slack    refused it: 404",
            ],
        ),
    ],
)
def test_alert_test_says_who_got_it(call, monkeypatch, target, changed, code, shown) -> None:
    monkeypatch.setattr(alert_test, "send", lambda *of: {**TEST, **changed} if of == (AWS, target.pipeline) else {})
    done = call("alert-test")
    lines = done.stdout.splitlines()
    end = "  alarms   7 of 9 declared ones are deployed and notify a topic"
    assert done.exit_code == code
    assert lines[0] == "Test ab12, published to totes-dev-alarms; after 1.5 s:"
    for line, expected in zip(lines[1:], [*shown, end, "Not known from here:"], strict=False):
        assert line == expected or (expected.endswith(" ") and line.startswith(expected))
    assert len(lines[len(shown) + 3 :]) == 2
    document = json.loads(call("alert-test", "--json").stdout)
    assert (document["reached"], len(document["unknown"])) == (code == 0, 2)


def test_rollback_is_of_the_function_on_aws(call, monkeypatch) -> None:
    def rolled(name: str, to: str | None, *, aws: Any) -> Any:
        assert (name, to, aws) == ("totes-dev-load", "3", AWS)
        return SimpleNamespace(function=name, from_version="4", to_version="3")

    monkeypatch.setattr(lambda_script, "rollback", rolled)
    document = json.loads(call("rollback", "load", "--to", "3", "--json").stdout)
    assert document == {"function": "totes-dev-load", "from": "4", "to": "3"}


@pytest.mark.parametrize(
    ("arguments", "root", "secret"),
    [
        ([], "s3://totes-processed-dev-123456789012", True),
        (["--engine", "spark"], "s3://totes-processed-dev-123456789012", False),
        (["--root", "/copy/"], "/copy", False),
        (["--engine", "spark", "--root", "s3://copy"], "s3://copy", False),
    ],
)
def test_lake_is_read_where_it_is(call, monkeypatch, target, arguments, root, secret) -> None:
    root = root.replace("totes-processed-dev-123456789012", target.pipeline.bucket_name("processed", AWS.account_id))
    target.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:5000"
    monkeypatch.setattr(scripts, "duckdb_script", lambda declared, place: (f"DUCKDB {place}",))
    monkeypatch.setattr(scripts, "spark_script", lambda declared, place: (f"SPARK {place}",))
    document = json.loads(call("lake", *arguments, "--json").stdout)
    engine = "spark" if "spark" in arguments else "duckdb"
    *before, last = document["statements"]
    assert (document["engine"], document["root"].rstrip("/"), last) == (engine, root, f"{engine.upper()} {root}")
    assert (before[:2] == ["INSTALL httpfs", "LOAD httpfs"], len(before)) == ((True, 5) if secret else (False, 0))
    assert ("ENDPOINT '127.0.0.1:5000'" in "".join(before)) is secret
    assert call("lake", *arguments).stdout.endswith(f"{last};\n\n")
    del target.environ["AWS_ENDPOINT_URL"]
    assert "ENDPOINT" not in call("lake", *arguments).stdout
    target.pipeline = replace(target.pipeline, buckets={})
    assert call("lake", *arguments).exit_code == (0 if "--root" in arguments else 1), "it has no bucket to read"


@pytest.mark.parametrize(
    ("region", "endpoint", "options"),
    [
        ("eu-west-2", "", "TYPE s3, PROVIDER credential_chain, REGION 'eu-west-2'"),
        (
            "o'x",
            "http://127.0.0.1:5000",
            "TYPE s3, PROVIDER credential_chain, REGION 'o''x', ENDPOINT '127.0.0.1:5000', URL_STYLE 'path', "
            "USE_SSL false",
        ),
        (
            "eu-west-2",
            "https://s3.example.com",
            "TYPE s3, PROVIDER credential_chain, REGION 'eu-west-2', ENDPOINT 's3.example.com', URL_STYLE 'path', "
            "USE_SSL true",
        ),
    ],
)
def test_duckdb_finds_credentials_as_boto3_does(region, endpoint, options) -> None:
    extensions = ("INSTALL httpfs", "LOAD httpfs", "INSTALL aws", "LOAD aws")
    assert scripts.duckdb_credentials(region, endpoint) == (*extensions, f"CREATE OR REPLACE SECRET lake ({options})")


@pytest.mark.parametrize(
    ("arguments", "batches"),
    [([], [3, 5]), (["--batch", "9", "--batch", "2", "--batch", "9"], [2, 9]), (["--batch", "2", "--again"], [2])],
)
def test_backfill_transforms_what_is_named_or_missing(call, monkeypatch, target, arguments, batches) -> None:
    def transformed(target: Any, todo: list[int], *, again: bool) -> dict[int, int]:
        assert again == ("--again" in arguments)
        return {batch: batch + 1 for batch in todo}

    monkeypatch.setattr(spark, "untransformed", lambda target: [3, 5])
    monkeypatch.setattr(spark, "transform_by_functions", transformed)
    monkeypatch.setattr(spark, "transform_by_job", lambda of, todo, *, again: {0: transformed(of, todo, again=again)})
    engine = target.pipeline.backfill.engine
    assert engine == "lambda"
    done = json.loads(call("backfill", *arguments, "--json").stdout)
    assert done == {"engine": engine, "batches": [{"batch": batch, "revision": batch + 1} for batch in batches]}
    assert call("backfill", *arguments).stdout.splitlines() == [
        f"Batch {batch} is transformed, by lambda: revision {batch + 1}." for batch in batches
    ]
    assert call("backfill", "--rows", "payment=3").exit_code == 2
    target.pipeline = replace(target.pipeline, backfill=replace(target.pipeline.backfill, engine="glue"))
    by_job = [{"batch": 0, "revision": {str(batch): batch + 1 for batch in batches}}]
    assert json.loads(call("backfill", *arguments, "--json").stdout) == {"engine": "glue", "batches": by_job}


def test_backfill_of_a_transformed_lake_asks_no_function(call, monkeypatch) -> None:
    monkeypatch.setattr(spark, "untransformed", lambda target: [])
    monkeypatch.setattr(spark, "transform_by_functions", lambda *_, **named: pytest.fail("it asked"))
    assert call("backfill").stdout == "Every batch in the lake is transformed.\n"


def test_rows_of_a_plan_are_read_exactly() -> None:
    from lambda_toolkit.pipeline.commands.backfill import _rows

    most = 1_000_000_000_000  # as the message has it
    assert _rows(["a=0", f"b={most:,}", "c=1_000"]) == {"a": 0, "b": most, "c": 1000}
    for wrong in ("a", "a=", "=1", "a=-1", "a=1.5", f"a={most + 1}", "a=1=2"):
        with pytest.raises(UsageError, match="TABLE=ROWS"):
            _rows([wrong])


def test_inbox_shows_the_newest_messages_oldest_first(call, monkeypatch) -> None:
    message = {"channel": "email", "to": "a@example.com", "text": "one\n\ntwo"}
    found = [{**message, "received_at": f"2026-01-02T03:04:0{n}.123", "subject": f"S{n}"} for n in range(3)]
    monkeypatch.setattr(inbox, "_read", lambda request: {"format": 1, "messages": found})
    assert call("local", "inbox", "--last", "1").stdout.splitlines() == [
        "2026-01-02 03:04:02Z  email to a@example.com",
        "S2",
        "    one",
        "",
        "    two",
        "",
    ]
    assert [each["subject"] for each in json.loads(call("local", "inbox", "--json").stdout)["messages"]] == [
        "S0",
        "S1",
        "S2",
    ]
    assert json.loads(call("local", "inbox", "--last", "2", "--json").stdout) == {"format": 1, "messages": found[1:]}
    assert call("local", "inbox", "--follow", "--json").exit_code == 2
