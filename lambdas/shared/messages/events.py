"""The requests and results of the three functions, as frozen dataclasses that the functions and their callers share.

A request is a JSON object ``{"action": name, ...}``. Each function takes ``{"action": "check"}``; an event of
EventBridge or S3 is read as one of the requests. A request with an unknown action, an unknown key or a value of the
wrong type is refused; a reader of results ignores keys that it does not know, so that fields may be added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, TypeVar
from urllib.parse import unquote_plus

from ..errors import PipelineError
from .message import Message, Minimum

BatchNumber = Annotated[int, Minimum(1)]
"""The number of a batch; the first is 1."""


class Request(Message):
    """The base of all requests."""

    STRICT = True
    action: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """The event: ``{"action": name, ...}`` with one key per field."""
        return {"action": self.action, **super().to_json()}


@dataclass(frozen=True)
class CheckRequest(Request):
    """Asks a new version whether it has everything it needs, before it goes live; changes nothing."""

    action = "check"


@dataclass(frozen=True)
class CheckResult(Message):
    """The version has everything it needs; otherwise it raises."""

    checked: bool = True


# ------------------------------------------------------------------------------------------------------------- extract


@dataclass(frozen=True)
class ExtractRequest(Request):
    """Extracts what changed in the source since the last batch."""

    action = "extract"

    full: bool | tuple[str, ...] = ()
    """The tables to read in full and compare with earlier batches; true: all of them."""
    accept_types: tuple[str, ...] = ()
    """Columns, as ``table.column``, whose type was changed in the source on purpose."""


@dataclass(frozen=True)
class ExtractResult(Message):
    """What one invocation of extract wrote, in one or more batches."""

    batch: int | None = None
    """The last batch that this invocation wrote; null: nothing had changed, or another run was first."""
    last_batch: int | None = None
    """The last batch in the lake; null: there is none."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Changed rows per source table."""
    deleted: Mapping[str, int] = field(default_factory=dict)
    """Deleted keys per source table."""
    incomplete: Mapping[str, str] = field(default_factory=dict)
    """The tables with more to read, and how far they were read; the next invocation continues."""


# ----------------------------------------------------------------------------------------------------------- transform


@dataclass(frozen=True)
class TransformRequest(Request):
    """Transforms one batch, unless it is transformed already."""

    action = "transform"

    batch: BatchNumber


@dataclass(frozen=True)
class TransformReplayRequest(Request):
    """Reprocesses one batch with the current code and declarations; a different outcome is the next revision."""

    action = "replay"

    batch: BatchNumber


@dataclass(frozen=True)
class SweepRequest(Request):
    """Transforms the batches whose event was missed and deletes orphaned files, as the scheduled run does."""

    action = "sweep"


@dataclass(frozen=True)
class ManifestsWritten:
    """A notification of S3: objects were created. No command sends it."""

    action: ClassVar[str] = "transform"
    keys: tuple[str, ...]


@dataclass(frozen=True)
class TransformResult(Message):
    """The batches that are transformed now, whether by this invocation or an earlier one."""

    batches: tuple[int, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    """Rows per warehouse table."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Rejected rows per warehouse table."""


@dataclass(frozen=True)
class SweepResult(TransformResult):
    """The batches whose event was missed, and the number of orphaned files deleted."""

    swept: int = 0


@dataclass(frozen=True)
class TransformReplayResult(Message):
    """The newest revision of a batch."""

    batch: int
    revision: int
    rejected: Mapping[str, int]
    """Rejected rows per warehouse table."""
    changed: bool
    """Whether this invocation wrote the revision: the outcome differs from the one before."""


# ---------------------------------------------------------------------------------------------------------------- load


@dataclass(frozen=True)
class LoadRequest(Request):
    """Loads the batches that the warehouse does not have yet, in order."""

    action = "load"


@dataclass(frozen=True)
class ReportRequest(Request):
    """Asks what is loaded; the answer is a LoadResult that lists no batches."""

    action = "report"


@dataclass(frozen=True)
class RejectedRequest(Request):
    """Asks which rows are outstanding: rejected, or pending."""

    action = "rejected"


@dataclass(frozen=True)
class LoadReplayRequest(Request):
    """Applies the newest revisions of loaded batches again."""

    action = "replay"

    batches: tuple[BatchNumber, ...]


@dataclass(frozen=True)
class RebuildRequest(Request):
    """Loads the next batches into a shadow schema of the same database."""

    action = "rebuild"

    schema: str


@dataclass(frozen=True)
class CompareRequest(Request):
    """Compares the live warehouse with a shadow schema."""

    action = "compare"

    schema: str


@dataclass(frozen=True)
class OpenCounts(Message):
    """Rows that are not in the warehouse."""

    rejected: int = 0
    """Rows that transform could not convert."""
    pending: int = 0
    """Rows that wait for a referenced row, or lack a value that the warehouse requires."""


@dataclass(frozen=True)
class LoadResult(Message):
    """What one invocation loaded, and the last batch in the warehouse."""

    loaded: tuple[int, ...] = ()
    """The batches loaded by this invocation."""
    last_batch: int | None = None
    """The last batch in the warehouse; null: none."""
    extracted_at: str | None = None
    """The snapshot time of the last batch, ISO 8601, UTC."""
    loaded_at: str | None = None
    """When the last batch was loaded, ISO 8601, UTC."""
    missing_batch: int | None = None
    """The next batch, where it is missing although a later one is in the lake; null: nothing is missing."""
    appended: Mapping[str, int] = field(default_factory=dict)
    """Rows written per warehouse table, upserted rows of dimensions included."""
    pending: Mapping[str, int] = field(default_factory=dict)
    """Rows per warehouse table that this invocation deferred."""
    open: OpenCounts = field(default_factory=OpenCounts)
    busy: bool = False
    """Whether another load was running, so that this one did nothing."""
    differences: tuple[str, ...] = ()
    """Of a report: foreign keys and NOT NULL that differ between the warehouse and its declaration."""


@dataclass(frozen=True)
class LoadReplayResult(Message):
    """What was applied again."""

    replayed: tuple[int, ...] = ()
    written: Mapping[str, int] = field(default_factory=dict)
    """Rows written per warehouse table."""
    not_loaded: tuple[int, ...] = ()
    """Batches asked for that are not loaded yet: the next load takes them in their newest revision."""
    left: tuple[int, ...] = ()
    """Batches left for another invocation, because time was up or another load was running."""
    busy: bool = False
    open: OpenCounts = field(default_factory=OpenCounts)


@dataclass(frozen=True)
class RebuildResult(Message):
    """How far a shadow schema is filled."""

    last_batch: int | None = None
    loaded: tuple[int, ...] = ()
    replayed: tuple[int, ...] = ()
    missing_batch: int | None = None
    done: bool = False
    """Whether the schema contains all that the lake does."""
    busy: bool = False


@dataclass(frozen=True)
class TableComparison(Message):
    """One table of two warehouses."""

    table: str
    rows: tuple[int, ...]
    """The rows on each side: the live warehouse's, the shadow's."""
    differences: int
    renumbered: int
    """Versions whose record number alone differs."""
    examples: tuple[str, ...] = ()
    """At most five differences in words."""


@dataclass(frozen=True)
class CompareResult(Message):
    """What differs between the live warehouse and a shadow schema."""

    equal: bool = False
    last_batches: tuple[int | None, ...] = (None, None)
    """The last batch of each side."""
    rows: int = 0
    """Rows in the published tables of the live warehouse."""
    renumbered: int = 0
    """Versions whose record number alone differs."""
    replayed: bool = False
    """Whether batches were replayed into the live warehouse, which numbers late versions differently."""
    tables: tuple[TableComparison, ...] = ()
    busy: bool = False


@dataclass(frozen=True)
class OpenItem(Message):
    """One reason that keeps a row out of the warehouse."""

    batch: int
    table: str
    key: str
    column: str | None
    value: str | None
    reason: str


@dataclass(frozen=True)
class RejectedResult(Message):
    """The outstanding rows, oldest first; the lists are cut, the counts are not."""

    counts: OpenCounts = field(default_factory=OpenCounts)
    batches: tuple[int, ...] = ()
    """Batches with rejected rows, which a replay may convert."""
    rejected: tuple[OpenItem, ...] = ()
    pending: tuple[OpenItem, ...] = ()
    last_batch: int | None = None
    """The last batch in the warehouse; null: none. Nothing is known of the rows of later ones."""


# ------------------------------------------------------------------------------------------------------------- readers

R = TypeVar("R", bound=Request)

Event = Mapping[str, Any]
TransformEvent = TransformRequest | TransformReplayRequest | SweepRequest | ManifestsWritten
LoadEvent = LoadRequest | ReportRequest | RejectedRequest | LoadReplayRequest | RebuildRequest | CompareRequest

_TRANSFORM: tuple[type[TransformRequest | TransformReplayRequest | SweepRequest], ...] = (
    TransformRequest,
    TransformReplayRequest,
    SweepRequest,
)
_LOAD: tuple[type[LoadEvent], ...] = (
    LoadRequest,
    ReportRequest,
    RejectedRequest,
    LoadReplayRequest,
    RebuildRequest,
    CompareRequest,
)


def extract_request(event: Event) -> ExtractRequest:
    """The request in ``event``; an empty event and one of EventBridge ask for a plain extract. Raises PipelineError."""
    if event == {} or is_scheduled("extract", event):
        return ExtractRequest()
    return request_in("extract", event, (ExtractRequest,))


def transform_request(event: Event) -> TransformEvent:
    """The request in ``event``: a notification of S3, a scheduled run of EventBridge, or an action.

    The test event that S3 sends when a notification is configured names no keys. Raises PipelineError.
    """
    if is_scheduled("transform", event):
        return SweepRequest()
    if event.get("Event") == "s3:TestEvent":
        return ManifestsWritten(())
    if "Records" in event:
        return ManifestsWritten(tuple(_keys_of(event)))
    return request_in("transform", event, _TRANSFORM)


def load_request(event: Event) -> LoadEvent:
    """The request in ``event``; an empty event and one of EventBridge ask for a plain load. Raises PipelineError."""
    if event == {} or is_scheduled("load", event):
        return LoadRequest()
    return request_in("load", event, _LOAD)


def _object(function: str, event: object) -> Event:
    if not isinstance(event, Mapping):
        raise PipelineError(f"The event of {function} must be a JSON object, not {type(event).__name__}.")
    return event


def _keys_of(event: Event) -> Iterator[str]:
    """The keys in a notification of S3, which has nothing beside its records."""
    records = event["Records"]
    if not isinstance(records, list) or set(event) != {"Records"}:
        raise PipelineError("A notification of S3 must have the key `Records` alone, a list of objects.")
    for record in records:
        try:
            key = record["s3"]["object"]["key"]
        except (KeyError, TypeError, IndexError) as error:
            raise PipelineError("A record of the notification of S3 has no s3.object.key.") from error
        if not isinstance(key, str):
            raise PipelineError(f"A record of the notification of S3 must have a text as s3.object.key, not {key!r}.")
        yield unquote_plus(key)


def is_scheduled(function: str, event: Event) -> bool:
    """Whether a rule or EventBridge Scheduler sent ``event``. Raises PipelineError where it is no object."""
    return _object(function, event).get("source") in ("aws.events", "aws.scheduler")


def request_in(function: str, event: Event, types: tuple[type[R], ...]) -> R:
    """The request in ``event``, one of ``types``. Raises PipelineError."""
    known = ", ".join((*(request.action for request in types), CheckRequest.action))
    if "action" not in event:
        raise PipelineError(f'The event of {function} must be {{"action": name, ...}}; the actions are {known}.')
    for request in types:
        if request.action == event["action"]:
            fields = {key: value for key, value in event.items() if key != "action"}
            return request.from_json(fields, f"The event of {function}, action {request.action},")
    raise PipelineError(f"{function} has the actions {known}, not {event['action']!r}.")
