"""A proxy in front of the emulated AWS that counts calls, adds latency, and can refuse some: alike for every tool."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from benchmarks.operations import Operation, operation_of
from lambda_toolkit.pipeline.local_stack.process import LOOPBACK

_LONGEST_HEAD = 1 << 18  # bytes
_NO_BODY = (204, 304)


@dataclass(frozen=True)
class Refusal:
    """What the proxy answers in place of AWS."""

    code: str
    message: str
    status: int = 400


Fault = Callable[[Operation], Refusal | None]


@dataclass
class Tally:
    """The calls of one measurement, in the order in which they came."""

    operations: list[Operation] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """How many requests were sent."""
        return len(self.operations)

    @property
    def writes(self) -> Sequence[Operation]:
        """Those that may change something."""
        return [operation for operation in self.operations if operation.is_write]


@dataclass(frozen=True)
class _Message:
    """One HTTP message: its first line, its headers as they came, and its body as it was on the wire."""

    start: str
    head: bytes
    headers: Mapping[str, str]
    body: bytes


class Proxy:
    """Listens on a free loopback port while it is entered. ``delay`` is in seconds and is added to each call."""

    def __init__(self, upstream_port: int, *, delay: float = 0.0) -> None:
        self._upstream_port = upstream_port
        self.delay = delay
        self.fault: Fault = lambda operation: None
        self._tally = Tally()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        """What AWS_ENDPOINT_URL must be."""
        return f"http://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Proxy:
        """Start to listen."""
        self._thread.start()
        serving = asyncio.start_server(self._serve, LOOPBACK, 0, limit=_LONGEST_HEAD)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, with whatever is still connected."""

        async def end() -> None:
            self._server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def counted(self) -> Iterator[Tally]:
        """The calls that come while this is entered."""
        before, self._tally = self._tally, Tally()
        try:
            yield self._tally
        finally:
            self._tally = before

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                request = await _read_request(reader, writer)
                method, target, _ = request.start.split(" ", 2)
                operation = operation_of(method, target, request.headers, request.body)
                self._tally.operations.append(operation)
                if self.delay:
                    await asyncio.sleep(self.delay)
                refusal = self.fault(operation)
                writer.write(await self._forwarded(request, method) if refusal is None else _rendered(request, refusal))
                await writer.drain()
                if request.headers.get("connection", "").lower() == "close":
                    break
        writer.close()

    async def _forwarded(self, request: _Message, method: str) -> bytes:
        """The emulator's answer, as it was on the wire."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self._upstream_port, limit=_LONGEST_HEAD)
        try:
            writer.write(request.head + request.body)
            await writer.drain()
            while True:
                answer = await _read_answer(reader, to=method)
                if not answer.start.split(" ")[1].startswith("1"):
                    return answer.head + answer.body
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Message:
    """The next request. One that waits for leave to send its body gets it here, and is passed on without asking."""
    head = await reader.readuntil(b"\r\n\r\n")
    start, headers = _parsed(head)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        lines = head.split(b"\r\n")
        head = b"\r\n".join(line for line in lines if not line.lower().startswith(b"expect:"))
    return _Message(start, head, headers, await _read_body(reader, headers))


async def _read_answer(reader: asyncio.StreamReader, *, to: str) -> _Message:
    head = await reader.readuntil(b"\r\n\r\n")
    start, headers = _parsed(head)
    status = int(start.split(" ")[1])
    if to == "HEAD" or status in _NO_BODY or status < 200:
        return _Message(start, head, headers, b"")
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return _Message(start, head, headers, await reader.read())  # until the connection is closed
    return _Message(start, head, headers, await _read_body(reader, headers))


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    parts = []
    while True:
        size = await reader.readuntil(b"\r\n")
        parts += [size, await reader.readexactly(int(size.split(b";")[0], 16) + 2)]
        if int(size.split(b";")[0], 16) == 0:
            return b"".join(parts)


def _parsed(head: bytes) -> tuple[str, dict[str, str]]:
    start, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return start, {name.strip().lower(): value.strip() for name, _, value in pairs}


def _rendered(request: _Message, refusal: Refusal) -> bytes:
    """The refusal as the request's protocol words it: JSON, or XML for the query services and S3."""
    is_query = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    is_s3 = "/s3/aws4_request" in request.headers.get("authorization", "")
    error = f"<Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message>"
    if is_s3:
        kind, body = "application/xml", f"<Error>{error}</Error>"
    elif is_query:
        kind, body = "text/xml", f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"
    else:
        kind, body = "application/json", json.dumps({"__type": refusal.code, "message": refusal.message})
    content = body.encode()
    head = (
        f"HTTP/1.1 {refusal.status} Refused\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        f"x-amzn-ErrorType: {refusal.code}\r\n\r\n"
    )
    return head.encode() + content
