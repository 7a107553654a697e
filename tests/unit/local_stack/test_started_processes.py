"""What the emulator and the processes beside it see when they are started, and when a start counts as done."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from lambda_toolkit.pipeline.local_stack.alerting import side_processes
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator, emulator_environment, emulator_gate
from lambda_toolkit.pipeline.local_stack.aws_emulator.emulator import Credentials, Emulator
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server
from lambda_toolkit.pipeline.local_stack.process import Identity, free_port, is_alive, wait_until

ROOT = Path(__file__).parents[3]
KEYS = Credentials("AKIA", "s3cret")
ME = Identity(1, 2.0)
SEEING = """
import json, os, sys
print(json.dumps({
    "words": sys.argv[1:], "isolated": sys.flags.isolated, "environ": dict(os.environ), "folder": os.getcwd(),
    "umask": os.umask(0), "leads": os.getsid(0) == os.getpid(), "typed": sys.stdin.read(),
}), flush=True)
print("an error", file=sys.stderr)
"""


@pytest.fixture
def seeing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program that writes what it sees, started by a command that has input and variables of its own."""
    program, typed = tmp_path / "seeing.py", tmp_path / "typed"
    program.write_text(SEEING, encoding="utf-8")
    typed.write_text("typed by a person", encoding="utf-8")
    monkeypatch.setenv("PGPASSWORD", "of another")
    own = os.dup(0)
    with typed.open("rb") as file:
        os.dup2(file.fileno(), 0)
    yield program
    os.dup2(own, 0)
    os.close(own)


def seen(start: Callable[[], Identity], log: Path) -> dict[str, Any]:
    """What a process wrote to its log. Starting it leaves nothing that complains that it is still running."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        process = start()
    assert wait_until(lambda: not is_alive(process), 20) and warned == []
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    found, error = log.read_text(encoding="utf-8").splitlines()
    assert error == "an error"
    return {**json.loads(found), "pid": process.pid}


ALIKE = {"umask": 0o077, "leads": True, "typed": ""}


def test_emulator_sees_its_own_environment_alone(seeing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python, directory, log = Path(sys.executable), tmp_path / "new" / "emulator", tmp_path / "emulator.log"
    monkeypatch.setattr(emulator, "LAUNCHER", seeing)
    asked: list[Any] = []
    monkeypatch.setattr(emulator_environment, "interpreter", lambda *of: asked.append(of) or python)

    def start() -> Identity:
        started = emulator.launch(
            directory,
            credentials=KEYS,
            region="eu-west-2",
            mail_sink=tmp_path / "mails",
            log=log,
            port=4566,
            on_progress=print,
            also=("more",),
        )
        assert (started.endpoint_url, started.credentials) == ("http://127.0.0.1:4566", KEYS)
        return started.process

    for _ in range(2):
        found = seen(start, log)
    assert asked == [(tmp_path / "new" / "cache", print, ("more",))] * 2
    assert ALIKE.items() <= found.items()
    assert (found["folder"], found["isolated"]) == (str(directory), 1)
    assert found["words"] == [f"--clock-speed-file={directory / 'clock-speed'}", f"--mail-sink={tmp_path / 'mails'}"]
    assert found["environ"] == {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "HOME": f"{directory}/home",
        "TMPDIR": f"{directory}/tmp",
        "STATE_DIR": f"{directory}/state",
        "S3_DATA_DIR": f"{directory}/s3",
        "DOCKER_HOST": f"unix://{directory}/no-docker.sock",
        **dict.fromkeys(("BIND_HOST", "MINISTACK_HOST"), "127.0.0.1"),
        **dict.fromkeys(("MINISTACK_REGION", "AWS_DEFAULT_REGION"), "eu-west-2"),
        **dict.fromkeys(("PYTHONNOUSERSITE", "PYTHONUNBUFFERED", "PERSIST_STATE", "S3_PERSIST"), "1"),
        **dict.fromkeys(("IOT_MTLS_ENABLED", "SFTP_ENABLED"), "0"),
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "AUTH": "true",
        "LAMBDA_EXECUTOR": "local",
        "GATEWAY_PORT": "4566",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "MINISTACK_ACCOUNT_ID": "0" * 12,
    }
    assert {path.name for path in directory.iterdir()} == {"s3", "state", "tmp", "home", "unsaved"}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700, "it keeps secrets"
    assert emulator.lost_memory(directory), "until it has ended as it was asked to"


@pytest.mark.parametrize("path", [None, "/from/a/checkout"])
@pytest.mark.parametrize(
    ("part", "log"), [("alarm_evaluator", "alarm-evaluator.log"), ("slack_receiver", "slack-receiver.log")]
)
def test_side_process_sees_where_its_code_is_and_no_more(
    seeing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None, part: str, log: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{seeing}" "$@"\n', encoding="utf-8")
    python.chmod(0o700)
    monkeypatch.setattr(side_processes.sys, "executable", str(python))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if path:
        monkeypatch.setenv("PYTHONPATH", path)
    found = seen(lambda: side_processes.launch(part, tmp_path), tmp_path / log)
    assert ALIKE.items() <= found.items()
    assert found["folder"] == str(ROOT), "or it would not find itself in a checkout"
    module = f"lambda_toolkit.pipeline.local_stack.alerting.{part}"
    assert found["words"] == ["-m", module, str(tmp_path / "stack.json")]
    environ = {name: value for name, value in found["environ"].items() if name not in ("LC_CTYPE", "PWD")}
    assert environ == {"PATH": os.environ["PATH"]} | ({"PYTHONPATH": path} if path else {})


def test_server_sees_nothing_of_the_caller(seeing: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "postgres"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{seeing}" "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    log = tmp_path / "postgres.log"
    settings = {"port": "5433", "fsync": "off"}
    found = seen(lambda: postgres_server._launch(tmp_path, program.parent, None, settings), log)
    assert (found["folder"], found["leads"], found["typed"]) == ("/", True, ""), "Ctrl-C is for the command"
    assert found["words"] == ["-D", str(tmp_path / "data"), "-c", "port=5433", "-c", "fsync=off"]
    environ = {name: value for name, value in found["environ"].items() if name not in ("LC_CTYPE", "PWD")}
    assert environ == {"PATH": "/usr/bin:/bin", "LANG": "C", "TZ": "UTC"}
    before = log.read_bytes()
    postgres_server.stop_process(postgres_server._launch(tmp_path, program.parent, None, {}))
    assert log.read_bytes().startswith(before), "the log goes on"


def test_process_that_ends_while_it_starts_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the end of its log. A start that takes too long is another sentence."""
    log = tmp_path / "alarm-evaluator.log"
    log.write_bytes(b"\n".join(b"line %d \xff" % number for number in range(10)))
    end = f"The end of {log}:\n" + "\n".join(f"    line {number} �" for number in range(2, 10))
    assert emulator.end_of(log) == end
    assert emulator.end_of(tmp_path / "none") == f"The end of {tmp_path / 'none'}:\n"
    alive, answers = [False], [False]
    for module in (emulator, side_processes):
        monkeypatch.setattr(module, "is_alive", lambda process: alive[0])
    monkeypatch.setattr(emulator, "_answers", lambda found: answers[0])
    monkeypatch.setattr(emulator, "START_TIMEOUT", 0.0)
    monkeypatch.setattr(side_processes, "TIMEOUT", 0.0)

    def waits() -> Iterator[str]:
        for wait in (
            lambda: emulator.await_ready(Emulator(1, ME, KEYS), log),
            lambda: side_processes.await_ready("alarm_evaluator", ME, tmp_path),
        ):
            try:
                wait()
                yield "ready"
            except LocalError as error:
                assert str(error).endswith(f". {emulator.end_of(log)}")
                yield str(error).partition(". The end")[0]

    assert [*waits()] == ["The emulator ended while starting", "The alarm evaluator ended while starting"]
    alive[0] = True
    late = ["The emulator did not answer within 0 s", "The alarm evaluator was not ready within 0 s"]
    assert [*waits()] == late
    answers[0] = True
    log.write_bytes(b"\xff\nThe alarm evaluator is ready\n")
    assert [*waits()] == ["ready", "ready"]
    (tmp_path / "slack-receiver.log").write_text("The webhook is ready", encoding="utf-8")
    side_processes.await_ready("slack_receiver", ME, tmp_path)


def test_process_that_is_not_there_after_its_start_is_reported(
    seeing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "LAUNCHER", seeing)
    monkeypatch.setattr(emulator_environment, "interpreter", lambda *of: Path("/bin/false"))
    monkeypatch.setattr(side_processes.sys, "executable", "/bin/false")
    for module in (emulator, side_processes, postgres_server):
        monkeypatch.setattr(module, "identify", lambda pid: None)
    with pytest.raises(LocalError, match=r"^The emulator ended as soon as it was started\. The end of "):
        emulator.launch(tmp_path / "e", credentials=KEYS, region="r", mail_sink=tmp_path, log=tmp_path / "log", port=1)
    with pytest.raises(LocalError, match=r"^The receiver of messages for Slack ended right after its start\. The end"):
        side_processes.launch("slack_receiver", tmp_path)
    (tmp_path / "postgres").symlink_to("/bin/false")
    with pytest.raises(LocalError, match=r"^PostgreSQL ended as soon as it was started\. The end of "):
        postgres_server._launch(tmp_path, tmp_path, None, {})


@pytest.mark.parametrize(
    ("members", "alive", "ends", "stopped", "saved"),
    [
        ([ME], True, True, True, True),
        ([ME], False, True, True, False),
        ([], False, False, False, False),
        ([], True, False, False, False),
    ],
)
def test_memory_counts_as_saved_after_an_end_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: list[Identity], alive: bool, ends: bool, stopped: bool,
    saved: bool,
) -> None:  # fmt: skip
    """An emulator that was killed before has saved nothing, whether workers of it are left or not."""
    calls: list[Any] = []
    monkeypatch.setattr(emulator, "group_of", lambda process: {ME: members}[process])
    monkeypatch.setattr(emulator, "is_alive", lambda process: {ME: alive}[process])
    monkeypatch.setattr(emulator, "stop_group", lambda *of: calls.append(of) or ends)
    for path in (tmp_path / "tmp" / "layers", tmp_path / "state"):
        path.mkdir(parents=True)
    (tmp_path / "unsaved").touch()
    assert emulator.stop(tmp_path, ME) is stopped
    assert calls == ([(ME, SIGTERM, 20.0)] if alive else []) + [(ME,)], "what a leader leaves is stopped, too"
    assert emulator.lost_memory(tmp_path) is not saved
    assert not (tmp_path / "tmp").exists() and (tmp_path / "state").is_dir()
    assert emulator.stop(tmp_path, ME) is stopped, "though nothing is left to remove"


@contextmanager
def listening(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A port that answers one request with these bytes, and the requests."""
    got: list[bytes] = []

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            got.append(connection.recv(10_000))
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], got
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "healthy"),
    [(b"HTTP/1.1 200 OK\r\n", True), (b"HTTP/1.1 403 Forbidden\r\n", False), (b"no HTTP\r\n", False), (b"", False)],
)
def test_emulator_is_healthy_for_its_administrator(answer: bytes, healthy: bool) -> None:
    with listening(answer and answer + b"Content-Length: 0\r\n\r\n") as (port, got):
        assert emulator._answers(Emulator(port, ME, KEYS)) is healthy
    method, path, _ = got[0].split(b"\r\n")[0].split(b" ")
    route, _, query = path.partition(b"?")
    headers = [(b"host", b"127.0.0.1:%d" % port)]
    request = emulator_gate.request_of(
        {"method": method.decode(), "path": route.decode(), "headers": headers, "query_string": query}
    )
    assert (request.method, request.path) == ("GET", "/_ministack/health")
    signature = emulator_gate.signature_of(request, datetime.now(UTC))
    emulator_gate.verify(request, signature, "s3cret", b"")
    assert signature.key == "AKIA"


def test_nothing_that_listens_is_not_healthy() -> None:
    assert emulator._answers(Emulator(free_port(), ME, KEYS)) is False


def test_speed_is_written_where_no_emulator_was(tmp_path: Path) -> None:
    for speed in (60, 0.5):
        emulator.set_clock_speed(tmp_path / "a" / "b", speed)
        [written] = (tmp_path / "a" / "b").iterdir()
        assert (written.name, written.read_text(encoding="utf-8")) == ("clock-speed", str(speed))
