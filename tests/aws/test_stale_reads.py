"""Stale reads: a new resource is not shown yet. Nothing is created twice or lost."""

from __future__ import annotations

import pytest

from lambda_script import Alarm, AwsError, DeployError, PlanError

LISTS = [
    ("lambda", "ListFunctions", "Functions"),
    ("events", "ListRules", "Rules"),
    ("events", "ListTargetsByRule", "Targets"),
    ("logs", "DescribeLogGroups", "logGroups"),
    ("cloudwatch", "DescribeAlarms", "MetricAlarms"),
    ("resourcegroupstaggingapi", "GetResources", "ResourceTagMappingList"),
]
THINGS = [
    ("GetRole", "NoSuchEntity"),
    ("GetRolePolicy", "NoSuchEntity"),
    ("GetFunction", "ResourceNotFoundException"),
    ("GetAlias", "ResourceNotFoundException"),
    ("GetPolicy", "ResourceNotFoundException"),
]


@pytest.fixture
def declared(script):
    return lambda: script(schedule="@daily", alarms=[Alarm("errors", "Errors")])


def settle(declared, client) -> None:
    """Deploy while a read lags, then again: in the end all is as declared, once."""
    try:
        declared().deploy()
    except (AwsError, DeployError, PlanError) as error:
        assert "exist" in str(error).lower(), error  # it is there: what was read said that it was not
    declared().deploy()
    assert not declared().plan()
    functions = client("lambda").list_functions()["Functions"]
    assert [item["FunctionName"] for item in functions] == ["my-function"]
    assert client("lambda").get_alias(FunctionName="my-function", Name="live")["FunctionVersion"] == "1"
    assert (
        len(client("events").list_rules()["Rules"]) == len(client("cloudwatch").describe_alarms()["MetricAlarms"]) == 1
    )
    assert len(client("events").list_targets_by_rule(Rule="my-function-schedule")["Targets"]) == 1


@pytest.mark.parametrize(("service", "operation", "key"), LISTS, ids=lambda value: value)
def test_a_list_without_it(declared, session, client, service, operation, key) -> None:
    declared().deploy()
    lags = [True]

    def without(parsed: dict, **_: object) -> None:
        if lags:
            lags.clear()
            parsed[key] = []

    session.events.register(f"after-call.{service}.{operation}", without)
    settle(declared, client)


@pytest.mark.parametrize(("operation", "code"), THINGS)
def test_a_thing_that_is_said_not_to_be_there(declared, recorder, client, operation, code) -> None:
    declared().deploy()
    recorder.refuse(operation, code, "it is not there", times=1)
    settle(declared, client)
