"""Gates between the functions and what they use: every request passes one, and a test decides what becomes of it.

Nothing in the functions knows of them. A gate sees what goes over the wire: an HTTP request to AWS, a statement to
PostgreSQL. Before or after the other side has done it, the test may kill the function, hang up, or answer itself.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

LOOPBACK = "127.0.0.1"


class Action(Enum):
    """What becomes of a request: it passes; or the function dies before or after it took effect; or it is cut off."""

    PASS = "pass"
    KILL_BEFORE = "kill before"
    KILL_AFTER = "kill after"
    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"


@dataclass(frozen=True)
class Answer:
    """What the gate answers in place of AWS: an error in S3's words."""

    status: int
    code: str
    message: str = "by the gate"

    @property
    def body(self) -> bytes:
        text = f"<Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>"
        return f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()


@dataclass(frozen=True)
class Step:
    """One request. ``what`` names it so that the same step of another run has the same name."""

    side: str  # "s3", "secretsmanager" or "postgresql"
    what: str
    is_effect: bool  # whether it changes anything


Decide = Callable[[Step], Action | Answer]


@dataclass
class FaultProxy:
    """What both gates share: the steps seen, the test's decision, and how to kill the function."""

    decide: Decide = lambda step: Action.PASS
    kill: Callable[[], None] = lambda: None
    steps: list[Step] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, step: Step) -> Action | Answer:
        with self._lock:
            self.steps.append(step)
            return self.decide(step)

    def open(self) -> None:
        """Everything passes again, and what passed is forgotten."""
        self.decide = lambda step: Action.PASS
        self.steps.clear()


@contextlib.contextmanager
def http_proxy(gate: FaultProxy, upstream_port: int) -> Iterator[int]:
    """The port of a gate before the AWS on ``upstream_port``."""

    class Handler(_HttpHandler):
        pass

    Handler.gate, Handler.upstream_port = gate, upstream_port
    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class _HttpHandler(BaseHTTPRequestHandler):
    gate: ClassVar[FaultProxy]
    upstream_port: ClassVar[int]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do(self) -> None:
        body = self._body()
        then = self.gate.ask(_http_step(self.command, self.path, self.headers.get("X-Amz-Target", "")))
        if isinstance(then, Answer):
            self._reply(then.status, [("Content-Type", "application/xml")], then.body)
            return
        if then in (Action.KILL_BEFORE, Action.CUT_BEFORE):
            self._end(then)
            return
        status, headers, answer = self._forward(body)
        if then in (Action.KILL_AFTER, Action.CUT_AFTER):
            self._end(then)
            return
        self._reply(status, headers, answer)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing: the test does its own reporting."""

    def _end(self, then: Action) -> None:
        self.close_connection = True
        if then in (Action.KILL_BEFORE, Action.KILL_AFTER):
            self.gate.kill()
        _reset(self.connection)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(LOOPBACK, self.upstream_port, timeout=30)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "transfer-encoding", "content-length", "connection"):
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = next((value for name, value in headers if name.lower() == "content-length"), None)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _http_step(method: str, path: str, target: str) -> Step:
    if target:
        return Step(target.split(".")[0].lower(), target.split(".")[-1], False)
    where, _, query = path.partition("?")
    _, _, key = where.lstrip("/").partition("/")
    return Step("s3", f"{method} {_nameless(key) or query.split('&')[0]}", method in ("PUT", "POST", "DELETE"))


def _nameless(key: str) -> str:
    """A key without what differs from run to run: numbers of batches, runs and hashes."""
    return re.sub(r"batch(=\d{12}/\w{8}|-\d{12})", "batch", key)


@contextlib.contextmanager
def postgres_proxy(gate: FaultProxy, upstream_port: int) -> Iterator[int]:
    """The port of a gate before the PostgreSQL on ``upstream_port``."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        ended = threading.Event()

        def accept() -> None:
            while not ended.is_set():
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_Session(gate, client, upstream_port).run, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


class _Session:
    """One connection. What the client says is read message by message; what the server answers is passed as it comes,
    save while the test waits for the end of an answer that the client shall never see.
    """

    def __init__(self, gate: FaultProxy, client: socket.socket, upstream_port: int) -> None:
        self._gate = gate
        self._client = client
        self._server = socket.create_connection((LOOPBACK, upstream_port))
        for end in (self._client, self._server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._withhold = threading.Event()
        self._ready = threading.Event()

    def run(self) -> None:
        threading.Thread(target=self._pass_answers, daemon=True).start()
        try:
            self._greet()
            while self._pass_message():
                pass
        except OSError:
            pass
        finally:
            _close(self._client, self._server)

    def _greet(self) -> None:
        """The startup messages, which have no type; a request for TLS comes first and is answered by one byte."""
        while True:
            head = _exactly(self._client, 4)
            body = _exactly(self._client, struct.unpack("!I", head)[0] - 4)
            self._server.sendall(head + body)
            if body[:4] == struct.pack("!I", 196608):
                return

    def _pass_message(self) -> bool:
        head = _exactly(self._client, 5)
        if not head:
            return False
        kind = head[:1]
        body = _exactly(self._client, struct.unpack("!I", head[1:])[0] - 4)
        step = _statement(kind, body)
        then = self._gate.ask(step) if step else Action.PASS
        if then in (Action.KILL_BEFORE, Action.CUT_BEFORE):
            return self._end(then)
        if then in (Action.KILL_AFTER, Action.CUT_AFTER):
            self._ready.clear()
            self._withhold.set()
            self._server.sendall(head + body)
            if kind == b"P":  # a statement with parameters is only prepared by this; it runs at the next Sync
                self._pass_until_sync()
            self._ready.wait(30)
            return self._end(then)
        self._server.sendall(head + body)
        return True

    def _pass_until_sync(self) -> None:
        while True:
            head = _exactly(self._client, 5)
            self._server.sendall(head + _exactly(self._client, struct.unpack("!I", head[1:])[0] - 4))
            if head[:1] == b"S":
                return

    def _pass_answers(self) -> None:
        tail = b""
        try:
            while data := self._server.recv(256 * 1024):
                tail = (tail + data)[-6:]
                if not self._withhold.is_set():
                    self._client.sendall(data)
                elif tail[:5] == b"Z\x00\x00\x00\x05":  # ready for query: the statement is done
                    self._ready.set()
        except OSError:
            pass
        finally:
            self._ready.set()
            _close(self._client, self._server)

    def _end(self, then: Action) -> bool:
        if not isinstance(then, Answer) and then in (Action.KILL_BEFORE, Action.KILL_AFTER):
            self._gate.kill()
        _reset(self._client)
        _close(self._server)
        return False


_EFFECTS = ("INSERT", "UPDATE", "DELETE", "COMMIT", "COPY", "WITH", "CREATE", "ALTER", "DROP", "TRUNCATE")


def _statement(kind: bytes, body: bytes) -> Step | None:
    """The statement that a message carries; of those with parameters, the one that prepares it."""
    if kind == b"Q":
        text = body.rstrip(b"\0")
    elif kind == b"P":
        text = body.split(b"\0")[1]
    elif kind == b"d":
        return Step("postgresql", "COPY data", False)
    else:
        return None
    words = " ".join(text.decode(errors="replace").split())
    is_effect = words.startswith(_EFFECTS)
    return Step("postgresql", words[:120], is_effect)


def _exactly(source: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        data = source.recv(size - len(parts))
        if not data:
            if parts:
                raise ConnectionResetError("hung up in the middle of a message")
            raise ConnectionAbortedError("hung up")
        parts += data
    return bytes(parts)


def _reset(end: socket.socket) -> None:
    """Closed immediately, with a reset: what a machine that died looks like."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for it in another thread
        with contextlib.suppress(OSError):
            end.close()
