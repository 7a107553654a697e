"""Groups of schedules, the wait for a last firing, and dashboards as they are planned; without an emulator."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.aws.client import Clock
from lambda_toolkit.changes import Change
from lambda_toolkit.errors import AwsError, OwnershipError, ToolkitError
from lambda_toolkit.resources.monitoring import dashboard
from lambda_toolkit.resources.schedules import handover, schedule, schedule_group, schedule_role
from lambda_toolkit.resources.schedules.handover import Old
from lambda_toolkit.spec.dashboard import signed
from lambda_toolkit.spec.model import DashboardSpec, Deployment, FunctionSpec, Kind
from lambda_toolkit.spec.schedules.schedule import Schedule
from tests.support.answering_aws import AnsweringAws
from tests.support.fake_time import FakeTime

SCOPE = {"application": "shop", "stage": "dev"}
OURS = [{"Key": key, "Value": value} for key, value in sorted({**SCOPE, "managed-by": "lambda_script"}.items())]
GROUP = "arn:aws:scheduler:eu-west-2:123456789012:schedule-group/shop-dev"
DAILY = "cron(0 9 * * ? *)"


class Aws(AnsweringAws):
    """Also what a plan reads of tags."""

    def tags(self, arn: str, declared: Any, function: str | None, read: Any) -> Any:
        assert (arn, declared, function) == (GROUP, SCOPE, None)
        return read()


def account(*schedules: str, tags: Any = OURS, **more: Any) -> Any:
    listed = [{"Name": name} for name in schedules]
    group = {"list_schedules": listed, "get_schedule_group": {}, "list_tags_for_resource": {"Tags": tags}}
    return Aws(**group, **more)


def spec(name: str = "f", **different: Any) -> FunctionSpec:
    return FunctionSpec(**{"name": name, "source": Path("f.py"), "tags": {**SCOPE, "team": "x"}, **different})


def context(aws: Any, **different: Any) -> Any:
    return type("Context", (), {"reads": aws, "aws": aws, "spec": spec(**different)})()


def test_group_is_created_or_its_tags_are_set() -> None:
    missing: Any = Aws(list_schedules=AwsError("x", code="ResourceNotFoundException"))
    [change] = schedule_group.plan(context(missing))
    change.apply(missing)
    assert missing.writes == [("create_schedule_group", {"Name": "shop-dev", "Tags": OURS})]
    emulated: Any = Aws(list_schedules=[])
    assert schedule_group.schedules(emulated, "shop-dev") is None, "of a group that does not exist"
    assert schedule_group.schedules(account(), "shop-dev") == []
    assert schedule_group.plan(context(account())) == []
    drifted = account(tags=OURS[1:])
    [change] = schedule_group.plan(context(drifted))
    change.apply(drifted)
    tagged = {"ResourceArn": GROUP, "Tags": OURS[:1]}
    assert drifted.writes == [("tag_resource", tagged)]
    with pytest.raises(OwnershipError):
        schedule_group.plan(context(account(tags=[])))
    failing: Any = Aws(list_schedules=AwsError("x", code="Other"))
    with pytest.raises(AwsError):
        schedule_group.schedules(failing, "shop-dev")


def test_group_that_exists_although_no_read_showed_it() -> None:
    exists = AwsError("x", code="ConflictException")
    schedule_group._create(account(create_schedule_group=exists), "shop-dev", SCOPE)
    with pytest.raises(OwnershipError):
        schedule_group._create(account(tags=[], create_schedule_group=exists), "shop-dev", SCOPE)
    with pytest.raises(AwsError):
        schedule_group._create(account(create_schedule_group=AwsError("x", code="Other")), "shop-dev", SCOPE)


def test_schedules_of_a_function_begin_with_its_name() -> None:
    names = ("f.a", "f.b", "ff.a", "g.a")
    assert schedule_group.of_function(account(*names), spec()) == ["f.a", "f.b"]
    assert schedule_group.of_function(account(*names, tags=[]), spec()) == []
    assert schedule_group.of_function(account("g.a"), spec()) == []
    declared = (Schedule(DAILY, name="a"), Schedule(DAILY, name="new"))
    assert schedule_group.leftovers(context(account(*names), schedules=declared)) == ["f.b"]
    assert schedule_group.leftovers(context(account(*names))) == []
    assert schedule_group.in_removal(context(account(*names))) == ["f.a", "f.b"]
    denied: Any = Aws(list_schedules=AwsError("x", code="AccessDeniedException"))
    assert schedule_group.in_removal(context(denied)) == []
    assert schedule_group.exists(denied, spec()) is False
    assert schedule_group.exists(account(), spec()) is True
    missing: Any = Aws(list_schedules=AwsError("x", code="ResourceNotFoundException"))
    assert schedule_group.exists(missing, spec()) is False
    assert schedule_group.live(missing, "shop-dev", "f.a") is None
    assert schedule_group.live(account(get_schedule={"Name": "f.a"}), "shop-dev", "f.a") == {"Name": "f.a"}


@pytest.mark.parametrize(
    ("tagged", "has_rule", "is_ours", "found"),
    [
        (True, False, True, ["f.a"]),
        (True, True, False, ["f.a"]),
        (False, False, True, ["f.a"]),
        (False, True, True, []),
        (False, False, False, []),
    ],
)
def test_schedules_may_be_left_that_no_list_by_tags_shows(
    tagged: bool, has_rule: bool, is_ours: bool, found: list[str]
) -> None:
    """It lags behind where a function has no rule any more, or none yet. Otherwise nothing more is asked."""

    def of(answer: Any, **declared: Any) -> Any:
        aws = account("f.a", "g.a")
        aws.answers["list_schedules"] = answer or aws.answers["list_schedules"]
        object.__setattr__(aws, "tagged", lambda *scope: {GROUP} if tagged and scope == ("shop", "dev") else None)
        object.__setattr__(aws, "named", lambda *_: {"Name": "f-schedule"} if has_rule else None)
        planned = context(aws, **declared)
        planned.function_is_ours = lambda: is_ours
        return planned

    planned = of(None, schedules=())
    assert schedule_group.leftovers(planned) == found
    assert bool(planned.aws.asked) == bool(found)
    assert schedule_group.undeclared(of(None)) == (["f.a"] if tagged else [])
    assert schedule_group.undeclared(of(None, schedules=())) == schedule_group.leftovers(of(None)) == []
    denied = of(AwsError("x", code="AccessDeniedException"), schedules=())
    if tagged:
        with pytest.raises(AwsError):
            schedule_group.leftovers(denied)
    else:
        assert schedule_group.leftovers(denied) == [], "who never had a group needs no right to look for one"


def removed(*names: str) -> list[Change]:
    others = [Change(Kind.ALARM, "g.a", "delete", apply=lambda _: None)]
    return [*others, *(schedule_group.removal("shop-dev", name) for name in names)]


def test_group_is_removed_once_it_is_empty() -> None:
    functions = [spec("f"), spec("g")]
    changes, notes = schedule_group.plan_removals(account("f.a", "g.a"), functions, removed("f.a", "g.a"))
    assert notes == []
    [change] = changes
    assert change.after == {(Kind.SCHEDULE, "f.a"), (Kind.SCHEDULE, "g.a")}
    empty = account()
    change.apply(empty)
    assert empty.writes == [("delete_schedule_group", {"Name": "shop-dev"})]
    grown = account("new", "deleted", get_schedule=lambda **given: given if given["Name"] == "new" else None)
    with pytest.raises(AwsError, match="now has the schedules new, so it is kept"):
        change.apply(grown)
    assert grown.writes == []
    changes, notes = schedule_group.plan_removals(account("f.a", "z.b", "z.a"), functions, removed("f.a"))
    assert (changes, notes) == ([], ["schedule group shop-dev is kept: it has schedules of others: z.a, z.b"])
    assert schedule_group.plan_removals(account("f.a", tags=[]), functions, []) == ([], [])


def test_what_no_function_declares_is_removed_from_the_group() -> None:
    def described(Name: str, **_: Any) -> Any:  # noqa: N803 - AWS's name of the parameter
        return {"Description": f"Starts the Lambda function {Name.partition('.')[0]}"} if Name != "theirs.a" else {}

    listed = ("f.a", "f.old", "left.a", "theirs.a", "removed.a")
    declared = spec(schedules=(Schedule(DAILY, name="a"),))
    deployment = Deployment((declared,), application="shop", stage="dev")
    aws = account(*listed, get_schedule=described)
    changes, notes = schedule_group.plan_orphans(aws, deployment, [GROUP], removed("removed.a"))
    assert ([change.name for change in changes], notes) == (["left.a"], [])
    assert schedule_group.plan_orphans(aws, deployment, [], []) == ([], [])
    none = Deployment((spec(),), application="shop", stage="dev")
    changes, notes = schedule_group.plan_orphans(aws, none, [GROUP], removed("removed.a"))
    assert [change.name for change in changes] == ["left.a"]
    assert notes == ["schedule group shop-dev is kept: it has schedules of others: theirs.a"]
    whole = account("f.a", "left.a", get_schedule=described)
    changes, notes = schedule_group.plan_orphans(whole, none, [GROUP], [])
    assert [(change.kind, change.name) for change in changes] == [
        (Kind.SCHEDULE, "left.a"),
        (Kind.SCHEDULE_GROUP, "shop-dev"),
    ]
    assert changes[-1].after == {(Kind.SCHEDULE, "f.a"), (Kind.SCHEDULE, "left.a")}


def test_replacements_are_the_rule_or_the_schedules() -> None:
    assert schedule_group.replacements(spec()) == frozenset()
    assert schedule_group.replacements(spec(schedule="rate(1 day)")) == {(Kind.EVENT_RULE, "f-schedule")}
    schedules = (Schedule(DAILY, name="a"), Schedule(DAILY, name="b"))
    assert schedule_group.replacements(spec(schedules=schedules)) == {(Kind.SCHEDULE, "f.a"), (Kind.SCHEDULE, "f.b")}


NINE = datetime(2027, 1, 1, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("old", "now", "until"),
    [
        (Old(DAILY), NINE, NINE + MINUTE),
        (Old(DAILY), NINE - MINUTE, NINE + MINUTE),
        (Old(DAILY), NINE - MINUTE - timedelta(seconds=1), None),
        (Old(DAILY), NINE + timedelta(seconds=59), NINE + MINUTE),
        (Old(DAILY), NINE + MINUTE, None),
        (Old(DAILY, window=5 * MINUTE), NINE + 5 * MINUTE, NINE + 6 * MINUTE),
        (Old(DAILY, window=5 * MINUTE), NINE + 6 * MINUTE, None),
        (Old(DAILY, "Asia/Tokyo"), NINE - timedelta(hours=9), NINE - timedelta(hours=9) + MINUTE),
        (Old(DAILY, "Nowhere/Else"), NINE, None),
        (Old(DAILY, is_on=False), NINE, None),
        (Old("rate(1 minute)"), NINE, None),
        (Old("cron(x x x x x x)"), NINE, None),
        (Old("cron(* * * * ? *)"), NINE, NINE + 2 * MINUTE),
    ],
)
def test_last_firing_is_one_that_is_due_about_now(old: Old, now: datetime, until: datetime | None) -> None:
    assert old.busy_until(now) == until


def test_old_schedule_or_rule_is_what_aws_says_of_it() -> None:
    assert Old.of_rule({"ScheduleExpression": DAILY, "State": "ENABLED"}) == Old(DAILY)
    assert Old.of_rule({"State": "DISABLED"}) == Old("", is_on=False)
    found = {"ScheduleExpression": DAILY, "ScheduleExpressionTimezone": "Asia/Tokyo", "State": "DISABLED"}
    window = {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}}
    assert Old.of_schedule({**found, **window}) == Old(DAILY, "Asia/Tokyo", 5 * MINUTE, is_on=False)
    assert Old.of_schedule({"FlexibleTimeWindow": None}) == Old("")


def test_removal_waits_for_the_last_firing() -> None:
    def waited(old: Old, interrupted: bool = False) -> FakeTime:
        time = FakeTime()
        clock = Clock(time.now, time.sleep, wall=lambda: NINE.timestamp() - 0.5)
        if interrupted:
            clock.interrupted.set()
        aws: Any = type("Waiting", (), {"clock": clock})()
        handover.wait(aws, "schedule f.a", old)
        return time

    assert waited(Old(DAILY)).seconds == pytest.approx(60.5)
    assert max(waited(Old(DAILY)).pauses) == 1.0
    assert waited(Old(DAILY, window=2 * MINUTE - timedelta(seconds=1))).seconds > 170
    assert waited(Old("rate(1 day)")).pauses == []
    with pytest.raises(ToolkitError, match="schedule f.a may still start the function .* until 2027-01-01 09:04 UTC"):
        waited(Old(DAILY, window=3 * MINUTE))
    with pytest.raises(ToolkitError, match="schedule f.a is kept, as the wait for its last firing was interrupted"):
        waited(Old(DAILY), interrupted=True)


def text(title: str = "") -> dict[str, Any]:
    place = {"x": 0, "y": 0, "width": 24, "height": 1}
    return {"type": "text", **place, "properties": {"markdown": "m", **({"title": title} if title else {})}}


BOARD = DashboardSpec("shop-dev", {"widgets": [text("A"), text()]}, SCOPE)


def board(body: Any, *listed: str) -> Any:
    live = None if body is None else {"DashboardBody": body if isinstance(body, str) else json.dumps(body)}
    return Aws(get_dashboard=live, list_dashboards=[{"DashboardName": name} for name in listed])


def test_dashboard_is_compared_widget_by_widget() -> None:
    assert dashboard.plan(board(signed(BOARD)), BOARD) == []
    changed = json.loads(json.dumps(signed(BOARD)))
    changed["widgets"][1]["properties"]["markdown"] = "x"
    changed["start"] = "-PT1H"
    del changed["widgets"][2]
    aws = board(changed)
    [change] = dashboard.plan(aws, BOARD)
    shown = {str(each).partition(":")[0] for each in change.differences}
    assert {name for name in shown if not name.startswith("widget 3")} == {"start", "widget 2 A.properties.markdown"}
    assert any(name.startswith("widget 3") for name in shown), "one that was deleted"
    change.apply(aws)
    [(operation, sent)] = aws.writes
    assert (operation, sent["DashboardName"], json.loads(sent["DashboardBody"])) == (
        *("put_dashboard", "shop-dev"),
        signed(BOARD),
    )
    for others in ({"widgets": []}, "no JSON", "[]"):
        with pytest.raises(OwnershipError):
            dashboard.plan(board(others), BOARD)


@pytest.mark.parametrize(
    ("others", "price"),
    [(0, "free: the account has 0"), (2, "free: the account has 2"), (3, "$3 a month"), (4, "$3 a")],
)
def test_new_dashboard_has_its_price(others: int, price: str) -> None:
    [change] = dashboard.plan(board(None, *map(str, range(others))), BOARD)
    assert (change.action, change.details[0][: len(price)]) == ("create", price)
    denied: Any = Aws(list_dashboards=AwsError("x", code="AccessDenied"))
    assert "3 in an account are free" in dashboard.plan(denied, BOARD)[0].details[0]


def test_dashboard_that_is_not_declared_is_deleted() -> None:
    aws = board(signed(BOARD), "shop-dev", "shop-dev-old")
    deployment = Deployment(dashboards=(BOARD,), application="shop", stage="dev")
    found = dashboard.plan_undeclared(aws, deployment, SCOPE)
    assert found is not None
    [change] = found
    assert aws.operations[0] == ("list_dashboards", {"DashboardNamePrefix": "shop-dev"})
    change.apply(aws)
    assert aws.writes == [("delete_dashboards", {"DashboardNames": ["shop-dev-old"]})]
    assert dashboard.plan_removal(board(None), BOARD) == []
    assert dashboard.plan_removal(board(signed(DashboardSpec("d", {"widgets": []}, {"stage": "x"}))), BOARD) == []
    denied: Any = Aws(list_dashboards=AwsError("x", code="AccessDenied"))
    assert dashboard.plan_undeclared(denied, deployment, SCOPE) is None


def test_schedule_is_read_back_until_it_is_as_declared() -> None:
    """A read may return what was there before."""
    written: list[dict[str, Any]] = []
    looks: list[int] = []

    def read(**_: Any) -> Any:
        looks.append(1)
        stale = {**written[0], "ScheduleExpression": "rate(9 days)"}
        return (None, stale, written[0])[min(len(looks), 3) - 1]

    missing = AwsError("x", code="ResourceNotFoundException")
    planned: Any = context(Aws(list_schedules=missing))
    planned.function_key = (Kind.FUNCTION, "f")
    change = schedule._plan_one(planned, Schedule(DAILY, name="a"), NINE)
    assert change is not None and change.action == "create"
    aws: Any = Aws(create_schedule=lambda **given: written.append(given), get_schedule=read)

    def wait_until(look: Any, what: str) -> None:
        assert what == "schedule f.a is as declared"
        assert [look() for _ in range(3)] == [None, None, True]

    object.__setattr__(aws, "wait_until", wait_until)
    change.apply(aws)
    assert (written[0]["Name"], written[0]["GroupName"], len(looks)) == ("f.a", "shop-dev", 3)


def test_leftover_that_is_removed_already_is_passed_over() -> None:
    aws = account("f.deleted", "f.left", get_schedule=lambda **on: {} if on["Name"] == "f.left" else None)
    planned = context(aws, schedules=(Schedule(DAILY, name="a"),))
    assert [change.name for change in schedule._plan_leftovers(planned)] == ["f.left"]


@pytest.mark.parametrize(
    ("declared", "waits"),
    [
        ({"schedules": (Schedule(DAILY, name="a"),)}, True),
        ({"schedules": (), "schedule": "rate(1 day)", "schedule_role": "arn:aws:iam::1:role/x"}, True),
        ({"schedules": (), "schedule_role": "arn:aws:iam::1:role/x"}, False),
        ({"schedules": (), "schedule": "rate(1 day)"}, False),
    ],
)
def test_leftover_is_removed_once_what_replaces_it_works(
    declared: Any, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The removal of its role waits, where that comes first."""
    handed: list[str] = []
    monkeypatch.setattr(schedule_group, "hand_over", lambda _aws, _spec, name, _live: handed.append(name))
    aws = account("f.left", get_schedule={"Name": "f.left"})
    object.__setattr__(aws, "tagged", lambda *_: {GROUP})
    [change] = schedule._plan_leftovers(context(aws, **declared))
    change.apply(aws)
    assert handed == (["f.left"] if waits else [])
    assert aws.writes == [("delete_schedule", {"GroupName": "shop-dev", "Name": "f.left"})]


@pytest.mark.parametrize(("other_role", "removed"), [("", ["f.schedule-role"]), ("arn:aws:iam::1:role/x", [])])
def test_own_role_is_removed_before_the_last_schedules(other_role: str, removed: list[str]) -> None:
    """Where another role is given, the schedules have that one."""
    aws = account("f.left", get_schedule={"Name": "f.left"})
    tags = {"managed-by": "lambda_script", "lambda-script:function": "f"}
    object.__setattr__(aws, "role", lambda *_: type("Role", (), {"tags": tags}))
    object.__setattr__(aws, "tagged", lambda *_: {GROUP})
    planned = context(aws, schedules=(), schedule_role=other_role)
    assert [change.name for change in schedule_role._plan_before_schedules(planned)] == removed
