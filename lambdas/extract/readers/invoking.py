"""Readers as functions on AWS: each range is one invocation, for whose answer a thread of extract waits."""

from __future__ import annotations

import json
import os
from typing import Any

from ...shared.errors import PipelineError
from ...shared.messages.read_events import READER_ROWS, ReadRequest, ReadResult
from .fan_out import FanOut

ANSWER_TIMEOUT = 300.0  # seconds for one range, of about a million rows: it takes 3 to 30


class ReaderFailedError(PipelineError):
    """A reader returned an error, or nothing that can be understood."""


class LambdaReaders:
    """The Lambda function ``function``, a name with its alias."""

    def __init__(self, client: Any, function: str) -> None:
        self._client, self._function = client, function

    def read(self, request: ReadRequest) -> ReadResult:
        """As Readers has it. Raises ReaderFailedError, and botocore's errors where there is no answer."""
        answer = self._client.invoke(
            FunctionName=self._function,
            InvocationType="RequestResponse",
            Payload=json.dumps(request.to_json()).encode(),
        )
        payload = answer["Payload"].read()
        if answer.get("FunctionError"):
            raise ReaderFailedError(f"{self._function} failed in range {request.number} of {request.table}.")
        document = json.loads(payload)
        if not isinstance(document, dict):
            raise ReaderFailedError(f"{self._function} answered no object for range {request.number}.")
        return ReadResult.from_json(document)


def declared_fan_out() -> FanOut | None:
    """The readers that this function was deployed with, by its environment; None: it reads alone."""
    function, most = os.environ.get("READER_FUNCTION", ""), int(os.environ.get("READERS", "0") or 0)
    if not function or most < 2:
        return None
    return FanOut(LambdaReaders(_client(most), function), most, int(os.environ.get("READER_ROWS", READER_ROWS)))


def _client(most: int) -> Any:
    """A client that asks once, as a repeated request is a second reader; and waits for as long as a range may take."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=10,
        read_timeout=ANSWER_TIMEOUT,
        retries={"total_max_attempts": 1},
        max_pool_connections=most,
        tcp_keepalive=True,  # a gateway between forgets a connection on which nothing is said for 350 s
    )
    return boto3.client("lambda", config=config)
