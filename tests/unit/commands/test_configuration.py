"""The declaration is read whole or refused with the file and the key named."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands.configuration import DEFAULT_PATH, load
from commands.errors import ConfigurationError

SHIPPED = DEFAULT_PATH.read_text(encoding="utf-8")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config" / "pipeline.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_file_declares_the_whole_pipeline():
    pipeline = load(DEFAULT_PATH)
    assert list(pipeline.functions) == ["extract", "transform", "load"]
    assert set(pipeline.buckets) == {"ingestion", "processed"}
    assert len(pipeline.tables["source"]) == 11
    assert len(pipeline.tables["warehouse"]) == 11
    assert pipeline.function_name("extract") == "totes-dev-extract"
    assert pipeline.expand(pipeline.buckets["ingestion"], "123456789012") == "totes-dev-ingestion-123456789012"


def test_a_stage_is_merged_over_the_rest():
    assert load(DEFAULT_PATH).functions["extract"].schedule == "rate(5 minutes)"
    local = load(DEFAULT_PATH, "local")
    assert local.functions["extract"].schedule == "rate(1 minute)"
    assert local.functions["extract"].memory == load(DEFAULT_PATH).functions["extract"].memory
    assert local.packages.platform == "host"
    assert local.packages.runtime is None, "this Python's"
    assert load(DEFAULT_PATH).packages.runtime == "python3.13"
    assert local.packages.exclude


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({}, "eu-west-2"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1"),
        ({"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "us-east-1"}, "eu-north-1"),
    ],
)
def test_the_region_is_what_every_aws_tool_would_take(environ, region):
    assert load(DEFAULT_PATH, environ=environ).region == region


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "totes"\n', "", r"\[pipeline\] lacks the key `name`"),
        ('source = "lambdas/extract"\n', "", r"\[functions.extract\] lacks the key `source`"),
        ('topic = "{name}-{stage}-alerts"', "topic = 7", r"\[alerts\] `topic` must be a text, not 7"),
        ("memory = 1024 ", "memory = true ", r"\[functions.extract\] `memory` must be a whole number, not True"),
        ("memory = 1024 ", "memroy = 1024 ", r"\[functions.extract\] holds the unknown key `memroy`"),
        (
            'alarms = ["errors"]',
            'alarms = ["erors"]',
            r"\[functions.extract\] names `erors`, which \[alarms\] does not",
        ),
        (
            'secret = "source"',
            'secret = "sauce"',
            r"names `sauce`, which \[secrets\] does not declare. Declared there: s",
        ),
        ('runtime = "python3.13"', 'runtimes = "python3.13"', r"\[packages\] holds the unknown key `runtimes`"),
        ('"rate(5 minutes)"', '"0 0 1 * 1"', r"\[functions.extract\] `schedule`: .*day"),
        (
            "data-alerts@example.com",
            "data-alerts",
            r"\[alerts\] `emails` holds 'data-alerts', which is no email address",
        ),
        ('bucket = "ingestion"', 'bucket = "lake"', r"\[functions.transform\] names `lake`"),
        ('emails = ["', 'emails = [1, "', r"\[alerts\] `emails` must be a list of texts"),
        ("[buckets]", "[bukkets]", r"the unknown key `bukkets`"),
        ("[buckets]", "[buckets", r"not valid TOML"),
        ("[pipeline]", "[pipelines]", r"the file lacks the table \[pipeline\]"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, says):
    assert old in SHIPPED
    with pytest.raises(ConfigurationError, match=says):
        load(written(tmp_path, SHIPPED.replace(old, new, 1)))


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist. Run from the repository"):
        load(tmp_path / "pipeline.toml")


def test_an_unknown_placeholder_is_refused():
    with pytest.raises(ConfigurationError, match="placeholder"):
        load(DEFAULT_PATH).expand("{name}-{team}", "1")
