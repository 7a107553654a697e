"""A receiver of webhooks on this machine, which can be closed, and opened again at the same address."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOOPBACK = "127.0.0.1"
PATH = "/services/T0/B0/drill"


@dataclass(frozen=True)
class Post:
    """One message that arrived."""

    text: str
    received_at: float
    """Seconds since 1970."""


@dataclass
class Slack:
    """Receives messages, and keeps them."""

    posts: list[Post] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    def open(self) -> str:
        """Receive from now on. Returns the URL of the webhook, another one each time."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                is_known = self.path == PATH
                if is_known:
                    receiver.posts.append(Post(_text(body), time.time()))
                self.send_response(200 if is_known else 404)
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(b"ok" if is_known else b"no_service")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        threading.Thread(target=self._server.serve_forever, name="slack", daemon=True).start()
        return f"http://{LOOPBACK}:{self._server.server_port}{PATH}"

    def close(self) -> None:
        """Receive nothing any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _text(body: Mapping[str, Any]) -> str:
    """All texts of a message, without its formatting."""
    blocks = [block["text"]["text"] for block in body.get("blocks", ())]
    return "\n".join([str(body.get("text", "")), *map(str, blocks)]).replace("\u200b", "")
