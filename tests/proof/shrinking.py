"""A failing history made short: as few steps as possible, each as plain as possible."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

from tests.proof.steps import History, Step


def shrink(history: History, fails: Callable[[History], bool], timeout: float = 300.0) -> list[Step]:
    """The shortest history found that still ``fails``, in ``timeout`` seconds or a little more.

    First it removes stretches, ever shorter ones; then it simplifies single steps.
    """
    best = list(history)
    end = time.monotonic() + timeout

    def better(candidate: Sequence[Step]) -> bool:
        nonlocal best
        if time.monotonic() > end or not fails(candidate):
            return False
        best = list(candidate)
        return True

    length = len(best) // 2
    while length:
        start = 0
        while start < len(best):
            if not better(best[:start] + best[start + length :]):
                start += length
        length //= 2
    changed = True
    while changed:
        changed = any(better(candidate) for candidate in _plainer(best)) or any(
            better(best[:place] + best[place + 1 :]) for place in range(len(best))
        )
    return best


def _plainer(history: Sequence[Step]) -> Iterator[list[Step]]:
    """The history with one field of one step put back to its default."""
    for place, step in enumerate(history):
        for field in dataclasses.fields(step):
            if field.default is not dataclasses.MISSING and getattr(step, field.name) != field.default:
                plainer = dataclasses.replace(step, **{field.name: field.default})
                yield [*history[:place], plainer, *history[place + 1 :]]


def written(history: History) -> str:
    """The history as Python, to be pasted into a test."""
    return "[\n" + "".join(f"    {_call(step)},\n" for step in history) + "]"


def _call(value: object) -> str:
    if not dataclasses.is_dataclass(value):
        return repr(value)
    given = [
        _call(getattr(value, field.name))
        if field.default is dataclasses.MISSING
        else f"{field.name}={_call(getattr(value, field.name))}"
        for field in dataclasses.fields(value)
        if field.default is dataclasses.MISSING or getattr(value, field.name) != field.default
    ]
    return f"{type(value).__name__}({', '.join(given)})"
