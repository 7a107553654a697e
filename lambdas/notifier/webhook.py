"""Slack's incoming webhooks: one POST of JSON, and what the answer means.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .webhook_url import webhook_problem

ATTEMPT = 5.0  # seconds for one request: Slack answers within one
LONGEST_WAIT = 10.0  # seconds of Retry-After that are waited for; the next look tries again after longer ones
PAUSES = (0.5, 2.0)  # seconds before the second and the third attempt
_ANSWER = 200  # bytes of an answer that are read
_WORD = re.compile(rb"[a-z_]{1,60}")  # what Slack answers: `ok`, `invalid_payload`, `no_service`, ...
_TOO_MANY, _TIMEOUT, _SERVER_ERROR = 429, 408, 500


@dataclass(frozen=True)
class Outcome:
    """What became of one message."""

    sent: bool
    reason: str = ""
    """Why it was not sent, in words, without the URL; empty where it was."""
    final: bool = False
    """Whether the same message to the same URL would be refused again."""
    retry_after: float = 0.0
    """Seconds before the receiver wants to see the next request."""


def post(
    url: str,
    payload: Mapping[str, Any],
    *,
    sleep: Callable[[float], object] = time.sleep,
    attempt: float = ATTEMPT,
) -> Outcome:
    """POST ``payload`` to ``url``, up to three times where the receiver or the network fails for the moment.

    Waits as long as Retry-After says, up to :data:`LONGEST_WAIT`. Follows no redirect. Never raises for what a
    receiver does; no text of the outcome has any of the URL or the answer, save for one word of Slack's.
    """
    problem = webhook_problem(url)
    if problem:
        return Outcome(sent=False, reason=f"the webhook's URL cannot be used: {problem}", final=True)
    body = json.dumps(payload).encode()
    outcome = _post_once(url, body, attempt)
    for pause in PAUSES:
        if outcome.sent or outcome.final or outcome.retry_after > LONGEST_WAIT:
            break
        sleep(max(pause, outcome.retry_after))
        outcome = _post_once(url, body, attempt)
    return outcome


def _post_once(url: str, body: bytes, seconds: float) -> Outcome:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    overdue = threading.Event()

    def end() -> None:  # a timeout of the socket is for each read: a receiver that sends a byte now and then has no end
        overdue.set()
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    watch = threading.Timer(seconds, end)
    watch.start()
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "lambda-script-notifier"}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return _outcome(answer.status, answer.read(_ANSWER), answer.headers.get("Retry-After", ""))
    except ssl.SSLCertVerificationError:
        return Outcome(sent=False, reason="the certificate of the webhook's host is not valid")
    except (OSError, http.client.HTTPException, ValueError) as error:
        if overdue.is_set() or isinstance(error, TimeoutError):
            return Outcome(sent=False, reason=f"the webhook's host did not answer within {seconds:g} s")
        named = getattr(error, "strerror", None) or type(error).__name__
        return Outcome(sent=False, reason=f"the webhook's host could not be reached ({named})")
    finally:
        watch.cancel()
        connection.close()


def _outcome(status: int, answer: bytes, retry_after: str) -> Outcome:
    if status == http.client.OK:
        return Outcome(sent=True)
    word = answer.strip()
    said = f" {word.decode()}" if _WORD.fullmatch(word) else ""
    reason = f"the webhook answered {status}{said}{_MEANINGS.get(said.strip(), '')}"
    if status in (_TOO_MANY, _TIMEOUT) or status >= _SERVER_ERROR:
        seconds = float(retry_after) if re.fullmatch(r"[0-9]{1,6}", retry_after, re.A) else 0.0
        return Outcome(sent=False, reason=reason, retry_after=seconds)
    return Outcome(sent=False, reason=reason, final=True)


_REVOKED = "invalid_token"
_MEANINGS = {
    "no_service": ": it was removed or is disabled",
    "no_team": ": its workspace does not exist any more",
    _REVOKED: ": its URL is not complete, or was revoked",
    "channel_is_archived": ": its channel is archived",
    "channel_not_found": ": its channel does not exist any more",
    "action_prohibited": ": an administrator restricts posting to its channel",
    "invalid_payload": ": it does not take the message's form",
    "invalid_blocks": ": it does not take the message's form",
}
