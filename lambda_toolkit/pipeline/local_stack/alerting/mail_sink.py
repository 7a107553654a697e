"""Emails that the alert topic sent to its subscribers, kept as text files: on this machine there is no mail server.

One file per message and recipient, and an ``index``: one line of JSON for each, in the order of arrival. The emulator
writes them from its own environment, where nothing but the standard library can be imported: hence only that here.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

INDEX = "index"
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9.-]+")
_writing = threading.Lock()


@dataclass(frozen=True)
class Email:
    """One delivered message."""

    recipient: str
    subject: str
    body: str
    topic: str  # ARN
    received_at: str  # ISO 8601, UTC
    path: Path


def deliver(directory: Path, *, recipient: str, subject: str, body: str, topic: str) -> Path:
    """Write one message to the mail sink. Returns its file."""
    with _writing:
        directory.mkdir(parents=True, exist_ok=True)
        number = 1 + len(_lines(directory))
        received_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        subject = subject.replace("\n", " ") or "AWS Notification Message"
        name = f"{number:04}-{_NOT_IN_A_NAME.sub('-', subject).strip('-')[:60]}.txt"
        entry = {"file": name, "recipient": recipient, "subject": subject, "topic": topic, "received_at": received_at}
        head = f"To: {recipient}\nSubject: {subject}\nDate: {received_at}\nTopic: {topic}\n\n"
        path = directory / name
        path.write_text(head + _readable(body) + "\n", encoding="utf-8")
        with (directory / INDEX).open("a", encoding="utf-8") as index:  # last: what the index names is complete
            index.write(json.dumps(entry) + "\n")
        return path


def read(directory: Path) -> tuple[Email, ...]:
    """Every message in the mail sink, oldest first; none if none arrived."""
    emails = []
    for line in _lines(directory):
        entry = json.loads(line)
        path = directory / entry["file"]
        _, _, body = path.read_text(encoding="utf-8").partition("\n\n")
        emails.append(
            Email(
                recipient=entry["recipient"],
                subject=entry["subject"],
                body=body.rstrip("\n"),
                topic=entry["topic"],
                received_at=entry["received_at"],
                path=path,
            )
        )
    return tuple(emails)


def _lines(directory: Path) -> list[str]:
    index = directory / INDEX
    return index.read_text(encoding="utf-8").splitlines() if index.is_file() else []


def _readable(body: str) -> str:
    """A JSON body spread over lines; any other as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body
