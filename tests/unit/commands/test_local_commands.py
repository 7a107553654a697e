"""What the commands of the local stack do step by step, with the stack and what fills it replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

import deploy
from lambda_toolkit.pipeline.client.sources.mirror import Follow
from lambda_toolkit.pipeline.commands.local import bring_up, env, inbox, simulate, up
from lambda_toolkit.pipeline.commands.local.bring_up import Seeding
from lambda_toolkit.pipeline.commands.shared.options import Request
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.local_stack import description, running
from lambda_toolkit.pipeline.local_stack import stack as stacks
from lambda_toolkit.pipeline.local_stack.alerting import inbox as inboxes
from lambda_toolkit.pipeline.local_stack.postgres import external_source
from lambda_toolkit.pipeline.local_stack.totesys import business_day, seed

EXTERNAL = SimpleNamespace(place="shop at h:5432")
NOTHING: dict[str, list[str]] = {"created": [], "replaced": [], "altered": [], "differences": []}


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., Result]:
    config = str(tmp_path / "config" / "pipeline.toml")
    return lambda *arguments: CliRunner().invoke(deploy.main, ["local", *arguments, "--config", config])


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was done to the stack, in its order."""
    found: list[Any] = []
    monkeypatch.setattr(stacks, "set_disposable", lambda root, value: found.append(("disposable", root, value)))
    monkeypatch.setattr(stacks, "set_clock_speed", lambda stack, speed: found.append(("speed", stack, speed)))
    monkeypatch.setattr(stacks, "simulated_source", lambda stack: found.append(("simulated", stack)) or "source")
    return found


# ------------------------------------------------------------------------------------------------------------- bring up


class BringUp:
    """Calls ``bring_up`` with its steps replaced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path, done: list[Any]) -> None:
        (root / "config").mkdir()
        self.request = Request(root / "config" / "pipeline.toml", "mine", Screen())
        self.stack = SimpleNamespace(external=None)
        self.prepared, self.problems, self.report = NOTHING, list[str](), SimpleNamespace(ok=True)
        declared = SimpleNamespace(secrets={"source": "secret"}, warehouse_file="file", region="eu-west-2")
        known = {(self.request.config, "local"): declared}
        mirror = SimpleNamespace(target=SimpleNamespace(aws=lambda: "aws"), lines=["a table is new"])

        def step(name: str, answer: Callable[[], Any]) -> Callable[..., Any]:
            def taken(*of: Any, **named: Any) -> Any:
                if report := named.pop("on_progress", None):
                    report(f"{name}: under way")
                of = tuple("mirrored" if each is mirror.target else each for each in of if not isinstance(each, Screen))
                done.append((name, *of, named) if named else (name, *of))
                return answer()

            return taken

        monkeypatch.setattr(bring_up, "load", lambda path, stage: known[path, stage])
        monkeypatch.setattr(bring_up, "external_source", step("connect", lambda: "external"))
        monkeypatch.setattr(seed, "files_in", step("files", lambda: None))
        monkeypatch.setattr(stacks, "up", step("up", lambda: self.stack))
        monkeypatch.setattr(bring_up, "fill", step("fill", lambda: None))
        monkeypatch.setattr(bring_up, "local_target", step("target", lambda: "target"))
        monkeypatch.setattr(bring_up, "refreshed", step("refreshed", lambda: mirror))
        monkeypatch.setattr(bring_up, "check_source", step("check", lambda: SimpleNamespace(problems=self.problems)))
        monkeypatch.setattr(bring_up, "prepare", step("prepare", lambda: self.prepared))
        monkeypatch.setattr(bring_up, "apply", step("apply", lambda: self.report))

    def __call__(self, seeding: Seeding = Seeding(), **named: Any) -> Any:  # noqa: B008  # a value
        return bring_up.bring_up(self.request, seeding, **named)


@pytest.fixture
def bringing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, done: list[Any]) -> BringUp:
    return BringUp(monkeypatch, tmp_path, done)


@pytest.mark.parametrize(
    ("file", "seeding", "named", "filled"),
    [
        ("totesys.sql", Seeding(), {"clock_speed": 15}, True),
        ("totesys.sql", Seeding(orders=7), {}, True),
        ("totesys.sql", Seeding(directory=Path("here")), {}, True),
        ("totesys.sql", Seeding(empty=True), {}, False),
        ("source.sql", Seeding(), {}, False),
    ],
)
def test_stack_is_filled_prepared_and_deployed_to(bringing, done, file, seeding, named, filled) -> None:
    root, config = bringing.request.root, bringing.request.config
    (root / "config" / file).touch()
    stack, target = bringing(seeding, **named)
    assert (stack, target.aws()) == (bringing.stack, "aws")
    started = {"source_schema": root / "config" / file, "external": None, "warehouse_file": "file"}
    started |= {"region": "eu-west-2", "clock_speed": 1, **named}
    assert done == [
        *([("files", Path("here"))] if seeding.directory else []),
        ("up", root, started),
        *([("fill", stack, seeding)] if filled else []),
        ("target", config, stack, {}, "mine"),
        ("refreshed", "target", Follow.EVERYTHING),
        ("prepare", "mirrored", {"alter": True}),
        ("apply", "mirrored"),
    ]


def test_database_of_ones_own_is_read_and_not_filled(bringing, done, capsys) -> None:
    bringing.stack.external = EXTERNAL
    bringing.report = None  # nothing differed
    bringing(source_url="URL")
    assert [step[0] for step in done] == ["connect", "up", "target", "refreshed", "check", "prepare", "apply"]
    assert (done[0], done[4]) == (("connect", "URL", "secret"), ("check", "mirrored", "aws"))
    assert (done[1][2]["source_schema"], done[1][2]["external"]) == (None, "external")
    assert capsys.readouterr().err.splitlines() == [
        *("Connecting to the source ...", "up: under way"),
        "The source is shop at h:5432: it is read, and never written to",
        "a table is new",
        "Preparing the warehouse ...",
        "The warehouse is prepared",
    ]
    bringing.problems = ["no table a", "no table b"]
    done.clear()
    with pytest.raises(CommandError, match="^no table a\nno table b$"):
        bringing(source_url="URL")
    assert done[-1][0] == "check", "what it lacks is said before anything is made of it"


def test_seed_is_not_for_a_database_that_is_remembered(bringing, done, monkeypatch) -> None:
    """`local up --orders 5` of a stack that read another database: ``simulated_source`` says that it is not its own."""
    monkeypatch.setattr(
        external_source, "recall", lambda directory: {bringing.request.root / ".local": "db"}[directory]
    )
    bringing.stack.external = EXTERNAL
    bringing()
    assert ("simulated", bringing.stack) not in done
    bringing(Seeding(orders=5))
    assert ("simulated", bringing.stack) in done


def test_preparation_and_deployment_say_what_they_did(bringing, capsys) -> None:
    (bringing.request.root / "config" / "totesys.sql").touch()
    names = {"created": ["a"], "replaced": ["b", "c"], "altered": ["d", "e", "f"]}
    bringing.prepared = {**names, "differences": ["a lacks b", "a lacks c"]}
    bringing.report = SimpleNamespace(ok=False)
    with pytest.raises(CommandError, match="The deployment to the local stack failed"):
        bringing()
    assert capsys.readouterr().err.splitlines()[-3:] == [
        "Prepared the warehouse: 6 objects",
        "The warehouse differs from its declaration: a lacks b",
        "The warehouse differs from its declaration: a lacks c",
    ]


@pytest.mark.parametrize(
    ("files", "recalled", "seeding", "url", "found"),
    [
        (["source.sql", "totesys.sql"], None, Seeding(), None, "source.sql"),
        (["source.sql"], None, Seeding(empty=True), None, "source.sql"),
        (["source.sql"], None, Seeding(orders=1), None, "describes another source"),
        (["source.sql"], None, Seeding(Path("x")), None, "describes another source"),
        (["source.sql"], None, Seeding(), "URL", None),
        ([], None, Seeding(empty=True), "URL", "are for a source that the stack starts"),
        (["totesys.sql"], None, Seeding(orders=1), None, "totesys.sql"),
        ([], "db", Seeding(), None, "totesys.sql"),
        ([], None, Seeding(), None, "There is no source"),
    ],
)
def test_source_is_described_by_a_file_or_read(bringing, monkeypatch, files, recalled, seeding, url, found) -> None:
    folder = bringing.request.root / "config"
    for name in files:
        (folder / name).touch()
    monkeypatch.setattr(external_source, "recall", lambda directory: recalled)
    if found is None or found.endswith(".sql"):
        assert bring_up._schema(bringing.request, seeding, url) == (folder / found if found else None)
    else:
        with pytest.raises(UsageError, match=found):
            bring_up._schema(bringing.request, seeding, url)


# ------------------------------------------------------------------------------------------------- up, down, and others


@pytest.mark.parametrize("external", [None, EXTERNAL])
def test_up_says_where_the_stack_is(call, monkeypatch, tmp_path, done, external) -> None:
    parts = {"aws_endpoint_url": "http://127.0.0.1:5000", "region": "eu-west-2", "directory": tmp_path / ".local"}
    stack = SimpleNamespace(**parts, external=external)
    target = SimpleNamespace(pipeline=SimpleNamespace(stage="mine"))
    started: list[Any] = []

    def bring(request: Request, seeding: Seeding, **named: Any) -> Any:
        started.append((seeding, named))
        return stack, target

    monkeypatch.setattr(up, "bring_up", bring)
    monkeypatch.setattr(up, "say_next", lambda request, of, *names: request.screen.say(f"{of is stack}: {names}"))
    monkeypatch.chdir(tmp_path)
    shown = call("up", "--orders", "5")
    assert shown.stdout.splitlines() == [
        "The local stack is up at http://127.0.0.1:5000; .local/stack.json has its ports and passwords.",
        "True: ('run', 'status', 'local simulate', 'local down')",
    ]
    assert json.loads(call("up", "--empty", "--source-url", "URL", "--json").stdout) == {
        "aws_endpoint_url": "http://127.0.0.1:5000",
        "region": "eu-west-2",
        "stage": "mine",
        "stack": str(tmp_path / ".local" / "stack.json"),
        "source": "shop at h:5432" if external else None,
    }
    call("up", "--seed", str(tmp_path))
    assert started == [
        (Seeding(orders=5), {"source_url": None}),
        (Seeding(empty=True), {"source_url": "URL"}),
        (Seeding(directory=tmp_path), {"source_url": None}),
    ]
    assert done == [("disposable", tmp_path, False)] * 3, "its data is kept"
    (tmp_path / "file").touch()
    wrong = (["--orders", "0"], ["--orders", "10000001"], ["--seed", str(tmp_path / "file")], ["--seed", "missing"])
    assert [call("up", *options).exit_code for options in wrong] == [2, 2, 2, 2] and len(started) == 3


@pytest.mark.parametrize("runs", [True, False])
def test_up_that_fails_says_what_keeps_running(call, monkeypatch, tmp_path, done, runs) -> None:
    def bring(*_: Any, **named: Any) -> Any:
        raise CommandError("no.")

    monkeypatch.setattr(up, "bring_up", bring)
    monkeypatch.setattr(running, "running_stack", lambda root: {tmp_path: runs}[root])
    shown = call("up")
    assert (shown.exit_code, "The stack keeps running. Repeat the command" in shown.stderr) == (1, runs)


@pytest.mark.parametrize(("options", "stopped"), [([], True), (["--wipe"], False)])
def test_down_stops_and_wipes_where_it_is_said(call, monkeypatch, tmp_path, options, stopped) -> None:
    def down(root: Path, *, wipe: bool, on_progress: Callable[[str], None]) -> bool:
        assert (root, wipe) == (tmp_path, bool(options))
        on_progress("stopping")
        return stopped

    monkeypatch.setattr(stacks, "down", down)
    shown = call("down", *options)
    assert (shown.stdout, shown.stderr) == ("Stopped.\n" if stopped else "It was not up.\n", "stopping\n")
    assert json.loads(call("down", *options, "--json").stdout) == {"stopped": stopped, "wiped": bool(options)}


def test_exports_are_those_of_a_shell(call, monkeypatch, tmp_path) -> None:
    values = {"PGPASSWORD": "it's", "WAREHOUSE_DATABASE_URL": "of the stack"}
    monkeypatch.setattr(running, "load_stack", lambda root: {tmp_path: "stack"}[root])
    monkeypatch.setattr(description, "environment", lambda stack: dict({"stack": values}[stack]))
    lines = ["export PGPASSWORD='it'\"'\"'s'", "export WAREHOUSE_DATABASE_URL='of the stack'"]
    assert call("env").stdout.splitlines() == lines
    config = tmp_path / "config" / "pipeline.toml"
    config.parent.mkdir()
    config.touch()
    targets = {(config, "stack", "mine"): SimpleNamespace(pipeline="declared")}
    monkeypatch.setattr(env, "local_target", lambda path, stack, environ, stage: targets[path, stack, stage])
    monkeypatch.setattr(env, "warehouse_url", lambda pipeline, stack: f"{pipeline}-{stack}")
    shown = call("env", "--stage", "mine", "--json")
    assert json.loads(shown.stdout) == {**values, "WAREHOUSE_DATABASE_URL": "declared-stack"}


@pytest.mark.parametrize(
    ("options", "rate", "minutes", "pace"),
    [
        ([], 30, 10, "30 events a minute for 10 minutes"),
        (["--rate", "1", "--minutes", "0.5"], 1, 0.5, "1 event a minute for 0.5 minutes"),
        (["--rate", "0.5", "--minutes", "1"], 0.5, 1, "0.5 events a minute for 1 minute"),
    ],
)
def test_simulated_events_are_counted(call, monkeypatch, tmp_path, done, options, rate, minutes, pace) -> None:
    def simulated(source: str, *, rate: float, minutes: float, on_event: Callable[[str], None]) -> dict[str, int]:
        done.append((source, rate, minutes))
        on_event("a sale")
        return {"sale": 1200, "payment": 3}

    monkeypatch.setattr(simulate, "require_totesys", lambda request: done.append("totesys"))
    monkeypatch.setattr(running, "load_stack", lambda root: {tmp_path: "stack"}[root])
    monkeypatch.setattr(business_day, "simulate", simulated)
    shown = call("simulate", *options)
    assert done == ["totesys", ("simulated", "stack"), ("source", rate, minutes)]
    assert shown.stderr.splitlines()[0].startswith(f"{pace}; watch them arrive: python deploy.py status")
    assert shown.stderr.splitlines()[1:] == ["a sale"]
    rows = [line.split("│")[1:3] for line in shown.stdout.splitlines() if line.startswith("│")]
    assert rows == [[" payment ", "     3 "], [" sale    ", " 1,200 "]]
    assert json.loads(call("simulate", "--json").stdout) == {"events": {"sale": 1200, "payment": 3}}
    assert call("simulate", "--minutes", "0").exit_code == 2


def test_followed_inbox_shows_each_message_once(call, monkeypatch, tmp_path) -> None:
    message = {"received_at": "2026-01-02T03:04:05", "channel": "email", "to": "a@x.com", "text": ""}
    arriving = [["a"], ["a"], ["a", "b", "c"], ["a", "b", "c", "d"]]
    pauses: list[float] = []

    def document(mails: Path, slack: Path) -> dict[str, Any]:
        assert (mails, slack) == (tmp_path / ".local" / "mail-sink", tmp_path / ".local" / "slack-sink")
        if not arriving:
            raise KeyboardInterrupt
        return {"messages": [{**message, "subject": subject} for subject in arriving.pop(0)]}

    monkeypatch.setattr(inboxes, "document", document)
    monkeypatch.setattr(inbox.time, "sleep", pauses.append)
    shown = call("inbox", "--follow")
    assert [line for line in shown.stdout.splitlines() if len(line) == 1] == ["a", "b", "c", "d"]
    assert (shown.exit_code, len(pauses)) == (130, 4)
    arriving.append([])
    empty = call("inbox")
    assert (empty.exit_code, empty.stdout) == (0, "")
    assert empty.stderr == "No message arrived yet. To send one: alert-test\n"
    arriving.append([str(number) for number in range(11)])
    assert [line for line in call("inbox").stdout.splitlines() if line[:2] in ("0", "1", "10")] == ["1", "10"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["pipeline.toml", "totesys.sql", "source.sql"], None),
        ([], None),
        (["pipeline.toml", "source.sql"], "source.sql describes another source. Change that with psql"),
        (["pipeline.toml"], "which is not the source of .*To read a database of yours"),
    ],
)
def test_activity_is_simulated_in_totesys_alone(tmp_path, files, says) -> None:
    (tmp_path / "config").mkdir()
    for name in files:
        (tmp_path / "config" / name).touch()
    request = Request(tmp_path / "config" / "pipeline.toml", None, Screen())
    if says is None:
        bring_up.require_totesys(request)
    else:
        with pytest.raises(UsageError, match=says):
            bring_up.require_totesys(request)
