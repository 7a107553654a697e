"""Execution roles that others write, and roles that the toolkit creates within a permissions boundary."""

from __future__ import annotations

import json
import runpy

import pytest

from lambda_script import Deployment, FunctionSpec, LimitError
from lambda_toolkit.deploy.plan import make_plan
from tests.support.repository import REPOSITORY

ACCOUNT = "123456789012"
LIMITS = f"arn:aws:iam::{ACCOUNT}:policy/limits"
OTHER_LIMITS = f"arn:aws:iam::{ACCOUNT}:policy/others"
OWN_ROLE = "my-function-role"
TRUST = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}


@pytest.fixture
def given(client) -> str:
    """The ARN of a role that the toolkit did not create."""
    created = client("iam").create_role(Path="/team/", RoleName="given", AssumeRolePolicyDocument=json.dumps(TRUST))
    return created["Role"]["Arn"]


@pytest.fixture
def limits(client) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
    for name in ("limits", "others"):
        client("iam").create_policy(PolicyName=name, PolicyDocument=document)


def roles(client) -> set[str]:
    return {role["RoleName"] for role in client("iam").list_roles()["Roles"]}


def of_iam(recorder) -> list[str]:
    """The calls of IAM, in order."""
    return [name for name in recorder.calls if "Role" in name or "AccountAuthorization" in name]


def used(client) -> str:
    return client("lambda").get_function_configuration(FunctionName="my-function")["Role"]


def boundary(client) -> str | None:
    return (client("iam").get_role(RoleName=OWN_ROLE)["Role"].get("PermissionsBoundary") or {}).get(
        "PermissionsBoundaryArn"
    )


def test_given_role_nothing_of_iam_is_called(script, client, recorder, given) -> None:
    """Neither by deploy, nor by plan, nor by destroy: an organisation may deny all of it."""
    declared = script(role=given, schedule="rate(5 minutes)")
    declared.deploy()
    assert used(client) == given
    assert not declared.plan()
    declared.destroy(delete_data=True)
    assert of_iam(recorder) == []
    assert roles(client) == {"given"}


def test_example_is_deployed_without_a_call_of_iam(aws, client, recorder, given, monkeypatch, capsys) -> None:
    trust = json.dumps(TRUST).replace("lambda.", "scheduler.")
    starts = client("iam").create_role(RoleName="starts", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    monkeypatch.setattr("sys.argv", ["deploy.py", given, starts])
    monkeypatch.setattr("lambda_script.new_client", lambda region: aws)
    runpy.run_path(str(REPOSITORY / "examples/given_roles/deploy.py"))
    assert "create Scheduler schedule dev-stock.schedule" in capsys.readouterr().out
    assert of_iam(recorder) == []
    live = client("scheduler").get_schedule(GroupName="dev-stock-dev", Name="dev-stock.schedule")
    assert live["Target"]["RoleArn"] == starts


def test_given_role_in_place_of_the_own_one(script, client, given) -> None:
    """The own role stays while earlier versions have it, the plan says so, and destroy deletes it with them."""
    script().deploy()
    moved = script(role=given).plan()
    assert [str(change.key[0]) for change in moved.changes] == ["function"]
    assert f"role {OWN_ROLE} stays, as earlier versions have it; destroy removes it" in moved.changes[0].details
    script(role=given).deploy()
    assert used(client) == given
    assert not script(role=given).plan()
    assert OWN_ROLE in roles(client)
    script(role=given).destroy()
    assert roles(client) == {"given"}


def test_own_role_again_after_a_given_one(script, client, given) -> None:
    script(role=given).deploy()
    script().deploy()
    assert used(client).endswith(f":role/{OWN_ROLE}")
    script().destroy()
    assert roles(client) == {"given"}


def test_given_role_of_an_undeclared_function_is_not_read(script, client, recorder, given, aws) -> None:
    """Pruning removes the function, and asks IAM nothing about a role that it never created."""
    script(role=given, application="shop").deploy()
    recorder.calls.clear()
    kept = FunctionSpec("shop-kept", script().spec.source, role=given)
    found = make_plan(aws, Deployment((kept,), application="shop", stage="dev"), prune=True)
    assert ("function", "my-function", "delete") in [(str(c.kind), c.name, c.action) for c in found.changes]
    assert of_iam(recorder) == []


def test_given_role_excludes_what_would_be_written_to_it(script) -> None:
    with pytest.raises(LimitError, match="that role has the permissions") as caught:
        script(role=f"arn:aws:iam::{ACCOUNT}:role/x", permissions=[], permissions_boundary=LIMITS)
    assert "that role has the boundary" in str(caught.value)


def test_boundary_is_set_when_the_role_is_created(script, client, limits, recorder) -> None:
    """In the same call, so that a deployer who may create bounded roles alone can do it."""
    script(permissions_boundary=LIMITS).deploy()
    assert boundary(client) == LIMITS
    assert "PutRolePermissionsBoundary" not in recorder.calls
    assert not script(permissions_boundary=LIMITS).plan()
    assert not script().plan(), "undeclared: not managed"


def test_boundary_changed_by_hand_or_in_the_declaration(script, client, limits, recorder) -> None:
    """Drift is shown and repaired, before anything else of the role is written; an empty one removes it."""
    script(permissions_boundary=LIMITS).deploy()
    client("iam").delete_role_permissions_boundary(RoleName=OWN_ROLE)
    [change] = script(permissions_boundary=LIMITS).plan().changes
    assert [str(item) for item in change.differences] == [f"boundary: none -> {LIMITS}"]
    recorder.calls.clear()
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/*"}
    script(permissions_boundary=OTHER_LIMITS, permissions=[statement]).deploy()
    assert of_iam(recorder)[-2:] == ["PutRolePermissionsBoundary", "PutRolePolicy"]
    assert boundary(client) == OTHER_LIMITS
    script(permissions_boundary="").deploy()
    assert boundary(client) is None
    assert not script(permissions_boundary="").plan()


def test_destroy_of_a_role_with_a_boundary(script, client, limits) -> None:
    script(permissions_boundary=LIMITS).deploy()
    script(permissions_boundary=LIMITS).destroy()
    assert roles(client) == set()
