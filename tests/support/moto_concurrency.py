"""What moto lacks of functions: provisioned concurrency, recursive loop detection, and the limits of the account.

Environments are made between two reads. When the alias moves, they are made again for its new version; while it routes
a share of the calls, they cannot be set. A test may say for which function Lambda fails.

https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html, invocation-recursion.html
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from moto.awslambda import urls
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend
from moto.awslambda.responses import LambdaResponse

_PROVISIONED = r"{0}/2019-09-30/functions/(?P<function_name>[^/]+)/provisioned-concurrency/?$"
_ACCOUNT = r"{0}/2016-08-19/account-settings/?$"
_RECURSION = r"{0}/2024-08-31/functions/(?P<function_name>[^/]+)/recursion-config/?$"
FAILING: dict[str, str] = {}
"""By function: why Lambda cannot make its environments."""
LIMIT = 1000  # concurrent executions of the account, as AWS gives it to a new one at most
KEPT = 100  # of them that cannot be reserved


class ProvisionedConfigNotFoundError(LambdaClientError):
    """As Lambda says that an alias has none."""

    def __init__(self) -> None:
        super().__init__("ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found")
        self.code = 404


def behave_like_concurrency(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the calls; a function that is deleted takes its settings along."""
    monkeypatch.setitem(urls.url_paths, _PROVISIONED, LambdaResponse.dispatch)
    monkeypatch.setitem(urls.url_paths, _RECURSION, LambdaResponse.dispatch)
    monkeypatch.setitem(urls.url_paths, _ACCOUNT, LambdaResponse.dispatch)
    monkeypatch.setattr(LambdaResponse, "get_account_settings", _account_settings, raising=False)
    reserve = LambdaBackend.put_function_concurrency

    def reserve_within_the_account(backend: LambdaBackend, function_name: str, reserved: str) -> str:
        left = LIMIT - _reserved(backend, beside=backend.get_function(function_name).function_name) - int(reserved)
        if left < KEPT:
            message = (
                "Specified ReservedConcurrentExecutions for function decreases account's "
                f"UnreservedConcurrentExecution below its minimum value of [{KEPT}]."
            )
            raise LambdaClientError("InvalidParameterValueException", message)
        return reserve(backend, function_name, reserved)

    monkeypatch.setattr(LambdaBackend, "put_function_concurrency", reserve_within_the_account)
    for verb, provisioned, recursion in (("put", _put, _put_recursion), ("get", _get, _get_recursion)):
        monkeypatch.setattr(LambdaResponse, f"{verb}_provisioned_concurrency_config", provisioned, raising=False)
        monkeypatch.setattr(LambdaResponse, f"{verb}_function_recursion_config", recursion, raising=False)
    monkeypatch.setattr(LambdaResponse, "delete_provisioned_concurrency_config", _delete, raising=False)
    delete = LambdaBackend.delete_function

    def delete_with_settings(backend: LambdaBackend, function_name: str, qualifier: str | None = None) -> None:
        delete(backend, function_name, qualifier)
        if not qualifier:
            for kind in ("provisioned", "recursion"):
                _stored(backend, kind).pop(function_name.split(":")[-1], None)

    monkeypatch.setattr(LambdaBackend, "delete_function", delete_with_settings)
    FAILING.clear()


def _reserved(backend: LambdaBackend, beside: str = "") -> int:
    """What all functions but one have reserved."""
    others = (each for each in backend.list_functions() if each.function_name != beside)
    return sum(int(each.reserved_concurrency or 0) for each in others)


def _account_settings(response: LambdaResponse) -> tuple[int, dict[str, str], str]:
    left = LIMIT - _reserved(response.backend)
    limit = {"ConcurrentExecutions": LIMIT, "UnreservedConcurrentExecutions": left}
    return 200, {}, json.dumps({"AccountLimit": limit, "AccountUsage": {}})


def _stored(backend: LambdaBackend, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = vars(backend).setdefault(f"_{kind}", {})
    return found


def _name(response: LambdaResponse) -> str:
    return response.path.split("/functions/")[1].split("/")[0]


def _alias(response: LambdaResponse, name: str) -> Any:
    backend = response.backend
    backend.get_function(name)
    return backend.get_alias(response.querystring["Qualifier"][0], name)


def _put(response: LambdaResponse) -> tuple[int, dict[str, str], str]:
    name = _name(response)
    alias, wanted = _alias(response, name), json.loads(response.body)["ProvisionedConcurrentExecutions"]
    if (alias.routing_config or {}).get("AdditionalVersionWeights"):
        message = "Alias with weights can not be used with Provisioned Concurrency"
        raise LambdaClientError("InvalidParameterValueException", message)
    reserved = response.backend.get_function(name).reserved_concurrency
    if reserved is not None and wanted > int(reserved):
        message = "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution"
        raise LambdaClientError("InvalidParameterValueException", message)
    _stored(response.backend, "provisioned")[name] = {"wanted": wanted, "version": None, "reads": 0}
    return 202, {}, json.dumps(_shown(response, name))


def _get(response: LambdaResponse) -> tuple[int, dict[str, str], str]:
    name = _name(response)
    _alias(response, name)
    if name not in _stored(response.backend, "provisioned"):
        raise ProvisionedConfigNotFoundError
    return 200, {}, json.dumps(_shown(response, name))


def _shown(response: LambdaResponse, name: str) -> dict[str, Any]:
    """What Lambda says of it: two reads after it was set, or after the alias moved, it is there."""
    stored = _stored(response.backend, "provisioned")[name]
    version = _alias(response, name).function_version
    if stored["version"] != version:
        stored.update(version=version, reads=0)
    stored["reads"] += 1
    status = "IN_PROGRESS" if stored["reads"] < 3 else "FAILED" if name in FAILING else "READY"
    made = stored["wanted"] if status == "READY" else 0
    return {
        "RequestedProvisionedConcurrentExecutions": stored["wanted"],
        "AllocatedProvisionedConcurrentExecutions": made,
        "AvailableProvisionedConcurrentExecutions": made,
        "Status": status,
        **({"StatusReason": FAILING[name]} if status == "FAILED" else {}),
    }


def _delete(response: LambdaResponse) -> tuple[int, dict[str, str], str]:
    name = _name(response)
    _alias(response, name)
    _stored(response.backend, "provisioned").pop(name, None)
    return 204, {}, ""


def _put_recursion(response: LambdaResponse) -> tuple[int, dict[str, str], str]:
    name = _name(response)
    response.backend.get_function(name)
    _stored(response.backend, "recursion")[name] = json.loads(response.body)["RecursiveLoop"]
    return _get_recursion(response)


def _get_recursion(response: LambdaResponse) -> tuple[int, dict[str, str], str]:
    name = _name(response)
    response.backend.get_function(name)
    return 200, {}, json.dumps({"RecursiveLoop": _stored(response.backend, "recursion").get(name, "Terminate")})
