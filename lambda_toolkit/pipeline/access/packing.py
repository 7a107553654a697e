"""How values travel in JSON: rows as the driver has them, and long documents in few bytes.

An event and a result of Lambda have at most 6 MB: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError

LARGEST = 64 * 1024 * 1024
"""Bytes that a packed document may have: an event of some KB could otherwise fill the memory."""
_LEVEL = 6  # of zlib

_TYPES: Mapping[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    datetime: ("timestamp", datetime.isoformat, datetime.fromisoformat),
    date: ("date", date.isoformat, date.fromisoformat),
    time: ("time", time.isoformat, time.fromisoformat),
    timedelta: (
        "interval",
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda parts: timedelta(*parts),
    ),
    Decimal: ("numeric", str, Decimal),
    UUID: ("uuid", str, UUID),
    bytes: ("bytea", bytes.hex, bytes.fromhex),
    dict: ("json", dict, dict),
}
_READERS = {name: read for name, _, read in _TYPES.values()}


def to_json(value: Any) -> Any:
    """A value of the driver as JSON: what JSON lacks is ``{type: text}``, and so is an object.

    Raises PipelineError for a value of another type.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if type(value) in _TYPES:
        name, write, _ = _TYPES[type(value)]
        return {name: write(value)}
    raise PipelineError(f"A value of the type {type(value).__name__} cannot be in an answer: cast it to text.")


def from_json(value: Any) -> Any:
    """The value that ``to_json`` made ``value`` of. Raises PipelineError for what it does not make."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, dict):
        for name, content in value.items():
            if len(value) == 1 and name in _READERS:
                return _READERS[name](content)
        raise PipelineError("The answer has a value of a type that is not known here.")
    return value


def pack(document: Mapping[str, Any]) -> str:
    """``document`` as JSON, compressed, in base64."""
    return base64.b64encode(compressed(document)).decode()


def compressed(document: Any) -> bytes:
    """``document`` as JSON, compressed."""
    return zlib.compress(json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape"), _LEVEL)


def unpack(text: str, of: str) -> dict[str, Any]:
    """The object that ``pack`` made ``text`` of; ``of`` names it in an error.

    Raises PipelineError for what is none, and for one that is larger than LARGEST.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise PipelineError(f"{of} is not a packed document: it is not base64.") from error
    found = decompressed(content, of)
    if not isinstance(found, dict):
        raise PipelineError(f"{of} must be a packed object, not {type(found).__name__}.")
    return found


def decompressed(content: bytes, of: str) -> Any:
    """The document that ``compressed`` made ``content`` of. Raises PipelineError as ``unpack``."""
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(content, LARGEST)
        if reader.unconsumed_tail:
            raise PipelineError(f"{of} has more than {LARGEST:,} bytes.")
        if not reader.eof:
            raise PipelineError(f"{of} is not a packed document: its end is missing.")
        return json.loads(text.decode("utf-8", "surrogateescape"))
    except (zlib.error, ValueError) as error:
        raise PipelineError(f"{of} is not a packed document: {type(error).__name__}.") from None
