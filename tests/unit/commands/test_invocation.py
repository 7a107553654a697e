"""An invocation by a command: what AWS's answers and errors become."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest

from lambda_script import AwsError
from lambda_toolkit.pipeline.client.invocation import NotDeployedError, ThrottledError, invoke


class Aws:
    """A function of which version 7 is live: its invocation gives one answer, or raises it. Keeps the calls."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def find(self, service: str, operation: str, **arguments: Any) -> Any:
        assert service == "lambda"
        self.calls.append((operation, arguments))
        if operation == "get_function_configuration":
            return {"Version": "7"}
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def refused(code: str) -> AwsError:
    return AwsError("The call was refused.", code=code, operation="lambda:InvokeFunction")


def test_event_is_sent_to_the_live_version_by_its_number() -> None:
    aws = Aws({"Payload": io.BytesIO(b'{"loaded": [1]}'), "LogResult": base64.b64encode("größer".encode()).decode()})
    found = invoke(aws, "totes-load", {"action": "report"})  # type: ignore[arg-type]
    assert (found.result, found.error, found.log_tail) == ({"loaded": [1]}, None, "größer")
    sent = {"FunctionName": "totes-load", "Qualifier": "7", "LogType": "Tail", "Payload": b'{"action": "report"}'}
    live = {"FunctionName": "totes-load", "Qualifier": "live"}
    assert aws.calls == [("get_function_configuration", live), ("invoke", sent)]


def test_throttled_function_is_named_and_other_errors_stay() -> None:
    with pytest.raises(ThrottledError, match="totes-load is throttled"):
        invoke(Aws(refused("TooManyRequestsException")), "totes-load", {})  # type: ignore[arg-type]
    denied = refused("AccessDeniedException")
    with pytest.raises(AwsError) as raised:
        invoke(Aws(denied), "totes-load", {})  # type: ignore[arg-type]
    assert raised.value is denied
    with pytest.raises(NotDeployedError, match="There is no function totes-load"):
        invoke(Aws(None), "totes-load", {})  # type: ignore[arg-type]
