"""The webhook on this machine takes what Slack takes; messages of both channels are in one list; files are private."""

from __future__ import annotations

import http.client
import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.pipeline.local_stack import private_files
from lambda_toolkit.pipeline.local_stack.alerting import inbox, mail_sink, slack_receiver
from lambda_toolkit.pipeline.local_stack.alerting.slack_receiver import Post, refusal


def block(kind: str, text: Any, of: str = "plain_text") -> dict[str, Any]:
    return {"type": kind, "text": {"type": of, "text": text}}


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ({"text": "a"}, ""),
        ({"text": ""}, "no_text"),
        ({"text": 3}, "no_text"),
        ({}, "no_text"),
        ({"blocks": []}, "no_text"),
        ([1], "invalid_payload"),
        ("a", "invalid_payload"),
        ({"blocks": [block("header", "a")]}, ""),
        ({"text": "", "blocks": [block("section", "a", "mrkdwn")]}, ""),
        ({"blocks": [block("header", "a", "mrkdwn")]}, "invalid_blocks"),
        ({"blocks": [block("section", "a", "other")]}, "invalid_blocks"),
        ({"blocks": [block("other", "a")]}, "invalid_blocks"),
        ({"blocks": [block("section", "")]}, "invalid_blocks"),
        ({"blocks": [block("section", 3)]}, "invalid_blocks"),
        ({"blocks": [block("section", "x" * 3000)]}, ""),
        ({"blocks": [block("section", "x" * 3001)]}, "invalid_blocks"),
        ({"blocks": [block("header", "x" * 150)]}, ""),
        ({"blocks": [block("header", "x" * 151)]}, "invalid_blocks"),
        ({"blocks": [block("section", "a")] * 50}, ""),
        ({"blocks": [block("section", "a")] * 51}, "invalid_blocks"),
        ({"blocks": [block("section", "a"), 3]}, "invalid_blocks"),
        ({"blocks": [{"type": "section"}]}, "invalid_blocks"),
        ({"blocks": {"type": "section"}}, "invalid_blocks"),
        ({"text": "a", "blocks": [block("section", "")]}, "invalid_blocks"),
    ],
)
def test_message_is_refused_with_the_word_of_slack(message: Any, word: str) -> None:
    assert refusal(json.dumps(message).encode()) == word
    assert refusal(b"{") == "invalid_payload"


def test_message_is_read_as_a_person_sees_it() -> None:
    blocks = [block("header", "One &amp; two"), {"type": "divider"}, block("section", "&lt;a&gt;\u200b &amp;lt;")]
    post = Post({"text": "first &lt;\nsecond", "blocks": blocks}, "t")
    assert (post.subject, post.text) == ("first <", "One & two\n\n<a> &lt;")
    assert Post({"text": "a\nb"}, "t").text == "a\nb"
    assert (Post({"blocks": blocks}, "t").subject, Post({}, "t").text) == ("", "")


PATH = "/services/s3cret"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    server = slack_receiver.server(tmp_path / "slack", PATH)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def post(port: int, body: bytes, path: str = PATH, **headers: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body, given)
    answer = connection.getresponse()
    kind, length, text = answer.headers["Content-Type"], answer.headers["Content-Length"], answer.read().decode()
    connection.close()
    assert kind == "text/html" and int(length) == len(text)
    return answer.status, text, kind


def test_webhook_answers_as_slack_does(port: int, tmp_path: Path) -> None:
    good = b'{"text": "a"}'
    assert post(port, good)[:2] == (200, "ok")
    for answered, expected in (
        (post(port, good, "/services/other"), (404, "no_service")),
        (post(port, good, Origin="http://x"), (404, "no_service")),
        (post(port, b"{}"), (400, "no_text")),
        (post(port, b"", Content_Length="1000001"), (400, "invalid_payload")),
        (post(port, b"", Content_Length="-1"), (400, "invalid_payload")),
        (post(port, b"", Content_Length="²"), (400, "invalid_payload")),
    ):
        assert answered[:2] == expected
    assert post(port, b'{"text": "b"}')[0] == 200
    assert [each.payload for each in slack_receiver.read(tmp_path / "slack")] == [{"text": "a"}, {"text": "b"}]
    assert slack_receiver.read(tmp_path / "none") == ()


def test_messages_of_both_channels_are_in_the_order_of_time(tmp_path: Path) -> None:
    mails, slack = tmp_path / "mails", tmp_path / "slack"
    assert inbox.document(mails, slack) == {"format": 1, "messages": []}
    mail_sink.deliver(mails, recipient="a@x.com", subject="S", body="B", topic="t")
    slack.mkdir()
    times = ("2000-01-01T00:00:00.000+00:00", "2999-01-01T00:00:00.000+00:00")
    lines = [json.dumps({"payload": {"text": f"T{n}\nmore"}, "received_at": at}) for n, at in enumerate(times)]
    (slack / "index").write_text("\n".join(lines) + "\n", encoding="utf-8")
    first, email, last = inbox.document(mails, slack)["messages"]
    of_slack = {"channel": "slack", "to": "webhook"}
    assert first == {"received_at": times[0], **of_slack, "subject": "T0", "text": "T0\nmore"}
    assert last == {"received_at": times[1], **of_slack, "subject": "T1", "text": "T1\nmore"}
    del email["received_at"]
    assert email == {"channel": "email", "to": "a@x.com", "subject": "S", "text": "B"}


def test_names_of_emails_are_short_and_numbered(tmp_path: Path) -> None:
    names = [
        mail_sink.deliver(tmp_path / "a" / "b", recipient="r", subject=subject, body="é", topic="t").name
        for subject in ("- x / y -", "z" * 80, "")
    ]
    assert names == ["0001-x-y.txt", f"0002-{'z' * 60}.txt", "0003-AWS-Notification-Message.txt"]
    assert [email.body for email in mail_sink.read(tmp_path / "a" / "b")] == ["é"] * 3


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("user", "closed"), [(0, 0o711), (1000, 0o700)])
def test_directory_is_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, closed: int) -> None:
    monkeypatch.setattr(private_files.os, "geteuid", lambda: user)
    for _ in range(2):
        private_files.make_directory(tmp_path / "a" / "b")
        assert mode(tmp_path / "a" / "b") == closed


def test_private_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    for document in ({"a": 1}, {"b": [2]}):
        (tmp_path / "stack.new").write_text("of a crash", encoding="utf-8")
        private_files.write(path, document)
        assert json.loads(path.read_text(encoding="utf-8")) == document and mode(path) == 0o600
    assert path.read_text(encoding="utf-8").endswith("}\n") and not (tmp_path / "stack.new").exists()


def test_log_is_private_and_goes_on_or_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.touch(mode=0o644)
    for how, content in (("ab", b"1"), ("ab", b"12"), ("wb", b"3"), ("ab", b"34")):
        with private_files.open_log(path, how) as log:  # type: ignore[arg-type]
            log.write(content[-1:])
        assert (path.read_bytes(), mode(path)) == (content, 0o600)
