"""The rule that says which mutants matter: docs/mutants.md has it in words. What it excludes, it excludes by name."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where a change is."""

    scope: str
    labels: tuple[str, ...]
    """What surrounds it, the outermost first: "message", "sql", "call:logger.info", "keyword:help" ..."""
    names: tuple[str, ...]


WORDING = "wording"
SPEED = "speed only"
TYPES = "types only"
SAMPLE = "sample data"

_TELLS = re.compile(
    r"call:(?:(?:logger|_logger|log|console|_console|warnings|click|screen|report|print|err)\.)?"
    r"(?:debug|info|warning|warn|error|exception|echo|secho|print|style|rule|confirm|prompt|add_row|add_column"
    r"|tables|append_keys|add_metric)$"
)
_WORDING_KEYWORDS = {"help", "metavar", "short_help", "epilog", "title", "prompt", "description", "hint", "advice"}
_SPEED = re.compile(
    r"^_?(?:[A-Z]+_)*(?:PAGE|CHUNK|CHUNK_SIZE|CHUNK_ROWS|BUFFER|PARALLEL|THREADS|WORKERS|CONNECTIONS|PAUSE|PAUSES|INTERVAL|"
    r"ATTEMPTS|POLL|ROW_GROUP|ROW_GROUP_ROWS|PREFETCH|BATCH_ROWS|BLOCK|PIECE|TIMEOUT)(?:_[A-Z]+)*$"
)
_SAMPLE = ("lambda_toolkit/pipeline/local_stack/totesys/*",)
_TYPE_CALLS = {"call:cast", "call:typing.cast", "call:TypeVar", "call:NewType", "call:ParamSpec"}


def reason(file: str, operator: str, old: str, place: Place) -> str | None:
    """Why a change does not matter; None when it does."""
    if any(fnmatch.fnmatch(file, pattern) for pattern in _SAMPLE):
        return SAMPLE
    if place.labels and place.labels[-1] == "words":
        return WORDING
    if "message" in place.labels or any(_TELLS.match(label) for label in place.labels):
        return WORDING
    if any(label.startswith("keyword:") and label[8:] in _WORDING_KEYWORDS for label in place.labels):
        return WORDING
    if place.scope.rsplit(".", 1)[-1] in ("__repr__", "__str__", "__rich__"):
        return WORDING
    if _TYPE_CALLS & set(place.labels) and operator in ("string", "arguments swapped"):
        return TYPES
    if operator == "constant" and any(_SPEED.match(name) for name in place.names):
        return SPEED
    return None
