"""What the server answers to which request: its own address alone, reading alone, and the same documents as JSON."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import socket
import threading
from datetime import timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.dashboard import rendering, server
from lambda_toolkit.pipeline.dashboard.readings import Reading, Readings, Source
from lambda_toolkit.pipeline.errors import CommandError
from tests.unit.dashboard.documents import BATCHES, NOW, STATUS

HOME = "/a-key/"
PORT = 8951


def dashboard(**documents: Any) -> server.Dashboard:
    """A dashboard that shows these documents; what it has none for cannot be read."""

    def source(name: str) -> Source:
        def read(*arguments: str) -> dict[str, Any]:
            if name not in documents:
                raise CommandError(f"No {name}{arguments or ''}.")
            return dict(documents[name])

        return Source(read, 0.0)

    names = ("status", "batches", "batch", "tables", "history", "questions", "plan", "cost", "messages")
    readings = Readings({name: source(name) for name in names}, str)
    frame = rendering.Frame("totes", "dev", HOME, server.KINDS)
    return server.Dashboard(readings, frame, 0.1, lambda: NOW, lambda command: f"lambda-script {command}")


def request(
    path: str,
    *,
    method: str = "GET",
    host: str | None = f"127.0.0.1:{PORT}",
    shown: server.Dashboard | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """The status, the headers and the body of one answer."""
    app = server.guarded(shown or dashboard(status=STATUS, batches=BATCHES), PORT)
    path, _, query = path.partition("?")
    given = [*([("host", host)] if host is not None else []), *(headers or {}).items()]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", PORT),
        "headers": [(name.encode(), value.encode()) for name, value in given],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example.com",
        f"rebound.example.com:{PORT}",
        "127.0.0.1",
        "127.0.0.1:80",
        f"127.0.0.1:{PORT}.example.com",
        f"[::1]:{PORT}",
        "",
        None,
    ],
)
def test_request_to_another_host_is_refused(host):
    """A page whose name resolves to 127.0.0.1 sends its own name: DNS rebinding."""
    status, _, body = request(HOME, host=host)
    assert status == 421 and b"totes" not in body


def test_request_to_its_own_address_is_answered():
    for host in (f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}"):
        assert request(HOME, host=host)[0] == 200
    assert request(HOME, method="HEAD")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/a-key", "/another-key/", "/favicon.ico", "/a-keys/", "//a-key/", "/static/", "", "a-key"]
)
def test_request_without_the_key_is_refused(path):
    status, _, body = request(path)
    assert status in (403, 307 if path == "/a-key" else 403) and b"Fresh" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_only_reading_is_allowed(method):
    status, headers, _ = request(HOME, method=method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", [HOME, f"{HOME}static/live.js", "/", f"{HOME}nothing", f"{HOME}deploy?format=json"])
def test_every_answer_forbids_what_is_foreign(path):
    _, headers, _ = request(path)
    assert headers["content-security-policy"].split("; ")[3:] == [
        *("img-src 'self'", "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"),
    ]
    assert (headers["cross-origin-opener-policy"], headers["cache-control"]) == ("same-origin", "no-store")
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert (headers["referrer-policy"], headers["x-content-type-options"]) == ("no-referrer", "nosniff")
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert not [name for name in headers if name.startswith("access-control-")]


def test_json_is_the_documents_of_the_commands():
    status, headers, body = request(f"{HOME}?format=json")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["status"] == STATUS
    document = json.loads(request(f"{HOME}pipeline?format=json&batch=7")[2])
    assert document["batch"] == {"error": "No batch('7',)."} and document["batches"] == BATCHES


def test_programs_wait_for_their_documents():
    """A page shows what is there; what a program asks for comes, unless it takes minutes. Dates are texts."""
    waits: list[float] = []

    def read(requests: Any, wait: float = 0.0) -> dict[str, Reading]:
        waits.append(wait)
        return {"status": Reading({"at": NOW}) if wait else Reading(None, "Not yet.")}

    shown: Any = dataclasses.replace(dashboard(), readings=SimpleNamespace(all=read))
    assert json.loads(request(f"{HOME}?format=json", shown=shown)[2]) == {"status": {"at": str(NOW)}}
    assert b"Not yet." in request(f"{HOME}?format=html", shown=shown)[2]
    assert waits[0] >= 60 and waits[1:] == [0.0]


def test_time_of_a_page_is_in_utc():
    local = NOW.astimezone(timezone(timedelta(hours=9)))
    shown = dataclasses.replace(dashboard(status=STATUS, batches=BATCHES), now=lambda: local)
    assert b'<span id="read-at">12:00:42</span> UTC' in request(HOME, shown=shown)[2]


@pytest.mark.parametrize("path", ["nothing", "static/../server.py", "static/%2e%2e/server.py", "events?page=x", "x/y"])
def test_what_is_not_there_is_not_found(path):
    assert request(f"{HOME}{path}")[0] == 404


def test_answer_is_compressed():
    _, headers, body = request(HOME, headers={"accept-encoding": "gzip"})
    assert headers["content-encoding"] == "gzip" and len(body) < 4_000


def test_events_are_what_is_new():
    """The first look sends what the page has not seen, the next one what changed since."""
    changing = {"status": {**STATUS, "differences": []}, "batches": BATCHES}
    shown = dashboard(**changing)
    kind = server.KINDS[0]
    fragments = rendering.fragments(shown.page(kind, {}), shown.frame)
    seen = {each.id: each.digest for each in fragments if each.id != "alarms"}

    async def listen() -> list[tuple[str, Any]]:
        found = []
        async for event in server._events(shown, kind, {}, seen):
            name, data = event.strip().split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
            if len([1 for name, _ in found if name == "read"]) == 1 and not changing["status"]["differences"]:
                changing["status"]["differences"].append("view x is missing")
            elif len([1 for name, _ in found if name == "read"]) == 2:
                return found
        return found

    found = asyncio.run(listen())
    assert [data.get("id", name) for name, data in found] == ["alarms", "read", "badge", "verdict", "problems", "read"]
    assert found[0][1]["after"] == "problems" and "view x is missing" in found[-2][1]["html"]
    assert found[1][1]["ids"] == ["badge", "verdict", "problems", "alarms", "steps"]


def test_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"Port {port} of this machine cannot be listened at: .*Choose another"):
            server.listen(port)
    free = server.listen(None)
    assert free.getsockname()[0] == "127.0.0.1"
    free.close()


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", {}),
        ("batch=3&table=t&key=k&other=x", {"batch": "3", "table": "t", "key": "k"}),
        (f"key={'x' * 501}&table=", {"key": "x" * 500}),
    ],
)
def test_page_may_have_three_parameters(query, asked):
    found = dict(part.split("=") for part in query.split("&") if part)
    assert server._parameters(found) == asked


def test_small_answer_is_not_compressed():
    _, headers, body = request(f"{HOME}nothing", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in headers and body == b"There is no such page.\n"


def test_key_without_a_slash_is_led_to_the_page():
    _, headers, _ = request("/a-key")
    assert headers["location"] == HOME


def test_static_files_are_served():
    status, headers, body = request(f"{HOME}static/live.js")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/javascript")
    assert body == (server._STATIC / "live.js").read_bytes()


def test_events_are_a_stream_that_ends_with_the_server():
    """What the page has seen already is not sent again; an unknown page has none."""
    shown = dashboard(status=STATUS, batches=BATCHES)
    ending = dataclasses.replace(shown, is_stopping=iter([False, *[True] * 9]).__next__)
    fragments = rendering.fragments(shown.page(server.KINDS[1], {"batch": "3"}), shown.frame)
    seen = ",".join(f"{each.id}:{each.digest}" for each in fragments[1:])
    status, headers, body = request(f"{HOME}events?page=pipeline&batch=3&seen=,{seen}", shown=ending)
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    events = [event.split("\n") for event in body.decode().strip().split("\n\n")]
    assert [name for name, _ in events] == ["event: fragment", "event: read"]
    [badge, read] = [json.loads(data.removeprefix("data: ")) for _, data in events]
    assert badge == {"id": "badge", "html": fragments[0].html, "after": None}
    assert (read["at"], read["seconds"]) == ("12:00:42", 0.1)


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_only_http_is_answered(kind):
    asyncio.run(server.guarded(dashboard(), PORT)({"type": kind}, None, None))  # type: ignore[arg-type]


@pytest.mark.parametrize("hosts", [[f"127.0.0.1:{PORT}"] * 2, []])
def test_request_has_one_host(hosts):
    scope = {"type": "http", "method": "GET", "path": HOME, "headers": [(b"host", host.encode()) for host in hosts]}
    refused = server.guarded(dashboard(), PORT)._refusal(scope)
    assert refused is not None and refused.status_code == 421


def test_server_answers_until_it_is_interrupted(capfd):
    """What is started first is said once requests are answered; the reads, and pages that are open, end with it."""
    listening = server.listen(None)
    port = listening.getsockname()[1]
    answers: list[bytes] = []

    def asked(path: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port), 10)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        return connection

    def rest(connection: socket.socket) -> bytes:
        return b"".join(iter(lambda: connection.recv(65_536), b""))

    def ask() -> None:
        try:
            with asked(HOME) as page, asked(f"{HOME}events?page=health") as opened:
                answers.append(rest(page))
                opened.recv(1)
                os.kill(os.getpid(), signal.SIGINT)
                answers.append(rest(opened))
        except OSError:
            os.kill(os.getpid(), signal.SIGINT)

    asking = threading.Thread(target=ask)
    shown = dashboard(status=STATUS, batches=BATCHES)
    with pytest.raises(KeyboardInterrupt):
        server.serve(shown, listening, asking.start)
    asking.join()
    head = answers[0].partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 200 ok") and b"\r\nserver:" not in head
    assert answers[1].endswith(b"\r\n0\r\n\r\n"), "the stream is whole"
    assert capfd.readouterr().err == "", "no log of requests beside what the command says"
    with pytest.raises(RuntimeError):
        shown.readings.all([("status",)])


def test_addresses_are_never_the_same():
    homes = {server.new_home() for _ in range(50)}
    assert len(homes) == 50 and all(len(home) >= 22 for home in homes)
