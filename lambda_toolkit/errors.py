"""The toolkit's exceptions. Each message says what was attempted, on what, what is wrong, and what to try.

A remedy that depends on how the toolkit is used, such as an option, is an :class:`Advice`: ``lambda_script`` and a
command line each put it in their own words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

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


class Hint(Enum):
    """A remedy. The comments say what :attr:`Advice.values` are for each."""

    ADOPT = "adopt"  # let the toolkit manage a resource that it did not create; no values
    DELETE_DATA = "delete_data"  # remove buckets, secrets and log groups too; no values
    OVERWRITE_SECRET = "overwrite_secret"  # write a secret that was changed elsewhere; its name  # noqa: S105  # nosec B105
    ROLLBACK_TO = "rollback_to"  # make a version live again; the function's name and the version


Wording = Mapping[Hint, str]  # a sentence for each hint, with {0}, {1} for the values


@dataclass(frozen=True)
class Advice:
    """A remedy and its values."""

    hint: Hint
    values: tuple[str, ...] = ()

    def worded(self, wording: Wording) -> str:
        """The sentence for this remedy."""
        return wording[self.hint].format(*self.values)


def advised(message: str, advice: Advice | None, wording: Wording) -> str:
    """``message``, followed by the advice in the words of ``wording`` where there is any."""
    return f"{message} {advice.worded(wording)}" if advice else message


class ToolkitError(Exception):
    """The base class. ``str(error)`` is readable and contains no secret."""

    def __init__(self, message: str = "", *, advice: Advice | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def worded(self, wording: Wording) -> str:
        """The message with the advice in the words of ``wording``."""
        return advised(self.message, self.advice, wording)


class ScheduleError(ToolkitError):
    """A schedule that cannot be parsed, or that EventBridge cannot express."""


class PackageError(ToolkitError):
    """A source, handler or requirement that cannot be packaged."""


class LimitError(ToolkitError):
    """A value that AWS would reject, found before the first call that writes."""


class OwnershipError(ToolkitError):
    """A resource of that name exists, and the toolkit does not manage it."""


class TriggerError(ToolkitError):
    """A trigger that AWS would reject, such as an S3 trigger that overlaps another one of the same bucket."""


class CheckError(ToolkitError):
    """A new version failed its health check or, as a canary, raised an alarm. The previous version stays live."""


class PlanError(ToolkitError):
    """Several errors that were found together. ``problems`` has them all."""

    def __init__(self, problems: Sequence[ToolkitError]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def worded(self, wording: Wording) -> str:
        """The messages of all problems, a line each, with their advice."""
        return "\n".join(problem.worded(wording) for problem in self.problems)


class AwsError(ToolkitError):
    """AWS rejected a call, or could not be reached.

    ``code`` is AWS's error code, or the name of the botocore exception. ``operation`` is written as in IAM:
    ``lambda:GetFunction``. ``unanswered`` is true where AWS did not answer an earlier attempt of the same call, which
    may therefore have been carried out.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        operation: str = "",
        advice: Advice | None = None,
        unanswered: bool = False,
    ) -> None:
        super().__init__(message, advice=advice)
        self.code = code
        self.operation = operation
        self.unanswered = unanswered


@contextmanager
def worded_as(wording: Wording) -> Iterator[None]:
    """Put the words of ``wording`` for the advice into the messages of ToolkitErrors. Their ``advice`` stays."""
    try:
        yield
    except ToolkitError as error:
        error.args = (error.worded(wording),)
        raise


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
