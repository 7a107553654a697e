"""An incoming webhook on this machine, in place of Slack's: keeps what is posted, and refuses what Slack refuses.

A process of its own beside the emulator. The URL's path is secret, as Slack's is. Answers are those of
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/#handling_errors; the limits of blocks, of
https://docs.slack.dev/reference/block-kit/blocks/. It ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import hmac
import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGINT, SIGTERM, signal
from typing import Any

INDEX = "index"
LOOPBACK = "127.0.0.1"
_LONGEST_BODY = 1_000_000  # bytes
_MOST_BLOCKS, _LONGEST_HEADER, _LONGEST_SECTION = 50, 150, 3000
_writing = threading.Lock()


@dataclass(frozen=True)
class Post:
    """One message that was accepted."""

    payload: Mapping[str, Any]
    received_at: str
    """ISO 8601, UTC."""

    @property
    def subject(self) -> str:
        """The text of the notification."""
        return plain(str(self.payload.get("text", "")).partition("\n")[0])

    @property
    def text(self) -> str:
        """What a reader of the channel sees, without formatting."""
        blocks = [block["text"]["text"] for block in self.payload.get("blocks", ()) if "text" in block]
        return plain("\n\n".join(map(str, blocks)) or str(self.payload.get("text", "")))


def plain(text: str) -> str:
    """Slack's mrkdwn as it is read: entities as characters, without the marks that keep others from formatting."""
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return text.replace("\u200b", "")


def refusal(body: bytes) -> str:
    """Slack's word for what is wrong with a message; empty where it is accepted."""
    try:
        payload = json.loads(body)
    except ValueError:
        return "invalid_payload"
    if not isinstance(payload, dict):
        return "invalid_payload"
    blocks = payload.get("blocks", [])
    if not blocks and not (isinstance(payload.get("text"), str) and payload["text"]):
        return "no_text"
    if not isinstance(blocks, list) or len(blocks) > _MOST_BLOCKS or not all(map(_is_block, blocks)):
        return "invalid_blocks"
    return ""


def _is_block(block: Any) -> bool:
    try:
        text, kind = block["text"]["text"], block["text"]["type"]
        longest = {"header": _LONGEST_HEADER, "section": _LONGEST_SECTION}[block["type"]]
        kinds = ("plain_text",) if block["type"] == "header" else ("plain_text", "mrkdwn")
    except (KeyError, TypeError):
        return False
    return isinstance(text, str) and 0 < len(text) <= longest and kind in kinds


def read(directory: Path) -> tuple[Post, ...]:
    """Every message below ``directory``, oldest first; none if none arrived."""
    index = directory / INDEX
    lines = index.read_text(encoding="utf-8").splitlines() if index.is_file() else []
    return tuple(Post(**json.loads(line)) for line in lines)


def server(directory: Path, path: str, port: int = 0) -> ThreadingHTTPServer:
    """A server of the webhook ``path`` that keeps messages below ``directory``. ``serve_forever`` starts it."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            status, word = self._answer()
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(word)))
            self.end_headers()
            self.wfile.write(word.encode())

        def _answer(self) -> tuple[int, str]:
            length = self.headers.get("Content-Length", "")
            if "Origin" in self.headers or not hmac.compare_digest(self.path.encode(), path.encode()):
                return 404, "no_service"
            if not (length.isascii() and length.isdigit() and int(length) <= _LONGEST_BODY):
                return 400, "invalid_payload"
            body = self.rfile.read(int(length))
            word = refusal(body)
            if word:
                return 400, word
            _keep(directory, json.loads(body))
            return 200, "ok"

        def log_message(self, *_: object) -> None:
            """Nothing: the path is secret."""

    return ThreadingHTTPServer((LOOPBACK, port), Handler)


def _keep(directory: Path, payload: Mapping[str, Any]) -> None:
    received_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"payload": payload, "received_at": received_at})
    with _writing:
        directory.mkdir(exist_ok=True)
        with (directory / INDEX).open("a", encoding="utf-8") as index:
            index.write(line + "\n")


def run(stack_file: Path) -> None:
    """Serve until SIGTERM or SIGINT, or until the emulator of this stack has ended."""
    from urllib.parse import urlsplit

    from lambda_toolkit.pipeline.local_stack.alerting.side_processes import READY
    from lambda_toolkit.pipeline.local_stack.description import read_stack
    from lambda_toolkit.pipeline.local_stack.process import is_alive
    from lambda_toolkit.pipeline.local_stack.running import EMULATOR, SLACK

    stack = read_stack(stack_file)
    url = urlsplit(stack.slack_url)
    http = server(stack.slack_sink, url.path, url.port or 0)
    threading.Thread(target=http.serve_forever, name="webhook", daemon=True).start()
    stopping = threading.Event()
    for number in (SIGTERM, SIGINT):
        signal(number, lambda *_: stopping.set())
    print(READY[SLACK], flush=True)
    while not stopping.wait(1) and is_alive(stack.processes[EMULATOR]):
        pass
    http.shutdown()


if __name__ == "__main__":
    run(Path(sys.argv[1]))
