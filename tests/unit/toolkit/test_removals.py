"""What a deployment no longer declares: which roles, layers and shared resources are its own, and which stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.changes import Change
from lambda_toolkit.deploy import removal
from lambda_toolkit.errors import AwsError
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.catalog import CatalogSpec
from lambda_toolkit.spec.model import DashboardSpec, Deployment, FunctionSpec, Kind, SecretSpec, TopicSpec
from lambda_toolkit.spec.schedules.schedule import Schedule

SCOPE = {"application": "shop", "stage": "dev"}
OURS = {**SCOPE, "managed-by": "lambda_script"}
ARN = "arn:aws:{}:eu-west-2:123456789012:{}"


class Aws:
    """IAM with roles: by name, their tags; ``None`` of one that was deleted since it was listed."""

    def __init__(self, roles: dict[str, dict[str, str] | None], error: AwsError | None = None) -> None:
        self.roles, self.error = roles, error
        self.read: list[str] = []

    @property
    def aws(self) -> Any:
        return self

    def list_all(self, service: str, operation: str, key: str, **given: Any) -> Any:
        assert (service, operation, key, given) == ("iam", "list_roles", "Roles", {"MaxItems": 1000})
        if self.error:
            raise self.error
        return [{"RoleName": name} for name in self.roles]

    def find(self, service: str, operation: str, *, RoleName: str) -> Any:  # noqa: N803 - AWS's name
        self.read.append(RoleName)
        tags = self.roles[RoleName]
        if tags is None:
            return None
        return {"Role": {"Arn": f"arn:{RoleName}", "Tags": [{"Key": key, "Value": tags[key]} for key in tags]}}


def spec(name: str, **different: Any) -> FunctionSpec:
    return FunctionSpec(name, Path("f.py"), **different)


def deployment(**parts: Any) -> Deployment:
    return Deployment(**{"application": "shop", "stage": "dev", **parts})


def test_roles_without_a_function_are_found_by_name_and_tags() -> None:
    of = {**OURS, "lambda-script:function": "shop-dev-old"}
    roles: dict[str, Any] = {
        "shop-dev-old-role": of,
        "shop-dev-old.schedule-role": of,
        "shop-dev-one-role": of,
        "shop-dev-one.schedule-role": of,
        "shop-dev-plain-role": OURS,
        "shop-dev-theirs-role": {**of, "managed-by": "me"},
        "shop-dev-staged-role": {**of, "stage": "prod"},
        "shop-dev-applied-role": {**of, "application": "other"},
        "shop-dev-deleted-role": None,
        "shop-dev-old-user": of,
        "shop-prod-old-role": of,
    }
    aws: Any = Aws(roles)
    daily = (Schedule("rate(1 day)"),)
    declared = {"shop-dev-one": spec("shop-dev-one", schedules=daily)}
    found = removal._orphaned_roles(aws, deployment(), declared)
    both = [("shop-dev-old", "arn:shop-dev-old-role"), ("shop-dev-old", "arn:shop-dev-old.schedule-role")]
    assert found == both
    ours = [name for name in roles if name.startswith("shop-dev-") and name.endswith("-role")]
    assert sorted(aws.read) == sorted(name for name in ours if "-one" not in name)
    for other in ({"schedules": ()}, {"schedules": daily, "schedule_role": "arn:given"}):
        found = removal._orphaned_roles(aws, deployment(), {"shop-dev-one": spec("shop-dev-one", **other)})
        assert found == [*both, ("shop-dev-old", "arn:shop-dev-one.schedule-role")]


def test_roles_are_not_listed_where_all_are_given_or_none_may_be() -> None:
    aws: Any = Aws({}, AwsError("x", code="AccessDenied"))
    assert removal._orphaned_roles(aws, deployment(), {"f": spec("f", role="arn:given")}) == []
    mixed = {"f": spec("f", role="arn:given"), "g": spec("g")}
    assert removal._orphaned_roles(aws, deployment(), mixed) is None
    assert removal._orphaned_roles(aws, deployment(), {}) is None
    failing: Any = Aws({}, AwsError("x", code="Other"))
    with pytest.raises(AwsError):
        removal._orphaned_roles(failing, deployment(), {})


def test_layers_are_looked_for_where_requirements_are(monkeypatch: pytest.MonkeyPatch) -> None:
    aws: Any = Aws({})
    monkeypatch.setattr(removal.layer, "orphaned", lambda reads: ["l"])
    required = deployment(functions=(spec("f"), spec("g", requirements=("click",))))
    assert removal._orphaned_layers(aws, required) == ["l"]
    assert removal._orphaned_layers(aws, deployment(functions=(spec("f"),))) == []

    def refuse(code: str) -> None:
        def orphaned(reads: object) -> list[str]:
            raise AwsError("x", code=code)

        monkeypatch.setattr(removal.layer, "orphaned", orphaned)

    refuse("AccessDenied")
    assert removal._orphaned_layers(aws, required) is None
    refuse("Other")
    with pytest.raises(AwsError):
        removal._orphaned_layers(aws, required)


KINDS = {"topic": Kind.TOPIC, "catalog": Kind.CATALOG, "bucket": Kind.BUCKET, "secret": Kind.SECRET}
TAGGED = {
    ARN.format("sns", "old"): OURS,
    ARN.format("sns", "alerts"): OURS,
    ARN.format("sns", "of-function"): {**OURS, "lambda-script:function": "f"},
    ARN.format("glue", "database/old"): OURS,
    ARN.format("glue", "database/shop"): OURS,
    "arn:aws:s3:::old": OURS,
    "arn:aws:s3:::lake": OURS,
    ARN.format("secretsmanager", "secret:old-a1B2c3"): OURS,
    ARN.format("secretsmanager", "secret:source-a1B2c3"): OURS,
    ARN.format("secretsmanager", "secret:theirs-a1B2c3"): OURS,
    ARN.format("scheduler", "schedule-group/old"): OURS,
}


@pytest.mark.parametrize("delete_data", [True, False])
def test_shared_resources_that_are_not_declared(monkeypatch: pytest.MonkeyPatch, delete_data: bool) -> None:
    for name, kind in KINDS.items():

        def plan_removal(reads: object, item: Any, *after: Any, kind: Kind = kind) -> list[Change]:
            assert item.tags == SCOPE
            assert after in ((), (users,))
            return [Change(kind, item.name, "delete", apply=lambda _: None)]

        monkeypatch.setattr(getattr(removal, name), "plan_removal", plan_removal)
    users = frozenset({(Kind.FUNCTION, "f")})
    declared = deployment(
        topics=(TopicSpec("alerts"),),
        buckets=(BucketSpec("lake"),),
        secrets=(SecretSpec("source"),),
        catalogs=(CatalogSpec("shop"),),
        secrets_of_others=(ARN.format("secretsmanager", "secret:theirs-a1B2c3"),),
    )
    reads: Any = Aws({})
    found = removal._plan_shared(reads, declared, TAGGED, delete_data, users)
    data = [(Kind.BUCKET, "old"), (Kind.SECRET, "old")]
    others = [(Kind.CATALOG, "old"), (Kind.TOPIC, "old")]
    assert {change.key for change in found.changes} == {*others, *(data if delete_data else ())}
    kept = [f"{kind} old is no longer declared and is kept with its content" for kind in ("bucket", "secret")]
    assert (found.notes, found.keeps_data) == (([], False) if delete_data else (kept, True))


def test_dashboards_are_looked_for_where_one_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    change = Change(Kind.DASHBOARD, "old", "delete", apply=lambda _: None)
    declared = deployment(dashboards=(DashboardSpec("d", {"widgets": []}),))
    reads: Any = Aws({})
    asked: list[Any] = []

    def answer(found: list[Change] | None) -> None:
        def plan_undeclared(*given: Any) -> list[Change] | None:
            asked.append(given)
            return found

        monkeypatch.setattr(removal.dashboard, "plan_undeclared", plan_undeclared)

    answer([change])
    assert removal._plan_shared(reads, declared, {}, False, frozenset()).changes == [change]
    assert asked == [(reads, declared, SCOPE)]
    assert removal._plan_shared(reads, deployment(), {}, False, frozenset()).changes == []
    assert len(asked) == 1
    answer(None)
    denied = removal._plan_shared(reads, declared, {}, False, frozenset())
    assert [note.split(":")[0] for note in denied.notes] == ["undeclared dashboards were not looked for"]
    assert denied.keeps_data is False
