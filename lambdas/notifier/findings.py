"""What the logs of the functions say of an incident: the last error, and which batches and rows it is about.

The log is read as far as the function's role permits; the message goes out without what cannot be found. No line of the
functions' logs has a value of a row or a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

BEFORE = timedelta(minutes=10)  # the log is read from so long before the alarm: it compares the last minutes
PAGES = 5  # of a log that are read at most
_RUNTIME = re.compile(r"\[ERROR\] (Runtime\.\w+: [^\n]{1,200})")  # the function could not start
_TIMEOUT = re.compile(r"Task timed out after ([0-9.]+) seconds")

# https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
_CONSOLES = {
    "aws": "{region}.console.aws.amazon.com",
    "aws-cn": "{region}.console.amazonaws.cn",
    "aws-us-gov": "{region}.console.amazonaws-us-gov.com",
    "aws-eusc": "{region}.console.amazonaws-eusc.eu",
}


@dataclass(frozen=True)
class Findings:
    """What a log says."""

    error: str = ""
    """The message of the last error; empty: none was found."""
    batches: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """By batch and table, the rows that warnings are about."""


def read(logs: Any, group: str, since: datetime, until: datetime) -> Findings:
    """What the log group says between ten minutes before ``since`` and ``until``. Raises ClientError."""

    def page(token: str | None) -> Mapping[str, Any]:
        more = {"nextToken": token} if token else {}
        answer: Mapping[str, Any] = logs.filter_log_events(
            logGroupName=group,
            startTime=int((since - BEFORE).timestamp() * 1000),
            endTime=int(until.timestamp() * 1000),
            **more,
        )
        return answer

    return of_lines(_messages(page))


def _messages(page: Callable[[str | None], Mapping[str, Any]]) -> Iterator[str]:
    token: str | None = None
    for _ in range(PAGES):
        answer = page(token)
        yield from (str(event["message"]) for event in answer.get("events", ()))
        token = answer.get("nextToken")
        if not token:
            return


def of_lines(lines: Iterable[str]) -> Findings:
    """What ``lines`` of a log say, oldest first."""
    error, batches = "", dict[int, dict[str, int]]()
    for line in lines:
        error = _error_in(line) or error
        document = as_document(line)
        batch, table, rows = (document.get(name) for name in ("batch", "table", "rows"))
        if document.get("level") == "WARN" and isinstance(batch, int) and isinstance(rows, int):
            tables = batches.setdefault(batch, {})
            tables[str(table)] = tables.get(str(table), 0) + rows
    return Findings(error, batches)


def _error_in(line: str) -> str:
    document = as_document(line)
    if document.get("level") in ("ERROR", "CRITICAL", "FATAL"):
        return str(document.get("message") or document.get("errorMessage") or "")
    if found := _RUNTIME.search(line):
        return found[1]
    if found := _TIMEOUT.search(line):
        return f"It did not end within its timeout, {float(found[1]):g} s."
    return ""


def as_document(line: str) -> Mapping[str, Any]:
    """The JSON object that a line of a log is; empty where it is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def log_link(group: str, region: str, partition: str, since: datetime) -> str:
    """The console's page with the events of ``group`` from ten minutes before ``since``; empty: it has no known page.

    The console encodes the parts of its fragment twice, with $ in place of %.
    """
    console = _CONSOLES.get(partition)
    if not console or not group:
        return ""
    start = int((since - BEFORE).timestamp() * 1000)
    name = quote(quote(group, safe="")).replace("%", "$")
    query = quote(f"?start={start}").replace("%", "$")
    host = console.format(region=region)
    return f"https://{host}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{name}/log-events{query}"
