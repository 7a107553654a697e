"""Requests that others answer: how often each is tried, with which pauses, and when none is waited for any more."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import wait as futures_wait
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared import fan_out, invoking
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.fan_out import AskLimits, Gathering, NoAnswer
from lambda_toolkit.pipeline.lambdas.shared.messages.events import TransformRequest, TransformResult
from lambda_toolkit.pipeline.lambdas.shared.messages.message import Message


@dataclass(frozen=True)
class Asked(Message):
    number: int


@dataclass(frozen=True)
class Answered(Message):
    number: int


class Failing:
    """Fails the first times that it is asked for a number: as often as the number says."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()

    def __call__(self, request: Asked) -> Answered:
        self.asked[request.number] += 1
        if self.asked[request.number] <= request.number:
            raise ValueError(str(request.number))
        return Answered(request.number)


def test_failed_request_is_tried_again_after_longer_pauses() -> None:
    ask, slept, beats = Failing(), list[float](), list[int]()
    limits = AskLimits(sleep=slept.append)
    requests = [Asked(number) for number in (0, 1, 2, 3)]
    with Gathering(ask, requests, together=1, limits=limits, seconds_left=1000) as gathering:
        found = dict(gathering.answers(lambda: beats.append(1)))
        assert list(gathering.answers()) == [], "each request once"
    last = found.pop(requests[3])
    assert found == {request: Answered(request.number) for request in requests[:3]}
    assert isinstance(last, NoAnswer) and last.reason == "failed 3 times: ValueError"
    assert str(last.error) == "3"
    assert ask.asked == {0: 1, 1: 2, 2: 3, 3: 3}
    assert sorted(slept) == [1.0, 1.0, 1.0, 2.0, 2.0], "a second, and twice as long before the third try"
    assert beats


def test_answers_are_waited_for_until_the_end_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the seconds that are left, and seven minutes at most; nothing that comes later is read."""
    limits = AskLimits(clock=lambda: 100.0)
    assert [limits.end(seconds) for seconds in (0, 10, 840, 841, 900)] == [100.0, 105.0, 520.0, 520.0, 520.0]
    now, go_on = [100.0], threading.Event()

    def ask(request: Asked) -> Answered:
        if request.number:
            go_on.wait(10)
        return Answered(request.number)

    def beat() -> None:
        now[0] = 105.0

    waits: list[float] = []

    def wait(futures: Any, seconds: float, until: Any) -> Any:
        waits.append(seconds)
        return futures_wait(futures, seconds, until)

    monkeypatch.setattr(fan_out, "wait", wait)
    limits = AskLimits(clock=lambda: now[0])
    requests = [Asked(0), Asked(1), Asked(2)]
    try:
        with Gathering(ask, requests, together=2, limits=limits, seconds_left=10) as gathering:
            found = list(gathering.answers(beat))
    finally:
        go_on.set()
    late = NoAnswer("took too long")
    assert found == [(requests[0], Answered(0)), (requests[1], late), (requests[2], late)]
    assert waits == [5.0, 0.0]
    now[0] = 0.0
    with Gathering(Failing(), [Asked(0)], 1, limits, seconds_left=1000) as gathering:
        assert list(gathering.answers()) == [(Asked(0), Answered(0))]
    assert waits[2:] == [20.0], "no longer than to the next heartbeat"


def test_heartbeat_is_felt_while_nothing_comes() -> None:
    go_on, beats = threading.Event(), list[int]()

    def ask(request: Asked) -> Answered:
        go_on.wait(10)
        return Answered(request.number)

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            go_on.set()

    with Gathering(ask, [Asked(1)], 1, AskLimits(heartbeat=0.001), seconds_left=1000) as gathering:
        assert list(gathering.answers(beat)) == [(Asked(1), Answered(1))]
    assert len(beats) >= 3


class Client:
    """Lambda, with one answer."""

    def __init__(self, payload: object, **more: Any) -> None:
        self._answer = {"Payload": BytesIO(json.dumps(payload).encode()), **more}
        self.asked: dict[str, Any] = {}

    def invoke(self, **asked: Any) -> dict[str, Any]:
        self.asked = asked
        return self._answer


def test_function_is_invoked_and_waited_for() -> None:
    client = Client({"batches": [7], "rows": {"a": 1}})
    asked = invoking.AskedFunction(client, "transform:live")
    assert asked.answer(TransformRequest(7), TransformResult) == TransformResult((7,), {"a": 1})
    payload = json.loads(client.asked.pop("Payload"))
    assert payload == {"action": "transform", "batch": 7}
    assert client.asked == {"FunctionName": "transform:live", "InvocationType": "RequestResponse"}


@pytest.mark.parametrize(
    ("client", "says"),
    [
        (Client({"errorMessage": "no"}, FunctionError="Unhandled"), "transform:live failed to transform"),
        (Client([1]), "transform:live answered no object for the action transform"),
        (Client({"batches": "all"}), "TransformResult: `batches` must be a list of integers"),
    ],
)
def test_answer_that_cannot_be_understood_is_an_error(client: Client, says: str) -> None:
    with pytest.raises(PipelineError, match=says):
        invoking.AskedFunction(client, "transform:live").answer(TransformRequest(7), TransformResult)


def test_request_to_a_function_is_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeated one would be a second invocation, while the first one runs."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    asked = invoking.asked_function("transform:live", 7)
    assert asked._function == "transform:live"
    config = asked._client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (10, 300.0, 7)
    assert config.retries["total_max_attempts"] == 1 and config.tcp_keepalive is True
    assert asked._client.meta.service_model.service_name == "lambda"
