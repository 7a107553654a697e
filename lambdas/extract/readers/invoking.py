"""Readers as functions on AWS: each range is one invocation, for whose answer a thread of extract waits."""

from __future__ import annotations

import os

from ...shared.invoking import AskedFunction, asked_function
from ...shared.messages.read_events import READER_ROWS, ReadRequest, ReadResult
from .fan_out import FanOut


class LambdaReaders:
    """The Lambda function that reads ranges."""

    def __init__(self, function: AskedFunction) -> None:
        self._function = function

    def read(self, request: ReadRequest) -> ReadResult:
        """As Readers has it. Raises NotAnsweredError, and botocore's errors where there is no answer."""
        return self._function.answer(request, ReadResult)


def declared_fan_out() -> FanOut | None:
    """The readers that this function was deployed with, by its environment; None: it reads alone."""
    function, most = os.environ.get("READER_FUNCTION", ""), int(os.environ.get("READERS", "0") or 0)
    if not function or most < 2:
        return None
    readers = LambdaReaders(asked_function(function, most))
    return FanOut(readers, most, int(os.environ.get("READER_ROWS", READER_ROWS)))
