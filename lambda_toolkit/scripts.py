"""Deploy scripts: what a script declares is found by running it, with its deploys left undone."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from lambda_toolkit.errors import ToolkitError

_declared: ContextVar[list[Any] | None] = ContextVar("what the running script declares", default=None)


class ScriptEndedError(ToolkitError):
    """A script asked for what only a deployed function has, while its declarations were collected."""


def declare(script: Any) -> None:
    """Note that a ``Lambda_script`` was made."""
    declared = _declared.get()
    if declared is not None:
        declared.append(script)


def only_declares() -> bool:
    """Whether a script runs for what it declares: nothing of AWS is then read or written."""
    return _declared.get() is not None


def end_script() -> None:
    """Raise ScriptEndedError where a script runs for what it declares: the next call would need AWS."""
    if only_declares():
        raise ScriptEndedError


def declarations(script: Path, arguments: Sequence[str] = ()) -> list[Any]:
    """Each ``Lambda_script`` that ``script`` makes when it is run with ``arguments``. It deploys nothing meanwhile.

    Raises ToolkitError where the script fails, or makes none.
    """
    import io  # imported on use: a script of its own needs none of them
    import runpy

    found: list[Any] = []
    token = _declared.set(found)
    printed = io.StringIO()
    try:
        with _as_program(script, arguments), redirect_stdout(printed):
            runpy.run_path(str(script), run_name="__main__")
    except ScriptEndedError:
        pass
    except SystemExit as ended:
        if not found:
            raise ToolkitError(f"{script} ended before it declared a function: {ended.code}") from ended
    except ToolkitError:
        raise
    except Exception as error:
        raise ToolkitError(f"{_place(script, error)}{type(error).__name__}: {error}") from error
    finally:
        _declared.reset(token)
    if not found:
        raise ToolkitError(f"{script} declares no function: it makes no Lambda_script.")
    return found


@contextmanager
def _as_program(script: Path, arguments: Sequence[str]) -> Iterator[None]:
    """``sys.argv`` and ``sys.path`` as Python sets them; modules beside the script are imported again next time."""
    argv, path, before = sys.argv, list(sys.path), set(sys.modules)
    folder = str(script.resolve().parent)
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.argv, sys.path = argv, path
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(f"{folder}/"):
                del sys.modules[name]


def _place(script: Path, error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: "
    import traceback

    frames = [each for each in traceback.extract_tb(error.__traceback__) if Path(each.filename) == script]
    return f"{script}, line {frames[-1].lineno}: " if frames else f"{script}: "
