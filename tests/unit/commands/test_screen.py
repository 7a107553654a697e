"""What a terminal shows in the end: a spinner leaves nothing behind."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import threading

import pytest

from lambda_toolkit.pipeline.commands.shared.screen import Screen

PROGRAM = """
import time
from lambda_toolkit.pipeline.commands.shared.screen import Screen
screen = Screen()
for each in range(2):
    with screen.waiting("Waiting " + "for very long " * 20):
        time.sleep(0.15)
        screen.progress(f"progress {each}")
        with screen.waiting("Waiting inside"):
            time.sleep(0.25)
            screen.say(f"result {each}")
        time.sleep(0.15)
    screen.say(f"after {each}")
    try:
        with screen.waiting("Waiting for a failure"):
            raise ValueError
    except ValueError:
        screen.error(f"failed {each}")
"""
LINES = [
    line
    for each in (0, 1)
    for line in (f"progress {each}", "Waiting inside", f"result {each}", f"after {each}", f"Error: failed {each}")
]


def lines_left(written: str) -> list[str]:
    """The lines that a terminal of 40 columns shows after ``written``, with its colors removed."""
    shown, line = [], ""
    for part in re.split(r"(\r\n|\r|\x1b\[2K)", re.sub(r"\x1b\[[0-9;]*m", "", written)):
        if part == "\r\n":
            shown.append(line)
            line = ""
        elif part == "\x1b[2K":
            line = ""
        elif part != "\r":
            line += part
            assert len(line) < 40 or not line.startswith(("|", "/", "-", "\\")), "it would continue in the next line"
    return [*shown, line] if line else shown


def on_terminal(term: str) -> str:
    """What the program writes to a terminal of 40 columns."""
    outer, inner = pty.openpty()
    environ = {**os.environ, "TERM": term, "COLUMNS": "40"}
    written: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(outer, 4096):
                written.append(chunk)
        except OSError:
            pass  # how Linux says that the other end is closed

    reader = threading.Thread(target=read)
    reader.start()
    subprocess.run([sys.executable, "-c", PROGRAM], stdin=inner, stdout=inner, stderr=inner, env=environ, check=True)
    os.close(inner)
    reader.join()
    os.close(outer)
    return b"".join(written).decode()


def test_spinner_leaves_the_lines_alone() -> None:
    written = on_terminal("xterm")
    assert "| Waiting for very long" in written, "there was one"
    assert lines_left(written) == LINES


@pytest.mark.parametrize("kind", ["pipe", "dumb"])
def test_no_spinner_where_a_line_cannot_be_erased(kind: str) -> None:
    """A pipe gets no escape sequence at all."""
    if kind == "dumb":
        written = on_terminal("dumb")
        assert "\x1b[2K" not in written
    else:
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
        assert "\x1b" not in done.stdout + done.stderr and "\r" not in done.stdout + done.stderr
        written = done.stderr
    assert written.count("Waiting for a failure") == 2


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_table_fits_the_terminal_and_its_cells_are_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The header is bold; numbers are not colored, and what is in brackets is no style."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    Screen().table("t", ["name"], [["[red]12"], ["x" * 60]])
    shown = terminal.getvalue()
    assert set(re.findall(r"\x1b\[[0-9;]*m", shown.partition("\n")[2])) == {"\x1b[1m", "\x1b[0m"}
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert lines[4].split("│")[1].strip() == "[red]12"
    assert max(map(len, lines)) == 40
