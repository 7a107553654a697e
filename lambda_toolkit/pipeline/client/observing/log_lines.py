"""What one event of a function's log says, from each form that Lambda and its libraries write.

The functions write a JSON object per line, Lambda's own logger a text with tabs or JSON, and the runtime lines of its
own: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lambda_toolkit.pipeline.lambdas.shared.logs import SUMMARY
from lambda_toolkit.pipeline.lambdas.shared.metrics import DIMENSION

_RUNTIME = re.compile(r"(?:START|END|INIT_START|EXTENSION|XRAY|RESTORE_START|RESTORE_REPORT|REPORT|INIT_REPORT)\b")
_FAILED = re.compile(r"\bStatus: (?:error|timeout)\b|\[ERROR\]|Task timed out|Runtime exited|\bRuntime\.\w+")
_TEXT = re.compile(r"\[(?P<level>[A-Z]+)\]\t\S+Z\t(?P<request>[\w-]*)\t(?P<message>.*)", re.DOTALL)
_CONTEXT = frozenset(  # fields that are the same in each line, or say what the line itself says
    (
        *(
            "level",
            "log_level",
            "message",
            "errorMessage",
            "timestamp",
            "time",
            "location",
            "service",
            "logger",
            "type",
            "record",
        ),
        *(
            "cold_start",
            "function_name",
            "function_memory_size",
            "function_arn",
            "function_request_id",
            "request_id",
            "requestId",
        ),
        *("sampling_rate", "xray_trace_id"),
    )
)
_BELOW = ("exception", "stack", "stack_trace", "stackTrace")  # shown in lines of their own


@dataclass(frozen=True)
class LogLine:
    """A line of a log, taken apart."""

    level: str
    message: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""
    """A traceback."""
    is_runtime: bool = False
    """Whether it is Lambda's own note that an invocation begins or ends, and not of a failure."""

    def __str__(self) -> str:
        """Level, message and fields, those of an object with its name before a dot; the detail below.

        What is null or empty is not shown.
        """
        flat = [each for name, value in self.fields.items() for each in _flat(name, value)]
        shown = [f"{name}={_shown(value)}" for name, value in flat if value is not None and value not in ("", [], {})]
        below = [f"    {line}" for line in self.detail.splitlines()]
        return "\n".join(["  ".join([f"{self.level:<8}{self.message}", *filter(None, [" ".join(shown)])]), *below])


def parse(text: str) -> LogLine:
    """What the event ``text`` says. Nothing of a form that is not known is lost: it is the message."""
    text = text.rstrip()
    entry = json_object(text)
    if entry is not None:
        return _of_json(entry)
    failed = bool(_FAILED.search(text))
    if _RUNTIME.match(text):
        return LogLine("ERROR" if failed else "INFO", " ".join(text.split()), is_runtime=not failed)
    found = _TEXT.fullmatch(text)
    if found:
        message, _, detail = found["message"].partition("\n")
        return LogLine(found["level"], message, detail=detail)
    message, _, detail = text.partition("\n")
    return LogLine("ERROR" if failed else "", message, detail=detail)


def _of_json(entry: Mapping[str, Any]) -> LogLine:
    kind = str(entry.get("type", ""))
    if kind.startswith("platform.") and "record" in entry:
        record = entry["record"]
        failed = isinstance(record, Mapping) and record.get("status") in ("error", "failure", "timeout")
        return LogLine("ERROR" if failed else "INFO", kind, {"record": record}, is_runtime=not failed)
    message = entry.get("message", entry.get("errorMessage", ""))
    if isinstance(message, Mapping):
        entry, message = {**entry, **message}, message.get("message", "")
    details = [value if isinstance(value, str) else "\n".join(map(str, value)) for value in _details(entry)]
    hidden = {*_CONTEXT, *_BELOW, *_dimensions(entry)}
    if message == SUMMARY and entry.get("cold_start"):  # else it is in each line of some libraries
        hidden.discard("cold_start")
    fields = {name: value for name, value in entry.items() if name not in hidden}
    level = str(entry.get("level", entry.get("log_level", "ERROR" if "errorMessage" in entry else "")))
    return LogLine(level, str(message), fields, "\n".join(details))


def _dimensions(entry: Mapping[str, Any]) -> Iterator[str]:
    """What a line has for CloudWatch to make metrics of it, without the metrics themselves."""
    metadata = entry.get("_aws")
    if isinstance(metadata, Mapping):
        yield "_aws"
        yield DIMENSION


def _details(entry: Mapping[str, Any]) -> list[Any]:
    found = [entry[name] for name in _BELOW if isinstance(entry.get(name), (str, list))]
    return found[:1]  # a stack trace repeats the exception


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a line is, or None where it is anything else."""
    if not text.startswith("{"):
        return None
    try:
        found: dict[str, Any] = json.loads(text)  # what begins so is nothing else
    except (ValueError, RecursionError):
        return None
    return found


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    return [(f"{name}.{key}", item) for key, item in value.items()] if isinstance(value, dict) else [(name, value)]


def _shown(value: object) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value, ensure_ascii=False)
