"""Credentials of a database and the encryption of its connection: every key, default, refusal and mode."""

from __future__ import annotations

import json
import ssl
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError, PipelineError
from lambda_toolkit.pipeline.lambdas.shared.postgres import login, tls
from lambda_toolkit.pipeline.lambdas.shared.postgres.credentials import Credentials

WHOLE = {"host": "db", "port": 5433, "dbname": "shop", "username": "me", "password": "hidden"}
PEM = f"{tls.PEM}\nMIIB"
RDS = "db.c0ffee.eu-west-2.rds.amazonaws.com"


def read(connection: str = "", **changed: Any) -> Credentials:
    return Credentials.from_json(json.dumps({**WHOLE, **changed}), "the secret s", "The source", connection)


def test_each_key_of_a_secret_is_read() -> None:
    whole = read(engine="aurora-postgresql", sslmode="verify-ca", sslrootcert=PEM)
    assert whole == Credentials("db", 5433, "shop", "me", "hidden", "verify-ca", PEM, "the secret s", "The source")
    bare = Credentials.from_json(json.dumps({**WHOLE, "port": None}), "s")
    assert (bare.port, bare.sslmode, bare.sslrootcert, bare.origin, bare.role) == (5432, None, None, "s", "PostgreSQL")
    assert Credentials("h", 1, "d", "u", "p").origin == "the credentials"
    shown = str(whole), repr(read(sslrootcert=PEM))
    assert shown[0] == "The source at db:5433, database shop, as user me (the secret s)"
    assert "hidden" not in shown[1] and "MIIB" not in shown[1]


def test_other_names_of_keys_serve() -> None:
    other = {"host": "db", "user": "me", "database": "shop", "password": 12345}
    found = Credentials.from_json(json.dumps(other), "s")
    assert (found.user, found.database, found.password, found.port) == ("me", "shop", "12345", 5432)


def test_declared_connection_takes_precedence() -> None:
    found = read(json.dumps({"host": "other", "port": 1, "dbname": "d", "sslmode": "require"}), sslmode="disable")
    assert (found.host, found.port, found.database, found.user, found.sslmode) == ("other", 1, "d", "me", "require")
    assert read("no json").host == read("[]").host == "db"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"engine": "mysql" * 20}, f"'engine' is {('mysql' * 8)!r}, and PostgreSQL is expected."),
        ({"host": None}, "lacks the key 'host': it must have it, or `host` in [secrets.*] beside `arn`."),
        ({"dbname": None}, "lacks the key 'dbname': it must have it, or `database` in [secrets.*] beside `arn`."),
        ({"username": None}, "lacks the key 'username', which it must have."),
        ({"password": None}, "lacks the key 'password', which it must have."),
        *(({name: wrong}, f"'{name}' must be a text") for name in ("host", "dbname") for wrong in ("", "a\0", [], 1.5)),
        *(
            ({"port": wrong}, "'port' must be a number from 1 to 65535")
            for wrong in (0, 65536, "-1", "x", "", "²", 1.5)
        ),
        ({"sslmode": 5}, "'sslmode' and 'sslrootcert' must be texts"),
        ({"sslrootcert": 5}, "'sslmode' and 'sslrootcert' must be texts"),
        ({"sslrootcert": "none.pem"}, "names the file none.pem, which cannot be read (No such file or directory)"),
    ],
)
def test_secret_that_cannot_serve_says_why(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ConnectionFailedError) as caught:
        read(**changed)
    assert says in str(caught.value) and "the secret s" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_ports_at_the_edge_are_read() -> None:
    assert (read(port=1).port, read(port="65535").port) == (1, 65535)


@pytest.mark.parametrize("text", ["", "[]", "null", "7"])
def test_secret_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ConnectionFailedError, match="must hold a JSON object with host, port, dbname, username and"):
        Credentials.from_json(text, "s")


def test_authorities_are_a_file_of_the_package(tmp_path, monkeypatch) -> None:
    (tmp_path / "ours.pem").write_text(PEM, encoding="utf-8")
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
    assert read(sslrootcert="ours.pem").sslrootcert == PEM
    assert read(sslrootcert="system").sslrootcert == "system"
    monkeypatch.delenv("LAMBDA_TASK_ROOT")
    amazons = read(sslrootcert="lambdas/shared/postgres/amazon-roots.pem").sslrootcert
    assert amazons == tls.AMAZON_ROOTS.read_text(encoding="utf-8")


class Secrets:
    """Secrets Manager with one answer."""

    exceptions = SimpleNamespace(
        ClientError=ClientError, ResourceNotFoundException=type("ResourceNotFoundException", (ClientError,), {})
    )

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def get_secret_value(self, *, SecretId: str) -> Any:  # noqa: N803
        assert SecretId.endswith("totes/source")
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def refused(code: str, message: str = "no") -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": message}}


def test_secret_is_read_by_its_name() -> None:
    secrets = Secrets({"SecretString": json.dumps(WHOLE)})
    found = Credentials.from_secret(secrets, "totes/source", "The source", json.dumps({"host": "other"}))
    assert found == Credentials("other", 5433, "shop", "me", "hidden", None, None, "secret totes/source", "The source")
    with pytest.raises(ConnectionFailedError, match="secret totes/source must hold a JSON object"):
        Credentials.from_secret(Secrets({"SecretBinary": b""}), "totes/source")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("totes/source", "Set the environment variable that"), ("arn:aws:x:totes/source", "Correct `arn` in [secrets.*]")],
)
def test_missing_secret_says_how_to_create_it(name: str, remedy: str) -> None:
    missing = Secrets.exceptions.ResourceNotFoundException(refused("ResourceNotFoundException"), "GetSecretValue")
    with pytest.raises(PipelineError) as caught:
        Credentials.from_secret(Secrets(missing), name)
    assert str(caught.value).startswith(f"The secret {name} does not exist. {remedy}")


def test_secret_that_may_not_be_read_says_so() -> None:
    denied = ClientError(refused("AccessDeniedException", "Access to KMS is not allowed."), "GetSecretValue")
    with pytest.raises(PipelineError, match="may not be read: Access to KMS is not allowed. Where a KMS key"):
        Credentials.from_secret(Secrets(denied), "totes/source")
    for code in ("InternalServiceError", "ThrottlingException"):
        with pytest.raises(ClientError):
            Credentials.from_secret(Secrets(ClientError(refused(code), "GetSecretValue")), "totes/source")


# ------------------------------------------------------------------------------------------------------------------ TLS

NAMED = {"system": "system", "pem": PEM, None: None}


def expected(host: str, mode: str | None, roots: str | None) -> tuple[str, str | None] | None:
    """The rules of docs/configuration.md, written down a second time; None: a contradiction."""
    if host == "/run/postgresql":
        return None if mode == "maybe" else ("disable", None)
    if mode == "maybe" or (roots == "system" and mode not in (None, "verify-full")):
        return None
    known = tls.amazon_roots(RDS) if host == RDS else None
    if mode is None:
        if roots or known:
            return "verify-full", roots or known
        return ("prefer" if host == "127.0.0.1" else "require"), None
    if mode.startswith("verify"):
        return (mode, roots or known) if roots or known else None
    if mode == "disable":
        return mode, None
    return ("verify-ca", roots) if mode == "require" and roots else (mode, roots)


@pytest.mark.parametrize("host", ["db.example.com", "127.0.0.1", "/run/postgresql", RDS])
def test_mode_and_authorities_decide_the_encryption(host: str) -> None:
    for mode, roots in product((None, *tls.SSLMODES, "maybe"), NAMED.values()):
        wanted = expected(host, mode, roots)
        if wanted is None:
            with pytest.raises(tls.TlsError, match="sslmode=" if mode == "maybe" else "sslrootcert="):
                tls.tls_of(host, mode, roots)
        else:
            assert tls.tls_of(host, mode, roots) == tls.Tls(*wanted), (mode, roots)


def test_modes_are_those_of_libpq() -> None:
    assert tls.SSLMODES == ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
    assert tls.PLAIN_TEXT == ("disable", "allow", "prefer")


@pytest.mark.parametrize(
    ("mode", "tried"),
    [
        ("disable", [False]),
        ("allow", [False, True]),
        ("prefer", [True, False]),
        ("require", [True]),
        ("verify-ca", [True]),
        ("verify-full", [True]),
    ],
)
def test_attempts_are_those_of_libpq_in_its_order(mode: str, tried: list[bool]) -> None:
    authorities = tls.amazon_roots(RDS) if mode.startswith("verify") else None
    attempts = list(tls.Tls(mode, authorities).attempts())
    assert [attempt is not False for attempt in attempts] == tried
    for context in attempts:
        if context:
            assert context.check_hostname == (mode == "verify-full")
            assert context.verify_mode == (ssl.CERT_REQUIRED if authorities else ssl.CERT_NONE)
            assert context.minimum_version == ssl.TLSVersion.TLSv1_2
            assert bool(context.cert_store_stats()["x509_ca"]) == bool(authorities)


def test_authorities_that_are_none_are_refused() -> None:
    for wrong in (PEM, "é"):
        with pytest.raises(tls.TlsError, match="`sslrootcert` is not a certificate in PEM"):
            list(tls.Tls("verify-ca", wrong).attempts())
    [only] = tls.Tls("verify-full", "system").attempts()
    assert only and only.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("localhost", True), ("LOCALHOST.", True), ("127.9.9.9", True), ("::1", True), ("10.0.0.1", False), ("db", False)],
)
def test_loopback_is_this_machine_alone(host: str, is_own: bool) -> None:
    assert tls.is_loopback(host) is is_own


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (RDS, "eu-west-2"),
        ("Shop.Proxy-c0ffee.EU-West-2.RDS.amazonaws.com.", "eu-west-2"),
        ("db.c0ffee.xx-new-9.rds.amazonaws.com", "xx-new-9"),
    ],
)
def test_token_is_signed_for_the_server_and_the_user(host: str, region: str) -> None:
    asked: list[dict[str, Any]] = []

    def sign(**parts: Any) -> str:
        asked.append(parts)
        return f"token {len(asked)}"

    connection = {"host": host, "port": 5433, "dbname": "shop", "username": "me", "sslmode": "disable"}
    found = Credentials.by_iam(json.dumps(connection), sign, "IAM", "the source")
    assert (found.host, found.port, found.database, found.user) == (host, 5433, "shop", "me")
    assert (found.password, found.sslmode, found.origin, found.role) == ("", "verify-full", "IAM", "the source")
    assert found.token is not None and asked == [], "for each connection, not before"
    assert (found.token(), found.token()) == ("token 1", "token 2")
    assert asked == [{"DBHostname": host, "Port": 5433, "DBUsername": "me", "Region": region}] * 2
    assert "token" not in repr(found)
    for elsewhere in ("db.example.com", "rds.amazonaws.com", "a.b.eu-west-2.rds.amazonaws.com.cn"):
        with pytest.raises(ConnectionFailedError, match="is not the endpoint of a server or a proxy of Amazon RDS"):
            Credentials.by_iam(json.dumps({**connection, "host": elsewhere}), sign, "IAM")
    with pytest.raises(ConnectionFailedError, match="IAM lacks the key 'username'"):
        Credentials.by_iam(json.dumps({**connection, "username": None}), sign, "IAM")


def test_authorities_of_rds_are_for_known_regions_and_any_proxy() -> None:
    for host in ("a.B.EU-WEST-2.rds.amazonaws.com", "a.Proxy-b.xx-new-9.rds.amazonaws.com"):
        assert tls.amazon_roots(host) == tls.AMAZON_ROOTS.read_text(encoding="ascii")
        assert not tls.is_unknown_region(host)
    unknown = "a.b.xx-new-9.rds.amazonaws.com"
    assert tls.amazon_roots(unknown) is None and tls.is_unknown_region(unknown.upper())
    assert tls.amazon_roots("db") is None and not tls.is_unknown_region("db")
    assert tls.is_unknown_region("a.b.cn-north-1.rds.amazonaws.com.cn"), "whose authorities are others"
    assert (tls.rds_region("db"), tls.rds_region(unknown)) == (None, "xx-new-9")
    assert {"eu-west-2", "us-east-1", "ap-southeast-2"} <= tls.regions()


def test_file_in_the_place_of_a_server_needs_an_absolute_path() -> None:
    stored = json.dumps({"engine": "duckdb", "file": "/data/my shop.duckdb"})
    found = Credentials.from_json(stored, "s", "the warehouse")
    assert (found.file, found.database, found.host, found.port) == ("/data/my shop.duckdb", "my shop", "", 0)
    assert (found.user, found.password, found.role) == ("", "", "the warehouse")
    assert str(found) == "the warehouse in the DuckDB file /data/my shop.duckdb (s)"
    for wrong in ({"file": "shop.duckdb"}, {"file": "/a\0b"}, {}):
        with pytest.raises(ConnectionFailedError, match="s: 'file' must be the absolute path of a DuckDB file"):
            Credentials.from_json(json.dumps({"engine": "duckdb", **wrong}), "s")


@pytest.mark.parametrize(
    ("connection", "by_iam"),
    [('{"auth": "iam"}', True), ('{"auth": "password"}', False), ("{}", False), ("", False), ("[]", False)],
)
def test_function_logs_in_as_its_environment_says(
    connection: str, by_iam: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []
    client = SimpleNamespace(generate_db_auth_token="sign")
    monkeypatch.setattr(login.runtime, "client", lambda service: client if service == "rds" else service)
    monkeypatch.setattr(Credentials, "by_iam", lambda *given: calls.append(("iam", *given)))
    monkeypatch.setattr(Credentials, "from_secret", lambda *given: calls.append(("secret", *given)))
    monkeypatch.setenv("WAREHOUSE_CONNECTION", connection)
    monkeypatch.setenv("WAREHOUSE_SECRET", "totes/warehouse")
    login.credentials_of("warehouse")
    assert calls == [
        ("iam", connection, "sign", "IAM authentication, WAREHOUSE_CONNECTION", "the warehouse")
        if by_iam
        else ("secret", "secretsmanager", "totes/warehouse", "the warehouse", connection)
    ]
    monkeypatch.delenv("WAREHOUSE_CONNECTION")
    login.credentials_of("warehouse")
    assert calls[-1][0] == "secret"
    monkeypatch.delenv("WAREHOUSE_SECRET")
    with pytest.raises(PipelineError, match="WAREHOUSE_SECRET is not set"):
        login.credentials_of("warehouse")
