"""The catalog of a pipeline's source: by the function ``access``, or over a connection from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.database_url import secret_value, with_authorities
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import ACCESS

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.access.messages import Catalogs
    from lambda_toolkit.pipeline.client.warehouses.access import FunctionAccess

SOURCE = "source"  # the name of its secret
CONNECT_TIMEOUT = 5.0  # seconds: the machine that plans need not reach the source


def may_be_read(target: Target) -> bool:
    """Whether anything says where the source is: a function that reaches it, or a URL in the environment."""
    secret = target.pipeline.secrets.get(SOURCE)
    if secret is None:
        return False
    return ACCESS in target.pipeline.functions or bool(secret_value(secret, target.environ).text)


def read_catalogs(
    target: Target, schemas: Sequence[str], tables: Mapping[str, Any] | None = None
) -> Catalogs | str | None:
    """The catalogs of ``schemas``, and with ``tables``, [source] and [warehouse], their types and keys.

    By the function ``access`` where that is declared: before the first deploy, and without it, over a connection to the
    URL in the environment. A sentence where they cannot be read: why. None where there is neither. Raises
    ConfigurationError for a URL that is not one, and DeclarationError.
    """
    from lambda_toolkit.pipeline.client.invocation import NotDeployedError
    from lambda_toolkit.pipeline.client.warehouses.access import function_access

    function = function_access(target) if SOURCE in target.pipeline.secrets else None
    if function is not None:
        try:
            return _by_function(function, schemas, tables)
        except NotDeployedError as error:
            found = _from_here(target, schemas, tables)
            return str(error) if found is None else found
    return _from_here(target, schemas, tables)


def _by_function(function: FunctionAccess, schemas: Sequence[str], tables: Mapping[str, Any] | None) -> Catalogs | str:
    from lambda_script import AwsError
    from lambda_toolkit.aws.account import ACCESS_DENIED

    try:
        return _asked(lambda: function.catalogs(schemas, tables))
    except AwsError as error:
        if error.code in ACCESS_DENIED:  # the printed policy for a plan invokes nothing
            return f"{function.function} may not be invoked"
        raise


def _from_here(target: Target, schemas: Sequence[str], tables: Mapping[str, Any] | None) -> Catalogs | str | None:
    secret = target.pipeline.secrets.get(SOURCE)
    text = secret_value(secret, target.environ).text if secret else None
    if not secret or not text:
        return None
    from lambda_toolkit.pipeline.access.source_catalogs import catalogs
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres

    where = f"the environment variable {secret.environment}"
    credentials = postgres.Credentials.from_json(with_authorities(secret, text), where, "the source")

    def read() -> Catalogs:
        with postgres.connected(credentials, connect_timeout=CONNECT_TIMEOUT) as connection:
            return catalogs(connection, schemas, tables)

    return _asked(read)


def _asked(read: Callable[[], Catalogs]) -> Catalogs | str:
    """What ``read`` returns; or why the source could not be read."""
    from pg8000.exceptions import DatabaseError, InterfaceError

    from lambda_toolkit.pipeline.client.invocation import NotDeployedError
    from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
    from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message

    try:
        return read()
    except NotDeployedError:
        raise
    except (CommandError, ConnectionFailedError, DatabaseError, InterfaceError, OSError) as error:
        return message(error) if isinstance(error, DatabaseError) else str(error)
