"""Functions on AWS that answer requests of others: one invocation for each, for whose answer a thread waits."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from .errors import PipelineError
from .messages.events import Request
from .messages.message import Message

ANSWER_TIMEOUT = 300.0  # seconds for one request, of about a million rows: it takes 3 to 30

A = TypeVar("A", bound=Message)


class NotAnsweredError(PipelineError):
    """A function returned an error, or nothing that can be understood."""


class AskedFunction:
    """The Lambda function ``function``, a name with its alias or version."""

    def __init__(self, client: Any, function: str) -> None:
        self._client, self._function = client, function

    def answer(self, request: Request, kind: type[A]) -> A:
        """What it returns for ``request``. Raises NotAnsweredError, and botocore's errors where there is no answer."""
        answer = self._client.invoke(
            FunctionName=self._function,
            InvocationType="RequestResponse",
            Payload=json.dumps(request.to_json()).encode(),
        )
        payload = answer["Payload"].read()
        if answer.get("FunctionError"):
            raise NotAnsweredError(f"{self._function} failed to {request.action}.")
        document = json.loads(payload)
        if not isinstance(document, dict):
            raise NotAnsweredError(f"{self._function} answered no object for the action {request.action}.")
        return kind.from_json(document)


def asked_function(function: str, together: int) -> AskedFunction:
    """``function``, which is asked by so many threads ``together``."""
    return AskedFunction(_client(together), function)


def _client(together: int) -> Any:
    """A client that asks once, as a repeated request is a second invocation; and waits for as long as one may take."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=10,
        read_timeout=ANSWER_TIMEOUT,
        retries={"total_max_attempts": 1},
        max_pool_connections=together,
        tcp_keepalive=True,  # a gateway between forgets a connection on which nothing is said for 350 s
    )
    return boto3.client("lambda", config=config)
