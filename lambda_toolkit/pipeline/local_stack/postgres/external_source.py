"""A source that the stack did not start: a database of the user's, which its pipeline reads and nothing here writes to.

Its URL is in the memory of the emulated AWS and in ``stack.json``, readable by its owner alone, while the stack is up.
``down`` forgets it. Which database the lake and the warehouse are of stays known, without a user or a password.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.local_stack import private_files
from lambda_toolkit.pipeline.local_stack.errors import LocalError

FILE = "source.json"  # which database the data is of
_SECRETS = "emulator/state/secretsmanager*"  # where the emulated AWS keeps secrets while it is down


@dataclass(frozen=True)
class ExternalSource:
    """A database that the stack reads because it was asked to, by ``--source-url``."""

    url: str = field(repr=False)
    place: str
    """The database and its server, as messages name them: ``shop at db.example.com:5432``."""


def remember(directory: Path, source: ExternalSource | None) -> None:
    """Note which database the data of the stack below ``directory`` is of; None: the stack's own."""
    if source is None:
        (directory / FILE).unlink(missing_ok=True)
    else:
        private_files.write(directory / FILE, {"place": source.place})


def recall(directory: Path) -> str | None:
    """The place of the database that the data of the stack is of; None: the stack's own."""
    path = directory / FILE
    return str(json.loads(path.read_text(encoding="utf-8"))["place"]) if path.is_file() else None


def check_same(directory: Path, source: ExternalSource | None) -> None:
    """Raise LocalError where the lake and the warehouse below ``directory`` are of another database than ``source``."""
    before, now = recall(directory), source.place if source else None
    if before == now:
        return
    begin = f"To begin with nothing: {suggested('local down --wipe')}"
    if before is None:
        raise LocalError(f"The lake and the warehouse here are of the stack's own source, and not of {now}. {begin}")
    if now is None:
        again = suggested("local up --source-url URL")
        raise LocalError(
            f"The lake and the warehouse here are of {before}, whose URL `local down` has forgotten. "
            f"To go on with it: {again}. {begin}"
        )
    raise LocalError(f"The lake and the warehouse here are of {before}, and not of {now}. {begin}")


def forget_url(directory: Path) -> None:
    """Delete the secrets of an emulated AWS that is down: the next deploy stores them again, from what it is given."""
    for path in directory.glob(_SECRETS):
        path.unlink()
