"""How extract has ranges of a table read by others: the seam behind which readers run, and the limits of it.

On AWS each range is one invocation of a function, for whose answer a thread of extract waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ...shared.fan_out import AskLimits
from ...shared.invoking import AskedFunction
from ...shared.messages.read_events import ReadRequest, ReadResult
from ...shared.model.scale import READER_ROWS

ALONE = "read alone: "  # begins what is said of a table that readers could have read, and did not


class Readers(Protocol):
    """Whatever reads ranges: functions on AWS, or threads of a test. Called by several threads at a time."""

    def read(self, request: ReadRequest) -> ReadResult:
        """Has one range read, and returns when it is. Raises any error where it was not, or took too long."""


class LambdaReaders:
    """The Lambda function that reads ranges."""

    def __init__(self, function: AskedFunction) -> None:
        self._function = function

    def read(self, request: ReadRequest) -> ReadResult:
        """As Readers has it. Raises NotAnsweredError, and botocore's errors where there is no answer."""
        return self._function.answer(request, ReadResult)


@dataclass(frozen=True)
class FanOut(AskLimits):
    """Who reads ranges, how many of them at a time, and when extract gives up and reads alone.

    While it waits, extract asks the server something, which ends its transaction after 120 seconds without.
    """

    readers: Readers
    most: int
    """Readers at a time, at most. Fewer, where the source has not twice as many connections left."""
    rows: int = READER_ROWS
    """The most rows of a table that is read so. A larger one is read by extract, a batch after the other."""
    range_rows: int | None = None
    """The rows of a range, about; None: those of a batch."""
