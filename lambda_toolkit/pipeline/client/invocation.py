"""Invokes a deployed function, and reads its result or its error."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lambda_script import LIVE
from lambda_toolkit.aws.error_messages import FunctionFailure, function_failure
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.lambdas.shared.errors import Hint, PipelineError, hint_of
from lambda_toolkit.pipeline.lambdas.shared.messages.events import Request
from lambda_toolkit.pipeline.lambdas.shared.messages.message import Message

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws


R = TypeVar("R", bound=Message)


_THROTTLED = "TooManyRequestsException"


class NotDeployedError(CommandError):
    """There is no such function on AWS yet."""


class ThrottledError(CommandError):
    """As many invocations run as the function, or the account, may have."""


@dataclass(frozen=True)
class Invocation:
    """The outcome of an invocation."""

    result: Any
    """What the function returned, from JSON; ``None`` where it failed."""
    error: str | None
    """Its error in one line, or ``None``."""
    log_tail: str
    """The last 4 KB of its log."""
    failure: FunctionFailure | None = None
    """The error as Lambda says it, or ``None``."""


def invoke(aws: Aws, function: str, event: Mapping[str, Any]) -> Invocation:
    """Invoke the live version of ``function`` with ``event``, and wait for it: up to 15 minutes, as Lambda permits.

    It is called by its number, not by the alias: alarms that count what schedules and triggers start do not count this.
    Raises NotDeployedError where there is no such function, ThrottledError where it may not run for a minute, AwsError
    where AWS rejects the call. An error of the function is returned, not raised.
    """
    live = aws.find("lambda", "get_function_configuration", FunctionName=function, Qualifier=LIVE)
    response = live and _response(aws, function, live["Version"], event)
    if not response:
        raise NotDeployedError(f"There is no function {function} on AWS yet. Deploy it: {suggested()}")
    text = response["Payload"].read().decode()
    tail = base64.b64decode(response.get("LogResult", "")).decode(errors="replace")
    if response.get("FunctionError"):
        failure = function_failure(text)
        return Invocation(None, _error_message(failure), tail, failure)
    return Invocation(json.loads(text) if text else None, None, tail)


def call(aws: Aws, function: str, request: Request, result: type[R]) -> R:
    """Send ``request`` to ``function``. Returns its result as a ``result``.

    Raises CommandError with the function's message where it fails, and for a result of another form.
    """
    invocation = invoke(aws, function, request.to_json())
    if invocation.error is not None:
        raise CommandError(f"{function} failed: {invocation.error}")
    if not isinstance(invocation.result, dict):
        raise CommandError(f"{function} returned {invocation.result!r}, not an object. Was it deployed from here?")
    try:
        return result.from_json(invocation.result, f"The result of {function}")
    except PipelineError as error:
        raise CommandError(f"{error} Was it deployed from here?") from error


def _response(aws: Aws, function: str, version: str, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Lambda's response; None where there is no such version."""
    from lambda_script import AwsError

    try:
        return aws.find(
            "lambda",
            "invoke",
            FunctionName=function,
            Qualifier=version,
            LogType="Tail",
            Payload=json.dumps(event).encode(),
        )
    except AwsError as error:
        if error.code == _THROTTLED:
            raise ThrottledError(
                f"{function} is throttled: as many of its invocations run as its `concurrency`, or the account, "
                "permits. Try again once one of them has ended."
            ) from error
        raise


def _error_message(failure: FunctionFailure) -> str:
    """The function's error in one line, with what to do about it."""
    if hint_of(failure.error_type) is Hint.PREPARE:
        return f"{failure.text} Run: {suggested('prepare')}, which creates what is missing and names what differs."
    return failure.text
