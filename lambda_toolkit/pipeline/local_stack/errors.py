"""The local stack's error: its message says what was being done, what is wrong and what to try."""

from __future__ import annotations


class LocalError(Exception):
    """An operation of the local stack failed. The message is for the user."""
