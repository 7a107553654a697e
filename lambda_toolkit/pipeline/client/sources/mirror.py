"""Keeps ``config/mirror.json`` up to date with the source, where the environment has the source's URL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.aws.deployment import check_mirror
from lambda_toolkit.pipeline.errors import CommandError

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.config.mirror import Mirror
    from lambda_toolkit.pipeline.proposal.mirror import Mirrored


class Follow(Enum):
    """What of the source's changes enters the mirror: what the warehouse has, or gets by the same command."""

    NOTHING = "nothing"
    """What changed is said only. A first mirror is made."""
    TABLES = "tables"
    """New and removed tables, and dropped columns that may be NULL: what needs no ALTER TABLE."""
    EVERYTHING = "everything"


@dataclass(frozen=True)
class Refreshed:
    """A target with its mirror, and how the source differs from that."""

    target: Target
    source: Target
    """``target`` with the mirror that the source would have."""
    changes: tuple[str, ...] = ()
    """What is different from ``config/mirror.json`` as it was, sentences."""
    notes: tuple[str, ...] = ()
    """What is not mirrored, and why; or why the source was not asked. Sentences."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The notes and the changes, as one shows them."""
        return (*(f"Mirror: {text}" for text in self.changes), *(f"Note: {text}" for text in self.notes))


def refreshed(target: Target, follow: Follow, *, write: bool = True) -> Refreshed:
    """``target`` with its mirror, which follows the source as ``follow`` says where the environment has its URL.

    With ``write``, ``config/mirror.json`` is written where it changes. Without ``[warehouse] mirror``, and without a
    URL, ``target`` as it is. A source that cannot be reached is a note where there is a mirror already. Raises
    CommandError where there is none, and PipelineError.
    """
    pipeline = target.pipeline
    if not pipeline.mirrored:
        return Refreshed(target, target)
    from lambda_toolkit.pipeline.client.sources.catalogs import may_be_read  # few pipelines have a mirror
    from lambda_toolkit.pipeline.config.mirror import MIRROR_FILE, read_mirror, to_json, with_mirror

    if not may_be_read(target):
        check_mirror(pipeline)
        return Refreshed(target, target)
    previous = read_mirror(pipeline.root)
    made = _asked(target, previous)
    if isinstance(made, str):
        if previous is None:
            raise CommandError(f"{MIRROR_FILE} cannot be made: {made}")
        return Refreshed(target, target, notes=(f"{MIRROR_FILE} was used as it is: {made}",))
    if not made.mirror.tables:
        raise CommandError("\n".join(("[warehouse] `mirror` means no table that can be read.", *made.notes)))
    followed = _followed(made.mirror, previous, follow)
    if write and followed != previous:
        _write(target.pipeline.root / MIRROR_FILE, to_json(followed))
    if previous is None:
        count = len(followed.tables)
        made.changes.append(f"{MIRROR_FILE} lists {count} {'table' if count == 1 else 'tables'}: commit it.")
    own, source = (replace(target, pipeline=with_mirror(pipeline, mirror)) for mirror in (followed, made.mirror))
    return Refreshed(own, source, tuple(made.changes), tuple(made.notes))


def _followed(mirror: Mirror, previous: Mirror | None, follow: Follow) -> Mirror:
    if previous is None or follow is Follow.EVERYTHING:
        return mirror
    if follow is Follow.NOTHING:
        return previous
    from lambda_toolkit.pipeline.proposal.mirror import without_alterations

    return without_alterations(mirror, previous)


def _asked(target: Target, previous: Mirror | None) -> Mirrored | str:
    """The mirror of what the source has now; or why it could not be read, a sentence."""
    from lambda_toolkit.pipeline.client.sources.catalogs import read_catalogs
    from lambda_toolkit.pipeline.config.mirror import relation_names
    from lambda_toolkit.pipeline.lambdas.shared.postgres.sql import SCHEMA
    from lambda_toolkit.pipeline.proposal.mirror import mirrored

    pipeline = target.pipeline
    found = read_catalogs(target, (SCHEMA,))
    if found is None or isinstance(found, str):
        return found or "nothing says where the source is."
    catalog = found.catalogs[SCHEMA]
    taken = {name for table in pipeline.declared["warehouse"] for name in relation_names(table)}
    return mirrored(catalog, pipeline.mirrored, pipeline.declared["source"], taken, previous)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
