"""The batches in the two buckets of the lake: a batch exists when its manifest does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from lambda_toolkit.pipeline.lambdas.shared.lake.listing import BucketListing
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import LAST_NUMBER, BatchListing, manifest_key

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws

T = TypeVar("T")


def batches_after(aws: Aws, bucket: str, number: int, until: int = LAST_NUMBER) -> tuple[BatchListing, ...]:
    """The batches in ``bucket`` with a higher number, up to ``until``, in order. Empty where there is no bucket."""
    return _in_bucket(lambda: tuple(_listing(aws, bucket).batches(number, until))) or ()


def has_bucket(aws: Aws, bucket: str) -> bool:
    """Whether ``bucket`` exists. Raises AwsError where it may not be listed."""
    return _in_bucket(lambda: aws.call("s3", "list_objects_v2", Bucket=bucket, MaxKeys=1)) is not None


def last_batch(aws: Aws, bucket: str) -> int | None:
    """The number of the last batch in ``bucket``; None where there is no batch, or no bucket."""
    return _in_bucket(_listing(aws, bucket).last_batch)


def last_manifest(aws: Aws, bucket: str) -> Mapping[str, Any] | None:
    """The manifest of the last batch in ``bucket``; None where there is no batch, or no bucket."""
    number = last_batch(aws, bucket)
    return None if number is None else manifest(aws, bucket, number)


def _listing(aws: Aws, bucket: str) -> BucketListing:
    return BucketListing(lambda **request: aws.call("s3", "list_objects_v2", **request), bucket)


def _in_bucket(read: Callable[[], T]) -> T | None:
    """What ``read`` returns; None where the bucket does not exist."""
    from lambda_script import AwsError

    try:
        return read()
    except AwsError as error:
        if error.code == "NoSuchBucket":
            return None
        raise


def manifest(aws: Aws, bucket: str, number: int) -> Mapping[str, Any]:
    """The manifest of batch ``number``. Raises AwsError where there is none."""
    return _document(aws.call("s3", "get_object", Bucket=bucket, Key=manifest_key(number)))


def find_manifest(aws: Aws, bucket: str, number: int) -> Mapping[str, Any] | None:
    """The manifest of batch ``number``, in one request; None where there is none, or no bucket."""
    answer = aws.find("s3", "get_object", Bucket=bucket, Key=manifest_key(number))
    return None if answer is None else _document(answer)


def _document(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    document: dict[str, Any] = json.loads(answer["Body"].read())
    return document
