"""The errors of commands: each has one message for the user."""

from __future__ import annotations


class CommandError(Exception):
    """A command failed. The message says what was done to what, what is wrong, and what to try. Exit code 1."""


class UsageError(CommandError):
    """The arguments of a command contradict each other, or name something that does not exist. Exit code 2."""


class ConfigurationError(CommandError):
    """``config/pipeline.toml`` is missing, malformed or incomplete."""
