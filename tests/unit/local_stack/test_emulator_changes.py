"""What is changed in the emulator, each change tried on a module that is made here."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator_launcher, emulator_metrics
from lambda_toolkit.pipeline.local_stack.aws_emulator.emulator_metrics import Runs

Fake = Callable[..., ModuleType]
ARN = "arn:aws:lambda:eu-west-2:000000000000:function:mine"
LIVE = f"{ARN}:live"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A module of the emulator, by its name below ``ministack``, with these names in it."""
    for name in ("ministack", "ministack.services", "ministack.core"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))

    def made(name: str, **names: Any) -> ModuleType:
        module = ModuleType(f"ministack.{name}")
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return module

    return made


# --------------------------------------------------------------------------------------------------------------- alarms


def test_alarm_keeps_its_expression_in_place_of_a_metric(fake: Fake) -> None:
    stored: dict[str, dict[str, Any]] = {}
    of_one_metric = ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions", "Unit")

    def put(form: Any, request: dict[str, Any], is_cbor: bool, is_json: bool) -> tuple[int, Any, bytes]:
        if "AlarmName" not in request:
            return 400, (is_cbor, is_json), b"no name"
        stored[request["AlarmName"]] = {"Threshold": 1, **dict.fromkeys(of_one_metric, "given")}
        return 200, (is_cbor, is_json), b""

    refused: list[Any] = []
    cloudwatch = fake(
        "services.cloudwatch",
        _put_metric_alarm=put,
        _alarms=stored,
        _error=lambda code, text, status, **form: refused.append((code, form)) or (status, {}, b""),
    )
    emulator_launcher.keep_alarm_expressions()
    changed = vars(cloudwatch)["_put_metric_alarm"]
    metrics = [{"Id": "a", "Expression": "b / c"}]
    assert changed({}, {"AlarmName": "math", "Metrics": metrics}, True)[:2] == (200, (True, False))
    assert stored["math"] == {"Threshold": 1, "Metrics": metrics}
    assert changed({"MetricName": "x"}, {"AlarmName": "plain", "MetricName": "x", "Period": 60}, False, True)[0] == 200
    assert stored["plain"] == {"Threshold": 1, **dict.fromkeys(of_one_metric, "given")}
    assert changed({}, {"Metrics": metrics}, True)[0] == 400, "what the emulator refuses stays refused"
    for name in ("MetricName", "Period", "Statistic"):
        both = {"AlarmName": "both", "Metrics": metrics, name: "x"}
        assert changed({}, both, True)[0] == changed({}, both, False, True)[0] == 400
    assert "both" not in stored
    assert refused == [
        ("ValidationError", form)
        for _ in range(3)
        for form in ({"use_json": False, "use_cbor": True}, {"use_json": True, "use_cbor": False})
    ]
    query = {"AlarmName": "query", "Metrics.member.1.Id": "a"}
    assert changed(query, {"AlarmName": "query"}, False)[0] == 400 and "query" not in stored
    assert refused[-1] == ("ValidationError", {})
    assert changed({"MetricName": "x"}, {"AlarmName": "plain", "MetricName": "x"}, False)[0] == 200
    assert changed(query, {"AlarmName": "query"}, True)[0] == 200
    assert changed(query, {"AlarmName": "query"}, False, True)[0] == 200


# ------------------------------------------------------------------------------------------- tags, secrets, credentials


def test_resources_by_tag_have_groups_alarms_and_secrets(fake: Fake) -> None:
    groups = {"a": {"arn": "arn:group:a:*", "tags": {"team": "data"}}, "b": {"arn": "arn:group:b"}}
    fake("services.cloudwatch_logs", _log_groups=groups)
    fake("services.cloudwatch", _resource_tags={"arn:alarm": {"stage": "dev"}})
    secrets = iter([("arn:secret", [])])
    collectors: dict[str, Any] = {"lambda": "kept"}
    fake("services.tagging", _COLLECTORS=collectors, _collect_secretsmanager=lambda: secrets)
    emulator_launcher.extend_tag_listing()
    assert collectors.pop("lambda") == "kept"
    assert {name: list(found()) for name, found in collectors.items()} == {
        "logs": [("arn:group:a", [{"Key": "team", "Value": "data"}]), ("arn:group:b", [])],
        "cloudwatch": [("arn:alarm", [{"Key": "stage", "Value": "dev"}])],
        "secretsmanager": [("arn:secret", [])],
    }


def test_first_version_of_a_secret_has_the_id_of_its_request(fake: Fake) -> None:
    stored: dict[str, Any] = {}

    def create(request: dict[str, Any]) -> tuple[int, Any, bytes]:
        if "Name" not in request:
            return 400, {}, b"no name"
        stored[request["Name"]] = {"Versions": {"own": {"SecretString": "s"}}}
        return 200, {"a": "b"}, json.dumps({"Name": request["Name"], "VersionId": "own"}).encode()

    module = fake("services.secretsmanager", _create_secret=create, _secrets=stored)
    emulator_launcher.keep_version_ids()
    changed = vars(module)["_create_secret"]
    status, headers, body = changed({"Name": "n", "ClientRequestToken": "token"})
    assert (status, headers, json.loads(body)) == (200, {"a": "b"}, {"Name": "n", "VersionId": "token"})
    assert stored["n"]["Versions"] == {"token": {"SecretString": "s"}}
    assert json.loads(changed({"Name": "n"})[2])["VersionId"] == "own"
    assert changed({"ClientRequestToken": "token"}) == (400, {}, b"no name")


def test_keys_of_a_role_are_its_own_and_registered(fake: Fake) -> None:
    sessions: dict[str, dict[str, str]] = {}
    runtime = fake(
        "core.lambda_runtime",
        execution_credentials=None,
        _account_region_from_function_config=lambda config: (config["FunctionArn"].split(":")[4], "eu-west-2"),
    )
    service = fake("services.lambda_svc", execution_credentials=None)
    fake("services.sts", register_session=sessions.__setitem__)
    emulator_launcher.make_role_keys_secret()
    keys = vars(runtime)["execution_credentials"]
    assert keys is vars(service)["execution_credentials"] is not None
    config = {"FunctionName": "f" * 70, "FunctionArn": ARN, "Role": "arn:aws:iam::000000000000:role/path/load"}
    found = keys(config)
    assert found == keys(config), "the same for each worker"
    key, secret, token = (found[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
    assert key.startswith("ASIA") and len(key) == 20 and key.isupper() and len({secret, token}) == 2
    assert sessions[key] == {
        "Arn": f"arn:aws:sts::000000000000:assumed-role/load/{'f' * 64}",
        "UserId": f"load:{'f' * 64}",
        "SecretAccessKey": secret,
        "SessionToken": token,
    }
    others = [keys({**config, name: f"{config[name]}2"}) for name in ("FunctionArn", "Role")]
    assert len({each["AWS_SECRET_ACCESS_KEY"] for each in (found, *others)}) == 3
    emulator_launcher.make_role_keys_secret()
    assert vars(runtime)["execution_credentials"](config) != found, "another run has others"


def test_gate_is_put_before_the_emulator(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """One key is the administrator's, those of sessions are resolved, and a refusal has the form of its service."""
    known = SimpleNamespace(secret_access_key="of the session")
    resolved: list[Any] = []

    def resolve(key: str, account: str, token: str) -> Any:
        resolved.append((key, account, token))
        return known if key == "ASIA" else SimpleNamespace(code="InvalidClientTokenId", message="no such key")

    policies = fake("core.iam_evaluator", resolve_credential=resolve, AuthError=dict, is_root_access_key=None)
    fake("core.router", detect_service=lambda *of: ("service", *of), extract_access_key_id="key seen")
    sts = fake("services.sts", is_root_access_key=None)
    lambda_svc = fake("services.lambda_svc", _presigned_code_url=lambda name: f"http://127.0.0.1:1/code/{name}?x=y")
    answer = "answer"
    app = fake("app", app="app", _credential_failure=lambda *of: (403, of, answer))
    made: list[Any] = []
    load = emulator_launcher._load
    monkeypatch.setattr(
        emulator_launcher,
        "_load",
        lambda path: SimpleNamespace(**{**vars(load(path)), "Gate": lambda *of: made.append(of) or "gate"}),
    )
    environment = {"AWS_ACCESS_KEY_ID": "ADMIN", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    environment |= {"MINISTACK_ACCOUNT_ID": "000000000000", "MINISTACK_REGION": "eu-west-2"}
    emulator_launcher.guard(app, environment)
    assert vars(app)["app"] == "gate"
    [(guarded, account, report)] = made
    assert guarded == "app" and report == logging.getLogger("launcher").warning
    is_administrator = vars(policies)["is_root_access_key"]
    assert is_administrator is vars(sts)["is_root_access_key"]
    assert [is_administrator(key) for key in ("", "ADMIN", "test", "000000000000")] == [True, True, False, False]
    administrator, secret_of, key_seen, refusal = vars(account).values() if vars(account) else account
    assert (administrator, key_seen) == ("ADMIN", "key seen")
    assert secret_of("ASIA", "token") == "of the session" and resolved == [("ASIA", "000000000000", "token")]
    with pytest.raises(Exception, match="no such key") as refused:
        secret_of("OTHER", "")
    request = SimpleNamespace(headers={"host": ["a", "b"]}, method="GET", route="/x")
    status, of, body = refusal(request, SimpleNamespace(code="c", reason="r"))
    headers = {"host": "a, b"}
    assert (status, body) == (403, answer)
    assert of == (("service", "GET", "/x", headers, {}), "", "", {"code": "c", "message": "r"}, headers)
    assert refused.value.code == "InvalidClientTokenId"  # type: ignore[attr-defined]
    url = vars(lambda_svc)["_presigned_code_url"]("mine")
    assert url.startswith("http://127.0.0.1:1/code/mine?") and "x=y" not in url
    for part in ("X-Amz-Expires=600", "X-Amz-Credential=ADMIN%2F", "%2Feu-west-2%2Flambda%2Faws4_request"):
        assert part in url


# -------------------------------------------------------------------------------------------------------------- metrics


def runs(**changed: Any) -> tuple[Runs, dict[Any, list[dict[str, Any]]]]:
    points: dict[Any, list[dict[str, Any]]] = {}
    named: dict[str, Any] = {
        "run": lambda *of: {"of": of},
        "find": lambda reference: ("record", {"FunctionArn": ARN}, "mine"),
        "points_of": lambda key: points.setdefault(key, []),
        "key_of": lambda of: "/".join(of.values()),
        "function_of": lambda arn: ("base" if arn == LIVE else None, None, ""),
        "reserved": lambda function, config: (function, config),
    }
    return Runs(**{**named, **changed}), points


@pytest.mark.parametrize("failed", [False, True])
def test_run_counts_for_the_function_and_what_was_called(monkeypatch: pytest.MonkeyPatch, failed: bool) -> None:
    monkeypatch.setattr(emulator_metrics.time, "time", lambda: 103.5)
    counted, points = runs(run=lambda *of: {"of": of, "error": failed and "no"})
    config = {"FunctionName": "mine", "FunctionArn": LIVE}
    assert counted.run_and_count({"f": 1}, config, "event", "id", 100.0)["of"] == ({"f": 1}, config, "event", "id", 100)
    values = {"Invocations": (1.0, "Count"), "Errors": (float(failed), "Count"), "Throttles": (0.0, "Count")}
    values["Duration"] = (3500.0, "Milliseconds")
    at = {"Timestamp": 100.0}
    assert points == {
        ("AWS/Lambda", name, "/".join(of.values())): [{**at, "Value": value, "Unit": unit, "Dimensions": of}]
        for of in ({"FunctionName": "mine"}, {"FunctionName": "mine", "Resource": "mine:live"})
        for name, (value, unit) in values.items()
    }
    counted, points = runs()
    counted.run_and_count({}, {"FunctionName": "mine", "FunctionArn": ARN}, None, "id", 0.0)
    counted.run_and_count({}, {"FunctionName": "mine"}, None, "id", 0.0)
    assert {key[2] for key in points} == {"mine"} and len(points["AWS/Lambda", "Errors", "mine"]) == 2


def test_function_may_be_called_function() -> None:
    counted, points = runs()
    arn = "arn:aws:lambda:eu-west-2:000000000000:function:function:live"
    counted.run_and_count({}, {"FunctionName": "function", "FunctionArn": arn}, None, "id", 0.0)
    assert {key[2] for key in points} == {"function", "function/function:live"}


def test_throttle_counts_once_and_is_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator_metrics.time, "time", lambda: 7.0)
    counted, points = runs()
    for duration, throttle in ((0, True), (1.5, True), (0, False)):
        counted.count_throttle("mine", duration, False, throttle)
    of = {"FunctionName": "mine"}
    point = {"Timestamp": 7.0, "Value": 1.0, "Unit": "Count", "Dimensions": of}
    assert points == {("AWS/Lambda", "Throttles", "mine"): [point]}


def test_function_is_found_as_it_was_called() -> None:
    counted, _ = runs()
    assert counted.find_as_called(LIVE) == ("record", {"FunctionArn": LIVE}, "mine")
    assert counted.find_as_called(ARN) == ("record", {"FunctionArn": ARN}, "mine")
    nothing, _ = runs(find=lambda reference: (None, None, ""))
    assert nothing.find_as_called(LIVE) == (None, None, "")
    live, own = {"FunctionArn": LIVE}, {"FunctionArn": ARN}
    assert counted.reserved_for_all({"f": 1}, live) == ("base", live)  # type: ignore[comparison-overlap]
    assert counted.reserved_for_all({"f": 1}, own) == ({"f": 1}, own)  # type: ignore[comparison-overlap]


def test_metrics_replace_what_the_emulator_counts(fake: Fake) -> None:
    names = ("_execute_function_dispatch", "_get_func_record_for_ref", "_get_base_func_record_for_ref")
    names += ("_reserved_concurrency", "_emit_lambda_metrics")
    service = fake("services.lambda_svc", **dict.fromkeys(names, print))
    fake("services.cloudwatch", _metric_bucket=print, _dims_key=print)
    emulator_metrics.install(getattr)
    replaced = {name: getattr(vars(service)[name], "__name__", "") for name in names}
    assert replaced == {
        "_execute_function_dispatch": "run_and_count",
        "_get_func_record_for_ref": "find_as_called",
        "_get_base_func_record_for_ref": "print",
        "_reserved_concurrency": "reserved_for_all",
        "_emit_lambda_metrics": "count_throttle",
    }
