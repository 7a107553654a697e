"""Events that fail for good, as Lambda handles them: a record of each goes to the destination of its alias.

Loaded by ``emulator_launcher``: nothing but the standard library here. ministack knows the destination of the function
itself alone, none for what a rule or a topic started, and no bucket. Here the settings of the alias that was called
count, and buckets get a record in AWS's form, if the function's role may write it. What S3 or a call starts is repeated
as often as declared, with seconds between in place of minutes; what a rule or a topic starts is not repeated.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from __future__ import annotations

import contextvars
import importlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

RETRIES = 2  # Lambda's own
PAUSE = 1.0  # seconds before the first repetition, twice that before the second
ALLOWED = "s3:PutObject"


@dataclass(frozen=True)
class AsyncInvocations:
    """Runs what ministack starts asynchronously, in place of ministack."""

    run: Callable[[dict[str, Any], Any], dict[str, Any]]
    """Runs a function once, in its own account and region."""
    function_of: Callable[[str], tuple[Any, Any, str]]
    """The function without a qualifier, which has the settings of all its aliases."""
    roles: Mapping[str, dict[str, Any]]
    """Those of the account of the call."""
    allows: Callable[[Mapping[str, Any], str, str], bool]
    """Whether a role's policies allow an action on a resource."""
    put_object: Callable[[str, str, bytes, dict[str, str]], Any]
    send_elsewhere: Callable[[str, str, Any, dict[str, Any]], None]
    """ministack's own delivery, to a queue, a topic or a function."""
    within: Callable[..., Any]
    """Calls what it is given in the account and region of a function."""
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def start(self, function: dict[str, Any], event: Any) -> None:
        """Run it in the background, with repetitions."""
        settings = self._settings(function)
        retries = settings.get("MaximumRetryAttempts")
        self._in_background(function, event, 1 + (RETRIES if retries is None else int(retries)))

    def start_once(self, function: dict[str, Any], event: Any) -> None:
        """Run it in the background, once."""
        self._in_background(function, event, 1)

    def attempt(self, function: dict[str, Any], event: Any, attempts: int = 1) -> None:
        """Run it until it succeeds, ``attempts`` times at most. What fails each time goes to the destination."""
        result: dict[str, Any] = {}
        for attempt in range(attempts):
            if attempt:
                self.sleep(PAUSE * 2 ** (attempt - 1))
            result = self.run(function, event)
            if not result.get("error"):
                return
        if not result.get("throttle"):  # Lambda would try that for hours
            self.within(function, self._deliver, function, event, result, attempts)

    def _in_background(self, function: dict[str, Any], event: Any, attempts: int) -> None:
        context = contextvars.copy_context()  # ministack keeps account and region there
        threading.Thread(target=context.run, args=(self.attempt, function, event, attempts), daemon=True).start()

    def _settings(self, function: Mapping[str, Any]) -> Mapping[str, Any]:
        arn = str(function["config"]["FunctionArn"])
        owner = self.function_of(arn)[0] or function
        found: Mapping[str, Any] | None = (owner.get("event_invoke_configs") or {}).get(_qualifier(arn))
        return found or {}

    def _deliver(self, function: Mapping[str, Any], event: Any, result: Mapping[str, Any], attempts: int) -> None:
        config = function["config"]
        name = str(config["FunctionName"])
        wanted = (self._settings(function).get("DestinationConfig") or {}).get("OnFailure") or {}
        destination = str(wanted.get("Destination") or (config.get("DeadLetterConfig") or {}).get("TargetArn") or "")
        if not destination:
            return
        if destination.split(":")[2] != "s3":
            self.send_elsewhere(destination, name, event, dict(result))
            return
        at, own_id = datetime.fromtimestamp(self.now(), UTC), str(uuid.uuid4())
        key = f"aws/lambda/async/{name}/{at:%Y/%m/%d}/{at:%Y-%m-%dT%H.%M.%S}-{own_id}"
        role = self.roles.get(str(config.get("Role", "")).rpartition("/")[2])
        if role is None or not self.allows(role, ALLOWED, f"{destination}/{key}"):
            logging.getLogger("launcher").warning("%s may not write to %s: see its role", name, destination)
            return
        body = json.dumps(_record(config, event, result, attempts, at)).encode()
        self.put_object(destination.rpartition(":")[2], key, body, {"content-type": "application/json"})


def install(
    private: Callable[[ModuleType, str], Any], allows: Callable[[Mapping[str, Any], str, str], bool]
) -> AsyncInvocations:
    """Run what rules, topics, buckets and callers start; ``private`` gets a name of a module of ministack."""
    lambda_svc, eventbridge, sns, s3, iam = (
        importlib.import_module(f"ministack.services.{name}")
        for name in ("lambda_svc", "eventbridge", "sns", "s3", "iam")
    )
    find: Callable[[str], tuple[Any, Any, str]] = private(lambda_svc, "_get_func_record_for_ref")
    of_config = private(lambda_svc, "_execution_record_for_config")
    invocations = AsyncInvocations(
        run=private(lambda_svc, "_execute_function_with_config_scope"),
        function_of=private(lambda_svc, "_get_base_func_record_for_ref"),
        roles=private(iam, "_roles"),
        allows=allows,
        put_object=private(s3, "_put_object"),
        send_elsewhere=private(lambda_svc, "_route_async_failure"),
        within=private(lambda_svc, "_run_with_function_config_scope"),
    )

    def called(arn: str) -> dict[str, Any] | None:
        record, config, _ = find(arn)
        found: dict[str, Any] | None = of_config(record, {**config, "FunctionArn": arn}) if record and config else None
        return found

    def of_rule(arn: str, payload: str) -> None:
        function = called(arn)
        if function:
            invocations.start_once(function, json.loads(payload))

    def of_topic(arn: str, envelope: str, topic: str, subscription: str, *rest: Any) -> None:
        function = called(arn)
        message = {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": subscription}
        if function:
            invocations.attempt(function, {"Records": [{**message, "Sns": json.loads(envelope)}]})

    for module, name in ((eventbridge, "_dispatch_to_lambda"), (sns, "_deliver_to_lambda")):
        private(module, name)
    private(lambda_svc, "invoke_async_with_retry")
    vars(lambda_svc).update(invoke_async_with_retry=invocations.start)
    vars(eventbridge).update(_dispatch_to_lambda=of_rule)
    vars(sns).update(_deliver_to_lambda=of_topic)
    return invocations


def _qualifier(arn: str) -> str:
    """The alias or version at the end of a function's ARN; empty where there is none."""
    return arn.partition(":function:")[2].partition(":")[2]


def _record(
    config: Mapping[str, Any], event: Any, result: Mapping[str, Any], attempts: int, at: datetime
) -> dict[str, Any]:
    """The invocation record, as AWS documents it."""
    return {
        "version": "1.0",
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": config["FunctionArn"],
            "condition": "RetriesExhausted",
            "approximateInvokeCount": attempts,
        },
        "requestPayload": event,
        "responseContext": {
            "statusCode": 200,
            "executedVersion": config.get("Version", "$LATEST"),
            "functionError": result.get("function_error") or "Unhandled",
        },
        "responsePayload": result.get("body") if isinstance(result.get("body"), dict) else {},
    }
