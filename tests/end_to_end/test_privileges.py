"""The emulated AWS, which enforces IAM, allows each function's role what it needs and no more."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

INGESTION, PROCESSED = "totes-local-ingestion-000000000000", "totes-local-processed-000000000000"
SOURCE, WAREHOUSE = "totes/local/source", "totes/local/warehouse"
FIRST = "manifests/batch-000000000001.json"
PROBE = """
import boto3
from botocore.exceptions import ClientError

def lambda_handler(event, context):
    answers = []
    for service, operation, parameters in event["calls"]:
        try:
            getattr(boto3.client(service), operation)(**parameters)
            answers.append("done")
        except ClientError as error:
            answers.append(error.response["Error"]["Code"])
    return answers
"""


def read(bucket: str, key: str = FIRST):
    return ["s3", "get_object", {"Bucket": bucket, "Key": key}]


def write(bucket: str, key: str):
    return ["s3", "put_object", {"Bucket": bucket, "Key": key, "Body": ""}]


def delete(bucket: str, key: str):
    return ["s3", "delete_object", {"Bucket": bucket, "Key": key}]


def secret(name: str):
    return ["secretsmanager", "get_secret_value", {"SecretId": name}]


DENIED_TO_ALL = [
    ["lambda", "update_function_configuration", {"FunctionName": "totes-local-load", "Timeout": 3}],
    ["lambda", "invoke", {"FunctionName": "totes-local-load:live"}],
    ["iam", "list_roles", {}],
    ["iam", "attach_role_policy", {"RoleName": "totes-local-load-role", "PolicyArn": "arn:aws:iam::aws:policy/Admin"}],
    ["events", "disable_rule", {"Name": "totes-local-extract-schedule"}],
    ["secretsmanager", "put_secret_value", {"SecretId": SOURCE, "SecretString": "x"}],
    ["s3", "put_bucket_notification_configuration", {"Bucket": INGESTION, "NotificationConfiguration": {}}],
    ["s3", "delete_bucket", {"Bucket": INGESTION}],
    delete(INGESTION, FIRST),
    delete(PROCESSED, FIRST),
    ["logs", "create_log_stream", {"logGroupName": "/aws/lambda/other", "logStreamName": "x"}],
]
MAY = {
    "extract": [read(INGESTION), write(INGESTION, "probe/x"), secret(SOURCE)],
    "transform": [read(INGESTION), read(PROCESSED), write(PROCESSED, "probe/x"), delete(PROCESSED, "probe/x")],
    "load": [read(PROCESSED), secret(WAREHOUSE)],
}
MAY_NOT = {
    "extract": [read(PROCESSED), write(PROCESSED, "probe/x"), delete(INGESTION, "probe/x"), secret(WAREHOUSE)],
    "transform": [write(INGESTION, "probe/x"), secret(SOURCE), secret(WAREHOUSE)],
    "load": [
        read(INGESTION),
        write(INGESTION, "probe/x"),
        write(PROCESSED, "probe/x"),
        delete(PROCESSED, "probe/x"),
        secret(SOURCE),
    ],
}


@pytest.fixture(scope="module")
def code() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("probe.py", PROBE)
    return archive.getvalue()


@pytest.mark.parametrize("function", MAY)
def test_role_allows_only_what_its_function_needs(filled, aws, code, function):
    """A role may do what its function needs and is refused the rest."""
    client = aws(filled, "lambda")
    client.create_function(
        FunctionName="probe",
        Runtime="python3.11",
        Handler="probe.lambda_handler",
        Timeout=60,
        Role=f"arn:aws:iam::000000000000:role/totes-local-{function}-role",
        Code={"ZipFile": code},
    )
    try:
        calls = [*MAY[function], *MAY_NOT[function], *DENIED_TO_ALL]
        answer = client.invoke(FunctionName="probe", Payload=json.dumps({"calls": calls}))
        assert "FunctionError" not in answer, answer["Payload"].read()
        answers = json.loads(answer["Payload"].read())
    finally:
        client.delete_function(FunctionName="probe")
        aws(filled, "s3").delete_object(Bucket=INGESTION, Key="probe/x")
        aws(filled, "s3").delete_object(Bucket=PROCESSED, Key="probe/x")
    needed = len(MAY[function])
    assert answers[:needed] == ["done"] * needed
    allowed = [call for call, said in zip(calls[needed:], answers[needed:], strict=True) if "Denied" not in said]
    assert allowed == []
