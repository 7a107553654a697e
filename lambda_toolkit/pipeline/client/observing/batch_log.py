"""The log lines of one batch: those of every invocation that extracted, transformed or loaded it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client.observing.log_lines import json_object, parse
from lambda_toolkit.pipeline.client.observing.logs import of_function
from lambda_toolkit.pipeline.config.model import Pipeline

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws

MARGIN = timedelta(minutes=1)
"""How far from the times of a batch its lines are looked for: the functions' clocks, and what follows a commit."""
LONGEST = timedelta(days=1)
"""How long a batch is looked for. One that waits for longer is described by the lines of its first day."""
_REQUEST = re.compile(r"\bRequestId: ([0-9a-f-]{36})")
_NUMBERS = ("batch", "batches", "loaded", "replayed")  # fields of a line, or of the result in it, that name batches


def batch_lines(aws: Aws, pipeline: Pipeline, batch: int, begun: datetime, ended: datetime) -> list[dict[str, Any]]:
    """The lines about ``batch``, which was extracted at ``begun`` and loaded at ``ended``, in the order of their times.

    A line is ``{"timestamp": milliseconds
    since 1970, "function", "level", "message", "runtime": whether Lambda itself wrote it}``. Raises AwsError.
    """
    start = int((begun - MARGIN).timestamp() * 1000)
    end = int((min(ended, begun + LONGEST) + MARGIN).timestamp() * 1000)
    found = [
        {"function": name, **event}
        for name in pipeline.functions
        for event in of_batch(of_function(aws, pipeline, name, start, end), batch)
    ]
    return sorted(found, key=lambda line: int(line["timestamp"]))


def of_batch(events: Iterable[Mapping[str, Any]], batch: int) -> Iterator[dict[str, Any]]:
    """The lines of the invocations that name ``batch``, without those that are about another batch alone."""
    read = [(event, *_about(str(event["message"]))) for event in events]
    requests = {request for _, request, batches in read if request and batch in batches}
    for event, request, batches in read:
        if batch in batches or (request in requests and not batches):
            line = parse(event["message"])
            yield {
                "timestamp": event["timestamp"],
                "level": line.level,
                "message": str(line).removeprefix(f"{line.level:<8}"),
                "runtime": line.is_runtime,
            }


def _about(message: str) -> tuple[str | None, frozenset[int]]:
    """The id of the request that wrote the line, and the batches that it names."""
    entry = json_object(message)
    if entry is None:
        found = _REQUEST.search(message)
        return found[1] if found else None, frozenset()
    record = entry.get("record")
    places = [entry, *(entry[name] for name in ("result", "message", "record") if isinstance(entry.get(name), dict))]
    names = ("request_id", "function_request_id", "requestId", "AWSRequestId")
    request = next((str(place[name]) for place in places for name in names if place.get(name)), None)
    values = [place[name] for place in places if place is not record for name in _NUMBERS if place.get(name)]
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return request, frozenset(int(item) for item in flat if isinstance(item, int) and not isinstance(item, bool))
