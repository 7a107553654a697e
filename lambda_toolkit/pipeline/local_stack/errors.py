"""What the embedded stack raises: one message that says what was being done, what is wrong and what to try."""

from __future__ import annotations


class LocalError(Exception):
    """The embedded stack could not do what it was asked. The message is for the person at the keyboard."""
