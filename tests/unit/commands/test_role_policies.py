"""The IAM policies, statement by statement: of each function's role, and of whoever runs what is deployed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from lambda_script import Vpc
from lambda_toolkit.pipeline.config.aws.access_function import with_access
from lambda_toolkit.pipeline.config.aws.role_policy import group_of, operator_policy, partition, permissions, secret_id
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import IamLogin, Pipeline, ReadSecret
from lambda_toolkit.pipeline.installed import DEFAULT_PATH

ACCOUNT = "123456789012"
SHARED = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:shared-AbCdEf"
KEY = "arn:aws:kms:eu-west-2:123456789012:key/1"
LOGIN = IamLogin(host="db.x.eu-west-1.rds.amazonaws.com", port=5432, database="shop", user="loader", resource="db-ABC")


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """Three functions with short names for their buckets."""
    found = load(DEFAULT_PATH, "dev", {})
    functions = {name: found.functions[name] for name in ("extract", "transform", "load")}
    buckets = {name: found.buckets[name] for name in ("ingestion", "processed")}
    return replace(found, functions=functions, buckets=buckets, readers=0, workers=0)


def allow(resources: Any, *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources}


def changed(pipeline: Pipeline, name: str, **values: Any) -> Pipeline:
    return replace(pipeline, functions={**pipeline.functions, name: replace(pipeline.functions[name], **values)})


def bucket(pipeline: Pipeline, name: str) -> str:
    return f"arn:aws:s3:::{pipeline.bucket_name(name, ACCOUNT)}"


def of(pipeline: Pipeline, **values: Any) -> tuple[dict[str, Any], ...]:
    """The statements of a function that does nothing but what ``values`` say."""
    nothing: dict[str, Any] = {"reads": (), "writes": (), "sweeps": (), "secrets": ()}
    one = changed(pipeline, "load", **{**nothing, **values})
    return permissions(one, one.functions["load"], ACCOUNT)


def test_places_are_buckets_or_prefixes(pipeline: Pipeline) -> None:
    arn = bucket(pipeline, "processed")
    assert of(pipeline) == ()
    assert of(pipeline, reads=("processed",)) == (
        allow(arn, "s3:ListBucket"),
        allow(f"{arn}/*", "s3:GetObject"),
    )
    assert of(pipeline, reads=("processed/reports/",)) == (
        {**allow(arn, "s3:ListBucket"), "Condition": {"StringLike": {"s3:prefix": "reports/*"}}},
        allow(f"{arn}/reports/*", "s3:GetObject"),
    )
    assert of(pipeline, writes=("processed/a/",)) == (allow(f"{arn}/a/*", "s3:PutObject", "s3:AbortMultipartUpload"),)
    assert of(pipeline, sweeps=("processed/a/",)) == (
        allow(f"{arn}/a/*", "s3:DeleteObject"),
        {**allow(f"{arn}/manifests/*", "s3:DeleteObject"), "Effect": "Deny"},
        {**allow(f"{arn}/revisions/*", "s3:DeleteObject"), "Effect": "Deny"},
    )


def test_keys_are_those_of_the_buckets(pipeline: Pipeline) -> None:
    keyed = replace(
        pipeline,
        buckets={name: replace(each, kms_key=f"{KEY}{name}") for name, each in pipeline.buckets.items()},
    )
    ingestion, processed = f"{KEY}ingestion", f"{KEY}processed"
    found = of(keyed, reads=("ingestion", "processed/a/"), writes=("processed",))
    keys = [each for each in found if each["Resource"].startswith(KEY)]
    assert keys == [allow(ingestion, "kms:Decrypt"), allow(processed, "kms:Decrypt", "kms:GenerateDataKey")]
    spec = replace(keyed.functions["load"].spec, on_failure="ingestion")
    assert of(keyed, spec=spec) == (allow(ingestion, "kms:GenerateDataKey"),)


def test_secrets_are_exact(pipeline: Pipeline) -> None:
    secret = pipeline.secrets["warehouse"]
    own = f"arn:aws:secretsmanager:eu-west-2:{ACCOUNT}:secret:{secret_id(pipeline, secret, ACCOUNT)}-??????"
    assert of(pipeline, secrets=("warehouse",)) == (allow(own, "secretsmanager:GetSecretValue"),)
    shared = replace(pipeline, secrets={"warehouse": replace(secret, read=ReadSecret(arn=SHARED))})
    read = allow(SHARED, "secretsmanager:GetSecretValue")
    assert of(shared, secrets=("warehouse",)) == (read,)
    assert secret_id(shared, shared.secrets["warehouse"], ACCOUNT) == SHARED
    keyed = replace(shared, secrets={"warehouse": replace(secret, read=ReadSecret(arn=SHARED, kms_key=KEY))})
    assert of(keyed, secrets=("warehouse",)) == (read, allow(KEY, "kms:Decrypt"))
    login = replace(shared, secrets={"warehouse": replace(secret, iam=LOGIN)})
    connect = allow(f"arn:aws:rds-db:eu-west-1:{ACCOUNT}:dbuser:db-ABC/loader", "rds-db:connect")
    assert of(login, secrets=("warehouse",)) == (connect,)
    here = replace(login, secrets={"warehouse": replace(secret, iam=replace(LOGIN, host="db.example.com"))})
    assert ":rds-db:eu-west-2:" in of(here, secrets=("warehouse",))[0]["Resource"]


def named(policy: dict[str, Any]) -> dict[str, dict[str, Any]]:
    assert policy["Version"] == "2012-10-17"
    return {each["Sid"]: {key: value for key, value in each.items() if key != "Sid"} for each in policy["Statement"]}


def test_who_operates_may_call_and_read(pipeline: Pipeline) -> None:
    names = [f"totes-dev-{name}" for name in ("extract", "transform", "load")]
    both = ("", ":*")
    buckets = [bucket(pipeline, name) for name in ("ingestion", "processed")]
    secret = secret_id(pipeline, pipeline.secrets["warehouse"], ACCOUNT)
    topic = f"arn:aws:sns:eu-west-2:{ACCOUNT}:totes-dev-alerts"
    start = f"arn:aws:%s:eu-west-2:{ACCOUNT}:"
    found = named(operator_policy(replace(pipeline, alarm_topic=None), ACCOUNT))
    assert found == {
        "Functions": allow(
            [f"{start % 'lambda'}function:{name}{end}" for name in names for end in both],
            *("lambda:GetFunctionConfiguration", "lambda:InvokeFunction"),
        ),
        "Logs": allow(
            [f"{start % 'logs'}log-group:/aws/lambda/{name}{end}" for name in names for end in both],
            "logs:FilterLogEvents",
        ),
        "Batches": allow(buckets, "s3:ListBucket"),
        "Manifests": allow([f"{each}/manifests/*" for each in buckets], "s3:GetObject"),
        "Alarms": allow(
            *(["*"], "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics"),
        ),
        "Topic": allow([topic], "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic"),
        "Test": allow([topic], "sns:Publish"),
        "Warehouse": allow(f"{start % 'secretsmanager'}secret:{secret}-??????", "secretsmanager:GetSecretValue"),
    }


def test_who_operates_has_what_the_configuration_needs(pipeline: Pipeline) -> None:
    keyed = {name: replace(each, kms_key=KEY) for name, each in pipeline.buckets.items()}
    spec = pipeline.functions["load"].spec
    attached = changed(pipeline, "load", spec=replace(spec, vpc=Vpc(("subnet-1",), ("sg-1",)), log_group="/shared"))
    more = named(operator_policy(replace(attached, buckets=keyed), ACCOUNT))
    assert more["Keys"] == allow([KEY], "kms:Decrypt")
    assert more["Networks"]["Resource"] == ["*"]
    assert more["Networks"]["Action"] == [
        *("ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcEndpoints"),
    ]
    assert more["Logs"]["Resource"][-1] == f"arn:aws:logs:eu-west-2:{ACCOUNT}:log-group:/shared:*"
    assert group_of(attached, attached.functions["load"], ACCOUNT) == "/shared"
    access = replace(pipeline, functions={**pipeline.functions, "access": pipeline.functions["load"]})
    found = named(operator_policy(access, ACCOUNT))
    assert "Warehouse" not in found, "the function reads the secret"
    assert found["Answers"] == allow([f"{bucket(pipeline, 'processed')}/answers/*"], "s3:GetObject")
    assert "Answers" not in named(operator_policy(replace(access, buckets={}), ACCOUNT))
    assert "Warehouse" not in named(operator_policy(replace(pipeline, secrets={}), ACCOUNT))
    secret = pipeline.secrets["warehouse"]
    shared = replace(pipeline, secrets={"warehouse": replace(secret, read=ReadSecret(arn=SHARED, kms_key=KEY))})
    both = named(operator_policy(shared, ACCOUNT))
    assert (both["Warehouse"]["Resource"], both["Warehouse1"]["Resource"]) == (SHARED, KEY)
    login = named(operator_policy(replace(pipeline, secrets={"warehouse": replace(secret, iam=LOGIN)}), ACCOUNT))
    assert login["Warehouse"]["Action"] == ["rds-db:connect"]


def test_notifier_reads_alarms_and_logs_where_there_are_some(pipeline: Pipeline) -> None:
    notifier = replace(pipeline.functions["load"], name="notifier", topic_triggers=("alarms",), alarms=("errors",))
    silent = replace(pipeline.functions["transform"], alarms=None)
    shared = replace(pipeline.functions["extract"].spec, log_group="/{name}")
    functions = {"extract": replace(pipeline.functions["extract"], spec=shared), "transform": silent}
    nothing = replace(notifier, reads=(), writes=(), sweeps=(), secrets=())
    alone = replace(pipeline, functions={"notifier": nothing})
    describing = allow("*", "cloudwatch:DescribeAlarms")
    publishing = allow(f"arn:aws:sns:eu-west-2:{ACCOUNT}:totes-dev-alerts", "sns:Publish")
    assert permissions(alone, nothing, ACCOUNT) == (describing, publishing)
    keyed = replace(pipeline, functions={**functions, **alone.functions}, topic=replace(pipeline.topic, kms_key=KEY))
    groups = [f"arn:aws:logs:eu-west-2:{ACCOUNT}:log-group:/totes{end}" for end in ("", ":*")]
    assert permissions(keyed, nothing, ACCOUNT) == (
        describing,
        allow(groups, "logs:FilterLogEvents"),
        publishing,
        allow(KEY, "kms:Decrypt", "kms:GenerateDataKey"),
    )


def test_who_operates_tests_alarms_where_they_arrive() -> None:
    whole = load(DEFAULT_PATH, "dev", {})
    found = named(operator_policy(replace(whole, alarm_topic="{name}-{account}"), ACCOUNT))
    assert found["Test"] == allow([f"arn:aws:sns:eu-west-2:{ACCOUNT}:totes-{ACCOUNT}"], "sns:Publish")
    failed = f"arn:aws:s3:::totes-dev-failed-{ACCOUNT}/aws/lambda/async/*"
    assert found["FailedEvents"] == allow([failed], "s3:DeleteObject", "s3:GetObject")
    keys = dict(zip(whole.buckets, ("arn:b", "arn:a", "arn:b"), strict=True))
    keyed = {name: replace(each, kms_key=keys[name]) for name, each in whole.buckets.items()}
    assert named(operator_policy(replace(whole, buckets=keyed), ACCOUNT))["Keys"]["Resource"] == ["arn:a", "arn:b"]
    detached = changed(whole, "load", spec=replace(whole.functions["load"].spec, vpc=Vpc()))
    assert "Networks" not in named(operator_policy(detached, ACCOUNT))


def test_all_arns_are_of_the_partition_of_their_region() -> None:
    """Of a server in another region, too, which an IAM login names."""
    login = replace(LOGIN, host="db.x.us-gov-east-1.rds.amazonaws.com")
    whole = load(DEFAULT_PATH, "dev", {"AWS_REGION": "us-gov-west-1"})
    secrets = {**whole.secrets, "warehouse": replace(whole.secrets["warehouse"], iam=login)}
    gov = replace(whole, secrets=secrets, readers=2, workers=2)
    policies = [
        operator_policy(gov, ACCOUNT),
        *(permissions(gov, each, ACCOUNT) for each in gov.functions.values()),
    ]
    arns = re.findall(r'"arn:([^:]+):([^:]*):([^:]*)', json.dumps(policies))
    assert {partition for partition, _, _ in arns} == {"aws-us-gov"}
    assert {service for _, service, _ in arns} == {"lambda", "logs", "s3", "secretsmanager", "sns", "rds-db"}
    assert {region for _, _, region in arns} == {"us-gov-west-1", "us-gov-east-1", ""}
    assert partition("moon-1") == "aws", "a region that botocore does not know"


# ------------------------------------------------------------------------------------------------ the function `access`


@pytest.mark.parametrize(
    ("document", "declared"),
    [
        ({}, False),
        ({"vpc": {}}, False),
        ({"vpc": {"subnets": []}}, False),
        ({"vpc": 3}, False),
        ({"vpc": {"subnets": ["a"]}}, True),
        ({"functions": {"access": {}}}, True),
        ({"functions": {"access": 3}}, False),
        ({"functions": 3, "vpc": {"subnets": ["a"]}}, False),
    ],
)
def test_access_is_declared_where_there_is_a_network(document: dict[str, Any], declared: bool) -> None:
    found = with_access(document)
    assert (found != document) is declared
    if declared:
        assert set(found["functions"]) == {"access"}


def test_access_has_what_the_document_has() -> None:
    network = {"vpc": {"subnets": ["a"]}}
    own = {"memory": 512, "writes": ["processed/x"]}
    more: dict[str, Any] = {
        "buckets": {"processed": {}, "other": {}},
        "secrets": {"source": {}, "warehouse": {}, "slack": {}},
        "packages": {"provided_modules": ["one"]},
        "functions": {"load": {}, "access": own},
    }
    found = with_access({**network, **more})["functions"]
    assert found["load"] == {}
    assert found["access"] == {
        "memory": 512,
        "timeout": 600,
        "secret": ["warehouse", "source"],
        "reads": ["processed/answers/"],
        "writes": ["processed/x"],
        "sweeps": ["processed/answers/"],
        "alarms": [],
        "provided_modules": ["one", "lambda_toolkit.pipeline.client"],
        "health_event": {"action": "check"},
    }
    wrong: dict[str, Any]
    for wrong in ({}, {"buckets": ["processed"], "secrets": ["source"], "packages": ["x"]}, {"buckets": {"other": {}}}):
        bare = with_access({**network, **wrong})["functions"]["access"]
        assert (bare["secret"], bare["reads"], bare["writes"], bare["sweeps"]) == ([], [], [], [])
        assert bare["provided_modules"] == ["lambda_toolkit.pipeline.client"]
    odd = with_access({**network, "packages": {"provided_modules": "one"}})["functions"]["access"]
    assert odd["provided_modules"] == ["lambda_toolkit.pipeline.client"]
