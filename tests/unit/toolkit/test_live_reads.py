"""Functions, roles and network interfaces as AWS returns them, and how a function differs from its declaration."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import lambda_script
from lambda_script import Lambda_script
from lambda_toolkit.changes import Plan, Progress, Report
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.functions import function
from lambda_toolkit.resources.networks import interfaces
from lambda_toolkit.resources.networks.interfaces import Interfaces
from lambda_toolkit.resources.planning import live
from lambda_toolkit.resources.planning.live import LiveFunction, LiveRole
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.network import Vpc
from tests.support.answering_aws import AnsweringAccount, planning


class Aws:
    """AWS with an answer, or an error, of each operation; its waits look once."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, service: str, operation: str, **given: Any) -> Any:
        given.pop("also_retry", None)
        self.asked.append((operation, given))
        answer = self.answers.get(operation)
        if isinstance(answer, list) and operation == "get_function":
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    find = call

    def list_all(self, service: str, operation: str, key: str, **given: Any) -> Any:
        return self.call(service, operation, **given) or []

    def wait_until(self, read: Any, what: str, *, factor: float = 1.0) -> Any:
        for _ in range(3):
            if (found := read()) is not None:
                return found
        raise AwsError(f"{what}: not true")


OURS = {"managed-by": "lambda_script", "lambda-script:function": "f"}


def test_function_is_read_with_its_tags() -> None:
    configuration = {"FunctionName": "f", "Layers": [{"Arn": "a"}, {"Arn": "b"}], "Architectures": ["arm64"]}
    aws: Any = Aws(get_function=[{"Configuration": configuration, "Tags": OURS}])
    found = live.read_function(aws, "f")
    assert found is not None
    assert (found.tags, found.layers, found.architecture) == (OURS, ["a", "b"], "arm64")
    assert [found.is_ours("f"), found.is_ours("g")] == [True, False]
    plain = LiveFunction({}, {})
    assert (list(plain.layers), plain.architecture, plain.is_ours("f")) == ([], "x86_64", False)
    missing: Any = Aws(get_function=[None])
    assert live.read_function(missing, "f") is None
    for error, said in (({"Message": "no"}, "no"), ({"ErrorCode": "Denied"}, "Denied")):
        hidden: Any = Aws(get_function=[{"Configuration": {}, "TagsError": error}])
        with pytest.raises(AwsError, match=f"cannot be read: {said}\\. .*lambda:ListTags") as refused:
            live.read_function(hidden, "f")
        assert (refused.value.code, refused.value.operation) == ("AccessDeniedException", "lambda:ListTags")


ROLE = {
    "RoleName": "r",
    "Tags": [{"Key": "a", "Value": "1"}],
    "AssumeRolePolicyDocument": {"trust": 1},
    "PermissionsBoundary": {"PermissionsBoundaryArn": "arn"},
}


def test_role_is_the_same_from_a_list_and_alone() -> None:
    expected = LiveRole({"a": "1"}, {"trust": 1}, {"policy": 1}, "arn")
    alone: Any = Aws(get_role={"Role": ROLE}, get_role_policy={"PolicyDocument": {"policy": 1}})
    assert live.read_role(alone, "r") == expected
    assert alone.asked[1] == ("get_role_policy", {"RoleName": "r", "PolicyName": "lambda_script"})
    policies = [
        {"PolicyName": "theirs", "PolicyDocument": {}},
        {"PolicyName": "lambda_script", "PolicyDocument": {"policy": 1}},
    ]
    listed: Any = Aws(get_account_authorization_details={"RoleDetailList": [{**ROLE, "RolePolicyList": policies}]})
    assert live.list_roles(listed) == {"r": expected}
    bare: Any = Aws(get_role={"Role": {"RoleName": "r"}})
    nothing = LiveRole({}, None, None, "")
    assert live.read_role(bare, "r") == nothing
    of_bare: Any = Aws(get_account_authorization_details={"RoleDetailList": [{"RoleName": "r"}]})
    assert live.list_roles(of_bare) == {"r": nothing}
    absent: Any = Aws(get_account_authorization_details={})
    assert (live.read_role(absent, "r"), live.list_roles(absent)) == (None, {})
    denied: Any = Aws(get_account_authorization_details=AwsError("x", code="AccessDenied"))
    assert live.list_roles(denied) == {}
    failing: Any = Aws(get_account_authorization_details=AwsError("x", code="Other"))
    with pytest.raises(AwsError):
        live.list_roles(failing)


UUID = "12345678-1234-1234-1234-123456789012"


def interface(name: str, of: str, subnet: str = "s", group: str = "g") -> dict[str, Any]:
    description = f"AWS Lambda VPC ENI-{of}"
    groups = [{"GroupId": group}]
    return {"NetworkInterfaceId": name, "Description": description, "SubnetId": subnet, "Groups": groups}


def attached(name: str, *subnets: str, group: str = "g") -> dict[str, Any]:
    return {"FunctionName": name, "VpcConfig": {"SubnetIds": list(subnets), "SecurityGroupIds": [group]}}


PAIR = ("s", frozenset({"g"}))


@pytest.mark.parametrize(
    ("found", "functions", "wanted", "left"),
    [
        ([], [], Interfaces("f"), []),
        ([interface("e", f"f-{UUID}")], [], Interfaces("f"), ["e"]),
        ([interface("e", f"f-two-{UUID}")], [], Interfaces("f"), []),
        ([interface("e", f"other-{UUID}")], [], Interfaces("f"), []),
        ([interface("e", f"other-{UUID}")], [], Interfaces("f", frozenset({PAIR})), ["e"]),
        ([interface("e", f"other-{UUID}", "t")], [], Interfaces("f", frozenset({PAIR})), []),
        ([interface("e", f"other-{UUID}", group="h")], [], Interfaces("f", frozenset({PAIR})), []),
        ([interface("e", f"f-{UUID}")], [attached("other", "t", "s")], Interfaces("f"), []),
        ([interface("e", f"f-{UUID}")], [attached("other", "s", group="h")], Interfaces("f"), ["e"]),
        ([interface("e", f"f-{UUID}")], [attached("f", "s")], Interfaces("f"), ["e"]),
        ([interface("e", f"f-{UUID}")], [attached("x", "s")], Interfaces("f", removed=frozenset({"x"})), ["e"]),
        (
            [interface("e", f"f-{UUID}")],
            [{"FunctionName": "x"}, {"FunctionName": "y", "VpcConfig": {}}],
            Interfaces("f"),
            ["e"],
        ),
        ([interface("z", f"f-{UUID}"), interface("a", f"f-{UUID}", "t")], [], Interfaces("f"), ["a", "z"]),
    ],
)
def test_interfaces_that_are_left_are_those_of_no_other(
    found: Any, functions: Any, wanted: Interfaces, left: list[str]
) -> None:
    aws: Any = Aws(describe_network_interfaces=found, list_functions=functions)
    assert interfaces._left(aws, wanted) == left
    filters = [{"Name": "description", "Values": ["AWS Lambda VPC ENI*"]}]
    assert aws.asked[0] == ("describe_network_interfaces", {"Filters": filters})
    assert aws.asked[1:] in ([], [("list_functions", {"FunctionVersion": "ALL"})])
    if left:
        with pytest.raises(AwsError, match=f"Lambda still has {', '.join(left)} of f") as refused:
            interfaces.wait_until_deleted(aws, wanted)
        assert refused.value.code == "InterfacesLeft"
    else:
        interfaces.wait_until_deleted(aws, wanted)


VPC = Vpc(("s", "t"), ("g",))
PAIRS = {("s", frozenset({"g"})), ("t", frozenset({"g"}))}
OLD = {("old", frozenset({"g"}))}


@pytest.mark.parametrize(
    ("live", "vpc", "pairs"),
    [
        (None, None, set()),
        (None, VPC, PAIRS),
        (None, Vpc(), None),
        ({}, None, None),
        (attached("f", "s", "t"), None, PAIRS),
        ({}, Vpc(), OLD),
        (attached("f", "s", "t"), VPC, PAIRS | OLD),
    ],
)
def test_interfaces_of_a_removed_function_are_of_its_versions(live: Any, vpc: Any, pairs: Any) -> None:
    """Of one that does not exist any more, those of its name; of one in no network there are none."""
    aws: Any = AnsweringAccount(
        get_function={"Configuration": live, "Tags": OURS} if live is not None else None,
        list_versions_by_function=[attached("f", "old")],
    )
    found = interfaces.used(planning(aws, FunctionSpec("f", Path("f.py"), vpc=vpc)))
    assert found == (None if pairs is None else Interfaces("f", frozenset(pairs), is_declared=vpc is not None))
    assert ("list_versions_by_function" in dict(aws.operations)) is (live is not None and vpc is not None)


@pytest.mark.parametrize(
    ("code", "declared", "raises"),
    [
        ("UnauthorizedOperation", False, False),
        ("AccessDenied", False, False),
        ("UnauthorizedOperation", True, True),
        ("Other", False, True),
    ],
)
def test_who_may_not_look_at_interfaces_does_not_wait(code: str, declared: bool, raises: bool) -> None:
    aws: Any = Aws(describe_network_interfaces=AwsError("x", code=code))
    wanted = Interfaces("f", is_declared=declared)
    if raises:
        with pytest.raises(AwsError) as refused:
            interfaces.wait_until_deleted(aws, wanted)
        assert refused.value.code == code
    else:
        interfaces.wait_until_deleted(aws, wanted)


LIVE = {"FunctionName": "f", "Timeout": 60, "Description": "d", "Environment": {"Variables": {"A": "x"}}}


@pytest.mark.parametrize(
    ("configuration", "desired", "differences"),
    [
        (LIVE, {"Timeout": 60, "Description": "d", "Environment": {"A": "x"}}, []),
        (LIVE, {"Timeout": 5}, ["Timeout: 60 -> 5"]),
        (LIVE, {"Description": ""}, ["Description: d -> none"]),
        ({}, {"Description": ""}, []),
        ({"Description": None}, {"Description": "d"}, ["Description: none -> d"]),
        (LIVE, {"Environment": {}}, ["Environment.A: x -> none"]),
        ({}, {"Environment": {"B": "y"}}, ["Environment.B: none -> y"]),
        ({"Environment": None}, {"Environment": {}}, []),
        (LIVE, {"KMSKeyArn": "k"}, ["KMSKeyArn: none -> k"]),
        ({"TracingConfig": None}, {"TracingConfig": {"Mode": "Active"}}, ["TracingConfig.Mode: PassThrough -> Active"]),
    ],
)
def test_configuration_is_compared_by_attribute(configuration: Any, desired: Any, differences: list[str]) -> None:
    found = function._configured(LiveFunction(configuration, {}), desired, ())
    assert list(map(str, found)) == differences


def test_variables_that_cannot_be_read_are_an_error() -> None:
    for code in ("AccessDenied", "AccessDeniedException"):
        hidden = LiveFunction(
            {"FunctionName": "f", "Environment": {"Error": {"ErrorCode": code, "Message": "no."}}}, {}
        )
        with pytest.raises(AwsError, match=r"lambda:GetFunction f: .* cannot be read: no\. .*kms:Decrypt") as refused:
            function._configured(hidden, {"Environment": {}}, ())
        assert (refused.value.code, refused.value.operation) == (code, "kms:Decrypt")
        function._configured(hidden, {"Timeout": 5}, ())
    other = LiveFunction({"Environment": {"Error": {"ErrorCode": "Other"}}}, {})
    function._configured(other, {"Environment": {}}, ())


def test_function_is_waited_for_until_its_update_ends() -> None:
    def states(*found: dict[str, str]) -> Any:
        return Aws(get_function=[{"Configuration": each} for each in found])

    ready = {"State": "Active", "LastUpdateStatus": "Successful"}
    aws = states({"State": "Pending"}, {"State": "Active", "LastUpdateStatus": "InProgress"}, ready)
    assert function._wait_until_ready(aws, "f") == ready
    assert len(aws.asked) == 3
    for failed in (
        {"State": "Failed", "StateReason": "no subnet"},
        {"State": "Active", "LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no subnet"},
    ):
        with pytest.raises(AwsError, match=r"Lambda could not set up f: no subnet\.") as refused:
            function._wait_until_ready(states(failed), "f")
        assert refused.value.code == "Failed"
    with pytest.raises(AwsError, match="no reason given"):
        function._wait_until_ready(states({"State": "Failed"}), "f")


def test_new_function_is_shown_with_what_it_costs() -> None:
    spec = FunctionSpec("f", Path("f.py"), runtime="python3.12", memory=256, timeout=5)
    desired: Any = SimpleNamespace(package=SimpleNamespace(content=bytes(1500)), layer=None)
    assert function._creation(spec, desired).details == ("python3.12, 256 MB, 5 s", "1.5 kB of code")


def test_large_package_goes_through_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function, "DIRECT_UPLOAD", 3)
    monkeypatch.setattr(function, "upload", lambda aws, bucket, key, content: {"S3Bucket": bucket, "S3Key": key})
    spec = FunctionSpec("f", Path("f.py"), artifact_bucket="lake")
    aws: Any = Aws()
    small: Any = SimpleNamespace(content=b"123", sha256="a+b/c=")
    assert function._code(aws, spec, small) == {"ZipFile": b"123"}
    large: Any = SimpleNamespace(content=b"1234", sha256="a+b/c=")
    assert function._code(aws, spec, large) == {"S3Bucket": "lake", "S3Key": "f-a-b_c_.zip"}


def test_own_progress_takes_the_place_of_the_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(lambda_script, "plan_destroy", lambda *given, **named: Plan())
    monkeypatch.setattr(lambda_script, "plan", lambda *given, **named: Plan())
    monkeypatch.setattr(lambda_script, "shown_on_terminal", lambda plan: "the terminal's")

    def apply_all(plan: Plan, aws: Any, on_progress: Any) -> Report:
        shown.append(on_progress)
        return Report()

    monkeypatch.setattr(lambda_script, "apply_all", apply_all)

    def own(progress: Progress) -> None:
        """Nothing."""

    aws: Any = Aws()
    script = Lambda_script("f.py", aws=aws)
    for call in (script.deploy, script.destroy):
        call()
        call(own)
    assert shown == ["the terminal's", own, "the terminal's", own]
