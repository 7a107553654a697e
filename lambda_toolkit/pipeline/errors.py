"""What a command raises when it cannot do what it was asked: one message for the person at the keyboard."""

from __future__ import annotations


class CommandError(Exception):
    """A message that says what was being done, to what, what is wrong and what to try. Exit code 1."""


class UsageError(CommandError):
    """The command was called in a way that cannot be meant. Exit code 2."""


class ConfigurationError(CommandError):
    """``config/pipeline.toml`` is missing, malformed or incomplete."""
