"""Starts ministack with what it lacks. Run by the emulator's own interpreter, never imported by this project.

Fourteen things are changed, each by replacing one private name of the pinned ministack version; a missing name stops
the start with a message.

* Schedules are looked at every second instead of every ten, and intervals of ``rate()`` pass ``clock-speed`` times
  faster. The file of that name is read at every look, so the speed can be changed while the emulator runs.
* ministack fires Scheduler's schedules in UTC, whatever their zone and role. Here ``emulator_schedules`` does.
* ministack evaluates alarms when a metric is put, by namespace and name alone: an error of one function would raise the
  alarms of all. That is switched off; ``alarm_evaluator`` evaluates them by their dimensions, through the public API.
* ministack puts the metrics of a function for calls of Invoke alone, and counts one that it throttles as an invocation.
  Here, as on AWS, each run counts, whatever started it, at the time of its start, for the function and for the alias or
  version that was called; a throttled call is a throttle alone,
  and reserved concurrency is that of all versions and aliases together.
* ministack sends an event that failed for good to the destination of the function, not to that of the alias that was
  called, to no bucket, and nothing that a rule or a topic started. Here ``emulator_destinations`` does.
* ministack drops ``Metrics`` of an alarm, with its expression. Here it keeps and describes them.
* ministack lets a rule, a bucket or a topic invoke any function. Here, as on AWS, the function's policy must permit it.
* SNS only logs what it sends to email subscribers: here it is also written to the mail sink.
* Policies that ask for TLS (``aws:SecureTransport``), as those of this project's buckets do, are content with this
  machine's own loopback interface, on which no other host can listen.
* The list of resources by tag knows no log groups, alarms and secrets. Here, as on AWS, it does.
* ministack takes any key of twelve digits, ``test``, and the configured key id as the administrator's without looking
  at the signature, and answers on paths of its own without any key. Here ``emulator_gate`` comes first, and the one
  administrator is whoever signs with the configured key.
* ministack gives the first version of a secret an id of its own. Here, as on AWS, it is the request's token.
* ministack derives the keys of a function's role from the function's name. Here they are random.
* ministack unpacks a layer for each worker that it starts. Here ``emulator_layers`` does so once for all.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import hmac
import importlib
import importlib.util
import json
import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

SCHEDULE_TICK = 1  # seconds between two looks at the schedules


def main() -> None:
    """Change ministack as above, then run it in this process until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clock-speed-file", type=Path, required=True)
    parser.add_argument("--mail-sink", type=Path, required=True)
    arguments = parser.parse_args()
    speed_up_schedules(arguments.clock_speed_file)
    times = _load(Path(__file__).parents[3] / "spec" / "schedules" / "fire_times.py")
    schedules, metrics, destinations = (
        _load(Path(__file__).with_name(f"emulator_{name}.py")) for name in ("schedules", "metrics", "destinations")
    )
    schedules.install(_private, times.next_fire, SCHEDULE_TICK)
    disable_alarm_evaluation()
    metrics.install(_private)
    destinations.install(_private, schedules.allows)
    keep_alarm_expressions()
    enforce_invoke_permissions()
    deliver_emails(arguments.mail_sink)
    extend_tag_listing()
    keep_version_ids()
    treat_loopback_as_tls()
    make_role_keys_secret()
    unpack_layers_once()
    app = importlib.import_module("ministack.app")
    guard(app, os.environ)
    sys.argv = ["ministack"]  # it reads its own command line
    app.main()


def speed_up_schedules(speed_file: Path) -> None:
    """Make the intervals of ``rate()`` schedules pass as many times faster as the file says."""
    eventbridge = importlib.import_module("ministack.services.eventbridge")
    seconds_of = _private(eventbridge, "_parse_rate_seconds")
    _private(eventbridge, "_tick_scheduled_rules")
    _private(eventbridge, "_SCHEDULER_TICK_INTERVAL")

    def hastened(expression: str) -> float | None:
        seconds = seconds_of(expression)
        return None if seconds is None else seconds / float(speed_file.read_text(encoding="utf-8"))

    vars(eventbridge).update(_parse_rate_seconds=hastened, _SCHEDULER_TICK_INTERVAL=SCHEDULE_TICK)


def disable_alarm_evaluation() -> None:
    """Stop ministack from evaluating metric alarms itself."""
    cloudwatch = importlib.import_module("ministack.services.cloudwatch")
    _private(cloudwatch, "_evaluate_alarm")
    vars(cloudwatch).update(_evaluate_alarm=lambda alarm: None)


def keep_alarm_expressions() -> None:
    """Keep the expression of an alarm and the metrics in it, in place of one metric."""
    cloudwatch = importlib.import_module("ministack.services.cloudwatch")
    put: Callable[..., tuple[int, Any, bytes]] = _private(cloudwatch, "_put_metric_alarm")
    alarms = _private(cloudwatch, "_alarms")
    refuse: Callable[..., tuple[int, Any, bytes]] = _private(cloudwatch, "_error")

    def put_with_metrics(
        form: dict[str, Any], request: dict[str, Any], is_cbor: bool, is_json: bool = False
    ) -> tuple[int, Any, bytes]:
        metrics = request.get("Metrics")
        if not (is_cbor or is_json) and any(name.startswith("Metrics.") for name in form):
            text = "Metrics of an alarm are understood in CBOR and JSON only: use a later SDK."
            return refuse("ValidationError", text, 400)
        if metrics and (request.get("MetricName") or request.get("Period") or request.get("Statistic")):
            text = "An alarm has MetricName, Period and Statistic, or Metrics."
            return refuse("ValidationError", text, 400, use_json=is_json, use_cbor=is_cbor)
        answer = put(form, request, is_cbor, is_json)
        if metrics and answer[0] == 200:
            kept = alarms[request["AlarmName"]]
            for name in ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions", "Unit"):
                kept.pop(name, None)
            kept["Metrics"] = metrics
        return answer

    vars(cloudwatch).update(_put_metric_alarm=put_with_metrics)


def enforce_invoke_permissions() -> None:
    """Let rules, buckets and topics invoke only functions whose policy permits it (``AddPermission``)."""
    eventbridge, s3, sns = (
        importlib.import_module(f"ministack.services.{name}") for name in ("eventbridge", "s3", "sns")
    )
    lambda_svc = importlib.import_module("ministack.services.lambda_svc")
    function_of = _private(lambda_svc, "_get_base_func_record_for_ref")  # which alone has the policy, not its versions
    invoke_target: Callable[..., None] = _private(eventbridge, "_invoke_target")
    deliver_event: Callable[..., None] = _private(s3, "_deliver_event_to_lambda")
    deliver_message: Callable[..., None] = _private(sns, "_deliver_to_lambda")

    def is_permitted(arn: str, service: str, source: str) -> bool:
        function = function_of(arn)[0] or {}
        statements = function.get("policy", {}).get("Statement", ())
        if any(permits(statement, arn, service, source) for statement in statements):
            return True
        logging.getLogger("launcher").warning("%s may not invoke %s: its policy does not permit it", source, arn)
        return False

    def invoke_permitted_target(target: dict[str, Any], event: Any, rule: dict[str, Any], *rest: Any) -> None:
        arn = target["Arn"]
        if ":lambda:" not in arn or is_permitted(arn, "events.amazonaws.com", rule["Arn"]):
            invoke_target(target, event, rule, *rest)

    def deliver_permitted_event(arn: str, payload: dict[str, Any], *rest: Any) -> None:
        if is_permitted(arn, "s3.amazonaws.com", payload["Records"][0]["s3"]["bucket"]["arn"]):
            deliver_event(arn, payload, *rest)

    def deliver_permitted_message(arn: str, envelope: str, topic: str, *rest: Any) -> None:
        if is_permitted(arn, "sns.amazonaws.com", topic):
            deliver_message(arn, envelope, topic, *rest)

    vars(sns).update(_deliver_to_lambda=deliver_permitted_message)
    vars(eventbridge).update(_invoke_target=invoke_permitted_target)
    vars(s3).update(_deliver_event_to_lambda=deliver_permitted_event)


def permits(statement: dict[str, Any], function: str, service: str, source: str) -> bool:
    """Whether a statement of a policy lets ``source`` of ``service`` invoke ``function``: the ARN of it or its alias.

    Each alias has a policy of its own; ministack keeps them all in one.
    """
    conditions = statement.get("Condition", {})
    sources = [
        value
        for operator in ("ArnLike", "ArnEquals", "StringEquals")
        for key, value in conditions.get(operator, {}).items()
        if key.lower() == "aws:sourcearn"
    ]
    return (
        statement.get("Effect") == "Allow"
        and statement.get("Action") in ("lambda:InvokeFunction", "lambda:*")
        and statement.get("Resource") == function
        and statement.get("Principal", {}).get("Service") == service
        and all(fnmatch.fnmatchcase(source, wanted) for wanted in sources)
    )


def deliver_emails(directory: Path) -> None:
    """Write what is published to a topic into the mail sink, once for each of its email subscribers."""
    sns = importlib.import_module("ministack.services.sns")
    sink = _load(Path(__file__).parents[1] / "alerting" / "mail_sink.py")
    fan_out: Callable[..., None] = _private(sns, "_fanout")
    topic_by_arn = _private(sns, "_topic_by_arn_any_scope")

    def fan_out_and_deliver(
        topic_arn: str, message_id: str, message: str, subject: str, *rest: Any, **more: Any
    ) -> None:
        fan_out(topic_arn, message_id, message, subject, *rest, **more)
        for subscription in (topic_by_arn(topic_arn) or {}).get("subscriptions", ()):
            if subscription["protocol"] in ("email", "email-json") and subscription["confirmed"]:
                sink.deliver(
                    directory,
                    recipient=subscription["endpoint"],
                    subject=subject or "",
                    body=message,
                    topic=topic_arn,
                )

    vars(sns).update(_fanout=fan_out_and_deliver)


def extend_tag_listing() -> None:
    """Let ``GetResources`` find log groups, alarms and secrets by their tags, too."""
    tagging, logs, cloudwatch = (
        importlib.import_module(f"ministack.services.{name}") for name in ("tagging", "cloudwatch_logs", "cloudwatch")
    )
    groups, alarm_tags = _private(logs, "_log_groups"), _private(cloudwatch, "_resource_tags")

    def as_list(tags: dict[str, str]) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in tags.items()]

    def of_log_groups() -> Iterator[tuple[str, list[dict[str, str]]]]:
        for group in groups.values():
            yield group["arn"].removesuffix(":*"), as_list(group.get("tags", {}))

    def of_alarms() -> Iterator[tuple[str, list[dict[str, str]]]]:
        for arn, tags in alarm_tags.items():
            yield arn, as_list(tags)

    collectors = _private(tagging, "_COLLECTORS")
    secrets = _private(tagging, "_collect_secretsmanager")
    collectors.update(logs=of_log_groups, cloudwatch=of_alarms, secretsmanager=secrets)


def keep_version_ids() -> None:
    """Let the first version of a secret have the id that its creation asked for (``ClientRequestToken``)."""
    secretsmanager = importlib.import_module("ministack.services.secretsmanager")
    create: Callable[[dict[str, Any]], tuple[int, Any, bytes]] = _private(secretsmanager, "_create_secret")
    stored = _private(secretsmanager, "_secrets")

    def create_with_token(request: dict[str, Any]) -> tuple[int, Any, bytes]:
        status, headers, body = create(request)
        token = request.get("ClientRequestToken")
        if status != 200 or not token:
            return status, headers, body
        answer = json.loads(body)
        versions = stored[request["Name"]]["Versions"]
        versions[token] = versions.pop(answer["VersionId"])
        return status, headers, json.dumps({**answer, "VersionId": token}).encode()

    vars(secretsmanager).update(_create_secret=create_with_token)


def treat_loopback_as_tls() -> None:
    """Take what comes over it for as safe as TLS."""
    policies = importlib.import_module("ministack.core.iam_evaluator")
    pin: Callable[[str, bool], None] = _private(policies, "pin_request_origin")

    def pin_as_secure(source_ip: str, secure_transport: bool) -> None:
        pin(source_ip, secure_transport or source_ip == "127.0.0.1")

    vars(policies).update(pin_request_origin=pin_as_secure)


def make_role_keys_secret() -> None:
    """Give the role of each function a secret and a session token that only this run of the emulator knows."""
    runtime = importlib.import_module("ministack.core.lambda_runtime")
    lambda_svc, sts = (importlib.import_module(f"ministack.services.{name}") for name in ("lambda_svc", "sts"))
    for module in (runtime, lambda_svc):
        _private(module, "execution_credentials")
    register = _private(sts, "register_session")
    account_and_region = _private(runtime, "_account_region_from_function_config")
    seed = secrets.token_bytes(32)

    def keys_of_role(config: dict[str, Any]) -> dict[str, str]:
        function, role = config.get("FunctionName", ""), config.get("Role", "").rsplit("/", 1)[-1]

        def derived(name: str) -> str:
            text = f"{name}:{config.get('FunctionArn', '')}:{config.get('Role', '')}"
            return hmac.new(seed, text.encode(), hashlib.sha256).hexdigest()

        key, secret, token = f"ASIA{derived('key')[:16].upper()}", derived("secret"), derived("token")
        session = {
            "Arn": f"arn:aws:sts::{account_and_region(config)[0]}:assumed-role/{role}/{function[:64]}",
            "UserId": f"{role}:{function[:64]}",
            "SecretAccessKey": secret,
            "SessionToken": token,
        }
        register(key, session)
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}

    for module in (runtime, lambda_svc):
        vars(module).update(execution_credentials=keys_of_role)


def unpack_layers_once() -> None:
    """Let all workers share what is in a layer."""
    runtime = importlib.import_module("ministack.core.lambda_runtime")
    layers = _load(Path(__file__).with_name("emulator_layers.py"))
    sharing = ModuleType("zipfile")
    vars(sharing).update(vars(_private(runtime, "zipfile")), ZipFile=layers.SharingZipFile)
    vars(runtime).update(zipfile=sharing)


def guard(app: ModuleType, environment: Mapping[str, str]) -> None:
    """Put the gate before ``app``, and make the configured key the administrator's only one."""
    policies, router = (importlib.import_module(f"ministack.core.{name}") for name in ("iam_evaluator", "router"))
    sts, lambda_svc = (importlib.import_module(f"ministack.services.{name}") for name in ("sts", "lambda_svc"))
    gate = _load(Path(__file__).with_name("emulator_gate.py"))
    administrator, secret = environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    account, region = environment["MINISTACK_ACCOUNT_ID"], environment["MINISTACK_REGION"]
    resolve, failure = _private(policies, "resolve_credential"), _private(policies, "AuthError")
    service_of, key_seen = _private(router, "detect_service"), _private(router, "extract_access_key_id")
    answer_of = _private(app, "_credential_failure")
    code_url = _private(lambda_svc, "_presigned_code_url")

    def is_administrator(key: str) -> bool:
        return not key or key == administrator  # no key: the emulator's own calls, as none passes the gate without one

    def secret_of(key: str, token: str) -> str:
        found = resolve(key, account, token)
        if not hasattr(found, "secret_access_key"):
            raise gate.RefusedError(found.code, found.message)
        return str(found.secret_access_key)

    def refusal(request: Any, refused: Any) -> tuple[int, Any, bytes]:
        headers = {name: ", ".join(values) for name, values in request.headers.items()}
        service = service_of(request.method, request.route, headers, {})
        answer: tuple[int, Any, bytes] = answer_of(
            service, "", "", failure(code=refused.code, message=refused.reason), headers
        )
        return answer

    def signed_code_url(function: str) -> str:
        return str(
            gate.presign(
                code_url(function).partition("?")[0],
                key=administrator,
                secret=secret,
                region=region,
                service="lambda",
                expires=600,  # seconds, as on AWS
                now=datetime.now(UTC),
            )
        )

    for module in (policies, sts):
        _private(module, "is_root_access_key")
        vars(module).update(is_root_access_key=is_administrator)
    vars(lambda_svc).update(_presigned_code_url=signed_code_url)
    guarded = gate.Gate(
        _private(app, "app"),
        gate.Account(administrator, secret_of, key_seen, refusal),
        logging.getLogger("launcher").warning,
    )
    vars(app).update(app=guarded)


def _private(module: ModuleType, name: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        raise SystemExit(
            f"{module.__name__}.{name} is missing: this version of ministack is not the one that "
            "local_stack/aws_emulator/emulator.py names. Delete the emulator's environment and try again."
        ) from None


def _load(path: Path) -> ModuleType:
    """A module by its file: this project is not on the emulator's path, or the functions that it runs would see it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} cannot be loaded.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
