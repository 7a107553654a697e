"""What a function's role may do: made from what the function declares that it reads and writes, and no more."""

from __future__ import annotations

from typing import Any

from lambda_toolkit.pipeline.config.model import FunctionDeclaration, Pipeline
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import MANIFESTS, REVISIONS

_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}  # by how regions begin; all others are in `aws`


def bucket_of(place: str) -> str:
    """The name in ``[buckets]`` that a place begins with: ``lake`` of ``lake/reports/``."""
    return place.partition("/")[0]


def permissions(pipeline: Pipeline, function: FunctionDeclaration, account: str) -> tuple[dict[str, Any], ...]:
    """The IAM statements that the function needs, and no more: exact buckets, one secret.

    A place is a bucket, or what lies under a prefix in one: ``lake/reports/``. A sweep may delete, but never what says
    that a batch exists. AWS ends a secret's ARN with six characters of its own, hence the question marks.
    """
    arns = f"arn:{partition(pipeline.region)}"

    def objects(place: str, below: str = "") -> str:
        name, _, prefix = place.partition("/")
        return f"{arns}:s3:::{pipeline.bucket_name(name, account)}/{prefix}{below}*"

    statements: list[dict[str, Any]] = []
    for place in function.reads:
        # Without the right to list, S3 answers for an object that is not there that it is forbidden.
        statements.append(_list(f"{arns}:s3:::{pipeline.bucket_name(bucket_of(place), account)}", place))
        statements.append(_allow(objects(place), "s3:GetObject"))
    for place in function.writes:
        statements.append(_allow(objects(place), "s3:PutObject", "s3:AbortMultipartUpload"))
    for place in function.sweeps:
        statements.append(_allow(objects(place), "s3:DeleteObject"))
        for kept in (MANIFESTS, REVISIONS):
            statements.append({**_allow(objects(bucket_of(place), kept), "s3:DeleteObject"), "Effect": "Deny"})
    statements += _keys(pipeline, function)
    if function.secret:
        secret = pipeline.expand(pipeline.secrets[function.secret].template, account)
        arn = f"{arns}:secretsmanager:{pipeline.region}:{account}:secret:{secret}-??????"
        statements.append(_allow(arn, "secretsmanager:GetSecretValue"))
    return tuple(statements)


def _list(bucket: str, place: str) -> dict[str, Any]:
    prefix = place.partition("/")[2]
    statement = _allow(bucket, "s3:ListBucket")
    return {**statement, "Condition": {"StringLike": {"s3:prefix": f"{prefix}*"}}} if prefix else statement


def partition(region: str) -> str:
    """The part of AWS that ``region`` is in, as ARNs name it."""
    return next((name for start, name in _PARTITIONS.items() if region.startswith(start)), "aws")


def _allow(resource: str, *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def _keys(pipeline: Pipeline, function: FunctionDeclaration) -> list[dict[str, Any]]:
    """What the function needs of the keys that its buckets are encrypted with; ending a multipart upload decrypts."""
    actions: dict[str, set[str]] = {}
    for names, needed in ((function.reads, {"kms:Decrypt"}), (function.writes, {"kms:Decrypt", "kms:GenerateDataKey"})):
        for place in names:
            key = pipeline.buckets[bucket_of(place)].kms_key
            if key:
                actions.setdefault(key, set()).update(needed)
    return [_allow(key, *sorted(needed)) for key, needed in actions.items()]
