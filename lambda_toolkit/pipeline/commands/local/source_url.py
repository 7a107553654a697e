"""``--source-url``: the local stack reads a database of the user's, which this checks before anything is started."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import quote, unquote

import click

from lambda_toolkit.pipeline.config.database_url import ca_pem, credentials, given_url
from lambda_toolkit.pipeline.errors import CommandError

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.config.model import SecretDeclaration
    from lambda_toolkit.pipeline.local_stack.postgres.external_source import ExternalSource

P = ParamSpec("P")
T = TypeVar("T")

OPTION = "--source-url"
_CONNECT_TIMEOUT = 10.0  # seconds


def source_url_option(command: Callable[P, T]) -> Callable[P, T]:
    """Add ``--source-url``, which reaches the command as ``source_url``."""
    return click.option(
        OPTION,
        metavar="URL",
        help="Read this database, postgresql://user:password@host/database, in place of a source that the stack "
        "starts; or the name of an environment variable that has the URL. It is never written to.",
    )(command)


def external_source(given: str, secret: SecretDeclaration | None) -> ExternalSource:
    """The database that ``--source-url`` names, once it is connected to, with the authorities that ``secret`` names.

    Raises UsageError, ConfigurationError and CommandError, without the password.
    """
    from pg8000.exceptions import DatabaseError, InterfaceError

    from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
    from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message
    from lambda_toolkit.pipeline.lambdas.shared.postgres.tls import is_loopback
    from lambda_toolkit.pipeline.local_stack.postgres.external_source import ExternalSource

    url, where = given_url(OPTION, given, os.environ)
    values = credentials(url, where)
    here = is_loopback(str(values["host"])) or str(values["host"]).startswith("/")
    if secret and secret.ca and "sslrootcert" not in values and not here:
        values["sslrootcert"] = ca_pem(secret)
    host = f"[{values['host']}]" if ":" in str(values["host"]) else values["host"]
    try:
        to = postgres.Credentials.from_json(json.dumps(values), where)
        with postgres.connected(to, connect_timeout=_CONNECT_TIMEOUT) as connection:
            connection.run("SELECT 1")
    except (ConnectionFailedError, DatabaseError, InterfaceError, OSError) as error:
        reason = message(error) if isinstance(error, DatabaseError) else str(error)
        raise CommandError(f"The source of {where} cannot be read, and nothing was started. {reason}") from error
    return ExternalSource(anywhere(url), f"{values['dbname']} at {host}:{values['port']}")


def anywhere(url: str) -> str:
    """The URL with the file that its ``sslrootcert`` names, if it does, as seen from any folder."""
    head, mark, query = url.strip().partition("?")
    parts = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if unquote(name) == "sslrootcert" and value != "system":
            part = f"{name}={quote(str(Path(unquote(value)).expanduser().absolute()))}"
        parts.append(part)
    return f"{head}{mark}{'&'.join(parts)}"
