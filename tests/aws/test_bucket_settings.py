"""The settings of a bucket; settings made outside this tool are preserved."""

from __future__ import annotations

import json

import pytest

from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_plan
from lambda_toolkit.spec.bucket import BucketSpec, LifecycleRule
from lambda_toolkit.spec.model import Deployment

KEY = "arn:aws:kms:eu-west-2:123456789012:key/1234"
RULES = (
    LifecycleRule("uploads", abort_uploads_days=7),
    LifecycleRule("archive", prefix="old/", transition_days=90, storage_class="GLACIER_IR", noncurrent_days=30),
)


def planned(aws, **different):
    return make_plan(aws, Deployment(buckets=(BucketSpec("my-lake", **different),)))


def deploy(aws, **different):
    report = execute(aws, planned(aws, **different))
    assert report.ok
    return report


def statements(client) -> list[dict]:
    return json.loads(client("s3").get_bucket_policy(Bucket="my-lake")["Policy"])["Statement"]


def test_new_bucket_is_private_encrypted_versioned_and_tls_only(aws, client, recorder) -> None:
    """A new bucket is closed encrypted versioned and asked over tls only."""
    deploy(aws, lifecycle=RULES)
    s3 = client("s3")
    encryption = s3.get_bucket_encryption(Bucket="my-lake")["ServerSideEncryptionConfiguration"]["Rules"]
    assert encryption[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert s3.get_bucket_versioning(Bucket="my-lake")["Status"] == "Enabled"
    [statement] = statements(client)
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert json.loads(s3.get_bucket_policy(Bucket="my-lake")["Policy"])["Version"] == "2012-10-17"
    rules = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket="my-lake")["Rules"]}
    assert rules["lambda-script:uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert rules["lambda-script:archive"]["Transitions"] == [{"Days": 90, "StorageClass": "GLACIER_IR"}]
    recorder.clear()
    assert not planned(aws, lifecycle=RULES)
    assert recorder.writes == []


@pytest.mark.parametrize(
    ("different", "write", "says"),
    [
        ({"kms_key": KEY}, "PutBucketEncryption", [f"encryption: AES256 -> aws:kms {KEY}"]),
        ({"versioned": False}, "PutBucketVersioning", ["versioning: Enabled -> Suspended"]),
        ({"tls_only": False}, "DeleteBucketPolicy", ["tls_only: True -> False"]),
        ({"lifecycle": ()}, "DeleteBucketLifecycle", ["uploads -> none", "archive -> none"]),
        ({"lifecycle": RULES[:1]}, "PutBucketLifecycleConfiguration", ["archive -> none"]),
    ],
)
def test_each_setting_is_one_difference_and_one_write(aws, recorder, different, write, says) -> None:
    deploy(aws, lifecycle=RULES)
    recorder.clear()
    [change] = deploy(aws, **{"lifecycle": RULES, **different}).done
    assert recorder.writes == [write]
    for item, text in zip(change.differences, says, strict=True):
        assert item.attribute.rpartition(".")[2] in text
        assert text.split(" -> ")[1] in str(item)
    assert not planned(aws, **{"lifecycle": RULES, **different})


def test_undeclared_bucket_settings_are_not_managed(aws, client, recorder) -> None:
    deploy(aws, lifecycle=RULES)
    client("s3").put_bucket_versioning(Bucket="my-lake", VersioningConfiguration={"Status": "Suspended"})
    recorder.clear()
    assert not planned(aws, lifecycle=None, versioned=None)
    assert "GetBucketLifecycleConfiguration" not in recorder.calls
    [change] = planned(aws).changes
    assert [str(item) for item in change.differences] == ["versioning: Suspended -> Enabled"]


def test_statements_and_rules_of_others_survive_to_the_byte(aws, client) -> None:
    deploy(aws)
    s3 = client("s3")
    theirs = {
        "Sid": "Theirs",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::my-lake/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Id": "x", "Statement": [theirs]})
    s3.put_bucket_policy(Bucket="my-lake", Policy=policy)
    foreign = {
        "ID": "theirs",
        "Status": "Enabled",
        "Filter": {"And": {"Prefix": "logs/", "Tags": [{"Key": "a", "Value": "b"}]}},
        "Expiration": {"Days": 3},
    }
    s3.put_bucket_lifecycle_configuration(Bucket="my-lake", LifecycleConfiguration={"Rules": [foreign]})
    before = s3.get_bucket_lifecycle_configuration(Bucket="my-lake")["Rules"]
    deploy(aws, lifecycle=RULES)
    assert statements(client)[0] == theirs
    assert len(statements(client)) == 2
    assert s3.get_bucket_lifecycle_configuration(Bucket="my-lake")["Rules"][0] == before[0]
    deploy(aws, lifecycle=(), tls_only=False)
    assert s3.get_bucket_policy(Bucket="my-lake")["Policy"] == policy
    assert s3.get_bucket_lifecycle_configuration(Bucket="my-lake")["Rules"] == before


def test_a_foreign_key_of_a_bucket_without_one_declared_stays(aws, client) -> None:
    deploy(aws)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}}
    client("s3").put_bucket_encryption(Bucket="my-lake", ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert not planned(aws)
