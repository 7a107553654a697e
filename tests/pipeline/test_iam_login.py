"""IAM authentication: a token for each connection in place of a password, over verified TLS alone, on a real server."""

from __future__ import annotations

import itertools
import json
import socket
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import trustme

from lambda_toolkit.pipeline.lambdas.shared import runtime
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres import login
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect, connected
from lambda_toolkit.pipeline.lambdas.shared.postgres.credentials import Credentials
from lambda_toolkit.pipeline.lambdas.shared.postgres.login import credentials_of
from tests.support.pipeline import credentials_of as of_server
from tests.support.tls_servers import tls_proxy

RDS = "shop.c0ffee.eu-west-2.rds.amazonaws.com"


@pytest.fixture
def signed() -> list[dict[str, Any]]:
    """What was to be signed, for each token."""
    return []


@pytest.fixture
def by_iam(postgres_server, signed, monkeypatch):
    """Makes the credentials of a user for a server with TLS, which the name of RDS leads to; the authority signs it."""
    authority, resolve = trustme.CA(), socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: resolve("127.0.0.1" if host == RDS else host, *rest, **more)
    )
    numbers = itertools.count(1)

    def sign(**parts: Any) -> str:
        signed.append(parts)
        return f"token {next(numbers)}"

    server = of_server(postgres_server, "postgres")
    with connect(server) as admin, tls_proxy(server, authority.issue_cert(RDS)) as proxy:
        admin.run("CREATE ROLE loader LOGIN PASSWORD 'token 1'")

        def make(**more: Any) -> tuple[Credentials, Any]:
            connection = {"auth": "iam", "host": RDS, "port": proxy.port, "dbname": "postgres", "username": "loader"}
            roots = authority.cert_pem.bytes().decode()
            text = json.dumps({**connection, "sslrootcert": roots, "sslmode": "disable", **more})
            return Credentials.by_iam(text, sign, "IAM", "the warehouse"), admin

        yield make
        admin.run("DROP ROLE loader")


def test_each_connection_has_a_token_of_its_own(by_iam, signed):
    credentials, admin = by_iam()
    with connected(credentials) as connection:
        assert connection.rows("SELECT session_user::text") == [["loader"]]
    admin.run("ALTER ROLE loader PASSWORD 'token 2'")
    with connected(credentials):
        pass
    assert (
        signed
        == [
            {"DBHostname": RDS, "Port": credentials.port, "DBUsername": "loader", "Region": "eu-west-2"},
        ]
        * 2
    )
    with pytest.raises(
        ConnectionFailedError, match=r"refuses the token of IAM authentication.*GRANT rds_iam"
    ) as caught:
        connect(credentials)
    assert "token 3" not in str(caught.value) and "password" not in repr(credentials)


def test_token_is_never_sent_to_a_server_that_is_not_verified(by_iam, postgres_server):
    """Whatever sslmode says: neither in plain text, nor to a server that another authority signed."""
    plain, _ = by_iam(port=of_server(postgres_server, "postgres").port)
    assert plain.sslmode == "verify-full"
    with pytest.raises(ConnectionFailedError, match="offers no TLS, which sslmode=verify-full requires"):
        connect(plain)
    untrusted, _ = by_iam(sslrootcert=trustme.CA().cert_pem.bytes().decode())
    with pytest.raises(ConnectionFailedError, match="certificate is not trusted"):
        connect(untrusted)
    for host in ("127.0.0.1", "db.example.com", f"{RDS}.example.com"):
        with pytest.raises(ConnectionFailedError, match="is not the endpoint of a server or a proxy of Amazon RDS"):
            by_iam(host=host)


def test_function_signs_by_its_role_and_reads_no_secret(monkeypatch):
    """The token is boto3's own: a signed request of rds-db, for this user, host and port, for 15 minutes."""
    connection = {"auth": "iam", "host": RDS, "port": 5433, "dbname": "shop", "username": "loader"}
    monkeypatch.setenv("WAREHOUSE_CONNECTION", json.dumps(connection))
    monkeypatch.delenv("WAREHOUSE_SECRET", raising=False)
    client = boto3.client(
        "rds", "us-east-1", aws_access_key_id="AKIA", aws_secret_access_key="k", aws_session_token="s"
    )
    monkeypatch.setattr(runtime, "client", {"rds": client}.__getitem__)
    credentials = credentials_of("warehouse")
    assert (credentials.host, credentials.port, credentials.user, credentials.password) == (RDS, 5433, "loader", "")
    assert credentials.token is not None
    parts = urlsplit(f"https://{credentials.token()}")
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert (parts.netloc, query["Action"], query["DBUser"]) == (f"{RDS}:5433", "connect", "loader")
    assert query["X-Amz-Credential"].endswith("/eu-west-2/rds-db/aws4_request")
    assert (query["X-Amz-Expires"], query["X-Amz-Security-Token"]) == ("900", "s")
    monkeypatch.setenv("WAREHOUSE_CONNECTION", '{"host": "other"}')
    with pytest.raises(login.runtime.PipelineError, match="WAREHOUSE_SECRET is not set"):
        credentials_of("warehouse")
