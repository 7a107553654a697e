"""S3 buckets: created, tagged and configured as declared; deleted only with their data, and only on request.

Settings are the public access block, encryption, TLS only, versioning and lifecycle. S3 replaces a policy and a
lifecycle configuration in full. Both are read, our part is replaced, and statements and rules of others are sent back
unchanged.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import run_parallel, task
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning import tags
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.spec.bucket import BucketSpec, LifecycleRule
from lambda_toolkit.spec.model import Kind
from lambda_toolkit.spec.ownership import as_list, as_mapping, desired_tags, is_owned, require_owned

KIND = Kind.BUCKET
_BATCH = 1000  # keys, the most that one DeleteObjects takes
_NEW = ("NoSuchBucket",)
CLOSED = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
_SID = "LambdaScriptTlsOnly"
_RULES = "lambda-script:"  # prefix of the ids of our lifecycle rules
_OPTIONS = ("TransitionDefaultMinimumObjectSize",)  # of a lifecycle configuration; S3 resets it where it is not resent


def plan(reads: Reads, spec: BucketSpec) -> list[Change]:
    """The change that brings the bucket to ``spec``. Raises OwnershipError."""
    aws = reads.aws
    live_tags = _tags(aws, spec.name)
    if live_tags is None:
        return [_creation(aws, spec)]
    require_owned(KIND, spec.name, live_tags, adopt=spec.adopt, declared=spec.tags)
    tag_change = tags.compare(live_tags, spec.tags)
    live = _read_settings(aws, spec)
    found = _compare_settings(aws, spec, live)
    if not found and not tag_change:
        return []

    def update(executor_aws: Aws) -> None:
        _write_settings(executor_aws, spec, live, found)
        if tag_change:  # PutBucketTagging replaces the full set
            kept = {key: value for key, value in live_tags.items() if key not in tag_change.unwanted}
            labels = as_list({**kept, **tag_change.missing})
            executor_aws.call("s3", "put_bucket_tagging", Bucket=spec.name, Tagging={"TagSet": labels})

    return [Change(KIND, spec.name, "update", differences=(*found, *tag_change.differences), apply=update)]


def _creation(aws: Aws, spec: BucketSpec) -> Change:
    name = spec.name
    nothing = _Settings()
    settings = _compare_settings(aws, spec, nothing)

    def create(executor_aws: Aws) -> None:
        labels = desired_tags(spec.tags)
        _create(executor_aws, name, labels)
        try:  # S3 has the tags already; what is only compatible with S3 may not know the parameter
            tagging = {"TagSet": as_list(labels)}
            executor_aws.call("s3", "put_bucket_tagging", also_retry=_NEW, Bucket=name, Tagging=tagging)
        except AwsError:
            _undo_creation(executor_aws, name)
            raise
        _write_settings(executor_aws, spec, nothing, settings)

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


def _create(aws: Aws, name: str, labels: dict[str, str]) -> None:
    """Create the bucket with its tags in one call: one without them would count as unmanaged.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucketConfiguration.html
    """
    place = {} if aws.region == "us-east-1" else {"LocationConstraint": aws.region}  # S3 refuses that region's name
    configuration = {**place, "Tags": as_list(labels)}
    aws.create(
        "s3",
        "create_bucket",
        exists=("BucketAlreadyOwnedByYou",),
        Bucket=name,
        CreateBucketConfiguration=configuration,
    )


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
    versions = aws.list_existing("s3", "list_object_versions", "Versions", Bucket=name)
    markers = aws.list_existing("s3", "list_object_versions", "DeleteMarkers", Bucket=name)
    objects: list[dict[str, Any]] = [
        {"Key": item["Key"], "VersionId": item["VersionId"]} for item in (*versions, *markers)
    ]
    for start in range(0, len(objects), _BATCH):
        answer = aws.find(
            "s3", "delete_objects", Bucket=name, Delete={"Objects": objects[start : start + _BATCH], "Quiet": True}
        )
        for kept in (answer or {}).get("Errors", ()):  # inside a successful answer
            raise AwsError(
                f"s3:DeleteObject {name}: {kept.get('Key')} remains: {kept.get('Message')} ({kept.get('Code')}).",
                code=str(kept.get("Code")),
                operation="s3:DeleteObject",
            )
    for upload in aws.list_existing("s3", "list_multipart_uploads", "Uploads", Bucket=name):
        aws.find("s3", "abort_multipart_upload", Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])


@dataclass(frozen=True)
class _Settings:
    """A bucket's settings as S3 returns them."""

    public_access: Mapping[str, bool] = field(default_factory=dict)
    """``PublicAccessBlockConfiguration``; empty where there is none."""
    encryption: Mapping[str, Any] = field(default_factory=dict)
    """The one rule of ``ServerSideEncryptionConfiguration``; empty where there is none."""
    policy: Mapping[str, Any] = field(default_factory=dict)
    """The bucket policy, parsed; empty where there is none."""
    versioning: str | None = None
    """``Enabled`` or ``Suspended``; ``None`` where versioning was never enabled, or is not managed."""
    lifecycle: Mapping[str, Any] = field(default_factory=dict)
    """``Rules`` and the options beside them; empty where there are none, or they are not managed."""


def _read_settings(aws: Aws, spec: BucketSpec) -> _Settings:
    """The settings on AWS that ``spec`` manages. Raises AwsError."""
    access, encryption, policy, versioning, lifecycle = run_parallel(
        [
            task(aws.find, "s3", "get_public_access_block", Bucket=spec.name),
            task(aws.find, "s3", "get_bucket_encryption", Bucket=spec.name),
            task(aws.find, "s3", "get_bucket_policy", Bucket=spec.name),
            task(aws.find, "s3", "get_bucket_versioning", Bucket=spec.name) if spec.versioned is not None else _unread,
            task(aws.find, "s3", "get_bucket_lifecycle_configuration", Bucket=spec.name)
            if spec.lifecycle is not None
            else _unread,
        ]
    )
    rules = (encryption or {}).get("ServerSideEncryptionConfiguration", {}).get("Rules") or [{}]
    return _Settings(
        public_access=access["PublicAccessBlockConfiguration"] if access else {},
        encryption=rules[0],
        policy=json.loads(policy["Policy"]) if policy else {},
        versioning=versioning.get("Status") if versioning else None,
        lifecycle={key: value for key, value in (lifecycle or {}).items() if key in ("Rules", *_OPTIONS)},
    )


def _compare_settings(aws: Aws, spec: BucketSpec, live: _Settings) -> tuple[Difference, ...]:
    """The differences of ``live`` from ``spec``, attribute by attribute."""
    desired: dict[str, Any] = {"public_access": CLOSED, "tls_only": spec.tls_only}
    algorithm, key = _encryption(live)
    # Encryption with a key that is not declared is encryption all the same: it is left alone.
    desired["encryption"] = f"aws:kms {spec.kms_key}" if spec.kms_key else algorithm or "AES256"
    if spec.versioned is not None:
        desired["versioning"] = "Enabled" if spec.versioned else "Suspended" if live.versioning else None
    if spec.lifecycle is not None:
        desired["lifecycle"] = {rule.name: _shown(_rule(rule)) for rule in spec.lifecycle}
    return differences(
        {
            "public_access": live.public_access,
            "tls_only": _tls_statement(aws, spec) in map(_sorted, _statements(live.policy)),
            "encryption": f"{algorithm} {key}" if spec.kms_key and algorithm else algorithm,
            "versioning": live.versioning,
            "lifecycle": {
                str(rule["ID"]).removeprefix(_RULES): _shown(rule)
                for rule in live.lifecycle.get("Rules", ())
                if _is_own(rule)
            },
        },
        desired,
    )


def _write_settings(aws: Aws, spec: BucketSpec, live: _Settings, found: tuple[Difference, ...]) -> None:
    """Write the settings that ``found`` names. Raises AwsError."""
    differing = {item.attribute.partition(".")[0] for item in found}
    name = spec.name
    if "public_access" in differing:
        access = {"PublicAccessBlockConfiguration": CLOSED}
        aws.call("s3", "put_public_access_block", also_retry=_NEW, Bucket=name, **access)
    if "encryption" in differing:
        rule = _encryption_rule(spec.kms_key)
        configuration = {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
        aws.call("s3", "put_bucket_encryption", also_retry=_NEW, Bucket=name, **configuration)
    if "tls_only" in differing:
        _write_policy(aws, spec, live.policy)
    if "versioning" in differing:
        status = {"Status": "Enabled" if spec.versioned else "Suspended"}
        aws.call("s3", "put_bucket_versioning", also_retry=_NEW, Bucket=name, VersioningConfiguration=status)
    if "lifecycle" in differing:
        _write_lifecycle(aws, spec, live.lifecycle)


def _unread() -> None:
    return None


def _encryption(live: _Settings) -> tuple[str | None, str | None]:
    rule = live.encryption.get("ApplyServerSideEncryptionByDefault", {})
    return rule.get("SSEAlgorithm"), rule.get("KMSMasterKeyID")


def _encryption_rule(key: str | None) -> dict[str, Any]:
    if key is None:
        return {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    # With a bucket key, S3 calls KMS once for many objects, not for each.
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    return {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}


def _tls_statement(aws: Aws, spec: BucketSpec) -> dict[str, Any]:
    arn = aws.arn("s3", spec.name)
    return {
        "Sid": _SID,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _statements(policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A policy's statements: a single one need not be in a list."""
    statements = policy.get("Statement") or []
    return list(statements) if isinstance(statements, list) else [statements]


def _sorted(statement: Mapping[str, Any]) -> dict[str, Any]:
    return {key: sorted(value) if isinstance(value, list) else value for key, value in statement.items()}


def _write_policy(aws: Aws, spec: BucketSpec, live: Mapping[str, Any]) -> None:
    others = [statement for statement in _statements(live) if statement.get("Sid") != _SID]
    statements = [*others, *([_tls_statement(aws, spec)] if spec.tls_only else [])]
    if statements:
        policy = json.dumps({"Version": "2012-10-17", **live, "Statement": statements})
        aws.call("s3", "put_bucket_policy", also_retry=_NEW, Bucket=spec.name, Policy=policy)
    else:
        aws.find("s3", "delete_bucket_policy", Bucket=spec.name)


def _write_lifecycle(aws: Aws, spec: BucketSpec, live: Mapping[str, Any]) -> None:
    others = [rule for rule in live.get("Rules", ()) if not _is_own(rule)]
    # Rules of the older form have Prefix instead of Filter, and S3 accepts no mix of the two forms.
    old_form = any("Filter" not in rule for rule in others)
    rules = [*others, *(_rule(rule, old_form=old_form) for rule in spec.lifecycle or ())]
    if not rules:
        aws.find("s3", "delete_bucket_lifecycle", Bucket=spec.name)
        return
    options = {key: live[key] for key in _OPTIONS if key in live}
    configuration = {"LifecycleConfiguration": {"Rules": rules}, **options}
    aws.call("s3", "put_bucket_lifecycle_configuration", also_retry=_NEW, Bucket=spec.name, **configuration)


def _is_own(rule: Mapping[str, Any]) -> bool:
    return str(rule.get("ID", "")).startswith(_RULES)


def _rule(rule: LifecycleRule, *, old_form: bool = False) -> dict[str, Any]:
    document: dict[str, Any] = {"ID": f"{_RULES}{rule.name}", "Status": "Enabled"}
    document |= {"Prefix": rule.prefix} if old_form else {"Filter": {"Prefix": rule.prefix}}
    if rule.abort_uploads_days is not None:
        document["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": rule.abort_uploads_days}
    if rule.noncurrent_days is not None:
        document["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule.noncurrent_days}
    if rule.expire_days is not None:
        document["Expiration"] = {"Days": rule.expire_days}
    if rule.transition_days is not None:
        document["Transitions"] = [{"Days": rule.transition_days, "StorageClass": rule.storage_class}]
    return document


def _shown(rule: Mapping[str, Any]) -> str:
    """A rule in words: the form in which two are compared and shown."""
    prefix = rule.get("Prefix") or rule.get("Filter", {}).get("Prefix") or ""
    days = (
        ("uploads abort after", rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation")),
        ("old versions expire after", rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")),
        ("objects expire after", rule.get("Expiration", {}).get("Days")),
        *((f"to {item.get('StorageClass')} after", item.get("Days")) for item in rule.get("Transitions", ())),
    )
    described = ", ".join(f"{what} {number} days" for what, number in days if number is not None)
    switched = "" if rule.get("Status") == "Enabled" else " (off)"
    return f"{prefix}*: {described}{switched}"
