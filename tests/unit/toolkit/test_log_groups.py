"""A function's log group: when it differs from its declaration, and what is sent."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.aws.account import Place
from lambda_toolkit.changes import Change, Difference
from lambda_toolkit.errors import LimitError, OwnershipError
from lambda_toolkit.resources.functions.function import _Comparison
from lambda_toolkit.resources.monitoring import log_group
from lambda_toolkit.resources.planning.tags import TagChange
from lambda_toolkit.spec.model import FunctionSpec

OURS = {"managed-by": "lambda_script", "lambda-script:function": "f"}
NAME = "/aws/lambda/f"


class Calls(list[Any]):
    """AWS, which notes what it is asked."""

    def call(self, service: str, operation: str, **given: Any) -> None:
        self.append((operation, given))

    create = call

    def list_all(self, *_: str, **__: str) -> list[dict[str, str]]:
        return [{"logGroupName": "/shop/more"}, {"logGroupName": "/shop"}]


def plan(live: Any, live_tags: Any = OURS, *, is_ours: bool = False, **declared: Any) -> list[Change]:
    place: Any = Place("123456789012", "eu-west-2")
    reads = SimpleNamespace(
        arn=place.arn,
        named=lambda *_: live,
        tags=lambda *_: live_tags,
        once=lambda _, read: read(),
    )
    spec = FunctionSpec(**{"name": "f", "source": Path("f.py"), **declared})
    context: Any = SimpleNamespace(spec=spec, reads=reads, aws=Calls(), function_is_ours=lambda: is_ours)
    return log_group.plan(context)


@pytest.mark.parametrize(
    ("live", "days", "shown"),
    [
        ({}, 7, ("for ever", 7)),
        ({"retentionInDays": 3}, 7, (3, 7)),
        ({"retentionInDays": 7}, 7, None),
        ({}, None, None),
    ],
)
def test_log_group_is_kept_as_long_as_declared(live: dict[str, int], days: int | None, shown: Any) -> None:
    changes = plan(live, log_retention_days=days)
    found = [(each.live, each.desired) for change in changes for each in change.differences]
    assert found == ([shown] if shown else [])
    aws: Any = Calls()
    for change in changes:
        change.apply(aws)
    assert aws == ([("put_retention_policy", {"logGroupName": NAME, "retentionInDays": days})] if shown else [])


@pytest.mark.parametrize(("days", "said"), [(7, "kept for 7 days"), (None, "kept for ever")])
def test_log_group_is_created_with_its_retention(days: int | None, said: str) -> None:
    [change] = plan(None, log_retention_days=days)
    assert (change.action, *change.details) == ("create", said)
    aws: Any = Calls()
    change.apply(aws)
    assert aws[0][1]["tags"] == OURS
    assert [operation for operation, _ in aws] == ["create_log_group", *(["put_retention_policy"] if days else [])]


def test_log_group_without_tags_is_that_of_the_function() -> None:
    [change] = plan({}, {}, is_ours=True, log_retention_days=None)
    assert change.action == "update"
    assert plan({}, {}, adopt=True, log_retention_days=None)
    for tags, is_ours in (({}, False), ({**OURS, "lambda-script:function": "g"}, True)):
        with pytest.raises(OwnershipError):
            plan({}, tags, is_ours=is_ours)


def test_log_group_of_others_must_exist() -> None:
    assert plan(None, log_group="/shop") == []
    with pytest.raises(LimitError, match="the log group /sho does not exist"):
        plan(None, log_group="/sho")


def test_function_differs_in_its_code_its_layers_and_the_rest() -> None:
    code, layer, rest = (Difference(name, 1, 2) for name in ("code", "layers", "memory"))
    compared = _Comparison((code,), (layer,), (rest,), TagChange({}, (), ()))
    assert compared.found == (code, layer, rest)
    for parts, is_written in (((), (), ()), (False, False)), (((code,), (), ()), (False, True)):
        one = _Comparison(*parts, TagChange({}, (), ()))
        assert (one.configuration_differs, one.latest_differs) == is_written
    for parts in ((), (layer,), ()), ((), (), (rest,)):
        one = _Comparison(*parts, TagChange({}, (), ()))
        assert one.configuration_differs and one.latest_differs
