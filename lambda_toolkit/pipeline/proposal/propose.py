"""From a database's URL to a configuration that works as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pg8000.exceptions import DatabaseError, InterfaceError

from lambda_toolkit.pipeline.config.database_url import credentials
from lambda_toolkit.pipeline.config.mirror import to_json
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message
from lambda_toolkit.pipeline.lambdas.shared.postgres.sql import SCHEMA
from lambda_toolkit.pipeline.proposal.catalog import Catalog
from lambda_toolkit.pipeline.proposal.mirror import mirrored
from lambda_toolkit.pipeline.proposal.read_catalog import read_schemas
from lambda_toolkit.pipeline.proposal.render import mirror_toml, source_toml, star_sql, star_toml
from lambda_toolkit.pipeline.proposal.star import star

CONNECT_TIMEOUT = 10.0  # seconds
EVERYTHING = ("*",)  # the pattern of a mirror


@dataclass(frozen=True)
class Proposal:
    """A configuration for a database."""

    pipeline_toml: str
    """The sections ``[source]`` and ``[warehouse]`` of pipeline.toml."""
    warehouse_sql: str | None
    """The file warehouse.sql; None: there is none."""
    notes: tuple[str, ...] = ()
    """What of the database is not in it, and why, sentences."""
    mirror_json: str | None = None
    """The file mirror.json; None: there is none."""


def propose(url: str, where: str = "the URL", *, mirror: bool = False, schemas: Sequence[str] = (SCHEMA,)) -> Proposal:
    """The proposal for ``schemas`` of the database at ``url``. Its catalog alone is read. ``where`` the URL came from.

    A star; with ``mirror`` every table as it is. Raises ConfigurationError for a text that is no URL, and CommandError
    where the database cannot be read or has no table that extract could read. No message has the URL's password.
    """
    catalog = catalog_at(url, where, schemas)
    return mirror_of(catalog) if mirror else proposal_of(catalog)


def catalog_at(url: str, where: str, schemas: Sequence[str] = (SCHEMA,)) -> Catalog:
    """The catalog of ``schemas`` of the database at ``url``. Raises what :func:`propose` raises."""
    to = postgres.Credentials.from_json(json.dumps(credentials(url, where)), where)
    try:
        with postgres.connected(to, connect_timeout=CONNECT_TIMEOUT) as connection:
            found = read_schemas(connection, schemas)
    except (ConnectionFailedError, DatabaseError, InterfaceError, OSError) as error:
        reason = message(error) if isinstance(error, DatabaseError) else str(error)
        raise CommandError(f"The catalog of the database at {where} cannot be read: {reason.rstrip('.')}.") from error
    if not found.readable:
        problems = "".join(f"\n{note}" for note in notes_of(found))
        raise CommandError(f"The database at {where} has no table that can be read as it is.{problems}")
    return found


def proposal_of(catalog: Catalog) -> Proposal:
    """The proposal for a database with this catalog: the same text for the same catalog."""
    tables = star(catalog)
    return Proposal(f"{source_toml(catalog)}\n{star_toml(tables)}", star_sql(tables), tuple(notes_of(catalog)))


def mirror_of(catalog: Catalog) -> Proposal:
    """The proposal of a mirror of this catalog."""
    made = mirrored(catalog, EVERYTHING, {}, (), None)
    notes = (*made.notes, *_other_schemas(catalog))
    return Proposal(mirror_toml(catalog, EVERYTHING), None, notes, to_json(made.mirror))


def notes_of(catalog: Catalog) -> Iterator[str]:
    """What of the database is not read, and why, sentences."""
    for name, reason in catalog.excluded.items():
        yield f"{name} is not read. {reason}"
    yield from _other_schemas(catalog)


def _other_schemas(catalog: Catalog) -> Iterator[str]:
    for name, count in catalog.other_schemas.items():
        yield f"The schema {name} is not read ({count} tables and views): init --schema {name} reads it."
