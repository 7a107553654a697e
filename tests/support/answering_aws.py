"""AWS with an answer, or an error, of each operation, in place of an emulator; notes what it is asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from lambda_toolkit.aws.account import Place
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning.attachment import Context
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.resources.registry import ATTACHMENTS
from lambda_toolkit.spec.model import FunctionSpec

_READS = ("describe", "get", "list")


class AnsweringAws(Place):
    """``answers``: by operation, a value, an exception, or a function of the call's parameters; None without one.

    It is the client and a plan's reads in one; no read is kept.
    """

    account_id = "123456789012"
    answers: dict[str, Any]
    asked: list[tuple[str, str, dict[str, Any]]]
    """The service, the operation and the parameters of each call."""
    repeated: dict[str, tuple[str, ...]]
    """By operation, the codes for which the client shall make the call again."""
    made: dict[str, tuple[str, ...]]
    """By operation, the codes by which AWS says that an earlier attempt of the call made the resource."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(self.account_id, "eu-west-2")
        object.__setattr__(self, "answers", answers)
        for name, empty in (("asked", []), ("repeated", {}), ("made", {})):
            object.__setattr__(self, name, empty)

    @property
    def aws(self) -> Any:
        return self

    @property
    def operations(self) -> list[tuple[str, dict[str, Any]]]:
        return [(operation, given) for _, operation, given in self.asked]

    @property
    def writes(self) -> list[tuple[str, dict[str, Any]]]:
        return [each for each in self.operations if not each[0].startswith(_READS)]

    def once(self, key: object, read: Any) -> Any:
        return read()

    def call(self, service: str, operation: str, **given: Any) -> Any:
        for name, codes in (("also_retry", self.repeated), ("exists", self.made)):  # of the client, not of AWS
            if name in given:
                codes[operation] = given.pop(name)
        self.asked.append((service, operation, given))
        answer = self.answers.get(operation)
        if isinstance(answer, Exception):
            raise answer
        return answer(**given) if callable(answer) else answer

    find = create = call

    def list_all(self, service: str, operation: str, key: str, **given: Any) -> Any:
        found = self.call(service, operation, **given)
        return [] if found is None else found

    list_existing = list_all


class AnsweringAccount(AnsweringAws):
    """Also what the client shows of the account. What is waited for must come at the third look."""

    clock = SimpleNamespace(wall=lambda: 0.0)
    waits: list[float]
    """How many times as long as for other calls each wait may last."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(**answers)
        object.__setattr__(self, "waits", [])
        object.__setattr__(self, "account", SimpleNamespace(take_functions=self._functions))

    def _functions(self) -> Any:
        return self.call("lambda", "list_functions") or {}

    def arn(self, service: str, resource: str) -> str:
        return Place(self.account_id, self.region).arn(service, resource)

    def wait_until(self, read: Any, what: str, *, factor: float = 1.0) -> Any:
        self.waits.append(factor)
        for _look in range(3):
            if (found := read()) is not None:
                return found
        raise AwsError(f"{what}: not true")


def planning(aws: Any, spec: FunctionSpec, *others: FunctionSpec) -> Context:
    """What an attachment of ``spec`` is planned with, beside ``others``: the reads are a plan's own."""
    return Context(Reads(aws, [spec, *others], application=spec.tags.get("application", "")), spec, ATTACHMENTS)
