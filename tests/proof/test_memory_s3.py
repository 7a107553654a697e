"""The quick S3 of the histories answers as moto's does."""

from __future__ import annotations

import io

import boto3
import moto
import pytest
from botocore.exceptions import ClientError

from tests.support.memory_s3 import MemoryS3


@pytest.fixture
def clients(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with moto.mock_aws():
        real = boto3.client("s3", region_name="eu-west-2", aws_access_key_id="t", aws_secret_access_key="t")
        for client in (real, quick := MemoryS3()):
            client.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
            client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        yield real, quick


def answers(client):
    """What a client says to everything that the pipeline asks, and to what it should never do."""

    def code(call, **request):
        with pytest.raises(ClientError) as caught:
            call(Bucket="bucket", **request)
        return caught.value.response["Error"]["Code"]

    def keys(**request):
        return [entry["Key"] for entry in client.list_objects_v2(Bucket="bucket", **request).get("Contents", ())]

    for number in (3, 1, 2):
        client.put_object(Bucket="bucket", Key=f"m/{number}", Body=io.BytesIO(b"x" * number), IfNoneMatch="*")
    yield code(client.put_object, Key="m/1", Body=b"other", IfNoneMatch="*")
    yield client.get_object(Bucket="bucket", Key="m/1")["Body"].read()
    yield b"".join(client.get_object(Bucket="bucket", Key="m/3")["Body"].iter_chunks(2))
    yield code(client.get_object, Key="n")
    yield code(client.head_object, Key="n")
    yield client.head_object(Bucket="bucket", Key="m/3")["ContentLength"]
    yield keys(Prefix="m/")
    yield keys(Prefix="m/", StartAfter="m/1", MaxKeys=1)
    yield keys(Prefix="n/")
    client.upload_fileobj(io.BytesIO(b"y"), "bucket", "large")
    client.put_object(Bucket="bucket", Key="m/1", Body=b"again")
    client.delete_object(Bucket="bucket", Key="m/2")
    yield keys()
    page = client.list_object_versions(Bucket="bucket")
    yield [entry["Key"] for entry in page["Versions"]], [entry["Key"] for entry in page["DeleteMarkers"]]
    yield [
        entry["Key"]
        for page in client.get_paginator("list_objects_v2").paginate(Bucket="bucket")
        for entry in page["Contents"]
    ]


def test_both_say_the_same(clients):
    real, quick = clients
    assert list(answers(quick)) == list(answers(real))
