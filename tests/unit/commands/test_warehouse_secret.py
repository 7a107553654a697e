"""Where the credentials of the warehouse come from: the environment, Secrets Manager, or IAM authentication."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.client.warehouses.warehouse_secret import warehouse_credentials
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import IamLogin, ReadSecret, SecretDeclaration
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.postgres.credentials import Credentials
from tests.support.answering_aws import AnsweringAws
from tests.support.repository import REPOSITORY

PIPELINE = load(DEFAULT_PATH)
OWN = PIPELINE.secrets["warehouse"]
CA = REPOSITORY / "lambdas" / "shared" / "postgres" / "amazon-roots.pem"
ARN = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:rds!db-1-AbCdEf"
READ = replace(OWN, template="", environment="", read=ReadSecret(ARN.replace("123456789012", "{account}"), "h", 6543))
VARIABLE = "WAREHOUSE_DATABASE_URL"
URL = {VARIABLE: "postgresql://me:s3cret@db.example.com:6000/star"}
STORED = {"host": "stored", "port": 7000, "dbname": "star", "username": "loader", "password": "p", "sslmode": "require"}


def found(secret: SecretDeclaration, environ: dict[str, str], stored: Any = None) -> tuple[Credentials, list[Any]]:
    """The credentials, and what AWS was asked."""
    answer = stored and (stored if "SecretBinary" in stored else {"SecretString": json.dumps(stored)})
    aws: Any = AnsweringAws(get_secret_value=answer)
    aws.client = lambda service: type("Client", (), {"generate_db_auth_token": lambda _, **of: f"{service} {of}"})()
    target: Any = type("Given", (Target,), {"aws": lambda _: aws})
    return warehouse_credentials(target(replace(PIPELINE, secrets={"warehouse": secret}), environ, False)), aws.asked


@pytest.mark.parametrize("ca", [None, CA])
def test_variable_with_the_url_asks_nothing(ca: Path | None) -> None:
    credentials, asked = found(replace(OWN, ca=ca), URL, STORED)
    where = {"origin": f"the environment variable {VARIABLE}", "role": "the warehouse"}
    assert credentials == Credentials(
        "db.example.com", 6000, "star", "me", "s3cret", None, ca and ca.read_text(encoding="utf-8"), **where
    )
    assert asked == []


@pytest.mark.parametrize("ca", [None, CA])
def test_stored_secret_is_read_where_no_url_is_set(ca: Path | None) -> None:
    """Authorities are the file that the function has in its package: here, the one that is declared."""
    stored = {**STORED, **({"sslrootcert": "warehouse-ca.pem"} if ca else {})}
    credentials, asked = found(replace(OWN, ca=ca), {VARIABLE: ""}, stored)
    roots = ca and ca.read_text(encoding="utf-8")
    where = {"origin": "the secret totes/dev/warehouse", "role": "the warehouse"}
    assert credentials == Credentials("stored", 7000, "star", "loader", "p", "require", roots, **where)
    assert asked == [("secretsmanager", "get_secret_value", {"SecretId": "totes/dev/warehouse"})]


def test_secret_of_others_takes_precedence_over_a_url() -> None:
    """What is declared of the connection is used, whatever the secret has."""
    secret = replace(READ, environment=VARIABLE, ca=CA)
    credentials, asked = found(secret, URL, STORED)
    roots, where = CA.read_text(encoding="utf-8"), {"origin": f"the secret {ARN}", "role": "the warehouse"}
    assert credentials == Credentials("h", 6543, "star", "loader", "p", "require", roots, **where)
    assert asked == [("secretsmanager", "get_secret_value", {"SecretId": ARN})]


def test_login_by_iam_has_a_token_and_reads_no_secret() -> None:
    host = "star.c0ffee.eu-west-1.rds.amazonaws.com"
    secret = replace(OWN, iam=IamLogin(host, 6543, "star", "loader", "db-1"), ca=CA)
    credentials, asked = found(secret, URL)
    roots = CA.read_text(encoding="utf-8")
    where = {"origin": "IAM authentication, [secrets.warehouse]", "role": "the warehouse"}
    assert credentials == Credentials(host, 6543, "star", "loader", "", "verify-full", roots, **where)
    parts = {"DBHostname": host, "Port": 6543, "DBUsername": "loader", "Region": "eu-west-1"}
    assert credentials.token is not None and credentials.token() == f"rds {parts}"
    assert asked == []


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        (OWN, f"{VARIABLE} is not set, and there is no secret totes/dev/warehouse. Set {VARIABLE} to postgresql://"),
        (READ, f"There is no secret {ARN}, which `arn` in "),
    ],
)
def test_unknown_credentials_are_said_with_what_to_set(secret: SecretDeclaration, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        found(secret, {})


def test_secret_of_bytes_has_no_credentials() -> None:
    with pytest.raises(ConnectionFailedError, match="the secret totes/dev/warehouse must hold a JSON object"):
        found(replace(OWN, ca=CA), {}, {"SecretBinary": b"{}"})


def test_pipeline_without_a_warehouse_has_no_credentials() -> None:
    without = Target(replace(PIPELINE, secrets={}), URL, is_local=False)
    with pytest.raises(CommandError, match=r"declares no \[secrets\.warehouse\]"):
        warehouse_credentials(without)
