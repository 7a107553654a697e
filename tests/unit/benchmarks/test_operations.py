"""The benchmarks' proxy recognises the operation of each request that botocore sends."""

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ClientError

from benchmarks.operations import Operation, operation_of

CALLS = [
    ("lambda", "UpdateFunctionCode", {"FunctionName": "one", "ZipFile": b"zip"}),
    ("lambda", "GetFunction", {"FunctionName": "one"}),
    ("lambda", "GetFunctionConfiguration", {"FunctionName": "one"}),
    ("lambda", "ListFunctions", {}),
    ("lambda", "GetAlias", {"FunctionName": "one", "Name": "live"}),
    ("lambda", "PublishVersion", {"FunctionName": "one"}),
    ("lambda", "TagResource", {"Resource": "arn:aws:lambda:eu-west-2:1:function:one", "Tags": {"a": "b"}}),
    ("lambda", "Invoke", {"FunctionName": "one"}),
    ("s3", "PutObject", {"Bucket": "lake", "Key": "a/b/c", "Body": b"x"}),
    ("s3", "GetBucketNotificationConfiguration", {"Bucket": "lake"}),
    ("s3", "ListObjectsV2", {"Bucket": "lake"}),
    ("s3", "CreateBucket", {"Bucket": "lake"}),
    ("s3", "HeadObject", {"Bucket": "lake", "Key": "a"}),
    ("iam", "GetRole", {"RoleName": "one"}),
    ("iam", "PutRolePolicy", {"RoleName": "one", "PolicyName": "p", "PolicyDocument": "{}"}),
    ("events", "PutRule", {"Name": "one"}),
    ("logs", "DescribeLogGroups", {}),
    ("cloudformation", "CreateChangeSet", {"StackName": "one", "ChangeSetName": "c"}),
    ("cloudwatch", "DescribeAlarms", {}),
    ("sts", "GetCallerIdentity", {}),
    ("resourcegroupstaggingapi", "GetResources", {}),
]


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    return boto3.Session("AKIAEXAMPLE", "secret", region_name="eu-west-2")


@pytest.mark.parametrize(("service", "name", "parameters"), CALLS, ids=lambda value: value if value else "")
def test_operation_is_recognised_from_a_botocore_request(session, service, name, parameters) -> None:
    client = session.client(service, endpoint_url="http://127.0.0.1:1")
    method = next(key for key, value in client.meta.method_to_api_mapping.items() if value == name)
    seen: list[Operation] = []

    def look(request: AWSPreparedRequest, **_: object) -> None:
        headers = {
            key.lower(): value.decode() if isinstance(value, bytes) else str(value)
            for key, value in request.headers.items()
        }
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        target = request.url.removeprefix("http://127.0.0.1:1")
        seen.append(operation_of(request.method, target, headers, body))
        raise ClientError({"Error": {"Code": "Seen"}}, name)

    client.meta.events.register("before-send.*.*", look)
    with pytest.raises(ClientError, match="Seen"):
        getattr(client, method)(**parameters)
    assert seen[0].name == name
    reads = ("Get", "List", "Describe", "Head", "Invoke")
    assert seen[0].is_write == (not name.startswith(reads))


def test_it_is_named_as_iam_does() -> None:
    assert str(Operation("lambda", "GetFunction")) == "lambda:GetFunction"
