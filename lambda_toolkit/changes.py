"""Plans and reports as data. A change carries the function that applies it; everything else is a value."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lambda_toolkit.errors import MASK, Advice, PackageError, ToolkitError, Wording, advised
from lambda_toolkit.spec.model import Kind

if TYPE_CHECKING:
    from lambda_toolkit.aws.client import Aws

Action = Literal["create", "update", "delete"]
State = Literal["started", "done", "failed", "skipped"]
Key = tuple[Kind, str]  # the kind and the name of a resource
_LONGEST = 100  # characters of a value in a line of output
_CONTEXT = 20  # characters shown before the first difference of two long values


@dataclass(frozen=True, repr=False)
class Difference:
    """One attribute whose live value differs from the declaration. ``str`` and ``repr`` mask secret values."""

    attribute: str
    """AWS's name of the attribute; a nested one is joined by a dot: ``Environment.COLOUR``, ``tags.team``."""
    live: Any
    """The value on AWS; ``None`` where there is none."""
    desired: Any
    """The declared value; ``None`` where the attribute is to be removed."""
    secret: bool = False
    """Whether the values are masked wherever they are shown."""

    @property
    def shown_live(self) -> Any:
        """The live value, masked where it is secret."""
        return self._shown(self.live)

    @property
    def shown_desired(self) -> Any:
        """The desired value, masked where it is secret."""
        return self._shown(self.desired)

    def _shown(self, value: Any) -> Any:
        return MASK if self.secret and value is not None else value

    def __str__(self) -> str:
        """``attribute: live -> desired``, with long values shortened."""
        live, desired = _shorter(_as_text(self.shown_live), _as_text(self.shown_desired))
        return f"{self.attribute}: {live} -> {desired}"

    def __repr__(self) -> str:
        """Like a dataclass's, with secret values masked."""
        return f"Difference({self.attribute!r}, live={self.shown_live!r}, desired={self.shown_desired!r})"


def _as_text(value: Any) -> str:
    if value is None or (isinstance(value, str | list | tuple | dict) and not value):
        return "none"
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, sort_keys=True, default=str)
    return str(value)


def _shorter(live: str, desired: str) -> tuple[str, str]:
    """Both values, shortened to a line's width: a long common prefix is omitted from both."""
    if max(len(live), len(desired)) > _LONGEST:
        same = next((at for at, pair in enumerate(zip(live, desired, strict=False)) if pair[0] != pair[1]), 0)
        if same > _CONTEXT:
            start = same - _CONTEXT
            live, desired = f"...{live[start:]}", f"...{desired[start:]}"
    return _cut(live), _cut(desired)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


@dataclass(frozen=True)
class Change:
    """One change to one resource."""

    kind: Kind
    """The resource's kind, such as ``function`` or ``log group``."""
    name: str
    """Its name on AWS."""
    action: Action
    details: tuple[str, ...] = ()
    """What is not an attribute, in words and without secrets: the size of the package, side effects."""
    after: frozenset[Key] = field(default=frozenset(), repr=False, compare=False)
    """The changes that this one depends on. Keys that are not in the plan are ignored."""
    differences: tuple[Difference, ...] = ()
    """The attributes that differ."""
    missing: frozenset[Key] = field(default=frozenset(), kw_only=True, repr=False, compare=False)
    """What it needs and does not exist: the plan notes what of that it does not create."""
    package: bytes | None = field(default=None, repr=False, compare=False)
    """The archive that a function's change would upload, to compare the deployed one with."""
    apply: Callable[[Aws], str | None] = field(kw_only=True, repr=False, compare=False)
    """Makes the change. Returns what is known only then, such as a URL, for people. Raises ToolkitError."""

    @property
    def key(self) -> Key:
        """The identity of the change, for changes that depend on it."""
        return self.kind, self.name


@dataclass(frozen=True)
class Artifact:
    """A copy of a package, written to disk for inspection."""

    path: Path
    content: bytes = field(repr=False)

    def write(self) -> None:
        """Write it, unless the file has this content already. Raises PackageError where it cannot be written."""
        try:
            if self.path.is_file() and self.path.read_bytes() == self.content:
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(self.content)
        except OSError as error:
            raise PackageError(
                f"Cannot write a copy of the package to {self.path}: {error.strerror}. Choose another zip_file_name."
            ) from error


@dataclass(frozen=True)
class Plan:
    """What would be changed. False where nothing differs."""

    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    """What is left unchanged and why, and what else deserves attention; without secrets."""
    advice: tuple[Advice, ...] = ()
    """What else could be done, such as :attr:`Hint.DELETE_DATA` where data is kept."""
    artifacts: tuple[Artifact, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        """Whether there is a change."""
        return bool(self.changes)


@dataclass(frozen=True)
class Failure:
    """A change that was not made. ``message`` says why, without secrets."""

    change: Change
    message: str
    advice: Advice | None = None

    def worded(self, wording: Wording) -> str:
        """The message with the advice in the words of ``wording``."""
        return advised(self.message, self.advice, wording)


@dataclass(frozen=True)
class Report:
    """The outcome of a plan: each of its changes is in exactly one of the three, in the order of completion.

    ``skipped`` are changes that were not attempted because one that they depend on failed.
    """

    done: tuple[Change, ...] = ()
    failed: tuple[Failure, ...] = ()
    skipped: tuple[Failure, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every change was made."""
        return not self.failed and not self.skipped

    @property
    def total(self) -> int:
        """The number of changes in the plan."""
        return len(self.done) + len(self.failed) + len(self.skipped)


@dataclass(frozen=True)
class Progress:
    """A change entered a new state; ``finished`` of ``total`` changes are done, failed or skipped."""

    change: Change
    state: State
    finished: int
    total: int
    message: str = ""
    advice: Advice | None = None

    def worded(self, wording: Wording) -> str:
        """The message with the advice in the words of ``wording``."""
        return advised(self.message, self.advice, wording)


class DeployError(ToolkitError):
    """Some changes of a plan were not made. ``report`` lists what was done, what failed and what was skipped."""

    def __init__(self, report: Report) -> None:
        self.report = report
        super().__init__(self.worded({}))

    def worded(self, wording: Wording) -> str:
        """A line for each change that was not made, with its advice, and a summary."""

        def line(failure: Failure, prefix: str = "") -> str:
            message = failure.worded(wording) if wording else failure.message
            return f"{failure.change.kind} {failure.change.name}: {prefix}{message}"

        failed = (line(failure) for failure in self.report.failed)
        skipped = (line(failure, "not tried: ") for failure in self.report.skipped)
        done = f"{len(self.report.done)} of {self.report.total} changes were made; the same command makes the rest."
        return "\n".join((*failed, *skipped, done))
