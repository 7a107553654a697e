"""The processes beside the emulator run until they are asked to end, or until it has ended."""

from __future__ import annotations

import http.client
import runpy
import signal
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGINT, SIGTERM
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.local_stack import process
from lambda_toolkit.pipeline.local_stack.alerting import alarm_evaluator, slack_receiver
from lambda_toolkit.pipeline.local_stack.description import Stack, write_stack
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.process import Identity, free_port

MANY = 100  # looks after which a process that does not end is ended
EMULATOR, OTHER = Identity(7, 8.0), Identity(9, 10.0)
DATABASE = Database("127.0.0.1", 1, "d", "u", "p")


class Running:
    """A stack whose emulator is alive for so many looks, and what asks the process to end."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
        self.looks = looks
        self.asked: dict[int, Callable[..., None]] = {}
        self.during: Callable[[], None] = lambda: None
        self.port = free_port()
        boto3 = ModuleType("boto3")
        vars(boto3)["Session"] = lambda **keys: SimpleNamespace(client=lambda name, **of: (name, keys, of))
        monkeypatch.setitem(sys.modules, "boto3", boto3)
        for module in (alarm_evaluator, slack_receiver):
            monkeypatch.setattr(module, "signal", self.asked.__setitem__)
        monkeypatch.setattr(process, "is_alive", self._is_alive)
        (root / ".local").mkdir()
        write_stack(
            Stack(
                root, "http://127.0.0.1:1", "eu-west-2", "0" * 12, "AKIA", "s3cret", DATABASE, DATABASE, DATABASE,
                {"emulator": EMULATOR, "postgres": OTHER},
                slack_url=f"http://127.0.0.1:{self.port}/services/s3cret",
            )
        )  # fmt: skip
        self.file = root / ".local" / "stack.json"

    def _is_alive(self, found: Identity) -> bool:
        assert found == EMULATOR
        self.looks -= 1
        self.during()
        return self.looks >= 0


@pytest.mark.parametrize(("looks", "ends", "ticks"), [(0, None, 0), (3, None, 3), (9, SIGTERM, 1), (9, SIGINT, 1)])
def test_evaluator_ticks_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], looks: int, ends: int | None,
    ticks: int,
) -> None:  # fmt: skip
    """A tick that fails is logged, and the next one makes up for it."""
    running = Running(tmp_path, monkeypatch, looks)
    monkeypatch.setattr(alarm_evaluator, "TICK", 0.0)
    clock = iter([*range(100, 100 + MANY)])
    monkeypatch.setattr(alarm_evaluator, "time", lambda: next(clock, None) or sys.exit("it does not end"))
    made: list[Any] = []
    ticked: list[float] = []

    class Evaluator:
        def __init__(self, *clients: Any, since: float) -> None:
            made.append((*clients, since))

        def tick(self, now: float) -> None:
            ticked.append(now)
            if ends:
                running.asked[ends](ends, None)
            raise ConnectionError(f"tick {len(ticked)}")

    monkeypatch.setattr(alarm_evaluator, "AlarmEvaluator", Evaluator)
    alarm_evaluator.run(running.file)
    keys = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "s3cret", "region_name": "eu-west-2"}
    there = {"endpoint_url": "http://127.0.0.1:1"}
    assert made == [(("cloudwatch", keys, there), ("logs", keys, there), 100)]
    assert ticked == [101, 102, 103][:ticks]
    shown = capsys.readouterr()
    assert shown.out == "The alarm evaluator is ready\n"
    assert [line for line in shown.err.splitlines() if line.startswith("ConnectionError")] == [
        f"ConnectionError: tick {number + 1}" for number in range(ticks)
    ]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Thread]]:
    """The threads of the receiver, which looks for its end all the time instead of each second."""
    made: list[threading.Thread] = []

    class Event(threading.Event):
        looks = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.looks += 1
            assert self.looks < MANY
            return super().wait(0)

    def thread(**of: Any) -> threading.Thread:
        made.append(threading.Thread(**of))
        return made[-1]

    serve = slack_receiver.ThreadingHTTPServer.serve_forever
    monkeypatch.setattr(slack_receiver.ThreadingHTTPServer, "serve_forever", lambda server: serve(server, 0.01))
    monkeypatch.setattr(slack_receiver, "threading", SimpleNamespace(Event=Event, Thread=thread))
    yield made
    for each in made:
        each.join(10)


@pytest.mark.parametrize(("looks", "ends", "served"), [(1, None, 2), (9, SIGTERM, 1), (9, SIGINT, 1)])
def test_receiver_serves_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    threads: list[threading.Thread], looks: int, ends: int | None, served: int,
) -> None:  # fmt: skip
    running = Running(tmp_path, monkeypatch, looks)
    answers: list[int] = []

    def post() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        connection.request("POST", "/services/s3cret", '{"text": "a"}')
        answers.append(connection.getresponse().status)
        connection.close()
        if ends:
            running.asked[ends](ends, None)

    running.during = post
    slack_receiver.run(running.file)
    assert answers == [200] * served
    assert [each.payload for each in slack_receiver.read(tmp_path / ".local" / "slack-sink")] == [
        {"text": "a"}
    ] * served
    assert capsys.readouterr().out == "The webhook is ready\n"
    [serving] = threads
    serving.join(10)
    assert serving.daemon and not serving.is_alive(), "it does not serve any more"


@pytest.mark.parametrize(
    ("part", "says"),
    [(alarm_evaluator, "The alarm evaluator is ready\n"), (slack_receiver, "The webhook is ready\n")],
)
def test_module_is_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], part: ModuleType, says: str
) -> None:
    running = Running(tmp_path, monkeypatch, 0)
    monkeypatch.setattr(signal, "signal", lambda *of: None)
    wait = threading.Event.wait
    monkeypatch.setattr(threading.Event, "wait", lambda event, timeout=None: wait(event, timeout and 0))
    monkeypatch.setattr(socketserver.BaseServer, "serve_forever", lambda server: None)
    monkeypatch.setattr(socketserver.BaseServer, "shutdown", lambda server: server.server_close())
    monkeypatch.setattr(sys, "argv", ["part", str(running.file)])
    for name in (part.__name__, "__main__"):
        assert capsys.readouterr().out == "", "it is only imported"
        runpy.run_path(str(part.__file__), run_name=name)
    assert capsys.readouterr().out == says
