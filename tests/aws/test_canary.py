"""A canary release: completed, or rolled back on an alarm, an interruption or a denied call."""

from __future__ import annotations

import signal
import threading

import pytest

from lambda_script import Alarm, Canary, DeployError, LimitError
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.resources.functions import canary
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.model import Deployment, SecretSpec

WATCHED = {"alarms": [Alarm("errors", "Errors")], "canary": Canary(weight=0.1, minutes=10)}


@pytest.fixture
def released(script, source):
    """A Lambda_script whose first version is live and whose code was changed since."""
    script(**WATCHED).deploy()
    source.write_text("def lambda_handler(event, context):\n    return 'new'\n", encoding="utf-8")
    return script(**WATCHED)


def alias(client) -> dict:
    found = client("lambda").get_alias(FunctionName="my-function", Name="live")
    return {
        "version": found["FunctionVersion"],
        "weights": (found.get("RoutingConfig") or {}).get("AdditionalVersionWeights"),
    }


def ring(client, state: str) -> None:
    client("cloudwatch").set_alarm_state(AlarmName="my-function-errors", StateValue=state, StateReason="2 errors")


def at(fake_time, seconds: float, do) -> None:
    """Once ``seconds`` have passed, ``do``."""
    sleep = fake_time.sleep

    def sleeping(for_seconds: float) -> None:
        nonlocal do
        sleep(for_seconds)
        if do is not None and fake_time.seconds >= seconds:
            now, do = do, None
            now()

    fake_time.sleep = sleeping


@pytest.fixture
def aws(session, fake_time):
    from lambda_toolkit.aws.client import Aws, Clock

    return Aws("eu-west-2", session=session, clock=Clock(fake_time.now, lambda seconds: fake_time.sleep(seconds)))


def test_the_first_version_needs_no_canary(script, client, fake_time) -> None:
    script(**WATCHED).deploy()
    assert alias(client)["version"] == "1"
    assert fake_time.seconds < 10


def test_a_checked_function_waits_for_what_its_check_may_use(aws, script) -> None:
    """Buckets, secrets and the canary's alarms, but not what the deployment removes or another function has."""
    checked = script(**WATCHED, health_event={"ping": 1}).spec
    other = script(function_name_template="other", alarms=[Alarm("errors", "Errors")]).spec
    buckets, secrets = (BucketSpec("my-lake"),), (SecretSpec("my/source", value="x"),)
    plan = make_plan(aws, Deployment((checked, other), buckets=buckets, secrets=secrets))
    changes = {change.key: change for change in plan.changes}
    after = changes["function", "my-function"].after
    assert {("bucket", "my-lake"), ("secret", "my/source"), ("alarm", "my-function-errors")} <= after
    assert ("role", "my-function-role") in after, "as without a check"
    assert ("alarm", "other-errors") not in after
    assert not {("bucket", "my-lake"), ("secret", "my/source")} & changes["function", "other"].after


def test_a_quiet_canary_takes_all_calls_after_its_minutes(released, client, fake_time, recorder) -> None:
    seen = []
    at(fake_time, 300, lambda: seen.append(alias(client)))
    recorder.clear()
    assert released.deploy().ok
    assert seen == [{"version": "1", "weights": {"2": 0.1}}]
    assert 600 <= fake_time.seconds < 620
    assert recorder.writes == ["UpdateFunctionCode", "UpdateAlias", "UpdateAlias"]
    assert (alias(client)["version"], bool(alias(client)["weights"])) == ("2", False)
    assert not released.plan()


@pytest.mark.parametrize(
    ("calls", "schedule", "says"),
    [
        (14_400, "rate(1 day)", "to get 10 of 100 calls in 10 minutes, by those of the last day"),
        (144, None, "to get 0.1 of 1 calls in 10 minutes, by those of the last day: it may see none"),
        (None, "rate(5 minutes)", "to get 0.2 of 2 calls in 10 minutes, by its schedule: it may see none"),
        (0, "rate(1 minute)", "to get 1 of 10 calls in 10 minutes, by its schedule"),
        (None, "cron(0 * * * ? *)", "how many calls the canary will get is not known"),
    ],
)
def test_plan_says_how_many_calls_the_canary_will_get(script, session, source, recorder, calls, schedule, says) -> None:
    """By the calls of the last day, or where these cannot be read by the schedule; only where one would be tried."""
    asked = []

    def invocations(parsed, **_) -> None:
        asked.append(True)
        parsed["Datapoints"] = [{"Sum": float(calls or 0)}]

    session.events.register("after-call.cloudwatch.GetMetricStatistics", invocations)
    declared = {**WATCHED, "schedule": schedule}
    assert not any("canary" in text for change in script(**declared).plan().changes for text in change.details)
    script(**declared).deploy()
    assert (script(**declared).plan().changes, asked) == ((), [])
    if calls is None:
        recorder.refuse("GetMetricStatistics", "AccessDenied", "not allowed")
    source.write_text("def lambda_handler(event, context):\n    return 'new'\n", encoding="utf-8")
    [detail] = [text for change in script(**declared).plan().changes for text in change.details if "canary" in text]
    assert says in detail
    assert script(**{**declared, "canary": None}).plan().changes[0].details == ()


def test_an_alarm_takes_the_calls_back(released, client, fake_time) -> None:
    at(fake_time, 120, lambda: ring(client, "ALARM"))
    with pytest.raises(DeployError, match="my-function-errors went into ALARM: 2 errors") as failed:
        released.deploy()
    assert "10% of the calls" in str(failed.value)
    assert "live stays at version 1" in str(failed.value)
    assert 120 <= fake_time.seconds < 140
    assert (alias(client)["version"], bool(alias(client)["weights"])) == ("1", False)
    ring(client, "OK")
    assert released.deploy().ok  # the next deploy tries again
    assert alias(client)["version"] == "2"


def test_alarm_raised_before_the_release_counts_after_an_ok(released, client, fake_time) -> None:
    ring(client, "ALARM")
    at(fake_time, 200, lambda: ring(client, "OK"))
    assert released.deploy().ok
    assert alias(client)["version"] == "2"


def test_an_interruption_takes_the_calls_back(released, client, fake_time) -> None:
    interrupted = released._client().clock.interrupted

    def press_ctrl_c() -> None:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        assert interrupted.wait(60)

    at(fake_time, 60, press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        released.deploy()
    assert fake_time.seconds < 63
    assert (alias(client)["version"], bool(alias(client)["weights"])) == ("1", False)


def test_ctrl_c_reaches_the_canary(released, client, fake_time) -> None:
    def press(progress) -> None:
        if progress.state == "started" and progress.change.kind == "function":
            raise KeyboardInterrupt

    aws = released._client()
    with pytest.raises(KeyboardInterrupt):
        execute(aws, released.plan(), press)
    assert fake_time.seconds < 600
    assert (alias(client)["version"], bool(alias(client)["weights"])) == ("1", False)
    assert released.deploy().ok


def test_alarms_that_cannot_be_read_take_the_calls_back(released, client, recorder, fake_time) -> None:
    plan = released.plan()
    recorder.refuse("DescribeAlarms", "AccessDenied", "no")
    report = execute(released._client(), plan)
    assert "need cloudwatch:DescribeAlarms" in report.failed[0].message
    assert (alias(client)["version"], bool(alias(client)["weights"])) == ("1", False)


def test_canary_rollback_that_fails_names_the_repair_command(released, client, recorder, fake_time) -> None:
    """Calls that cannot be taken back are reported with the command and the next deploy repairs."""

    def break_down() -> None:
        ring(client, "ALARM")
        recorder.refuse("UpdateAlias", "AccessDeniedException", "no", times=1)

    at(fake_time, 60, break_down)
    with pytest.raises(DeployError, match=r'rollback\("my-function", to="1"\)'):
        released.deploy()
    assert alias(client)["weights"] == {"2": 0.1}
    [change] = released.plan().changes
    assert change.details[0] == "live sends 10% of its calls to version 2"
    ring(client, "OK")
    assert released.deploy().ok
    assert alias(client)["version"] == "2"


def test_failed_last_move_takes_the_calls_back(released, client, recorder, fake_time) -> None:
    at(fake_time, 599, lambda: recorder.refuse("UpdateAlias", "AccessDeniedException", "no", times=1))
    with pytest.raises(DeployError, match="need lambda:UpdateAlias"):
        released.deploy()
    assert (alias(client)["version"], bool(alias(client)["weights"])) == ("1", False)
    assert released.deploy().ok
    assert alias(client)["version"] == "2"


def test_canary_may_be_shorter_than_an_alarm_looks_back(script) -> None:
    """It takes one period to rise, though it looks at fifteen."""
    one_of_many = Alarm("errors", "Errors", evaluation_periods=15, datapoints_to_alarm=1)
    assert script(**{**WATCHED, "canary": {"minutes": 2}, "alarms": [one_of_many]}).plan()


@pytest.mark.parametrize(
    ("different", "problem"),
    [
        ({"alarms": []}, "its canary needs at least one alarm"),
        ({"canary": {"weight": 1.0}}, "weight 1.0 is not between 0 and 1"),
        ({"canary": {"minutes": 0}}, "minutes 0"),
        ({"canary": {"minutes": 0.5}}, "lasts 0.5 minutes, and alarm `errors` needs 1"),
        ({"canary": {"wait": 3}}, "takes `weight` and `minutes`"),
        ({"canary": None, "health_event": {"at": object()}}, "cannot be sent as JSON"),
    ],
)
def test_what_no_canary_can_be_is_refused_before_any_call(script, recorder, different, problem) -> None:
    with pytest.raises(LimitError, match=problem):
        script(**{**WATCHED, **different})
    assert recorder.calls == []


def test_watch_ends_where_rounding_leaves_no_time_to_sleep(aws, fake_time, monkeypatch) -> None:
    """A clock of floating-point seconds does not move by a fraction of a picosecond, which was left here."""
    looks = iter([{}] * 100)
    monkeypatch.setattr(canary, "_in_alarm", lambda aws, alarms: next(looks))
    fake_time.seconds = 8164.599999999999
    assert canary._watch(aws, ["none"], 180.0) is None
