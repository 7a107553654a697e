"""The server of the dashboard: on 127.0.0.1 alone, for whoever knows its address, and it only reads."""

from __future__ import annotations

import hmac
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lambda_toolkit.pipeline.dashboard import rendering
from lambda_toolkit.pipeline.dashboard.pages import health
from lambda_toolkit.pipeline.dashboard.pages.deployment import DEPLOY
from lambda_toolkit.pipeline.dashboard.pages.health import HEALTH
from lambda_toolkit.pipeline.dashboard.pages.model import Page, PageKind, View
from lambda_toolkit.pipeline.dashboard.pages.pipeline import PIPELINE
from lambda_toolkit.pipeline.dashboard.pages.warehouse import WAREHOUSE
from lambda_toolkit.pipeline.dashboard.readings import Readings
from lambda_toolkit.pipeline.errors import CommandError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = "127.0.0.1"
KINDS = (HEALTH, PIPELINE, WAREHOUSE, DEPLOY)
_STATIC = Path(__file__).parent / "static"
_PARAMETERS = ("batch", "table", "key")  # those that a page may have
_LONGEST = 500  # characters of a parameter
_COMPRESSED = 500  # bytes from which an answer is
_PROGRAMS_WAIT = 120.0  # seconds for documents as JSON: what comes later is not seen there
_STOP = 0.25  # seconds after which the end of the server is noticed by a page that is open
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",  # the address has the key
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Dashboard:
    """What the server shows, and how often it looks."""

    readings: Readings
    frame: rendering.Frame
    seconds: float
    """How often a page that is open is made again."""
    now: Callable[[], datetime]
    command: Callable[[str], str]
    """What to type for a command."""
    is_stopping: Callable[[], bool] = lambda: False

    def page(self, kind: PageKind, parameters: Mapping[str, str]) -> Page:
        """A page made of its documents as they are now."""
        view = View(self.readings.all(kind.requests(parameters)), self.now(), self.command, parameters)
        return Page(kind.name, kind.title, health.verdict(view), kind.sections(view))


def application(dashboard: Dashboard) -> Starlette:
    """The pages, their events, and the files that they need, without the guard."""
    home = dashboard.frame.home

    def page(request: Request) -> Response:
        kind = _kind(request.path_params.get("name", KINDS[0].name))
        if kind is None:
            return PlainTextResponse("There is no such page.\n", 404)
        parameters = _parameters(request.query_params)
        if request.query_params.get("format") == "json":
            read = dashboard.readings.all(kind.requests(parameters), _PROGRAMS_WAIT)
            text = json.dumps({name: reading.to_json() for name, reading in read.items()}, indent=2, default=str)
            return Response(f"{text}\n", media_type="application/json")
        found = dashboard.page(kind, parameters)
        return HTMLResponse(rendering.document(found, dashboard.frame, parameters, _read_at(dashboard)))

    async def events(request: Request) -> Response:
        kind = _kind(request.query_params.get("page", ""))
        if kind is None:
            return PlainTextResponse("There is no such page.\n", 404)
        seen = dict(part.split(":", 1) for part in request.query_params.get("seen", "").split(",") if ":" in part)
        stream = _events(dashboard, kind, _parameters(request.query_params), seen)
        return StreamingResponse(stream, media_type="text/event-stream")

    routes = [
        Route(home, page),
        Route(home.rstrip("/"), lambda request: RedirectResponse(home)),
        Route(f"{home}events", events),
        Mount(f"{home}static", StaticFiles(directory=_STATIC)),
        Route(f"{home}{{name}}", page),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(GZipMiddleware, minimum_size=_COMPRESSED)
    return app


async def _events(
    dashboard: Dashboard, kind: PageKind, parameters: Mapping[str, str], seen: Mapping[str, str]
) -> AsyncIterator[str]:
    """Server-sent events: each fragment whose digest is not the one ``seen``, then when it was read, and again."""
    digests = dict(seen)
    while not dashboard.is_stopping():
        page = await run_in_threadpool(dashboard.page, kind, parameters)
        before = None
        for each in rendering.fragments(page, dashboard.frame):
            if digests.get(each.id) != each.digest:
                digests[each.id] = each.digest
                yield _event("fragment", {"id": each.id, "html": each.html, "after": before})
            before = each.id
        ids = ["badge", *(section.id for section in page.sections)]
        yield _event("read", {"at": _read_at(dashboard), "ids": ids, "seconds": dashboard.seconds})
        with suppress(TimeoutError), anyio.fail_after(dashboard.seconds):
            while not dashboard.is_stopping():
                await anyio.sleep(_STOP)


def _event(name: str, data: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def _kind(name: str) -> PageKind | None:
    return next((kind for kind in KINDS if kind.name == name), None)


def _parameters(query: Mapping[str, str]) -> dict[str, str]:
    return {name: query[name][:_LONGEST] for name in _PARAMETERS if query.get(name)}


def _read_at(dashboard: Dashboard) -> str:
    return f"{dashboard.now().astimezone(UTC):%H:%M:%S}"


# ----------------------------------------------------------------------------------------------------------- the guard


class Guard:
    """Refuses what is not a reading request of this dashboard's own address.

    A page of another site that a browser has open reaches 127.0.0.1 too. By a name that it resolves to this address,
    the request has that name as its ``Host``; by the address, it does not know the key. Neither does another user.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], home: str) -> None:
        self._app = app
        self._hosts = hosts
        self._home = home

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("This server answers to its own address alone.\n", 421)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("This dashboard only shows: GET is all it takes.\n", 405, {"allow": "GET, HEAD"})
        given = str(scope["path"]).split("/")[1] if "/" in scope["path"] else ""
        if not hmac.compare_digest(f"/{given}/".encode(), self._home.encode()):
            return PlainTextResponse("Open the address that the command `dashboard` printed: it has a key.\n", 403)
        return None


def guarded(dashboard: Dashboard, port: int) -> Guard:
    """The complete application at ``port`` of this machine."""
    hosts = frozenset({f"{LOOPBACK}:{port}", f"localhost:{port}"})
    return Guard(application(dashboard), hosts, dashboard.frame.home)


# ------------------------------------------------------------------------------------------------------------- serving


def listen(port: int | None) -> socket.socket:
    """A socket on loopback that listens at ``port``, or at a free one. Raises CommandError where that is taken."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((LOOPBACK, port or 0))
        found.listen()
    except OSError as error:
        found.close()
        raise CommandError(
            f"Port {port} of this machine cannot be listened at: {error.strerror}. Choose another --port, or none: "
            "a free one is found."
        ) from error
    return found


def new_home() -> str:
    """A path that no one can guess: whoever knows it may see the dashboard."""
    return f"/{secrets.token_urlsafe(16)}/"


def serve(dashboard: Dashboard, listening: socket.socket, started: Callable[[], None]) -> None:
    """Answer requests until Ctrl-C, which is raised then. ``started`` is called once requests are answered."""
    server: uvicorn.Server

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

    app = guarded(replace(dashboard, is_stopping=lambda: server.should_exit), listening.getsockname()[1])
    server = _Server(
        uvicorn.Config(
            app,
            log_level="error",
            lifespan="off",
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=2,
        )
    )
    try:
        server.run([listening])
    finally:
        dashboard.readings.close()
