"""The parts of the emulator that can be tested without starting it."""

import json
import sys
import tempfile
import types
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.local_stack.aws_emulator import (
    emulator,
    emulator_environment,
    emulator_launcher,
    emulator_schedules,
)
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.spec.schedules.fire_times import next_fire

SERVICES = ("eventbridge", "cloudwatch", "sns", "s3", "lambda_svc", "sts", "scheduler", "iam")


@pytest.fixture
def fake_ministack(monkeypatch: pytest.MonkeyPatch) -> dict[str, types.ModuleType]:
    modules = {name: types.ModuleType(f"ministack.services.{name}") for name in SERVICES}
    monkeypatch.setitem(sys.modules, "ministack", types.ModuleType("ministack"))
    monkeypatch.setitem(sys.modules, "ministack.services", types.ModuleType("ministack.services"))
    for module in modules.values():
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return modules


def test_intervals_pass_faster_and_the_speed_can_change(
    fake_ministack: dict[str, types.ModuleType], tmp_path: Path
) -> None:
    eventbridge = fake_ministack["eventbridge"]
    vars(eventbridge).update(
        _parse_rate_seconds=lambda expression: 60 if expression == "rate(1 minute)" else None,
        _tick_scheduled_rules=print,
        _SCHEDULER_TICK_INTERVAL=10,
    )
    emulator.set_clock_speed(tmp_path, 12)

    emulator_launcher.speed_up_schedules(emulator.clock_speed_file(tmp_path))

    assert vars(eventbridge)["_SCHEDULER_TICK_INTERVAL"] == 1
    assert vars(eventbridge)["_parse_rate_seconds"]("rate(1 minute)") == 5
    assert vars(eventbridge)["_parse_rate_seconds"]("cron(0 0 * * ? *)") is None
    emulator.set_clock_speed(tmp_path, 1)
    assert vars(eventbridge)["_parse_rate_seconds"]("rate(1 minute)") == 60


def test_email_is_sent_to_confirmed_email_subscribers_only(
    fake_ministack: dict[str, types.ModuleType], tmp_path: Path
) -> None:
    """Emails are delivered to confirmed email subscribers alone."""
    sns = fake_ministack["sns"]
    sent: list[str] = []
    subscriptions = [
        {"protocol": "email", "endpoint": "people@example.com", "confirmed": True},
        {"protocol": "email", "endpoint": "pending@example.com", "confirmed": False},
        {"protocol": "sqs", "endpoint": "queue", "confirmed": True},
    ]
    vars(sns).update(
        _fanout=lambda topic, *rest: sent.append(topic),
        _topic_by_arn_any_scope=lambda arn: {"subscriptions": subscriptions} if arn == "topic" else None,
    )

    emulator_launcher.deliver_emails(tmp_path)
    vars(sns)["_fanout"]("topic", "id", "the message", "the subject")
    vars(sns)["_fanout"]("another", "id", "the message", "the subject")

    assert sent == ["topic", "another"]
    (email,) = emulator_launcher._load(Path(emulator_launcher.__file__).parents[1] / "alerting" / "mail_sink.py").read(
        tmp_path
    )
    assert (email.recipient, email.subject, email.body) == ("people@example.com", "the subject", "the message")


def test_what_asks_for_tls_is_content_with_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[tuple[str, bool]] = []
    policies = types.ModuleType("ministack.core.iam_evaluator")
    vars(policies).update(pin_request_origin=lambda source_ip, secure: pinned.append((source_ip, secure)))
    for module in (types.ModuleType("ministack"), types.ModuleType("ministack.core"), policies):
        monkeypatch.setitem(sys.modules, module.__name__, module)

    emulator_launcher.treat_loopback_as_tls()
    for source_ip, secure in (("127.0.0.1", False), ("10.0.0.1", False), ("10.0.0.1", True)):
        vars(policies)["pin_request_origin"](source_ip, secure)

    assert pinned == [("127.0.0.1", True), ("10.0.0.1", False), ("10.0.0.1", True)]


FUNCTION = "arn:aws:lambda:eu-west-2:000000000000:function:mine:live"
RULE = "arn:aws:events:eu-west-2:000000000000:rule/every-minute"


def permission(**changes: object) -> dict[str, object]:
    return {
        "Effect": "Allow", "Action": "lambda:InvokeFunction", "Principal": {"Service": "events.amazonaws.com"},
        "Resource": FUNCTION, "Condition": {"ArnLike": {"AWS:SourceArn": RULE}}, **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("statement", "permitted"),
    [
        (permission(), True),
        (permission(Condition={}), True),
        (permission(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/*"}}), True),
        (permission(Condition={"ArnLike": {"AWS:SourceArn": RULE + "-another"}}), False),
        (permission(Principal={"Service": "s3.amazonaws.com"}), False),
        (permission(Action="lambda:GetFunction"), False),
        (permission(Effect="Deny"), False),
        (permission(Resource=FUNCTION.removesuffix(":live")), False),
    ],
)
def test_a_permission_names_who_may_invoke(statement: dict[str, object], permitted: bool) -> None:
    assert emulator_launcher.permits(statement, FUNCTION, "events.amazonaws.com", RULE) is permitted


def test_services_invoke_only_what_permits_them(fake_ministack: dict[str, types.ModuleType]) -> None:
    invoked: list[str] = []
    policy = [
        permission(),
        *(permission(Principal={"Service": f"{name}.amazonaws.com"}, Condition={}) for name in ("s3", "sns")),
    ]
    vars(fake_ministack["lambda_svc"])["_get_base_func_record_for_ref"] = lambda arn: (
        {"policy": {"Statement": policy}}, {}, arn
    )  # fmt: skip
    vars(fake_ministack["eventbridge"])["_invoke_target"] = lambda target, event, rule, view: invoked.append(
        target["Arn"]
    )
    vars(fake_ministack["s3"])["_deliver_event_to_lambda"] = lambda arn, payload, region: invoked.append(f"s3 {arn}")
    vars(fake_ministack["sns"])["_deliver_to_lambda"] = lambda arn, *rest: invoked.append(f"sns {arn}")
    emulator_launcher.enforce_invoke_permissions()

    for arn in (FUNCTION, "arn:aws:lambda:theirs", "arn:aws:sqs:queue"):
        vars(fake_ministack["eventbridge"])["_invoke_target"]({"Arn": arn}, {}, {"Arn": RULE}, None)
    for arn in (FUNCTION, "arn:aws:lambda:theirs"):
        payload = {"Records": [{"s3": {"bucket": {"arn": "arn:aws:s3:::lake"}}}]}
        vars(fake_ministack["s3"])["_deliver_event_to_lambda"](arn, payload, "eu-west-2")
        vars(fake_ministack["sns"])["_deliver_to_lambda"](arn, "{}", "arn:aws:sns:alarms", "arn:subscription")

    assert invoked == [FUNCTION, "arn:aws:sqs:queue", f"s3 {FUNCTION}", f"sns {FUNCTION}"]


def test_alarms_are_left_to_the_clock(fake_ministack: dict[str, types.ModuleType]) -> None:
    cloudwatch = fake_ministack["cloudwatch"]
    vars(cloudwatch)["_evaluate_alarm"] = pytest.fail

    emulator_launcher.disable_alarm_evaluation()

    assert vars(cloudwatch)["_evaluate_alarm"]({"AlarmName": "any"}) is None


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda path: emulator_launcher.speed_up_schedules(path), "eventbridge._parse_rate_seconds"),
        (lambda path: emulator_launcher.disable_alarm_evaluation(), "cloudwatch._evaluate_alarm"),
        (lambda path: emulator_launcher.enforce_invoke_permissions(), "lambda_svc._get_base_func_record_for_ref"),
        (lambda path: emulator_launcher.deliver_emails(path), "sns._fanout"),
    ],
)
def test_missing_private_name_of_moto_stops_the_start(
    fake_ministack: dict[str, types.ModuleType], tmp_path: Path, change: types.FunctionType, name: str
) -> None:
    """A private name that is deleted stops the start with its name."""
    with pytest.raises(SystemExit, match=rf"ministack\.services\.{name} is missing"):
        change(tmp_path)


def test_failed_installation_quotes_the_installer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What cannot be installed is reported in the installers words."""
    monkeypatch.setenv(emulator_environment.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(emulator_environment, "REQUIREMENTS", (f"nothing @ file://{tmp_path}/nowhere",))
    said: list[str] = []

    with pytest.raises(LocalError, match="could not be installed"):
        emulator_environment.interpreter(tmp_path / "fallback", said.append)

    assert said == ["Installing the emulated AWS, once"]
    assert list((tmp_path / "cache").iterdir()) == []


def test_credentials_are_not_shown() -> None:
    assert "hidden" not in repr(emulator.Credentials("AKIA", "hidden"))


def test_layer_is_unpacked_once_and_code_for_each_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runtime = types.ModuleType("ministack.core.lambda_runtime")
    vars(runtime).update(zipfile=zipfile)
    monkeypatch.setitem(sys.modules, runtime.__name__, runtime)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    emulator_launcher.unpack_layers_once()

    def unpack(content: str, name: str) -> Path:
        target = tmp_path / name
        target.mkdir(parents=True)
        with zipfile.ZipFile(target.with_suffix(".zip"), "w") as made:
            made.writestr(zipfile.ZipInfo("python/one.py"), content)
        with vars(runtime)["zipfile"].ZipFile(target.with_suffix(".zip")) as archive:
            archive.extractall(target)
        return target / "python" / "one.py"

    first, again = (unpack("a = 1", f"{worker}/layer_0") for worker in "ab")
    assert first.read_bytes() == again.read_bytes() == b"a = 1"
    assert first.samefile(again)
    assert unpack("a = 2", "b/layer_1").read_bytes() == b"a = 2"
    assert not unpack("a = 1", "a/code").samefile(unpack("a = 1", "b/code"))
    assert len([*(tmp_path / "layers").iterdir()]) == 2


GROUP = "arn:aws:scheduler:eu-west-2:000000000000:schedule-group/totes-dev"


def role_of(**changes: object) -> dict[str, object]:
    condition = {"StringEquals": {"aws:SourceAccount": "000000000000", "aws:SourceArn": GROUP}}
    trust = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Condition": condition}
    allowed = {"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": [FUNCTION], **changes}
    return {
        "AssumeRolePolicyDocument": json.dumps({"Statement": [trust]}),
        "InlinePolicies": {"lambda_script": json.dumps({"Statement": [allowed]})},
    }


def test_schedules_fire_in_their_zone(fake_ministack: dict[str, types.ModuleType]) -> None:
    """A minute of a summer's morning in London, looked at every second; the other ones are off, over, or in UTC."""
    nine = {"ScheduleExpression": "cron(0 9 ? * * *)", "State": "ENABLED", "LastModificationDate": 0, "CreationDate": 0}
    nine["Arn"] = "arn:schedule"
    target = {"Arn": FUNCTION, "RoleArn": "arn:aws:iam::000000000000:role/r"}
    london = {**nine, "ScheduleExpressionTimezone": "Europe/London", "Target": target}
    stored = {
        "london": london,
        "utc": {**nine, "Target": target},
        "off": {**london, "State": "DISABLED"},
        "over": {**london, "EndDate": 1.0},
        "forbidden": {**london, "Target": {**target, "RoleArn": "arn:aws:iam::000000000000:role/none"}},
        "rate": {**london, "ScheduleExpression": "rate(1 minute)"},
    }
    clock = [datetime(2026, 7, 1, 7, 59, 30, tzinfo=UTC).timestamp()]
    stored["late"] = {**london, "LastModificationDate": clock[0] + 31}
    stored["rate"]["CreationDate"] = clock[0]
    invoked: list[str] = []

    def invoke(target: dict[str, object], event: dict[str, object], schedule: dict[str, object]) -> None:
        assert event["Source"] == "aws.scheduler"
        invoked.append(next(name for name, each in stored.items() if each is schedule))

    scheduler, eventbridge, iam = (fake_ministack[name] for name in ("scheduler", "eventbridge", "iam"))
    vars(eventbridge).update(
        _parse_rate_seconds=lambda expression: 60 if expression.startswith("rate") else None, _invoke_target=invoke
    )
    kept = types.SimpleNamespace(
        _data={("000000000000", "eu-west-2", f"totes-dev/{key}"): item for key, item in stored.items()}
    )
    vars(scheduler).update(_schedules=kept, _tick_schedules=print, _SCHEDULE_TICK_INTERVAL=10)
    entered: list[str] = []
    vars(scheduler).update(set_request_account_id=entered.append, set_request_region=entered.append)
    vars(iam)["_roles"] = {"r": role_of()}
    emulator_schedules.install(getattr, next_fire, 1, lambda: clock[0])
    assert vars(scheduler)["_SCHEDULE_TICK_INTERVAL"] == 1

    for _ in range(90):
        vars(scheduler)["_tick_schedules"]()
        clock[0] += 1

    assert invoked == ["london", "rate"]
    assert entered == ["000000000000", "eu-west-2"] * 3, "once for the one that is forbidden"
