"""What ``plan``, ``status``, ``cost``, ``backfill --plan``, ``publish`` and ``dashboard`` read and say."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import deploy
from lambda_script import ToolkitError
from lambda_toolkit.changes import Change, Plan
from lambda_toolkit.pipeline.client import changed_files
from lambda_toolkit.pipeline.client.sources import sizes, source
from lambda_toolkit.pipeline.client.sources.mirror import Follow
from lambda_toolkit.pipeline.client.warehouses import reader as readers
from lambda_toolkit.pipeline.commands import backfill, cost, plan, status
from lambda_toolkit.pipeline.commands.plan import EVERYTHING, Scope
from lambda_toolkit.pipeline.commands.shared import options
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.cost import backfill_plan, what_if
from lambda_toolkit.pipeline.cost.backfill import Setting
from lambda_toolkit.pipeline.cost.month import Month, Network
from lambda_toolkit.pipeline.cost.workload import ASSUMED, Measured, declared
from lambda_toolkit.pipeline.dashboard import documents, readings, rendering, server
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.iceberg import catalogs, publishing, snapshot
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.spec.network import Vpc
from lambda_toolkit.spec.prices import price_list

AWS = SimpleNamespace(account_id="123456789012")
PIPELINE = load(DEFAULT_PATH, "prod", {"AWS_REGION": "eu-west-2"})
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def target() -> Any:
    return SimpleNamespace(aws=lambda: AWS, pipeline=PIPELINE, is_local=False, environ={})


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, target: Any) -> Callable[..., Result]:
    """Calls a command of a pipeline whose AWS is ``AWS``."""
    monkeypatch.setattr(options, "choose", lambda *_: target)
    return lambda *arguments: CliRunner().invoke(deploy.main, list(arguments))


def changed(pipeline: Any, **of_extract: Any) -> Any:
    """The pipeline with another declaration of extract."""
    extract = pipeline.functions["extract"]
    extract = replace(extract, spec=replace(extract.spec, **of_extract))
    return replace(pipeline, functions={**pipeline.functions, "extract": extract})


def failing(*_: Any, error: Exception | None = None, **named: Any) -> Any:
    raise error or ToolkitError("denied.")


# ----------------------------------------------------------------------------------------------------------------- plan


def test_plan_reads_configuration_source_and_cost(monkeypatch, target) -> None:
    """Without writing the mirror; the function's changed files, and the notes of all in their order."""
    change = Change("function", "a", "update", (), apply=lambda _: None)  # type: ignore[arg-type]
    mirrored = SimpleNamespace(pipeline=PIPELINE, aws=lambda: AWS)
    lines = {"lines": ["a table is new"], "changes": ["new."], "notes": ["skipped."]}
    mirrors = {(Follow.NOTHING, False): SimpleNamespace(target=mirrored, **lines)}
    found = SimpleNamespace(problems=("no b",), notes=("c changed",))
    monkeypatch.setattr(plan, "refreshed", lambda of, how, *, write: mirrors[how, write] if of is target else None)
    planned, known = (AWS, mirrored, ["a"]), (declared(PIPELINE), (change,), price_list("eu-west-2"))
    monkeypatch.setattr(Scope, "plan", lambda *of: Plan((change,), notes=("kept",)) if of[1:] == planned else None)

    def with_files(of: Change, *at: Any) -> Change:
        assert at == (AWS, mirrored)
        return replace(of, details=("x.py",))

    monkeypatch.setattr(changed_files, "with_changed_files", with_files)
    monkeypatch.setattr(source, "check_source", lambda of, aws: found if (of, aws) == (mirrored, AWS) else None)
    monkeypatch.setattr(what_if, "added_cost", lambda *of: Decimal("1.23456") if of == known else None)
    said: list[str] = []
    read = plan._read(target, ["a"], EVERYTHING, said.append)
    assert said == ["a table is new"]
    assert [each.details for each in read.changes] == [("x.py",)]
    assert (read.notes, read.problems) == (["kept", "c changed"], ("no b",))
    assert read.added == what_if.sentence(Decimal("1.23456")) != what_if.sentence(Decimal(0))
    [shown] = read.document.pop("changes")
    assert (shown["name"], shown["details"]) == ("a", ["x.py"])
    assert read.document == {"notes": ["new", "skipped", "kept", "c changed"], "added_usd_a_month": "1.2346"}


# --------------------------------------------------------------------------------------------------------------- status


@pytest.mark.parametrize("troubles", [[], [{"what": "late", "command": ""}]])
def test_status_fails_where_something_is_wrong(call, monkeypatch, target, troubles) -> None:
    def read(of: Any, screen: Screen) -> Any:
        assert of is target
        return SimpleNamespace(read=lambda now: {"troubles": troubles, "at": now.tzinfo is UTC})

    monkeypatch.setattr(status, "reader_of", read)
    monkeypatch.setattr(status, "_show", lambda screen, document: screen.say(f"shown: {len(document['troubles'])}"))
    done = call("status")
    assert (done.exit_code, done.stdout) == (len(troubles), f"shown: {len(troubles)}\n")
    assert json.loads(call("status", "--json").stdout) == {"troubles": troubles, "at": True}


def test_status_is_shown_again_and_again(call, monkeypatch) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(status, "reader_of", lambda *_: "reader")
    monkeypatch.setattr(status, "_again", lambda screen, reader: screen.say(reader))
    monkeypatch.setattr(status.time, "sleep", sleep)
    done = call("status", "--watch", "--every", "7")
    assert (done.exit_code, done.stdout, pauses) == (130, "reader\n" * 3, [7, 7, 7])
    pauses[:] = [0, 0]
    call("status", "--watch")
    assert pauses[-1] == 5


def test_watching_ends_where_its_reader_leaves(call, monkeypatch) -> None:
    """What is still to be flushed goes nowhere: Python would report it as an error at its end."""
    closed: list[Any] = []
    of = {
        "open": lambda *where: where,
        "devnull": "nothing",
        "O_WRONLY": "write",
        "dup2": lambda *to: closed.append(to),
    }
    monkeypatch.setattr(status, "os", SimpleNamespace(**of))
    monkeypatch.setattr(status, "sys", SimpleNamespace(stdout=SimpleNamespace(fileno=lambda: 77)))
    monkeypatch.setattr(status, "reader_of", lambda *_: "reader")
    for error, code in ((BrokenPipeError(), 0), (ZeroDivisionError(), 1)):
        monkeypatch.setattr(status, "_again", lambda *_, error=error: failing(error=error))
        assert call("status", "--watch").exit_code == code
    assert closed == [(("nothing", "write"), 77)]


def test_status_asks_seldom_what_costs_much(monkeypatch, target, capsys) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(status, "_drift", lambda *of: asked.append(of) or "drift")
    monkeypatch.setattr(status, "_cost", lambda *of: asked.append(of) or "cost")
    monkeypatch.setattr(status, "warehouse_of", lambda of: "warehouse" if of is target else None)
    reader = status.reader_of(target, Screen())
    reader.follower.report("under way")
    assert (reader.follower.aws, reader.follower.pipeline) == (AWS, PIPELINE)
    assert reader.warehouse is not None and reader.warehouse() == "warehouse"  # type: ignore[comparison-overlap]
    assert reader.drift is not None and reader.cost is not None
    assert (reader.drift.at(NOW), reader.cost.at(NOW), asked) == ("drift", "cost", [(target, AWS)] * 2)
    reader.cost.at(NOW + timedelta(seconds=599))
    assert len(asked) == 2
    reader.cost.at(NOW + timedelta(seconds=600))
    assert len(asked) == 3
    assert capsys.readouterr().err == "under way\n"


def test_cost_of_the_month_has_two_places_or_is_not_known(monkeypatch, target) -> None:
    """100 GB in S3 Standard, at $0.024 each."""
    month = Month((), stored_gb=Decimal(100))
    monkeypatch.setattr(status, "month_so_far", lambda *of: month if of[:2] == (AWS, PIPELINE) else None)
    assert status._cost(target, AWS) == "2.40"
    monkeypatch.setattr(status, "month_so_far", failing)
    assert status._cost(target, AWS) is None


# ----------------------------------------------------------------------------------------------------------------- cost


@pytest.fixture
def usage(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What AWS knows of the usage."""
    known: dict[str, Any] = {"workload": ASSUMED, "network": Network(), "month": Month((), stored_gb=Decimal(100))}
    monkeypatch.setattr(cost, "workload", lambda aws, pipeline, now: known["workload"] if aws is AWS else None)
    monkeypatch.setattr(cost, "network_of", lambda aws, pipeline: known["network"] if aws is AWS else None)
    monkeypatch.setattr(
        cost, "month_so_far", lambda *of: known["month"] if of[::3] == (AWS, known["network"]) else None
    )
    return known


RAN = replace(ASSUMED, measured={"load": Measured(12, Decimal(2), None, 200)})
HERE = "measured in the local stack: this machine's times, not Lambda's"


@pytest.mark.parametrize(
    ("workload", "is_local", "first"), [(ASSUMED, True, None), (RAN, False, None), (RAN, True, HERE)]
)
def test_cost_says_where_it_was_measured(usage, target, workload, is_local, first) -> None:
    usage["workload"], target.is_local = workload, is_local
    document = cost.cost(target)
    assert (document["assumptions"][0] == HERE) is (first is not None)
    assert (Decimal(document["so_far"]), set(document["measured"])) == (Decimal("2.4"), set(workload.measured))


def test_cost_without_aws_is_assumed(call, usage, monkeypatch, target) -> None:
    plain = cost.cost(target)
    monkeypatch.setattr(cost, "network_of", failing)
    denied = cost.cost(target)
    assert (denied["assumptions"][0], denied["so_far"]) == ("AWS could not be asked: denied.", None)
    assert (denied["lines"], denied["assumptions"][1:]) == (plain["lines"], plain["assumptions"])
    target.aws = failing
    document = json.loads(call("cost", "--assumed", "--json").stdout)
    assert (document["assumptions"][0], document["so_far"]) == ("AWS was not asked", None)
    assert document["assumptions"][1:] == plain["assumptions"]
    assert call("cost").stdout.startswith("A month of totes in eu-west-2, US dollars\n")


def test_cost_has_the_network_that_functions_are_in(usage, target) -> None:
    without = cost.cost(target)
    target.pipeline = changed(PIPELINE, vpc=Vpc())
    assert cost.cost(target) == without, "it is declared that there is none"
    target.pipeline = changed(PIPELINE, vpc=Vpc(("subnet-1",), ("sg-1",)))
    usage["network"] = Network(nat_gateways=1)
    document = cost.cost(target)
    assert document["assumptions"][-1].startswith("NAT gateways and endpoints are those of the private network")
    hourly = sum(price_list("eu-west-2")[name].amount for name in ("nat_hours", "public_address_hours"))
    assert Decimal(document["total"]) - Decimal(without["total"]) == 730 * hourly
    usage["network"] = None
    document = cost.cost(target)
    assert document["assumptions"][-1].startswith("not in it: NAT gateways and endpoints")
    assert document["total"] == without["total"]


# ------------------------------------------------------------------------------------------------------------- backfill


def test_first_load_is_planned_with_what_is_declared(call, monkeypatch, target) -> None:
    found = SimpleNamespace(tables=["payment"], free_connections=5, notes=["n"])
    monkeypatch.setattr(sizes, "source_sizes", lambda of, rows: found if rows == {"payment": 7} else None)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    asked: list[Any] = []
    monkeypatch.setattr(backfill_plan, "backfill_plan", lambda *of: asked.append(of) or {"ways": []})
    target.pipeline = replace(
        changed(PIPELINE, architecture="arm64", memory=512, timeout=60),
        readers=3,
        workers=4,
        load_connections=5,
        reader_rows=6,
    )
    assert backfill.plan(target, {"payment": 7}, 2.5, 8) == {"ways": []}
    [(tables, setting, rows, _, prices, notes)] = asked
    others = {name: each.spec for name, each in PIPELINE.functions.items()}
    assert setting == Setting(
        readers=3,
        memory={**{name: spec.memory for name, spec in others.items()}, "extract": 512},
        timeout={**{name: spec.timeout for name, spec in others.items()}, "extract": 60},
        is_arm=True,
        workers=4,
        connections=5,
        free_connections=5,
        source_cores=2.5,
        warehouse_cores=8,
        own_cores=1,
    )
    assert (tables, rows, prices.region, notes) == (["payment"], 6, "eu-west-2", ["n"])
    for other in (changed(target.pipeline, architecture="x86_64"), replace(PIPELINE, functions={})):
        target.pipeline = other
        backfill.plan(target, {"payment": 7}, 2.5, 8)
        assert asked[-1][1].is_arm is False
    monkeypatch.setattr(backfill, "_show", lambda request, document: request.screen.say(str(document)))
    monkeypatch.setattr(backfill, "plan", lambda of, *given: {"given": given})
    cores = ("--source-cores", "0.25", "--warehouse-cores", "2")
    done = [call("backfill", "--plan", "--json", *given) for given in ((), ("--rows", "payment=7", *cores))]
    assert [json.loads(each.stdout)["given"] for each in done] == [[{}, 4, 4], [{"payment": 7}, 0.25, 2]]
    for wrong in (["--plan", "--batch", "1"], ["--plan", "--again"], ["--again"], ["--batch", "0"]):
        assert call("backfill", *wrong).exit_code == 2


# ------------------------------------------------------------------------------------------- publish and dashboard


class Reader(readers.WarehouseReader):
    """A warehouse over a connection."""

    @contextmanager
    def reading(self) -> Iterator[Any]:
        yield "connection"


@pytest.mark.parametrize(
    ("arguments", "where", "name"),
    [
        ([], ("glue", f"totes-prod-processed-{AWS.account_id}"), "totes_prod_published"),
        (["--into", "here"], ("folder", Path("here")), "totes_prod_published"),
        (["--namespace", "mine"], ("glue", f"totes-prod-processed-{AWS.account_id}"), "mine"),
    ],
)
@pytest.mark.parametrize(
    ("done", "says", "document"),
    [
        (None, "Nothing is loaded yet: there is nothing to publish.", (None, 0, 0)),
        (SimpleNamespace(batch=7, commits=0, rows=0), "Nothing new: {} has everything up to batch 7.", (7, 0, 0)),
        (
            SimpleNamespace(batch=8, commits=1, rows=1200),
            *("{} has everything up to batch 8: 1,200 rows written in 1 commit.", (8, 1, 1200)),
        ),
    ],
)
def test_warehouse_is_published_where_asked(call, monkeypatch, arguments, where, name, done, says, document) -> None:
    def publish(*of: Any) -> Any:
        assert of[:3] == ("snapshot of connection", where, name)
        assert "fact_sales_order" in of[3].warehouse
        warnings.warn("a deletion met no row", stacklevel=1)
        return done

    monkeypatch.setattr(readers, "warehouse_of", lambda of: Reader(SimpleNamespace()))  # type: ignore[arg-type]
    monkeypatch.setattr(catalogs, "folder_catalog", lambda folder: ("folder", folder))
    monkeypatch.setattr(catalogs, "glue_catalog", lambda of, bucket: ("glue", bucket))
    monkeypatch.setattr(snapshot, "WarehouseSnapshot", lambda connection: f"snapshot of {connection}")
    monkeypatch.setattr(publishing, "publish", publish)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert call("publish", *arguments).stdout == f"{says.format(name)}\n"
    assert seen == []
    batch, commits, rows = document
    found = json.loads(call("publish", *arguments, "--json").stdout)
    assert found == {"namespace": name, "batch": batch, "commits": commits, "rows": rows}


def test_publishing_needs_a_connection_and_a_bucket(call, monkeypatch, target) -> None:
    monkeypatch.setattr(publishing, "publish", lambda *of: pytest.fail("it was published"))
    target.pipeline = replace(PIPELINE, buckets={})
    for way, says in (
        ("by the function", "`publish` reads a PostgreSQL warehouse over a connection"),
        (Reader(SimpleNamespace()), "declares no bucket `processed`"),  # type: ignore[arg-type]
    ):
        monkeypatch.setattr(readers, "warehouse_of", lambda of, way=way: way)
        done = call("publish")
        assert (done.exit_code, says in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "is_local", "port", "every", "opened"),
    [
        ([], False, None, 20, False),
        ([], True, None, 2, False),
        (["--port", "8000", "--every", "0.5", "--open"], True, 8000, 0.5, True),
    ],
)
def test_dashboard_says_where_it_is(call, monkeypatch, target, arguments, is_local, port, every, opened) -> None:
    launched: list[str] = []
    asked: list[Any] = []
    ports = {port: SimpleNamespace(getsockname=lambda: ("127.0.0.1", 8123))}

    errors = {"status": ZeroDivisionError(), "cost": CommandError("No answer.")}

    def sources(targets: Any, now: Callable[[], datetime], seconds: float) -> dict[str, Any]:
        asked.append((targets(), now().tzinfo, seconds))
        reads = {name: lambda error=error: failing(error=error) for name, error in errors.items()}
        return {name: readings.Source(read, 60) for name, read in reads.items()}

    def serve(dashboard: server.Dashboard, listening: Any, started: Callable[[], None]) -> None:
        asked.append((listening, dashboard.frame, dashboard.seconds, dashboard.now().tzinfo, dashboard.command("run")))
        said.update(dashboard.readings.all([("status",), ("cost",)]))
        dashboard.readings.close()
        started()

    said: dict[str, Any] = {}
    target.is_local = is_local
    monkeypatch.setattr(documents, "Targets", lambda of: lambda: of)
    monkeypatch.setattr(documents, "sources", sources)
    monkeypatch.setattr(server, "listen", lambda port: ports[port])
    monkeypatch.setattr(server, "new_home", lambda: "/key/")
    monkeypatch.setattr(server, "serve", serve)
    monkeypatch.setattr(click, "launch", launched.append)
    done = call("dashboard", *arguments)
    url = "http://127.0.0.1:8123/key/"
    assert (done.exit_code, done.stdout) == (0, f"totes (prod) is shown at {url}\n")
    assert done.stderr.splitlines()[-1] == "Ctrl-C ends it."
    frame = rendering.Frame("totes", "prod", "/key/", server.KINDS)
    assert asked == [(target, UTC, every), (ports[port], frame, every / 2, UTC, "python deploy.py run")]
    assert launched == [url] * opened
    assert "defect of the program" in said["status"].problem and "ZeroDivisionError" in done.stderr
    assert (said["cost"].problem, done.stderr.count("Traceback")) == ("No answer.", 1)
    assert json.loads(call("dashboard", *arguments, "--json").stdout) == {"url": url, "port": 8123}
    assert call("dashboard", "--port", "0").exit_code == call("dashboard", "--every", "0.4").exit_code == 2
