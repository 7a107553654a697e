"""What the two buckets say about the batches: a batch exists when its manifest does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws

MANIFESTS = "manifests/"
_NUMBER = re.compile(r"manifests/batch-(\d{12})\.json")


@dataclass(frozen=True)
class Batch:
    """A batch by its number, and when its manifest was written."""

    number: int
    written: datetime


def batches_after(aws: Aws, bucket: str, number: int) -> tuple[Batch, ...]:
    """The batches in ``bucket`` with a higher number, in order. Empty where there is no such bucket yet."""
    from botocore.exceptions import ClientError

    pages = aws.client("s3").get_paginator("list_objects_v2")
    found = []
    try:
        for page in pages.paginate(Bucket=bucket, Prefix=MANIFESTS, StartAfter=manifest_key(number)):
            for entry in page.get("Contents", ()):
                match = _NUMBER.fullmatch(entry["Key"])
                if match:
                    found.append(Batch(int(match[1]), entry["LastModified"]))
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NoSuchBucket":
            raise
    return tuple(found)


def manifest(aws: Aws, bucket: str, number: int) -> Mapping[str, Any]:
    """The manifest of batch ``number``. Raises botocore's ClientError where there is none."""
    body = aws.client("s3").get_object(Bucket=bucket, Key=manifest_key(number))["Body"].read()
    document: dict[str, Any] = json.loads(body)
    return document


def manifest_key(number: int) -> str:
    """The key of the manifest of batch ``number``, in either bucket."""
    return f"{MANIFESTS}batch-{number:012d}.json"
