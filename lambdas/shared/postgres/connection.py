"""Connections to PostgreSQL: credentials, TLS, the settings of every session, transactions, and COPY in bulk."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pg8000.native
from pg8000.exceptions import DatabaseError, InterfaceError

from ..errors import ConnectionFailedError, PipelineError
from .tls import PEM, SYSTEM, Tls, TlsError, tls_of

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
    "idle_session_timeout": "0",  # load reads the lake, for long at times, while it has the lock of the writers
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

# For the speed of COPY, Connection uses names of pg8000 that are not its public interface, which another release may
# change: the requirement is limited to <2, and a test checks that the installed release has them.
PRIVATE_NAMES = ("_usock", "_sock", "_context", "execute_unnamed", "handle_COPY_DATA")
_parsed = functools.lru_cache(maxsize=1024)(pg8000.native.to_statement)
Sink = Callable[[bytes], object]
BUFFER = 256 * 1024  # bytes of the socket's read buffer
_COPY_DATA = ord("d")  # the type of a message that carries a row of a copy
_HEADER = 5  # bytes: a message's type, and its length, in which the type is not counted
_length_at = struct.Struct("!I").unpack_from


class Connection(pg8000.native.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A connection that copies to a function and from an iterable."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A copy ends with small packets. Were each to wait for the server's delayed acknowledgement of the one before,
        # as TCP does by default, every copy would take 40 ms longer.
        self._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The server sends nothing before the first statement: the buffer that this replaces is empty.
        self._sock = self._usock.makefile("rwb", buffering=BUFFER)

    def run(self, sql: str, stream: Any = None, types: None = None, **params: Any) -> Any:
        """As pg8000's, but parses a statement once: pg8000 parses it, character by character, each time it runs."""
        if types is not None or (stream is None and not params):
            return super().run(sql, stream, types, **params)
        statement, values = _parsed(str(sql))
        self._context = self.execute_unnamed(statement, values(params), oids=(), stream=stream)
        return self._context.rows

    def set_timeout(self, seconds: float | None) -> None:
        """Sets the seconds that one response of the server may take; None: no limit."""
        self._usock.settimeout(seconds)

    def copy_out(self, statement: str, sink: Sink) -> None:
        """Runs ``COPY ... TO STDOUT``; calls ``sink`` with the bytes of one or more complete rows."""
        self.run(statement, stream=_Writer(sink))

    def copy_in(self, statement: str, chunks: Iterable[bytes]) -> int:
        """Runs ``COPY ... FROM STDIN`` with the bytes of ``chunks``; returns the number of rows copied.

        When ``chunks`` raises, the connection is left inside the copy and must be closed.
        """
        self.run(statement, stream=chunks)
        return int(self.row_count)

    def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
        """The rows that ``statement`` returns."""
        return list(self.run(statement, **parameters) or ())

    def handle_COPY_DATA(self, data: bytes, context: Any) -> None:  # noqa: N802  # pg8000's name
        """Passes on a row that pg8000 has read, with all complete rows in the read buffer.

        The server sends a message per row, and pg8000 spends two reads and a dispatch on each. Peeking
        into the buffer finds the complete messages; pg8000 reads the rest.
        """
        rows, taken = whole_rows(self._sock.peek())
        self._sock.read(taken)
        context.stream_write(b"".join((data, *rows)))


def whole_rows(buffered: bytes) -> tuple[list[bytes], int]:
    """The rows in the complete messages at the beginning of ``buffered``, and the number of bytes of those messages."""
    rows = []
    position, last = 0, len(buffered) - _HEADER
    while position <= last and buffered[position] == _COPY_DATA:
        end = position + 1 + _length_at(buffered, position + 1)[0]
        if end > len(buffered):
            break
        rows.append(buffered[position + _HEADER : end])
        position = end
    return rows, position


class _Writer:
    """A stream as pg8000 requires it: an object with ``write``."""

    def __init__(self, sink: Sink) -> None:
        self.write = sink


@dataclass(frozen=True)
class Credentials:
    """How to connect to a database."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    sslmode: str | None = None
    """As libpq's. ``None``: what ``tls.tls_of`` makes of the host."""
    sslrootcert: str | None = field(default=None, repr=False)
    """The authorities that the server's certificate is verified by: PEM, or ``system`` for the operating system's."""
    origin: str = "the credentials"
    """Where they were read from, for messages."""

    @classmethod
    def from_json(cls, text: str, origin: str) -> Credentials:
        """From the JSON of a secret, in the form that RDS uses, with libpq's ``sslmode`` and ``sslrootcert``.

        ``sslrootcert`` is PEM, ``system``, or the name of a file in the function's package, as authorities may be
        larger than a secret. Raises ConnectionFailedError, without the values.
        """
        try:
            value = json.loads(text)
            port = int(value.get("port", 5432))
            return cls(
                host=str(value["host"]),
                port=port,
                database=str(value["dbname"]),
                user=str(value["username"]),
                password=str(value["password"]),
                sslmode=value.get("sslmode"),
                sslrootcert=_roots(value.get("sslrootcert"), origin),
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

    @classmethod
    def from_secret(cls, secrets: Any, name: str) -> Credentials:
        """From the secret ``name``, read with ``secrets``, the boto3 client of Secrets Manager.

        Reads it at each call, so that the next run uses a rotated password. Raises PipelineError when there is no such
        secret, and ConnectionFailedError when it does not contain credentials.
        """
        try:
            answer = secrets.get_secret_value(SecretId=name)
        except secrets.exceptions.ResourceNotFoundException as error:
            raise PipelineError(
                f"The secret {name} does not exist. Set the environment variable that the configuration names for it "
                "([secrets.*]), then deploy."
            ) from error
        return cls.from_json(answer.get("SecretString", ""), f"secret {name}")


def connect(credentials: Credentials, *, connect_timeout: float = CONNECT_TIMEOUT) -> Connection:
    """A connection, with TLS as ``sslmode`` and the host demand it.

    ``connect_timeout``: seconds. Raises ConnectionFailedError with the database, the user, the origin of the
    credentials and what to try.
    """
    try:
        tls = tls_of(credentials.host, credentials.sslmode, credentials.sslrootcert)
        connection = _open(credentials, tls, connect_timeout)
    except TlsError as error:
        raise _failure(credentials, str(error)) from error
    except DatabaseError as error:
        raise _failure(credentials, _CONNECT_ERRORS.get(sqlstate(error), message(error))) from error
    except ssl.SSLError as error:
        problem = (
            f"its TLS certificate is not trusted ({_reason(error)}). Does `sslrootcert` name the authority that signed "
            "it, and is it for this host?"
        )
        raise _failure(credentials, problem) from error
    except (InterfaceError, OSError) as error:
        if _NO_TLS in str(error):
            problem = (
                f"it offers no TLS, which sslmode={tls.mode} requires. Switch TLS on (ssl = on); in a network that you "
                "trust, ?sslmode=disable in the URL connects in plain text"
            )
        else:
            problem = (
                f"it cannot be reached ({_reason(error)}). Is it up, and does the network let this function through?"
            )
        raise _failure(credentials, problem) from error
    connection.set_timeout(STATEMENT_TIMEOUT + CONNECT_TIMEOUT)
    connection.run(
        "SELECT set_config(name, setting, false) FROM json_each_text(CAST(:settings AS json)) AS s(name, setting)"
        " WHERE current_setting(name, true) IS NOT NULL",  # an older server has not all of them
        settings=json.dumps(dict(SESSION)),
    )
    return connection


def _open(credentials: Credentials, tls: Tls, timeout: float) -> Connection:
    """Connects as ``tls`` says, where it may with TLS and without: the second way where the first is refused."""
    directory = credentials.host if credentials.host.startswith("/") else None
    failed: Exception | None = None
    for context in tls.attempts():
        try:
            return Connection(
                credentials.user,
                host=credentials.host,
                port=credentials.port,
                database=credentials.database,
                password=credentials.password,
                unix_sock=f"{directory}/.s.PGSQL.{credentials.port}" if directory else None,
                ssl_context=context,
                timeout=timeout,
                application_name="lambda_script pipeline",
            )
        except (DatabaseError, InterfaceError, ssl.SSLError) as error:
            if not _is_of_encryption(error):
                raise
            failed = error
    raise failed or AssertionError("there is no sslmode without an attempt")


def _is_of_encryption(error: Exception) -> bool:
    """Whether the same connection may succeed with TLS instead of plain text, or without it."""
    if isinstance(error, DatabaseError):
        return sqlstate(error) == "28000"  # pg_hba.conf has hostssl or hostnossl
    return isinstance(error, ssl.SSLError) or _NO_TLS in str(error)


def _roots(value: str | None, origin: str) -> str | None:
    if value is None or value == SYSTEM or PEM in value:
        return value
    file = Path(os.environ.get("LAMBDA_TASK_ROOT") or Path(__file__).parents[3]) / value
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConnectionFailedError(
            f"`sslrootcert` of {origin} names the file {value}, which cannot be read ({error.strerror}). Deploy again: "
            "the function must be packaged with the file that `ca` of the secret's declaration names."
        ) from error


@contextlib.contextmanager
def connected(credentials: Credentials, *, connect_timeout: float = CONNECT_TIMEOUT) -> Iterator[Connection]:
    """A connection that is closed at the end of the block, whatever state an error left it in."""
    connection = connect(credentials, connect_timeout=connect_timeout)
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
