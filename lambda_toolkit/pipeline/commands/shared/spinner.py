"""The last line of a terminal while something is awaited: a spinner, erased for each other line and at the end."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_FRAMES = "|/-\\"  # ASCII: a terminal may have another encoding than UTF-8
_SECONDS = 0.1
_ERASE = "\r\x1b[2K"


class Spinner:
    """A line on ``terminal`` that turns until :meth:`stop`. Other lines are written in :meth:`aside`."""

    def __init__(self, text: str, terminal: TextIO) -> None:
        self._text, self._terminal = text, terminal
        self._lock, self._end = threading.RLock(), threading.Event()
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Erase the line."""
        self._end.set()
        self._thread.join()
        self._write(_ERASE)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The line is erased meanwhile, and nothing draws it."""
        with self._lock:
            self._write(_ERASE)
            yield

    def _turn(self) -> None:
        for frame in itertools.cycle(_FRAMES):
            width = shutil.get_terminal_size().columns - 1  # a longer line would continue in the next, and stay there
            self._write(f"{_ERASE}{f'{frame} {self._text}'[:width]}")
            if self._end.wait(_SECONDS):
                return

    def _write(self, text: str) -> None:
        with self._lock:
            self._terminal.write(text)
            self._terminal.flush()


def is_terminal(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that can erase a line."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
