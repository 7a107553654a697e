"""Versions of a function and canaries, with a clock that only sleeping moves."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.aws.client import Clock
from lambda_toolkit.errors import AwsError, CheckError
from lambda_toolkit.resources.functions import canary, version
from lambda_toolkit.spec.model import Alarm, Canary, FunctionSpec
from tests.support.fake_time import FakeTime


class Aws:
    """Lambda and CloudWatch, as far as a test answers for them; its clock moves only in sleeps."""

    def __init__(self, answer: Callable[..., Any] = lambda operation, **_: {}) -> None:
        self.time = FakeTime()
        self.clock = Clock(self.time.now, self.time.sleep, random=lambda: 1.0, wall=lambda: 1_800_000_000.5)
        self.made: list[tuple[str, dict[str, Any]]] = []
        self._answer = answer

    def call(self, service: str, operation: str, **given: Any) -> Any:
        given.pop("also_retry", None)
        self.made.append((operation, given))
        answer = self._answer(operation, **given)
        if isinstance(answer, Exception):
            raise answer
        return answer

    find = call

    def list_all(self, service: str, operation: str, key: str, **given: Any) -> Any:
        return self.call(service, operation, **given)[key]

    def wait_until(self, read: Callable[[], Any], what: str, *, factor: float = 1.0) -> Any:
        assert factor == 5.0, "as long as an update of a function may take"
        while (found := read()) is None:
            self.clock.sleep(1)
        return found

    def of(self, operation: str) -> list[dict[str, Any]]:
        return [given for name, given in self.made if name == operation]


ON = {"FunctionName": "f"}


def test_version_is_published_from_what_was_written() -> None:
    aws: Any = Aws(lambda operation, **_: {"Version": "3"})
    assert version.publish(aws, "f", "hash=", "r1") == {"Version": "3"}
    version.publish(aws, "f", "hash=", None)
    code = {**ON, "CodeSha256": "hash="}
    assert aws.of("publish_version") == [{**code, "RevisionId": "r1"}, code]
    for code, text in (("PreconditionFailedException", "x"), ("InvalidParameterValueException", "CodeSHA256 differs")):
        overtaken: Any = Aws(lambda operation, code=code, text=text, **_: AwsError(text, code=code))
        with pytest.raises(AwsError, match="f was changed while it was deployed") as said:
            version.publish(overtaken, "f", "hash=", None)
        assert said.value.code == "ResourceConflictException"
    failing: Any = Aws(lambda operation, **_: AwsError("no", code="AccessDenied"))
    with pytest.raises(AwsError, match=r"^no$"):
        version.publish(failing, "f", "hash=", None)


def lambda_with(*versions: str, named: Any = (), state: str = "Active") -> Any:
    listed = [{"Version": each} for each in ("$LATEST", *versions)]
    aliases = [{"FunctionVersion": each, "RoutingConfig": None} for each in named]
    return Aws(
        lambda operation, **_: {
            "list_versions_by_function": {"Versions": listed},
            "list_aliases": {"Aliases": aliases},
            "get_function": {"Configuration": {"State": state}},
        }.get(operation, {})
    )


def test_versions_are_in_the_order_of_their_numbers() -> None:
    assert version.published(lambda_with("10", "9", "1"), "f") == ["1", "9", "10"]
    assert version.exists(lambda_with(), "f", "3") is True
    nothing: Any = Aws(lambda operation, **_: None)
    assert version.exists(nothing, "f", "3") is False


@pytest.mark.parametrize(
    ("versions", "named", "upcoming", "deleted"),
    [
        ("12345", "5", "5", ""),
        ("123456", "6", "6", "1"),
        ("12345", "5", None, "1"),
        ("1234", "4", None, ""),
        ("1234567", "17", "7", "2"),
        ("123456", "1", "6", ""),
        ("1234567", "7", "1", "2"),
    ],
)
def test_last_five_versions_are_kept(versions: str, named: str, upcoming: str | None, deleted: str) -> None:
    aws = lambda_with(*versions, named=named)
    changes = version.plan_pruning(aws, "f", upcoming)
    assert len(changes) == bool(deleted)
    for change in changes:
        assert change.details == (f"{deleted}: the last 5 are kept",)
        assert change.after == {("function", "f")}
        grown = lambda_with(*versions, *([] if upcoming in [*versions] else ["8"]), named=named)
        change.apply(grown)
        assert [given["Qualifier"] for given in grown.of("delete_function")] == [*deleted]


def test_version_with_a_share_of_the_calls_is_named() -> None:
    routed = {"FunctionVersion": "3", "RoutingConfig": {"AdditionalVersionWeights": {"4": 0.1}}}
    plain = {"FunctionVersion": "2", "RoutingConfig": {}}
    aws: Any = Aws(lambda operation, **_: {"Aliases": [routed, plain]})
    assert version._named(aws, "f") == {"2", "3", "4"}


@pytest.mark.parametrize(
    ("state", "named", "deleted"), [("Failed", (), ["3"]), ("Failed", ("3",), []), ("Active", (), [])]
)
def test_newest_version_that_failed_is_deleted(state: str, named: Any, deleted: list[str]) -> None:
    aws = lambda_with("2", "3", named=named, state=state)
    version.delete_failed(aws, "f")
    assert [given["Qualifier"] for given in aws.of("delete_function")] == deleted


def test_version_is_waited_for_until_it_is_active() -> None:
    states = ["Pending", "Pending", "Active"]
    aws: Any = Aws(lambda operation, **_: {"Configuration": {"State": states.pop(0)}})
    version.wait_until_active(aws, "f", "3")
    assert aws.of("get_function") == [{**ON, "Qualifier": "3"}] * 3
    for reason, said in (("no subnet", "no subnet"), (None, "no reason given")):
        failed: Any = Aws(lambda o, reason=reason, **_: {"Configuration": {"State": "Failed", "StateReason": reason}})
        with pytest.raises(AwsError, match=f"Lambda could not set up version 3 of f: {said}\\.") as refused:
            version.wait_until_active(failed, "f", "3")
        assert refused.value.code == "Failed"


def answers(*given: Any) -> Any:
    left = [*given]

    def answer(operation: str, **_: Any) -> Any:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            return found
        text, failed = found
        return {"Payload": io.BytesIO(text), **({"FunctionError": "Unhandled"} if failed else {})}

    return Aws(answer)


BROKEN = (json.dumps({"errorType": "KeyError", "errorMessage": "'x'."}).encode(), True)


def test_version_is_checked_and_again_for_a_while() -> None:
    aws = answers((b"\xff", False))
    version.check(aws, "f", "3", {"ping": 1})
    assert aws.of("invoke") == [{**ON, "Qualifier": "3", "Payload": '{"ping": 1}'}]
    aws = answers(BROKEN, BROKEN, (b"1", False))
    version.check(aws, "f", "3", {}, timeout=3.0)
    assert aws.time.pauses == [1.0, 2.0]
    for timeout, pauses in ((0.0, []), (1.0, [1.0]), (2.9, [1.0]), (7.0, [1.0, 2.0, 4.0])):
        aws = answers(BROKEN)
        with pytest.raises(CheckError, match=r"^Version 3 of f fails its check: 'x'\. \(KeyError\)\.$"):
            version.check(aws, "f", "3", {}, timeout=timeout)
        assert aws.time.pauses == pauses
    unanswered = AwsError("x", unanswered=True)
    aws = answers(unanswered, (b"1", False))
    version.check(aws, "f", "3", {})
    assert aws.time.pauses == [1.0]
    for errors in ((unanswered, unanswered), (AwsError("denied"),)):
        with pytest.raises(AwsError):
            version.check(answers(*errors), "f", "3", {})


def watched(states: Callable[[float], dict[str, str]], seconds: float = 60) -> tuple[str | None, Any]:
    """What the watch says; ``states``: the alarms that are in ALARM at a moment, with the reasons."""

    def answer(operation: str, **given: Any) -> Any:
        assert given == {"AlarmNames": ["a", "b"]}
        found = states(aws.time.seconds)
        alarms = [{"AlarmName": name, "StateValue": "ALARM", "StateReason": why} for name, why in found.items()]
        return {"MetricAlarms": [*alarms, {"AlarmName": "c", "StateValue": "OK"}]}

    aws: Any = Aws(answer)
    return canary._watch(aws, ["a", "b"], seconds), aws


def test_alarm_ends_a_canary_where_it_is_new() -> None:
    said, aws = watched(lambda _: {})
    assert said is None
    assert aws.time.seconds == pytest.approx(60)
    assert len(aws.made) == 7
    said, aws = watched(lambda now: {"b": "too many."} if now > 25 else {})
    assert (said, aws.time.seconds) == ("the alarm b went into ALARM: too many.", 30)
    assert watched(lambda now: {"a": ""} if now > 59 else {})[0] == "the alarm a went into ALARM: no reason given."
    assert watched(lambda _: {"a": "old"})[0] is None, "it was in ALARM before"
    bare: Any = Aws(lambda operation, **_: {"MetricAlarms": [{"AlarmName": "a", "StateValue": "ALARM"}]})
    assert canary._in_alarm(bare, ["a"]) == {"a": ""}
    assert watched(lambda now: {"a": "x"} if now < 15 or now > 35 else {})[0] is not None
    assert watched(lambda now: {"a": "old", **({"b": "x"} if now > 5 else {})})[0] == "the alarm b went into ALARM: x."


def test_interrupted_canary_ends_within_a_second() -> None:
    aws: Any = Aws(lambda operation, **_: {})
    aws.clock.interrupted.set()
    with pytest.raises(CheckError, match="interrupted"):
        canary._watch(aws, [], 60)
    assert aws.time.seconds == 0
    running: Any = Aws()
    canary._sleep(running, 2.5)
    assert running.time.pauses == pytest.approx([1.0, 1.0, 0.5])


@pytest.mark.parametrize(
    ("calls", "schedule", "weight", "minutes", "said"),
    [
        (14_400.0, None, 0.5, 10, "50 of 100 calls in 10 minutes, by those of the last day"),
        (144.0, None, 0.1, 10, "0.1 of 1 calls in 10 minutes, by those of the last day: it may see none"),
        (1440.0, None, 0.1, 10, "1 of 10 calls in 10 minutes, by those of the last day"),
        (1_440_000.0, None, 0.5, 2.5, "1,250 of 2,500 calls in 2.5 minutes, by those of the last day"),
        (0.0, "rate(5 minutes)", 0.5, 60, "6 of 12 calls in 60 minutes, by its schedule"),
        (0.0, "rate(1 hour)", 0.5, 60, "0.5 of 1 calls in 60 minutes, by its schedule: it may see none"),
        (0.0, "rate(2 days)", 0.5, 60, "it may see none"),
        (None, "rate(1 minute)", 0.5, 10, "5 of 10 calls in 10 minutes, by its schedule"),
        (0.0, "cron(0 9 * * ? *)", 0.5, 10, "is not known"),
        (0.0, None, 0.5, 10, "is not known"),
    ],
)
def test_expected_calls_of_a_canary(
    calls: float | None, schedule: str | None, weight: float, minutes: float, said: str
) -> None:
    points = [{"Sum": (calls or 0) / 2}] * 2
    aws: Any = Aws(lambda operation, **_: AwsError("no") if calls is None else {"Datapoints": points})
    spec = FunctionSpec("f", Path("f.py"), schedule=schedule)
    assert said in canary.expectation(aws, spec, Canary(weight, minutes))
    [asked] = aws.of("get_metric_statistics")
    assert (asked["Namespace"], asked["MetricName"], asked["Statistics"]) == ("AWS/Lambda", "Invocations", ["Sum"])
    assert asked["Dimensions"] == [{"Name": "FunctionName", "Value": "f"}]
    assert (asked["EndTime"] - asked["StartTime"]).total_seconds() == asked["Period"] == 86_400
    assert asked["EndTime"].timestamp() == 1_800_000_000


def test_canary_routes_its_share_and_rolls_back() -> None:
    live: Any = type("Live", (), {"version": "2"})()
    quiet = Alarm("quiet", "Errors", missing_data="breaching")
    spec = FunctionSpec("f", Path("f.py"), canary=Canary(0.2, 1), alarms=(Alarm("e", "Errors"), quiet))
    aws: Any = Aws(lambda operation, **_: {"MetricAlarms": []})
    canary.try_version(aws, spec, live, "3")
    routed = [given["RoutingConfig"]["AdditionalVersionWeights"] for given in aws.of("update_alias")]
    assert (routed, aws.time.seconds) == ([{"3": 0.2}], pytest.approx(60))
    assert aws.of("describe_alarms")[0] == {"AlarmNames": ["f-e"]}
    alarm = {"AlarmName": "f-e", "StateValue": "ALARM", "StateReason": "x"}
    states = iter(["OK"])

    def alarms(operation: str, **_: Any) -> Any:
        return {"MetricAlarms": [{**alarm, "StateValue": next(states, "ALARM")}]} if "alarms" in operation else {}

    firing: Any = Aws(alarms)
    with pytest.raises(CheckError, match="Version 3 of f, with 20% of the calls: the alarm f-e went into ALARM: x"):
        canary.try_version(firing, spec, live, "3")
    back = firing.of("update_alias")[-1]
    assert (back["FunctionVersion"], back["RoutingConfig"]) == ("2", {"AdditionalVersionWeights": {}})
    none: Any = Aws()
    canary.try_version(none, FunctionSpec("f", Path("f.py")), live, "3")
    assert none.made == []
    failing: Any = Aws(lambda operation, **_: AwsError("no", code="AccessDenied", operation="lambda:UpdateAlias"))
    with pytest.raises(AwsError, match="f still routes a share of its calls to version 3.*: no") as said:
        canary.roll_back(failing, "f", "2", "3")
    assert (said.value.code, said.value.operation) == ("AccessDenied", "lambda:UpdateAlias")
    assert said.value.advice is not None and said.value.advice.values == ("f", "2")
