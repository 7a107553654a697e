"""The dashboard of a pipeline on AWS: documents are read by the same code, and each failure is in its own section."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.client.target import Target, choose
from lambda_toolkit.pipeline.commands.shared.options import explained
from lambda_toolkit.pipeline.dashboard import documents, rendering, server
from lambda_toolkit.pipeline.dashboard.readings import Readings
from tests.support.repository import REPOSITORY

CONFIG = REPOSITORY / "config" / "pipeline.toml"
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Target:
    for name in ("SOURCE_DATABASE_URL", "WAREHOUSE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return choose(CONFIG, "prod", os.environ)


@pytest.fixture
def dashboard(target: Target) -> Iterator[server.Dashboard]:
    sources = documents.sources(documents.Targets(target), lambda: NOW, 0.0)
    readings = Readings(sources, lambda error: explained(error, CONFIG), wait=60)
    frame = rendering.Frame("totes", "prod", "/key/", server.KINDS)
    yield server.Dashboard(readings, frame, 1, lambda: NOW, lambda command: f"lambda-script {command}".strip())
    readings.close()


def text(dashboard: server.Dashboard, name: str, **parameters: str) -> str:
    kind = next(kind for kind in server.KINDS if kind.name == name)
    html = rendering.document(dashboard.page(kind, parameters), dashboard.frame, parameters, "12:00:00")
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_pipeline_that_is_not_deployed_says_how_to_deploy_it(dashboard):
    shown = text(dashboard, "health")
    assert "Not deployed: totes-prod-extract, totes-prod-transform, totes-prod-load" in shown
    assert "lambda-script plan lambda-script" in shown
    assert "The warehouse's credentials are unknown: WAREHOUSE_DATABASE_URL is not set" in shown
    assert "Messages" not in shown, "AWS delivers them"


def test_batches_are_shown_although_the_warehouse_is_unknown(dashboard, target):
    """Nothing is deployed, and the lake is there: what needs the warehouse says why it is missing."""
    shown = text(dashboard, "pipeline", batch="1")
    assert shown.count("credentials are unknown") >= 2 and "not deployed" not in shown
    shown = text(dashboard, "warehouse", table="fact_payment", key="1")
    assert shown.count("credentials are unknown") >= 3 and "12:00:00" in shown


def test_expired_credentials_are_named_on_every_page(dashboard, monkeypatch):
    def expired(*arguments: object, **named: object) -> object:
        from botocore.exceptions import ClientError

        error = {"Error": {"Code": "ExpiredTokenException", "Message": "The security token included is expired"}}
        raise ClientError(error, "GetFunctionConfiguration")

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", expired)
    for kind in server.KINDS:
        shown = text(dashboard, kind.name)
        assert "expired" in shown and "Unknown" in shown, kind.name


def test_target_follows_its_files_and_stays_what_it_is(target, monkeypatch, tmp_path):
    """A configuration that is edited is read again; the stage, and stack or AWS, never change."""
    asked: list[str | None] = []

    def chosen(config: Path, stage: str | None, environ: object) -> Target:
        asked.append(stage)
        return target

    monkeypatch.setattr(documents, "choose", chosen)
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "pipeline.toml").write_text("", encoding="utf-8")

    here = replace(target, pipeline=replace(target.pipeline, path=folder / "pipeline.toml"))
    targets = documents.Targets(here)
    first = targets()
    assert targets() is first and asked == []
    (folder / "warehouse.sql").write_text("-- another table", encoding="utf-8")
    assert targets() is not first and asked == ["prod"]
    documents.Targets(replace(here, is_local=True))
    local = documents.Targets(replace(here, is_local=True))
    (folder / "warehouse.sql").unlink()
    local()
    assert asked == ["prod", "local"]
