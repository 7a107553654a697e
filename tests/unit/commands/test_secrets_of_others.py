"""``[secrets.*] arn``: a secret that RDS or others manage is read by its functions, and by nothing else changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.aws.role_policy import operator_policy
from lambda_toolkit.pipeline.config.database_url import connection_json
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.config.schema import reference
from lambda_toolkit.pipeline.errors import ConfigurationError, UsageError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH

ACCOUNT = "123456789012"
ARN = f"arn:aws:secretsmanager:eu-west-2:{ACCOUNT}:secret:rds!db-0a1b-AbC123"
KEY = f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/1234"
SHIPPED = DEFAULT_PATH.read_text(encoding="utf-8")
OWN = 'name = "{name}/{stage}/source"\nenvironment = "SOURCE_DATABASE_URL"\n'
OTHERS = f'arn = "{ARN}"\nhost = "db.example.com"\nport = 6543\ndatabase = "totesys"\nkms_key = "{KEY}"\n'


def declared(tmp_path: Path, of_source: str, more: str = "", stage: str | None = None) -> Pipeline:
    assert OWN in SHIPPED
    path = tmp_path / "config" / "pipeline.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(SHIPPED.replace(OWN, of_source) + more, encoding="utf-8")
    for name in ("warehouse.sql", "requirements.lock"):
        (path.parent / name).write_bytes((DEFAULT_PATH.parent / name).read_bytes())
    return load(path, stage)


def test_secret_of_others_is_read_by_its_functions_alone(tmp_path: Path) -> None:
    pipeline = declared(tmp_path, OTHERS)
    environ = {"SOURCE_DATABASE_URL": "postgresql://not:used@elsewhere/x"}
    everything = deployment(pipeline, ACCOUNT, environ)
    assert [secret.name for secret in everything.secrets] == ["totes/dev/warehouse", "totes/dev/slack"], (
        "nothing of it is written"
    )
    assert everything.secrets_of_others == (ARN,)
    extract, transform, load_, _, freshness = everything.functions
    assert extract.environment is not None and extract.permissions is not None
    assert extract.environment["SOURCE_SECRET"] == ARN
    assert json.loads(extract.environment["SOURCE_CONNECTION"]) == {
        "host": "db.example.com",
        "port": 6543,
        "dbname": "totesys",
    }
    assert [dict(item) for item in extract.permissions if item["Resource"] in (ARN, KEY)] == [
        {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": ARN},
        {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": KEY},
    ]
    assert "secretsmanager" not in json.dumps([item for item in extract.permissions if item["Resource"] != ARN])
    assert freshness.environment is not None
    assert freshness.environment["SOURCE_CONNECTION"] == extract.environment["SOURCE_CONNECTION"]
    for other in (transform, load_):
        assert not any(text in repr((other.permissions, other.environment)) for text in (ARN, KEY, "_CONNECTION'"))
    assert (
        f"secret source is {ARN}, which others manage: extract and freshness may read it, and nothing of it is written "
        "or tagged" in everything.notes
    )
    with pytest.raises(UsageError, match="others manage it"):
        deployment(pipeline, ACCOUNT, environ, overwritten=("source",))


def test_what_the_configuration_is_silent_about_is_the_secrets(tmp_path: Path) -> None:
    pipeline = declared(tmp_path, f'arn = "{ARN}"\n')
    assert connection_json(pipeline.secrets["source"]) == ""
    environment = deployment(pipeline, ACCOUNT, {}).functions[0].environment or {}
    assert "SOURCE_CONNECTION" not in environment
    plain = declared(tmp_path, OTHERS + 'sslmode = "disable"\n')
    [note] = [note for note in deployment(plain, ACCOUNT, {}).notes if "sslmode" in note]
    assert note.startswith("[secrets.source] has sslmode=disable: the password and all rows may cross the network")
    with pytest.raises(ConfigurationError, match=r"\[secrets.source\]"):
        deployment(declared(tmp_path, OTHERS + 'sslmode = "verify-ca"\n'), ACCOUNT, {})


def test_stage_may_store_its_own_or_read_another(tmp_path: Path) -> None:
    own = f'[stages.local.secrets.source]\narn = ""\n{OWN}'
    local = declared(tmp_path, OTHERS, own, "local")
    assert (local.secrets["source"].read, local.secrets["source"].environment) == (None, "SOURCE_DATABASE_URL")
    read = declared(tmp_path, OWN, f"[stages.prod.secrets.source]\n{OTHERS}", "prod").secrets["source"].read
    assert read is not None and read.arn == ARN
    assert load(tmp_path / "config" / "pipeline.toml").secrets["source"].read is None


@pytest.mark.parametrize(
    ("of_source", "says"),
    [
        (OTHERS.replace("-AbC123", ""), r"`arn` .* is not the complete ARN .*describe-secret"),
        ('arn = "totes/source"', r"is not the complete ARN"),
        (OTHERS.replace("-AbC123", "-AbC1234"), r"is not the complete ARN"),
        (OTHERS.replace("eu-west-2:1", "us-east-1:1", 1), r"a secret in us-east-1, and the functions are in eu-west-2"),
        (OTHERS.replace("6543", "0"), r"`port` 0 is not a number from 1"),
        (OTHERS.replace("rds!", "{what}"), r"unknown placeholder"),
        (OWN + 'host = "db.example.com"\nport = 1\n', r"has `host`, `port`, which `arn` or `auth` needs"),
        ('name = "x"\n', r"lacks the key `environment` \(a string\), or `arn`"),
        ("", r"lacks the key `name`"),
        (OTHERS + 'sslmode = "always"\n', r"`sslmode` must be one of"),
    ],
)
def test_declaration_that_cannot_work_is_refused(tmp_path: Path, of_source: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"\[secrets.source\] .*{says}"):
        declared(tmp_path, of_source)


def test_policy_lets_prepare_read_the_warehouses_secret(tmp_path: Path) -> None:
    def of_secrets() -> list[tuple[Any, Any]]:
        policy = operator_policy(load(tmp_path / "config" / "pipeline.toml"), ACCOUNT)
        return [(item["Action"], item["Resource"]) for item in policy["Statement"] if item["Resource"] in (ARN, KEY)]

    declared(tmp_path, OTHERS)
    assert of_secrets() == [], "the source's is for extract alone"
    warehouse = OWN + f'\n[secrets.warehouse]\narn = "{ARN}"\nkms_key = "{KEY}"\n'
    text = SHIPPED.replace('[secrets.warehouse]\nname = "{name}/{stage}/warehouse"\n', "").replace(OWN, warehouse)
    path = tmp_path / "config" / "pipeline.toml"
    path.write_text(text.replace('environment = "WAREHOUSE_DATABASE_URL"\n', ""), encoding="utf-8")
    assert of_secrets() == [(["secretsmanager:GetSecretValue"], ARN), (["kms:Decrypt"], KEY)]


@pytest.mark.parametrize(
    ("secret", "is_valid"),
    [
        ({"name": "x", "environment": "X"}, True),
        ({"arn": ARN, "host": "h", "port": 1}, True),
        ({"name": "x"}, False),
        ({"host": "h"}, False),
    ],
)
def test_schema_has_both_ways_to_declare_a_secret(secret: dict[str, object], is_valid: bool) -> None:
    schema = reference.json_schema()["properties"]["secrets"]
    assert jsonschema.Draft7Validator(schema).is_valid({"x": secret}) is is_valid
