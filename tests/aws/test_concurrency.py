"""Reserved concurrency: set, changed by hand, removed; the plan says what it excludes."""

from __future__ import annotations

import pytest

from lambda_script import UNRESERVED


def reserved(client) -> int | None:
    found = client("lambda").get_function_concurrency(FunctionName="my-function")
    return found.get("ReservedConcurrentExecutions")


def test_concurrency_is_reserved_and_released(script, client) -> None:
    script(concurrency=1).deploy()
    assert reserved(client) == 1
    assert not script(concurrency=1).plan()
    assert not script().plan(), "undeclared: not managed"
    client("lambda").put_function_concurrency(FunctionName="my-function", ReservedConcurrentExecutions=5)
    [change] = script(concurrency=1).plan().changes
    assert [str(item) for item in change.differences] == ["concurrency: 5 -> 1"]
    script(concurrency=UNRESERVED).deploy()
    assert reserved(client) is None
    assert not script(concurrency=UNRESERVED).plan()


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "no invocation at all"), (1, "while 1 runs, another event"), (3, "while 3 run, another event")],
)
def test_plan_says_what_a_reservation_excludes(script, number, said) -> None:
    [change] = [item for item in script(concurrency=number).plan().changes if item.kind == "concurrency"]
    assert said in change.details[0]


def test_nothing_is_read_where_it_is_not_declared(script, recorder) -> None:
    script().deploy()
    recorder.clear()
    script().plan()
    assert "GetFunctionConcurrency" not in recorder.calls


def test_none_is_reserved_before_the_function_exists(script, client, recorder) -> None:
    """Unreserved is what a new function is: nothing to do."""
    script(concurrency=UNRESERVED).deploy()
    assert "DeleteFunctionConcurrency" not in recorder.calls
    assert reserved(client) is None
