"""Keeps ``config/mirror.json`` up to date with the source, where the environment has the source's URL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lambda_toolkit.pipeline.client.source import CONNECT_TIMEOUT, SOURCE
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.database_url import secret_value, with_authorities
from lambda_toolkit.pipeline.config.deployment import check_mirror
from lambda_toolkit.pipeline.config.mirror import (
    MIRROR_FILE,
    Mirror,
    read_mirror,
    relation_names,
    to_json,
    with_mirror,
)
from lambda_toolkit.pipeline.errors import CommandError

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials
    from lambda_toolkit.pipeline.proposal.mirror import Mirrored


@dataclass(frozen=True)
class Refreshed:
    """A target whose mirror is that of the source, as far as that is known."""

    target: Target
    changes: tuple[str, ...] = ()
    """What is different from ``config/mirror.json`` as it was, sentences."""
    notes: tuple[str, ...] = ()
    """What is not mirrored, and why; or why the source was not asked. Sentences."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The notes and the changes, as one shows them."""
        return (*(f"Mirror: {text}" for text in self.changes), *(f"Note: {text}" for text in self.notes))


def refreshed(target: Target, *, write: bool) -> Refreshed:
    """``target`` with the mirror that its source has now; with ``write``, ``config/mirror.json`` has it too.

    Without ``[warehouse] mirror``, and without the source's URL in the environment, ``target`` as it is. A source that
    cannot be reached is a note where there is a mirror already. Raises CommandError where there is none, and
    PipelineError.
    """
    pipeline = target.pipeline
    to = _source(target) if pipeline.mirrored else None
    if to is None:
        check_mirror(pipeline)
        return Refreshed(target)
    previous = read_mirror(pipeline.root)
    made = _asked(target, to, previous)
    if isinstance(made, str):
        if previous is None:
            raise CommandError(f"{MIRROR_FILE} cannot be made: {made}")
        return Refreshed(target, notes=(f"{MIRROR_FILE} was used as it is: {made}",))
    text = to_json(made.mirror)
    if previous is None or text != to_json(previous):
        if not made.mirror.tables:
            raise CommandError("\n".join(("[warehouse] `mirror` means no table that can be read.", *made.notes)))
        if write:
            _write(target, text)
        if previous is None:
            count = len(made.mirror.tables)
            made.changes.append(f"{MIRROR_FILE} lists {count} {'table' if count == 1 else 'tables'}: commit it.")
        elif not write:
            made.changes.append(f"{MIRROR_FILE} does not have this yet: prepare and deploy write it.")
    return Refreshed(
        replace(target, pipeline=with_mirror(pipeline, made.mirror)), tuple(made.changes), tuple(made.notes)
    )


def _source(target: Target) -> Credentials | None:
    """The credentials of the source, where the environment has its URL."""
    secret = target.pipeline.secrets.get(SOURCE)
    text = secret_value(secret, target.environ).text if secret else None
    if not secret or not text:
        return None
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres

    where = f"the environment variable {secret.environment}"
    return postgres.Credentials.from_json(with_authorities(secret, text), where, "the source")


def _asked(target: Target, to: Credentials, previous: Mirror | None) -> Mirrored | str:
    """The mirror of what the source has now; or why it could not be read, a sentence."""
    from pg8000.exceptions import DatabaseError, InterfaceError

    from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
    from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message
    from lambda_toolkit.pipeline.proposal.mirror import mirrored
    from lambda_toolkit.pipeline.proposal.read_catalog import read_catalog

    pipeline = target.pipeline
    try:
        with postgres.connected(to, connect_timeout=CONNECT_TIMEOUT) as connection:
            catalog = read_catalog(connection)
    except (ConnectionFailedError, DatabaseError, InterfaceError, OSError) as error:
        return message(error) if isinstance(error, DatabaseError) else str(error)
    taken = {name for table in pipeline.declared["warehouse"] for name in relation_names(table)}
    return mirrored(catalog, pipeline.mirrored, pipeline.declared["source"], taken, previous)


def _write(target: Target, text: str) -> None:
    path = target.pipeline.root / MIRROR_FILE
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
