"""Which region and credentials are used, and the error when they are missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lambda_script import Lambda_script, ToolkitError
from lambda_toolkit.aws.client import Aws


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_region_argument_precedes_boto3_and_aws_region(monkeypatch) -> None:
    """The region that is named goes before boto3's and that before AWS region."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert Aws().region == "eu-west-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    assert Aws().region == "eu-west-2"
    assert Aws("eu-west-3").region == "eu-west-3"


@pytest.mark.parametrize(
    ("region", "said"),
    [(None, "Cannot talk to AWS: You must specify a region. Set AWS_REGION"), ("eu-west-2", "Unable to locate cred")],
)
def test_missing_region_or_credentials_is_reported_once(tmp_path: Path, region: str | None, said: str) -> None:
    source = tmp_path / "report.py"
    source.write_text("def lambda_handler(event, context): ...\n", encoding="utf-8")
    with pytest.raises(ToolkitError) as caught:
        Lambda_script(source, tmp_path / "report.zip", schedule="@daily", region=region).plan()
    assert str(caught.value).count(said) == 1
