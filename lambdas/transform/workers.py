"""Has the parts of a large batch transformed by other invocations of transform, and takes what they did if it is whole.

A part is the same whoever transforms it: what a worker did not do, or not soon enough, transform does itself. The
manifest is written when every part is there, by the coordinator alone; workers write none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ..shared.deadline import seconds_left
from ..shared.fan_out import AskLimits, Gathering, NoAnswer
from ..shared.invoking import AskedFunction, asked_function
from ..shared.messages.part_events import PartRequest, PartResult
from .batch import alone
from .parts import PartTransform

Report = Callable[[PartRequest, str], object]
"""Called with each part that no worker transformed, and why."""


class Workers(Protocol):
    """Whatever transforms parts: functions on AWS, or threads of a test. Called by several threads at a time."""

    def transform(self, request: PartRequest) -> PartResult:
        """Has one part transformed, and returns when it is. Raises any error where it was not, or took too long."""


class LambdaWorkers:
    """Invocations of a Lambda function."""

    def __init__(self, function: AskedFunction) -> None:
        self._function = function

    def transform(self, request: PartRequest) -> PartResult:
        """As Workers has it. Raises NotAnsweredError, and botocore's errors where there is no answer."""
        return self._function.answer(request, PartResult)


@dataclass(frozen=True)
class FanOut(AskLimits):
    """Who transforms parts, and how many of them at a time."""

    workers: Workers
    most: int
    """Workers at a time, at most."""


@dataclass(frozen=True)
class ByWorkers:
    """The engine that has the parts of tables with several parts transformed by workers. The others it does itself."""

    fan_out: FanOut
    seconds_left: Callable[[], float]
    """The seconds until this invocation is ended."""
    report: Report = lambda request, why: None

    def __call__(self, parts: PartTransform) -> list[PartResult]:
        """As ``Engine`` has it. Raises what ``PartTransform.result`` raises."""
        shared = [part for part in parts.parts if part.parts > 1]
        if not shared:
            return alone(parts)
        found: dict[PartRequest, PartResult] = {}
        left: list[PartRequest] = []
        together = min(self.fan_out.most, len(shared))
        ask = self.fan_out.workers.transform
        with Gathering(ask, shared, together, self.fan_out, self.seconds_left()) as gathering:
            for part in parts.parts:
                if part.parts == 1:
                    found[part] = parts.result(part)
            for part, answer in gathering.answers():
                why = answer.reason if isinstance(answer, NoAnswer) else problem_of(parts, part, answer)
                if why is None and not isinstance(answer, NoAnswer):
                    found[part] = answer
                else:
                    left.append(part)
                    self.report(part, str(why))
        for part in left:
            found[part] = parts.result(part)
        return [found[part] for part in parts.parts]


def problem_of(parts: PartTransform, part: PartRequest, result: PartResult) -> str | None:
    """Why ``result`` is not what becomes of ``part``; None: it is, as far as numbers and files show."""
    if result.refused is not None:
        return f"was refused: {result.refused}"
    if (result.table, result.number) != (part.table, part.number):
        return f"was answered with part {result.number} of {result.table}"
    expected = parts.rows_of(part)
    if result.read != expected:
        return f"was read with {result.read} rows, of {expected}"
    written = sum((result.rows.rows if result.rows else 0, result.unmatched))
    written += result.rejected.source_rows if result.rejected else 0
    if written != result.read + result.unchanged:
        return f"has {written} rows after {result.read + result.unchanged} were read"
    for file in result.stored:
        if not parts.is_of(part, file) or not parts.processed.exists(file.key):
            return f"has no file {file.key}"
    return None


def workers_of(context: Any, most: int, report: Report) -> ByWorkers | None:
    """At most ``most`` workers at a time; None where ``context`` is not of Lambda.

    They are invocations of the very version that runs: of the same code and the same declaration.
    """
    name, version = getattr(context, "function_name", None), getattr(context, "function_version", None)
    if not name or not version:
        return None
    workers = LambdaWorkers(asked_function(f"{name}:{version}", most))
    return ByWorkers(FanOut(workers, most), seconds_left(context), report)
