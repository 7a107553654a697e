"""moto's versions and invocations, made to do what Lambda does: numbers that are never given twice, versions that an
alias names and that therefore stay, and answers that a test chooses."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend, LambdaFunction, LambdaStorage
from moto.awslambda.responses import LambdaResponse
from moto.core.resource_tagging import TaggedResource
from moto.events.models import EventsBackend


@dataclass
class Invocations:
    """What was invoked, as (version, event), and how each version answers: by default well."""

    made: list[tuple[str, Any]] = field(default_factory=list)
    problem: Callable[[str, Any], str | None] = lambda version, event: None

    def answer(self, version: str, event: Any) -> tuple[bytes, bool]:
        self.made.append((version, event))
        message = self.problem(version, event)
        document = {"errorType": "Exception", "errorMessage": message} if message else {"ok": True}
        return json.dumps(document).encode(), message is not None


SETTINGS = ("EphemeralStorage", "KMSKeyArn", "LoggingConfig", "SnapStart", "TracingConfig")
"""Those that moto does not change."""


def publish(storage: LambdaStorage, name_or_arn: str, description: str = "") -> LambdaFunction:
    latest = storage.get_function_by_name_or_arn_forbid_qualifier(name_or_arn)
    versions: list[LambdaFunction] = storage._functions[latest.function_name]["versions"]
    same = versions and versions[-1].code_sha_256 == latest.code_sha_256
    if same and not latest.code_or_config_updated:
        return versions[-1]
    latest.code_or_config_updated = False
    given: dict[str, int] = vars(storage).setdefault("_given", defaultdict(int))
    given[latest.function_arn] += 1
    version = copy.copy(latest)
    version.environment_vars = dict(latest.environment_vars)
    version.set_version(given[latest.function_arn])
    versions.append(version)
    storage._arns[version.function_arn] = version
    return version


def weights(routing: Any) -> dict[str, float]:
    """The additional versions of an alias, with their weights."""
    found: dict[str, float] = (routing or {}).get("AdditionalVersionWeights", {})
    return found


def behave_like_lambda(monkeypatch: pytest.MonkeyPatch, invocations: Invocations) -> None:
    delete = LambdaStorage.del_function

    def keep_what_is_named(storage: LambdaStorage, name_or_arn: str, qualifier: str | None = None) -> None:
        function = storage.get_function_by_name_or_arn_with_qualifier(name_or_arn)
        aliases = storage._aliases[function.function_arn].values()
        naming = [
            alias.name for alias in aliases if qualifier in {alias.function_version, *weights(alias.routing_config)}
        ]
        if qualifier and naming:
            message = f"Unable to delete version because the following aliases reference it: {naming}"
            raise LambdaClientError("ResourceConflictException", message)
        kept = dict(storage._aliases)
        delete(storage, name_or_arn, qualifier)
        if qualifier:
            storage._aliases.update(kept)
        else:
            vars(storage).get("_given", {}).pop(function.function_arn, None)

    def invoke(
        backend: LambdaBackend,
        function_name: str,
        qualifier: str | None,
        body: Any,
        headers: Any,
        answer: dict[str, str],
    ) -> bytes:
        version = str(backend.get_function(function_name, qualifier).version)
        payload, failed = invocations.answer(version, json.loads(body))
        if failed:
            answer["x-amz-function-error"] = "Unhandled"
        return payload

    create = LambdaBackend.create_function

    def create_and_publish(backend: LambdaBackend, spec: dict[str, Any]) -> LambdaFunction:
        """moto copies all its state to change one number, which fails while another thread adds to it."""
        check_logging(spec.get("LoggingConfig") or {})
        made = create(backend, {**spec, "Publish": False})
        vars(made)["settings"] = {name: spec[name] for name in SETTINGS if name in spec}
        answer = copy.copy(made)
        if spec.get("Publish"):
            published = backend.publish_version(made.function_name)
            assert published is not None
            answer.version = published.version
        return answer

    update_code = LambdaFunction.update_function_code

    def update_code_and_architecture(function: LambdaFunction, updated: dict[str, Any]) -> dict[str, Any]:
        before, was_changed = (function.code_sha_256, function.architectures), function.code_or_config_updated
        function.architectures = updated.get("Architectures") or function.architectures  # which moto ignores
        answer: dict[str, Any] = update_code(function, updated)
        if before == (function.code_sha_256, function.architectures):
            function.code_or_config_updated = was_changed  # Lambda publishes nothing for the same code
        return answer

    configured = LambdaFunction.update_configuration
    described = LambdaFunction.get_configuration

    def update_with_logging(function: LambdaFunction, updated: dict[str, Any]) -> dict[str, Any]:
        """Lambda takes LoggingConfig as a whole; moto ignores it, and more."""
        configured(function, updated)
        check_logging(updated.get("LoggingConfig") or {"LogFormat": "JSON"})
        found = {**vars(function).get("settings", {}), **{name: updated[name] for name in SETTINGS if name in updated}}
        vars(function)["settings"] = found
        return with_logging(function)

    def with_logging(function: LambdaFunction, on_create: bool = False) -> dict[str, Any]:
        answer: dict[str, Any] = described(function, on_create)
        settings = vars(function).get("settings", {})
        set_ = settings.get("LoggingConfig", {})
        levels = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"} if set_.get("LogFormat") == "JSON" else {}
        group = f"/aws/lambda/{function.function_name}"
        logging = {"LogFormat": "Text", "LogGroup": group, **levels, **set_}
        return {**answer, **settings, "LoggingConfig": logging}

    def check_logging(wanted: dict[str, str]) -> None:
        if wanted.get("LogFormat") != "JSON" and {"ApplicationLogLevel", "SystemLogLevel"} & set(wanted):
            message = "LogLevel is not supported when LogFormat is set to Text"
            raise LambdaClientError("InvalidParameterValueException", message)

    add = LambdaBackend.add_permission

    def add_once(backend: LambdaBackend, function_name: str, qualifier: str, raw: str) -> dict[str, Any]:
        wanted = json.loads(raw)["StatementId"]
        if wanted in {item["Sid"] for item in backend.get_function(function_name, qualifier).policy.statements}:
            message = f"The statement id ({wanted}) provided already exists. Please provide a new statement id."
            raise LambdaClientError("ResourceConflictException", message)
        answer: dict[str, Any] = add(backend, function_name, qualifier, raw)
        return answer

    put_config = LambdaBackend.put_function_event_invoke_config

    def put_whole_config(backend: LambdaBackend, function_name: str, config: dict[str, Any]) -> dict[str, Any]:
        """What was there is overwritten; moto keeps it, and returns the first."""
        backend.get_function(function_name).event_invoke_config.clear()
        ages = {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 21_600}
        answer: dict[str, Any] = put_config(backend, function_name, {**ages, "DestinationConfig": {}, **config})
        return answer

    respond = LambdaResponse.invoke

    def invoke_as_qualified(response: LambdaResponse) -> Any:
        response.querystring["qualifier"] = response.querystring.get("Qualifier", [])  # as moto spells it
        return respond(response)

    monkeypatch.setattr(LambdaBackend, "add_permission", add_once)
    monkeypatch.setattr(LambdaBackend, "put_function_event_invoke_config", put_whole_config)
    monkeypatch.setattr(LambdaFunction, "update_function_code", update_code_and_architecture)
    monkeypatch.setattr(LambdaResponse, "invoke", invoke_as_qualified)
    monkeypatch.setattr(LambdaFunction, "update_configuration", update_with_logging)
    monkeypatch.setattr(LambdaFunction, "get_configuration", with_logging)
    monkeypatch.setattr(LambdaBackend, "create_function", create_and_publish)
    monkeypatch.setattr(LambdaStorage, "publish_version", publish)
    monkeypatch.setattr(LambdaStorage, "del_function", keep_what_is_named)
    monkeypatch.setattr(LambdaBackend, "invoke", invoke)


def rules_with_tags(events: EventsBackend) -> Iterator[TaggedResource]:
    for bus in events.event_buses.values():
        for rule in bus.rules.values():
            yield TaggedResource(rule.arn, events.tagger.get_tag_dict_for_resource(rule.arn), "events:rule")
