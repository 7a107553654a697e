"""The state in the ingestion bucket: each one an object of its own, which is written once and never changed.

The number of a state counts down in its key: S3 lists keys in ascending order only, so one request finds the newest.
Two invocations that write the same number: the conditional put of one is refused, and it starts again from the other's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from .incidents import Incident, Incidents, Known, Trouble
from .letters import Kind, Letter, Slack, State
from .notices import NotifierError

PREFIX = "incidents/"
FORMAT = 1
_LAST = 99_999_999  # the number of a state has eight digits
_LOST = ("PreconditionFailed", "ConditionalRequestConflict")  # another invocation wrote it, or is writing it


class StateFile:
    """The states in ``bucket``, through a boto3 S3 client."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def read(self) -> tuple[int, State]:
        """The newest state and its number; number 0 where there is none. Raises ClientError, NotifierError."""
        key = self._newest()
        if key is None:
            return 0, State()
        content = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return number_of(key), state_of(content, f"s3://{self._bucket}/{key}")

    def _newest(self) -> str | None:
        """The first key. S3 may answer with an empty page before the one that has it."""
        more: dict[str, str] = {}
        while True:
            page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=PREFIX, MaxKeys=1, **more)
            for item in page.get("Contents", ()):
                return str(item["Key"])
            if not page.get("IsTruncated"):
                return None
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def write(self, number: int, state: State) -> bool:
        """Store ``state`` as ``number``. False where another invocation did that before. Raises ClientError."""
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=key_of(number),
                Body=document_of(state),
                IfNoneMatch="*",
                ContentType="application/json",
            )
        except self._client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in _LOST:
                return False
            raise
        return True

    def change(self, change: Callable[[State], State], attempts: int = 20) -> State:
        """Store what ``change`` makes of the newest state, if it differs, and return it. ``change`` may run repeatedly.

        Raises NotifierError where other invocations were faster each time.
        """
        for _ in range(attempts):
            number, before = self.read()
            after = change(before)
            if after == before or self.write(number + 1, after):
                return after
        raise NotifierError(
            f"The state in s3://{self._bucket}/{PREFIX} was changed by others {attempts} times in a row."
        )


def key_of(number: int) -> str:
    """The key of the state ``number``."""
    return f"{PREFIX}{_LAST - number:08}.json"


def number_of(key: str) -> int:
    """The number of the state whose key is ``key``. Raises NotifierError for a key of others."""
    digits = key.removeprefix(PREFIX).removesuffix(".json")
    if not (digits.isascii() and digits.isdigit()):
        raise NotifierError(f"The object {key} is in the place of the notifier's states, and is none.")
    return _LAST - int(digits)


def document_of(state: State) -> bytes:
    """``state`` as JSON, times in ISO 8601."""
    return json.dumps({"format": FORMAT, **asdict(state)}, default=_text, ensure_ascii=False, indent=1).encode()


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def state_of(content: bytes, place: str) -> State:
    """The state in the JSON ``content``, from ``place``. Raises NotifierError."""
    try:
        document = json.loads(content)
        if document["format"] != FORMAT:
            raise NotifierError(f"{place} has the format {document['format']!r}; this code reads format {FORMAT}.")
        incidents = document["incidents"]
        return State(
            incidents=Incidents(
                open=tuple(map(_incident, incidents["open"])),
                closed=tuple(map(_incident, incidents["closed"])),
                covered={name: _time(text) for name, text in incidents["covered"].items()},
                known={
                    name: Known(item["state"], item["bad"], _optional_time(item["since"]))
                    for name, item in incidents["known"].items()
                },
            ),
            letters=tuple(map(_letter, document["letters"])),
            seen=tuple(document["seen"]),
            slack_fails_since=_optional_time(document["slack_fails_since"]),
            slack_reason=document["slack_reason"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotifierError(
            f"{place} is not a state of the notifier ({type(error).__name__}). Delete it to go on from the one before."
        ) from error


def _incident(item: dict[str, Any]) -> Incident:
    troubles = tuple(
        Trouble(trouble["alarm"], _time(trouble["since"]), trouble["reason"], trouble["description"])
        for trouble in item["troubles"]
    )
    return Incident(item["key"], _time(item["began"]), _time(item["last_bad"]), troubles, item["over"])


def _letter(item: dict[str, Any]) -> Letter:
    own = {
        **item,
        "kind": Kind(item["kind"]),
        "slack": Slack(item["slack"]),
        "written": _time(item["written"]),
        "incident": _incident(item["incident"]) if item["incident"] else None,
        "not_before": _optional_time(item["not_before"]),
        "claimed_until": _optional_time(item["claimed_until"]),
    }
    return Letter(**own)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _optional_time(text: str | None) -> datetime | None:
    return None if text is None else _time(text)
