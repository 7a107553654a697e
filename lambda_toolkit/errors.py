"""What the toolkit raises. Each message says what was being done, to what, what is wrong, and what to try."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambda_toolkit.deploy.execute import Report


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


class DeployError(ToolkitError):
    """Something was not deployed. ``report`` says what was done, what failed and what was not tried."""

    def __init__(self, report: Report) -> None:
        self.report = report
        lines = [f"{failure.change.kind} {failure.change.name}: {failure.message}" for failure in report.failed]
        lines += [
            f"{failure.change.kind} {failure.change.name}: not tried: {failure.message}" for failure in report.skipped
        ]
        done = f"{len(report.done)} of {report.total} changes were made; the same command makes the rest."
        super().__init__("\n".join([*lines, done]))
