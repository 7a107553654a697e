"""Connections to PostgreSQL: TLS, the settings of every session, transactions, and COPY in bulk."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import ssl
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import pg8000.native
from pg8000.exceptions import DatabaseError, InterfaceError
from scramp import ScramException

from ..errors import ConnectionFailedError, PipelineError
from . import sql
from .copy_rows import CallersError, Sink, Writer, given, whole_rows
from .credentials import Credentials as Credentials  # whoever connects needs them
from .saslprep import prepared
from .server_errors import message, sqlstate, without_values
from .tls import Tls, TlsError, tls_of

CONNECT_TIMEOUT = 10.0  # seconds, for reaching the server and for its first answers
STATEMENT_TIMEOUT = 540  # seconds: below the 600 that the functions are given, so that the error is PostgreSQL's
LOCK_TIMEOUT = 60  # seconds
SESSION: Mapping[str, str] = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "client_encoding": "UTF8",
    "extra_float_digits": "1",  # the shortest text that reads back as the same number
    "bytea_output": "hex",
    "lc_monetary": "C",  # or a setting of the role or the database would change the text of money
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

_ABSENT = "SELECT t FROM unnest(CAST(:tables AS text[])) AS t WHERE to_regclass(t) IS NULL"
_NO_TLS = "refuses SSL"  # in pg8000's message
_NO_IAM = (
    "the server refuses the token of IAM authentication. Is that on for the server? May this role do rds-db:connect "
    "for `resource` and `user` of [secrets.*]? And was this run: GRANT rds_iam TO the user"
)
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
PRIVATE_NAMES = (
    *("_usock", "_sock", "_context", "execute_unnamed"),
    *("handle_COPY_DATA", "handle_AUTHENTICATION_REQUEST", "handle_ERROR_RESPONSE"),
)
_parsed = functools.lru_cache(maxsize=1024)(pg8000.native.to_statement)
BUFFER = 256 * 1024  # bytes of the socket's read buffer
_SASL = (10).to_bytes(4)  # begins the server's request to log in by SCRAM
_NETWORK_ERRORS = ("network error", "connection is closed")  # as pg8000 has them
_ENDED = ("57P01", "57P02", "57P05", "25P03", "25P04")  # SQLSTATE: the server ended the session


class ConnectionLostError(ConnectionFailedError, InterfaceError):  # type: ignore[misc]  # pg8000 has no types
    """The connection ended, or the server did not answer within the limit."""


class StatementError(PipelineError, DatabaseError):  # type: ignore[misc]
    """The server refused a statement for a reason that no other code handles."""


class Connection(pg8000.native.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A connection that copies to a function and from an iterable. Raises ConnectionLostError where it ends meanwhile.

    ``server`` names the server, the database and the user, in messages.
    """

    server = "PostgreSQL"
    is_duckdb = False
    """Whether it is to a file in the place of a server: see ``shared.duckdb``."""
    user: bytes
    password: bytes
    auth: Any
    _last_error: Exception | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A copy ends with small packets. Were each to wait for the server's delayed acknowledgement of the one before,
        # as TCP does by default, every copy would take 40 ms longer.
        self._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The server sends nothing before the first statement: the buffer that this replaces is empty.
        self._sock = self._usock.makefile("rwb", buffering=BUFFER)

    def run(self, sql: str, stream: Any = None, types: None = None, **params: Any) -> Any:
        """As pg8000's, but parses a statement once: pg8000 parses it, character by character, each time it runs.

        A list of strings is an array in which each is quoted: to pg8000 the string ``null`` is a NULL.
        """
        with self._errors():
            if types is not None or (stream is None and not params):
                return super().run(sql, stream, types, **params)
            statement, values = _parsed(str(sql))
            given = {name: _array(value) if isinstance(value, list) else value for name, value in params.items()}
            self._context = self.execute_unnamed(statement, values(given), oids=(), stream=stream)
            return self._context.rows

    def run_as_it_is(self, statement: str, stream: Any = None) -> list[list[Any]]:
        """Runs one statement, in which a colon names no parameter; the server refuses several. Returns its rows."""
        with self._errors():
            self._context = self.execute_unnamed(statement, (), oids=(), stream=stream)
            return list(self._context.rows or ())

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Raises ConnectionLostError for every sign that the connection has ended."""
        try:
            yield
        except CallersError as error:
            raise error.error from None
        except (InterfaceError, OSError, struct.error) as error:
            if isinstance(error, InterfaceError) and str(error) not in _NETWORK_ERRORS:
                raise
            raise self._lost(self._last_words() or _reason(error)) from error
        except DatabaseError as error:
            if sqlstate(error) in _ENDED:
                raise self._lost(f"the server ended it: {message(error)}") from error
            raise

    def handle_ERROR_RESPONSE(self, data: bytes, context: Any) -> None:  # noqa: N802  # pg8000's name
        """Takes the values of rows out of an error, before it can reach a log, a message or a traceback.

        Keeps the one by which the server ends the session: pg8000 then reads on, and reports the end alone.
        """
        super().handle_ERROR_RESPONSE(data, context)
        self._last_error = context.error = DatabaseError(without_values(context.error.args[0]))

    def _last_words(self) -> str:
        """What the server said before it closed the connection; empty where it said nothing."""
        said = [notice.get(b"M", b"").decode(errors="replace") for notice in self.notices]
        if isinstance(self._last_error, DatabaseError):
            said.append(message(self._last_error))
        return next((f"the server ended it: {text}" for text in said[::-1] if "terminating" in text), "")

    def _lost(self, reason: str) -> ConnectionLostError:
        return ConnectionLostError(
            f"The connection to {self.server} was lost ({reason}). The server rolls back what was not committed. "
            "Is it up? Repeat what was being done: a function does so in its next run."
        )

    def handle_AUTHENTICATION_REQUEST(self, data: bytes, context: Any) -> None:  # noqa: N802  # pg8000's name
        """As pg8000's, with the password as PostgreSQL prepares it: pg8000 raises an error for some that it accepts."""
        if data[:4] != _SASL:
            super().handle_AUTHENTICATION_REQUEST(data, context)
            return
        user, password = self.user, self.password
        self.user = self.password = b"x"  # the server knows the user; the password follows in another message
        super().handle_AUTHENTICATION_REQUEST(data, context)
        self.user, self.password, self.auth.password = user, password, prepared(password)

    def set_timeout(self, seconds: float | None) -> None:
        """Sets the seconds that one response of the server may take; None: no limit."""
        self._usock.settimeout(seconds)

    def copy_out(self, statement: str, sink: Sink) -> None:
        """Runs ``COPY ... TO STDOUT``; calls ``sink`` with the bytes of one or more complete rows.

        When ``sink`` raises, the connection is closed: the server would send the remaining rows before it listens.
        """
        try:
            self.run_as_it_is(statement, Writer(sink))
        except DatabaseError:
            raise
        except BaseException:
            with contextlib.suppress(InterfaceError, OSError):
                self.close()
            raise

    def copy_in(self, statement: str, chunks: Iterable[bytes]) -> int:
        """Runs ``COPY ... FROM STDIN`` with the bytes of ``chunks``; returns the number of rows copied.

        When ``chunks`` raises, the connection is left inside the copy and must be closed.
        """
        self.run(statement, stream=given(chunks))
        return int(self.row_count)

    def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
        """The rows that ``statement`` returns."""
        return list(self.run(statement, **parameters) or ())

    def try_lock(self, key: int, *, of_transaction: bool = False) -> bool:
        """Acquires an advisory lock without waiting, of the session or of the transaction; returns whether it did.

        PostgreSQL releases it when the session or the transaction ends, however it ends.
        https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
        """
        acquire = "pg_try_advisory_xact_lock" if of_transaction else "pg_try_advisory_lock"
        return bool(self.rows(f"SELECT {acquire}(CAST(:key AS bigint))", key=key)[0][0])

    def absent_tables(self, tables: Collection[str]) -> set[str]:
        """Those of ``tables``, quoted, with their schemas, that do not exist."""
        return {table for (table,) in self.rows(_ABSENT, tables=list(tables))}

    def handle_COPY_DATA(self, data: bytes, context: Any) -> None:  # noqa: N802  # pg8000's name
        """Passes on a row that pg8000 has read, with all complete rows in the read buffer.

        The server sends a message per row, and pg8000 spends two reads and a dispatch on each. Peeking
        into the buffer finds the complete messages; pg8000 reads the rest.
        """
        rows, taken = whole_rows(self._sock.peek())
        self._sock.read(taken)
        context.stream_write(b"".join((data, *rows)))


def connect(credentials: Credentials, *, connect_timeout: float = CONNECT_TIMEOUT) -> Connection:
    """A connection, with TLS as ``sslmode`` and the host demand it.

    ``connect_timeout``: seconds. Raises ConnectionFailedError with the database, the user, the origin of the
    credentials and what to try.
    """
    try:
        tls = tls_of(credentials.host, credentials.sslmode, credentials.sslrootcert)
        connection = _open(credentials, tls, connect_timeout)
        connection.server = str(credentials)
        connection.set_timeout(STATEMENT_TIMEOUT + CONNECT_TIMEOUT)
        # Without parameters, in one message: a statement with some is several, and outside a transaction a pooler may
        # send each to another session.
        connection.run(
            sql.compose(
                "SELECT set_config(name, setting, false) FROM json_each_text(CAST($settings AS json))"
                " AS s(name, setting) WHERE current_setting(name, true) IS NOT NULL",  # an older server lacks some
                settings=sql.constant(json.dumps(dict(SESSION))),
            )
        )
    except TlsError as error:
        raise _failure(credentials, str(error)) from error
    except ConnectionLostError:
        raise
    except DatabaseError as error:
        by_iam = credentials.token is not None and sqlstate(error) in ("28P01", "28000")
        problem = _NO_IAM if by_iam else _CONNECT_ERRORS.get(sqlstate(error), message(error))
        raise _failure(credentials, problem) from error
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
    except ScramException as error:
        raise _failure(credentials, f"the server and this client do not agree on the password ({error})") from error
    except (LookupError, ValueError, struct.error) as error:
        raise _failure(credentials, "its host is no name, or what answers there is not PostgreSQL") from error
    return connection


def _open(credentials: Credentials, tls: Tls, timeout: float) -> Connection:
    """Connects as ``tls`` says, where it may with TLS and without: the second way where the first is refused."""
    directory = credentials.host if credentials.host.startswith("/") else None
    failed: Exception | None = None
    for context in tls.attempts():
        try:
            return Connection(
                _raw(credentials.user),
                host=credentials.host,
                port=credentials.port,
                database=_raw(credentials.database),
                password=_raw(credentials.token() if credentials.token else credentials.password),
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


def _raw(text: str) -> bytes:
    """The bytes that ``text`` was read from: those that are not UTF-8 are lone surrogates in it."""
    return text.encode("utf-8", "surrogateescape")


def _is_of_encryption(error: Exception) -> bool:
    """Whether the same connection may succeed with TLS instead of plain text, or without it."""
    if isinstance(error, DatabaseError):
        return sqlstate(error) == "28000"  # pg_hba.conf has hostssl or hostnossl
    return isinstance(error, ssl.SSLError) or _NO_TLS in str(error)


@contextlib.contextmanager
def connected(credentials: Credentials, *, connect_timeout: float = CONNECT_TIMEOUT) -> Iterator[Connection]:
    """A connection that is closed at the end of the block, whatever state an error left it in.

    Raises ConnectionFailedError, and StatementError for an error of the server that the block does not handle.
    """
    connection = connect(credentials, connect_timeout=connect_timeout)
    try:
        yield connection
    except DatabaseError as error:
        if isinstance(error, PipelineError):
            raise
        raise StatementError(f"An error of {credentials}: {message(error)} (SQLSTATE {sqlstate(error)}).") from error
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


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    return str(getattr(cause, "verify_message", "") or getattr(cause, "strerror", "") or cause)


def _failure(credentials: Credentials, problem: str) -> ConnectionFailedError:
    return ConnectionFailedError(f"Cannot connect to {credentials}: {problem}{'' if problem.endswith('?') else '.'}")


def _array(values: list[Any]) -> Any:
    """A list of strings as PostgreSQL reads an array; any other list as it is."""
    if not all(isinstance(value, str) for value in values):
        return values
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"
