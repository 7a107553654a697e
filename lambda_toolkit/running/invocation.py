"""Invoke the live version of a deployed function."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.error_messages import function_failure
from lambda_toolkit.errors import ToolkitError
from lambda_toolkit.resources.planning.alias import LIVE


@dataclass(frozen=True)
class Invocation:
    """The outcome of an invocation."""

    result: Any
    """What the function returned, from JSON; ``None`` where it failed."""
    error: str | None
    """Its error in one line; ``None`` where it succeeded."""
    log_tail: str
    """The end of its log."""

    @property
    def ok(self) -> bool:
        """Whether the function returned."""
        return self.error is None


def invoke(aws: Aws, function: str, event: Any) -> Invocation:
    """Invoke the live version of ``function`` with ``event``, and wait for it: up to 15 minutes, as Lambda permits.

    An error of the function is returned, not raised. Raises ToolkitError where there is no such function, for an event
    that is not JSON, and where AWS rejects the call.
    """
    answer = aws.find(
        "lambda", "invoke", FunctionName=function, Qualifier=LIVE, LogType="Tail", Payload=payload_of(event)
    )
    if answer is None:
        raise ToolkitError(f"There is no function {function} on AWS yet. Deploy it first.")
    text = answer["Payload"].read().decode()
    tail = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
    if answer.get("FunctionError"):
        return Invocation(None, function_failure(text).text, tail)
    return Invocation(json.loads(text) if text else None, None, tail)


def payload_of(event: Any) -> bytes:
    """``event`` as JSON. Raises ToolkitError where that cannot be."""
    try:
        return json.dumps({} if event is None else event).encode()
    except (TypeError, ValueError) as error:
        raise ToolkitError(f"The event cannot be written as JSON: {error}.") from error
