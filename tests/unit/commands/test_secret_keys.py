"""The keys of ``[secrets.*]``: what each makes of the declaration, and which do not go together."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import IamLogin, ReadSecret, SecretDeclaration
from lambda_toolkit.pipeline.config.schema.toml_reader import Problems
from lambda_toolkit.pipeline.config.secret_keys import check_arns, read_secret
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH

ROOT = Path("/project")
HOST = "shop.c0ffee.eu-west-1.rds.amazonaws.com"
OWN = {"name": "shop/db", "environment": "DB_URL", "kind": "database"}
READ = {"arn": "arn:a", "kind": "database"}
IAM = {"auth": "iam", "host": HOST, "database": "d", "user": "u", "resource": "prx-1a", "kind": "database"}


def read(values: dict[str, Any]) -> tuple[SecretDeclaration, list[str]]:
    problems = Problems(Path("p.toml"))
    secret = read_secret(problems, ROOT, "db", defaultdict(lambda: None, values))
    try:
        problems.raise_all()
    except ConfigurationError as error:
        return secret, [line.removeprefix("p.toml: [secrets.db] ") for line in str(error).splitlines()]
    return secret, []


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        (OWN, SecretDeclaration("db", "shop/db", "DB_URL", None)),
        ({**OWN, "ca": "a/b.pem"}, SecretDeclaration("db", "shop/db", "DB_URL", ROOT / "a/b.pem")),
        ({**OWN, "kind": "webhook"}, SecretDeclaration("db", "shop/db", "DB_URL", None, kind="webhook")),
        ({**OWN, "arn": "", "host": "h", "port": 5}, SecretDeclaration("db", "shop/db", "DB_URL", None)),
        ({**OWN, "auth": "", "host": "h", "user": "u"}, SecretDeclaration("db", "shop/db", "DB_URL", None)),
        ({**OWN, **READ}, SecretDeclaration("db", "", "", None, ReadSecret("arn:a"))),
        (
            {**READ, "host": "h", "port": 65535, "database": "d", "sslmode": "require", "kms_key": "k", "ca": "/c.pem"},
            SecretDeclaration("db", "", "", Path("/c.pem"), ReadSecret("arn:a", "h", 65535, "d", "require", "k")),
        ),
        ({**READ, "host": "", "port": 1}, SecretDeclaration("db", "", "", None, ReadSecret("arn:a", port=1))),
        (IAM, SecretDeclaration("db", "", "", None, iam=IamLogin(HOST, 5432, "d", "u", "prx-1a"))),
        (
            {**OWN, **IAM, "port": 65535, "ca": "c.pem"},
            SecretDeclaration("db", "", "", ROOT / "c.pem", iam=IamLogin(HOST, 65535, "d", "u", "prx-1a")),
        ),
        ({**IAM, "port": 1}, SecretDeclaration("db", "", "", None, iam=IamLogin(HOST, 1, "d", "u", "prx-1a"))),
    ],
)
def test_keys_become_the_declaration(values: dict[str, Any], declared: SecretDeclaration) -> None:
    assert read(values) == (declared, [])


NEEDED = "a secret has the user."
VERIFIED = "the server is always verified by its name."


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({**OWN, "kind": "webhook", "ca": "c"}, ["`kind` is 'webhook': it has no `ca`."]),
        ({**READ, "kind": "webhook"}, ["`kind` is 'webhook': it has no `arn`."]),
        ({**READ, "user": "u"}, [f"has `user`, which `auth` needs: {NEEDED}"]),
        ({**READ, "resource": "r"}, [f"has `resource`, which `auth` needs: {NEEDED}"]),
        ({**READ, "port": 65536}, ["`port` 65536 is not a number from 1 to 65535."]),
        ({**READ, "port": 0}, ["`port` 0 is not a number from 1 to 65535."]),
        (
            {"kind": "database"},
            [
                f"lacks the key `{key}` (a string), or `arn` in place of `name` and `environment`."
                for key in ("name", "environment")
            ],
        ),
        (
            {**OWN, **dict.fromkeys(("host", "port", "database", "sslmode", "kms_key", "user", "resource"), "")},
            [
                "has `host`, `port`, `database`, `sslmode`, `kms_key`, `user`, `resource`, which `arn` or `auth` "
                "needs: without it, the URL says that."
            ],
        ),
        (
            {"auth": "iam", "kind": "database"},
            [
                f"lacks the key `{key}` (a string), which `auth` needs."
                for key in ("host", "database", "user", "resource")
            ],
        ),
        ({**IAM, "arn": "a"}, ["has `arn` and `auth`, which are two ways to log in: remove one."]),
        ({**IAM, "kind": "webhook"}, ["`kind` is 'webhook': it has no `auth`."]),
        ({**IAM, "sslmode": "require"}, [f"has `sslmode`, which `auth` does not need: {VERIFIED}"]),
        ({**IAM, "kms_key": "k"}, [f"has `kms_key`, which `auth` does not need: {VERIFIED}"]),
        ({**IAM, "port": 0}, ["`port` 0 is not a number from 1 to 65535."]),
        ({**IAM, "port": 65536}, ["`port` 65536 is not a number from 1 to 65535."]),
        (
            {**IAM, "user": "u*"},
            ["`user` 'u*' has a character that a permission for one user cannot have."],
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused(values: dict[str, Any], problems: list[str]) -> None:
    assert read(values)[1] == problems


def test_host_and_resource_are_those_of_amazon_rds() -> None:
    new = HOST.replace("eu-west-1", "xx-new-9")
    [problem] = read({**IAM, "host": new})[1]
    assert problem.startswith("lacks the key `ca`: ")
    assert read({**IAM, "host": new, "ca": "c.pem"})[1] == []
    [problem] = read({**IAM, "host": "db.example.com", "ca": "c.pem"})[1]
    assert problem.startswith("`host` 'db.example.com' is not the endpoint of a server or proxy of Amazon RDS")
    for resource in ("db-ABC1", "cluster-ABC1", "prx-1"):
        assert read({**IAM, "resource": resource})[1] == []
    for resource in ("db-", "shop", "db-a:*", "xdb-ABC1"):
        [problem] = read({**IAM, "resource": resource})[1]
        assert problem.startswith(f"`resource` {resource!r} is not the resource id of a server, cluster or proxy")


def test_each_arn_is_complete_and_of_the_region() -> None:
    """One that has an unknown placeholder does not hide the next; without a region, each may be right."""
    right = "arn:aws:secretsmanager:{region}:{account}:secret:shop/db-AbC123"
    arns = {
        "own": None,
        "placeholder": "arn:{team}",
        "name": "shop/db",
        "region": right.replace("{region}", "eu-west-1"),
        "right": right,
    }
    secrets = {
        name: SecretDeclaration(name, "", "", None, ReadSecret(arn) if arn else None) for name, arn in arns.items()
    }
    pipeline = replace(load(DEFAULT_PATH), secrets=secrets, path=Path("p.toml"))
    for region, said in (
        (
            "eu-west-2",
            ["placeholder] 'arn:{team}' contains", "name] `arn` 'shop/db' is", "region] `arn` names a secret in eu-w"],
        ),
        (
            "",
            [
                "placeholder] 'arn:{team}' contains",
                "name] `arn` 'shop/db' is",
                "right] `arn` 'arn:aws:secretsmanager::1",
            ],
        ),
    ):
        problems = Problems(Path("p.toml"))
        check_arns(problems, replace(pipeline, region=region), "1" * 12)
        found = [line.removeprefix("p.toml: [secrets.") for line in problems._found]
        assert [line[: len(beginning)] for line, beginning in zip(found, said, strict=True)] == said
