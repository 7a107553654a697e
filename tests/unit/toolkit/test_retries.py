"""Which errors of AWS are retried."""

from __future__ import annotations

import pytest

from lambda_toolkit.aws.retries import ApiError, hint, retry_policy

NOT_NOW = "The operation cannot be performed at this time. An update is in progress for resource:"


def failure(code: str, message: str = "", operation: str = "put_rule", status: int = 400) -> ApiError:
    return ApiError("lambda", operation, code, message, status)


@pytest.mark.parametrize(
    ("refused", "seconds"),
    [
        (failure("ThrottlingException"), 60),
        (failure("TooManyRequestsException"), 60),
        (failure("SomethingNew", status=429), 60),
        (failure("ConcurrentModificationException"), 60),
        (failure("OperationAbortedException"), 60),  # CloudWatch Logs
        (failure("StaleTag"), 60),  # SNS, where a topic of that name was removed a moment ago
        (failure("ResourceConflictException", "An update is in progress"), 300),
        (failure("ResourceConflictException", f"{NOT_NOW} arn:aws:lambda:x:1:function:alias-keeper"), 300),
        (failure("ResourceConflictException", "Alias already exists: arn:aws:lambda:x:1:function:f:live"), None),
        (failure("ResourceConflictException", "Function already exist: f"), None),
        (failure("ResourceConflictException", "The statement id (x) provided already exists"), None),
        (failure("InvalidParameterValueException", "The role defined ... cannot be assumed by Lambda."), 60),
        (failure("InvalidParameterValueException", "because the KMS key is invalid for CreateGrant. Please check"), 60),
        (failure("InvalidParameterValueException", "Layers consume more than the available size"), None),
        (failure("InvalidArgument", "Unable to validate the following destination configurations"), 30),
        (failure("InvalidArgument", "Configurations overlap"), None),
        (failure("InvalidRequestException", "a secret with this name is already scheduled for deletion"), 30),
        (failure("ValidationException", "Rule can't be deleted since it has targets."), 30),
        (failure("ValidationException", "Parameter ScheduleExpression is not valid."), None),
        (failure("RequestTimeout", "Your socket connection to the server was not read from"), 20),
        (failure("EndpointConnectionError", status=0), 5),
        (failure("ReadTimeoutError", operation="get_role", status=0), 60),
        (failure("ReadTimeoutError", operation="create_role", status=0), 20),
        (
            failure("ReadTimeoutError", operation="publish_layer_version", status=0),
            None,
        ),  # a second call makes a second
        (failure("InternalFailure", operation="invoke", status=500), None),
        (failure("InternalFailure", operation="list_rules", status=500), 60),
        (failure("InternalFailure", status=503), 20),
        (failure("AccessDenied"), None),
        (failure("NoSuchEntity"), None),
    ],
)
def test_what_is_waited_for_and_how_long(refused: ApiError, seconds: float | None) -> None:
    wait = retry_policy(refused, 60)
    assert (wait and wait.seconds) == seconds


def test_iams_own_names_are_used() -> None:
    said = hint(failure("AccessDenied"), "s3:PutBucketNotificationConfiguration")
    assert said == " The credentials in use need s3:PutBucketNotification."


def test_missing_permission_is_the_one_that_aws_names() -> None:
    """The permission that AWS names is the one that is missing."""
    message = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: iam:PassRole on resource: x"
    said = hint(failure("AccessDeniedException", message), "lambda:CreateFunction")
    assert said == " The credentials in use need iam:PassRole."


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("AccessDenied", "need events:PutRule"),
        ("ExpiredToken", "Refresh the credentials"),
        ("InvalidClientTokenId", "AWS_ACCESS_KEY_ID"),
        ("NoCredentialsError", "AWS_PROFILE"),
        ("NoRegionError", "AWS_REGION"),
        ("EndpointConnectionError", "AWS_ENDPOINT_URL"),
        ("ValidationException", ""),
    ],
)
def test_hints(code: str, says: str) -> None:
    assert says in hint(failure(code), "events:PutRule")
