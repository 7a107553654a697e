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
    from lambda_toolkit.errors import AwsError

    try:
        entries = aws.list_all(
            "s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=MANIFESTS, StartAfter=manifest_key(number)
        )
    except AwsError as error:
        if error.code == "NoSuchBucket":
            return ()
        raise
    matches = ((_NUMBER.fullmatch(entry["Key"]), entry["LastModified"]) for entry in entries)
    return tuple(Batch(int(match[1]), written) for match, written in matches if match)


def manifest(aws: Aws, bucket: str, number: int) -> Mapping[str, Any]:
    """The manifest of batch ``number``. Raises AwsError where there is none."""
    body = aws.call("s3", "get_object", Bucket=bucket, Key=manifest_key(number))["Body"].read()
    document: dict[str, Any] = json.loads(body)
    return document


def manifest_key(number: int) -> str:
    """The key of the manifest of batch ``number``, in either bucket."""
    return f"{MANIFESTS}batch-{number:012d}.json"
