"""The dashboard: written once, drift by widget, its owner, removed by destroy and when it is no longer declared."""

from __future__ import annotations

import json

import pytest

from lambda_script import AwsError, LimitError, OwnershipError
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.spec.model import DashboardSpec, Deployment

NAME = "shop-dev"
GRAPH = {
    "type": "metric",
    "x": 0,
    "y": 0,
    "width": 12,
    "height": 6,
    "properties": {
        "title": "Errors",
        "region": "eu-west-2",
        "period": 300,
        "metrics": [["AWS/Lambda", "Errors", "FunctionName", "f", {"stat": "Sum"}]],
    },
}
SPEC = DashboardSpec(NAME, {"start": "-PT12H", "widgets": [GRAPH]})


def deployment(*dashboards: DashboardSpec, stage: str = "dev", **more) -> Deployment:
    return Deployment(dashboards=dashboards, application="shop", stage=stage, **more)


def live(client, name: str = NAME) -> dict:
    return json.loads(client("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"])


def names(client) -> list[str]:
    return [item["DashboardName"] for item in client("cloudwatch").list_dashboards()["DashboardEntries"]]


def deploy(aws, wanted: Deployment, *, prune: bool = False) -> None:
    assert execute(aws, make_plan(aws, wanted, prune=prune)).ok


def test_dashboard_is_put_once(aws, client, recorder) -> None:
    [change] = make_plan(aws, deployment(SPEC)).changes
    assert change.details == ("free: the account has 0 of 3 that are",)
    deploy(aws, deployment(SPEC))
    owner, graph = live(client)["widgets"]
    assert "managed-by=lambda_script application=shop stage=dev" in owner["properties"]["markdown"]
    assert graph == {**GRAPH, "y": 1}, "below the owner"
    recorder.clear()
    assert not make_plan(aws, deployment(SPEC))
    assert recorder.calls == ["GetDashboard"]


def test_what_a_person_changed_in_it_is_drift(aws, client) -> None:
    deploy(aws, deployment(SPEC))
    body = live(client)
    body["widgets"][1]["properties"]["period"] = 60
    body["widgets"].append(
        {"type": "text", "x": 0, "y": 9, "width": 3, "height": 3, "properties": {"markdown": "mine"}}
    )
    body["start"] = "-P7D"
    client("cloudwatch").put_dashboard(DashboardName=NAME, DashboardBody=json.dumps(body))
    [change] = make_plan(aws, deployment(SPEC)).changes
    shown = list(map(str, change.differences))
    assert shown[:1] == ["start: -P7D -> -PT12H"]
    assert "widget 2 Errors.properties.period: 60 -> 300" in shown
    assert any(line.startswith("widget 3") for line in shown)
    deploy(aws, deployment(SPEC))
    assert not make_plan(aws, deployment(SPEC))


@pytest.mark.parametrize(
    "others", ["{}", '{"widgets": []}', '{"widgets": [1, {"properties": 1}, {"properties": {}}]}', "[]"]
)
def test_dashboard_of_others_is_left_alone(aws, client, others) -> None:
    client("cloudwatch").put_dashboard(DashboardName=NAME, DashboardBody=others)
    with pytest.raises(OwnershipError, match="dashboard `shop-dev` exists already and is not managed"):
        make_plan(aws, deployment(SPEC))
    assert not make_destroy_plan(aws, deployment(SPEC)).changes
    deploy(aws, deployment(SPEC, adopt=True))
    assert not make_plan(aws, deployment(SPEC))


def test_dashboard_of_another_stage_is_left_alone(aws, client) -> None:
    deploy(aws, deployment(SPEC))
    with pytest.raises(OwnershipError, match="belongs to application `shop`, stage `dev`"):
        make_plan(aws, deployment(SPEC, stage="prod"))
    assert not make_destroy_plan(aws, deployment(SPEC, stage="prod")).changes
    assert execute(aws, make_destroy_plan(aws, deployment(SPEC))).ok
    assert names(client) == []
    assert not make_destroy_plan(aws, deployment(SPEC)).changes


def test_undeclared_dashboard_is_removed_with_prune(aws, client) -> None:
    """Only that of this application and stage; one of a longer name, and one of others, stay."""
    deploy(aws, deployment(SPEC))
    deploy(aws, deployment(DashboardSpec("shop-dev2", SPEC.body), stage="dev2"))
    client("cloudwatch").put_dashboard(DashboardName="shop-dev-theirs", DashboardBody='{"widgets": []}')
    assert not make_plan(aws, deployment())
    deploy(aws, deployment(DashboardSpec("shop-dev-new", SPEC.body)), prune=True)
    assert sorted(names(client)) == ["shop-dev-new", "shop-dev-theirs", "shop-dev2"]


def test_plan_says_when_a_dashboard_costs_something(aws, client) -> None:
    for number in range(3):
        client("cloudwatch").put_dashboard(DashboardName=f"other-{number}", DashboardBody='{"widgets": []}')
    [change] = make_plan(aws, deployment(SPEC)).changes
    assert change.details == ("$3 a month: 3 in an account are free, and this one has 3",)


def test_each_fault_of_a_dashboard_is_repaired(aws, client, recorder) -> None:
    """Denied, or cut off: nothing else is lost, and the same command finishes. Without the list, plan says less."""
    recorder.refuse("PutDashboard", "AccessDenied", times=1)
    report = execute(aws, make_plan(aws, deployment(SPEC)))
    assert [failure.change.name for failure in report.failed] == [NAME]
    recorder.refuse("ListDashboards", "AccessDenied", times=3)
    assert not make_plan(aws, deployment(), prune=True).notes, "who declares none needs no right to it"
    planned = make_plan(aws, deployment(SPEC), prune=True)
    assert planned.changes[0].details == ("3 in an account are free, each further one costs $3 a month",)
    assert any("undeclared dashboards were not looked for" in note for note in planned.notes)
    deploy(aws, deployment(SPEC))
    recorder.refuse("GetDashboard", "AccessDenied", times=1)
    with pytest.raises(AwsError, match="GetDashboard"):
        make_plan(aws, deployment(SPEC))
    recorder.refuse("DeleteDashboards", "AccessDenied", times=1)
    assert not execute(aws, make_destroy_plan(aws, deployment(SPEC))).ok
    assert execute(aws, make_destroy_plan(aws, deployment(SPEC))).ok
    assert names(client) == []


TEXT = {**GRAPH, "type": "text", "properties": {"markdown": "x"}}


def with_properties(**changed: object) -> dict:
    return {"widgets": [{**GRAPH, "properties": {**GRAPH["properties"], **changed}}]}


@pytest.mark.parametrize(
    ("name", "body", "problem"),
    [
        ("a b", {"widgets": []}, "its name must be"),
        (NAME, {}, "must have `widgets`, a list"),
        (NAME, {"widgets": "x"}, "must have `widgets`, a list"),
        (NAME, {"widgets": [TEXT] * 500}, "500 widgets are more than 499"),
        (NAME, {"widgets": [1]}, "widget 1: its type must be one of text, metric"),
        (NAME, {"widgets": [{**GRAPH, "type": "pie"}]}, "its type must be one of"),
        (NAME, {"widgets": [{**GRAPH, "x": 13}]}, "within 24 grid units"),
        (NAME, {"widgets": [{**GRAPH, "x": -1}]}, "must be integers from 0"),
        (NAME, {"widgets": [{**GRAPH, "properties": None}]}, "no `properties`"),
        (NAME, with_properties(metrics=[]), "need `metrics`"),
        (NAME, with_properties(region=""), "need `region`"),
        (NAME, with_properties(view="table"), "its view `table` is not one of"),
        (NAME, with_properties(period=61), "its period 61 is neither"),
        (NAME, with_properties(metrics=[["AWS/Lambda", "Errors", "FunctionName"]]), "pairs of a dimension"),
        (NAME, with_properties(metrics=[["AWS/Lambda", "Errors"]] * 501), "501 metrics are more than 500"),
        (NAME, {"widgets": with_properties(metrics=[["A", "B"]] * 500)["widgets"] * 6}, "3000 metrics are more than"),
        (NAME, {"widgets": [{**TEXT, "type": "alarm", "properties": {"alarms": ["a"] * 101}}]}, "101 alarms are more"),
    ],
)
def test_body_that_cloudwatch_refuses_is_found_first(aws, recorder, name, body, problem) -> None:
    with pytest.raises(LimitError, match=problem):
        make_plan(aws, deployment(DashboardSpec(name, body)))
    assert recorder.calls == []
