"""``[secrets.*] auth = "iam"``: no secret, one permission for one user of one server, and nothing else changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.aws.role_policy import operator_policy
from lambda_toolkit.pipeline.errors import ConfigurationError, UsageError
from tests.unit.commands.test_secrets_of_others import ACCOUNT, ARN, declared

HOST = "shop.c0ffee.eu-west-1.rds.amazonaws.com"
LOGIN = {"auth": "iam", "host": HOST, "database": "totesys", "user": "reader", "resource": "db-ABC123"}
CONNECT = f"arn:aws:rds-db:eu-west-1:{ACCOUNT}:dbuser:db-ABC123/reader"


def lines(**keys: Any) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items() if value is not None)


def test_login_by_iam_stores_nothing_and_permits_one_user(tmp_path: Path) -> None:
    pipeline = declared(tmp_path, lines(**LOGIN, port=6543))
    everything = deployment(pipeline, ACCOUNT, {"SOURCE_DATABASE_URL": "postgresql://not:used@elsewhere/x"})
    assert [secret.name for secret in everything.secrets] == ["totes/dev/warehouse", "totes/dev/slack"]
    extract = everything.functions[0]
    assert extract.environment is not None and extract.permissions is not None
    assert "SOURCE_SECRET" not in extract.environment
    connection = {"auth": "iam", "host": HOST, "port": 6543, "dbname": "totesys", "username": "reader"}
    assert json.loads(extract.environment["SOURCE_CONNECTION"]) == connection
    permitted = [dict(item) for item in extract.permissions if "rds-db" in json.dumps(item)]
    assert permitted == [{"Effect": "Allow", "Action": ["rds-db:connect"], "Resource": CONNECT}]
    assert "secretsmanager" not in json.dumps(extract.permissions)
    assert any("reader logs in to" in note and "no password is stored" in note for note in everything.notes)
    with pytest.raises(UsageError, match=r"\[secrets.source\] has `auth`, and no value to write"):
        deployment(pipeline, ACCOUNT, {}, overwritten=("source",))
    assert "rds-db" not in json.dumps(operator_policy(pipeline, ACCOUNT)), "who operates reads no source"


def test_who_operates_logs_in_as_the_functions_do(tmp_path: Path) -> None:
    own = 'name = "{name}/{stage}/source"\nenvironment = "SOURCE_DATABASE_URL"\n'
    path = tmp_path / "config" / "pipeline.toml"
    declared(tmp_path, own)
    stored = 'name = "{name}/{stage}/warehouse"\nenvironment = "WAREHOUSE_DATABASE_URL"\n'
    text = path.read_text(encoding="utf-8")
    assert stored in text
    path.write_text(text.replace(stored, lines(**LOGIN)), encoding="utf-8")
    from lambda_toolkit.pipeline.config.load import load

    statements = operator_policy(load(path), ACCOUNT)["Statement"]
    (warehouse,) = (item for item in statements if item["Sid"].startswith("Warehouse"))
    assert (warehouse["Action"], warehouse["Resource"]) == (["rds-db:connect"], CONNECT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"host": None}, "lacks the key `host`"),
        ({"user": None}, "lacks the key `user`"),
        ({"resource": None}, "lacks the key `resource`"),
        ({"host": "db.example.com"}, "is not the endpoint of a server or proxy of Amazon RDS"),
        ({"host": HOST.replace("eu-west-1", "xx-new-1")}, "lacks the key `ca`"),
        ({"resource": "shop"}, "is not the resource id"),
        ({"resource": "db-*"}, "is not the resource id"),
        ({"user": "*"}, "a permission for one user cannot have"),
        ({"user": "a/b"}, "a permission for one user cannot have"),
        ({"user": "${aws:username}"}, "a permission for one user cannot have"),
        ({"arn": ARN}, "two ways to log in"),
        ({"sslmode": "require"}, "the server is always verified"),
        ({"port": 0}, "is not a number from 1"),
        ({"auth": "password"}, "must be one of iam"),
        ({"auth": None, "name": "n", "environment": "E"}, "which `arn` or `auth` needs"),
    ],
)
def test_login_that_could_not_work_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message.replace("(", r"\(")):
        declared(tmp_path, lines(**{**LOGIN, **change}))
