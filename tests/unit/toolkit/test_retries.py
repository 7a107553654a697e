"""Which errors of AWS are retried."""

from __future__ import annotations

import pytest
from botocore.retries.standard import ThrottledRetryableChecker

from lambda_toolkit.aws.retries import NOT_FOUND, ApiError, hint, is_unanswered, retry_policy
from lambda_toolkit.errors import CALLER_ERRORS

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


KEYS = " Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN."
NONE = " Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
REFRESH = " Refresh the credentials."
NETWORK = " Check the network, the region and AWS_ENDPOINT_URL."
NEEDED = " The credentials in use need events:PutRule."
OF_THE_CALLER = {
    "ExpiredToken": REFRESH,
    "ExpiredTokenException": REFRESH,
    "InvalidClientTokenId": KEYS,
    "UnrecognizedClientException": KEYS,
    "SignatureDoesNotMatch": KEYS,
    "InvalidAccessKeyId": KEYS,
    "NoCredentialsError": NONE,
    "PartialCredentialsError": NONE,
    "CredentialRetrievalError": NONE,
    "ProfileNotFound": NONE,
    "NoRegionError": " Set AWS_REGION, or name a region.",
    "EndpointConnectionError": NETWORK,
    "ConnectTimeoutError": NETWORK,
}
OF_ONE_CALL = {
    "RequestExpired": REFRESH,
    "AccessDenied": NEEDED,
    "AccessDeniedException": NEEDED,
    "UnauthorizedOperation": NEEDED,
    "AuthorizationError": NEEDED,
    "403": NEEDED,
    "ValidationException": "",
}


@pytest.mark.parametrize(("code", "says"), {**OF_THE_CALLER, **OF_ONE_CALL}.items())
def test_hints(code: str, says: str) -> None:
    assert hint(failure(code), "events:PutRule") == says


def test_each_error_of_the_caller_has_a_hint() -> None:
    assert frozenset(OF_THE_CALLER) == CALLER_ERRORS
    said = hint(failure("InvalidParameterValueException", "The role cannot be assumed by Lambda."), "lambda:x")
    assert said == " Its trust policy must allow the service lambda.amazonaws.com to assume it."


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("s3:GetBucketNotificationConfiguration", "s3:GetBucketNotification"),
        ("s3:PutBucketNotificationConfiguration", "s3:PutBucketNotification"),
        ("s3:GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock"),
        ("s3:PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
        ("s3:GetBucketEncryption", "s3:GetEncryptionConfiguration"),
        ("s3:PutBucketEncryption", "s3:PutEncryptionConfiguration"),
        ("s3:GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration"),
        ("s3:PutBucketLifecycleConfiguration", "s3:PutLifecycleConfiguration"),
        ("s3:DeleteBucketLifecycle", "s3:PutLifecycleConfiguration"),
        ("s3:ListObjectVersions", "s3:ListBucketVersions"),
        ("s3:ListMultipartUploads", "s3:ListBucketMultipartUploads"),
        ("s3:DeleteObjects", "s3:DeleteObject"),
        ("resourcegroupstaggingapi:GetResources", "tag:GetResources"),
        ("lambda:GetFunction", "lambda:GetFunction"),
    ],
)
def test_permission_has_the_name_that_iam_knows(operation: str, action: str) -> None:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"""
    assert hint(failure("AccessDenied"), operation) == f" The credentials in use need {action}."


NOT_THROTTLED = {"LimitExceededException", "ProvisionedThroughputExceededException", "TransactionInProgressException"}
"""What botocore repeats too: the first also means a quota, which does not pass; the others are DynamoDB's."""


def test_codes_of_throttling_are_those_of_botocore() -> None:
    botocores = set(ThrottledRetryableChecker._THROTTLED_ERROR_CODES) - NOT_THROTTLED
    for code in {*botocores, "Throttled", "TooManyRequests"}:
        wait = retry_policy(failure(code), 7)
        assert wait is not None and (wait.reason, wait.seconds, wait.once) == ("throttled", 7, False), code
    assert retry_policy(failure("LimitExceededException"), 7) is None


@pytest.mark.parametrize(
    "code",
    [
        *("ConcurrentAccess", "ConcurrentModification", "ConcurrentModificationException", "StaleTag"),
        *("EntityTemporarilyUnmodifiable", "OperationAborted", "OperationAbortedException"),
        "PreconditionFailedException",
    ],
)
def test_conflict_with_another_change_passes(code: str) -> None:
    wait = retry_policy(failure(code), 7)
    assert wait is not None and (wait.reason, wait.seconds) == ("another change is in progress", 7)


@pytest.mark.parametrize("code", ["ConnectionClosedError", "ReadTimeoutError", "ConnectionError", "HTTPClientError"])
def test_call_without_an_answer_is_repeated_once_at_least(code: str) -> None:
    assert is_unanswered(failure(code, status=0))
    for operation, seconds in {"get_x": 60, "list_x": 60, "describe_x": 60, "head_x": 60, "put_x": 20}.items():
        wait = retry_policy(failure(code, operation=operation, status=0), 60)
        assert wait is not None and (wait.reason, wait.seconds, wait.once) == ("AWS did not answer", seconds, True)
    for operation in ("invoke", "publish_layer_version"):
        assert retry_policy(failure(code, operation=operation, status=0), 60) is None


def test_answer_of_an_internal_error_is_none() -> None:
    assert is_unanswered(failure("Any", status=500)) and not is_unanswered(failure("Any", status=499))
    wait = retry_policy(failure("Any", status=500), 60)
    assert wait is not None and (wait.reason, wait.seconds, wait.once) == ("AWS failed internally", 20, True)
    assert retry_policy(failure("Any", status=428), 60) is None


@pytest.mark.parametrize(
    ("code", "message", "most"),
    [
        ("InvalidArgument", "Unable to validate the following destination", 30),
        ("InvalidRequestException", "is scheduled for deletion", 30),
        ("ValidationException", "since it has targets", 30),
        ("RequestTimeout", "", 20),
        ("RequestTimeoutException", "", 20),
        ("EndpointConnectionError", "", 5),
        ("ConnectTimeoutError", "", 5),
    ],
)
def test_wait_is_no_longer_than_the_caller_grants(code: str, message: str, most: float) -> None:
    waits = [retry_policy(failure(code, message), seconds) for seconds in (100, most, most - 1)]
    assert [wait and wait.seconds for wait in waits] == [most, most, most - 1]


@pytest.mark.parametrize(
    ("message", "passes"),
    [
        ("The role cannot be assumed by Lambda.", True),
        ("is invalid for CreateGrant", True),
        ("The ARN does not refer to a valid principal", True),
        ("The role is wrong", False),
    ],
)
def test_role_that_is_new_is_waited_for(message: str, passes: bool) -> None:
    wait = retry_policy(failure("InvalidParameterValueException", message), 60)
    assert (wait is not None) == passes


def test_codes_of_what_is_not_there() -> None:
    assert {
        *("404", "NoSuchEntity", "NoSuchKey"),
        *("NotFound", "NotFoundException", "ResourceNotFound", "ResourceNotFoundException"),
        *("NoSuchBucket", "NoSuchBucketPolicy", "NoSuchLifecycleConfiguration", "NoSuchPublicAccessBlockConfiguration"),
        *(
            "EntityNotFoundException",
            "NoSuchTagSet",
            "ProvisionedConcurrencyConfigNotFoundException",
            "ServerSideEncryptionConfigurationNotFoundError",
        ),
    } == NOT_FOUND


@pytest.mark.parametrize(
    ("code", "message", "seconds"),
    [
        ("ResourceInUseException", "", 300),
        ("ConflictException", "another change", 60),
        ("ConflictException", "the schedule already exists", None),
        ("ValidationException", "The execution role must allow AWS EventBridge Scheduler to assume the role.", 60),
        ("InvalidParameterValueException", "The function execution role does not have permissions to call X", 60),
        ("InvalidParameterValueException", "Cannot access stream. Please ensure the role can perform Y", 60),
        ("ResourceConflictException", "cannot be performed at this time: alias", 300),
        ("ResourceConflictException", "a version that an alias names", None),
        ("InvalidArgument", "", None),
        ("InvalidRequestException", "", None),
    ],
)
def test_error_that_its_message_explains(code: str, message: str, seconds: float | None) -> None:
    wait = retry_policy(failure(code, message), 60)
    assert (wait and wait.seconds) == seconds
