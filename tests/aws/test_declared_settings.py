"""ephemeral_storage, tracing, kms_key, snapstart: only what is declared changes, and each change is released."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_script import DeployError, LimitError

KEY = "arn:aws:kms:eu-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CASES: tuple[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str], ...] = (
    # what is declared, what Lambda has then, the same declared empty, how a difference begins
    (
        {"ephemeral_storage": 1024},
        {"EphemeralStorage": {"Size": 1024}},
        {"ephemeral_storage": 0},
        "EphemeralStorage.Size",
    ),
    ({"tracing": "Active"}, {"TracingConfig": {"Mode": "Active"}}, {"tracing": ""}, "TracingConfig.Mode"),
    ({"kms_key": KEY}, {"KMSKeyArn": KEY}, {"kms_key": ""}, "KMSKeyArn"),
    ({"snapstart": True}, {"SnapStart": {"ApplyOn": "PublishedVersions"}}, {"snapstart": False}, "SnapStart.ApplyOn"),
)
IDS = [next(iter(declared)) for declared, *_ in CASES]
DEFAULTS = {
    "EphemeralStorage": {"Size": 512},
    "TracingConfig": {"Mode": "PassThrough"},
    "KMSKeyArn": "",
    "SnapStart": {"ApplyOn": "None"},
}


def live(client, name: str, qualifier: str = "live") -> Any:
    found = client("lambda").get_function_configuration(FunctionName="my-function", Qualifier=qualifier).get(name)
    return {key: value for key, value in found.items() if key != "OptimizationStatus"} if name != "KMSKeyArn" else found


@pytest.mark.parametrize(("declared", "sent", "emptied", "shown"), CASES, ids=IDS)
def test_setting_is_sent_kept_repaired_and_removed(script, client, recorder, declared, sent, emptied, shown) -> None:
    [(name, value)] = sent.items()
    declared = {**declared, "runtime": "python3.13"}
    script(**declared).deploy()
    assert live(client, name) == value
    recorder.clear()
    assert script(**declared).deploy().done == ()
    assert recorder.writes == []
    client("lambda").update_function_configuration(FunctionName="my-function", **{name: DEFAULTS[name]})
    [change, *_] = script(**declared).plan().changes
    assert [str(item).partition(":")[0] for item in change.differences] == [shown]
    script(**declared).deploy()
    assert live(client, name) == value
    script(**emptied, runtime="python3.13").deploy()
    assert (live(client, name) or "") == DEFAULTS[name]
    assert not script(**emptied, runtime="python3.13").plan()


@pytest.mark.parametrize(("declared", "sent", "emptied", "shown"), CASES, ids=IDS)
def test_setting_that_is_not_declared_is_kept(script, client, declared, sent, emptied, shown) -> None:
    """A person's is released as it is, and stays when something else is declared."""
    script().deploy()
    client("lambda").update_function_configuration(FunctionName="my-function", **sent)
    others = next(other for other, *_ in CASES if other != declared and "snapstart" not in other)
    for more in ({}, others):
        script(**more).deploy()
        [(name, value)] = sent.items()
        assert live(client, name) == value
        assert not script(**more).plan()


def test_role_may_write_traces_and_use_the_key(script, client) -> None:
    """And no more where they are not declared."""

    def policy() -> str:
        answer = client("iam").get_role_policy(RoleName="my-function-role", PolicyName="lambda_script")
        return json.dumps(answer["PolicyDocument"])

    script(tracing="Active", kms_key=KEY).deploy()
    assert "xray:PutTraceSegments" in policy()
    assert f'"Action": ["kms:Decrypt"], "Resource": ["{KEY}"]' in policy()
    script(tracing="Active", kms_key=KEY.replace("1234abcd-", "9999abcd-")).deploy()
    assert KEY not in policy()
    script().deploy()
    assert "9999abcd" in policy(), "what is not declared is not managed"
    script(tracing="PassThrough", kms_key="").deploy()
    assert "xray" not in policy()
    assert "kms" not in policy()


@pytest.mark.parametrize("operation", ["UpdateFunctionConfiguration", "PublishVersion", "UpdateAlias", "PutRolePolicy"])
def test_each_fault_of_settings_is_repaired(script, client, recorder, operation) -> None:
    declared = {"ephemeral_storage": 1024, "tracing": "Active", "kms_key": KEY}
    script().deploy()
    recorder.refuse(operation, "AccessDeniedException", times=1)
    with pytest.raises(DeployError, match="AccessDenied"):
        script(**declared).deploy()
    assert live(client, "TracingConfig") == {"Mode": "PassThrough"}
    script(**declared).deploy()
    assert (live(client, "TracingConfig"), live(client, "KMSKeyArn")) == ({"Mode": "Active"}, KEY)
    assert not script(**declared).plan()


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ({"ephemeral_storage": 511}, "ephemeral_storage 511 is outside 512 to"),
        ({"ephemeral_storage": 1_000_000}, "ephemeral_storage 1000000 is outside 512 to"),
        ({"ephemeral_storage": True}, "ephemeral_storage must be an integer"),
        ({"tracing": "active"}, "tracing `active` is not one of Active and PassThrough"),
        ({"kms_key": "alias/aws/lambda"}, "is not the ARN of a key"),
        ({"snapstart": True, "runtime": "python3.11"}, "snapstart needs python3.12 or later, not python3.11"),
        ({"snapstart": True, "runtime": "python3.13", "ephemeral_storage": 1024}, "exclude each other"),
        ({"snapstart": "yes"}, "snapstart must be True or False"),
    ],
)
def test_setting_that_lambda_refuses_is_found_first(script, recorder, declared, problem) -> None:
    with pytest.raises(LimitError, match=problem):
        script(**declared)
    assert recorder.calls == []
