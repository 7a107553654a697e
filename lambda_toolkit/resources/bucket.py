"""S3 buckets: created, tagged and configured as declared; deleted only with their data, and only on request."""

from __future__ import annotations

import contextlib
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Key
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources import bucket_settings, tags
from lambda_toolkit.resources.bucket_settings import Settings
from lambda_toolkit.resources.reads import Reads
from lambda_toolkit.spec.model import BucketSpec, Kind
from lambda_toolkit.spec.ownership import as_list, as_mapping, desired_tags, is_owned, require_owned

KIND = Kind.BUCKET
_BATCH = 1000  # keys, the most that one DeleteObjects takes
_NEW = ("NoSuchBucket",)


def plan(reads: Reads, spec: BucketSpec) -> list[Change]:
    """The change that brings the bucket to ``spec``. Raises OwnershipError."""
    aws = reads.aws
    live_tags = _tags(aws, spec.name)
    if live_tags is None:
        return [_creation(aws, spec)]
    require_owned(KIND, spec.name, live_tags, adopt=spec.adopt, declared=spec.tags)
    tag_change = tags.compare(live_tags, spec.tags)
    live = bucket_settings.read(aws, spec)
    found = bucket_settings.compare(aws, spec, live)
    if not found and not tag_change:
        return []

    def update(executor_aws: Aws) -> None:
        bucket_settings.write(executor_aws, spec, live, found)
        if tag_change:  # PutBucketTagging replaces the full set
            kept = {key: value for key, value in live_tags.items() if key not in tag_change.unwanted}
            labels = as_list({**kept, **tag_change.missing})
            executor_aws.call("s3", "put_bucket_tagging", Bucket=spec.name, Tagging={"TagSet": labels})

    return [Change(KIND, spec.name, "update", differences=(*found, *tag_change.differences), apply=update)]


def _creation(aws: Aws, spec: BucketSpec) -> Change:
    name = spec.name
    nothing = Settings()
    settings = bucket_settings.compare(aws, spec, nothing)

    def create(executor_aws: Aws) -> None:
        location: dict[str, Any] = (
            {}
            if executor_aws.region == "us-east-1"
            else {"CreateBucketConfiguration": {"LocationConstraint": executor_aws.region}}
        )
        _create(executor_aws, name, location)
        labels = as_list(desired_tags(spec.tags))
        try:
            executor_aws.call("s3", "put_bucket_tagging", also_retry=_NEW, Bucket=name, Tagging={"TagSet": labels})
        except AwsError:
            _undo_creation(executor_aws, name)
            raise
        bucket_settings.write(executor_aws, spec, nothing, settings)

    described = ["closed to the public", f"encrypted with {spec.kms_key or 'AES256'}"]
    described += ["over TLS only"] if spec.tls_only else []
    described += ["versioned"] if spec.versioned else []
    rules = (
        f"lifecycle {item.attribute.partition('.')[2]}: {item.desired}"
        for item in settings
        if "lifecycle" in item.attribute
    )
    return Change(KIND, name, "create", (", ".join(described), *rules), apply=create)


def plan_removal(reads: Reads, spec: BucketSpec, after: frozenset[Key]) -> list[Change]:
    """The change that deletes the bucket with all its objects, if the toolkit created it. It waits for ``after``."""
    aws = reads.aws
    live_tags = _tags(aws, spec.name)
    if live_tags is None or not is_owned(live_tags, declared=spec.tags):
        return []

    def delete(executor_aws: Aws) -> None:
        _empty(executor_aws, spec.name)
        executor_aws.find("s3", "delete_bucket", Bucket=spec.name)

    return [Change(KIND, spec.name, "delete", ("and every object in it",), after=after, apply=delete)]


def _create(aws: Aws, name: str, parameters: dict[str, Any]) -> None:
    try:
        aws.call("s3", "create_bucket", Bucket=name, **parameters)
    except AwsError as error:
        if error.code != "BucketAlreadyOwnedByYou":
            raise  # otherwise the first attempt of a retried call had created it


def _undo_creation(aws: Aws, name: str) -> None:
    """Delete a bucket that could not be tagged: the next deploy would not recognize it as the toolkit's.

    S3 refuses to delete one that is not empty. Where the deletion fails, the caller raises the first error.
    """
    with contextlib.suppress(AwsError):
        aws.find("s3", "delete_bucket", Bucket=name)


def _tags(aws: Aws, name: str) -> dict[str, str] | None:
    """The bucket's tags; ``None`` where the bucket does not exist."""
    try:
        return as_mapping(aws.call("s3", "get_bucket_tagging", Bucket=name)["TagSet"])
    except AwsError as error:
        if error.code == "NoSuchTagSet":
            return {}
        if error.code in ("NoSuchBucket", "404"):
            return None
        if error.code in ("AccessDenied", "403"):
            raise AwsError(
                f"{error} Or {name} belongs to another account: bucket names are global. Choose another.",
                code=error.code,
                operation=error.operation,
            ) from error
        raise


def _empty(aws: Aws, name: str) -> None:
    """Delete every version of every object, and abort multipart uploads."""
    versions = aws.list_all("s3", "list_object_versions", "Versions", Bucket=name)
    markers = aws.list_all("s3", "list_object_versions", "DeleteMarkers", Bucket=name)
    objects: list[dict[str, Any]] = [
        {"Key": item["Key"], "VersionId": item["VersionId"]} for item in (*versions, *markers)
    ]
    for start in range(0, len(objects), _BATCH):
        answer = aws.call(
            "s3", "delete_objects", Bucket=name, Delete={"Objects": objects[start : start + _BATCH], "Quiet": True}
        )
        for kept in answer.get("Errors", ()):  # inside a successful answer
            raise AwsError(
                f"s3:DeleteObject {name}: {kept.get('Key')} remains: {kept.get('Message')} ({kept.get('Code')}).",
                code=str(kept.get("Code")),
                operation="s3:DeleteObject",
            )
    for upload in aws.list_all("s3", "list_multipart_uploads", "Uploads", Bucket=name):
        aws.find("s3", "abort_multipart_upload", Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
