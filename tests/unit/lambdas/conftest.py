"""An S3 in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import moto
import pytest

from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from tests.support.sessions import new_session


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket with nothing in it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with moto.mock_aws():
        client = new_session().client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="lake")
        yield Lake(client, "lake")
