"""What the gate refuses, each with AWS's code; and what becomes of a request that it passes on."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator_gate as gate

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SIGNED = "host;x-amz-date"
HEADER = f"AWS4-HMAC-SHA256 Credential=KEY/20260102/eu-west-2/lambda/aws4_request, SignedHeaders={SIGNED}, Signature=ab"
PARTS = ("Credential", "SignedHeaders", "Signature")
HEADERS = {"host": ("127.0.0.1:1",), "x-amz-date": ("20260102T030405Z",), "authorization": (HEADER,)}
REQUEST = gate.Request("POST", "/", "/", (), HEADERS)
QUERY = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": "KEY/20260102/eu-west-2/s3/aws4_request",
    "X-Amz-Date": "20260102T030405Z",
    "X-Amz-Expires": "60",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Signature": "ab",
}


def headers(**changed: Any) -> gate.Request:
    """The request with other headers; None takes one away."""
    named = {name.replace("_", "-"): value for name, value in changed.items()}
    found = {**HEADERS, **{name: (value,) if isinstance(value, str) else value for name, value in named.items()}}
    return replace(REQUEST, headers={name: value for name, value in found.items() if value is not None})


def query(**changed: Any) -> gate.Request:
    """A presigned request with other parts of its query; None takes one away."""
    found = {**QUERY, **{name.replace("_", "-"): value for name, value in changed.items()}}
    pairs = tuple((name.encode(), value.encode()) for name, value in found.items() if value is not None)
    return gate.Request("GET", "/b/k", "/b/k", pairs, {"host": ("127.0.0.1:1",)})


def test_signature_is_what_the_request_says() -> None:
    assert gate.signature_of(headers(x_amz_security_token=None), NOW) == gate.Signature(
        *("KEY", "20260102", "eu-west-2", "lambda", ("host", "x-amz-date"), "ab", "20260102T030405Z")
    )
    found = gate.signature_of(query(X_Amz_Security_Token="token"), NOW)
    of_key = ("KEY", "20260102", "eu-west-2", "s3", ("host",), "ab", "20260102T030405Z")
    assert found == gate.Signature(*of_key, "token", 60)
    assert gate.signature_of(query(), NOW).token == ""
    with_token = HEADER.replace(SIGNED, f"{SIGNED};x-amz-security-token")
    assert gate.signature_of(headers(authorization=with_token, x_amz_security_token="t"), NOW).token == "t"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (headers(authorization=None), "MissingAuthenticationToken"),
        (headers(authorization=""), "UnsupportedSignature"),
        (replace(REQUEST, query=((b"x-amz-signature", b""),)), "IncompleteSignature"),
        (replace(query(), query=((b"AWSAccessKeyId", b"x"),)), "UnsupportedSignature"),
        (replace(query(), query=((b"Signature", b"x"),)), "UnsupportedSignature"),
        (headers(authorization=HEADER.replace("HMAC", "ECDSA")), "UnsupportedSignature"),
        (headers(authorization=f"{HEADER}, Signature=cd"), "IncompleteSignature"),
        (headers(authorization=(HEADER, HEADER)), "IncompleteSignature"),
        (headers(authorization=HEADER.replace("aws4_request", "other")), "IncompleteSignature"),
        (headers(authorization=HEADER.replace("/lambda", "")), "IncompleteSignature"),
        (headers(authorization=HEADER.replace("/lambda/", "//")), "IncompleteSignature"),
        (headers(authorization=HEADER.replace("Signature=ab", "Signature=")), "IncompleteSignature"),
        (headers(authorization=HEADER.replace(SIGNED, "")), "IncompleteSignature"),
        *((headers(authorization=HEADER.replace(f"{name}=", "X=")), "IncompleteSignature") for name in PARTS),
        (headers(x_amz_date="today"), "IncompleteSignature"),
        (headers(x_amz_date=None), "IncompleteSignature"),
        (headers(x_amz_date="20260103T000000Z"), "SignatureDoesNotMatch"),
        (headers(authorization=HEADER.replace("host;", "")), "SignatureDoesNotMatch"),
        (headers(x_amz_security_token="token"), "SignatureDoesNotMatch"),
        (query(X_Amz_Algorithm="other"), "UnsupportedSignature"),
        (query(X_Amz_Algorithm=None), "UnsupportedSignature"),
        *((query(X_Amz_Expires=text), "IncompleteSignature") for text in ("0", "604801", "-1", "", "1.5", "²", None)),
        (query(X_Amz_Credential=None), "IncompleteSignature"),
        (query(X_Amz_SignedHeaders=None), "IncompleteSignature"),
        (query(X_Amz_Signature=None), "IncompleteSignature"),
        (query(X_Amz_Date=None), "IncompleteSignature"),
        (replace(query(), query=(*query().query, (b"X-Amz-Date", b"20260102T030405Z"))), "IncompleteSignature"),
        (replace(query(), query=(*query().query, *[(b"Signature", b"x")] * 2)), "IncompleteSignature"),
        (replace(query(), query=((b"x-amz-credential", b"x"),)), "UnsupportedSignature"),
        (replace(query(), query=((b"X-Amz-Algorithm", b"AWS4-HMAC-SHA256"),)), "IncompleteSignature"),
        (query(X_Amz_Credential=f"{QUERY['X-Amz-Credential']}/x"), "IncompleteSignature"),
    ],
)
def test_signature_that_is_incomplete_is_refused(request_: gate.Request, code: str) -> None:
    with pytest.raises(gate.RefusedError) as refused:
        gate.signature_of(request_, NOW)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("request_", "early", "late"),
    [
        (REQUEST, 15 * 60, 15 * 60),
        (query(), 15 * 60, 60),
        (query(X_Amz_Expires="1"), 15 * 60, 1),
        (query(X_Amz_Expires="604800"), 15 * 60, 604_800),
    ],
)
def test_signature_is_valid_to_the_second(request_: gate.Request, early: int, late: int) -> None:
    for seconds in (-early, late):
        assert gate.signature_of(request_, NOW + timedelta(seconds=seconds)).key == "KEY"
    for seconds in (-early - 1, late + 1):
        with pytest.raises(gate.RefusedError) as refused:
            gate.signature_of(request_, NOW + timedelta(seconds=seconds))
        assert refused.value.code == "RequestTimeTooSkewed"


def verified(request: gate.Request, service: str, payload: str, body: bytes, expires: int | None = None) -> str:
    """The code of the refusal of a request that is signed with ``payload``; empty where it is passed on."""
    signature = replace(gate.signature_of(REQUEST, NOW), service=service, expires=expires)
    signature = replace(signature, value=gate._signature(request, signature, "secret", payload))
    try:
        gate.verify(request, signature, "secret", body)
    except gate.RefusedError as refused:
        return refused.code
    return ""


HASH = hashlib.sha256(b"body").hexdigest()


@pytest.mark.parametrize(
    ("service", "stated", "payload", "expires", "code"),
    [
        ("lambda", HASH, HASH, None, ""),
        ("lambda", None, HASH, None, ""),
        ("lambda", f"{HASH}0", f"{HASH}0", None, "UnsupportedSignature"),
        ("lambda", "0" * 64, "0" * 64, None, "SignatureDoesNotMatch"),
        ("lambda", "UNSIGNED-PAYLOAD", "UNSIGNED-PAYLOAD", None, "UnsupportedSignature"),
        ("s3", "UNSIGNED-PAYLOAD", "UNSIGNED-PAYLOAD", None, ""),
        ("s3", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", None, ""),
        ("s3", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "x", None, "UnsupportedSignature"),
        ("s3", None, HASH, None, ""),
        ("s3", None, "UNSIGNED-PAYLOAD", None, "SignatureDoesNotMatch"),
        ("s3", None, "UNSIGNED-PAYLOAD", 60, ""),
        ("lambda", None, "UNSIGNED-PAYLOAD", 60, "SignatureDoesNotMatch"),
        ("lambda", None, HASH, 60, ""),
    ],
)
def test_body_is_signed_as_a_whole(service, stated, payload, expires, code) -> None:
    assert verified(headers(x_amz_content_sha256=stated), service, payload, b"body", expires) == code


@pytest.mark.parametrize(
    ("path", "service", "canonical"),
    [
        ("", "s3", "/"),
        ("/a/../b//c%20d", "s3", "/a/../b//c%20d"),
        ("", "lambda", "/"),
        ("/", "lambda", "/"),
        ("/a/", "lambda", "/a/"),
        ("/a/./b/../c", "lambda", "/a/c"),
        ("/a/b/c/../d", "lambda", "/a/b/d"),
        ("//a//b", "lambda", "/a/b"),
        ("/../a", "lambda", "/a"),
        ("/a%20b~-_.", "lambda", "/a%2520b~-_."),
    ],
)
def test_path_is_signed_as_the_service_has_it(path: str, service: str, canonical: str) -> None:
    assert gate._canonical_path(path, service) == canonical


# ------------------------------------------------------------------------------------------------------------- the gate


class Sent:
    """Sends a request through the gate; what the emulator got, what was answered, and what was logged."""

    def __init__(self, monkeypatch: Any, *, kind: str = "http", key_seen: str = "KEY", **scope: Any) -> None:
        self.reached: list[Any] = []
        self.answers: list[Any] = []
        self.logged: list[str] = []
        self.read = 0
        self.seen: list[Any] = []
        monkeypatch.setattr(gate, "datetime", Clock)
        monkeypatch.setattr(gate, "verify", scope.pop("verify", lambda *of: self.seen.append(of)))
        pairs = [(b"Host", b"127.0.0.1:1"), (b"X-Amz-Date", b"20260102T030405Z"), (b"Authorization", HEADER.encode())]
        given = scope.pop("headers", {})
        pairs = [*(pair for pair in pairs if pair[0].lower() not in given), *given.items()]
        base = {"type": kind, "method": "POST", "path": "/p q", "raw_path": b"/p%20q", "query_string": b"a=b%20c&d"}
        account = gate.Account("ADMIN", self._secret, self._key_seen(key_seen), self._refusal)
        guarded = gate.Gate(self._emulator, account, self.logged.append)
        asyncio.run(guarded({**base, "headers": pairs, **scope}, self._receive, self._send))

    @staticmethod
    def _refusal(request: gate.Request, refused: gate.RefusedError) -> gate.Answer:
        return 400, {"a": "b"}, f"{request.method} {refused.code}".encode()

    def _secret(self, key: str, token: str) -> str:
        self.seen.append((key, token))
        return "secret"

    def _key_seen(self, key: str) -> Any:
        def seen(named: Mapping[str, str], parts: Mapping[str, list[str]]) -> str:
            self.seen.append((named, parts))
            return key

        return seen

    async def _emulator(self, scope: Mapping[str, Any], receive: gate.Receive, send: gate.Send) -> None:
        self.reached += [scope["type"], await receive(), await receive()]

    async def _receive(self) -> Mapping[str, Any]:
        self.read += 1
        return {"type": "http.request", "body": f"{self.read}".encode(), "more_body": self.read == 1}

    async def _send(self, message: Mapping[str, Any]) -> None:
        self.answers.append(message)


class Clock(datetime):
    """The time at which the requests were signed."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        assert tz is UTC
        return NOW


def test_signed_request_reaches_the_emulator_with_its_body(monkeypatch) -> None:
    sent = Sent(monkeypatch)
    assert sent.reached == [
        *("http", {"type": "http.request", "body": b"12", "more_body": False}),
        {"type": "http.request", "body": b"3", "more_body": False},
    ]
    (named, parts), of_key, (request, signature, secret, body) = sent.seen
    assert (parts, of_key, secret, body) == ({"a": ["b c"], "d": [""]}, ("KEY", ""), "secret", b"12")
    assert named["host"] == "127.0.0.1:1" and signature.key == "KEY"
    assert (request.path, request.route, request.query) == ("/p%20q", "/p q", ((b"a", b"b c"), (b"d", b"")))
    assert sent.answers == sent.logged == []
    assert Sent(monkeypatch, query_string=b"a%FF=%FF").seen[0][1] == {"a\ufffd": ["\ufffd"]}, "as the emulator reads it"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"headers": {b"origin": b"http://127.0.0.1:1"}}, "AccessDenied"),
        ({"headers": {b"sec-fetch-site": b"same-origin"}}, "AccessDenied"),
        ({"headers": {b"host": b"example.com"}}, "AccessDenied"),
        ({"headers": {b"host": b"127.0.0.1.example.com:1"}}, "AccessDenied"),
        ({"headers": {b"host": b"127x0.0.1"}}, "AccessDenied"),
        ({"key_seen": "OTHER"}, "IncompleteSignature"),
        ({"path": "/_ministack/x"}, "AccessDenied"),
        ({"path": "/health/"}, "AccessDenied"),
        ({"headers": {b"authorization": b""}}, "UnsupportedSignature"),
    ],
)
def test_request_that_is_refused_is_read_and_logged(monkeypatch, changed: dict[str, Any], code: str) -> None:
    sent = Sent(monkeypatch, **changed)
    assert (sent.reached, sent.read) == ([], 2), "its body is read to its end"
    [line] = sent.logged
    assert line.startswith(f"refused POST /p%20q: {code}: ")
    length = len(f"POST {code}")
    assert sent.answers == [
        {"type": "http.response.start", "status": 400, "headers": [(b"a", b"b"), (b"Content-Length", b"%d" % length)]},
        {"type": "http.response.body", "body": f"POST {code}".encode()},
    ]


def test_body_that_was_read_is_not_waited_for(monkeypatch) -> None:
    def wrong(*of: Any) -> None:
        raise gate.RefusedError("SignatureDoesNotMatch", "changed")

    sent = Sent(monkeypatch, verify=wrong)
    assert (sent.reached, sent.read, sent.answers[0]["status"]) == ([], 2, 400)


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:7", b"127.0.0.1"])
def test_loopback_has_any_port(monkeypatch, host: bytes) -> None:
    for site in ({}, {b"sec-fetch-site": b"none"}):
        assert Sent(monkeypatch, headers={b"host": host, **site}).reached


def test_administrator_sees_the_emulators_own_paths(monkeypatch) -> None:
    admin = HEADER.replace("KEY", "ADMIN").encode()
    assert Sent(monkeypatch, key_seen="ADMIN", path="/_ministack/x", headers={b"authorization": admin}).reached


def test_websocket_is_closed_and_the_start_passed_on(monkeypatch) -> None:
    socket = Sent(monkeypatch, kind="websocket")
    assert (socket.reached, socket.read) == ([], 1)
    assert socket.answers == [{"type": "websocket.close", "code": 1008}]
    assert Sent(monkeypatch, kind="lifespan").reached[0] == "lifespan"


def test_request_is_read_as_it_was_sent() -> None:
    pairs = [(b"X-A", b"1"), (b"x-a", "é".encode()), (b"B", b"\xe9")]
    found = gate.request_of({"method": "GET", "path": "/a b", "headers": pairs, "query_string": b"x=%FF&&y=a=b&z"})
    assert found == gate.Request(
        *("GET", "/a%20b", "/a b", ((b"x", b"\xff"), (b"y", b"a=b"), (b"z", b""))),
        {"x-a": ("1", "é"), "b": ("é",)},
    )
    with pytest.raises(gate.RefusedError, match="sent 2 times"):
        found.header("x-a")
    assert (found.header("b"), found.header("none")) == ("é", "")
