"""The check of a new version before it goes live: imports and settings are verified, nothing is written."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from lambda_toolkit.pipeline.lambdas.extract.handler import lambda_handler as extract
from lambda_toolkit.pipeline.lambdas.load.handler import lambda_handler as load
from lambda_toolkit.pipeline.lambdas.shared import runtime
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.transform.handler import lambda_handler as transform
from tests.support.repository import configuration

CHECK = {"action": "check"}


class Secrets:
    """Secrets Manager with one secret, and S3 that denies every call."""

    exceptions = SimpleNamespace(ResourceNotFoundException=LookupError)

    def get_secret_value(self, **named: str) -> dict[str, str]:
        if named != {"SecretId": "shop/database"}:
            raise LookupError
        value = {"host": "h", "port": 5432, "dbname": "d", "username": "u", "password": "p"}
        return {"SecretString": json.dumps(value)}


@pytest.fixture(autouse=True)
def deployed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tables.json").write_text(json.dumps({"format": 1, **configuration()}), encoding="utf-8")
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
    for name in ("INGESTION_BUCKET", "PROCESSED_BUCKET"):
        monkeypatch.setenv(name, "a-bucket")
    for name in ("SOURCE_SECRET", "WAREHOUSE_SECRET"):
        monkeypatch.setenv(name, "shop/database")
    monkeypatch.setattr(runtime, "client", lambda service: Secrets())


@pytest.mark.parametrize("handler", [extract, transform, load])
def test_a_version_that_has_all_it_needs_passes(handler) -> None:
    assert handler(CHECK, None) == {"checked": True}


@pytest.mark.parametrize("handler", [extract, transform, load])
def test_a_check_with_more_in_it_is_refused(handler) -> None:
    with pytest.raises(PipelineError, match="ful"):
        handler({**CHECK, "ful": True}, None)


@pytest.mark.parametrize(
    ("handler", "variable"),
    [
        *((extract, name) for name in ("SOURCE_SECRET", "INGESTION_BUCKET")),
        *((transform, name) for name in ("INGESTION_BUCKET", "PROCESSED_BUCKET")),
        *((load, name) for name in ("WAREHOUSE_SECRET", "PROCESSED_BUCKET")),
    ],
)
def test_a_version_that_lacks_a_setting_fails_and_names_it(handler, variable, monkeypatch) -> None:
    monkeypatch.delenv(variable)
    with pytest.raises(PipelineError, match=variable):
        handler(CHECK, None)


@pytest.mark.parametrize("handler", [extract, load])
def test_a_version_whose_secret_is_not_there_fails(handler, monkeypatch) -> None:
    for name in ("SOURCE_SECRET", "WAREHOUSE_SECRET"):
        monkeypatch.setenv(name, "shop/none")
    with pytest.raises(PipelineError, match="shop/none does not exist"):
        handler(CHECK, None)


def test_a_version_whose_declaration_is_broken_fails(tmp_path: Path) -> None:
    (tmp_path / "tables.json").write_text("{", encoding="utf-8")
    with pytest.raises(PipelineError):
        transform(CHECK, None)
