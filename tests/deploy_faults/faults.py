"""One fault at one call to AWS: denied, throttled, unanswered, in conflict, not yet visible, interrupted, killed."""

from __future__ import annotations

import copy
import json
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.support.api_recorder import error

READS = ("Get", "List", "Describe", "Head")
LAG = 2.0  # seconds for which reads show what was there before the write
_THROTTLED = {
    "iam": "Throttling",
    "s3": "SlowDown",
    "logs": "ThrottlingException",
    "lambda": "TooManyRequestsException",
}
_CONFLICTS = {
    "lambda": (
        "ResourceConflictException",
        "The operation cannot be performed at this time. An update is in progress for resource: arn:aws:lambda",
    ),
    "s3": ("OperationAborted", "A conflicting conditional operation is currently in progress against this resource."),
    "iam": ("ConcurrentModification", "The request was rejected because multiple requests to change this object"),
    "logs": ("OperationAbortedException", "Multiple concurrent requests to update the same resource were in conflict."),
    "events": ("ConcurrentModificationException", "There is concurrent modification on a rule, target, or archive."),
    "scheduler": ("ConflictException", "Updating or deleting the resource can cause an inconsistent state."),
    "sns": ("ConcurrentAccess", "Can't perform multiple operations on a tag simultaneously."),
    "cloudwatch": ("ConcurrentModificationException", "More than one process tried to modify a resource."),
}


class Crash(BaseException):
    """The process died: nothing after this point happens."""


@dataclass(frozen=True)
class Cell:
    """A fault at the ``number``-th call of ``operation`` (``lambda.CreateFunction``), counted from 1."""

    operation: str
    number: int
    fault: str

    def __str__(self) -> str:
        """In one word, as it is printed."""
        return f"{self.operation}#{self.number}:{self.fault}"


@dataclass
class Faults:
    """Records the calls of a session and injects the fault of ``cell``. One per session; ``arm`` starts over."""

    now: Callable[[], float]
    """The clock by which reads lag."""
    cell: Cell | None = None
    happened: bool = False
    """Whether the call of ``cell`` was made."""
    writes: list[str] = field(default_factory=list)
    """What was sent and changed something, in order."""
    _seen: Counter[str] = field(default_factory=Counter)
    _dead: bool = False
    _answers: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    _stale: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    _until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, cell: Cell | None) -> None:
        """Forget everything; inject the fault of ``cell``."""
        self.cell, self.happened, self._dead, self._until = cell, False, False, 0.0
        for kept in (self.writes, self._seen, self._answers, self._stale):
            kept.clear()

    def before_call(self, model: Any, params: dict[str, Any], context: dict[str, Any], **_: object) -> Any:
        """Called by botocore before a request is sent. Returns an answer instead of sending it, or raises."""
        service = str(model.service_model.service_name)
        name = f"{service}.{model.name}"
        if self._dead:
            raise Crash
        if model.name.startswith(READS):
            return self._before_read(name, params, context)
        with self._lock:
            self._seen[name] += 1
            cell = self.cell
            hit = cell is not None and (cell.operation, cell.number) == (name, self._seen[name])
        context["hit"] = hit
        if not hit or cell is None:
            self.writes.append(name)
            return None
        self.happened = True
        raised = self._before(cell.fault, service, str(model.name))
        if raised is not None:
            raise raised
        self.writes.append(name)
        return None

    def after_call(self, http_response: Any, parsed: Any, model: Any, context: dict[str, Any], **_: object) -> None:
        """Called by botocore with each answer."""
        if "read" in context:
            self._answers[context["read"]] = (http_response, copy.deepcopy(parsed))
        if not context.get("hit") or self.cell is None or http_response.status_code >= 300:
            return
        if self.cell.fault == "lost":
            raise ReadTimeoutError(endpoint_url="https://aws", error="timed out")
        if self.cell.fault == "500 after":
            raise error(str(model.name), "InternalError", "An internal error occurred.", 500)
        if self.cell.fault == "crash after":
            self._dead = True
            raise Crash
        if self.cell.fault == "lag":
            self._until, self._stale = self.now() + LAG, dict(self._answers)

    def _before_read(self, name: str, params: dict[str, Any], context: dict[str, Any]) -> Any:
        shown = {key: params.get(key) for key in ("url_path", "query_string", "body")}
        context["read"] = key = f"{name} {json.dumps(shown, sort_keys=True, default=str)}"
        if self.now() < self._until and key in self._stale:
            http, parsed = self._stale[key]
            return http, copy.deepcopy(parsed)
        return None

    def _before(self, fault: str, service: str, operation: str) -> BaseException | None:
        """The exception to raise instead of sending the request."""
        if fault == "denied":
            return error(operation, "AccessDenied", "User: ci is not authorized to perform this", 403)
        if fault == "throttled":
            return error(operation, _THROTTLED.get(service, "ThrottlingException"), "Rate exceeded", 400)
        if fault == "500 before":
            return error(operation, "InternalError", "An internal error occurred.", 500)
        if fault == "reset":
            return ConnectionClosedError(endpoint_url="https://aws")
        if fault == "conflict":
            code, message = _CONFLICTS[service]
            return _conflict(operation, code, message)
        if fault == "interrupt":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if fault == "crash before":
            self._dead = True
            return Crash()
        return None


def _conflict(operation: str, code: str, message: str) -> ClientError:
    return error(operation, code, message, 409)


TEMPORARY = ("throttled", "500 before", "500 after", "reset", "lost", "conflict")
"""Faults that the same command waits for: it must succeed."""
LASTING = ("denied", "lag", "interrupt", "crash before", "crash after")
"""Faults after which the same command, given again, must repair everything."""


def faults_of(operation: str) -> tuple[str, ...]:
    """The faults that a call of ``operation`` can meet. Secrets Manager knows no conflict between two writers."""
    service = operation.partition(".")[0]
    return tuple(fault for fault in (*TEMPORARY, *LASTING) if fault != "conflict" or service in _CONFLICTS)
