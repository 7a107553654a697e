"""The functions' errors. A message says what failed, on which object, why, and what to try; it has no secret."""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Hint(Enum):
    """What to do about an error, for the caller to put into the words of its own interface."""

    PREPARE = "prepare the warehouse"


class PipelineError(Exception):
    """The base class of the functions' errors. Its message is for people."""

    hint: ClassVar[Hint | None] = None
    """What to do about it, where the caller has a command or a call for that."""


class DeclarationError(PipelineError):
    """The declaration of the tables does not hold."""


class ConnectionFailedError(PipelineError):
    """A database could not be reached, or refused the credentials."""


class SourceError(PipelineError):
    """The source is not as the declaration needs it: a table or column is missing, retyped or not readable."""


class LakeError(PipelineError):
    """An object that should be in the lake is not, or cannot be understood."""


class WarehouseError(PipelineError):
    """The warehouse refused a batch, or is not prepared for it."""


class NotPreparedError(WarehouseError):
    """The warehouse lacks a table, a column or a key that load needs."""

    hint = Hint.PREPARE


class GapError(PipelineError):
    """A batch is missing between the last one loaded and a later one."""


def hint_of(error_type: str) -> Hint | None:
    """The hint of the errors whose class is named ``error_type``: ``errorType`` in Lambda's error document."""
    found = globals().get(error_type)
    return found.hint if isinstance(found, type) and issubclass(found, PipelineError) else None
