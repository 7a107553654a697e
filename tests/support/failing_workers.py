"""Readers and workers that die before they answer, do a thing twice, or answer something else than they did."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

Change = Callable[[Any, Callable[[Any], Any]], Any]
"""What happens in place of a reader or a worker: of the request, and of what would answer it."""


def fails(times: int) -> Change:
    """In place of a reader or a worker: the first ``times`` requests are done, and get no answer."""
    died: list[int] = []

    def change(request: Any, really: Callable[[Any], Any]) -> Any:
        found = really(request)
        if len(died) < times:
            died.append(request.number)
            raise ConnectionResetError("no answer")
        return found

    return change


def twice(request: Any, really: Callable[[Any], Any]) -> Any:
    """Two of them do the same: the second answer counts."""
    first, again = really(request), really(request)
    assert first == again, "the same request is not the same twice"
    return again


def answers(**changed: Any) -> Change:
    """One that answers something else than it did."""
    return lambda request, really: dataclasses.replace(really(request), **changed)
