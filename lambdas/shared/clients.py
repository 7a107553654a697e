"""A function's environment variables, AWS clients and lakes. Clients are made once per cold start."""

from __future__ import annotations

import functools
import os
from typing import Any

from .errors import PipelineError
from .lake.store import Lake


@functools.cache
def client(service: str) -> Any:
    """The boto3 client of ``service``, cached. boto3 finds endpoint, region and credentials."""
    import boto3
    from botocore.config import Config

    return boto3.client(service, config=Config(connect_timeout=10, retries={"mode": "standard", "max_attempts": 5}))


def setting(name: str) -> str:
    """The environment variable ``name``. Raises PipelineError when the function was deployed without it."""
    value = os.environ.get(name)
    if not value:
        raise PipelineError(f"The environment variable {name} is not set: the function was deployed without it.")
    return value


def ingestion_lake() -> Lake:
    """The ingestion bucket, which extract writes. Raises PipelineError when its name is not set."""
    return Lake(client("s3"), setting("INGESTION_BUCKET"))


def processed_lake() -> Lake:
    """The processed bucket, which transform writes. Raises PipelineError when its name is not set."""
    return Lake(client("s3"), setting("PROCESSED_BUCKET"))
