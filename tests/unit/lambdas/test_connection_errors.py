"""Errors of a connection, without a server: which mean that it has ended, and what is said of them."""

from __future__ import annotations

import ssl
import struct
from collections import deque
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError

from lambda_toolkit.pipeline.lambdas.shared import database
from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import is_refusal, refused
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, ConnectionLostError, StatementError
from lambda_toolkit.pipeline.lambdas.shared.postgres.copy_rows import CallersError
from lambda_toolkit.pipeline.lambdas.shared.postgres.credentials import Credentials
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message, sqlstate, without_values
from lambda_toolkit.pipeline.lambdas.shared.postgres.tls import Tls

WHERE = Credentials("db", 5432, "shop", "me", "hidden", origin="the secret s", role="the source")


def session(*notices: bytes, last: Exception | None = None) -> Connection:
    """A connection that said so much before."""
    made = Connection.__new__(Connection)
    made.notices = deque({b"S": b"FATAL", b"M": text} if text else {b"S": b"LOG"} for text in notices)
    made._last_error, made.server = last, "the source"
    return made


def raised(error: Exception, of: Connection) -> BaseException:
    with pytest.raises(BaseException) as caught, of._errors():
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InterfaceError("network error"), "network error"),
        (InterfaceError("connection is closed"), "connection is closed"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (TimeoutError("timed out"), "timed out"),
        (struct.error("unpack requires 5 bytes"), "unpack requires 5 bytes"),
        *(
            (DatabaseError({"C": code, "M": "terminating"}), "the server ended it: terminating")
            for code in ("57P01", "57P02", "57P05", "25P03", "25P04")
        ),
    ],
)
def test_sign_that_a_connection_ended_says_how(error: Exception, reason: str) -> None:
    lost = raised(error, session())
    assert isinstance(lost, ConnectionLostError) and isinstance(lost, ConnectionFailedError)
    assert str(lost).startswith(f"The connection to the source was lost ({reason}).")


@pytest.mark.parametrize(
    "error", [InterfaceError("the parameter is missing"), DatabaseError({"C": "42P01"}), KeyError("a"), ValueError("b")]
)
def test_other_error_is_raised_as_it_is(error: Exception) -> None:
    assert raised(error, session()) is error


def test_error_of_who_takes_the_rows_is_raised_instead() -> None:
    full = OSError(28, "No space left on device")
    assert raised(CallersError(full), session()) is full


def test_last_words_of_the_server_are_the_reason() -> None:
    """The newest that speak of an end; in whatever encoding."""
    reset = ConnectionResetError(104, "Connection reset by peer")
    spoken = session(b"terminating connection due to crash", b"", b"a notice", b"terminating connection: \xff")
    assert "(the server ended it: terminating connection: \ufffd)" in str(raised(reset, spoken))
    last = DatabaseError({"M": "terminating connection due to idle-session timeout"})
    assert "(the server ended it: terminating connection due to idle" in str(raised(reset, session(b"x", last=last)))
    for silent in (session(), session(b"a notice"), session(last=DatabaseError({"M": "syntax error"}))):
        assert "(Connection reset by peer)" in str(raised(reset, silent))


REFUSED = {
    "28P01": "the server refuses the password. Store the right one and deploy again",
    "28000": "the server does not let this user in (pg_hba.conf, or a role that may not log in)",
    "3D000": "the server has no such database",
    "42501": "the user may not connect to this database. Grant CONNECT",
    "53300": "the server has no connection left. Raise max_connections, or see pg_stat_activity",
    "57P03": "the server is starting up or shutting down. Try again in a moment",
    "XX000": "another reason",
}
TRUST = (
    "its TLS certificate is not trusted (certificate has expired). Does `sslrootcert` name the authority that signed"
)


def expired() -> ssl.SSLError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired"
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        *((DatabaseError({"C": code, "M": "another reason"}), words) for code, words in REFUSED.items()),
        (expired(), TRUST),
        (InterfaceError("Server refuses SSL"), "it offers no TLS, which sslmode=require requires. Switch TLS on"),
        (InterfaceError("Can't create a connection"), "it cannot be reached (Can't create a connection). Is it up"),
        (OSError(101, "Network is unreachable"), "it cannot be reached (Network is unreachable). Is it up"),
        (postgres.ScramException("nonce"), "the server and this client do not agree on the password (nonce)"),
        (UnicodeError("label too long"), "its host is no name, or what answers there is not PostgreSQL"),
        (struct.error("short"), "its host is no name, or what answers there is not PostgreSQL"),
        (KeyError(b"H"), "its host is no name, or what answers there is not PostgreSQL"),
    ],
)
def test_connection_that_fails_says_what_to_try(error: Exception, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any) -> None:
        raise error

    monkeypatch.setattr(postgres, "_open", fail)
    with pytest.raises(ConnectionFailedError) as caught:
        postgres.connect(WHERE)
    begins = "Cannot connect to the source at db:5432, database shop, as user me (the secret s): "
    assert str(caught.value).startswith(begins + says) and str(caught.value)[-1] in ".?"
    assert not str(caught.value).endswith("?.")
    with pytest.raises(ConnectionFailedError, match=r": sslmode=maybe is not one of .*\.$"):
        postgres.connect(Credentials("db", 5432, "shop", "me", "hidden", "maybe"))


def attempts(mode: str, *errors: Exception | None) -> tuple[list[bool], Any]:
    """Whether each attempt was with TLS, and what became of the last one."""
    tried: list[bool] = []

    def make(user: bytes, **given: Any) -> dict[str, Any]:
        tried.append(given["ssl_context"] is not False)
        error = errors[len(tried) - 1]
        if error is not None:
            raise error
        return {"user": user, **given}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "Connection", make)
        try:
            return tried, postgres._open(Credentials("/run/pg", 1, "sh\udcff", "mé", "p"), Tls(mode), 7.0)
        except Exception as error:
            return tried, error


def test_second_way_is_tried_where_the_first_is_refused() -> None:
    hba, no_tls, handshake = DatabaseError({"C": "28000"}), InterfaceError("Server refuses SSL"), ssl.SSLError("no")
    for error in (hba, no_tls, handshake):
        tried, found = attempts("prefer", error, None)
        assert (tried, found["ssl_context"]) == ([True, False], False)
        assert attempts("prefer", error, handshake) == ([True, False], handshake)
        assert attempts("require", error) == ([True], error)
    assert attempts("allow", hba, None)[0] == [False, True]
    for other in (DatabaseError({"C": "28P01"}), InterfaceError("network error"), OSError(111, "refused")):
        assert attempts("prefer", other, None) == ([True], other)


def test_connection_is_opened_with_the_bytes_that_were_given() -> None:
    _, found = attempts("disable", None)
    assert found == {
        "user": "mé".encode(),
        "host": "/run/pg",
        "port": 1,
        "database": b"sh\xff",
        "password": b"p",
        "unix_sock": "/run/pg/.s.PGSQL.1",
        "ssl_context": False,
        "timeout": 7.0,
        "application_name": "lambda_script pipeline",
    }


class Closing:
    """A connection that is closed, or fails to be."""

    def __init__(self, error: Exception | None = None) -> None:
        self.closed, self._error = 0, error

    def close(self) -> None:
        self.closed += 1
        if self._error:
            raise self._error


@pytest.mark.parametrize("end", [None, InterfaceError("closed"), OSError("broken pipe")])
def test_connection_is_closed_whatever_the_block_did(end: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Closing(end)
    monkeypatch.setattr(postgres, "connect", lambda where, connect_timeout: opened)
    with database.connected(WHERE) as found:
        assert found is opened
    for error, kind in (
        (KeyError("a"), KeyError),
        (StatementError("own"), StatementError),
        (DatabaseError({"C": "42P01", "M": "no table"}), StatementError),
    ):
        with pytest.raises(kind) as caught, postgres.connected(WHERE):
            raise error
        assert (caught.value is error) is (type(error) is kind)
    assert str(caught.value) == f"An error of {WHERE}: no table (SQLSTATE 42P01)."
    assert opened.closed == 4


def test_errors_of_a_file_have_the_form_of_the_servers() -> None:
    for module, is_own in (("duckdb", True), ("duckdb.errors", True), ("_duckdb", True), ("duckdbs", False)):
        assert is_refusal(type("E", (Exception,), {"__module__": module})()) is is_own
    kinds = {"CatalogException": "42P01", "BinderException": "42703", "ParserException": ""}
    for name, code in kinds.items():
        error = refused(type(name, (Exception,), {})("Table 'a' is wrong\nLINE 1: secret"))
        assert (sqlstate(error), message(error)) == (code, "Table 'a' is wrong")
    for name in ("ConversionException", "ConstraintException", "InvalidInputException", "OutOfRangeException"):
        error = refused(type(name, (Exception,), {})("Could not read 'jane' as \"INT32\""))
        assert message(error) == 'Could not read "..." as "..."'


def test_fields_of_an_error_keep_no_values() -> None:
    """The statement, the detail and what a function's author wrote are left away."""
    every = {code: f"of {code}" for code in "SVCMDHPpqWstcdnFLR"}
    assert set(without_values(every)) == set("SVCMHPstcdnFLRW")
    place = 'COPY t, line 7, column n: "jane"'
    assert without_values({"W": place})["W"] == "COPY t, line 7, column n"
    assert without_values({"W": "PL/pgSQL function f() line 3 at RAISE\nSQL statement \"SELECT 'jane'\""})["W"] == (
        "PL/pgSQL function f() line 3 at RAISE"
    )
    fits = {"C": "22P02", "M": 'invalid input syntax for type integer: "jane"', "H": "a hint"}
    assert without_values(fits) == {**fits, "M": 'invalid input syntax for type integer: "..."'}
    said = "a function or a trigger raised an error, whose message is not shown, as it may have values"
    for own in ({"C": "P0001"}, {"C": "42P01", "F": "pl_exec.c"}, {"C": "22023", "F": "src/plpy_elog.c"}):
        assert without_values({**own, "M": "jane", "H": "jane"}) == {**own, "M": said}
    plain = {"C": "42P01", "F": "src/parse_relation.c", "M": 'relation "absent" does not exist', "H": "a hint"}
    assert without_values(plain) == plain
    joined = DatabaseError({"M": "m ", "W": "w", "C": "42P01"})
    assert (message(joined), sqlstate(joined)) == ("m · w", "42P01")
    assert (message(DatabaseError("words")), sqlstate(DatabaseError("words")), sqlstate(DatabaseError())) == (
        "words",
        "",
        "",
    )
