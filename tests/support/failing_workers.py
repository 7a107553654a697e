"""Readers and workers that die after they have done what was asked of them, and before they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def fails(times: int) -> Callable[[Any, Callable[[Any], Any]], Any]:
    """In place of a reader or a worker: the first ``times`` requests are done, and get no answer."""
    died: list[int] = []

    def change(request: Any, really: Callable[[Any], Any]) -> Any:
        found = really(request)
        if len(died) < times:
            died.append(request.number)
            raise ConnectionResetError("no answer")
        return found

    return change
