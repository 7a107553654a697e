"""The AWS endpoint that a command uses; the choice leaves the process environment unchanged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.client.target import choose, local_target
from lambda_toolkit.pipeline.local_stack.databases import Database
from lambda_toolkit.pipeline.local_stack.description import Stack

CONFIG = Path("config/pipeline.toml")
REAL = {"AWS_ACCESS_KEY_ID": "real", "AWS_SECRET_ACCESS_KEY": "real-secret", "AWS_SESSION_TOKEN": "real-token"}
DATABASE = Database("127.0.0.1", 1, "d", "u", "p")


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(
        root=tmp_path,
        aws_endpoint_url="http://127.0.0.1:1",
        region="eu-west-2",
        account_id="0" * 12,
        access_key_id="local",
        secret_access_key="local-secret",
        source=DATABASE,
        source_admin=DATABASE,
        warehouse=DATABASE,
        processes={},
    )


def test_the_client_of_the_stack_uses_its_keys_and_its_endpoint(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the environment has the credentials of a real account, and a profile that does not exist."""
    for name, value in {**REAL, "AWS_PROFILE": "missing", "AWS_ENDPOINT_URL": "http://127.0.0.1:2"}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    aws = local_target(CONFIG, stack, os.environ).aws()
    for service in ("lambda", "s3", "iam"):
        client = aws.client(service)
        assert client.meta.endpoint_url == stack.aws_endpoint_url
        credentials = client._request_signer._credentials
        assert (credentials.access_key, credentials.secret_key, credentials.token) == ("local", "local-secret", None)
    assert aws.region == "eu-west-2"
    assert dict(os.environ) == before


def test_elsewhere_the_environment_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**REAL, "AWS_ENDPOINT_URL": "http://127.0.0.1:2"}.items():
        monkeypatch.setenv(name, value)
    client = choose(CONFIG, "dev", os.environ).aws().client("s3")
    assert client.meta.endpoint_url == "http://127.0.0.1:2"
    assert client._request_signer._credentials.token == "real-token"
