"""Which refusals are worth waiting for."""

from __future__ import annotations

import pytest

from lambda_toolkit.aws.retries import Refusal, hint, wait_for

NOT_NOW = "The operation cannot be performed at this time. An update is in progress for resource:"


def refusal(code: str, message: str = "", operation: str = "put_rule", status: int = 400) -> Refusal:
    return Refusal("lambda", operation, code, message, status)


@pytest.mark.parametrize(
    ("refused", "seconds"),
    [
        (refusal("ThrottlingException"), 60),
        (refusal("TooManyRequestsException"), 60),
        (refusal("SomethingNew", status=429), 60),
        (refusal("ConcurrentModificationException"), 60),
        (refusal("OperationAbortedException"), 60),  # CloudWatch Logs
        (refusal("StaleTag"), 60),  # SNS, where a topic of that name was removed a moment ago
        (refusal("ResourceConflictException", "An update is in progress"), 60),
        (refusal("ResourceConflictException", f"{NOT_NOW} arn:aws:lambda:x:1:function:alias-keeper"), 60),
        (refusal("ResourceConflictException", "Alias already exists: arn:aws:lambda:x:1:function:f:live"), None),
        (refusal("ResourceConflictException", "Function already exist: f"), None),
        (refusal("ResourceConflictException", "The statement id (x) provided already exists"), None),
        (refusal("InvalidParameterValueException", "The role defined ... cannot be assumed by Lambda."), 60),
        (refusal("InvalidParameterValueException", "because the KMS key is invalid for CreateGrant. Please check"), 60),
        (refusal("InvalidParameterValueException", "Layers consume more than the available size"), None),
        (refusal("InvalidArgument", "Unable to validate the following destination configurations"), 30),
        (refusal("InvalidArgument", "Configurations overlap"), None),
        (refusal("InvalidRequestException", "a secret with this name is already scheduled for deletion"), 30),
        (refusal("ValidationException", "Rule can't be deleted since it has targets."), 30),
        (refusal("ValidationException", "Parameter ScheduleExpression is not valid."), None),
        (refusal("RequestTimeout", "Your socket connection to the server was not read from"), 20),
        (refusal("EndpointConnectionError", status=0), 5),
        (refusal("ReadTimeoutError", operation="get_role", status=0), 60),
        (refusal("ReadTimeoutError", operation="create_role", status=0), None),  # it may have been made
        (refusal("InternalFailure", operation="list_rules", status=500), 60),
        (refusal("InternalFailure", status=503), 20),
        (refusal("AccessDenied"), None),
        (refusal("NoSuchEntity"), None),
    ],
)
def test_what_is_waited_for_and_how_long(refused: Refusal, seconds: float | None) -> None:
    wait = wait_for(refused, 60)
    assert (wait and wait.seconds) == seconds


def test_iams_own_names_are_used() -> None:
    said = hint(refusal("AccessDenied"), "s3:PutBucketNotificationConfiguration")
    assert said == " The credentials in use need s3:PutBucketNotification."


def test_the_permission_that_aws_names_is_the_one_that_is_missing() -> None:
    message = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: iam:PassRole on resource: x"
    said = hint(refusal("AccessDeniedException", message), "lambda:CreateFunction")
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
    assert says in hint(refusal(code), "events:PutRule")
