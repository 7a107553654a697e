"""An invocation by a command: what AWS's answers and errors become."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest

from lambda_script import AwsError
from lambda_toolkit.pipeline.client.invocation import NotDeployedError, ThrottledError, call, invoke
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.messages.events import LoadResult, ReportRequest


class Aws:
    """A function of which version 7 is live: its invocation gives one answer, or raises it. Keeps the calls."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.live: dict[str, Any] | None = {"Version": "7"}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def find(self, service: str, operation: str, **arguments: Any) -> Any:
        assert service == "lambda"
        self.calls.append((operation, arguments))
        if operation == "get_function_configuration":
            return self.live
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
    for other in (refused("AccessDeniedException"), ZeroDivisionError()):
        with pytest.raises(type(other)) as raised:
            invoke(Aws(other), "totes-load", {})  # type: ignore[arg-type]
        assert raised.value is other
    with pytest.raises(NotDeployedError, match="There is no function totes-load"):
        invoke(Aws(None), "totes-load", {})  # type: ignore[arg-type]


def test_version_that_went_away_is_not_deployed() -> None:
    """Between the two calls, or where no version is live: nothing is invoked then."""
    aws = Aws({})
    aws.live = None
    with pytest.raises(NotDeployedError):
        invoke(aws, "totes-load", {})  # type: ignore[arg-type]
    assert len(aws.calls) == 1


@pytest.mark.parametrize(
    ("answer", "result", "error"),
    [
        ({"Payload": b""}, None, None),
        ({"Payload": b"null"}, None, None),
        ({"Payload": b"[1]"}, [1], None),
        ({"Payload": b'{"errorMessage": "no"}'}, {"errorMessage": "no"}, None),
        ({"Payload": b'{"errorMessage": "no", "errorType": "X"}', "FunctionError": "Unhandled"}, None, "no (X)"),
        (
            {"Payload": b'{"errorMessage": "It lacks t.", "errorType": "NotPreparedError"}', "FunctionError": "U"},
            *(None, "It lacks t. (NotPreparedError) Run: python deploy.py prepare, which creates what is missing and"),
        ),
    ],
)
def test_answer_is_a_result_or_an_error(answer: dict[str, Any], result: Any, error: str | None) -> None:
    found = invoke(Aws({**answer, "Payload": io.BytesIO(answer["Payload"])}), "f", {})  # type: ignore[arg-type]
    assert (found.result, found.log_tail) == (result, "")
    assert (found.error or "").startswith(error or "") and (found.error is None) is (error is None)
    assert (found.failure is None) is (error is None)
    broken = Aws({"Payload": io.BytesIO(b"1"), "LogResult": base64.b64encode(b"\xff").decode()})
    assert invoke(broken, "f", {}).log_tail == "\ufffd", "the tail may begin within a character"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"Payload": b'{"errorMessage": "no"}', "FunctionError": "U"}, "^f failed: no$"),
        ({"Payload": b"[1]"}, r"^f returned \[1\], not an object\. Was it deployed from here\?$"),
        ({"Payload": b'{"loaded": 1}'}, r"^The result of f.*`loaded`.* Was it deployed from here\?$"),
    ],
)
def test_result_of_another_form_is_an_error(answer: dict[str, Any], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        call(Aws({**answer, "Payload": io.BytesIO(answer["Payload"])}), "f", ReportRequest(), LoadResult)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):  # a defect is not blamed on what was deployed
        call(Aws({"Payload": io.BytesIO(b"{}")}), "f", ReportRequest(), object)  # type: ignore[arg-type,type-var]
    good = Aws({"Payload": io.BytesIO(b'{"loaded": [1]}')})
    assert call(good, "f", ReportRequest(), LoadResult) == LoadResult((1,))  # type: ignore[arg-type]
    assert good.calls[1][1]["Payload"] == b'{"action": "report"}'
