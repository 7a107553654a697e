"""Files that are saved are noticed, and each save is followed by one call, however many were made meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from lambda_toolkit.running.watching import files_of, snapshot, watch
from lambda_toolkit.spec.model import FunctionSpec
from tests.support.function_sources import write
from tests.support.repository import REPOSITORY


def test_saves_during_a_call_end_in_one_more(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "1", "sub/b.py": "1", "sub/__pycache__/x.pyc": "1"})
    ended, calls = threading.Event(), []

    def act(changed: frozenset[str]) -> None:
        calls.append(sorted(os.path.relpath(path, tmp_path) for path in changed))
        if len(calls) == 1:
            write(tmp_path, {"a.py": "12"})
            write(tmp_path, {"a.py": "123", "new.py": ""})
            write(tmp_path, {"sub/__pycache__/x.pyc": "22", ".hidden": "x"})
        elif len(calls) == 2:
            (tmp_path / "sub" / "b.py").unlink()
        elif len(calls) == 3:
            threading.Timer(0.35, ended.set).start()

    late = threading.Timer(20, ended.set)  # a save that is not seen is a failure, not a wait
    late.start()
    watch(lambda: [tmp_path], act, ended)
    late.cancel()
    assert calls == [[], ["a.py", "new.py"], ["sub/b.py"]]


def test_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    """An editor writes in steps, here one at each look: what is deployed is the whole."""
    file, ended, seen = tmp_path / "a.py", threading.Event(), []
    steps: list[str] = []

    def places() -> list[Path]:
        if steps:
            file.write_text(file.read_text() + steps.pop(0))
        return [tmp_path]

    def act(changed: frozenset[str]) -> None:
        if changed:
            seen.append(file.read_text())
            ended.set()
        else:
            steps.extend("abcde")

    file.write_text("")
    watch(places, act, ended)
    assert seen == ["abcde"]


def test_files_are_known_by_time_and_size(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "1", "tests/t.py": "1", "b.txt": "1"})
    extra = {"x.json": tmp_path / "b.txt", "y.json": b"{}"}
    places = files_of(FunctionSpec("f", tmp_path / "a.py", include=(tmp_path / "none",), extra_files=extra))
    before = snapshot(places)
    assert {Path(path).name for path in before} == {"a.py", "b.txt"}, "what is not there is no error"
    os.utime(tmp_path / "a.py", ns=(1, 1))
    assert snapshot(places) != before
    assert {Path(path).name for path in snapshot([tmp_path])} == {"a.py", "b.txt"}, "tests are not packaged"


def test_ctrl_c_ends_a_watch_and_what_is_broken_does_not(tmp_path: Path) -> None:
    """A script that fails is said in one line, with its place; the next save is tried again."""
    write(tmp_path, {"app.py": "from lambda_script import Lambda_script\n1 / 0\n"})
    command = [sys.executable, str(REPOSITORY / "deploy.py"), "watch", "app.py", "--no-logs"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()[10:] == "not deployed: app.py, line 2: ZeroDivisionError: division by zero\n"
        write(tmp_path, {"app.py": "from lambda_script import Lambda_script\nLambda_script('f.py', memmory=1)\n"})
        assert process.stdout.readline()[10:] == (
            "app.py: not deployed: Lambda_script has no argument `memmory`. Did you mean `memory`?\n"
        )
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, said) == (130, "Stopped watching. What is deployed stays.\n")
