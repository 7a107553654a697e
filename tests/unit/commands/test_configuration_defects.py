"""An error that no configuration has is a defect: it is not dressed as a mistake of the user."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.config import database_url, load, lock_file, mirror, project, secret_keys
from lambda_toolkit.pipeline.config.aws import deployment, lake_catalog, limits, role_policy
from lambda_toolkit.pipeline.config.model import ReadSecret, SecretDeclaration
from lambda_toolkit.pipeline.config.schema.toml_reader import Problems
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.spec.model import S3Trigger

FILE = DEFAULT_PATH.resolve()
PIPELINE = load.load(FILE)
ACCOUNT = "123456789012"
CONFIG = "lambda_toolkit.pipeline.config"

EXTRACT = PIPELINE.functions["extract"]
WITH_CA = SecretDeclaration("source", "s", "S", ca=FILE)
TWICE = replace(
    PIPELINE, functions={"extract": replace(EXTRACT, s3_triggers=(S3Trigger("ingestion"), S3Trigger("processed")))}
)
OF_OTHERS = replace(PIPELINE, secrets={"s": SecretDeclaration("s", "", "", None, ReadSecret("arn:{name}"))})
BOUND = replace(PIPELINE, common=replace(PIPELINE.common, permissions_boundary="arn:{account}"))
MIRRORED = replace(PIPELINE, mirrored=("*",))


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ("pathlib.Path.read_text", lambda: deployment.schema_sql(PIPELINE)),
        ("pathlib.Path.read_text", lambda: load.load(FILE)),
        ("pathlib.Path.read_text", lambda: database_url.ca_pem(WITH_CA)),
        ("pathlib.Path.read_text", lambda: lock_file.read_lock(PIPELINE)),
        ("pathlib.Path.read_text", lambda: mirror.read_mirror(Path())),
        ("pathlib.Path.read_text", lambda: project._read(Path("x"))),
        ("pathlib.Path.mkdir", lambda: project._write(Path("x/y"), "")),
        ("pathlib.Path.mkdir", lambda: lock_file.write_lock(PIPELINE, date(2026, 1, 1))),
        (f"{CONFIG}.mirror._table", lambda: mirror.read_mirror(Path("m"))),
        (f"{CONFIG}.database_url.tls_of", lambda: database_url._check("w", "h", None, None)),
        (f"{CONFIG}.database_url.Tls", lambda: database_url.ca_pem(WITH_CA)),
        (
            f"{CONFIG}.aws.lake_catalog.check_catalog",
            lambda: lake_catalog.catalog(PIPELINE, json.loads(deployment.tables_json(PIPELINE)), ACCOUNT),
        ),
        (f"{CONFIG}.aws.limits.check_bucket", lambda: limits.check_limits(Problems(FILE), PIPELINE)),
        (
            f"{CONFIG}.aws.limits.check_dashboard",
            lambda: limits.check_limits(Problems(FILE), replace(PIPELINE, dashboard="d")),
        ),
        ("lambda_script.check_declared", lambda: limits.check_limits(Problems(FILE), TWICE)),
        (f"{CONFIG}.aws.deployment.function_spec", lambda: limits.check_limits(Problems(FILE), PIPELINE)),
        (f"{CONFIG}.model.Pipeline.expand", lambda: limits._boundary(BOUND)),
        (f"{CONFIG}.model.Pipeline.expand", lambda: secret_keys.check_arns(Problems(FILE), OF_OTHERS, ACCOUNT)),
        ("botocore.session.Session.get_partition_for_region", lambda: role_policy.partition("sun-1")),
        (f"{CONFIG}.load.parse", lambda: load.load(FILE)),
        (f"{CONFIG}.load.Schedule.read", lambda: load.load(FILE)),
        (f"{CONFIG}.mirror.read_mirror", lambda: load._mirror(Problems(FILE), MIRRORED, {})),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_defect_is_not_dressed_as_a_mistake(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str, call: Callable[[], object]
) -> None:
    (tmp_path / "m/config").mkdir(parents=True)
    (tmp_path / "m" / mirror.MIRROR_FILE).write_text('{"format": 1, "tables": {"t": {}}}', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lambda_script.lock_requirements", lambda *_, **__: "")

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(target, broken)
    with pytest.raises(ZeroDivisionError):
        call()
