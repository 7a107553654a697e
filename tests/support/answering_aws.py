"""AWS with an answer, or an error, of each operation, in place of an emulator; notes what it is asked."""

from __future__ import annotations

from typing import Any

from lambda_toolkit.aws.account import Place

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
