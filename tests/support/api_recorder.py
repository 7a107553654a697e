"""A record of the AWS API calls that a session makes, with errors on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from botocore.exceptions import ClientError


@dataclass
class ApiRecorder:
    """What goes to AWS: ``calls`` by name, in order; ``refuse`` makes some of them fail."""

    calls: list[str] = field(default_factory=list)
    _faults: list[tuple[str, Callable[[], ClientError | None]]] = field(default_factory=list)

    @property
    def writes(self) -> list[str]:
        return [name for name in self.calls if not name.startswith(("Get", "List", "Describe", "Head"))]

    def refuse(
        self, operation: str, code: str, message: str = "", *, times: int = 1_000_000, status: int = 400
    ) -> None:
        """The next ``times`` calls of ``operation`` fail with AWS's ``code``."""
        left = [times]

        def fault() -> ClientError | None:
            if left[0] <= 0:
                return None
            left[0] -= 1
            return error(operation, code, message, status)

        self._faults.append((operation, fault))

    def refuse_until(self, ready: Callable[[], bool], operation: str, code: str, message: str) -> None:
        """Calls of ``operation`` fail with AWS's ``code`` until ``ready``."""
        self._faults.append((operation, lambda: None if ready() else error(operation, code, message, 400)))

    def clear(self) -> None:
        self.calls.clear()

    def before_call(self, model: object, **_: object) -> None:
        name = model.name  # type: ignore[attr-defined]
        self.calls.append(name)
        for operation, fault in self._faults:
            found = fault() if operation in (name, "*") else None
            if found is not None:
                raise found


def error(operation: str, code: str, message: str, status: int) -> ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)
