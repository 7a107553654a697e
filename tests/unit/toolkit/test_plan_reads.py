"""The reads of a plan: each once, from a list where an entry is as declared, and else of the resource itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.aws.account import Place
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning import tags
from lambda_toolkit.resources.planning.live import LiveRole
from lambda_toolkit.resources.planning.reads import Listing, Reads
from lambda_toolkit.spec.model import FunctionSpec

SCOPE = {"application": "shop", "stage": "dev"}
OWN = {**SCOPE, "managed-by": "lambda_script", "lambda-script:function": "shop-a"}
ARN = "arn:aws:lambda:eu-west-2:123456789012:function:shop-a"
RULES = Listing("events", "list_rules", "Rules", "NamePrefix", "Name", start="x/")


class Aws:
    """AWS with an answer of each operation; notes what it is asked."""

    account_id = "123456789012"

    def __init__(self, page: Any = None, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.account = SimpleNamespace(take_functions=lambda: self.call("lambda", "page"))
        self.answers["page"] = page or {}

    def arn(self, service: str, resource: str) -> str:
        return Place("123456789012", "eu-west-2").arn(service, resource)

    def call(self, service: str, operation: str, **given: Any) -> Any:
        self.asked.append((operation, given))
        answer = self.answers.get(operation)
        if isinstance(answer, Exception):
            raise answer
        return answer

    find = call

    def list_all(self, service: str, operation: str, key: str, **given: Any) -> Any:
        return self.call(service, operation, **given) or []

    @property
    def operations(self) -> list[str]:
        return [name for name, _ in self.asked]


def spec(name: str = "shop-a", **different: Any) -> FunctionSpec:
    return FunctionSpec(name, Path("f.py"), tags=SCOPE, **different)


def tagged(**labels: str) -> list[dict[str, Any]]:
    return [{"ResourceARN": ARN, "Tags": [{"Key": key, "Value": value} for key, value in {**OWN, **labels}.items()]}]


LISTED = {"FunctionName": "shop-a", "Timeout": 5}
ALONE = {"get_function": {"Configuration": {"FunctionName": "shop-a", "Timeout": 60}, "Tags": OWN}}


@pytest.mark.parametrize(
    ("functions", "application", "page", "timeout"),
    [
        (2, "shop", {"Functions": [{"FunctionName": "x"}, LISTED]}, 5),
        (1, "shop", {"Functions": [LISTED]}, 60),
        (2, "", {"Functions": [LISTED]}, 60),
        (2, "shop", {"Functions": [{"FunctionName": "x"}]}, 60),
        (2, "shop", {}, 60),
        (2, "shop", {"Functions": [{**LISTED, "Environment": {"Error": {}}}]}, 60),
        (2, "shop", {"Functions": [{**LISTED, "Environment": None}]}, 5),
    ],
)
def test_function_is_taken_from_the_list_of_several(functions: int, application: str, page: Any, timeout: int) -> None:
    aws: Any = Aws(page, get_resources=tagged(), **ALONE)
    declared = [spec(), spec("shop-b")][:functions]
    reads = Reads(aws, declared, application=application)
    for _ in range(2):
        found = reads.function(spec())
        assert found is not None
        assert (found.configuration["Timeout"], found.tags) == (timeout, OWN)
    assert aws.operations.count("get_function") == (timeout == 60)
    assert aws.operations.count("page") <= 1


@pytest.mark.parametrize(
    ("listed", "read"), [(tagged(), 0), (tagged(stage="prod"), 1), ([], 1), (AwsError("x", code="AccessDenied"), 1)]
)
def test_tags_of_the_list_count_where_they_are_as_declared(listed: Any, read: int) -> None:
    aws: Any = Aws(get_resources=listed)
    asked: list[int] = []

    def own() -> dict[str, str]:
        asked.append(1)
        return {"own": "1"}

    found = Reads(aws).tags(ARN, SCOPE, "shop-a", own)
    assert (len(asked), found) == (read, {"own": "1"} if read else OWN)
    assert Reads(aws).tags(ARN, {}, "shop-a", own) == {"own": "1"}
    assert aws.operations == ["get_resources"]


def test_list_by_tags_is_that_of_the_application_and_stage() -> None:
    aws: Any = Aws(get_resources=tagged())
    assert tags.read_tagged(aws, "shop", "dev") == {ARN: OWN}
    wanted = {"managed-by": "lambda_script", **SCOPE}
    filters = [{"Key": key, "Values": [value]} for key, value in wanted.items()]
    assert aws.asked == [("get_resources", {"ResourcesPerPage": 100, "TagFilters": filters})]
    failing: Any = Aws(get_resources=AwsError("x", code="Other"))
    with pytest.raises(AwsError):
        tags.read_tagged(failing, "shop", "dev")


def test_all_functions_are_on_the_first_page_or_listed() -> None:
    whole: Any = Aws({"Functions": [LISTED]})
    assert Reads(whole).all_functions() == [LISTED]
    assert whole.operations == ["page"]
    for page in ({"Functions": [LISTED], "NextMarker": "m"}, {}):
        more: Any = Aws(page, list_functions=[LISTED, LISTED])
        assert Reads(more).all_functions() == [LISTED, LISTED]
    empty: Any = Aws({"Functions": None, "NextMarker": None})
    assert Reads(empty).all_functions() == []
    assert [Reads(whole).is_listed(name) for name in ("shop-a", "shop-b")] == [True, False]


def test_account_is_read_once_and_not_for_a_bucket() -> None:
    aws: Any = Aws()
    reads = Reads(aws)
    assert reads.arn("s3", "lake") == "arn:aws:s3:::lake"
    assert aws.operations == []
    assert reads.arn("sns", "t") == "arn:aws:sns:eu-west-2:123456789012:t"
    assert (reads.account_id, reads.account_id) == ("123456789012",) * 2
    assert aws.operations == ["page"]


ROLE = {"RoleName": "r"}
DETAILS = {"get_account_authorization_details": {"RoleDetailList": [ROLE]}, "get_role": {"Role": ROLE}}


@pytest.mark.parametrize(
    ("own", "given", "as_declared", "bulk", "alone"),
    [(8, 0, True, 1, 0), (8, 3, True, 1, 0), (8, 0, False, 1, 1), (7, 3, True, 0, 1)],
)
def test_roles_are_listed_for_many_functions(own: int, given: int, as_declared: bool, bulk: int, alone: int) -> None:
    aws: Any = Aws(**DETAILS)
    functions = [spec(f"shop-{number}") for number in range(own)]
    functions += [spec(f"given-{number}", role="arn") for number in range(given)]
    reads = Reads(aws, functions, application="shop")
    for _ in range(2):
        assert reads.role("r", lambda _: as_declared) == LiveRole({}, None, None, "")
    assert aws.operations.count("get_account_authorization_details") == bulk
    assert aws.operations.count("get_role") == alone
    assert list(reads.prefetch_roles()) == ["roles"] * bulk


def test_resources_are_listed_by_the_name_that_all_share() -> None:
    rules = [{"Name": "shop-a-schedule"}, {"Name": "shop-b-schedule"}]
    aws: Any = Aws(list_rules=rules)
    reads = Reads(aws, [spec("shop-dev-a"), spec("shop-dev-b")], application="shop")
    assert reads.listed(RULES, "shop-dev-a") == reads.listed(RULES, "shop-dev-b") == rules
    assert reads.named(RULES, "shop-dev-a", "shop-b-schedule") == rules[1]
    assert reads.named(RULES, "shop-dev-a", "none") is None
    assert aws.asked == [("list_rules", {"NamePrefix": "x/shop-dev-"})]
    assert list(reads.prefetch_listed(RULES, "shop-dev-a")) == list(reads.prefetch_listed(RULES, "shop-dev-b"))
    reads.listed(RULES, "other")
    assert aws.asked[-1] == ("list_rules", {"NamePrefix": "x/other"})


def test_reads_that_start_early_are_those_of_the_declaration() -> None:
    aws: Any = Aws(get_resources=[])
    reads = Reads(aws)
    wanted = reads.prefetch_functions(spec())
    assert list(wanted) == ["functions", ("tagged", "shop", "dev")]
    for read in wanted.values():
        read()
    assert aws.operations == ["page", "get_resources"]
    assert list(reads.prefetch_functions(FunctionSpec("f", Path("f.py")))) == ["functions"]
    assert reads.prefetch_roles() == {}
