"""``local up`` and ``local down`` with every part replaced: what is started with what, in which order, and stopped."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.local_stack import running, stack
from lambda_toolkit.pipeline.local_stack.alerting import side_processes
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator
from lambda_toolkit.pipeline.local_stack.aws_emulator.emulator import Emulator
from lambda_toolkit.pipeline.local_stack.description import Stack, read_stack
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres import databases, postgres_server
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.external_source import ExternalSource
from lambda_toolkit.pipeline.local_stack.process import Identity

SHOP = ExternalSource("postgresql://me:s3cret@h/shop", "shop at h:5432")
DATABASES = tuple(Database("127.0.0.1", 30_001, name, name, "p") for name in ("source", "admin", "warehouse"))
PARTS = ("postgres", "emulator", "alarm_evaluator", "slack_receiver")


class Parts:
    """Every part of a stack, replaced by notes of what is asked of it."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self.directory = root, root / ".local"
        self.did: list[Any] = []
        self.said: list[str] = []
        self.alive: set[Identity] = set()
        self.fails = ""
        self.lost = False
        self._ids = count(1)
        free = count(30_001)
        patch.setattr(stack, "free_port", lambda preferred: preferred or next(free))
        patch.setattr(running, "is_alive", lambda process: process in self.alive)
        for name in ("stop_group", "stop_process"):
            patch.setattr(stack, name, lambda process, name=name: self.stop(name, process))
        patch.setattr(postgres_server, "has_data", lambda of: (of / "data").is_dir())
        patch.setattr(postgres_server, "start", self.start_postgres)
        patch.setattr(postgres_server, "stop", lambda of: self.note("stop server", of.name) or False)
        patch.setattr(databases, "drop_warehouse", lambda server: self.note("drop", server.port))
        patch.setattr(databases, "prepare", lambda *of: self.note("prepare", *of) or DATABASES)
        patch.setattr(emulator, "launch", self.start_emulator)
        patch.setattr(emulator, "await_ready", lambda *of: self.note("await emulator", *of))
        patch.setattr(emulator, "stop", lambda of, process: self.stop(f"stop {of.name}", process))
        patch.setattr(emulator, "lost_memory", lambda of: {self.directory / "emulator": self.lost}[of])
        patch.setattr(side_processes, "launch", self.start_side)
        patch.setattr(side_processes, "await_ready", lambda *of: self.note("await", *of))

    def note(self, what: str, *of: Any) -> None:
        self.did.append((what, *of))
        if what == self.fails:
            raise KeyboardInterrupt(what)

    def stop(self, what: str, process: Identity) -> bool:
        self.note(what, process)
        was_alive = process in self.alive
        self.alive.discard(process)
        return was_alive

    def started(self) -> Identity:
        process = Identity(next(self._ids), 1.5)
        self.alive.add(process)
        return process

    def start_postgres(self, of: Path, *, port: int) -> Any:
        self.note("server", of, port)
        (of / "data").mkdir(parents=True, exist_ok=True)
        return SimpleNamespace(identity=self.started(), port=port)

    def start_emulator(self, of: Path, **options: Any) -> Emulator:
        speed = emulator.clock_speed_file(of).read_text(encoding="utf-8")
        self.note("emulator", of, {**options, "speed": speed})
        (of / "state").mkdir(parents=True, exist_ok=True)
        return Emulator(options["port"], self.started(), options["credentials"])

    def start_side(self, part: str, of: Path) -> Identity:
        self.note(part, of, self.recorded(), set(read_stack(of / "stack.json").processes))
        return self.started()

    def recorded(self) -> set[str]:
        return set(json.loads((self.directory / "processes.json").read_text(encoding="utf-8")))

    def up(self, **options: Any) -> Stack:
        self.did.clear()
        self.said.clear()
        return stack.up(self.root, on_progress=self.said.append, **options)

    def of(self, what: str) -> Any:
        return next((of for name, *of in self.did if name == what), None)


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    yield Parts(tmp_path, monkeypatch)


def test_stack_is_started_part_by_part(parts: Parts) -> None:
    """Each process is recorded before the next starts, and those beside the emulator find what describes the stack."""
    found = parts.up(clock_speed=60)
    directory = parts.directory
    aws = Emulator(30_002, Identity(2, 1.5), parts.of("emulator")[1]["credentials"])
    server, source, passwords, say = parts.of("prepare")
    assert (server.port, source, set(passwords)) == (
        30_001,
        parts.root / "config" / "totesys.sql",
        set(databases.USERS),
    )
    assert parts.did == [
        ("stop server", "postgres"),
        ("server", directory / "postgres", 30_001),
        ("prepare", server, source, passwords, say),
        (
            *("emulator", directory / "emulator"),
            {
                "credentials": aws.credentials,
                "region": "eu-west-2",
                "mail_sink": directory / "mail-sink",
                "log": directory / "emulator.log",
                "port": 30_002,
                "on_progress": say,
                "speed": "60",
            },
        ),
        ("alarm_evaluator", directory, {"postgres", "emulator"}, {"postgres", "emulator"}),
        ("slack_receiver", directory, {"postgres", "emulator", "alarm_evaluator"}, {"postgres", "emulator"}),
        ("await emulator", aws, directory / "emulator.log"),
        ("await", "alarm_evaluator", Identity(3, 1.5), directory),
        ("await", "slack_receiver", Identity(4, 1.5), directory),
    ]
    assert parts.said == ["Starting PostgreSQL", "Starting the emulated AWS", "The local stack is up"]
    assert found.processes == {name: Identity(number, 1.5) for number, name in enumerate(PARTS, 1)}
    keys = aws.credentials
    assert found.slack_url.startswith("http://127.0.0.1:30003/services/LOCAL/")
    assert found == Stack(
        parts.root, "http://127.0.0.1:30002", "eu-west-2", "0" * 12, keys.access_key_id, keys.secret_access_key,
        *DATABASES, found.processes, found.slack_url,
    )  # fmt: skip
    assert read_stack(directory / "stack.json") == found and parts.recorded() == set(PARTS)
    assert (directory / ".gitignore").read_text(encoding="utf-8") == "*\n", "it has passwords"


def test_next_start_has_the_ports_and_keys_of_the_last(parts: Parts) -> None:
    first = parts.up(region="eu-west-1")
    secrets = parts.directory / "emulator" / "state" / "secretsmanager.json"
    secrets.touch()
    assert stack.down(parts.root) and secrets.exists(), "which the functions have as secrets"
    again = parts.up(region="eu-west-1", source_schema=Path("other.sql"))
    assert replace(again, processes=first.processes) == first and again.region == "eu-west-1"
    assert parts.of("emulator")[1]["speed"] == "1" and parts.of("prepare")[1] == Path("other.sql")
    assert parts.of("drop") is None and parts.of("server")[1] == 30_001


def test_stack_that_is_up_is_left_as_it_is(parts: Parts) -> None:
    found = parts.up()
    assert parts.up(clock_speed=7) == found == stack.up(parts.root, clock_speed=7)
    assert (parts.did, parts.said) == ([], ["The local stack is already up"])
    assert emulator.clock_speed_file(parts.directory / "emulator").read_text(encoding="utf-8") == "7"
    stack.set_clock_speed(found, 8)
    assert emulator.clock_speed_file(parts.directory / "emulator").read_text(encoding="utf-8") == "8"
    for process in found.processes.values():
        parts.alive = set(found.processes.values()) - {process}
        assert running.running_stack(parts.root) is None, "unless every part is alive"


@pytest.mark.parametrize("fails", ["server", "prepare", "emulator", *PARTS[2:], "await emulator", "await"])
def test_start_that_fails_leaves_nothing_running(parts: Parts, fails: str) -> None:
    parts.fails = fails
    with pytest.raises(KeyboardInterrupt, match=f"^{fails}$"):
        parts.up()
    assert parts.alive == set() and not (parts.directory / "stack.json").exists()
    assert not (parts.directory / "processes.json").exists()
    assert "The local stack is stopped" not in parts.said, "it never was up"


def test_source_of_a_stack_is_the_one_that_it_was_given(parts: Parts) -> None:
    found = parts.up(external=SHOP)
    assert parts.of("prepare")[1] is None, "the stack makes none of its own"
    assert found.external == SHOP and read_stack(parts.directory / "stack.json") == found
    assert parts.up() == found == parts.up(external=SHOP)
    other = replace(SHOP, url="postgresql://me:other@h/shop")
    changed = parts.up(external=other)
    assert changed == replace(found, external=other) == read_stack(parts.directory / "stack.json")
    secrets = parts.directory / "emulator" / "state" / "secretsmanager.json"
    secrets.touch()
    said: list[str] = []
    assert stack.down(parts.root, on_progress=said.append)
    assert said == ["The local stack is stopped", "The URL of the source is forgotten"] and not secrets.exists()
    for options in ({}, {"external": replace(SHOP, place="crm at h:5432")}):
        with pytest.raises(LocalError, match="are of shop at h:5432"):
            parts.up(**options)
        assert parts.of("server") is None
    (parts.directory / "postgres" / "data").rmdir()
    assert parts.up().external is None, "without data, any source may be the first"


@pytest.mark.parametrize(
    ("data", "state", "lost", "dropped", "aside"),
    [
        (False, False, False, False, True),
        (True, True, False, False, False),
        (True, True, True, True, True),
        (True, False, False, True, True),
        (False, True, False, True, True),
    ],
)
@pytest.mark.parametrize("given", [True, False])
def test_warehouse_starts_empty_where_the_lake_is_new(
    parts: Parts, data: bool, state: bool, lost: bool, dropped: bool, aside: bool, given: bool
) -> None:
    """A file that is the warehouse is renamed, as its user may want it still; one that is not named stays."""
    for name in ("postgres/data",) * data + ("emulator/state",) * state:
        (parts.directory / name).mkdir(parents=True)
    file, before = parts.root / "star.duckdb", parts.root / "star.before.duckdb"
    file.write_text("rows", encoding="utf-8")
    parts.lost = lost
    parts.up(warehouse_file=file if given else None)
    assert parts.of("drop") == ([30_001] if dropped else None)
    assert (file.exists(), before.exists()) == (not (aside and given), aside and given)
    assert any(str(before) in line for line in parts.said) == (aside and given)
    stack._set_aside(parts.root / "none.duckdb", pytest.fail)


@pytest.mark.parametrize("alive", [(), *((name,) for name in PARTS), PARTS])
def test_whatever_is_recorded_and_runs_is_stopped(parts: Parts, alive: tuple[str, ...]) -> None:
    processes = parts.up().processes
    parts.alive = {processes[name] for name in alive}
    parts.did.clear()
    said: list[str] = []
    assert stack.down(parts.root, on_progress=said.append) is bool(alive)
    assert said == ["The local stack is stopped"] * bool(alive)
    assert parts.did == [
        ("stop_group", processes["alarm_evaluator"]),
        ("stop_group", processes["slack_receiver"]),
        ("stop emulator", processes["emulator"]),
        ("stop server", "postgres"),
        ("stop_process", processes["postgres"]),
    ]
    assert not stack.down(parts.root)


def test_data_is_kept_unless_a_main_job_made_it(parts: Parts) -> None:
    assert not stack.has_kept_data(parts.root)
    stack.set_disposable(parts.root, True)
    assert [path.name for path in parts.directory.iterdir()] == ["disposable"]
    (parts.directory / "postgres" / "data").mkdir(parents=True)
    assert not stack.has_kept_data(parts.root)
    for _ in range(2):
        stack.set_disposable(parts.root, False)
        assert stack.has_kept_data(parts.root)


def test_ctrl_c_does_not_end_the_stopping_halfway(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: list[Any] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    monkeypatch.setattr(
        stack, "_recorded", lambda of: handlers.append([signal.getsignal(each) for each in numbers]) or {}
    )
    before = [signal.getsignal(each) for each in numbers]
    parts.directory.mkdir()
    stack.down(parts.root)
    assert handlers == [[signal.SIG_IGN] * 2] and [signal.getsignal(each) for each in numbers] == before
    thread = threading.Thread(target=stack.down, args=(parts.root,))
    thread.start()
    thread.join()
    assert handlers[1:] == [before], "another thread is sent no signals"
    changed: list[Any] = []
    monkeypatch.setattr(stack.signal, "signal", lambda number, handler: changed.append((number, handler)))
    stack.down(parts.root)
    assert changed[2:] == [(number, signal.SIG_DFL) for number in numbers], "one that was not set by Python"
