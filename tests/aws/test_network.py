"""vpc: the network of a function, what its role may do there, and what stays until nothing needs it."""

from __future__ import annotations

import json
import runpy
import socket
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from lambda_script import DeployError, LimitError, Vpc, apply, deploy, deploy_all, plan_destroy
from lambda_toolkit.pipeline.client.observing.usage import network_of
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.cost.month import Month, Network, bill
from lambda_toolkit.spec.model import Deployment
from lambda_toolkit.spec.prices import price_list
from tests.support.lambda_networks import ATTACHED_AFTER, LambdaNetworks, endpoint, group, route_table, subnet
from tests.support.repository import CONFIG, REPOSITORY

NETWORK: dict[str, Any] = {"subnets": ["subnet-2b", "subnet-1a"], "security_groups": ["sg-1"]}


@pytest.fixture(autouse=True)
def networks(session, client, fake_time) -> LambdaNetworks:
    made = LambdaNetworks(fake_time.now, client)
    made.register(session)
    return made


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
    looking = [{"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}]
    script(vpc=NETWORK, permissions=looking).deploy()
    assert not [action for action in policy(client)["LambdaScriptNetworkNotByCode"]["Action"] if "Describe" in action]
    script(vpc=NETWORK, permissions=[]).deploy()
    script(permissions=[]).deploy()
    assert policy(client) == found, "an absent network is not managed, so its statements stay"


@pytest.mark.parametrize("permissions", [None, []], ids=["unmanaged", "declared"])
def test_statements_stay_while_lambda_needs_them(script, client, source, networks, fake_time, permissions) -> None:
    """As long as a version is attached, which a rollback makes live, and until Lambda has deleted the interfaces."""
    script(vpc=NETWORK, permissions=permissions).deploy()
    detached = script(vpc={}, permissions=permissions)
    for number in range(5):
        source.write_text(f"def lambda_handler(event, context):\n    return {number}\n")
        detached.deploy()
        assert len(policy(client)) == 4
    assert len(networks.interfaces) == 2
    assert not detached.plan()
    fake_time.sleep(20 * 60)
    assert not networks.interfaces
    [change] = detached.plan().changes
    assert change.kind == "role"
    detached.deploy()
    assert not policy(client)
    assert not detached.plan()


def test_failed_network_is_reported_and_repaired(script, client, source, networks, fake_time) -> None:
    """What was live stays; the same command attaches it once Lambda can."""
    script().deploy()
    networks.failure = "The subnet subnet-1a has no free IP addresses"
    with pytest.raises(DeployError, match="could not set up my-function: The subnet subnet-1a has no free IP"):
        script(vpc=NETWORK).deploy()
    assert fake_time.now() >= ATTACHED_AFTER
    assert not config(client).get("SubnetIds")
    with pytest.raises(DeployError, match="has no free IP"):
        script(vpc=NETWORK).deploy()
    networks.failure = ""
    script(vpc=NETWORK).deploy()
    assert config(client)["SubnetIds"] == ["subnet-1a", "subnet-2b"]
    assert not script(vpc=NETWORK).plan()


@pytest.mark.parametrize("operation", ["PutRolePolicy", "UpdateFunctionConfiguration", "PublishVersion", "UpdateAlias"])
def test_each_fault_of_a_network_is_repaired(script, client, recorder, operation) -> None:
    script().deploy()
    recorder.refuse(operation, "AccessDeniedException", times=1)
    with pytest.raises(DeployError, match="AccessDenied"):
        script(vpc=NETWORK).deploy()
    assert not config(client).get("SubnetIds")
    script(vpc=NETWORK).deploy()
    assert config(client)["SubnetIds"] == ["subnet-1a", "subnet-2b"]
    assert not script(vpc=NETWORK).plan()


def test_network_that_never_comes_ends_the_wait(script, networks, fake_time, monkeypatch) -> None:
    monkeypatch.setattr("tests.support.lambda_networks.ATTACHED_AFTER", 1000.0)
    with pytest.raises(DeployError, match=r"Version 1 of my-function is active: not true after \d+ s"):
        script(vpc=NETWORK).deploy()
    assert 290 < fake_time.now() < 310


def test_new_function_whose_network_failed_is_repaired(script, client, networks) -> None:
    networks.failure = "EniLimitExceeded"
    with pytest.raises(DeployError, match="EniLimitExceeded"):
        script(vpc=NETWORK).deploy()
    networks.failure = ""
    script(vpc=NETWORK).deploy()
    assert config(client)["SubnetIds"] == ["subnet-1a", "subnet-2b"]
    versions = client("lambda").list_versions_by_function(FunctionName="my-function")["Versions"]
    assert [item["Version"] for item in versions] == ["$LATEST", "2"], "publishing would have returned the failed one"
    assert not script(vpc=NETWORK).plan()


def test_destroy_keeps_the_role_until_interfaces_are_deleted(script, client, networks, fake_time) -> None:
    """Within its budget; the same command finishes. Without the role, Lambda could never delete them."""
    script(vpc=NETWORK).deploy()
    began = fake_time.now()
    with pytest.raises(DeployError, match=r"Lambda still has eni-1, eni-2 of my-function, which it deletes") as caught:
        script(vpc=NETWORK).destroy()
    assert fake_time.now() - began < 70
    assert [change.kind for change in caught.value.report.done] == ["function"]
    assert len(policy(client)) == 4
    with pytest.raises(DeployError, match="Lambda still has eni-1, eni-2"):
        script(vpc=NETWORK).destroy()
    with pytest.raises(DeployError, match="Lambda still has eni-1, eni-2"):
        script().destroy()  # also where the network is declared no more
    fake_time.sleep(20 * 60)
    assert [change.kind for change in script(vpc=NETWORK).destroy().done] == ["role"]
    assert not networks.interfaces
    assert not script(vpc=NETWORK).destroy().done


def test_destroy_waits_for_no_interface_of_others(script, client, networks, tmp_path) -> None:
    """One that another function uses stays with that."""
    other = tmp_path / "other.py"
    other.write_text("def lambda_handler(event, context):\n    return event\n")
    two = script(lambda_function_path=other, function_name_template="my-function-two", vpc=NETWORK)
    deploy_all([script(vpc=NETWORK), two])
    assert len(networks.interfaces) == 2
    assert {change.kind for change in script(vpc=NETWORK).destroy().done} == {"function", "role"}
    with pytest.raises(DeployError, match="Lambda still has eni-1, eni-2 of my-function-two"):
        two.destroy()


def test_interfaces_of_a_name_that_begins_alike_are_of_others(script, networks, tmp_path) -> None:
    other = tmp_path / "other.py"
    other.write_text("def lambda_handler(event, context):\n    return event\n")
    one = script(vpc={**NETWORK, "subnets": ["subnet-1a"]})
    two = script(
        lambda_function_path=other, function_name_template="my-function-two", vpc={**NETWORK, "subnets": ["subnet-2b"]}
    )
    deploy_all([one, two])
    for function in (two, one):
        with pytest.raises(DeployError, match=f"Lambda still has eni-. of {function.spec.name}, which"):
            function.destroy()


def test_destroyed_functions_do_not_rely_on_each_other(script, aws, networks, tmp_path) -> None:
    """The roles of both stay: with which one Lambda deletes the shared interface, it does not say."""
    other = tmp_path / "other.py"
    other.write_text("def lambda_handler(event, context):\n    return event\n")
    two = script(lambda_function_path=other, function_name_template="two", vpc=NETWORK)
    deployment = Deployment((script(vpc=NETWORK).spec, two.spec), application="shop", stage="dev")
    deploy(deployment, aws)
    report = apply(plan_destroy(deployment, aws), aws)
    assert sorted(failure.change.name for failure in report.failed) == ["my-function-role", "two-role"]


def test_other_roles_ask_ec2_nothing(script, recorder) -> None:
    """Neither to deploy, nor to destroy, nor where only the role is left."""
    script().deploy()
    script(memory=256).deploy()
    recorder.refuse("DeleteRole", "AccessDenied", times=1)
    with pytest.raises(DeployError):
        script().destroy()
    script().destroy()
    script(vpc={}).deploy()
    assert not [name for name in recorder.calls if "Subnets" in name or "NetworkInterfaces" in name]


def test_network_without_the_right_to_look_is_deployed(script, client, recorder) -> None:
    """Lambda itself checks it; the plan says that it did not look."""
    for operation in ("DescribeSubnets", "DescribeNetworkInterfaces"):
        recorder.refuse(operation, "UnauthorizedOperation")
    assert any("was not looked at" in note for note in script(vpc=NETWORK).plan().notes)
    script(vpc=NETWORK).deploy()
    with pytest.raises(DeployError, match="ec2:DescribeNetworkInterfaces"):
        script(vpc=NETWORK).destroy()
    script().deploy()
    assert "function" in {change.kind for change in script().destroy().done}


def test_plan_says_what_the_network_lacks_and_what_it_costs(script, recorder, networks) -> None:
    """With four calls for all functions of a network, and none for the others."""
    reading = [{"Effect": "Allow", "Action": ["s3:GetObject", "secretsmanager:GetSecretValue"], "Resource": "*"}]
    function = script(vpc=NETWORK, permissions=reading)
    where = "my-function: no way from subnet-1a and subnet-2b to"
    assert function.plan().notes == (
        f"{where} s3. A gateway endpoint for it costs nothing",
        f"{where} secretsmanager. An interface endpoint for it costs $16.06 a month",
        "one way for all of them: a NAT gateway, $40.15 a month and $0.05 a GB; or an egress-only internet "
        "gateway for IPv6, which costs nothing, with `ipv6`",
    )
    looked = [name for name in recorder.calls if name.startswith("Describe") and name != "DescribeLogGroups"]
    assert sorted(looked) == [
        "DescribeRouteTables",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeVpcEndpoints",
    ]
    networks.endpoints = [endpoint("s3", "Gateway"), endpoint("secretsmanager")]
    assert function.plan().notes == ()


def test_cost_counts_what_the_network_has(aws, recorder, networks) -> None:
    """Once, however many functions are in it; nothing is asked where there is none."""
    pipeline = load(CONFIG / "pipeline.toml")
    assert network_of(aws, pipeline) == Network()
    assert recorder.calls == []
    attached = {
        name: replace(each, spec=replace(each.spec, vpc=Vpc.of(NETWORK))) for name, each in pipeline.functions.items()
    }
    pipeline = replace(pipeline, functions=attached)
    networks.endpoints = [endpoint("s3", "Gateway"), endpoint("secretsmanager", SubnetIds=["subnet-1a", "subnet-2b"])]
    nat = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}
    networks.tables = [route_table(nat)]
    found = network_of(aws, pipeline)
    assert found == Network(nat_gateways=1, endpoints=2)
    assert len(recorder.calls) == 4
    lines = {line.item: line.amount for line in bill(Month(network=found), price_list("eu-west-2"))}
    assert lines == {
        "NAT gateways": Decimal("36.50"),
        "public addresses": Decimal("3.65"),
        "endpoints": Decimal("16.06"),
    }
    recorder.refuse("DescribeSubnets", "UnauthorizedOperation")
    assert network_of(aws, pipeline) is None


@pytest.mark.parametrize(
    ("different", "problem"),
    [
        ({"subnets": []}, "there is no subnet subnet-1a in eu-west-2. there is no subnet subnet-2b"),
        ({"groups": [group("sg-1", vpc="vpc-2")]}, "security group sg-1 is not in vpc-1, where its subnets are"),
        ({"subnets": [subnet("subnet-1a"), subnet("subnet-2b", vpc="vpc-2")]}, "its subnets are in vpc-1 and vpc-2"),
    ],
)
def test_network_that_is_not_there_is_found_first(script, recorder, networks, different, problem) -> None:
    vars(networks).update(different)
    with pytest.raises(LimitError, match=problem):
        script(vpc=NETWORK).deploy()
    assert recorder.writes == []


def test_subnet_without_ipv6_block_is_found_first(script, networks) -> None:
    networks.subnets[0] = subnet("subnet-1a", ipv6=True)
    with pytest.raises(LimitError, match="subnet subnet-2b has no IPv6 block, which `ipv6` needs"):
        script(vpc={**NETWORK, "ipv6": True}, environment={}).deploy()


def test_function_with_ipv6_calls_dual_stack_endpoints(script, client, networks) -> None:
    networks.subnets = [subnet("subnet-1a", ipv6=True), subnet("subnet-2b", ipv6=True)]
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


def test_example_attaches_its_function(aws, client, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv("SUBNETS", "subnet-1a,subnet-2b")
    monkeypatch.setenv("SECURITY_GROUPS", "sg-1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lambda_script.new_client", lambda region: aws)
    runpy.run_path(str(REPOSITORY / "examples/private_network/deploy.py"))
    assert "no way from subnet-1a and subnet-2b to secretsmanager" in capsys.readouterr().out
    found = client("lambda").get_function_configuration(FunctionName="dev-reach", Qualifier="live")
    assert found["VpcConfig"]["SubnetIds"] == ["subnet-1a", "subnet-2b"]
    reach = runpy.run_path(str(REPOSITORY / "examples/private_network/reach.py"))["lambda_handler"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert reach({"addresses": [f"127.0.0.1:{port}", "nowhere"]}, None) == {
            f"127.0.0.1:{port}": "reached",
            "nowhere": "ValueError: invalid literal for int() with base 10: 'nowhere'",
        }
