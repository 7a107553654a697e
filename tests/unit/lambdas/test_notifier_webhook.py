"""Slack's webhook against a real HTTP receiver on loopback, which takes messages, refuses them, or misbehaves."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.lambdas.notifier import webhook
from lambda_toolkit.pipeline.lambdas.notifier.webhook import Outcome, post
from lambda_toolkit.pipeline.lambdas.notifier.webhook_url import webhook_problem
from lambda_toolkit.pipeline.local_stack.alerting import slack_receiver

PATH = "/services/T000/B000/sEcReT"
PAYLOAD = {"text": "extract failed"}


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[str]:
    server = slack_receiver.server(tmp_path, PATH)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_message_arrives_as_it_was(receiver: str, tmp_path: Path) -> None:
    assert post(receiver + PATH, PAYLOAD) == Outcome(sent=True)
    [arrived] = slack_receiver.read(tmp_path)
    assert (arrived.payload, arrived.subject, arrived.text) == (PAYLOAD, "extract failed", "extract failed")


@pytest.mark.parametrize(
    ("path", "payload", "word"),
    [
        ("/services/T000/B000/other", PAYLOAD, "404 no_service: it was removed or is disabled"),
        (PATH, {"text": ""}, "400 no_text"),
        (PATH, {"text": "a", "blocks": [{"type": "header"}]}, "400 invalid_blocks: it does not take"),
        (PATH, {"text": "a", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "a" * 151}}]}, "400"),
    ],
)
def test_what_slack_refuses_is_final(receiver: str, tmp_path: Path, path: str, payload: dict, word: str) -> None:
    outcome = post(receiver + path, payload, sleep=_never)
    assert (outcome.sent, outcome.final) == (False, True)
    assert word in outcome.reason
    assert "sEcReT" not in outcome.reason and "other" not in outcome.reason
    assert slack_receiver.read(tmp_path) == ()


def _never(seconds: float) -> None:
    raise AssertionError(f"waits {seconds} s for what does not change")


Connection = Callable[[socket.socket], None]


@contextmanager
def misbehaving(*connections: Connection) -> Iterator[tuple[str, list[bytes]]]:
    """A server that does one of ``connections`` after the other, the last one again and again; and what it got."""
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            rest = list(connections)
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client, suppress(OSError):
                    got.append(client.recv(65_536))
                    (rest.pop(0) if len(rest) > 1 else rest[0])(client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}{PATH}", got
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def answer(status: int, body: str = "", **headers: str) -> Connection:
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, '')}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    text = "\r\n".join([*lines, "Connection: close", "", body])
    return lambda client: client.sendall(text.encode())


def drip(client: socket.socket) -> None:
    """A byte now and then, for ever."""
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 1000:
        client.sendall(bytes([byte]))
        time.sleep(0.05)


def silent(client: socket.socket) -> None:
    while client.recv(65_536):
        pass


def cut(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 2")


@pytest.mark.parametrize("first", [answer(500), answer(503, "busy"), answer(429, Retry_After="1"), cut])
def test_what_fails_for_the_moment_is_tried_again(first: Connection) -> None:
    waited: list[float] = []
    with misbehaving(first, answer(200, "ok")) as (url, got):
        assert post(url, PAYLOAD, sleep=waited.append).sent
    assert len(got) == 2
    assert waited == [1.0 if "429" in repr(first) else waited[0]]


def test_retry_after_is_kept_to_and_not_waited_for_long() -> None:
    waited: list[float] = []
    with misbehaving(answer(429, "rate_limited", Retry_After="7"), answer(200, "ok")) as (url, _):
        assert post(url, PAYLOAD, sleep=waited.append).sent
    assert waited == [7.0]
    with misbehaving(answer(429, Retry_After="3600")) as (url, got):
        outcome = post(url, PAYLOAD, sleep=_never)
    assert (outcome.sent, outcome.final, outcome.retry_after, len(got)) == (False, False, 3600.0, 1)
    with misbehaving(answer(429, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT")) as (url, got):
        assert not post(url, PAYLOAD, sleep=lambda _: None).final
    assert len(got) == 3


@pytest.mark.parametrize("connection", [drip, silent])
def test_receiver_that_never_ends_is_left_after_a_time(connection: Connection) -> None:
    with misbehaving(connection) as (url, got):
        outcome = post(url, PAYLOAD, sleep=lambda _: None, attempt=0.3)
    assert (outcome.sent, outcome.final) == (False, False)
    assert outcome.reason == "the webhook's host did not answer within 0.3 s"
    assert len(got) == 3


@pytest.mark.parametrize(
    "connection",
    [
        answer(302, Location="https://example.com/steal"),
        answer(403, "invalid_token"),
        answer(410, "channel_is_archived"),
        answer(400, f"the url {PATH} is wrong"),
    ],
)
def test_other_answers_are_final_and_never_followed(connection: Connection) -> None:
    with misbehaving(connection) as (url, got):
        outcome = post(url, PAYLOAD, sleep=_never)
    assert (outcome.sent, outcome.final, len(got)) == (False, True, 1)
    assert "sEcReT" not in outcome.reason, "nor what the answer quotes of the URL"


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("no_service", "it was removed or is disabled"),
        ("no_team", "its workspace does not exist any more"),
        ("invalid_token", "its URL is not complete, or was revoked"),
        ("channel_is_archived", "its channel is archived"),
        ("channel_not_found", "its channel does not exist any more"),
        ("action_prohibited", "an administrator restricts posting to its channel"),
        ("invalid_payload", "it does not take the message's form"),
        ("invalid_blocks", "it does not take the message's form"),
    ],
)
def test_word_of_a_refusal_is_explained(word: str, meaning: str) -> None:
    found = webhook._outcome(403, f" {word}\n".encode(), "9")
    assert found == Outcome(False, f"the webhook answered 403 {word}: {meaning}", final=True)


@pytest.mark.parametrize(
    ("status", "retry_after", "outcome"),
    [
        (200, "5", Outcome(True)),
        (201, "", Outcome(False, "the webhook answered 201", final=True)),
        (408, "", Outcome(False, "the webhook answered 408")),
        (429, "5", Outcome(False, "the webhook answered 429", retry_after=5.0)),
        (429, "1234567", Outcome(False, "the webhook answered 429")),
        (429, "5s", Outcome(False, "the webhook answered 429")),
        (499, "5", Outcome(False, "the webhook answered 499", final=True)),
        (500, "5", Outcome(False, "the webhook answered 500", retry_after=5.0)),
    ],
)
def test_status_says_whether_to_try_again(status: int, retry_after: str, outcome: Outcome) -> None:
    assert webhook._outcome(status, b"what it says, with spaces", retry_after) == outcome


def test_host_that_is_not_there_is_named_without_the_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for host in (f"http://127.0.0.1:{port}", "https://webhook.invalid"):
        outcome = post(host + PATH, PAYLOAD, sleep=lambda _: None)
        assert (outcome.sent, outcome.final) == (False, False)
        assert "could not be reached" in outcome.reason
        assert "sEcReT" not in outcome.reason


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://hooks.slack.com/services/T/B/x", ""),
        ("https://hooks.slack.com:443/services/T/B/x?a=b", ""),
        ("http://127.0.0.1:5000/x", ""),
        ("http://localhost/x", ""),
        ("http://[::1]:1/x", ""),
        ("http://hooks.slack.com/services/T/B/x", "not encrypted"),
        ("http://127.0.0.1.example.com/x", "not encrypted"),
        ("https://hooks.slack.com", "no path"),
        ("https://hooks.slack.com/", "no path"),
        ("hooks.slack.com/services/T/B/x", "does not begin with https://"),
        ("ftp://hooks.slack.com/x", "does not begin with https://"),
        ("https:///x", "does not begin with https://"),
        ("https://u:p@hooks.slack.com/x", "a user before the host"),
        ("https://hooks.slack.com/ser vices", "a character that no URL has"),
        ("https://hooks.slack.com/x\r\nHost: evil", "a character that no URL has"),
        ("https://hooks.slack.com/é", "a character that no URL has"),
        ("https://hooks.slack.com:0/x", "its port is 0"),
        ("https://hooks.slack.com:99999/x", "it is not a URL"),
        ("https://[/x", "it is not a URL"),
        ("", "does not begin with https://"),
    ],
)
def test_urls_that_may_be_a_webhooks(url: str, problem: str) -> None:
    found = webhook_problem(url)
    assert problem in found and bool(found) is bool(problem)
    if problem:
        assert post(url, PAYLOAD, sleep=_never).final
