"""Reserved concurrency: set, changed by hand, removed; the plan says what it excludes."""

from __future__ import annotations

import pytest

from lambda_script import UNRESERVED, DeployError
from lambda_toolkit.aws.account import Place
from lambda_toolkit.deploy.deployer_policy import deployer_policy
from lambda_toolkit.spec.model import Deployment

ACCOUNT = "GetAccountSettings"  # of which 1,000 may run at a time


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


def test_plan_says_what_the_account_cannot_reserve(script, client, recorder) -> None:
    """Lambda keeps a hundred for functions that reserve nothing, and refuses the rest of the deploy."""
    script(function_name_template="other", concurrency=600).deploy()
    script(concurrency=300).deploy()
    [note] = script(concurrency=301).plan().notes
    assert "Lambda will refuse the concurrency of my-function: it is 1 more than is reserved now" in note
    assert "can reserve 0 more, as 100 of its 1000 stay" in note
    with pytest.raises(DeployError, match="UnreservedConcurrentExecution below its minimum"):
        script(concurrency=301).deploy()
    assert reserved(client) == 300
    script(function_name_template="other", concurrency=UNRESERVED).deploy()
    assert script(concurrency=301).deploy().ok


def test_account_is_asked_only_where_more_is_reserved(script, recorder) -> None:
    script().deploy()
    script(concurrency=5).deploy()
    assert recorder.calls.count(ACCOUNT) == 1
    recorder.clear()
    for declared in ({}, {"concurrency": 5}, {"concurrency": 4}, {"concurrency": UNRESERVED}):
        script(**declared).plan()
    assert ACCOUNT not in recorder.calls


def test_account_that_may_not_be_asked_is_a_note(script, recorder) -> None:
    recorder.refuse(ACCOUNT, "AccessDeniedException", "no")
    [note] = script(concurrency=5).plan().notes
    assert "lambda:GetAccountSettings" in note
    assert script(concurrency=5).deploy().ok


@pytest.mark.parametrize(("declared", "granted"), [({}, False), ({"concurrency": 5}, True)])
def test_deployer_may_ask_the_account_only_where_declared(script, declared, granted) -> None:
    policy = deployer_policy(Deployment((script(**declared).spec,)), Place("123456789012", "eu-west-2"))
    allowed = {action for item in policy["Statement"] for action in item["Action"]}
    assert (f"lambda:{ACCOUNT}" in allowed) == granted
