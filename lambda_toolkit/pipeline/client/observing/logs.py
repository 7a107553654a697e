"""What the functions write to CloudWatch Logs: read in order, and searched for errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client.observing.log_lines import json_object
from lambda_toolkit.pipeline.config.aws.role_policy import group_of
from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.running.log_events import stored_events, unseen

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws


def of_function(
    aws: Aws, pipeline: Pipeline, name: str, start: int, end: int | None = None, pattern: str = ""
) -> list[dict[str, Any]]:
    """The log events of the pipeline's function ``name`` from ``start`` to ``end`` (milliseconds since 1970), in order.

    ``pattern``: CloudWatch's, which selects events. None of them where the function has no log group. Raises AwsError.
    """
    group = group_of(pipeline, pipeline.functions[name], aws.account_id)
    limits = {**({} if end is None else {"endTime": end}), **({"filterPattern": pattern} if pattern else {})}
    return stored_events(aws, pipeline.function_name(name), start, group=group, **limits) or []


def events_of(
    aws: Aws,
    functions: Sequence[str],
    start: int,
    *,
    groups: Mapping[str, str] | None = None,
    follow: bool = False,
    wait: Callable[[], None] | None = None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The log events of several ``functions`` since ``start`` (milliseconds since 1970), in order, each once.

    Each comes with the function's name. With ``follow`` they never end, and ``wait`` is called between two reads.
    ``groups``: the log groups of functions that do not use their own. Raises CommandError where none of the functions
    has a log group.
    """
    seen: set[object] = set()
    while True:
        found = {
            function: stored_events(aws, function, start, group=(groups or {}).get(function, ""))
            for function in functions
        }
        if all(listed is None for listed in found.values()):
            have = "has" if len(functions) == 1 else "have"
            raise CommandError(f"{' and '.join(functions)} {have} no log group. Deploy first: {suggested()}")
        yield from unseen({function: listed or () for function, listed in found.items()}, seen)
        if not follow or wait is None:
            return
        wait()


def first_error(aws: Aws, pipeline: Pipeline, name: str, start: int) -> str | None:
    """The first error that the function ``name`` logged since ``start`` (milliseconds since 1970), or ``None``."""
    events = of_function(aws, pipeline, name, start)
    return next(filter(None, (error_in(event["message"]) for event in events)), None)


def error_in(line: str) -> str | None:
    """The error in a log line, or ``None``: a structured line of level ERROR, or a report of the runtime."""
    text = line.strip()
    entry = json_object(text)
    if entry is None:
        return text if not text.startswith("{") and ("[ERROR]" in text or "Task timed out" in text) else None
    if "_aws" in entry or entry.get("level", entry.get("log_level")) not in ("ERROR", "CRITICAL", "FATAL"):
        return None  # a line of metrics has the level that is not dropped
    return str(entry.get("message") or entry.get("errorMessage"))
