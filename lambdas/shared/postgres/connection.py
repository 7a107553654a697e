"""Connections to PostgreSQL: credentials, TLS, the settings of every session, and transactions."""

from __future__ import annotations

import contextlib
import functools
import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pg8000.exceptions import DatabaseError, InterfaceError

from ..errors import ConnectionFailedError
from .copy import Connection

CONNECT_TIMEOUT = 10.0  # seconds, for reaching the server and for its first answers
STATEMENT_TIMEOUT = 540  # seconds: below the 600 that the functions are given, so that the error is PostgreSQL's
LOCK_TIMEOUT = 60  # seconds

SESSION: Mapping[str, str] = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "TimeZone": "UTC",
    "client_encoding": "UTF8",
    "extra_float_digits": "1",  # the shortest text that reads back as the same number
    "bytea_output": "hex",
    "search_path": "public",
    "statement_timeout": f"{STATEMENT_TIMEOUT}s",
    "lock_timeout": f"{LOCK_TIMEOUT}s",
    "idle_in_transaction_session_timeout": "120s",
    # The server ends the session of a killed function, and releases its locks, within a minute.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}

_NO_TLS = "refuses SSL"  # in pg8000's message
_CONNECT_ERRORS: Mapping[str, str] = {  # SQLSTATE -> what is wrong, what to try
    "28P01": "the server refuses the password. Store the right one and deploy again",
    "28000": "the server does not let this user in (pg_hba.conf, or a role that may not log in)",
    "3D000": "the server has no such database",
    "42501": "the user may not connect to this database. Grant CONNECT",
    "53300": "the server has no connection left. Raise max_connections, or see pg_stat_activity",
    "57P03": "the server is starting up or shutting down. Try again in a moment",
}


@dataclass(frozen=True)
class Credentials:
    """How to connect to a database."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    ca: str | None = field(default=None, repr=False)
    """The certificate authority in PEM. With it, TLS is required and the server's certificate verified."""
    origin: str = "the credentials"
    """Where they were read from, for messages."""

    @classmethod
    def from_json(cls, text: str, origin: str) -> Credentials:
        """From the JSON of a secret, in the form that RDS uses. Raises ConnectionFailedError, without the values."""
        try:
            value = json.loads(text)
            port = int(value.get("port", 5432))
            return cls(
                host=str(value["host"]),
                port=port,
                database=str(value["dbname"]),
                user=str(value["username"]),
                password=str(value["password"]),
                ca=value.get("ca"),
                origin=origin,
            )
        except KeyError as error:
            raise ConnectionFailedError(
                f"{origin} lacks the key {error}: it must hold host, port, dbname, ..."
            ) from None
        except (ValueError, TypeError, AttributeError):
            raise ConnectionFailedError(
                f"{origin} must hold a JSON object with host, port, dbname, username and password."
            ) from None


def connect(credentials: Credentials, *, connect_timeout: float = CONNECT_TIMEOUT) -> Connection:
    """A connection with TLS where the server offers it; with a ``ca``, TLS is required and verified.

    ``connect_timeout``: seconds. Raises ConnectionFailedError with the database, the user, the origin of the
    credentials and what to try.
    """
    try:
        context = ssl.create_default_context(cadata=credentials.ca) if credentials.ca else None
    except (ssl.SSLError, ValueError) as error:
        raise _failure(credentials, f"the `ca` is not a certificate in PEM ({_reason(error)})") from error
    try:
        connection = _open(credentials, context, connect_timeout)
    except DatabaseError as error:
        raise _failure(credentials, _CONNECT_ERRORS.get(sqlstate(error), message(error))) from error
    except ssl.SSLError as error:
        problem = f"its TLS certificate is not trusted ({_reason(error)}). Is `ca` the right authority for this host?"
        raise _failure(credentials, problem) from error
    except (InterfaceError, OSError) as error:
        if _NO_TLS in str(error):
            problem = "it offers no TLS, which a configured `ca` requires"
        else:
            problem = (
                f"it cannot be reached ({_reason(error)}). Is it up, and does the network let this function through?"
            )
        raise _failure(credentials, problem) from error
    connection.set_timeout(STATEMENT_TIMEOUT + CONNECT_TIMEOUT)
    connection.run(
        "SELECT set_config(name, setting, false) FROM json_each_text(CAST(:settings AS json)) AS s(name, setting)",
        settings=json.dumps(dict(SESSION)),
    )
    return connection


def _open(credentials: Credentials, verifying: ssl.SSLContext | None, timeout: float) -> Connection:
    """Connects with TLS; without a verifying context, also without TLS where the server offers none."""

    def attempt(context: ssl.SSLContext | Literal[False]) -> Connection:
        return Connection(
            credentials.user,
            host=credentials.host,
            port=credentials.port,
            database=credentials.database,
            password=credentials.password,
            ssl_context=context,
            timeout=timeout,
            application_name="lambda_script pipeline",
        )

    if verifying is not None:
        return attempt(verifying)
    try:
        return attempt(_unverified())
    except InterfaceError as error:
        if _NO_TLS not in str(error):
            raise
        return attempt(False)


@functools.cache
def _unverified() -> ssl.SSLContext:
    """Encrypts without verifying the certificate. pg8000's own default would read all certificates of the system."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def connected(credentials: Credentials) -> Iterator[Connection]:
    """A connection that is closed at the end of the block, whatever state an error left it in."""
    connection = connect(credentials)
    try:
        yield connection
    finally:
        with contextlib.suppress(InterfaceError, OSError):  # the server may have closed it already
            connection.close()


@contextlib.contextmanager
def transaction(connection: Connection, begin: str = "BEGIN") -> Iterator[None]:
    """A transaction: committed at the end of the block, rolled back when it raises. ``begin`` is a constant."""
    connection.run(begin)
    try:
        yield
    except BaseException:
        with contextlib.suppress(DatabaseError, InterfaceError, OSError):  # the first error is the one to report
            connection.run("ROLLBACK")
        raise
    connection.run("COMMIT")


def sqlstate(error: DatabaseError) -> str:
    """The five-character code of an error from the server; empty where it has none."""
    return str(_fields(error).get("C", ""))


def message(error: DatabaseError) -> str:
    """The server's message, with its detail and its context."""
    fields = _fields(error)
    parts = [str(fields.get("M", error))]
    parts += [str(fields[code]) for code in ("D", "W") if fields.get(code)]
    return " · ".join(part.strip() for part in parts)


def _fields(error: DatabaseError) -> Mapping[str, Any]:
    return error.args[0] if error.args and isinstance(error.args[0], Mapping) else {}


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    return str(getattr(cause, "verify_message", "") or getattr(cause, "strerror", "") or cause)


def _failure(credentials: Credentials, problem: str) -> ConnectionFailedError:
    c = credentials
    return ConnectionFailedError(
        f"Cannot connect to PostgreSQL at {c.host}:{c.port}, database {c.database}, as user {c.user} "
        f"({c.origin}): {problem}{'' if problem.endswith('?') else '.'}"
    )
