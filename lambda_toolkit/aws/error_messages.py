"""From a refusal of AWS, as botocore raises it, to an error for people: what was called, on what, and what to try."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lambda_toolkit.aws.retries import Refusal, Wait, hint
from lambda_toolkit.errors import MASK, AwsError

_SUBJECTS = (  # the parameters that say what a call is about, the telling ones first
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
_SHORTEST_MASKED = 6  # shorter values are in every text by chance


@dataclass(frozen=True)
class Request:
    """One call, for its error message and its retries."""

    client: Any = field(repr=False)
    service: str
    operation: str
    parameters: Mapping[str, Any] = field(repr=False)
    also_wait_for: tuple[str, ...] = ()


def refusal_of(request: Request, error: Exception) -> Refusal:
    """What AWS, or botocore before it, said to ``request``, as it was said."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        text = "a parameter has the wrong type" if type(error).__name__ == "ParamValidationError" else str(error)
        return Refusal(request.service, request.operation, type(error).__name__, text)
    detail = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return Refusal(
        request.service, request.operation, str(detail.get("Code", "")), str(detail.get("Message", "")), int(status)
    )


def as_aws_error(request: Request, refusal: Refusal, wait: Wait | None, waited: float) -> AwsError:
    """The error to raise, after ``waited`` seconds of waiting for ``wait``. What was sent in confidence is masked."""
    operation = request.client.meta.method_to_api_mapping.get(request.operation, request.operation)
    permission = f"{request.service}:{operation}"
    subject = next((str(request.parameters[key]) for key in _SUBJECTS if request.parameters.get(key)), "")
    after = f" (for {waited:.0f} s: {wait.reason})" if wait and waited >= 1 else ""
    said = _masked(refusal.message or "no reason given", request).rstrip(".")
    text = f"{permission}{f' {subject}' if subject else ''}: {said} ({refusal.code}){after}.{hint(refusal, permission)}"
    return AwsError(text, code=refusal.code, operation=permission)


def cause_of(request: Request, error: Exception) -> Exception | None:
    """``error``, to be shown as the cause; ``None`` where its own text may hold what was sent in confidence."""
    is_confidential = request.service == "secretsmanager" or any(_confidential(request))
    return None if is_confidential else error


def _confidential(request: Request) -> Iterator[str]:
    """The values that were sent and are nobody's business: of secrets, and of environment variables."""
    yield str(request.parameters.get("SecretString") or "")
    environment = request.parameters.get("Environment")
    if isinstance(environment, Mapping):
        yield from map(str, environment.get("Variables", {}).values())


def _masked(text: str, request: Request) -> str:
    """``text`` without them: Lambda quotes a whole environment that it does not take, as it is or as JSON."""
    for value in sorted(_confidential(request), key=len, reverse=True):
        if len(value) >= _SHORTEST_MASKED:
            for written in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
                text = text.replace(written, MASK)
    return text
