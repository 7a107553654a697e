"""The gate verifies what botocore signs, whatever the request, and notices any change."""

import asyncio
import string
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator_gate as gate

KEY, SECRET, HOST = "AKIAEXAMPLE", "secret/+with=signs", "127.0.0.1:4566"
TEXT = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FFF, exclude_categories=("Cs",)), max_size=12)
SEGMENT = TEXT.filter(lambda text: text not in (".", "..") and text)
REQUESTS = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
        "segments": st.lists(SEGMENT, max_size=4),
        "query": st.dictionaries(TEXT.filter(bool), TEXT, max_size=4),
        "value": st.text(string.ascii_letters + " ", max_size=20),
        "body": st.binary(max_size=40),
        "service": st.sampled_from(["s3", "lambda"]),
        "presigned": st.booleans(),
    }
)


def scope_of(request: AWSRequest) -> Mapping[str, Any]:
    """The ASGI scope of a request that botocore prepared."""
    parts = urlsplit(request.prepare().url)
    headers = {"Host": HOST, **dict(request.headers.items())}
    return {
        "type": "http",
        "method": request.method,
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": [(name.lower().encode(), str(value).encode()) for name, value in headers.items()],
    }


def sign(drawn: Mapping[str, Any]) -> Mapping[str, Any]:
    path = "/" + "/".join(quote(segment, safe="") for segment in drawn["segments"])
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in drawn["query"].items())
    body = b"" if drawn["presigned"] else drawn["body"]
    headers = {} if drawn["presigned"] else {"X-Amz-Meta-Value": drawn["value"]}
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(drawn["method"], url, headers, body)
    signer = {
        ("s3", False): S3SigV4Auth, ("s3", True): S3SigV4QueryAuth,
        ("lambda", False): SigV4Auth, ("lambda", True): SigV4QueryAuth,
    }[drawn["service"], drawn["presigned"]]  # fmt: skip
    signer(Credentials(KEY, SECRET), drawn["service"], "eu-west-2").add_auth(request)
    return scope_of(request)


def check(request: gate.Request, secret: str, body: bytes) -> None:
    gate.verify(request, gate.signature_of(request, datetime.now(UTC)), secret, body)


@given(REQUESTS)
@settings(max_examples=60, deadline=None)
def test_signature_of_botocore_is_verified(drawn: dict[str, Any]) -> None:
    body = b"" if drawn["presigned"] else drawn["body"]
    request = gate.request_of(sign(drawn))

    check(request, SECRET, body)

    changes = [
        (replace(request, method="PATCH"), SECRET, body),
        (replace(request, path=request.path + "x"), SECRET, body),
        (replace(request, query=(*request.query, (b"more", b""))), SECRET, body),
        (replace(request, headers={**request.headers, "host": ("localhost",)}), SECRET, body),
        (replace(request, headers={**request.headers, "x-amz-copy-source": ("other",)}), SECRET, body),
        (request, SECRET + "x", body),
        *([] if drawn["presigned"] and drawn["service"] == "s3" else [(request, SECRET, body + b"x")]),
    ]
    for changed in changes:
        with pytest.raises(gate.RefusedError):
            check(*changed)


@pytest.mark.parametrize("age", [timedelta(minutes=-16), timedelta(minutes=16), timedelta(days=365)])
def test_signature_of_another_time_is_refused(age: timedelta) -> None:
    request = gate.request_of(sign({**PLAIN, "presigned": False}))

    with pytest.raises(gate.RefusedError) as refused:
        gate.signature_of(request, datetime.now(UTC) + age)

    assert refused.value.code == "RequestTimeTooSkewed"


def test_presigned_address_expires() -> None:
    then = datetime(2026, 11, 29, 12, tzinfo=UTC)
    url = gate.presign(
        f"http://{HOST}/a%20b", key=KEY, secret=SECRET, region="eu-west-2", service="lambda", expires=60, now=then
    )
    request = gate.request_of(scope_of(AWSRequest("GET", url)))

    gate.verify(request, gate.signature_of(request, then + timedelta(seconds=60)), SECRET, b"")
    with pytest.raises(gate.RefusedError, match="signed at 20261129T120000Z"):
        gate.signature_of(request, then + timedelta(seconds=61))


PLAIN: dict[str, Any] = {
    "method": "POST", "segments": [], "query": {}, "value": "", "body": b"{}", "service": "lambda", "presigned": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "served"),
    [("/", True), ("/bucket/_ministack/x", True), ("/_ministack/reset", False), ("/health", False), ("//_aws", False)],
)
def test_own_paths_are_for_the_administrator(path: str, served: bool) -> None:
    """Another key of the account, a function's, reaches everything but the emulator's own paths."""
    answers: list[Mapping[str, Any]] = []
    reached: list[bytes] = []

    async def emulator(scope: Mapping[str, Any], receive: gate.Receive, send: gate.Send) -> None:
        reached.append((await receive())["body"])
        allow = (b"Access-Control-Allow-Origin", b"*")
        await send({"type": "http.response.start", "status": 200, "headers": [allow, (b"x", b"y")]})

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Mapping[str, Any]) -> None:
        answers.append(message)

    account = gate.Account(
        administrator="AKIAOTHER",
        secret_of=lambda key, token: SECRET,
        key_seen=lambda headers, query: KEY,
        refusal=lambda request, refused: (403, {}, b""),
    )
    request = AWSRequest("POST", f"http://{HOST}{path}", {}, b"{}")
    SigV4Auth(Credentials(KEY, SECRET), "lambda", "eu-west-2").add_auth(request)
    scope = {**scope_of(request), "path": path}

    asyncio.run(gate.Gate(emulator, account, log=lambda line: None)(scope, receive, send))

    assert reached == ([b"{}"] if served else [])
    assert answers[0]["status"] == (200 if served else 403)
    assert not [name for name, _ in answers[0]["headers"] if name.lower().startswith(b"access-control")]
