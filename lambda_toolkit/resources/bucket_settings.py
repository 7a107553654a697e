"""The settings of a bucket: public access block, encryption, TLS only, versioning, lifecycle.

S3 replaces a policy and a lifecycle configuration in full. Both are read, our part is replaced, and statements and
rules of others are sent back unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import run_parallel, task
from lambda_toolkit.changes import Difference
from lambda_toolkit.resources.diff import differences
from lambda_toolkit.spec.model import BucketSpec, LifecycleRule

CLOSED = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
_NEW = ("NoSuchBucket",)
_SID = "LambdaScriptTlsOnly"
_RULES = "lambda-script:"  # prefix of the ids of our lifecycle rules
_OPTIONS = ("TransitionDefaultMinimumObjectSize",)  # of a lifecycle configuration; S3 resets it where it is not resent


@dataclass(frozen=True)
class Settings:
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


def read(aws: Aws, spec: BucketSpec) -> Settings:
    """The settings on AWS that ``spec`` manages. Raises AwsError."""
    access, encryption, policy, versioning, lifecycle = run_parallel(
        [
            task(aws.find, "s3", "get_public_access_block", Bucket=spec.name),
            task(aws.find, "s3", "get_bucket_encryption", Bucket=spec.name),
            task(aws.find, "s3", "get_bucket_policy", Bucket=spec.name),
            task(aws.find, "s3", "get_bucket_versioning", Bucket=spec.name) if spec.versioned is not None else _nothing,
            task(aws.find, "s3", "get_bucket_lifecycle_configuration", Bucket=spec.name)
            if spec.lifecycle is not None
            else _nothing,
        ]
    )
    rules = (encryption or {}).get("ServerSideEncryptionConfiguration", {}).get("Rules") or [{}]
    return Settings(
        public_access=access["PublicAccessBlockConfiguration"] if access else {},
        encryption=rules[0],
        policy=json.loads(policy["Policy"]) if policy else {},
        versioning=versioning.get("Status") if versioning else None,
        lifecycle={key: value for key, value in (lifecycle or {}).items() if key in ("Rules", *_OPTIONS)},
    )


def compare(aws: Aws, spec: BucketSpec, live: Settings) -> tuple[Difference, ...]:
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


def write(aws: Aws, spec: BucketSpec, live: Settings, found: tuple[Difference, ...]) -> None:
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


def _nothing() -> None:
    return None


def _encryption(live: Settings) -> tuple[str | None, str | None]:
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
