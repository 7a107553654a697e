"""Calls to AWS: repeated for how long and with which pauses, what counts as nothing, and waits that end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambda_toolkit.aws.account import Account
from lambda_toolkit.aws.botocore_clients import Clients
from lambda_toolkit.aws.client import Aws, Clock
from lambda_toolkit.aws.interrupts import deferred_interrupts
from lambda_toolkit.errors import AwsError
from tests.support.fake_time import FakeTime


def error(code: str, status: int = 400) -> ClientError:
    answer = {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Operation")


class Service:
    """A client of botocore whose operations answer what a test says."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.pages: list[dict[str, Any]] | None = None
        self.asked: list[dict[str, Any]] = []
        self.meta = SimpleNamespace(
            method_to_api_mapping={"get_thing": "GetThing"}, region_name="eu-west-2", partition="aws-cn"
        )

    def get_thing(self, **parameters: Any) -> Any:
        self.asked.append(parameters)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def can_paginate(self, operation: str) -> bool:
        return self.pages is not None and operation == "get_thing"

    def get_paginator(self, operation: str) -> Any:
        def paginate(**parameters: Any) -> Iterator[dict[str, Any]]:
            self.asked.append(parameters)
            yield from self.pages or ()

        return SimpleNamespace(paginate=paginate)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    made = Service()
    monkeypatch.setattr(Clients, "get", lambda self, name, operation="": made)
    return made


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def aws(service: Service, time: FakeTime) -> Aws:
    return Aws("eu-west-2", clock=Clock(time.now, time.sleep, random=lambda: 1.0))


def test_answer_comes_with_the_parameters(aws: Aws, service: Service) -> None:
    service.answers = [{"a": 1}]
    assert aws.call("lambda", "get_thing", Name="x") == {"a": 1}
    assert service.asked == [{"Name": "x"}]
    assert (aws.region, aws.partition) == ("eu-west-2", "aws-cn")
    assert aws.arn("s3", "lake") == "arn:aws-cn:s3:::lake"


def test_pauses_grow_until_the_time_is_over(aws: Aws, service: Service, time: FakeTime) -> None:
    service.answers = [error("Throttling")]
    with pytest.raises(AwsError, match=r"^lambda:GetThing x: why \(Throttling\) \(for 60 s: throttled\)\.$") as raised:
        aws.call("lambda", "get_thing", Name="x")
    assert (raised.value.code, raised.value.unanswered) == ("Throttling", False)
    assert time.pauses[:4] == pytest.approx([0.2, 0.3, 0.45, 0.675])
    assert set(time.pauses[-8:]) == {5.0}
    assert 55 < time.seconds <= 60


def test_pauses_are_between_half_and_all_of_their_length(time: FakeTime) -> None:
    for drawn, slept in ((0.0, 5.0), (0.5, 7.5), (1.0, 10.0)):
        Clock(time.now, time.sleep, random=lambda drawn=drawn: drawn).pause(10)  # type: ignore[misc]
        assert time.pauses[-1] == pytest.approx(slept)


def test_call_succeeds_once_the_error_has_passed(aws: Aws, service: Service, time: FakeTime) -> None:
    service.answers = [error("Throttling"), error("NotYet"), {"a": 1}]
    assert aws.call("lambda", "get_thing", also_retry=("NotYet",)) == {"a": 1}
    assert len(time.pauses) == 2
    service.answers = [error("NotYet")]
    with pytest.raises(AwsError):
        aws.call("lambda", "get_thing")
    assert len(time.pauses) == 2, "another call does not expect it"


def test_interrupted_program_repeats_calls_for_seconds(aws: Aws, service: Service, time: FakeTime) -> None:
    service.answers = [error("Throttling")]
    aws.clock.interrupted.set()
    with pytest.raises(AwsError):
        aws.call("lambda", "get_thing")
    assert 3 < time.seconds <= 5


def test_call_that_ran_into_a_timeout_is_repeated_once(aws: Aws, service: Service, time: FakeTime) -> None:
    """Even where it alone took longer than the time for all attempts."""
    waited = [70.0, 70.0]

    def slow() -> Any:
        time.seconds += waited.pop(0)
        return error("InternalError", 500)

    service.answers = [None]
    service.get_thing = lambda **_: (_ for _ in ()).throw(slow())  # type: ignore[method-assign]
    with pytest.raises(AwsError) as raised:
        aws.call("lambda", "get_thing")
    assert waited == []
    assert raised.value.unanswered is True


def test_what_is_not_there_is_none(aws: Aws, service: Service) -> None:
    service.answers = [error("ResourceNotFoundException")]
    assert aws.find("lambda", "get_thing") is None
    assert aws.list_existing("lambda", "get_thing", "Things") == []
    with pytest.raises(AwsError):
        aws.list_all("lambda", "get_thing", "Things")
    service.answers = [error("AccessDenied")]
    for read in (aws.find, lambda *of: aws.list_existing(*of, "Things")):
        with pytest.raises(AwsError, match="AccessDenied"):
            read("lambda", "get_thing")
    service.answers = [error("NotYet"), {"a": 1}]
    assert aws.find("lambda", "get_thing", also_retry=("NotYet",)) == {"a": 1}


def test_items_of_all_pages_are_listed(aws: Aws, service: Service) -> None:
    service.answers = [{"Things": [1, 2]}]
    assert aws.list_all("lambda", "get_thing", "Things", Name="x") == [1, 2]
    for empty in ({}, {"Things": None}, {"Things": []}):
        service.answers = [empty]
        assert aws.list_all("lambda", "get_thing", "Things") == []
    service.pages = [{"Things": [1]}, {}, {"Things": None}, {"Things": [2, 3]}]
    assert aws.list_all("lambda", "get_thing", "Things", Name="y") == [1, 2, 3]
    assert service.asked[-1] == {"Name": "y"}


def test_what_an_unanswered_call_created_is_not_anothers(aws: Aws, service: Service) -> None:
    exists = {"exists": ("AlreadyExists",)}
    service.answers = [{"a": 1}]
    assert aws.create("lambda", "get_thing", **exists) == {"a": 1}
    service.answers = [error("InternalError", 500), error("AlreadyExists")]
    assert aws.create("lambda", "get_thing", **exists) is None
    service.answers = [error("AlreadyExists")]
    with pytest.raises(AwsError, match="AlreadyExists"):
        aws.create("lambda", "get_thing", **exists)
    service.answers = [error("InternalError", 500), error("AccessDenied")]
    with pytest.raises(AwsError, match="AccessDenied"):
        aws.create("lambda", "get_thing", **exists)
    service.answers = [error("NotYet"), {"a": 2}]
    assert aws.create("lambda", "get_thing", also_retry=("NotYet",), **exists) == {"a": 2}


def test_wait_polls_often_at_first_and_ends(aws: Aws, time: FakeTime) -> None:
    assert aws.wait_until(lambda: 5, "It is there") == 5
    assert time.pauses == []
    assert aws.wait_until(lambda: time.seconds if time.seconds > 3 else None, "It is there") > 3
    assert time.pauses[:10] == pytest.approx([0.1] * 10)
    assert time.pauses[-5:] == pytest.approx([0.2, 0.3, 0.45, 0.675, 1.0125])
    for factor, most in ((1.0, 60), (5.0, 300)):
        time.seconds = 0
        with pytest.raises(AwsError, match=r"^It is there: not true after \d+ s\. Check it on AWS"):
            aws.wait_until(lambda: None, "It is there", factor=factor)
        assert most - 5.1 < time.seconds <= most
        assert max(time.pauses) == 5.0
    assert aws.wait_until(lambda: False, "It is there") is False
    aws.clock.interrupted.set()
    with pytest.raises(AwsError, match="It is there: interrupted while waiting"):
        aws.wait_until(lambda: None, "It is there")


def test_account_is_read_once_from_what_a_plan_lists() -> None:
    calls: list[str] = []
    page: dict[str, Any] = {"Functions": [{"FunctionArn": "arn:aws:lambda:eu-west-2:123456789012:function:f"}]}

    def call(service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        calls.append(operation)
        if operation == "get_caller_identity":
            return {"Arn": "arn:aws:iam::210987654321:user/ci"}
        assert parameters == {"MaxItems": 50}
        return page

    account = Account(call)
    assert (account.id, account.id) == ("123456789012", "123456789012")
    assert account.take_functions() is page
    assert calls == ["list_functions"]
    assert account.take_functions() is page, "another plan reads again"
    assert calls == ["list_functions"] * 2
    page = {"Functions": []}
    account = Account(call)
    assert account.take_functions() == {"Functions": []}
    assert account.id == "210987654321"
    assert calls[2:] == ["list_functions", "get_caller_identity"]


@pytest.mark.parametrize(("code", "found"), [("AccessDenied", True), ("AccessDeniedException", True), ("Other", False)])
def test_account_without_the_right_to_list_is_that_of_the_caller(code: str, found: bool) -> None:
    def call(service: str, operation: str, **_: Any) -> dict[str, Any]:
        if operation == "list_functions":
            raise AwsError("no", code=code)
        return {"Arn": "arn:aws:sts::210987654321:assumed-role/ci/x"}

    account = Account(call)
    if found:
        assert account.take_functions() == {}
        assert account.id == "210987654321"
    else:
        with pytest.raises(AwsError):
            account.take_functions()


def test_interrupt_is_noted_and_handled_at_the_end() -> None:
    handled: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: handled.append(number))
    try:
        interrupted = threading.Event()
        with deferred_interrupts(interrupted):
            assert not interrupted.is_set()
            signal.raise_signal(signal.SIGINT)
            assert interrupted.is_set()
            assert handled == [], "within the block nothing is raised"
        assert handled == [signal.SIGINT]
        with deferred_interrupts(threading.Event()):
            pass
        assert handled == [signal.SIGINT], "without an interrupt the handler is not called"
        signal.raise_signal(signal.SIGINT)
        assert len(handled) == 2, "the handler is the former one again"
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with deferred_interrupts(interrupted := threading.Event()):
            signal.raise_signal(signal.SIGINT)
        assert not interrupted.is_set()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_change_nothing_of_signals() -> None:
    found: list[object] = []

    def look() -> None:
        with deferred_interrupts(threading.Event()):
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
