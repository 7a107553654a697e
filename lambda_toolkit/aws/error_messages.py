"""Turn botocore's exceptions into AwsError: which operation failed, on which resource, why, and what to try."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lambda_toolkit.aws.retries import ApiError, Retry, hint
from lambda_toolkit.errors import MASK, AwsError

_UNSPECIFIC = ("Error", "Exception", "Unhandled", "Runtime.HandlerError")  # types that add nothing to the message
_SUBJECTS = (  # the parameters that name the resource of a call, the most specific first
    "FunctionName",
    "RoleName",
    "Bucket",
    "AlarmName",
    "LayerName",
    "logGroupName",
    "SecretId",
    "TopicArn",
    "Rule",
    "Name",
    "AlarmNames",
    "AlarmNamePrefix",
    "NamePrefix",
    "ResourceARN",
    "Resource",
)
_SHORTEST_MASKED = 6  # characters: shorter values occur in any message by coincidence


@dataclass(frozen=True)
class Request:
    """One API call, for its error message and its retry policy."""

    client: Any = field(repr=False)
    service: str
    operation: str
    parameters: Mapping[str, Any] = field(repr=False)
    also_retry: tuple[str, ...] = ()


def api_error_of(request: Request, error: Exception) -> ApiError:
    """The code, message and HTTP status of ``error``, which botocore raised for ``request``."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        text = "a parameter has the wrong type" if type(error).__name__ == "ParamValidationError" else str(error)
        return ApiError(request.service, request.operation, type(error).__name__, text)
    detail = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return ApiError(
        request.service, request.operation, str(detail.get("Code", "")), str(detail.get("Message", "")), int(status)
    )


def as_aws_error(
    request: Request, failure: ApiError, retry: Retry | None, waited: float, *, unanswered: bool = False
) -> AwsError:
    """The error to raise after ``waited`` seconds of retries for the reason in ``retry``. Secret values are masked.

    ``unanswered``: whether an earlier attempt got no answer (:class:`AwsError`).
    """
    operation = request.client.meta.method_to_api_mapping.get(request.operation, request.operation)
    permission = f"{request.service}:{operation}"
    subject = next((str(request.parameters[key]) for key in _SUBJECTS if request.parameters.get(key)), "")
    after = f" (for {waited:.0f} s: {retry.reason})" if retry and waited >= 1 else ""
    reason = _masked(failure.message or "no reason given", request).rstrip(".")
    text = (
        f"{permission}{f' {subject}' if subject else ''}: {reason} ({failure.code}){after}.{hint(failure, permission)}"
    )
    return AwsError(text, code=failure.code, operation=permission, unanswered=unanswered)


def cause_of(request: Request, error: Exception) -> Exception | None:
    """``error``, to be chained as the cause; ``None`` where its message may contain secret values."""
    has_secrets = request.service == "secretsmanager" or any(_secret_values(request))
    return None if has_secrets else error


def _secret_values(request: Request) -> Iterator[str]:
    """The values in the request that must not be shown: of secrets and of environment variables."""
    yield str(request.parameters.get("SecretString") or "")
    environment = request.parameters.get("Environment")
    if isinstance(environment, Mapping):
        yield from map(str, environment.get("Variables", {}).values())


def _masked(text: str, request: Request) -> str:
    """``text`` without secret values: Lambda quotes an invalid environment in its message, as it is or as JSON."""
    for value in sorted(_secret_values(request), key=len, reverse=True):
        if len(value) >= _SHORTEST_MASKED:
            for written in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
                text = text.replace(written, MASK)
    return text


@dataclass(frozen=True)
class FunctionFailure:
    """Why a function failed, from Lambda's error document.

    https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
    """

    error_type: str
    """The name of the exception's class, or Lambda's own such as ``Runtime.ImportModuleError``."""
    text: str
    """Its message in one line, with the type where that says more than the message."""
    message: str = ""
    """Its message alone."""


def function_failure(payload: str) -> FunctionFailure:
    """The failure in ``payload``, the answer to an invocation whose ``FunctionError`` is set."""
    try:
        document = json.loads(payload)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return FunctionFailure("Error", payload or "no message")
    kind, message = str(document.get("errorType", "Error")), str(document.get("errorMessage", "no message"))
    return FunctionFailure(kind, message if kind in _UNSPECIFIC else f"{message} ({kind})", message)
