"""Provisioned concurrency: set after the release, waited for, moved with the alias, repaired and removed."""

from __future__ import annotations

import pytest

from lambda_script import DeployError, LimitError
from lambda_toolkit.spec.model import Kind
from tests.support import moto_concurrency

ALIAS = {"FunctionName": "my-function", "Qualifier": "live"}


def live(client) -> tuple[int, str] | None:
    lambda_ = client("lambda")
    try:
        found = lambda_.get_provisioned_concurrency_config(**ALIAS)
    except lambda_.exceptions.ProvisionedConcurrencyConfigNotFoundException:
        return None
    return found["RequestedProvisionedConcurrentExecutions"], found["Status"]


def test_environments_are_made_and_waited_for(script, client, recorder) -> None:
    declared = script(provisioned_concurrency=2, memory=512)
    [change] = [item for item in declared.plan().changes if item.kind == "provisioned concurrency"]
    assert change.details == ("2 x 512 MB are kept ready, and paid for, whether or not events come",)
    declared.deploy()
    assert live(client) == (2, "READY")
    recorder.clear()
    assert not declared.plan()
    assert recorder.calls.count("GetProvisionedConcurrencyConfig") == 1


def test_nothing_is_read_where_it_is_not_declared(script, client, recorder) -> None:
    script(provisioned_concurrency=1).deploy()
    recorder.clear()
    assert not script().plan(), "undeclared: not managed"
    assert "GetProvisionedConcurrencyConfig" not in recorder.calls
    assert live(client) == (1, "READY")


def test_changed_by_hand_it_is_restored_and_then_removed(script, client, recorder) -> None:
    script(provisioned_concurrency=1).deploy()
    client("lambda").put_provisioned_concurrency_config(**ALIAS, ProvisionedConcurrentExecutions=9)
    [change] = script(provisioned_concurrency=1).plan().changes
    assert [str(item) for item in change.differences] == ["provisioned_concurrency: 9 -> 1"]
    script(provisioned_concurrency=1).deploy()
    assert live(client) == (1, "READY")
    script(provisioned_concurrency=0).deploy()
    assert live(client) is None
    assert not script(provisioned_concurrency=0).plan()
    recorder.clear()
    script(provisioned_concurrency=0).deploy()
    assert recorder.writes == []


def test_release_waits_for_the_environments_of_its_version(script, client, source) -> None:
    script(provisioned_concurrency=1).deploy()
    source.write_text("def lambda_handler(event, context):\n    return 2\n", encoding="utf-8")
    script(provisioned_concurrency=1).deploy()
    assert client("lambda").get_alias(FunctionName="my-function", Name="live")["FunctionVersion"] == "2"
    stored = client("lambda").get_provisioned_concurrency_config(**ALIAS)
    assert stored["Status"] == "READY" and stored["AllocatedProvisionedConcurrentExecutions"] == 1


def test_rollback_takes_them_along(script, client, source) -> None:
    script(provisioned_concurrency=1).deploy()
    source.write_text("def lambda_handler(event, context):\n    return 2\n", encoding="utf-8")
    script(provisioned_concurrency=1).deploy()
    script().rollback()
    assert live(client) == (1, "IN_PROGRESS"), "Lambda makes them again, and the rollback does not wait"


def test_canary_ends_before_they_are_set(script, client, source, recorder) -> None:
    """Lambda takes no provisioned concurrency while a share of the calls goes to another version."""
    watched = {"alarms": [{"name": "errors", "metric": "Errors"}], "canary": {"weight": 0.1, "minutes": 1}}
    script(**watched).deploy()
    source.write_text("def lambda_handler(event, context):\n    return 2\n", encoding="utf-8")
    released, prepared = script(**watched, provisioned_concurrency=3).plan().changes
    assert (released.kind, prepared.kind) == (Kind.FUNCTION, Kind.PROVISIONED_CONCURRENCY)
    assert released.key in prepared.after, "without that they are made together, and which is first is chance"
    recorder.clear()
    script(**watched, provisioned_concurrency=3).deploy()
    assert live(client) == (3, "READY")
    assert recorder.writes[-2:] == ["UpdateAlias", "PutProvisionedConcurrencyConfig"], "when the alias has no weights"


def test_failure_is_reported_and_repaired_by_the_next_deploy(script, client) -> None:
    moto_concurrency.FAILING["my-function"] = "FUNCTION_ERROR_INIT_FAILURE."
    with pytest.raises(DeployError, match="could not make the 2 environments of my-function: FUNCTION_ERROR_INIT"):
        script(provisioned_concurrency=2).deploy()
    assert live(client) == (2, "FAILED")
    [change] = script(provisioned_concurrency=2).plan().changes
    [found] = change.differences
    assert str(found) == "provisioned_concurrency.status: FUNCTION_ERROR_INIT_FAILURE -> ready"
    moto_concurrency.FAILING.clear()
    script(provisioned_concurrency=2).deploy()
    assert live(client) == (2, "READY")


def test_reservation_comes_first_and_destroy_takes_all(script, client, recorder) -> None:
    script(concurrency=4, provisioned_concurrency=4).deploy()
    order = [call for call in recorder.calls if call.startswith("Put") and "Concurrency" in call]
    assert order == ["PutFunctionConcurrency", "PutProvisionedConcurrencyConfig"]
    script(concurrency=4, provisioned_concurrency=4).destroy()
    script().deploy()
    assert live(client) is None


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"provisioned_concurrency": -1}, "provisioned_concurrency -1 is negative"),
        ({"provisioned_concurrency": 3, "concurrency": 2}, "3 is more than the function's concurrency 2"),
        ({"provisioned_concurrency": 1, "snapstart": True, "runtime": "python3.13"}, "exclude each other"),
        ({"provisioned_concurrency": "1"}, "provisioned_concurrency must be an integer"),
        ({"concurrency": -1}, "Function `my-function`: concurrency -1 is negative"),
        ({"recursive_loop": "Stop"}, "recursive_loop `Stop` is not one of Allow and Terminate"),
    ],
)
def test_what_aws_would_reject_is_said_before(script, recorder, declared, said) -> None:
    with pytest.raises(LimitError, match=said):
        script(**declared).plan()
    assert recorder.writes == []


def test_loops_are_allowed_restored_and_stopped(script, client, recorder) -> None:
    def setting() -> str:
        return client("lambda").get_function_recursion_config(FunctionName="my-function")["RecursiveLoop"]

    script(recursive_loop="Terminate").deploy()
    assert "PutFunctionRecursionConfig" not in recorder.calls, "Lambda's default"
    declared = script(recursive_loop="Allow")
    [change] = declared.plan().changes
    assert "without end" in change.details[0]
    declared.deploy()
    assert setting() == "Allow" and not declared.plan()
    client("lambda").put_function_recursion_config(FunctionName="my-function", RecursiveLoop="Terminate")
    [change] = declared.plan().changes
    assert [str(item) for item in change.differences] == ["recursive_loop: Terminate -> Allow"]
    declared.deploy()
    recorder.clear()
    assert not script().plan() and "GetFunctionRecursionConfig" not in recorder.calls, "undeclared: not managed"
    script(recursive_loop="").deploy()
    assert setting() == "Terminate"
    declared.deploy()
    declared.destroy()
    script().deploy()
    assert setting() == "Terminate"
