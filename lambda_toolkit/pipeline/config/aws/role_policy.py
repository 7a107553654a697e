"""The policy of a function's role, made from what the function declares that it reads and writes."""

from __future__ import annotations

import functools
import re
from typing import Any

from lambda_toolkit.pipeline.config.aws.access_function import ANSWERS_IN
from lambda_toolkit.pipeline.config.aws.failed_events import RECORDS, failed_bucket
from lambda_toolkit.pipeline.config.aws.readers import (
    starting_readers,
    starting_workers,
    starts_readers,
    starts_workers,
)
from lambda_toolkit.pipeline.config.model import (
    ALARMS,
    ALERTS,
    FunctionDeclaration,
    IamLogin,
    Pipeline,
    ReadSecret,
    SecretDeclaration,
)
from lambda_toolkit.pipeline.installed import ACCESS
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import ANSWERS, MANIFESTS, REVISIONS
from lambda_toolkit.pipeline.lambdas.shared.postgres.tls import rds_region

_COMMERCIAL = re.compile(r"[a-z]{2}-[a-z]+-\d+")  # eu-west-2: a region of `aws`, or of China
_CHINA = "cn-"
_READ_LOGS = "logs:FilterLogEvents"
_NETWORK = tuple(f"ec2:Describe{what}" for what in ("RouteTables", "SecurityGroups", "Subnets", "VpcEndpoints"))


def bucket_of(location: str) -> str:
    """The name in ``[buckets]`` that a location begins with: ``lake`` of ``lake/reports/``."""
    return location.partition("/")[0]


def permissions(pipeline: Pipeline, function: FunctionDeclaration, account: str) -> tuple[dict[str, Any], ...]:
    """The IAM statements that the function needs, and no more: exact buckets, exact secrets.

    A location is a bucket, or a prefix in one: ``lake/reports/``. A function that sweeps may delete data files, but
    never the manifests by which batches exist. AWS appends six characters to a secret's ARN, hence the question marks.
    """
    from lambda_toolkit.aws.account import Place  # imported on use: reading the configuration does not need it

    place = Place(account, pipeline.region, partition(pipeline.region))

    def bucket(location: str) -> str:
        return place.arn("s3", pipeline.bucket_name(bucket_of(location), account))

    def objects(location: str, below: str = "") -> str:
        return f"{bucket(location)}/{location.partition('/')[2]}{below}*"

    statements: list[dict[str, Any]] = []
    for location in function.reads:
        # Without permission to list, S3 reports a missing object as forbidden.
        statements.append(_list(bucket(location), location))
        statements.append(_allow(objects(location), "s3:GetObject"))
    for location in function.writes:
        statements.append(_allow(objects(location), "s3:PutObject", "s3:AbortMultipartUpload"))
    for location in function.sweeps:
        statements.append(_allow(objects(location), "s3:DeleteObject"))
        for kept in (MANIFESTS, REVISIONS):
            statements.append({**_allow(objects(bucket_of(location), kept), "s3:DeleteObject"), "Effect": "Deny"})
    if function.is_notifier:
        statements += _notifying(pipeline, account)
    if starts_readers(pipeline, function.name):
        statements.append(starting_readers(pipeline, account, place.partition))
    if starts_workers(pipeline, function.name):
        statements.append(starting_workers(pipeline, account, place.partition))
    statements += _keys(pipeline, function)
    for name in function.secrets:
        secret = pipeline.secrets[name]
        if secret.iam:
            statements.append(connecting(pipeline, secret.iam, account))
        elif secret.read:
            statements += reading(pipeline, secret.read, account)
        else:
            arn = place.arn("secretsmanager", f"secret:{secret_id(pipeline, secret, account)}-??????")
            statements.append(_allow(arn, "secretsmanager:GetSecretValue"))
    return tuple(statements)


def _notifying(pipeline: Pipeline, account: str) -> list[dict[str, Any]]:
    """The statements for the function that makes messages of alarms: their states, the functions' logs, the topic.

    DescribeAlarms takes names, and the alarms of others that notify the topic are described, too.
    """
    from lambda_toolkit.aws.account import Place  # imported on use, as above

    place = Place(account, pipeline.region, partition(pipeline.region))
    watched = [item for item in pipeline.functions.values() if item.alarms and not item.is_notifier]
    names = dict.fromkeys(group_of(pipeline, item, account) for item in watched)
    groups = [place.arn("logs", f"log-group:{name}{ending}") for name in names for ending in ("", ":*")]
    key = pipeline.topic.kms_key
    return [
        _allow("*", "cloudwatch:DescribeAlarms"),
        *([_several(groups, _READ_LOGS)] if groups else []),
        _allow(topic_arn(pipeline, ALERTS, account), "sns:Publish"),
        *([_allow(key, "kms:Decrypt", "kms:GenerateDataKey")] if key else []),
    ]


def topic_arn(pipeline: Pipeline, topic: str, account: str) -> str:
    """The ARN of the topic ``alarms`` or ``alerts``."""
    from lambda_toolkit.aws.account import Place  # imported on use, as above

    place = Place(account, pipeline.region, partition(pipeline.region))
    return place.arn("sns", pipeline.topic_names(account)[topic])


def secret_id(pipeline: Pipeline, secret: SecretDeclaration, account: str) -> str:
    """What Secrets Manager finds the secret by: its name, or the ARN of one that others manage."""
    return pipeline.expand(secret.read.arn if secret.read else secret.template, account)


def group_of(pipeline: Pipeline, function: FunctionDeclaration, account: str) -> str:
    """The log group that the log of ``function`` goes to."""
    own = f"/aws/lambda/{pipeline.function_name(function.name)}"
    return pipeline.expand(function.spec.log_group, account) if function.spec.log_group else own


def reading(pipeline: Pipeline, secret: ReadSecret, account: str) -> list[dict[str, Any]]:
    """The statements that permit reading exactly one secret that others manage, and its key where it is declared."""
    statements = [_allow(pipeline.expand(secret.arn, account), "secretsmanager:GetSecretValue")]
    return [*statements, *([_allow(secret.kms_key, "kms:Decrypt")] if secret.kms_key else [])]


def connecting(pipeline: Pipeline, login: IamLogin, account: str) -> dict[str, Any]:
    """The statement that permits logging in as exactly one user of one server.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
    """
    from lambda_toolkit.aws.account import Place  # imported on use, as above

    region = rds_region(login.host) or pipeline.region
    arn = Place(account, region, partition(region)).arn("rds-db", f"dbuser:{login.resource}/{login.user}")
    return _allow(arn, "rds-db:connect")


def operator_policy(pipeline: Pipeline, account: str) -> dict[str, Any]:
    """The policy for who runs what is deployed: prepare, run, status, logs, rejected, replay, invoke.

    Nothing of it writes to AWS, but that records of failed events may be deleted: what is invoked writes with the role
    of its function.
    """
    from lambda_toolkit.aws.account import Place  # imported on use, as above

    place = Place(account, pipeline.region, partition(pipeline.region))
    names = [pipeline.function_name(name) for name in pipeline.functions]
    functions = [place.arn("lambda", f"function:{name}{ending}") for name in names for ending in ("", ":*")]
    logs = dict.fromkeys(group_of(pipeline, function, account) for function in pipeline.functions.values())
    groups = [place.arn("logs", f"log-group:{group}{ending}") for group in logs for ending in ("", ":*")]
    buckets = [place.arn("s3", pipeline.bucket_name(name, account)) for name in pipeline.buckets]
    answering = ACCESS in pipeline.functions and ANSWERS_IN in pipeline.buckets
    answers = [place.arn("s3", pipeline.bucket_name(ANSWERS_IN, account))] if answering else []
    failed = failed_bucket(pipeline, account)
    records = [place.arn("s3", f"{failed}/{RECORDS}*")] if failed else []
    keys = sorted({bucket.kms_key for bucket in pipeline.buckets.values() if bucket.kms_key})
    topic = place.arn("sns", pipeline.expand(pipeline.topic.name, account))
    statements = {
        "Functions": _several(functions, "lambda:GetFunctionConfiguration", "lambda:InvokeFunction"),
        "Logs": _several(groups, _READ_LOGS),
        "Batches": _several(buckets, "s3:ListBucket"),
        "Manifests": _several([f"{bucket}/{MANIFESTS}*" for bucket in buckets], "s3:GetObject"),
        "Answers": _several([f"{bucket}/{ANSWERS}*" for bucket in answers], "s3:GetObject"),
        "FailedEvents": _several(records, "s3:DeleteObject", "s3:GetObject"),
        "Keys": _several(keys, "kms:Decrypt"),
        "Alarms": _several(
            ["*"], "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics"
        ),
        "Topic": _several([topic], "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic"),
        "Test": _several([topic_arn(pipeline, ALARMS if pipeline.alarm_topic else ALERTS, account)], "sns:Publish"),
    }
    if any(each.spec.vpc is not None and each.spec.vpc.is_attached for each in pipeline.functions.values()):
        statements["Networks"] = _several(["*"], *_NETWORK)  # for `cost`
    warehouse = pipeline.secrets.get("warehouse")
    if ACCESS in pipeline.functions:
        secret = []  # its function reads it
    elif warehouse and warehouse.iam:
        secret = [connecting(pipeline, warehouse.iam, account)]
    elif warehouse and warehouse.read:
        secret = reading(pipeline, warehouse.read, account)
    elif warehouse:
        arn = place.arn("secretsmanager", f"secret:{secret_id(pipeline, warehouse, account)}-??????")
        secret = [_allow(arn, "secretsmanager:GetSecretValue")]
    else:
        secret = []
    statements |= {f"Warehouse{number or ''}": statement for number, statement in enumerate(secret)}
    named = [{"Sid": sid, **statement} for sid, statement in statements.items() if statement["Resource"]]
    return {"Version": "2012-10-17", "Statement": named}


def _several(resources: list[str], *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources}


def _list(bucket: str, location: str) -> dict[str, Any]:
    prefix = location.partition("/")[2]
    statement = _allow(bucket, "s3:ListBucket")
    return {**statement, "Condition": {"StringLike": {"s3:prefix": f"{prefix}*"}}} if prefix else statement


@functools.cache
def partition(region: str) -> str:
    """The partition of ``region``, as in ARNs: ``aws``, ``aws-us-gov``, ``aws-eusc``, ``aws-iso``, ...

    botocore is imported only for regions that are not named like the commercial ones. ``aws`` where it knows none.
    """
    if _COMMERCIAL.fullmatch(region) and not region.startswith(_CHINA):
        return "aws"
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        return str(Session().get_partition_for_region(region))
    except BotoCoreError:
        return "aws"


def _allow(resource: str, *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def _keys(pipeline: Pipeline, function: FunctionDeclaration) -> list[dict[str, Any]]:
    """The permissions for the KMS keys of the function's buckets. Completing a multipart upload needs to decrypt."""
    actions: dict[str, set[str]] = {}
    for names, needed in ((function.reads, {"kms:Decrypt"}), (function.writes, {"kms:Decrypt", "kms:GenerateDataKey"})):
        for location in names:
            key = pipeline.buckets[bucket_of(location)].kms_key
            if key:
                actions.setdefault(key, set()).update(needed)
    destination = pipeline.buckets.get(function.spec.on_failure or "")
    if destination and destination.kms_key:
        actions.setdefault(destination.kms_key, set()).add("kms:GenerateDataKey")
    return [_allow(key, *sorted(needed)) for key, needed in actions.items()]
