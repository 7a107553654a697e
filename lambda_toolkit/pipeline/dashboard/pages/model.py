"""What all pages are made of: sections with what their templates show, problems with the command that helps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lambda_toolkit.pipeline.dashboard.readings import Reading, Request

GOOD, WARNING, BAD, UNKNOWN, WORKING = "good", "warning", "bad", "unknown", "working"
"""The states of what is checked. The stylesheet has a colour for each, the templates a sign and a word."""


@dataclass(frozen=True)
class View:
    """What a page is made of beside its parameters."""

    readings: Mapping[str, Reading]
    """The documents that the page asked for, by their names."""
    now: datetime
    command: Callable[[str], str]
    """What to type for a command such as ``logs load``; for ``""``, what deploys."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Those of the address: which batch, which row."""

    def document(self, name: str) -> Mapping[str, Any]:
        """The document, empty where it could not be read."""
        reading = self.readings.get(name)
        return (reading.document if reading else None) or {}

    def problem(self, name: str) -> str | None:
        """Why the document could not be read; None where it was."""
        reading = self.readings.get(name)
        return reading.problem if reading else None


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, since when, and what to type about it."""

    state: str
    title: str
    detail: str = ""
    since: str = ""
    """A time; empty where it is not known."""
    commands: tuple[str, ...] = ()
    """The commands that help, the first one first."""
    reason: str = ""
    """What AWS or a server says of it."""


@dataclass(frozen=True)
class Verdict:
    """The answer in one word, and the sentence below it."""

    state: str
    word: str
    sentence: str


@dataclass(frozen=True)
class Section:
    """A part of a page that is replaced as a whole when it changes."""

    id: str
    title: str
    macro: str
    """The template's macro that shows it, of the page's own template."""
    shown: Mapping[str, Any] = field(default_factory=dict)
    """What the macro is called with."""
    width: str = "full"
    """``full`` or ``half``."""
    problem: str | None = None
    """Why there is nothing to show, or only what was read earlier."""
    nothing: str = ""
    """What is said where there is nothing to show, and no problem."""


@dataclass(frozen=True)
class Page:
    """A page in full, but for its frame."""

    name: str
    title: str
    verdict: Verdict
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class PageKind:
    """One of the pages: where it is, which documents it needs, and how it is made of them."""

    name: str
    """Also its address, below the dashboard's; the first page has the dashboard's own."""
    title: str
    requests: Callable[[Mapping[str, str]], tuple[Request, ...]]
    """The documents for the parameters of its address."""
    sections: Callable[[View], tuple[Section, ...]]
