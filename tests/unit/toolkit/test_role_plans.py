"""Roles as they are planned, of functions and of their schedules; and whose resources no plan changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.aws.account import Place
from lambda_toolkit.errors import AwsError, OwnershipError
from lambda_toolkit.resources.account import bucket, catalog, role, secret, topic
from lambda_toolkit.resources.account.role import policy_document
from lambda_toolkit.resources.functions import version
from lambda_toolkit.resources.monitoring import alarm, log_group
from lambda_toolkit.resources.registry import ATTACHMENTS
from lambda_toolkit.resources.schedules import schedule_group, schedule_role
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.catalog import CatalogSpec, CatalogTable
from lambda_toolkit.spec.model import Alarm, FunctionSpec, Kind, SecretSpec, TopicSpec
from lambda_toolkit.spec.ownership import as_list
from lambda_toolkit.spec.schedules.schedule import Schedule
from tests.support.answering_aws import AnsweringAccount, planning

HERE = Place("123456789012", "eu-west-2")
LIMITS = "arn:aws:iam::123456789012:policy/limits"
SCOPE = {"application": "shop", "stage": "dev"}
OURS = {**SCOPE, "managed-by": "lambda_script", "lambda-script:function": "f"}
NAMES = {role: "f-role", schedule_role: "f.schedule-role"}


def spec(**different: Any) -> FunctionSpec:
    declared = {"tags": SCOPE, "permissions": [], "permissions_boundary": LIMITS, "alarms": (Alarm("a", "Errors"),)}
    return FunctionSpec("f", Path("f.py"), **{**declared, "schedules": (Schedule("rate(1 day)"),), **different})


SPEC = spec()
TRUST = {role: role.TRUST, schedule_role: schedule_role.trust_policy(SPEC, HERE)}
POLICY = {
    role: policy_document(SPEC, HERE, ATTACHMENTS),
    schedule_role: schedule_role.invoke_policy(SPEC, HERE),
}


def with_role(module: Any, tags: Any = OURS, boundary: str = LIMITS, **documents: Any) -> Any:
    live = {
        "Tags": as_list(tags),
        "AssumeRolePolicyDocument": documents.get("trust", TRUST[module]),
        "PermissionsBoundary": {"PermissionsBoundaryArn": boundary} if boundary else None,
    }
    return AnsweringAccount(
        get_role={"Role": live}, get_role_policy={"PolicyDocument": documents.get("policy", POLICY[module])}
    )


@pytest.mark.parametrize("module", NAMES)
@pytest.mark.parametrize(
    ("different", "declared", "attributes", "operations"),
    [
        ({}, {}, set(), ""),
        ({"trust": {"Statement": []}}, {}, {"trust"}, "update_assume_role_policy"),
        ({"policy": None}, {}, {"policy"}, "put_role_policy"),
        ({"boundary": ""}, {}, {"boundary"}, "put_role_permissions_boundary"),
        ({}, {"permissions_boundary": ""}, {"boundary"}, "delete_role_permissions_boundary"),
        ({"boundary": ""}, {"permissions_boundary": None}, set(), ""),
        ({"tags": {**OURS, "team": "x"}}, {"tags": {**SCOPE, "team": ""}}, {"tags"}, "untag_role"),
        (
            {"trust": None, "policy": None, "boundary": "", "tags": {**OURS, "stage": "dev", "application": "shop"}},
            {},
            {"trust", "policy", "boundary"},
            "put_role_permissions_boundary update_assume_role_policy put_role_policy",
        ),
    ],
)
def test_only_what_differs_of_a_role_is_written(
    module: Any, different: Any, declared: Any, attributes: set[str], operations: str
) -> None:
    """The boundary first: who deploys may be allowed to write bounded roles alone."""
    aws = with_role(module, **different)
    changes = module.plan(planning(aws, spec(**declared)))
    assert [(change.kind, change.name, change.action) for change in changes] == (
        [(module.KIND, NAMES[module], "update")] if attributes else []
    )
    found = [item for change in changes for item in change.differences]
    assert {item.attribute.partition(".")[0] for item in found} == attributes
    assert all(item.live is None for item in found if item.attribute.startswith(("trust.", "policy.")))
    for change in changes:
        change.apply(aws)
    documents = {"update_assume_role_policy": TRUST[module], "put_role_policy": POLICY[module]}
    assert {service for service, *_ in aws.asked} == {"iam", "lambda"}, "the latter for the account"
    for operation, given in aws.writes:
        assert given["RoleName"] == NAMES[module]
        if operation in documents:
            assert json.loads(given["PolicyDocument"]) == documents[operation]
    assert " ".join(operation for operation, _ in aws.writes) == operations


@pytest.mark.parametrize("module", NAMES)
def test_role_that_is_missing_is_made_within_its_boundary(module: Any) -> None:
    aws: Any = AnsweringAccount()
    [change] = module.plan(planning(aws, SPEC))
    assert (change.kind, change.name, change.action) == (module.KIND, NAMES[module], "create")
    change.apply(aws)
    (_, created), (_, policy) = aws.writes
    assert (created["RoleName"], created["PermissionsBoundary"]) == (NAMES[module], LIMITS)
    assert (created["Tags"], json.loads(created["AssumeRolePolicyDocument"])) == (as_list(OURS), TRUST[module])
    assert (policy["PolicyName"], json.loads(policy["PolicyDocument"])) == ("lambda_script", POLICY[module])
    unbounded: Any = AnsweringAccount()
    module.plan(planning(unbounded, spec(permissions_boundary="")))[0].apply(unbounded)
    assert "PermissionsBoundary" not in unbounded.writes[0][1]


@pytest.mark.parametrize(
    ("used", "removed"), [({"f.a": "own"}, True), ({"f.b": "own"}, True), ({"f.a": "other"}, False), ({}, False)]
)
def test_own_role_of_schedules_is_removed_once_none_uses_it(used: dict[str, str], removed: bool) -> None:
    """After the schedules that got another one; without a schedule that has it, nothing of IAM is read."""
    own = "arn:aws:iam::123456789012:role/f.schedule-role"
    targets = {name: {"Target": {"RoleArn": own if of == "own" else of}} for name, of in used.items()}
    aws = with_role(schedule_role)
    aws.answers |= {
        "list_schedules": [{"Name": "f.a"}, {"Name": "f.b"}],
        "get_schedule": lambda **on: targets.get(on["Name"], None if on["Name"] == "f.a" else {"Target": None}),
    }
    schedules = (Schedule("rate(1 day)", name="a"), Schedule("rate(1 day)", name="b"))
    declared = spec(schedules=schedules, schedule_role="arn:aws:iam::123456789012:role/x")
    changes = schedule_role.plan(planning(aws, declared))
    keys = {(Kind.SCHEDULE, "f.a"), (Kind.SCHEDULE, "f.b")}
    assert [(change.action, change.name, change.after) for change in changes] == (
        [("delete", "f.schedule-role", keys)] if removed else []
    )
    assert any(service == "iam" for service, *_ in aws.asked) is removed


def test_role_that_its_function_lost_may_not_decrypt() -> None:
    """The grant on the key of its variables was for the former role; the plan says what to do then."""
    live = {"Configuration": {"FunctionName": "f"}, "Tags": OURS}
    for found, environment, says in ((live, {"A": "x"}, True), (live, {}, False), (None, {"A": "x"}, False)):
        aws: Any = AnsweringAccount(get_function=found)
        [change] = role.plan(planning(aws, spec(environment=environment)))
        statements, *more = change.details
        assert (statements, len(more)) == ("1 statement", says), "that of its log"
        assert all("delete the function f and deploy again" in each for each in more)


FUNCTIONS, SHARED = (
    (role, schedule_role, log_group, alarm),
    {
        bucket: BucketSpec,
        topic: TopicSpec,
        secret: SecretSpec,
        catalog: CatalogSpec,
    },
)


@pytest.mark.parametrize("module", [*FUNCTIONS, *SHARED])
@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({}, "exists already and is not managed by this toolkit"),
        ({**OURS, "managed-by": "me"}, "exists already and is not managed by this toolkit"),
        ({**OURS, "stage": "prod"}, "belongs to application `shop`, stage `prod`"),
        ({**OURS, "lambda-script:function": "g"}, "belongs to the function `g`"),
    ],
)
def test_resource_of_others_is_adopted_or_left_unchanged(module: Any, tags: dict[str, str], says: str) -> None:
    aws: Any = AnsweringAccount(
        get_role={"Role": {"Tags": as_list(tags)}},
        list_tags_for_resource={"Tags": as_list(tags), "tags": tags},
        describe_alarms=[{"AlarmName": "f-a"}],
        describe_log_groups=[{"logGroupName": "/aws/lambda/f"}],
        get_topic_attributes={"Attributes": {}},
        get_bucket_tagging={"TagSet": as_list(tags)},
        describe_secret={"Tags": as_list(tags)},
        get_database={},
        get_tags={"Tags": tags},
    )

    def planned(adopt: bool) -> Any:
        if module in SHARED:
            return module.plan(aws, SHARED[module]("x", tags=SCOPE, adopt=adopt))
        return module.plan(planning(aws, spec(adopt=adopt)))

    if module not in SHARED or "function" not in says:
        with pytest.raises(OwnershipError, match=says):
            planned(False)
    assert [change.action for change in planned(True)] in (["update"], [])
    assert aws.writes == []


def test_table_of_others_is_adopted_with_a_mark() -> None:
    table = CatalogTable("t", (), "s3://lake/")
    made: Any = AnsweringAccount()
    catalog.plan(made, CatalogSpec("c", (table,)))[0].apply(made)
    live = {**made.writes[1][1]["TableInput"], "Parameters": None}
    aws: Any = AnsweringAccount(get_database={}, get_tags={"Tags": OURS}, get_tables=[live])
    with pytest.raises(OwnershipError, match=r"catalog `c.t` exists already"):
        catalog.plan(aws, CatalogSpec("c", (table,)))
    [change] = catalog.plan(aws, CatalogSpec("c", (table,), adopt=True))
    assert list(map(str, change.differences)) == ["tables.t.managed-by: none -> lambda_script"]
    change.apply(aws)
    [(operation, given)] = aws.writes
    assert (operation, given["DatabaseName"], given["SkipArchive"]) == ("update_table", "c", True)
    assert given["TableInput"]["Parameters"]["managed-by"] == "lambda_script"


def test_what_was_deleted_meanwhile_is_no_error() -> None:
    """Between the plan and its change, or between two reads."""
    aws: Any = AnsweringAccount(get_database={}, list_versions_by_function=[{"Version": "1"}])
    bucket._empty(aws, "lake")
    version.delete_failed(aws, "f")
    aws.answers["list_schedules"] = AwsError("x", code="ResourceNotFoundException")
    schedule_group._removal("shop-dev", frozenset()).apply(aws)
    assert aws.writes == [("delete_schedule_group", {"Name": "shop-dev"})]
    assert topic._kms_key(aws, "arn") == ""
    owned: Any = AnsweringAccount(get_database={}, get_tags={"Tags": OURS})
    [deletion] = catalog.plan_removal(owned, CatalogSpec("c"))
    owned.answers["get_database"] = None
    deletion.apply(owned)
    assert owned.writes == []
    assert catalog.plan_removal(aws, CatalogSpec("c")) == [], "a database without tags"
