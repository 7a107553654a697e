"""What a script shows on a terminal without being asked: the progress of a deploy, and mistakes without a traceback."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection
from functools import wraps
from types import TracebackType
from typing import ParamSpec, TypeVar

from lambda_toolkit.changes import Plan, Progress
from lambda_toolkit.errors import ToolkitError

P = ParamSpec("P")
T = TypeVar("T")
_SIGNS = {"create": "+", "update": "~", "delete": "-"}
ShowProgress = Callable[[Progress], None]


def shown_on_terminal(plan: Plan) -> ShowProgress | None:
    """Show the notes of ``plan`` on stderr where that is a terminal, and return what shows its progress there.

    ``None`` where stderr is no terminal: logs of CI, or of another program, are not this module's.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    for note in plan.notes:
        print(f"Note: {note}.", file=sys.stderr)
    if not plan:
        print("Nothing changed.", file=sys.stderr)
    return _show


def _show(progress: Progress) -> None:
    change = progress.change
    if progress.state == "started":
        return
    sign = _SIGNS[change.action] if progress.state == "done" else "!"
    reason = f": {progress.message}" if progress.message else ""
    print(f"[{progress.finished}/{progress.total}] {sign} {change.kind} {change.name}{reason}", file=sys.stderr)


def explain_mistakes() -> None:
    """Have this program end with the message of a ToolkitError that it does not catch, in place of a traceback.

    Exit code 1 stays. Nothing changes in an interactive Python, and where the program has a hook of its own.
    """
    if sys.excepthook is sys.__excepthook__ and not hasattr(sys, "ps1"):
        sys.excepthook = _hook


def names_checked(beside: Collection[str]) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Have a constructor raise LimitError for an argument that does not exist, and programs show it without traceback.

    Python's own TypeError would come first, and says nothing of the argument that was meant. ``beside`` are its
    arguments that are none of a function.
    """

    def decorate(constructor: Callable[P, None]) -> Callable[P, None]:
        @wraps(constructor)
        def checked(*args: P.args, **arguments: P.kwargs) -> None:
            from lambda_toolkit.spec.declaration.argument_types import check_names  # the command line has no use for it

            explain_mistakes()
            check_names(arguments, beside)
            constructor(*args, **arguments)

        return checked

    return decorate


def shown_as_init(cls: type[T]) -> type[T]:
    """Let help() and inspect.signature() show the parameters of ``__init__``, although there is a ``__new__``."""
    whole = inspect.signature(cls.__init__)
    own = whole.replace(parameters=list(whole.parameters.values())[1:])
    setattr(cls, "__signature__", own)  # noqa: B010  # a class is not known to have one
    return cls


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, ToolkitError):
        print(f"Error: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
