"""Connecting: TLS where it is offered, verified where a CA is given, and errors that say what to try."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme

from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect, connected
from tests.support.pipeline import READER_PASSWORD

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


class TlsProxy:
    """Ends TLS in front of a PostgreSQL server that has none. ``ciphers``: one per connection made with TLS."""

    def __init__(self, server: Credentials, authority: trustme.CA) -> None:
        self.ciphers: list[str] = []
        self._server = server
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                if client.recv(8) != SSL_REQUEST:
                    continue
                client.sendall(b"S")
                with self._context.wrap_socket(client, server_side=True) as secure:
                    self.ciphers.append(secure.version() or "")
                    with socket.create_connection((self._server.host, self._server.port)) as server:
                        back = threading.Thread(target=_pump, args=(server, secure), daemon=True)
                        back.start()
                        _pump(secure, server)
                        server.shutdown(socket.SHUT_WR)
                        back.join(5)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def proxy(
    credentials: tuple[Credentials, Credentials], authority: trustme.CA
) -> Iterator[tuple[TlsProxy, Credentials]]:
    made = TlsProxy(credentials[0], authority)
    try:
        yield made, dataclasses.replace(credentials[0], port=made.port)
    finally:
        made.close()


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def test_tls_is_used_where_the_server_offers_it(proxy):
    made, through = proxy
    with connected(through) as connection:
        assert connection.rows("SELECT 1") == [[1]]
    assert made.ciphers == ["TLSv1.3"]


def test_with_a_ca_the_certificate_is_verified(proxy, authority):
    made, through = proxy
    with connected(dataclasses.replace(through, ca=pem(authority))) as connection:
        assert connection.rows("SELECT 1") == [[1]]
    assert made.ciphers == ["TLSv1.3"]


def test_a_certificate_of_another_authority_is_refused(proxy):
    _, through = proxy
    with pytest.raises(ConnectionFailedError, match="not trusted"):
        connect(dataclasses.replace(through, ca=pem(trustme.CA())))


def test_a_ca_demands_tls(credentials, authority):
    with pytest.raises(ConnectionFailedError, match="offers no TLS"):
        connect(dataclasses.replace(credentials[0], ca=pem(authority)))


def test_invalid_ca_is_reported(credentials):
    with pytest.raises(ConnectionFailedError, match="not a certificate in PEM"):
        connect(dataclasses.replace(credentials[0], ca="nonsense"))


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
