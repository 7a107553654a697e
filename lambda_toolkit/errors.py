"""What the toolkit raises. Each message says what was being done, to what, what is wrong, and what to try."""

from __future__ import annotations

from collections.abc import Sequence

MASK = "********"  # shown instead of every secret, whatever its length
CALLER_ERRORS = frozenset(  # error codes about the caller's credentials or network: every call gets the same one
    {
        "CredentialRetrievalError",
        "ConnectTimeoutError",
        "EndpointConnectionError",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "NoCredentialsError",
        "NoRegionError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


class ToolkitError(Exception):
    """The base of them all. ``str(error)`` is written for people and holds no secret."""


class ScheduleError(ToolkitError):
    """A schedule that cannot be read, or that EventBridge cannot express."""


class PackageError(ToolkitError):
    """Source, handler or requirements from which no package can be made."""


class LimitError(ToolkitError):
    """Something that AWS would refuse, found before the first call that writes."""


class OwnershipError(ToolkitError):
    """Something of that name is there already, and the toolkit did not make it."""


class TriggerError(ToolkitError):
    """An S3 trigger that cannot stand beside another one of the same bucket."""


class CheckError(ToolkitError):
    """A new version that failed its check, or raised an alarm as a canary. The one before it stays live."""


class PlanError(ToolkitError):
    """Several things stand in the way of a plan. ``problems`` holds them all."""

    def __init__(self, problems: Sequence[ToolkitError]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class AwsError(ToolkitError):
    """AWS refused a call, or could not be reached.

    ``code`` is AWS's own error code (or the name of the botocore exception), ``operation`` is as in IAM:
    ``lambda:GetFunction``.
    """

    def __init__(self, message: str, *, code: str = "", operation: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.operation = operation


def raise_all(problems: Sequence[ToolkitError]) -> None:
    """Raise the one problem, or a PlanError of all of them. Returns where there is none.

    Repeated messages are reported once, and so is each of :data:`CALLER_ERRORS`: missing credentials fail every call.
    """
    by_subject: dict[str, ToolkitError] = {}
    for problem in problems:
        by_subject.setdefault(_subject(problem), problem)
    distinct = list(by_subject.values())
    if len(distinct) == 1:
        raise distinct[0]
    if distinct:
        raise PlanError(distinct)


def _subject(problem: ToolkitError) -> str:
    """Equal for two problems of which one report is enough."""
    return problem.code if isinstance(problem, AwsError) and problem.code in CALLER_ERRORS else str(problem)
