"""Whether time remains for one more batch, by a clock that the test controls."""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace

from lambda_toolkit.pipeline.lambdas.shared.deadline import Deadline, seconds_left


def batches_begun(deadline: Deadline, clock: list[float], *takes: float) -> int:
    """How many batches are begun, where each takes so many seconds as ``takes`` says."""
    for number, seconds in enumerate(takes):
        if not deadline.has_time_for_next():
            return number
        clock[0] -= seconds
    return len(takes)


def test_batch_begins_while_the_longest_so_far_would_fit() -> None:
    """A batch is begun while the longest so far would fit again."""
    for left, begun in ((170.0, 1), (171.0, 2), (181.0, 3)):  # after 60 s, more than 20 + 1.5 * 60 s must be left
        clock = [left]
        deadline = Deadline(partial(clock.__getitem__, 0), reserve=20, safety_factor=1.5)
        assert batches_begun(deadline, clock, 60, 10, 60, 60) == begun


def test_first_batch_needs_the_reserve_unless_always_begun() -> None:
    """The first batch needs the reserve unless it is always begun."""
    assert not Deadline(lambda: 59.0).has_time_for_next()
    assert Deadline(lambda: 60.0).has_time_for_next()
    eager = Deadline(lambda: 1.0, first_always=True)
    assert [eager.has_time_for_next(), eager.has_time_for_next()] == [True, False]


def test_a_deadline_is_near_when_only_the_reserve_is_left() -> None:
    assert Deadline(lambda: 59.0).is_near
    assert not Deadline(lambda: 60.0).is_near
    assert Deadline(lambda: 121.0).has(120.0)
    assert not Deadline(lambda: 120.0).has(120.0)


def test_the_clock_is_that_of_the_invocation() -> None:
    assert seconds_left(SimpleNamespace(get_remaining_time_in_millis=lambda: 1500))() == 1.5
    assert seconds_left(None)() == math.inf
