"""What ``local run`` and ``replay --all`` do step by step, with the steps replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

import deploy
from lambda_toolkit.pipeline.client import rebuild as rebuilding
from lambda_toolkit.pipeline.client.rebuild import Rebuild
from lambda_toolkit.pipeline.commands.local import own_database
from lambda_toolkit.pipeline.commands.local import run as command_run
from lambda_toolkit.pipeline.commands.local.bring_up import Seeding
from lambda_toolkit.pipeline.commands.shared.options import Request
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import DuckdbConnection
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.messages.events import CompareResult, LoadResult, RebuildResult
from lambda_toolkit.pipeline.local_stack import independent_check, running, warehouse_file
from lambda_toolkit.pipeline.local_stack import stack as stacks
from lambda_toolkit.pipeline.local_stack.independent_check import Check, TableCheck
from lambda_toolkit.pipeline.local_stack.postgres import external_source
from lambda_toolkit.pipeline.local_stack.totesys import business_day
from tests.support.fake_functions import FakeAws

# ------------------------------------------------------------------------------------------------------------ local run


class Stacks:
    """The local stack, replaced: keeps what is done to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
        self.done: list[Any] = []
        given: dict[str, Any] = {"running": None, "kept": False, "external": None, "code": 0, **changed}
        monkeypatch.setattr(command_run, "require_totesys", lambda request: self.done.append("totesys"))
        monkeypatch.setattr(command_run, "say_next", lambda request, stack, *names: self.done.append((stack, *names)))
        monkeypatch.setattr(external_source, "recall", lambda directory: given["external"])
        monkeypatch.setattr(running, "running_stack", lambda root: given["running"])
        monkeypatch.setattr(stacks, "has_kept_data", lambda root: given["kept"])
        monkeypatch.setattr(stacks, "set_disposable", lambda root, value: self.done.append(("disposable", value)))
        monkeypatch.setattr(stacks, "down", self._down)

        def job(request: Any, *of: Any) -> tuple[int, str]:
            self.done.append(("job", *of))
            if isinstance(given["code"], BaseException):
                raise given["code"]
            return given["code"], "stack"

        monkeypatch.setattr(command_run, "_main_job", job)
        monkeypatch.setattr(command_run, "read_once", job)

    def _down(self, root: Path, wipe: bool = False, on_progress: Callable[[str], None] = lambda text: None) -> None:
        self.done.append(("down", wipe))
        on_progress("stopping")


@pytest.fixture
def call() -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(deploy.main, ["local", "run", *arguments])


NEXT = ("stack", "status", "local simulate", "local down")


@pytest.mark.parametrize(
    ("arguments", "code", "done"),
    [
        ([], 0, ["totesys", ("down", True), ("disposable", True), ("job", Seeding()), ("down", True)]),
        ([], 1, ["totesys", ("down", True), ("disposable", True), ("job", Seeding()), ("down", False)]),
        (["--keep"], 0, ["totesys", ("down", True), ("disposable", False), ("job", Seeding()), NEXT]),
        (
            ["--source-url", "URL", "--keep"],
            *(1, [("down", True), ("disposable", False), ("job", Seeding(), "URL"), NEXT]),
        ),
        (
            ["--orders", "5"],
            *(0, ["totesys", ("down", True), ("disposable", True), ("job", Seeding(orders=5)), ("down", True)]),
        ),
    ],
)
def test_main_job_begins_and_ends_with_nothing(call, monkeypatch, arguments, code, done) -> None:
    stack = Stacks(monkeypatch, code=code)
    result = call(*arguments)
    assert (result.exit_code, stack.done) == (code, done)
    assert ("The stack keeps running." in result.stdout) is ("--keep" in arguments)
    assert result.stderr == ("" if "--keep" in arguments else "stopping\n")


@pytest.mark.parametrize("arguments", [[], ["--keep"]])
def test_main_job_that_fails_stops_the_stack(call, monkeypatch, arguments) -> None:
    stack = Stacks(monkeypatch, code=CommandError("no."))
    result = call(*arguments)
    assert (result.exit_code, "stopping" in result.stderr) == (1, not arguments)
    assert stack.done[3:] == [("job", Seeding()), *([] if arguments else [("down", False)])]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"running": "stack"}, "The local stack is up already."),
        ({"kept": True}, "Go on with it: python deploy.py local up. Delete"),
        ({"kept": True, "external": "db"}, "Go on with it: python deploy.py local up --source-url URL. Delete"),
    ],
)
def test_main_job_touches_no_data_of_others(call, monkeypatch, changed, says) -> None:
    stack = Stacks(monkeypatch, **changed)
    result = call()
    assert (result.exit_code, says in result.stderr, stack.done) == (1, True, ["totesys"])


@pytest.mark.parametrize(("first", "last", "code"), [(0, 0, 0), (1, 0, 1), (0, 1, 1)])
def test_main_job_compares_before_and_after_the_day(monkeypatch, capsys, first, last, code) -> None:
    """``first`` and ``last``: the differences of each comparison."""
    done: list[Any] = []
    stack: Any = SimpleNamespace(source="the source")
    target: Any = SimpleNamespace(aws=lambda: "aws", pipeline="pipeline")
    checks = iter([compared(first), compared(last)] * 2)

    class Watch:
        def __init__(self, *of: Any) -> None:
            assert (of[0], of[1].aws, of[1].pipeline, of[3]) == (stack, "aws", "pipeline", "warehouse")
            of[1].report("by the follower")

        def await_arrival(self, after: int) -> int:
            done.append(("awaited", after))
            return 4

        def check_until_agreed(self, compare: Callable[[], Check], after: int) -> tuple[Check, int]:
            done.append(("compared", after))
            return compare(), 7

    def check(source: Any, warehouse: Any) -> Check:
        assert (source, warehouse) == ("the source", "warehouse")
        return next(checks)

    def up(request: Request, seeding: Seeding, **named: Any) -> Any:
        done.append(("up", seeding, named))
        return stack, target

    monkeypatch.setattr(command_run, "bring_up", up)
    monkeypatch.setattr(warehouse_file, "warehouse_in", lambda *of: "warehouse" if of == (stack, target) else None)
    monkeypatch.setattr(independent_check, "check", check)
    monkeypatch.setattr(stacks, "simulated_source", lambda of: "source" if of is stack else None)
    monkeypatch.setattr(stacks, "set_clock_speed", lambda of, speed: done.append(("speed", of is stack, speed)))
    monkeypatch.setattr(business_day, "business_day", lambda of: SimpleNamespace(as_dict=lambda: {"in": of}))
    monkeypatch.setattr(command_run, "ArrivalWatch", Watch)
    monkeypatch.setattr(command_run, "summary_of", lambda day: f"A day in {day['in']}")
    monkeypatch.setattr(command_run, "show_check", lambda screen, found, title: done.append((title, found.agrees)))
    monkeypatch.setattr(command_run, "show_history", lambda screen, warehouse: done.append(("history", warehouse)))
    assert command_run._main_job(Request(DEFAULT_PATH, None, Screen()), Seeding(orders=5)) == (code, stack)
    assert done == [
        *(("up", Seeding(orders=5), {"clock_speed": 15}), ("awaited", 0)),
        *(("The first run: source and warehouse", not first), ("compared", 4)),
        *(("After the business day: source and warehouse", not last), ("history", "warehouse"), ("speed", True, 1)),
    ]
    shown = capsys.readouterr()
    differences = "1 difference" if last else "0 differences"
    says = "DIFFER" if code else "agree"
    assert shown.out == f"Source and warehouse {says}: 1,005 rows in 2 tables, {differences}, 7 batches, 0 s.\n"
    assert shown.err.splitlines() == [
        *("by the follower", "Waiting for the schedules and the S3 event ..."),
        *("A day in source", "Waiting for the changes to arrive ..."),
    ]
    command_run._main_job(Request(DEFAULT_PATH, None, Screen(as_json=True)), Seeding())
    document = json.loads(capsys.readouterr().out)
    assert (document["agrees"], document["batches"], document["business_day"]) == (code == 0, 7, {"in": "source"})
    assert document["after_seed"]["agrees"] is not bool(first) and 0 <= document["seconds"] < 60


def compared(differences: int) -> Check:
    """A comparison of two tables, of which one has ``differences``."""
    return Check((TableCheck("a", 5, 5, None, 0, ()), TableCheck("b", 1000, 1000, None, differences, ())), ())


def comparison(*, agrees: bool) -> Any:
    return SimpleNamespace(agrees=agrees, tables=(), not_compared=())


@pytest.mark.parametrize(
    ("batches", "agreed", "compared", "code"),
    [
        ([1], [True], 1, 0),
        ([1, 1], [False], 1, 1),
        ([1, 2], [False, True], 2, 0),
        ([1, 2, 2], [False, False], 2, 1),
        ([1, 2, 3, 4, 5, 6], [False] * 6, 6, 1),
    ],
)
def test_own_database_is_read_until_it_is_quiet(monkeypatch, batches, agreed, compared, code) -> None:
    """Five rounds at most, while it changes meanwhile."""
    left, results, asked, speeds = iter(batches), iter(agreed), [], []
    target = SimpleNamespace(aws=lambda: "aws", pipeline="pipeline")

    def up(request: Any, seeding: Seeding, **named: Any) -> Any:
        assert (seeding, named) == (Seeding(), {"source_url": "URL", "clock_speed": 0.001})
        return "stack", target

    def compare(of: Any, screen: Screen) -> Any:
        asked.append(of is target)
        return comparison(agrees=next(results))

    def run(follower: Any) -> dict[str, Any]:
        assert (follower.aws, follower.pipeline) == ("aws", "pipeline")
        return {"last_batch": next(left)}

    def show(screen: Screen, found: Any, last: int, seconds: float) -> None:
        assert isinstance(screen, Screen) and 0 <= seconds < 60
        shown.append((found.agrees, last))

    shown: list[Any] = []
    monkeypatch.setattr(own_database, "bring_up", up)
    monkeypatch.setattr(own_database, "run", run)
    monkeypatch.setattr(own_database, "compare_once", compare)
    monkeypatch.setattr(own_database, "_show", show)
    monkeypatch.setattr(stacks, "set_clock_speed", lambda stack, speed: speeds.append((stack, speed)))
    request: Any = Request(DEFAULT_PATH, None, Screen())
    assert own_database.read_once(request, Seeding(), "URL") == (code, "stack")
    assert (asked, speeds, shown) == ([True] * compared, [("stack", 1)], [(code == 0, batches[-1])])
    assert next(left, None) is None


# -------------------------------------------------------------------------------------------------------------- rebuild


class Loads:
    """Answers of load, in turn; keeps the requests."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), list[Any]()

    def call_load(self, request: Any, result: type) -> Any:
        self.asked.append((type(request).__name__, request.to_json().get("into")))
        answer = self.answers.pop(0)
        assert isinstance(answer, result)
        return answer


@pytest.fixture
def rebuild(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Rebuild, Loads, list[str]]]:
    def make(*answers: Any, schemas: Any = (), differences: Any = ()) -> tuple[Rebuild, Loads, list[str]]:
        loads, said = Loads(*answers), list[str]()
        target: Any = SimpleNamespace(pipeline=load(DEFAULT_PATH), aws=lambda: None)
        made = Rebuild(target, "check", said.append)
        vars(made)["_replay"] = loads

        def rows(statement: str, **names: str) -> Any:
            assert names == {"published": "check", "control": "check_pipeline"}
            return schemas

        def prepared(of: Any, warehouse: Any) -> dict[str, Any]:
            assert (of, warehouse.published) == (target, "check")
            return {"differences": list(differences)}

        monkeypatch.setattr(rebuilding, "warehouse_of", lambda of: SimpleNamespace(rows=rows))
        monkeypatch.setattr(rebuilding, "prepare", prepared)
        return made, loads, said

    return make


def test_schema_is_filled_until_it_has_everything(rebuild) -> None:
    steps = (RebuildResult(last_batch=3, loaded=(1, 2, 3)), RebuildResult(last_batch=3, replayed=(2,)))
    made, loads, said = rebuild(*steps, RebuildResult(last_batch=4, done=True))
    document = made.rebuild()
    assert (document["schema"], document["last_batch"]) == ("check", 4)
    assert "fact_payment" in document["tables"] and len(document) == 3
    assert len(loads.asked) == 3 and said[-1] == "load: check contains everything up to batch 4"
    stuck, _, _ = rebuild(RebuildResult(last_batch=3, missing_batch=4))
    with pytest.raises(CommandError, match="Batch 4 is missing from the lake: check contains those before"):
        stuck.rebuild()


@pytest.mark.parametrize(
    ("schemas", "taken"),
    [
        ([], True),
        ([["check", False], ["check_pipeline", True]], True),
        ([["check", False]], False),
        ([["check", False], ["check_pipeline", False]], False),
    ],
)
def test_schema_of_others_is_not_filled(rebuild, schemas, taken) -> None:
    made, loads, _ = rebuild(RebuildResult(last_batch=1, done=True), schemas=schemas)
    if taken:
        assert made.rebuild()["last_batch"] == 1
    else:
        with pytest.raises(CommandError, match="The schema check exists, and no rebuild created it"):
            made.rebuild()
        assert loads.asked == []


def test_schema_of_other_tables_is_not_filled(rebuild) -> None:
    made, loads, _ = rebuild(differences=["a", "b"])
    with pytest.raises(CommandError, match="created for other tables: a; b. Drop it and check_pipeline"):
        made.rebuild()
    assert loads.asked == []
    for name in ("public", "Check", "pg_x"):
        with pytest.raises(UsageError, match=f"--into {name}: "):
            Rebuild(SimpleNamespace(), name, print)  # type: ignore[arg-type]


def test_comparison_waits_until_both_have_the_same_batches(rebuild) -> None:
    same = CompareResult(equal=True, last_batches=(7, 7))
    made, loads, _ = rebuild(same)
    assert made.compare() is same
    behind = (CompareResult(last_batches=(6, 7)), LoadResult(), CompareResult(last_batches=(8, 7)))
    made, loads, said = rebuild(*behind, RebuildResult(last_batch=8, done=True), same)
    assert made.compare() is same
    names = ["CompareRequest", "LoadRequest", "CompareRequest", "RebuildRequest", "CompareRequest"]
    assert [name for name, _ in loads.asked] == names
    assert said.count("load: comparing check with the live warehouse ...") == 3
    never = [answer for _ in range(5) for answer in (CompareResult(last_batches=(None, 7)), LoadResult())]
    made, loads, _ = rebuild(*never)
    assert made.compare() == CompareResult(last_batches=(None, 7)) and loads.answers == []
    empty = CompareResult(last_batches=(None, 0))
    assert rebuild(empty)[0].compare() is empty
    aws = FakeAws({"load": [{**same.to_json(), "last_batches": [7, 7]}]})
    target: Any = SimpleNamespace(pipeline=load(DEFAULT_PATH), aws=lambda: aws)
    assert Rebuild(target, "check", said.append).compare() == same, "load of the pipeline is asked"


# --------------------------------------------------------------------------------------------------- comparing, locally


def test_own_database_is_compared_with_its_declaration(monkeypatch, tmp_path: Path) -> None:
    from lambda_toolkit.pipeline.lambdas.shared import database
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection
    from lambda_toolkit.pipeline.local_stack import source_comparison

    opened: list[Any] = []

    @contextmanager
    def connected(credentials: Any, **named: Any) -> Any:
        opened.append((credentials, named))
        yield credentials

    pipeline = load(DEFAULT_PATH)
    url = "postgresql://me:s3cret@127.0.0.1/shop"
    target: Any = SimpleNamespace(pipeline=pipeline, environ={pipeline.secrets["source"].environment: url})
    monkeypatch.setattr(own_database, "warehouse_credentials", lambda of: "warehouse")
    monkeypatch.setattr(database, "connected", connected)
    monkeypatch.setattr(connection, "connected", connected)
    monkeypatch.setattr(source_comparison, "compare", lambda *of: of)
    declared, tables, source, warehouse = own_database.compare_once(target, Screen())  # type: ignore[misc]
    assert (source.host, source.database, source.user, source.password) == ("127.0.0.1", "shop", "me", "s3cret")
    assert opened == [(source, {}), ("warehouse", {"read_only": True})]
    assert (warehouse, tables) == ("warehouse", pipeline.tables["warehouse"])
    assert set(declared.warehouse) == set(tables) and json.dumps(sorted(tables))
    file = object.__new__(DuckdbConnection)
    prepared: list[Any] = []
    monkeypatch.setattr(warehouse_file, "add_macros", prepared.append)
    own_database.compare_once(target, Screen())
    assert prepared == [], "PostgreSQL has them"
    monkeypatch.setattr(own_database, "warehouse_credentials", lambda of: file)
    assert own_database.compare_once(target, Screen())[3] is file and prepared == [file]  # type: ignore[index]
    target.environ.clear()
    with pytest.raises(PipelineError, match=f"environment variable {pipeline.secrets['source'].environment} "):
        own_database.compare_once(target, Screen())
