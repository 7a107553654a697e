"""TLS as libpq defines it, on a real PostgreSQL with a certificate and on one without."""

from __future__ import annotations

import dataclasses
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres import tls
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials, connect, connected
from lambda_toolkit.pipeline.local_stack.process import wait_until
from tests.support.pipeline import credentials_of
from tests.support.tls_servers import system_binaries, system_server, tls_proxy

RDS = "db.c0ffee.eu-west-2.rds.amazonaws.com"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def plaintext(postgres_server: Any) -> Credentials:
    """A server without TLS."""
    return credentials_of(postgres_server, "postgres")


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("localhost", RDS)


@pytest.fixture(scope="module")
def real(certificate: trustme.LeafCert) -> Iterator[Credentials]:
    """PostgreSQL itself with TLS on, where the system has one: which rules of pg_hba.conf apply depends on TLS."""
    binaries = system_binaries()
    if binaries is None:
        pytest.skip("this system has no PostgreSQL with TLS; the tests with a proxy run")
    with system_server(binaries, certificate) as credentials:
        assert wait_until(lambda: "cannot be reached" not in outcome(credentials), 20)
        with connected(credentials) as admin:
            for role in ("tls_only", "plain_only"):
                admin.run(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
        yield credentials


@pytest.fixture(scope="module", params=["proxy", "PostgreSQL"])
def server(
    request: pytest.FixtureRequest, plaintext: Credentials, certificate: trustme.LeafCert
) -> Iterator[Credentials]:
    """A server with TLS: its certificate is for ``localhost``, and for a name of RDS."""
    if request.param == "PostgreSQL":
        yield request.getfixturevalue("real")
        return
    with tls_proxy(plaintext, certificate) as credentials:
        yield credentials


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def is_encrypted(connection: Connection) -> bool:
    return isinstance(connection._usock, ssl.SSLSocket)


PLAIN, ENCRYPTED = "plain", "encrypted"
NO_TLS, UNTRUSTED, OTHER_NAME = "offers no TLS", "not trusted", "IP address mismatch"


@pytest.mark.parametrize("other_roots", [None, "right", "wrong"])
@pytest.mark.parametrize(
    ("sslmode", "unverified", "verified", "wrong", "without_tls"),
    [
        # no sslrootcert, the right one, a wrong one; a server without TLS
        ("disable", PLAIN, PLAIN, PLAIN, PLAIN),
        ("allow", PLAIN, PLAIN, PLAIN, PLAIN),
        ("prefer", ENCRYPTED, ENCRYPTED, PLAIN, PLAIN),
        ("require", ENCRYPTED, ENCRYPTED, UNTRUSTED, NO_TLS),
        ("verify-ca", "add sslrootcert=", ENCRYPTED, UNTRUSTED, NO_TLS),
        ("verify-full", "add sslrootcert=", ENCRYPTED, UNTRUSTED, NO_TLS),
        (None, ENCRYPTED, ENCRYPTED, UNTRUSTED, NO_TLS),
    ],
)
def test_sslmode_is_libpqs(
    server: Credentials,
    plaintext: Credentials,
    authority: trustme.CA,
    sslmode: str | None,
    other_roots: str | None,
    unverified: str,
    verified: str,
    wrong: str,
    without_tls: str,
) -> None:
    roots = {None: None, "right": pem(authority), "wrong": pem(trustme.CA())}[other_roots]
    given = {"host": "localhost", "sslmode": sslmode, "sslrootcert": roots}

    assert outcome(server, **given) == {None: unverified, "right": verified, "wrong": wrong}[other_roots]
    if other_roots == "right":
        assert outcome(plaintext, **given) == without_tls


def outcome(server: Credentials, **given: Any) -> str:
    """How the connection is made, or which of the known reasons the error has."""
    try:
        with connected(dataclasses.replace(server, **given)) as connection:
            return ENCRYPTED if is_encrypted(connection) else PLAIN
    except ConnectionFailedError as error:
        assert server.password not in str(error)
        reasons = (NO_TLS, "add sslrootcert=", OTHER_NAME, "not trusted")
        return next((reason for reason in reasons if reason in str(error)), str(error))


@pytest.mark.parametrize(
    ("sslmode", "expected"), [("require", ENCRYPTED), ("verify-ca", ENCRYPTED), ("verify-full", OTHER_NAME)]
)
def test_name_of_the_server_is_verified_by_verify_full_alone(
    server: Credentials, authority: trustme.CA, sslmode: str, expected: str
) -> None:
    assert outcome(server, host="127.0.0.1", sslmode=sslmode, sslrootcert=pem(authority)) == expected


@pytest.mark.parametrize(
    ("sslmode", "user", "expected"),
    [
        ("allow", "tls_only", ENCRYPTED),
        ("allow", "plain_only", PLAIN),
        ("prefer", "tls_only", ENCRYPTED),
        ("prefer", "plain_only", PLAIN),
        ("disable", "tls_only", "pg_hba.conf"),
        ("require", "plain_only", "pg_hba.conf"),
    ],
)
def test_rule_of_the_server_decides_where_both_are_allowed(
    real: Credentials, sslmode: str, user: str, expected: str
) -> None:
    assert expected in outcome(real, sslmode=sslmode, user=user, password="secret")


def test_system_trusts_no_unknown_authority(server: Credentials) -> None:
    assert outcome(server, host="localhost", sslrootcert="system") == UNTRUSTED


@pytest.mark.parametrize("known", [True, False])
def test_rds_is_verified_by_the_authorities_that_are_shipped(
    server: Credentials, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, known: bool
) -> None:
    """A name of RDS, without any parameter: here the shipped file is another, and the name leads to this machine."""
    shipped = tmp_path / "roots.pem"
    shipped.write_text(f"# Amazon RDS eu-west-2 Root CA X\n{pem(authority if known else trustme.CA())}")
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: resolve("127.0.0.1" if host == RDS else host, *rest, **more)
    )
    monkeypatch.setattr(tls, "AMAZON_ROOTS", shipped)
    for cached in (tls._amazon_pem, tls.regions):
        cached.cache_clear()
    try:
        assert outcome(server, host=RDS) == (ENCRYPTED if known else UNTRUSTED)
        assert outcome(server, host=RDS.replace("eu-west-2", "xx-new-1")) != ENCRYPTED
    finally:
        for cached in (tls._amazon_pem, tls.regions):
            cached.cache_clear()


@pytest.mark.parametrize(
    ("host", "mode"),
    [
        ("127.0.0.1", "prefer"),
        ("127.8.8.8", "prefer"),
        ("::1", "prefer"),
        ("localhost", "prefer"),
        ("LOCALHOST.", "prefer"),
        ("/var/run/postgresql", "disable"),
        ("db.example.com", "require"),
        ("10.0.0.1", "require"),
        ("localhost.example.com", "require"),
        ("rds.amazonaws.com.example.com", "require"),
        ("db.c0ffee.us-east-1.rds.amazonaws.com.example.com", "require"),
        ("db.c0ffee.us-gov-west-1.rds.amazonaws.com", "require"),  # its authorities are not shipped: a note says so
        ("db.c0ffee.us-east-1.rds.amazonaws.com", "verify-full"),
        ("DB.c0ffee.US-EAST-1.rds.amazonaws.com", "verify-full"),
        ("db.cluster-ro-c0ffee.eu-central-2.rds.amazonaws.com", "verify-full"),
        ("proxy.proxy-c0ffee.il-central-1.rds.amazonaws.com", "verify-full"),
    ],
)
def test_host_decides_where_the_url_says_nothing(host: str, mode: str) -> None:
    found = tls.tls_of(host, None, None)

    assert found.mode == mode
    assert (found.roots is not None) == (mode == "verify-full")


def test_explicit_mode_is_honoured_for_rds_too() -> None:
    host = "db.c0ffee.us-east-1.rds.amazonaws.com"

    assert tls.tls_of(host, "disable", None) == tls.Tls("disable")
    assert tls.tls_of(host, "require", None) == tls.Tls("require")
    assert tls.tls_of(host, "verify-ca", None).roots == tls.amazon_roots(host)


def test_shipped_authorities_are_valid_and_dated() -> None:
    text = tls.AMAZON_ROOTS.read_text(encoding="ascii")
    context = ssl.create_default_context(cadata=text)
    certificates = context.get_ca_certs()
    owners = {dict(part for (part,) in item["subject"])["organizationName"] for item in certificates}

    assert "Taken on 20" in text
    assert "Permission is hereby granted" in text
    assert "PRIVATE" not in text
    assert {"eu-west-2", "us-east-1"} <= tls.regions()
    assert len(certificates) == text.count(tls.PEM) == context.cert_store_stats()["x509_ca"]
    assert all(ssl.cert_time_to_seconds(str(item["notAfter"])) > 1_900_000_000 for item in certificates)  # 2030
    assert owners == {"Amazon", "Starfield Technologies, Inc.", "Amazon Web Services, Inc."}


def test_invalid_authorities_are_reported(server: Credentials) -> None:
    with pytest.raises(ConnectionFailedError, match="not a certificate in PEM"):
        connect(dataclasses.replace(server, sslrootcert="nonsense"))
