"""The source of a pipeline, from outside: whether extract would refuse its keys, or the types of its columns."""

from __future__ import annotations

import json
from dataclasses import dataclass

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.database_url import secret_value, with_authorities
from lambda_toolkit.pipeline.config.deployment import tables_json

SOURCE = "source"  # the name of its secret
CONNECT_TIMEOUT = 5.0  # seconds: the machine that plans need not reach the source


@dataclass(frozen=True)
class SourceCheck:
    """What a look at the source found."""

    problems: tuple[str, ...] = ()
    """The keys that do not identify rows, and the columns whose values no column of the warehouse can have."""
    not_checked: str | None = None
    """Why the source could not be read, a sentence without its period; None where it was, or its URL is not known."""


def check_source(target: Target) -> SourceCheck:
    """Looks at the source whose URL is in the environment, as ``deploy`` takes it from there. Reads its catalog only.

    Raises ConfigurationError for a URL that is not one, and DeclarationError.
    """
    secret = target.pipeline.secrets.get(SOURCE)
    text = secret_value(secret, target.environ).text if secret else None
    if not secret or not text:
        return SourceCheck()
    from pg8000.exceptions import DatabaseError, InterfaceError

    from lambda_toolkit.pipeline.lambdas.extract.source.unique_key import column_types, key_problems
    from lambda_toolkit.pipeline.lambdas.shared import declarations
    from lambda_toolkit.pipeline.lambdas.shared.conversions import refused_columns
    from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
    from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message

    declared = declarations.parse(json.loads(tables_json(target.pipeline)))
    tables = declared.source.values()
    where = f"the environment variable {secret.environment}"
    credentials = postgres.Credentials.from_json(with_authorities(secret, text), where)
    try:
        with postgres.connected(credentials, connect_timeout=CONNECT_TIMEOUT) as connection:
            types = column_types(connection, tables)
            return SourceCheck((*key_problems(connection, tables), *refused_columns(declared, types)))
    except (ConnectionFailedError, DatabaseError, InterfaceError, OSError) as error:
        reason = message(error) if isinstance(error, DatabaseError) else str(error)
        return SourceCheck(not_checked=f"the keys of the source were not checked: {reason.rstrip('.')}")
