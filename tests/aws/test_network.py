"""vpc: the network of a function, what its role may do there, and what stays until nothing needs it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_script import LimitError

NETWORK = {"subnets": ["subnet-2b", "subnet-1a"], "security_groups": ["sg-1"]}


def config(client, qualifier: str = "live") -> Any:
    found = client("lambda").get_function_configuration(FunctionName="my-function", Qualifier=qualifier)
    return {name: value for name, value in (found.get("VpcConfig") or {}).items() if name != "VpcId"}


def policy(client) -> Any:
    answer = client("iam").get_role_policy(RoleName="my-function-role", PolicyName="lambda_script")
    return {item["Sid"]: item for item in answer["PolicyDocument"]["Statement"] if "Sid" in item}


def test_network_is_sent_kept_repaired_and_removed(script, client, recorder) -> None:
    script(vpc=NETWORK).deploy()
    assert config(client)["SubnetIds"] == ["subnet-1a", "subnet-2b"]
    assert recorder.calls.index("PutRolePolicy") < recorder.calls.index("CreateFunction")
    recorder.clear()
    assert script(vpc={**NETWORK, "subnets": ["subnet-1a", "subnet-2b"]}).deploy().done == ()
    assert recorder.writes == []
    client("lambda").update_function_configuration(
        FunctionName="my-function", VpcConfig={"SubnetIds": ["subnet-9"], "SecurityGroupIds": ["sg-1"]}
    )
    [change, *_] = script(vpc=NETWORK).plan().changes
    assert [str(item) for item in change.differences] == ["VpcConfig.SubnetIds: subnet-9 -> subnet-1a, subnet-2b"]
    assert script().plan(), "what was changed by hand is released"
    script(vpc=NETWORK).deploy()
    assert config(client)["SubnetIds"] == ["subnet-1a", "subnet-2b"]
    script().deploy()
    assert config(client)["SubnetIds"] == ["subnet-1a", "subnet-2b"], "an absent one is not managed"
    assert len(policy(client)) == 4
    assert not script().plan()
    script(vpc={}).deploy()
    assert not config(client)["SubnetIds"]
    assert not script(vpc={}).plan()


def test_role_makes_interfaces_there_and_code_may_not(script, client) -> None:
    script(vpc=NETWORK, permissions=[]).deploy()
    found = policy(client)
    assert found["LambdaScriptNetworkCreate"]["Resource"] == [
        "arn:aws:ec2:eu-west-2:123456789012:network-interface/*",
        "arn:aws:ec2:eu-west-2:*:security-group/sg-1",
        "arn:aws:ec2:eu-west-2:*:subnet/subnet-1a",
        "arn:aws:ec2:eu-west-2:*:subnet/subnet-2b",
    ]
    denied = found["LambdaScriptNetworkNotByCode"]
    allowed = {action for item in found.values() if item["Effect"] == "Allow" for action in item["Action"]}
    assert set(denied["Action"]) == allowed
    assert "function:my-function" in json.dumps(denied["Condition"])
    script(permissions=[]).deploy()
    assert policy(client) == found, "an absent network is not managed, so its statements stay"


@pytest.mark.parametrize("permissions", [None, []], ids=["unmanaged", "declared"])
def test_statements_stay_while_a_version_is_attached(script, client, source, permissions) -> None:
    script(vpc=NETWORK, permissions=permissions).deploy()
    for number in range(5):
        source.write_text(f"def lambda_handler(event, context):\n    return {number}\n")
        script(vpc={}, permissions=permissions).deploy()
        assert len(policy(client)) == 4
    script(vpc={}, permissions=permissions).deploy()
    assert not policy(client)
    assert not script(vpc={}, permissions=permissions).plan()


def test_function_with_ipv6_calls_dual_stack_endpoints(script, client) -> None:
    script(vpc={**NETWORK, "ipv6": True}, environment={"COLOUR": "green"}).deploy()
    found = client("lambda").get_function_configuration(FunctionName="my-function", Qualifier="live")
    assert found["VpcConfig"]["Ipv6AllowedForDualStack"] is True
    assert found["Environment"]["Variables"] == {"AWS_USE_DUALSTACK_ENDPOINT": "true", "COLOUR": "green"}
    own = {"AWS_USE_DUALSTACK_ENDPOINT": "false"}
    script(vpc={**NETWORK, "ipv6": True}, environment=own).deploy()
    found = client("lambda").get_function_configuration(FunctionName="my-function", Qualifier="live")
    assert found["Environment"]["Variables"] == own


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ({"vpc": {"subnets": ["subnet-1"]}}, "vpc has `subnets` and no `security_groups`"),
        ({"vpc": {"security_groups": ["sg-1"]}}, "vpc has `security_groups` and no `subnets`"),
        ({"vpc": {**NETWORK, "subnets": [f"subnet-{n}" for n in range(17)]}}, "17 subnets; the limit is 16"),
        ({"vpc": {**NETWORK, "security_groups": [f"sg-{n}" for n in range(6)]}}, "6 security_groups; the limit is 5"),
        ({"vpc": {**NETWORK, "subnets": ["sg-1"]}}, "`sg-1` in subnets is no id, such as subnet-0123456789abcdef0"),
        ({"vpc": {**NETWORK, "security_groups": ["default"]}}, "`default` in security_groups is no id"),
        ({"vpc": {"ipv6": True}}, "vpc has `ipv6` and no subnets"),
        ({"vpc": {**NETWORK, "ipv6": True}}, "AWS_USE_DUALSTACK_ENDPOINT: declare `environment`"),
        ({"vpc": {**NETWORK, "subnet": ["a"]}}, "vpc takes lists of `subnets`"),
        ({"vpc": {**NETWORK, "subnets": "subnet-1"}}, "vpc takes lists of `subnets`"),
        ({"vpc": ["subnet-1"]}, "vpc takes lists of `subnets`"),
        ({"vpc": {**NETWORK, "ipv6": 1}}, "vpc takes lists of `subnets`"),
    ],
)
def test_network_that_lambda_refuses_is_found_first(script, recorder, declared, problem) -> None:
    with pytest.raises(LimitError, match=problem):
        script(**declared)
    assert recorder.calls == []
