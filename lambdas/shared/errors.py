"""What can go wrong, told to people: what was being done, to what, what is wrong, what to try. Never a secret."""

from __future__ import annotations


class PipelineError(Exception):
    """The base of them all. Its message is for people."""


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


class GapError(PipelineError):
    """A batch is missing between the last one loaded and a later one."""
