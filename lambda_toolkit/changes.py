"""A plan as data: what would change, and, unseen, how to make it so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lambda_toolkit.errors import PackageError

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws

Action = Literal["create", "update", "delete"]
Key = tuple[str, str]  # kind and name


@dataclass(frozen=True)
class Change:
    """One change to one thing. ``details`` says what differs, in words without secrets."""

    kind: str
    name: str
    action: Action
    details: tuple[str, ...] = ()
    after: frozenset[Key] = field(default=frozenset(), repr=False, compare=False)
    apply: Callable[[Aws], None] = field(kw_only=True, repr=False, compare=False)

    @property
    def key(self) -> Key:
        """What the change is known by to those that come after it."""
        return self.kind, self.name


@dataclass(frozen=True)
class Artifact:
    """A file for people to look into: the package as it was sent."""

    path: Path
    content: bytes = field(repr=False)

    def write(self) -> None:
        """Write it, unless the file holds these bytes already. Raises PackageError where it cannot be written."""
        try:
            if self.path.is_file() and self.path.read_bytes() == self.content:
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(self.content)
        except OSError as error:
            raise PackageError(
                f"Cannot leave a copy of the package at {self.path}: {error.strerror}. Name another zip_file_name."
            ) from error


@dataclass(frozen=True)
class Plan:
    """What would be done. False where there is nothing to do. ``notes`` says what is left alone, and why."""

    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.changes)
