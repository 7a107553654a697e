"""The settings of a bucket as S3 returns them, how they differ from a declaration, and what is written then."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_toolkit.aws.account import Place
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.account import bucket
from lambda_toolkit.spec.bucket import BucketSpec, LifecycleRule, is_bucket_name

KEY = "arn:aws:kms:eu-west-2:123456789012:key/1"


class S3:
    """AWS with what a test says of each operation; notes what is written."""

    region = "eu-west-2"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.made: list[tuple[str, dict[str, Any]]] = []

    def call(self, service: str, operation: str, **given: Any) -> Any:
        assert service == "s3"
        given.pop("also_retry", None)
        answer = self.answers.get(operation)
        if isinstance(answer, AwsError):
            raise answer
        if not operation.startswith(("get_", "list_")):
            assert given.pop("Bucket") == "lake"
            self.made.append((operation, given))
        return answer

    def create(self, service: str, operation: str, *, exists: tuple[str, ...], **given: Any) -> Any:
        assert exists == ("BucketAlreadyOwnedByYou",)
        return self.call(service, operation, **given)

    def list_existing(self, service: str, operation: str, key: str, **_: Any) -> Any:
        return self.answers.get(f"{operation}.{key}", [])

    find = call

    def arn(self, service: str, resource: str) -> str:
        return Place("123456789012", "eu-west-2").arn(service, resource)


OPEN = {
    "BlockPublicAcls": True,
    "BlockPublicPolicy": True,
    "IgnorePublicAcls": True,
    "RestrictPublicBuckets": True,
}
TLS = {
    "Sid": "LambdaScriptTlsOnly",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::lake/*", "arn:aws:s3:::lake"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
THEIRS = {"Sid": "theirs", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "r"}
RULE = {
    "ID": "lambda-script:old",
    "Status": "Enabled",
    "Filter": {"Prefix": "tmp/"},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
    "Expiration": {"Days": 90},
    "Transitions": [{"Days": 60, "StorageClass": "STANDARD_IA"}],
}
OF_OTHERS = {"ID": "theirs", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}
DECLARED = LifecycleRule("old", "tmp/", 7, 30, 90, 60, "STANDARD_IA")
SPEC = BucketSpec("lake", lifecycle=(DECLARED,))


def encrypted(algorithm: str, **more: Any) -> dict[str, Any]:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm, **more}}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


LIVE: dict[str, Any] = {
    "get_public_access_block": {"PublicAccessBlockConfiguration": OPEN},
    "get_bucket_encryption": encrypted("AES256"),
    "get_bucket_policy": {"Policy": json.dumps({"Version": "2012-10-17", "Statement": TLS})},
    "get_bucket_versioning": {"Status": "Enabled"},
    "get_bucket_lifecycle_configuration": {"Rules": [OF_OTHERS, RULE], "ResponseMetadata": {}},
}


def differences(spec: BucketSpec = SPEC, **live: Any) -> list[str]:
    aws: Any = S3(**{**LIVE, **live})
    return [str(each) for each in bucket._compare_settings(aws, spec, bucket._read_settings(aws, spec))]


def policy(*statements: Any) -> dict[str, Any]:
    return {"Policy": json.dumps({"Version": "2012-10-17", "Statement": list(statements)})}


def changed(**different: Any) -> dict[str, Any]:
    return {"Rules": [{**RULE, **different}]}


WHOLE = "tmp/*: uploads abort after 7 days, old versions expire after 30 days, objects expire after 90 day..."
DIFFERENT: tuple[tuple[dict[str, Any], dict[str, Any], str], ...] = (
    ({}, {"get_public_access_block": None}, "public_access.BlockPublicAcls: none -> True"),
    *(
        (
            {},
            {"get_public_access_block": {"PublicAccessBlockConfiguration": {**OPEN, name: False}}},
            f"{name}: False -> True",
        )
        for name in OPEN
    ),
    ({}, {"get_bucket_policy": None}, "tls_only: False -> True"),
    ({}, {"get_bucket_policy": policy(THEIRS)}, "tls_only: False -> True"),
    ({}, {"get_bucket_policy": policy({**TLS, "Effect": "Allow"})}, "tls_only: False -> True"),
    ({"tls_only": False}, {}, "tls_only: True -> False"),
    ({}, {"get_bucket_encryption": None}, "encryption: none -> AES256"),
    ({"kms_key": KEY}, {}, f"encryption: AES256 None -> aws:kms {KEY}"),
    ({"kms_key": KEY}, {"get_bucket_encryption": None}, f"encryption: none -> aws:kms {KEY}"),
    ({}, {"get_bucket_versioning": {}}, "versioning: none -> Enabled"),
    ({}, {"get_bucket_versioning": {"Status": "Suspended"}}, "versioning: Suspended -> Enabled"),
    ({"versioned": False}, {}, "versioning: Enabled -> Suspended"),
    ({}, {"get_bucket_lifecycle_configuration": None}, f"lifecycle.old: none -> {WHOLE}"),
    ({"lifecycle": ()}, {}, f"lifecycle.old: {WHOLE} -> none"),
    *(
        ({}, {"get_bucket_lifecycle_configuration": changed(**different)}, "lifecycle.old: ")
        for different in (
            *({"Status": "Disabled"}, {"Filter": {"Prefix": "x/"}}, {"Filter": {}}, {"Transitions": []}),
            *({"Expiration": {}}, {"Expiration": {"Days": 91}}, {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}),
            {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
            {"Transitions": [{"Days": 60, "StorageClass": "GLACIER"}]},
        )
    ),
)


@pytest.mark.parametrize(("declared", "live", "says"), DIFFERENT)
def test_setting_of_a_bucket_that_differs_is_named(declared: dict[str, Any], live: dict[str, Any], says: str) -> None:
    found = differences(BucketSpec("lake", **{"lifecycle": SPEC.lifecycle, **declared}), **live)
    assert any(says in each for each in found)
    assert len({each.partition(".")[0].partition(":")[0] for each in found}) == 1


@pytest.mark.parametrize(
    ("declared", "live"),
    [
        ({}, {}),
        ({}, {"get_bucket_policy": policy(THEIRS, {**TLS, "Resource": TLS["Resource"][::-1]})}),
        ({}, {"get_bucket_encryption": encrypted("aws:kms", KMSMasterKeyID=KEY)}),
        ({"kms_key": KEY}, {"get_bucket_encryption": encrypted("aws:kms", KMSMasterKeyID=KEY)}),
        ({"tls_only": False}, {"get_bucket_policy": policy(THEIRS)}),
        ({"versioned": None}, {"get_bucket_versioning": {"Status": "Suspended"}}),
        ({"versioned": False}, {"get_bucket_versioning": {}}),
        ({"lifecycle": None}, {"get_bucket_lifecycle_configuration": None}),
        ({"lifecycle": ()}, {"get_bucket_lifecycle_configuration": {"Rules": [OF_OTHERS]}}),
        ({}, {"get_bucket_lifecycle_configuration": {"Rules": [{**RULE, "Filter": {}, "Prefix": "tmp/"}]}}),
    ],
)
def test_bucket_as_it_is_declared_does_not_differ(declared: dict[str, Any], live: dict[str, Any]) -> None:
    assert differences(BucketSpec("lake", **{"lifecycle": SPEC.lifecycle, **declared}), **live) == []


def written(spec: BucketSpec, **live: Any) -> list[tuple[str, dict[str, Any]]]:
    aws: Any = S3(**{**LIVE, **live})
    settings = bucket._read_settings(aws, spec)
    bucket._write_settings(aws, spec, settings, bucket._compare_settings(aws, spec, settings))
    made = aws.made
    for _, given in made:
        if "Policy" in given:
            given["Policy"] = json.loads(given["Policy"])
    return list(made)


OWN = {**TLS, "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/*"]}


def test_only_the_setting_that_differs_is_written() -> None:
    assert written(SPEC) == []
    closed = {"PublicAccessBlockConfiguration": OPEN}
    assert written(SPEC, get_public_access_block=None) == [("put_public_access_block", closed)]
    assert written(SPEC, get_bucket_versioning={}) == [
        ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}})
    ]
    assert written(BucketSpec("lake", versioned=False)) == [
        ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Suspended"}})
    ]
    assert written(SPEC, get_bucket_encryption=None) == [("put_bucket_encryption", encrypted("AES256"))]
    with_key = encrypted("aws:kms", KMSMasterKeyID=KEY)
    with_key["ServerSideEncryptionConfiguration"]["Rules"][0]["BucketKeyEnabled"] = True
    assert written(BucketSpec("lake", kms_key=KEY)) == [("put_bucket_encryption", with_key)]


def test_statements_and_rules_of_others_are_sent_back() -> None:
    document = {"Version": "2008-10-17", "Id": "theirs", "Statement": [THEIRS, {**TLS, "Effect": "Allow"}]}
    assert written(SPEC, get_bucket_policy={"Policy": json.dumps(document)}) == [
        ("put_bucket_policy", {"Policy": {**document, "Statement": [THEIRS, OWN]}})
    ]
    new = {"Version": "2012-10-17", "Statement": [OWN]}
    assert written(SPEC, get_bucket_policy=None) == [("put_bucket_policy", {"Policy": new})]
    open_spec = BucketSpec("lake", tls_only=False)
    assert written(open_spec) == [("delete_bucket_policy", {})]
    assert written(open_spec, get_bucket_policy=policy(THEIRS, OWN)) == [
        ("put_bucket_policy", {"Policy": {"Version": "2012-10-17", "Statement": [THEIRS]}})
    ]
    put = "put_bucket_lifecycle_configuration"
    live = {"Rules": [OF_OTHERS], "TransitionDefaultMinimumObjectSize": "varies_by_storage_class"}
    assert written(SPEC, get_bucket_lifecycle_configuration=live) == [
        (
            put,
            {
                "LifecycleConfiguration": {"Rules": [OF_OTHERS, RULE]},
                "TransitionDefaultMinimumObjectSize": "varies_by_storage_class",
            },
        )
    ]
    older = {"ID": "theirs", "Prefix": "", "Status": "Enabled"}
    in_old_form = {name: value for name, value in RULE.items() if name != "Filter"} | {"Prefix": "tmp/"}
    assert written(SPEC, get_bucket_lifecycle_configuration={"Rules": [older]}) == [
        (put, {"LifecycleConfiguration": {"Rules": [older, in_old_form]}})
    ]
    none = BucketSpec("lake", lifecycle=())
    assert written(none) == [(put, {"LifecycleConfiguration": {"Rules": [OF_OTHERS]}})]
    assert written(none, get_bucket_lifecycle_configuration={"Rules": [RULE]}) == [("delete_bucket_lifecycle", {})]


def test_rule_has_only_what_is_declared() -> None:
    assert bucket._rule(LifecycleRule("a")) == {
        "ID": "lambda-script:a",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
    }
    assert bucket._shown(bucket._rule(LifecycleRule("a", expire_days=0))) == "*: objects expire after 0 days"


@pytest.mark.parametrize(("region", "place"), [("eu-west-2", {"LocationConstraint": "eu-west-2"}), ("us-east-1", {})])
def test_bucket_is_created_in_the_region_with_its_tags(region: str, place: dict[str, str]) -> None:
    aws: Any = S3()
    aws.region = region
    bucket._create(aws, "lake", {"b": "2", "a": "1"})
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    assert aws.made == [("create_bucket", {"CreateBucketConfiguration": {**place, "Tags": tags}})]


def tags_of(answer: Any) -> Any:
    aws: Any = S3(get_bucket_tagging=answer)
    return bucket._tags(aws, "lake")


def test_bucket_without_tags_is_not_one_that_is_missing() -> None:
    assert tags_of({"TagSet": [{"Key": "a", "Value": "1"}]}) == {"a": "1"}
    assert tags_of(AwsError("x", code="NoSuchTagSet")) == {}
    assert tags_of(AwsError("x", code="NoSuchBucket")) is tags_of(AwsError("x", code="404")) is None
    for code in ("AccessDenied", "403"):
        with pytest.raises(AwsError, match="Or lake belongs to another account") as refused:
            tags_of(AwsError("x", code=code, operation="s3:GetBucketTagging"))
        assert (refused.value.code, refused.value.operation) == (code, "s3:GetBucketTagging")
    with pytest.raises(AwsError, match=r"^x$"):
        tags_of(AwsError("x", code="Other"))


def test_bucket_is_emptied_of_every_version_and_upload() -> None:
    versions = [{"Key": f"k{number}", "VersionId": str(number), "Size": 1} for number in range(1001)]
    aws: Any = S3(
        **{
            "list_object_versions.Versions": versions,
            "list_object_versions.DeleteMarkers": [{"Key": "deleted", "VersionId": "m"}],
            "list_multipart_uploads.Uploads": [{"Key": "u", "UploadId": "1", "Initiated": 0}],
        }
    )
    bucket._empty(aws, "lake")
    first, second, upload = aws.made
    assert (first[0], first[1]["Delete"]["Quiet"], len(first[1]["Delete"]["Objects"])) == ("delete_objects", True, 1000)
    left = [{"Key": "k1000", "VersionId": "1000"}, {"Key": "deleted", "VersionId": "m"}]
    assert second == ("delete_objects", {"Delete": {"Objects": left, "Quiet": True}})
    assert upload == ("abort_multipart_upload", {"Key": "u", "UploadId": "1"})
    kept = {"Errors": [{"Key": "k", "Message": "locked", "Code": "AccessDenied"}]}
    refusing: Any = S3(delete_objects=kept, **{"list_object_versions.Versions": versions[:1]})
    with pytest.raises(AwsError, match=r"k remains: locked \(AccessDenied\)") as refused:
        bucket._empty(refusing, "lake")
    assert (refused.value.code, refused.value.operation) == ("AccessDenied", "s3:DeleteObject")


@pytest.mark.parametrize(
    ("name", "right"),
    [
        *(("abc", True), ("a.b-c9", True), ("9" * 63, True), ("ab", False), ("a" * 64, False), ("aBc", False)),
        *(("a_c", False), ("-ab", False), ("ab-", False), (".ab", False), ("a..b", False), ("abc!", False)),
    ],
)
def test_name_of_a_bucket_is_one_that_s3_takes(name: str, right: bool) -> None:
    assert is_bucket_name(name) is right
