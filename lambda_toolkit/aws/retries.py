"""The retry policy: which API errors are transient, and for how long a call is repeated. Pure.

Lambda's, IAM's and S3's control planes are eventually consistent: a new role or permission is not known everywhere when
the call that created it returns (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html, "Changes that I
make are not always immediately visible").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NOT_FOUND = frozenset(
    {
        "404",
        "EntityNotFoundException",  # Glue
        "NoSuchBucket",
        "NoSuchBucketPolicy",
        "NoSuchEntity",
        "NoSuchKey",
        "NoSuchLifecycleConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "NoSuchTagSet",
        "NotFound",
        "NotFoundException",
        "ProvisionedConcurrencyConfigNotFoundException",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)
_CONFLICTS = frozenset(
    {
        "ConcurrentAccess",
        "ConcurrentModification",
        "ConcurrentModificationException",
        "EntityTemporarilyUnmodifiable",
        "OperationAborted",
        "OperationAbortedException",
        "PreconditionFailedException",
        "StaleTag",
    }
)
_NOT_CONNECTED = frozenset({"EndpointConnectionError", "ConnectTimeoutError"})
_UPLOAD_TIMEOUTS = frozenset({"RequestTimeout", "RequestTimeoutException"})  # AWS did not receive the whole body
_NEW_ROLE = (  # a new role: not yet known to Lambda, or to the KMS key of its environment variables
    "cannot be assumed",
    "invalid for CreateGrant",
    "does not refer to a valid principal",
    "execution role does not have permissions to call",
    "Please ensure the role can perform",  # of a stream, which Lambda tries to read
)
_NEW_SCHEDULE_ROLE = "must allow AWS EventBridge Scheduler to assume the role"
_PERMANENT = ("already exist", "alias")  # conflicts that do not pass: a name in use, a version with an alias
_TEMPORARY = "cannot be performed at this time"  # the ARN follows, and the function's name may contain a word above
_TOO_MANY_REQUESTS, _INTERNAL = 429, 500  # HTTP statuses
_NO_RESPONSE = frozenset({"ConnectionClosedError", "ReadTimeoutError", "ConnectionError", "HTTPClientError"})
_IAM_ACTIONS = {  # operations whose IAM action has another name
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:DeleteObjects": "s3:DeleteObject",
    "resourcegroupstaggingapi:GetResources": "tag:GetResources",
}
_MISSING_ACTION = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")
# How many times as long as for other calls an update of a function is waited for: 300 s instead of 60, as AWS's own
# waiters do (botocore's FunctionActiveV2 and FunctionUpdatedV2). One in a network takes minutes.
UPDATE_FACTOR = 5.0
_READS = ("get_", "list_", "describe_", "head_")
_NOT_REPEATED = frozenset({"invoke", "publish_layer_version"})  # a second call does a second time what the first did


@dataclass(frozen=True)
class ApiError:
    """A failed call, with AWS's error code and message, or the name and message of a botocore exception."""

    service: str
    operation: str
    """As boto3 names it: ``get_role``."""
    code: str
    message: str
    status: int = 0
    """The HTTP status; 0 where there was no response."""


@dataclass(frozen=True)
class Retry:
    """Why the same call is expected to succeed later, and for how many seconds it is repeated."""

    reason: str
    seconds: float
    once: bool = False
    """Repeat once even where the first attempt took longer than ``seconds``, as one that ends in a timeout does."""


def is_unanswered(failure: ApiError) -> bool:
    """Whether AWS may have carried out the call all the same: there was no answer, or an internal error."""
    return failure.code in _NO_RESPONSE or failure.status >= _INTERNAL


def retry_policy(failure: ApiError, seconds: float) -> Retry | None:
    """Whether to repeat the call after ``failure``, for at most ``seconds``. ``None``: the error is permanent.

    Some errors are recognized by message, as documented by AWS: the code alone does not distinguish a role that is
    seconds old from a wrong one.
    """
    code, message = failure.code, failure.message
    if code in _THROTTLED or failure.status == _TOO_MANY_REQUESTS:
        return Retry("throttled", seconds)
    if code in _CONFLICTS:
        return Retry("another change is in progress", seconds)
    if code == "ResourceConflictException" and not _is_permanent(message):
        return Retry("an update is in progress", seconds * UPDATE_FACTOR)
    if code == "ResourceInUseException":  # an event source mapping that is being created, updated or deleted
        return Retry("an update is in progress", seconds * UPDATE_FACTOR)
    if code == "InvalidParameterValueException" and any(text in message for text in _NEW_ROLE):
        return Retry("the role is not yet visible to Lambda", seconds)
    if code == "ConflictException" and "already exist" not in message:
        return Retry("another change is in progress", seconds)
    if code == "ValidationException" and _NEW_SCHEDULE_ROLE in message:
        return Retry("the role is not yet visible to EventBridge Scheduler", seconds)
    if code == "InvalidArgument" and "Unable to validate the following destination" in message:
        return Retry("the permission is not yet visible to S3", min(seconds, 30.0))
    if code == "InvalidRequestException" and "scheduled for deletion" in message:
        return Retry("the old secret is still being deleted", min(seconds, 30.0))
    if code == "ValidationException" and "since it has targets" in message:
        return Retry("the rule's targets are still being removed", min(seconds, 30.0))
    if code in _UPLOAD_TIMEOUTS:
        return Retry("AWS did not receive the whole request", min(seconds, 20.0))
    if code in _NOT_CONNECTED:
        return Retry("AWS cannot be reached", min(seconds, 5.0))
    if is_unanswered(failure) and failure.operation not in _NOT_REPEATED:
        reason = "AWS did not answer" if code in _NO_RESPONSE else "AWS failed internally"
        is_read = failure.operation.startswith(_READS)
        return Retry(reason, seconds if is_read else min(seconds, 20.0), once=True)
    return None


def _is_permanent(message: str) -> bool:
    return _TEMPORARY not in message and any(text in message for text in _PERMANENT)


def hint(failure: ApiError, permission: str) -> str:
    """Advice for ``failure``: a space and one sentence, or empty. ``permission`` is the IAM action."""
    code = failure.code
    if code in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403"):
        named = _MISSING_ACTION.search(failure.message)  # a call with tags or a role needs other permissions too
        return f" The credentials in use need {named[1] if named else _IAM_ACTIONS.get(permission, permission)}."
    if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired"):
        return " Refresh the credentials."
    if code in ("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidAccessKeyId"):
        return " Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN."
    if code in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"):
        return " Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
    if "cannot be assumed by Lambda" in failure.message:
        return " Its trust policy must allow the service lambda.amazonaws.com to assume it."
    if code == "NoRegionError":
        return " Set AWS_REGION, or name a region."
    if code in _NOT_CONNECTED:
        return " Check the network, the region and AWS_ENDPOINT_URL."
    return ""
