"""Which of AWS's refusals pass by themselves, and for how long it is worth waiting. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

NOT_THERE = frozenset(
    {
        "404",
        "NoSuchBucket",
        "NoSuchBucketPolicy",
        "NoSuchEntity",
        "NoSuchLifecycleConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "NoSuchTagSet",
        "NotFound",
        "NotFoundException",
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
_AT_ODDS = frozenset(
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
_UNSENT = frozenset({"EndpointConnectionError", "ConnectTimeoutError"})
_CUT_OFF = frozenset({"RequestTimeout", "RequestTimeoutException"})  # AWS had not yet read all that was being sent
_NEW_ROLE = (  # a role that was made a moment ago: unknown to Lambda, and then to the key of its environment variables
    "cannot be assumed",
    "invalid for CreateGrant",
    "does not refer to a valid principal",
)
_FOR_GOOD = ("already exist", "alias")  # conflicts that no waiting ends: a name that is taken, a version that is named
_FOR_NOW = "cannot be performed at this time"  # and then the ARN of a function whose name may hold any of these
_TOO_MANY_REQUESTS = 429
_UNANSWERED = frozenset({"ConnectionClosedError", "ReadTimeoutError", "ConnectionError", "HTTPClientError"})
_IAM_NAMES = {  # where IAM calls an operation by another name
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
_NAMED = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")
_READS = ("get_", "list_", "describe_", "head_")


@dataclass(frozen=True)
class Refusal:
    """One refusal, with AWS's code and message, or the name and text of a botocore exception.

    ``status`` is HTTP's, 0 where there was no answer.
    """

    service: str
    operation: str
    code: str
    message: str
    status: int = 0


@dataclass(frozen=True)
class Wait:
    """Why the same call will work later, and for how many seconds it may be repeated."""

    reason: str
    seconds: float


def wait_for(refusal: Refusal, seconds: float) -> Wait | None:
    """What to wait for, at most ``seconds``, before the same call is made again.

    ``None`` where it would be refused for ever. The texts that are looked for are those of AWS's own documents: a code
    alone does not tell a role that is seconds old from a wrong one.
    """
    code, message = refusal.code, refusal.message
    if code in _THROTTLED or refusal.status == _TOO_MANY_REQUESTS:
        return Wait("throttled", seconds)
    if code in _AT_ODDS:
        return Wait("someone else is changing it", seconds)
    if code == "ResourceConflictException" and not _is_for_good(message):
        return Wait("an update is in progress", seconds)
    if code == "InvalidParameterValueException" and any(text in message for text in _NEW_ROLE):
        return Wait("the role is not yet known to Lambda", seconds)
    if code == "InvalidArgument" and "Unable to validate the following destination" in message:
        return Wait("the permission is not yet known to S3", min(seconds, 30.0))
    if code == "InvalidRequestException" and "scheduled for deletion" in message:
        return Wait("the old secret is still being deleted", min(seconds, 30.0))
    if code == "ValidationException" and "since it has targets" in message:
        return Wait("the rule's targets are still being removed", min(seconds, 30.0))
    if code in _CUT_OFF:
        return Wait("AWS did not get the whole request", min(seconds, 20.0))
    if code in _UNSENT:
        return Wait("AWS cannot be reached", min(seconds, 5.0))
    if (code in _UNANSWERED or refusal.status >= 500) and refusal.operation.startswith(_READS):
        return Wait("AWS did not answer", seconds)
    if refusal.status >= 500:
        return Wait("AWS had a fault of its own", min(seconds, 20.0))
    return None


def _is_for_good(message: str) -> bool:
    return _FOR_NOW not in message and any(text in message for text in _FOR_GOOD)


def hint(refusal: Refusal, permission: str) -> str:
    """One sentence that says what to try."""
    code = refusal.code
    if code in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403"):
        named = _NAMED.search(refusal.message)  # a call with tags, or with a role, needs more than its own permission
        return f" The credentials in use need {named[1] if named else _IAM_NAMES.get(permission, permission)}."
    if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired"):
        return " Refresh the credentials."
    if code in ("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidAccessKeyId"):
        return " Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN."
    if code in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"):
        return " Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
    if code == "NoRegionError":
        return " Set AWS_REGION, or name a region."
    if code in _UNSENT:
        return " Check the network, the region and AWS_ENDPOINT_URL."
    return ""
