"""The emulator is started with every change, and what of them looks at values."""

from __future__ import annotations

import json
import logging
import runpy
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from unittest.mock import MagicMock

import pytest

from lambda_toolkit.pipeline.local_stack.alerting import mail_sink
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator_launcher

FUNCTION = "arn:aws:lambda:eu-west-2:000000000000:function:mine:live"
SOURCE = "arn:aws:s3:::lake"
LOADED = ("fire_times", "mail_sink", *(f"emulator_{name}" for name in ("destinations", "gate", "layers")))
LOADED += ("emulator_metrics", "emulator_schedules")
SERVICES = ("cloudwatch", "cloudwatch_logs", "eventbridge", "iam", "lambda_svc", "s3", "scheduler", "secretsmanager")
SERVICES += ("sns", "sts", "tagging")
NAMES = {
    "app": "_credential_failure app",
    "cloudwatch": "_alarms _dims_key _error _evaluate_alarm _metric_bucket _put_metric_alarm _resource_tags",
    "cloudwatch_logs": "_log_groups",
    "eventbridge": "_SCHEDULER_TICK_INTERVAL _dispatch_to_lambda _invoke_target _tick_scheduled_rules",
    "iam": "_roles",
    "iam_evaluator": "AuthError is_root_access_key pin_request_origin resolve_credential",
    "lambda_runtime": "_account_region_from_function_config execution_credentials",
    "lambda_svc": (
        "_emit_lambda_metrics _execute_function_dispatch _execute_function_with_config_scope invoke_async_with_retry"
        " _execution_record_for_config _get_base_func_record_for_ref _get_func_record_for_ref _presigned_code_url"
        " _reserved_concurrency _route_async_failure _run_with_function_config_scope execution_credentials"
    ),
    "router": "detect_service extract_access_key_id",
    "s3": "_deliver_event_to_lambda _put_object",
    "scheduler": "_SCHEDULE_TICK_INTERVAL _schedules _tick_schedules set_request_account_id set_request_region",
    "secretsmanager": "_create_secret _secrets",
    "sns": "_deliver_to_lambda _fanout",
    "sts": "is_root_access_key register_session",
    "tagging": "_collect_secretsmanager",
}
"""Names of the emulator's modules whose absence must be noticed at the start; beside those that the test gives."""
SPEED, MAILS = "--clock-speed-file", "--mail-sink"


class Module(ModuleType):
    """A module of the emulator that has whatever name it is asked for, and keeps what that was."""

    asked: ClassVar[set[str]] = set()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.asked.add(f"{self.__name__.rpartition('.')[2]}.{name}")
        return MagicMock(name=name)

    def replaced(self) -> set[str]:
        """The names that were put into it."""
        return {name for name in vars(self) if not name.startswith("__")}


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, Module]:
    """Every module of the emulator that is changed."""
    names = [f"services.{name}" for name in SERVICES]
    names += [f"core.{name}" for name in ("iam_evaluator", "lambda_runtime", "router")]
    found = {name.rpartition(".")[2]: Module(f"ministack.{name}") for name in (*names, "app")}
    for module in found.values():
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for parent in ("ministack", "ministack.services", "ministack.core"):
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    for name in LOADED:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(Module, "asked", set())
    return found


def test_emulator_is_started_with_every_change(
    modules: dict[str, Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed, mails = tmp_path / "speed", tmp_path / "mails"
    speed.write_text("2", encoding="utf-8")
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    for name, value in {**keys, "MINISTACK_ACCOUNT_ID": "0" * 12, "MINISTACK_REGION": "eu-west-2"}.items():
        monkeypatch.setenv(name, value)
    subscription = {"protocol": "email", "endpoint": "a@example.com", "confirmed": True}
    given: dict[str, dict[str, Any]] = {
        "eventbridge": {"_parse_rate_seconds": lambda expression: 60},
        "lambda_runtime": {"zipfile": zipfile},
        "tagging": {"_COLLECTORS": {}},
        "sns": {"_topic_by_arn_any_scope": lambda arn: {"subscriptions": [subscription]}},
        "app": {"main": lambda: ran.append((list(sys.argv), modules["app"].replaced()))},
    }
    for name, values in given.items():
        vars(modules[name]).update(values)
    ran: list[Any] = []
    monkeypatch.setattr(sys, "argv", ["emulator_launcher.py", f"{SPEED}={speed}", f"{MAILS}={mails}"])
    emulator_launcher.main()
    assert ran == [(["ministack"], {"app", "main"})], "it reads its own command line, and the gate precedes it"
    assert Module.asked == {f"{module}.{name}" for module, names in NAMES.items() for name in names.split()}
    replaced = {name: module.replaced() - set(given.get(name, ())) for name, module in modules.items()}
    assert {name: names for name, names in replaced.items() if names} == {
        "app": {"app"},
        "cloudwatch": {"_evaluate_alarm", "_put_metric_alarm"},
        "eventbridge": {"_SCHEDULER_TICK_INTERVAL", "_dispatch_to_lambda", "_invoke_target"},
        "iam_evaluator": {"is_root_access_key", "pin_request_origin"},
        "lambda_runtime": {"execution_credentials"},
        "lambda_svc": {
            *("_emit_lambda_metrics", "_execute_function_dispatch", "_get_func_record_for_ref", "_presigned_code_url"),
            *("_reserved_concurrency", "execution_credentials", "invoke_async_with_retry"),
        },
        "s3": {"_deliver_event_to_lambda"},
        "scheduler": {"_SCHEDULE_TICK_INTERVAL", "_tick_schedules"},
        "secretsmanager": {"_create_secret"},
        "sns": {"_deliver_to_lambda", "_fanout"},
        "sts": {"is_root_access_key"},
    }  # fmt: skip
    assert set(vars(modules["tagging"])["_COLLECTORS"]) == {"logs", "cloudwatch", "secretsmanager"}
    assert vars(modules["lambda_runtime"])["zipfile"] is not zipfile
    assert vars(modules["eventbridge"])["_parse_rate_seconds"]("rate(1 minute)") == 30
    schedules = vars(modules["scheduler"])["_tick_schedules"].__self__
    assert (schedules.next_fire.__name__, vars(modules["scheduler"])["_SCHEDULE_TICK_INTERVAL"]) == ("next_fire", 1)
    assert vars(modules["lambda_svc"])["invoke_async_with_retry"].__self__.allows.__name__ == "allows"
    vars(modules["sns"])["_fanout"]("topic", "id", "the message", "the subject")
    assert [email.recipient for email in mail_sink.read(mails)] == ["a@example.com"]


def test_emulator_needs_both_its_files(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for given, missing in ((SPEED, MAILS), (MAILS, SPEED)):
        monkeypatch.setattr(sys, "argv", ["emulator_launcher.py", f"{given}=x"])
        for start in (emulator_launcher.main, lambda: runpy.run_path(emulator_launcher.__file__, run_name="__main__")):
            with pytest.raises(SystemExit):
                start()
            assert f"required: {missing}" in capsys.readouterr().err
        runpy.run_path(emulator_launcher.__file__, run_name="emulator_launcher")


def test_what_is_loaded_by_its_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no_module cannot be loaded"):
        emulator_launcher._load(tmp_path / "no_module")


@pytest.mark.parametrize(
    ("condition", "permitted"),
    [
        ({"ArnEquals": {"aws:SourceArn": SOURCE}}, True),
        ({"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::other"}}, False),
        ({"StringEquals": {"AWS:SOURCEARN": SOURCE}}, True),
        ({"StringEquals": {"aws:SourceArn": "arn:aws:s3:::other"}}, False),
        ({"StringEquals": {"aws:SourceAccount": "000000000000"}}, True),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}, "StringEquals": {"aws:SourceArn": "other"}}, False),
    ],
)
def test_every_source_of_a_permission_must_be_the_one(condition: dict[str, Any], permitted: bool) -> None:
    statement = {"Effect": "Allow", "Action": "lambda:*", "Principal": {"Service": "s3.amazonaws.com"}}
    statement |= {"Resource": FUNCTION, "Condition": condition}
    assert emulator_launcher.permits(statement, FUNCTION, "s3.amazonaws.com", SOURCE) is permitted
    del statement["Principal"]
    assert not emulator_launcher.permits(statement, FUNCTION, "s3.amazonaws.com", SOURCE)


@pytest.mark.parametrize("function", [None, {}, {"policy": {}}, {"policy": {"Statement": []}}])
def test_function_without_a_permission_is_not_invoked(
    modules: dict[str, Module], caplog: pytest.LogCaptureFixture, function: dict[str, Any] | None
) -> None:
    """Which is in the log, for who waits for it. A target that is no function needs none."""
    invoked: list[Any] = []
    vars(modules["lambda_svc"])["_get_base_func_record_for_ref"] = lambda arn: (function, None, "")
    vars(modules["eventbridge"])["_invoke_target"] = lambda *of: invoked.append(of)
    for service, name in (("s3", "_deliver_event_to_lambda"), ("sns", "_deliver_to_lambda")):
        vars(modules[service])[name] = lambda *of: pytest.fail("it has no permission")
    emulator_launcher.enforce_invoke_permissions()
    with caplog.at_level(logging.WARNING, logger="launcher"):
        vars(modules["eventbridge"])["_invoke_target"]({"Arn": FUNCTION}, {}, {"Arn": "arn:rule"}, 1)
        vars(modules["s3"])["_deliver_event_to_lambda"](
            FUNCTION, {"Records": [{"s3": {"bucket": {"arn": SOURCE}}}]}, "eu-west-2"
        )
        vars(modules["sns"])["_deliver_to_lambda"](FUNCTION, "{}", "arn:topic", "arn:subscription")
    assert len(caplog.records) == 3
    queue = {"Arn": "arn:aws:sqs:q"}
    vars(modules["eventbridge"])["_invoke_target"](queue, "event", {"Arn": "arn:rule"}, 1)
    assert invoked == [(queue, "event", {"Arn": "arn:rule"}, 1)]


def test_message_is_written_once_for_each_address(modules: dict[str, Module], tmp_path: Path) -> None:
    sent: list[Any] = []
    subscriptions = [
        {"protocol": protocol, "endpoint": f"{protocol}@example.com", "confirmed": True}
        for protocol in ("email", "email-json", "https")
    ]
    vars(modules["sns"]).update(
        _fanout=lambda *of, **more: sent.append((of, more)),
        _topic_by_arn_any_scope=lambda arn: {"subscriptions": subscriptions} if arn == "arn:topic" else {},
    )
    emulator_launcher.deliver_emails(tmp_path)
    for topic in ("arn:topic", "arn:empty"):
        vars(modules["sns"])["_fanout"](topic, "id", json.dumps([1]), None, "structure", attributes={"a": 1})
    assert sent == [
        ((topic, "id", "[1]", None, "structure"), {"attributes": {"a": 1}}) for topic in ("arn:topic", "arn:empty")
    ]
    assert [(email.recipient, email.subject, email.topic) for email in mail_sink.read(tmp_path)] == [
        (f"{protocol}@example.com", "AWS Notification Message", "arn:topic") for protocol in ("email", "email-json")
    ]
