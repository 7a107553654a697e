"""Events that failed for good: what Lambda kept of them, and the same events once more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client.invocation import invoke
from lambda_toolkit.pipeline.client.observing.batches import iso
from lambda_toolkit.pipeline.config.aws.failed_events import FAILED, RECORDS, failed_bucket
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.installed import shipped_functions

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws
    from lambda_toolkit.pipeline.config.model import Pipeline

_SCHEDULES = ("aws.events", "aws.scheduler")
_OF_A_FIRING = ("id", "time")  # in which two events of one schedule differ
_SERVICES = ("aws:s3", "aws:sns")
_REASON = 200  # characters of an error that are shown


@dataclass(frozen=True)
class Record:
    """One object in the bucket."""

    key: str
    function: str
    """On AWS."""
    at: datetime


@dataclass(frozen=True)
class Group:
    """Records of one function with the same event: one invocation makes up for all of them."""

    function: str
    event: Any
    keys: tuple[str, ...]


@dataclass
class Replayed:
    """What became of the records. Each has the keys that the document of ``replay --failed`` has."""

    done: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As the command prints it."""
        return {"format": 1, "done": self.done, "failed": self.failed, "refused": self.refused}


def kept(aws: Aws, pipeline: Pipeline) -> tuple[Record, ...]:
    """The records of all functions, the oldest first; none where the bucket does not exist. Raises AwsError."""
    bucket = failed_bucket(pipeline, aws.account_id)
    if bucket is None:
        return ()
    found = aws.list_existing("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=RECORDS)
    records = (
        Record(str(item["Key"]), str(item["Key"]).removeprefix(RECORDS).partition("/")[0], item["LastModified"])
        for item in found
    )
    return tuple(sorted(records, key=lambda record: (record.at, record.key)))


def state(aws: Aws, pipeline: Pipeline) -> dict[str, Any] | None:
    """How many events failed, of which functions, since when and why, as JSON values; ``None`` where that is not known.

    One list, and one object of each function that has any. Raises AwsError for other reasons than a missing right.
    """
    from lambda_script import AwsError
    from lambda_toolkit.aws.account import ACCESS_DENIED

    bucket = failed_bucket(pipeline, aws.account_id)
    if bucket is None:
        return None
    try:
        records = kept(aws, pipeline)
        last = {record.function: record for record in records}
        reasons = {name: _reason(_read(aws, bucket, record.key)) for name, record in last.items()}
    except AwsError as error:
        if error.code in ACCESS_DENIED:
            return None
        raise
    functions = [
        {
            "function": name,
            "count": sum(record.function == name for record in records),
            "oldest_at": iso(next(record.at for record in records if record.function == name)),
            "newest_at": iso(last[name].at),
            "reason": reasons[name],
        }
        for name in last
    ]
    return {"count": len(records), "oldest_at": iso(records[0].at) if records else None, "functions": functions}


def made_good(found: Mapping[str, Any], functions: Sequence[Mapping[str, Any]], pipeline: Pipeline) -> bool:
    """Whether a run that began after the last failed event did what the events of ``found``, a function's, were for.

    So it is of the functions that are shipped: each run continues where the last good one ended.
    """
    shipped = {
        spec.name
        for name, declared in pipeline.functions.items()
        for spec in (declared.spec,)
        if name in shipped_functions()
    }
    run = next((each for each in functions if each["name"] == found["function"]), {})
    later = run.get("last_run") and datetime.fromisoformat(run["last_run"]) > datetime.fromisoformat(found["newest_at"])
    return found["function"] in shipped and bool(later) and not run.get("last_failed")


def replay_failed(
    aws: Aws, pipeline: Pipeline, report: Callable[[str], None], function: str | None = None
) -> dict[str, Any]:
    """Invoke the functions with the events that failed, oldest first, and delete the records of those that succeed.

    ``function``, as in the file, limits it to one. Records that differ only in when a schedule fired are one event.
    A record stays where its event fails again, and where it is refused, as what it was meant to do is not known.
    Given twice, or interrupted before the deletion, an event is invoked twice, as Lambda itself may do.

    Returns the document of the command. Raises CommandError where nothing is kept, UsageError for another function.
    """
    bucket = failed_bucket(pipeline, aws.account_id)
    if bucket is None:
        raise CommandError(
            f"{pipeline.path} declares no bucket `{FAILED}`, so failed events are not kept. See `keep_failed_events`."
        )
    if function is not None and function not in pipeline.functions:
        raise UsageError(f"There is no function `{function}` in {pipeline.path}.")
    wanted = None if function is None else pipeline.function_name(function)
    records = [record for record in kept(aws, pipeline) if wanted in (None, record.function)]
    replayed = Replayed()
    for group in _groups(aws, bucket, pipeline, records, replayed):
        known = {"function": group.function, "events": len(group.keys)}
        report(f"{group.function}: invoked with an event that failed ...")
        outcome = invoke(aws, group.function, group.event)
        if outcome.error is not None:
            replayed.failed.append({**known, "error": outcome.error})
            continue
        for key in group.keys:
            aws.find("s3", "delete_object", Bucket=bucket, Key=key)
        replayed.done.append(known)
    return replayed.to_json()


def _groups(
    aws: Aws, bucket: str, pipeline: Pipeline, records: Sequence[Record], replayed: Replayed
) -> Iterator[Group]:
    """The events to invoke; those that are refused are added to ``replayed``."""
    found: dict[tuple[str, str], tuple[Any, list[str]]] = {}
    for record in records:
        document = _read(aws, bucket, record.key)
        reason = refusal(pipeline, record.function, document)
        if reason:
            replayed.refused.append({"function": record.function, "key": record.key, "reason": reason})
            continue
        event = document["requestPayload"]
        found.setdefault((record.function, _identity(event)), (event, []))[1].append(record.key)
    for (function, _), (event, keys) in found.items():
        yield Group(function, event, tuple(keys))


def refusal(pipeline: Pipeline, function: str, document: Mapping[str, Any]) -> str | None:
    """Why the event of a record of ``function`` is not to be repeated; ``None`` where it is."""
    names = {pipeline.function_name(name): name for name in pipeline.functions}
    if function not in names:
        return "this pipeline has no such function"
    if not isinstance(document.get("requestPayload"), dict):
        return "the record has no event"
    if names[function] in shipped_functions() and not _is_known(document["requestPayload"]):
        return f"the event is none of those that {names[function]} takes"
    return None


def _is_known(event: Mapping[str, Any]) -> bool:
    """Whether it is a request of this pipeline, or an event of a schedule, of S3 or of SNS."""
    if isinstance(event.get("action"), str) or event.get("source") in _SCHEDULES:
        return True
    records = event.get("Records")
    return (
        isinstance(records, list)
        and bool(records)
        and all(
            isinstance(each, dict) and (each.get("eventSource") or each.get("EventSource")) in _SERVICES
            for each in records
        )
    )


def _identity(event: Mapping[str, Any]) -> str:
    """The same text for events that ask for the same."""
    if event.get("source") in _SCHEDULES:
        event = {name: value for name, value in event.items() if name not in _OF_A_FIRING}
    return json.dumps(event, sort_keys=True)


def _read(aws: Aws, bucket: str, key: str) -> dict[str, Any]:
    """The record; empty where it was deleted meanwhile, or is none."""
    answer = aws.find("s3", "get_object", Bucket=bucket, Key=key)
    if answer is None:
        return {}
    try:
        document = json.loads(answer["Body"].read())
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _reason(document: Mapping[str, Any]) -> str:
    """Why the event failed, in one line: the error of the function, or Lambda's word."""
    context, payload = document.get("requestContext"), document.get("responsePayload")
    error = payload if isinstance(payload, dict) else {}
    parts = [str(error[name]) for name in ("errorType", "errorMessage") if error.get(name)]
    condition = context.get("condition") if isinstance(context, dict) else None
    text = " ".join(": ".join(parts or [str(condition or "not known")]).split())
    return text if len(text) <= _REASON else f"{text[: _REASON - 1]}…"
