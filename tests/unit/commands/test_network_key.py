"""[vpc]: the network of all functions, of one, of none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lambda_script import FunctionSpec, Vpc
from lambda_toolkit.pipeline.client.target import without_network
from lambda_toolkit.pipeline.config.load import load
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
