"""moto's function URLs, replaced by a fake with state: one for each alias, and who may call it by the alias's policy.

https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html, urls-auth.html
"""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import unquote

import pytest
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend
from moto.awslambda.policy import Policy
from moto.awslambda.responses import LambdaResponse

_SETTINGS = ("AuthType", "Cors", "InvokeMode")


def behave_like_function_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the calls of URLs, and give statements the conditions that moto ignores."""
    add = Policy.add_statement
    delete = LambdaBackend.delete_function

    def with_conditions(policy: Policy, raw: str, qualifier: str | None = None) -> tuple[Any, str]:
        wanted, (statement, revision) = json.loads(raw), add(policy, raw, qualifier)
        if "FunctionUrlAuthType" in wanted:
            kind = {"lambda:FunctionUrlAuthType": wanted["FunctionUrlAuthType"]}
            statement["Condition"] = {"StringEquals": kind}
        if "InvokedViaFunctionUrl" in wanted:
            through = str(wanted["InvokedViaFunctionUrl"]).lower()
            statement["Condition"] = {"Bool": {"lambda:InvokedViaFunctionUrl": through}}
        for name in ("FunctionUrlAuthType", "InvokedViaFunctionUrl"):
            statement.pop(name, None)
        return statement, revision

    def delete_with_urls(backend: LambdaBackend, function_name: str, qualifier: str | None = None) -> None:
        delete(backend, function_name, qualifier)
        if not qualifier:
            for key in [key for key in _stored(backend) if key[0] == function_name.split(":")[-1]]:
                del _stored(backend)[key]

    monkeypatch.setattr(Policy, "add_statement", with_conditions)
    monkeypatch.setattr(LambdaBackend, "delete_function", delete_with_urls)
    monkeypatch.setattr(LambdaResponse, "create_function_url_config", _create)
    monkeypatch.setattr(LambdaResponse, "update_function_url_config", _update)
    monkeypatch.setattr(LambdaResponse, "get_function_url_config", _get)
    monkeypatch.setattr(LambdaResponse, "delete_function_url_config", _delete)


def may_call(client: Any, function: str, principal: str = "*") -> bool:
    """Whether the alias's policy lets ``principal`` call the URL, and by it alone: both statements, on conditions."""
    lambda_ = client("lambda")
    try:
        policy = json.loads(lambda_.get_policy(FunctionName=function, Qualifier="live")["Policy"])
    except lambda_.exceptions.ResourceNotFoundException:
        return False
    allowed = {
        (item["Action"], json.dumps(item.get("Condition"), sort_keys=True))
        for item in policy["Statement"]
        if principal in json.dumps(item["Principal"])
    }
    kind = {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE" if principal == "*" else "AWS_IAM"}}
    return {
        ("lambda:InvokeFunctionUrl", json.dumps(kind)),
        ("lambda:InvokeFunction", json.dumps({"Bool": {"lambda:InvokedViaFunctionUrl": "true"}})),
    } <= allowed


def _stored(backend: LambdaBackend) -> dict[tuple[str, str], dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = vars(backend).setdefault("_urls", {})
    return found


def _key(response: LambdaResponse) -> tuple[str, str]:
    function = unquote(response.path.split("/")[-2])
    return function, response.querystring.get("Qualifier", [""])[0]


def _found(response: LambdaResponse) -> dict[str, Any]:
    try:
        return _stored(response.backend)[_key(response)]
    except KeyError:
        raise LambdaClientError("ResourceNotFoundException", "The resource you requested does not exist.") from None


def _create(response: LambdaResponse) -> Any:
    function, qualifier = _key(response)
    live = response.backend.get_function(function)
    if qualifier:
        response.backend.get_alias(qualifier, function)
    if (function, qualifier) in _stored(response.backend):
        message = f"Failed to create function url config for [functionArn = {live.function_arn}]. Error message:  "
        raise LambdaClientError(
            "ResourceConflictException", f"{message}FunctionUrlConfig exists for this Lambda function"
        )
    config = {
        "FunctionUrl": f"https://{uuid.uuid4().hex}.lambda-url.{response.backend.region_name}.on.aws/",
        "FunctionArn": f"{live.function_arn}:{qualifier}",
        "CreationTime": "2026-11-01T00:00:00Z",
        "LastModifiedTime": "2026-11-01T00:00:00Z",
        "InvokeMode": "BUFFERED",
        **{name: response.json_body[name] for name in _SETTINGS if response.json_body.get(name)},
    }
    _stored(response.backend)[function, qualifier] = config
    return 201, {"status": 201}, json.dumps(config)


def _update(response: LambdaResponse) -> Any:
    config = _found(response)
    config.update({name: response.json_body[name] for name in _SETTINGS if response.json_body.get(name) is not None})
    return 200, {"status": 200}, json.dumps(config)


def _get(response: LambdaResponse) -> Any:
    return 200, {"status": 200}, json.dumps(_found(response))


def _delete(response: LambdaResponse) -> Any:
    _found(response)
    del _stored(response.backend)[_key(response)]
    return 204, {"status": 204}, "{}"
