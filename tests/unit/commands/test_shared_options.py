"""What all commands share: the target that they say, how they end, and what is said of each kind of error."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoRegionError
from pg8000.exceptions import DatabaseError, InterfaceError

import lambda_script
from lambda_script import AwsError
from lambda_toolkit.changes import Change, Plan
from lambda_toolkit.pipeline.access import packing, statements
from lambda_toolkit.pipeline.commands import cost, deploy, invoke, status, watch
from lambda_toolkit.pipeline.commands.local.business_day import ArrivalWatch
from lambda_toolkit.pipeline.commands.local.source_url import external_source
from lambda_toolkit.pipeline.commands.shared import options
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.independent_check import Check

CONFIG = Path("config/pipeline.toml")
DENIED = ClientError({"Error": {"Code": "Denied", "Message": "no"}}, "GetFunction")
SPACE = "Free some space, and repeat the command."
FOLDER = "Run this in a folder that you may write to."


def refused(number: int, *file: str) -> OSError:
    return OSError(number, os.strerror(number), *file)


EXPECTED: list[tuple[Exception, str, int]] = [
    (CommandError("no."), "no.", 1),
    (UsageError("no."), "no.", 2),
    (PipelineError("no."), "no.", 1),
    (LocalError("no."), "no.", 1),
    (AwsError("no."), "no.", 1),
    (DENIED, str(DENIED), 1),
    (NoRegionError(), "You must specify a region.", 1),
    (refused(errno.EACCES, "/f"), f"/f: Permission denied. {FOLDER}", 1),
    (refused(errno.EPERM, "/f"), f"/f: Operation not permitted. {FOLDER}", 1),
    (refused(errno.EROFS), f"Read-only file system. {FOLDER}", 1),
    (refused(errno.ENOSPC, "/f"), f"/f: No space left on device. {SPACE}", 1),
    (refused(errno.EDQUOT, "/f"), f"/f: Disk quota exceeded. {SPACE}", 1),
]


@pytest.mark.parametrize(("error", "says", "code"), EXPECTED, ids=lambda value: str(value)[:20])
def test_expected_error_is_a_message_and_a_code(capsys: Any, error: Exception, says: str, code: int) -> None:
    def body() -> int:
        raise error

    assert options._exit_code(Screen(), CONFIG, body) == code
    assert capsys.readouterr().err == f"Error: {says}\n"
    assert options.explained(error, CONFIG) == says, "as the dashboard shows it"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (DatabaseError({"M": "no such table", "C": "42P01"}), "no such table"),
        (InterfaceError("closed"), "The database does not answer: closed"),
        (refused(errno.ECONNREFUSED), "[Errno 111] Connection refused"),
        (ZeroDivisionError("x"), "This is a defect of the program, which its terminal describes: ZeroDivisionError."),
    ],
)
def test_other_errors_end_a_command_and_no_dashboard(error: Exception, says: str) -> None:
    def body() -> int:
        raise error

    assert options.explained(error, CONFIG) == says
    with pytest.raises(type(error)):
        options._exit_code(Screen(), CONFIG, body)


@pytest.mark.parametrize(
    ("is_local", "stage", "says"), [(True, None, True), (True, "local", False), (False, None, False)]
)
def test_stack_that_was_not_asked_for_is_named(
    monkeypatch: Any, capsys: Any, is_local: bool, stage: Any, says: bool
) -> None:
    found: Any = SimpleNamespace(is_local=is_local)
    monkeypatch.setattr(options, "choose", lambda *of: found if of == (CONFIG, stage, os.environ) else None)
    assert options.Request(CONFIG, stage, Screen()).target() is found
    assert capsys.readouterr().err.startswith("Target: the local stack, which is up.") is says


def call(body: Callable[[Any], int | None]) -> Any:
    """The exit code. An interruption that is not handled would end the tests."""
    try:
        options.with_request(body)(stage=None, config=CONFIG, as_json=False)
    except SystemExit as end:
        return end.code
    except KeyboardInterrupt:
        return "interrupted"


def test_request_to_end_is_an_interruption(capsys: Any) -> None:
    """SIGTERM ends a command as Ctrl-C does, so that nothing is left running."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert call(lambda request: signal.raise_signal(signal.SIGTERM)) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err == "Error: Stopped.\n"


@pytest.mark.parametrize(
    ("name", "code", "leaves"),
    [("read_0", 130, True), ("reader", 130, False), ("a_read_0", 130, False), ("read_0", 0, False)],
)
def test_reads_that_hang_hold_up_no_interruption(monkeypatch: Any, name: str, code: int, leaves: bool) -> None:
    """The process ends without waiting for them; nothing that was printed is lost."""
    ended: list[Any] = []
    printed = {stream: io.TextIOWrapper(io.BytesIO()) for stream in ("stdout", "stderr")}
    for stream, file in printed.items():
        monkeypatch.setattr(sys, stream, file)
    written = lambda: [file.buffer.getvalue() for file in printed.values()]  # type: ignore[attr-defined]  # noqa: E731
    monkeypatch.setattr(os, "_exit", lambda number: ended.append((number, written())))
    goes_on = threading.Event()
    thread = threading.Thread(target=goes_on.wait, name=name, daemon=True)
    thread.start()

    def body(request: Any) -> int:
        if code:
            raise KeyboardInterrupt
        return 0

    monkeypatch.setattr(options.Screen, "error", lambda self, text: [file.write(text) for file in printed.values()])
    try:
        assert call(body) == code
    finally:
        goes_on.set()
        thread.join()
    assert ended == ([(130, [b"Stopped."] * 2)] if leaves else [])


def broken(*_: Any, **named: Any) -> Any:
    raise ZeroDivisionError


def arrives_once(watch: ArrivalWatch, after: int) -> int:
    return after + 1 if after == 0 else broken()


TARGET: Any = SimpleNamespace(aws=lambda: None, pipeline=load(DEFAULT_PATH), is_local=False)
PLANNED: Any = SimpleNamespace(plan=lambda *_: Plan((Change("role", "a", "update", (), apply=broken),)))  # type: ignore[arg-type]
ENDED: Any = SimpleNamespace(is_set=iter([False, True]).__next__, wait=print)
WATCHED: Any = SimpleNamespace(read=broken, log_groups=broken)
URL = "postgresql://me:s3cret@127.0.0.1/shop"
DEFECTS: list[tuple[Any, str, Any, Callable[[], object]]] = [
    (packing, "base64", SimpleNamespace(b64decode=broken), lambda: packing.unpack("e30=", "it")),
    (packing, "json", SimpleNamespace(loads=broken), lambda: packing.decompressed(zlib.compress(b"{}"), "it")),
    (statements, "_query", broken, lambda: statements.tables(*[None] * 4)),  # type: ignore[arg-type]
    (cost, "workload", broken, lambda: cost._measured(TARGET)),
    (status, "month_so_far", broken, lambda: status._cost(TARGET, None)),
    (status, "EVERYTHING", SimpleNamespace(plan=broken), lambda: status._drift(TARGET, None)),
    (status, "_show", broken, lambda: status._again(Screen(), WATCHED)),
    (watch, "_say", print, lambda: watch._deploy(Screen(), WATCHED, [])),
    (watch, "_say", print, lambda: watch._show_log(Screen(), WATCHED, ENDED)),
    (lambda_script, "apply", broken, lambda: deploy.apply(Screen(), TARGET, (), PLANNED)),
    (invoke, "json", SimpleNamespace(loads=broken), lambda: invoke._event("{}")),
    (Path, "read_text", broken, lambda: invoke._event("event.json")),
    (postgres, "connected", broken, lambda: external_source(URL, None)),
    (ArrivalWatch, "await_arrival", arrives_once, lambda: WATCH.check_until_agreed(lambda: Check((), ("x",)), 0)),
]
WATCH = ArrivalWatch(None, None, Screen())  # type: ignore[arg-type]


@pytest.mark.parametrize(("place", "name", "value", "act"), DEFECTS)
def test_defect_is_no_failure_that_is_expected(monkeypatch, capsys, place, name, value, act) -> None:
    """What handles expected errors lets those of the program through, and says nothing of them."""
    monkeypatch.setattr(place, name, value)
    with pytest.raises(ZeroDivisionError):
        act()
    assert "Interrupted" not in capsys.readouterr().err


def test_deploy_that_is_interrupted_says_what_stays(monkeypatch, capsys) -> None:
    def interrupted(*_: Any, **named: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(lambda_script, "apply", interrupted)
    with pytest.raises(KeyboardInterrupt):
        deploy.apply(Screen(), TARGET, (), PLANNED)
    assert "Interrupted: completed changes stay" in capsys.readouterr().err
