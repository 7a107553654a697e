"""[vpc]: the network of all functions, of one, of none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lambda_script import Deployment, FunctionSpec, Vpc
from lambda_toolkit.aws.account import Place
from lambda_toolkit.deploy import deployer_policy
from lambda_toolkit.pipeline.client.addresses import address_notes, addresses
from lambda_toolkit.pipeline.client.target import without_network
from lambda_toolkit.pipeline.config.aws.deployment import function_spec
from lambda_toolkit.pipeline.config.aws.role_policy import operator_policy
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import ReadSecret
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH

SHIPPED = DEFAULT_PATH.read_text(encoding="utf-8")
ALL = '\n[vpc]\nsubnets = ["subnet-1", "subnet-2"]\nsecurity_groups = ["sg-1"]\n'
VPC = Vpc(("subnet-1", "subnet-2"), ("sg-1",))


def written(tmp_path: Path, more: str, text: str = SHIPPED) -> Path:
    path = tmp_path / "config" / "pipeline.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + more, encoding="utf-8")
    return path


def specs(path: Path, stage: str = "dev") -> dict[str, FunctionSpec]:
    return {name: function.spec for name, function in load(path, stage).functions.items()}


def test_network_is_that_of_all_unless_a_function_has_its_own(tmp_path: Path) -> None:
    assert {spec.vpc for spec in specs(DEFAULT_PATH).values()} == {None}, "absent: not managed"
    assert {spec.vpc for spec in specs(written(tmp_path, ALL)).values()} == {VPC}
    assert load(written(tmp_path, ALL)).common.vpc == VPC
    own = SHIPPED.replace("[functions.notifier]", "[functions.notifier]\nvpc = {}", 1)
    found = specs(written(tmp_path, ALL, own))
    assert found["notifier"].vpc == Vpc()
    assert found["load"].vpc == VPC
    other = '\n[functions.load.vpc]\nsubnets = ["subnet-9"]\nsecurity_groups = ["sg-9"]\nipv6 = true\n'
    assert specs(written(tmp_path, ALL + other))["load"].vpc == Vpc(("subnet-9",), ("sg-9",), ipv6=True)
    emptied = "\n[stages.dev.vpc]\nsubnets = []\nsecurity_groups = []\n"
    assert {spec.vpc for spec in specs(written(tmp_path, ALL + emptied)).values()} == {Vpc()}


def test_network_of_the_local_stack_is_none(tmp_path: Path) -> None:
    local = without_network(load(written(tmp_path, ALL), "local"))
    assert {function.spec.vpc for function in local.functions.values()} == {None}
    assert replace(local.common, vpc=VPC) == load(written(tmp_path, ALL), "local").common


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('\n[vpc]\nsubnets = ["subnet-1"]\n', r"\[vpc\] vpc has `subnets` and no `security_groups`"),
        ('\n[vpc]\nsubnets = ["x"]\nsecurity_groups = ["sg-1"]\n', r"\[vpc\] vpc: `x` in subnets is no id"),
        ('\n[vpc]\nsubnet = ["subnet-1"]\n', r"\[vpc\] contains the unknown key `subnet`. Did you mean `subnets`?"),
        (
            '\n[functions.load.vpc]\nsubnets = "subnet-1"\n',
            r"`subnets` must be a list of strings",
        ),
    ],
)
def test_network_that_is_wrong_is_reported_once(tmp_path: Path, more: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        load(written(tmp_path, more))
    assert len(str(caught.value).splitlines()) == 1


def test_database_without_ipv6_address_is_named(tmp_path: Path) -> None:
    """Of the functions with ipv6 alone; what is not known is said."""
    dual = ALL + "ipv6 = true\n"
    environ = {"SOURCE_DATABASE_URL": "postgresql://u:secret@shop.example:5432/shop"}
    known = {"shop.example": ["10.0.0.1"]}

    def notes(more: str, **different: list[str]) -> list[str]:
        found = {**known, **{name.replace("_", "."): item for name, item in different.items()}}
        return list(address_notes(load(written(tmp_path, more)), environ, lambda host: found.get(host, [])))

    assert notes("") == notes(ALL) == []
    assert notes(dual) == [
        "shop.example, the host of the secret source, has no AAAA record: functions reach it over IPv4 alone",
        "the host of the secret warehouse is not known here, so its AAAA record was not looked up",
    ]
    assert len(notes(dual, shop_example=["10.0.0.1", "2001:db8::1"])) == 1
    assert "has no address here" in notes(dual, shop_example=[])[0]
    assert "secret@" not in "".join(notes(dual))
    environ = {"WAREHOUSE_DATABASE_URL": "postgresql://u:secret@shop.example:5432/star"}
    assert [note.partition(",")[0] for note in notes(dual)] == [
        "the host of the secret source is not known here",
        "shop.example",
    ]
    assert [note.partition(",")[0] for note in notes(dual, shop_example=["2001:db8::1"])] == [
        "the host of the secret source is not known here"
    ]
    pipeline = load(written(tmp_path, dual))
    others = replace(pipeline.secrets["source"], environment="", read=ReadSecret("arn", "::1"))
    of_others = replace(pipeline, secrets={**pipeline.secrets, "source": others})
    assert list(address_notes(of_others, environ, lambda host: [host] if host == "::1" else ["::2"])) == []


def test_policies_have_what_a_network_needs_and_no_more(tmp_path: Path) -> None:
    def actions(more: str, *, of_deployer: bool) -> set[str]:
        pipeline = load(written(tmp_path, more))
        place = Place("1" * 12, "eu-west-2")
        functions = tuple(function_spec(pipeline, each, place.account) for each in pipeline.functions.values())
        deployer = deployer_policy.deployer_policy(Deployment(functions), place)
        policy = deployer if of_deployer else operator_policy(pipeline, place.account)
        return {action for item in policy["Statement"] for action in item["Action"] if action.startswith("ec2:")}

    assert actions("", of_deployer=True) == actions("", of_deployer=False) == set()
    read = {f"ec2:Describe{what}" for what in ("RouteTables", "SecurityGroups", "Subnets", "VpcEndpoints")}
    assert actions(ALL, of_deployer=True) == {*read, "ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs"}
    assert actions(ALL, of_deployer=False) == read


def test_address_of_this_machine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert addresses("127.0.0.1") == ["127.0.0.1"]
    assert addresses("no host") == []
    assert addresses(f"{'a' * 64}.example.com") == [], "no part of a name in DNS is as long"

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("socket.getaddrinfo", broken)
    with pytest.raises(ZeroDivisionError):
        addresses("127.0.0.1")
