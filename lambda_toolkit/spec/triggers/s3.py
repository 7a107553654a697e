"""S3 events that invoke a function: the declaration, its forms, and what S3 would reject. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.errors import TriggerError
from lambda_toolkit.spec.bucket import BUCKET_NAMES, is_bucket_name
from lambda_toolkit.spec.limit_checks import Found, unknown_value

_S3_EVENTS = (
    *(f"s3:ObjectCreated:{how}" for how in ("*", "Put", "Post", "Copy", "CompleteMultipartUpload")),
    *(f"s3:ObjectRemoved:{how}" for how in ("*", "Delete", "DeleteMarkerCreated")),
)
_LONGEST_KEY = 1024  # bytes of an object's key, and so of a prefix or suffix


@dataclass(frozen=True)
class S3Trigger:
    """An S3 event notification that invokes the function.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
    """

    bucket: str
    """The bucket's name. The bucket must be in the function's region and account."""
    prefix: str = ""
    """Only objects whose keys begin with this."""
    suffix: str = ""
    """Only objects whose keys end with this."""
    events: tuple[str, ...] = ("s3:ObjectCreated:*",)
    """S3's event types."""

    @classmethod
    def of(cls, value: S3Trigger | Mapping[str, Any]) -> S3Trigger:
        """``value`` itself, or the trigger with the fields of a mapping. Raises TypeError for other values."""
        if isinstance(value, S3Trigger):
            return value
        events = value.get("events", cls.events)
        return cls(**{**value, "events": (events,) if isinstance(events, str) else tuple(events)})


S3Triggers = S3Trigger | Mapping[str, Any] | Sequence[S3Trigger | Mapping[str, Any]]
"""One or several S3 events, or mappings with the fields of :class:`S3Trigger`."""


def read(value: Any) -> tuple[S3Trigger, ...] | None:
    """The S3 triggers that ``value`` declares; ``None`` where it is. Raises TriggerError."""
    if value is None:
        return None
    items = (value,) if isinstance(value, S3Trigger | Mapping) else value
    try:
        if isinstance(items, str):
            raise TypeError
        triggers = tuple(S3Trigger.of(item) for item in items)
    except (TypeError, AttributeError) as error:
        raise TriggerError(_message(value)) from error
    for trigger in triggers:
        events = trigger.events if isinstance(trigger.events, tuple | list) else (None,)
        if not all(isinstance(text, str) for text in (trigger.bucket, trigger.prefix, trigger.suffix, *events)):
            raise TriggerError(_message(trigger))
    return triggers


def problems(triggers: Sequence[S3Trigger], function: object) -> Found:
    """What S3 would reject: a sentence each, with what to write instead."""
    for trigger in triggers:
        if not is_bucket_name(trigger.bucket):
            yield f"its trigger's bucket `{trigger.bucket}`: {BUCKET_NAMES}"
        for event in trigger.events:
            if event not in _S3_EVENTS:
                otherwise = "is not an event of S3; write it like s3:ObjectCreated:*"
                yield from unknown_value("s3", "Event", "its trigger's event", event, otherwise)
        for what, text in (("prefix", trigger.prefix), ("suffix", trigger.suffix)):
            size = len(text.encode(errors="surrogatepass"))
            if size > _LONGEST_KEY:
                yield f"its trigger's {what} has {size} bytes; a key of S3 has at most {_LONGEST_KEY}."


def _message(value: Any) -> str:
    return (
        f"s3_trigger takes `bucket`, and may take `prefix`, `suffix` and `events`, all of them strings: "
        f'{{"bucket": "my-lake", "prefix": "in/"}}. {value!r} does not fit.'
    )
