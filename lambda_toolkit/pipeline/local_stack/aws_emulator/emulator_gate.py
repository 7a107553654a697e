"""The emulator's gate: a request reaches it only with the verified signature of a key that the account has.

ministack trusts whoever calls it. On a machine with other users, or with a browser, that is the whole network of the
loopback interface. The gate precedes all of its paths, its own included, and refuses

* what a page in a browser sends (``Origin``, ``Sec-Fetch-Site``), and every WebSocket;
* a ``Host`` that is not this machine's loopback interface: a name that an attacker's DNS server points at it;
* a request without a signature, with an unknown key, another secret, a changed body, or too old;
* the emulator's own paths (``/_ministack/...``) for anyone but the administrator.

The signature is AWS's, version 4 (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html),
in the header or, presigned, in the query. The emulator runs this file in its own environment, where nothing but the
standard library can be imported: hence only that here.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes, urlencode, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
CLOCK_SKEW = timedelta(minutes=15)  # AWS's own limit for S3
LONGEST_PRESIGNED = 7 * 24 * 3600  # seconds, AWS's limit
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
UNSIGNED_BODIES = {
    UNSIGNED_PAYLOAD,
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
}  # for S3, by the signer
BODY_HASH = "x-amz-content-sha256"
OWN_PATHS = re.compile(r"/+_|/+health/*$")  # no bucket's name begins with an underscore
LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")  # of any port: a proxy of this machine may be between
_HASH = re.compile("[0-9a-f]{64}")
_QUERY_CREDENTIALS = {"x-amz-algorithm", "x-amz-credential", "x-amz-signature", "awsaccesskeyid", "signature"}

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]
Answer = tuple[int, Mapping[str, str], bytes]


class RefusedError(Exception):
    """A request that must not reach the emulator: an error code of AWS, and the reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class Request:
    """A request as it was sent. Names of headers are in lower case; parts of the query are decoded to bytes."""

    method: str
    path: str
    """Encoded, as it was sent."""
    route: str
    """Decoded, as the emulator reads it."""
    query: tuple[tuple[bytes, bytes], ...]
    headers: Mapping[str, tuple[str, ...]]

    def header(self, name: str) -> str:
        """The only value of a header; '' where it is missing. Raises RefusedError where it was sent twice."""
        values = self.headers.get(name, ())
        if len(values) > 1:
            raise RefusedError("IncompleteSignature", f"The header {name} was sent {len(values)} times.")
        return values[0] if values else ""


@dataclass(frozen=True)
class Signature:
    """What a request says of its own signature. ``expires``: seconds, of a presigned one."""

    key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str = field(repr=False)
    timestamp: str
    token: str = field(repr=False, default="")
    expires: int | None = None


@dataclass(frozen=True)
class Account:
    """Who may call the emulator, and how a refusal looks to the client of a service."""

    administrator: str
    """The access key id of the administrator."""
    secret_of: Callable[[str, str], str]
    """The secret of an access key id with a session token. Raises RefusedError for a key that the account lacks."""
    key_seen: Callable[[Mapping[str, str], Mapping[str, list[str]]], str]
    """The access key id that the emulator itself reads from headers and query."""
    refusal: Callable[[Request, RefusedError], Answer]
    """The answer in the protocol of the service that was called."""


class Gate:
    """An ASGI application that passes on what ``account`` permits to ``emulator``."""

    def __init__(self, emulator: Application, account: Account, log: Callable[[str], None]) -> None:
        """``log``: gets one line for each refusal, without secrets."""
        self._emulator = emulator
        self._account = account
        self._log = log

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._emulator(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        request = request_of(scope)
        body: bytes | None = None
        try:
            self._require_local_program(request)
            signature = signature_of(request, datetime.now(UTC))
            self._require_one_caller(request, signature)
            secret = self._account.secret_of(signature.key, signature.token)
            body = b"".join([part async for part in _parts(receive)])
            verify(request, signature, secret, body)
        except RefusedError as refused:
            if body is None:
                async for _ in _parts(receive):  # a client that is still sending would not read the answer
                    pass
            self._log(f"refused {request.method} {request.path}: {refused.code}: {refused.reason}")
            await _answer(send, *self._account.refusal(request, refused))
            return
        await self._emulator(scope, _replayed(body, receive), _without_cors(send))

    @staticmethod
    def _require_local_program(request: Request) -> None:
        """Raise RefusedError for a request that a page in a browser sent, or that came for another host."""
        if "origin" in request.headers or request.header("sec-fetch-site") not in ("", "none"):
            raise RefusedError("AccessDenied", "The local stack does not answer web pages.")
        if not LOOPBACK.fullmatch(request.header("host").lower()):
            raise RefusedError("AccessDenied", "The local stack answers to 127.0.0.1 and localhost alone.")

    def _require_one_caller(self, request: Request, signature: Signature) -> None:
        """Raise RefusedError where the emulator would take the caller for another one, or where the path is its own."""
        headers = {name: ", ".join(values) for name, values in request.headers.items()}
        query: dict[str, list[str]] = {}
        for name, value in request.query:
            query.setdefault(name.decode("utf-8", "replace"), []).append(value.decode("utf-8", "replace"))
        if self._account.key_seen(headers, query) != signature.key:
            raise RefusedError("IncompleteSignature", "The request names more than one access key.")
        if signature.key != self._account.administrator and OWN_PATHS.match(request.route):
            raise RefusedError("AccessDenied", "This path is for the administrator of the local stack.")


def request_of(scope: Mapping[str, Any]) -> Request:
    """The request of an ASGI scope."""
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        headers[key] = (*headers.get(key, ()), _text(value))
    parts = [part.partition(b"=") for part in scope.get("query_string", b"").split(b"&") if part]
    query = tuple((unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in parts)
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    return Request(scope["method"], path.decode("latin-1"), scope["path"], query, headers)


def signature_of(request: Request, now: datetime) -> Signature:
    """The signature that a request carries, unverified. Raises RefusedError: none, incomplete, too old, too early."""
    in_header = bool(request.headers.get("authorization"))
    in_query = any(name.decode("latin-1").lower() in _QUERY_CREDENTIALS for name, _ in request.query)
    if in_header and in_query:
        raise RefusedError("IncompleteSignature", "The request is signed in a header and in its query.")
    if not in_header and not in_query:
        raise RefusedError("MissingAuthenticationToken", "The request is not signed.")
    signature = _in_header(request) if in_header else _in_query(request)
    try:
        signed_at = datetime.strptime(signature.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise RefusedError("IncompleteSignature", "The request has no date in the form of X-Amz-Date.") from None
    if signature.date != signature.timestamp[:8]:
        raise RefusedError("SignatureDoesNotMatch", "The key's date is not the request's.")
    valid_for = CLOCK_SKEW if signature.expires is None else timedelta(seconds=signature.expires)
    if not signed_at - CLOCK_SKEW <= now <= signed_at + valid_for:
        raise RefusedError("RequestTimeTooSkewed", f"The request was signed at {signature.timestamp}.")
    unsigned = {name for name in request.headers if name.startswith("x-amz-")} - set(signature.signed_headers)
    if "host" not in signature.signed_headers or unsigned:
        raise RefusedError("SignatureDoesNotMatch", "The signature leaves out the host, or a header x-amz-*.")
    return signature


def verify(request: Request, signature: Signature, secret: str, body: bytes) -> None:
    """Raise RefusedError unless ``secret`` signed this very request with this very body."""
    digest = hashlib.sha256(body).hexdigest()
    stated = request.header(BODY_HASH)
    if _HASH.fullmatch(stated):
        if not hmac.compare_digest(stated, digest):
            raise RefusedError("SignatureDoesNotMatch", "The body is not the one that was signed.")
    elif stated and not (signature.service == "s3" and stated in UNSIGNED_BODIES):
        raise RefusedError("UnsupportedSignature", "The body must be signed as a whole.")
    presigned_s3 = signature.expires is not None and signature.service == "s3"
    expected = _signature(request, signature, secret, stated or (UNSIGNED_PAYLOAD if presigned_s3 else digest))
    if not hmac.compare_digest(expected.encode(), signature.value.encode()):
        raise RefusedError("SignatureDoesNotMatch", "The request was signed with another secret, or was changed.")


def presign(url: str, *, key: str, secret: str, region: str, service: str, expires: int, now: datetime) -> str:
    """``url``, which has no query and is none of S3, with a signature for GET that is valid for ``expires`` seconds."""
    parts = urlsplit(url)
    timestamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    unsigned = Signature(key, timestamp[:8], region, service, ("host",), "", timestamp, expires=expires)
    query = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{key}/{timestamp[:8]}/{region}/{service}/aws4_request",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(expires),
        "X-Amz-SignedHeaders": "host",
    }
    pairs = tuple((name.encode(), value.encode()) for name, value in query.items())
    request = Request("GET", parts.path, parts.path, pairs, {"host": (parts.netloc,)})
    query["X-Amz-Signature"] = _signature(request, unsigned, secret, hashlib.sha256(b"").hexdigest())
    return f"{url}?{urlencode(query, quote_via=quote)}"


def _in_header(request: Request) -> Signature:
    algorithm, _, rest = request.header("authorization").partition(" ")
    if algorithm != ALGORITHM:
        raise RefusedError("UnsupportedSignature", f"The signature must be {ALGORITHM}.")
    parts = [part.strip().partition("=") for part in rest.split(",")]
    fields = {name: value for name, _, value in parts}
    if len(fields) != len(parts):
        raise RefusedError("IncompleteSignature", "The header Authorization names a part twice.")
    return _signature_from(
        fields.get("Credential", ""),
        fields.get("SignedHeaders", ""),
        fields.get("Signature", ""),
        timestamp=request.header("x-amz-date"),
        token=request.header("x-amz-security-token"),
    )


def _in_query(request: Request) -> Signature:
    fields: dict[str, str] = {}
    for name, value in request.query:
        text = name.decode("latin-1")
        if text.lower().startswith("x-amz-") or text.lower() in _QUERY_CREDENTIALS:
            if text in fields:
                raise RefusedError("IncompleteSignature", f"The query names {text} twice.")
            fields[text] = _text(value)
    if fields.get("X-Amz-Algorithm") != ALGORITHM:
        raise RefusedError("UnsupportedSignature", f"The signature must be {ALGORITHM}.")
    expires = fields.get("X-Amz-Expires", "")
    if not (expires.isascii() and expires.isdigit() and 1 <= int(expires) <= LONGEST_PRESIGNED):
        raise RefusedError("IncompleteSignature", f"X-Amz-Expires must be 1 to {LONGEST_PRESIGNED} seconds.")
    return _signature_from(
        fields.get("X-Amz-Credential", ""),
        fields.get("X-Amz-SignedHeaders", ""),
        fields.get("X-Amz-Signature", ""),
        timestamp=fields.get("X-Amz-Date", ""),
        token=fields.get("X-Amz-Security-Token", ""),
        expires=int(expires),
    )


def _signature_from(
    credential: str, signed_headers: str, value: str, *, timestamp: str, token: str, expires: int | None = None
) -> Signature:
    scope = credential.split("/")
    if len(scope) != 5 or scope[4] != "aws4_request" or not all(scope) or not signed_headers or not value:
        raise RefusedError("IncompleteSignature", "The signature needs a credential of 5 parts, headers and a value.")
    key, date, region, service, _ = scope
    return Signature(key, date, region, service, tuple(signed_headers.split(";")), value, timestamp, token, expires)


def _signature(request: Request, signature: Signature, secret: str, payload: str) -> str:
    """The signature that ``secret`` gives the request, in hexadecimal."""
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in request.query if name != b"X-Amz-Signature")
    headers = "".join(
        f"{name}:{','.join(' '.join(value.split()) for value in request.headers.get(name, ()))}\n"
        for name in signature.signed_headers
    )
    canonical = "\n".join(
        (
            request.method,
            _canonical_path(request.path, signature.service),
            "&".join(f"{name}={value}" for name, value in pairs),
            headers,
            ";".join(signature.signed_headers),
            payload,
        )
    )
    scope = f"{signature.date}/{signature.region}/{signature.service}/aws4_request"
    text = "\n".join((ALGORITHM, signature.timestamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = _signing_key(secret, signature.date, signature.region, signature.service)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@functools.lru_cache(maxsize=256)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _canonical_path(path: str, service: str) -> str:
    """S3 signs a path as it is sent; the others sign it without dot segments, encoded once more."""
    if service == "s3":
        return path or "/"
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            segments = segments[:-1]
        elif segment not in ("", "."):
            segments.append(segment)
    end = "/" if segments and path.endswith("/") else ""
    return quote(f"/{'/'.join(segments)}{end}", safe="/-_.~")


def _encoded(value: bytes) -> str:
    return quote_from_bytes(value, safe="-_.~")


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    """The parts of a request's body, until its end or that of the connection."""
    more = True
    while more:
        message = await receive()
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A body that was read already, as the first message; then whatever else is received."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return unread.pop() if unread else await receive()

    return next_message


def _without_cors(send: Send) -> Send:
    """``send`` without the headers that open an answer to web pages."""

    async def send_for_programs(message: Message) -> None:
        if "headers" in message:
            own = [item for item in message["headers"] if not item[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": own}
        await send(message)

    return send_for_programs


async def _answer(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    named = {**headers, "Content-Length": str(len(body))}
    encoded = [(name.encode(), value.encode()) for name, value in named.items()]
    await _without_cors(send)({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
