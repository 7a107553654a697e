"""The parameters of ``Lambda_script`` as a dataclass, each with the check of its type beside it. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any

from lambda_toolkit.errors import LimitError, PackageError, ToolkitError, raise_all
from lambda_toolkit.spec import function_url, network
from lambda_toolkit.spec.function_url import Url
from lambda_toolkit.spec.model import UNRESERVED, Alarm, Canary
from lambda_toolkit.spec.network import Vpc
from lambda_toolkit.spec.schedules.schedule import Schedules
from lambda_toolkit.spec.triggers import event, queue, s3, stream, topic
from lambda_toolkit.spec.triggers.event import EventTriggers
from lambda_toolkit.spec.triggers.queue import QueueTriggers
from lambda_toolkit.spec.triggers.s3 import S3Triggers
from lambda_toolkit.spec.triggers.stream import StreamTriggers
from lambda_toolkit.spec.triggers.topic import TopicTriggers

_CHECK, _READER = "check", "reader"  # the keys of a field's metadata
_LONGEST_SHOWN = 60  # characters of a value in a message
Test = Callable[[Any], bool]


def is_string(value: Any) -> bool:
    """Whether ``value`` is a string."""
    return isinstance(value, str)


def is_path(value: Any) -> bool:
    """Whether ``value`` is a path: a string or a path-like object."""
    return isinstance(value, str | PathLike)


def is_integer(value: Any) -> bool:
    """Whether ``value`` is an integer. Booleans do not count."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether ``value`` is an integer or a float. Booleans do not count."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_list(value: Any) -> bool:
    """Whether ``value`` is a list, a tuple or another sequence. Strings and bytes do not count."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def is_mapping(value: Any) -> bool:
    """Whether ``value`` is a mapping."""
    return isinstance(value, Mapping)


def is_list_of(test: Test) -> Test:
    """A test for lists whose items all pass ``test``."""
    return lambda value: is_list(value) and all(map(test, value))


def optional(test: Test) -> Test:
    """A test for ``None`` and for what passes ``test``."""
    return lambda value: value is None or test(value)


@dataclass(frozen=True)
class _Check:
    """The type that an argument must have."""

    test: Test
    expected: str
    """The type in words, as in "memory must be ..."."""
    error: type[ToolkitError] = LimitError
    is_secret: bool = False
    """Whether the value may contain secrets, so that messages show only its type."""


def _must_be(
    expected: str, test: Test, *, error: type[ToolkitError] = LimitError, is_secret: bool = False
) -> dict[str, _Check]:
    """The metadata of a field that takes what passes ``test``."""
    return {_CHECK: _Check(test, expected, error, is_secret)}


@dataclass(frozen=True)
class Reader:
    """How an argument that takes several forms becomes a field of ``FunctionSpec``."""

    field: str
    """The field's name."""
    read: Callable[[Any], Any]
    """The field's value for that of the argument. Raises ToolkitError."""


def _read_by(field: str, read: Callable[[Any], Any]) -> dict[str, Reader]:
    """The metadata of a field that ``read`` turns into ``field`` of the declaration."""
    return {_READER: Reader(field, read)}


def readers() -> Iterator[tuple[str, Reader]]:
    """The arguments that have one, by their names."""
    return ((each.name, each.metadata[_READER]) for each in fields(Arguments) if _READER in each.metadata)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The arguments of one call of ``Lambda_script``, as given: their meaning is documented there.

    The declared types are those of a correct call. Python does not enforce them; :func:`type_problems` does.
    What takes several forms is checked where it is read: the triggers, ``url`` and ``vpc`` beside their dataclasses,
    ``schedule``, ``alarms``, ``canary`` and ``requirements`` in :mod:`lambda_toolkit.spec.declaration.arguments`.
    """

    lambda_function_path: str | Path = field(
        metadata=_must_be("the path of a file or a folder", is_path, error=PackageError)
    )
    zip_file_name: str | Path = field(metadata=_must_be("the path of a file, such as build/report.zip", is_path))
    function_name_template: str | None = field(metadata=_must_be("a string", optional(is_string)))
    schedule: Schedules | None
    timezone: str | None = field(
        metadata=_must_be("the name of a time zone, such as Europe/London", optional(is_string))
    )
    schedule_role: str | None = field(
        metadata=_must_be("the ARN of a role, such as arn:aws:iam::123456789012:role/scheduler", optional(is_string))
    )
    application: str | None = field(metadata=_must_be("a string", optional(is_string)))
    stage: str = field(metadata=_must_be("a string, such as dev", is_string))
    handler: str | None = field(metadata=_must_be("a string", optional(is_string)))
    runtime: str | None = field(metadata=_must_be("a string, such as python3.12", optional(is_string)))
    architecture: str = field(metadata=_must_be("x86_64 or arm64", is_string))
    memory: int = field(metadata=_must_be("an integer number of MB, such as 256", is_integer))
    timeout: int = field(metadata=_must_be("an integer number of seconds, such as 60", is_integer))
    environment: Mapping[str, str] | None = field(
        metadata=_must_be('a mapping, such as {"MODE": "fast"}', optional(is_mapping), is_secret=True)
    )
    secret_environment: Sequence[str] = field(
        metadata=_must_be('a list of names, such as ["TOKEN"]', is_list_of(is_string))
    )
    include: Sequence[str | Path] = field(metadata=_must_be('a list of paths, such as ["lib"]', is_list_of(is_path)))
    extra_files: Mapping[str, bytes | Path] | None = field(
        metadata=_must_be(
            'a mapping of names in the package to bytes or Paths, such as {"names.json": Path("names.json")}',
            optional(is_mapping),
        )
    )
    requirements: Sequence[str] | str | Path
    requirements_exclude: Sequence[str] = field(
        metadata=_must_be('a list of globs, such as ["numpy/f2py/**"]', is_list_of(is_string))
    )
    layers: Sequence[str] = field(
        metadata=_must_be(
            'a list of ARNs of layer versions, such as ["arn:aws:lambda:eu-west-2:123456789012:layer:tools:3"]',
            is_list_of(is_string),
        )
    )
    platform: str | None = field(metadata=_must_be("a string", optional(is_string)))
    provided_modules: Sequence[str] = field(
        metadata=_must_be('a list of modules, such as ["torch"]', is_list_of(is_string))
    )
    s3_trigger: S3Triggers | None = field(metadata=_read_by("s3_triggers", s3.read))
    topic_trigger: TopicTriggers | None = field(metadata=_read_by("topic_triggers", topic.read))
    queue_trigger: QueueTriggers | None = field(metadata=_read_by("queue_triggers", queue.read))
    stream_trigger: StreamTriggers | None = field(metadata=_read_by("stream_triggers", stream.read))
    event_trigger: EventTriggers | None = field(metadata=_read_by("event_triggers", event.read))
    url: Url | None = field(metadata=_read_by("url", function_url.read))
    alarms: Sequence[Alarm | Mapping[str, Any]] | None
    permissions: Sequence[Mapping[str, Any]] | None = field(
        metadata=_must_be(
            'a list of IAM statements, such as [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:..."}]',
            optional(is_list_of(is_mapping)),
        )
    )
    on_failure: str | None = field(
        metadata=_must_be("the ARN of a queue, topic, bucket, event bus or function", optional(is_string))
    )
    retries: int | None = field(metadata=_must_be("an integer from 0 to 2", optional(is_integer)))
    max_event_age: int | None = field(metadata=_must_be("an integer number of seconds", optional(is_integer)))
    concurrency: int | str | None = field(
        metadata=_must_be('an integer, or "unreserved"', lambda value: value in (None, UNRESERVED) or is_integer(value))
    )
    provisioned_concurrency: int | None = field(metadata=_must_be("an integer", optional(is_integer)))
    recursive_loop: str | None = field(metadata=_must_be('"Allow" or "Terminate"', optional(is_string)))
    role: str | None = field(
        metadata=_must_be("the ARN of a role, such as arn:aws:iam::123456789012:role/report", optional(is_string))
    )
    permissions_boundary: str | None = field(
        metadata=_must_be(
            "the ARN of a managed policy, such as arn:aws:iam::123456789012:policy/limits", optional(is_string)
        )
    )
    vpc: Vpc | Mapping[str, Any] | None = field(metadata=_read_by("vpc", network.read))
    log_retention_days: int | None = field(
        metadata=_must_be("an integer number of days, such as 30", optional(is_integer))
    )
    ephemeral_storage: int | None = field(
        metadata=_must_be("an integer number of MB, such as 1024", optional(is_integer))
    )
    tracing: str | None = field(metadata=_must_be("Active or PassThrough", optional(is_string)))
    kms_key: str | None = field(metadata=_must_be("the ARN of a KMS key", optional(is_string)))
    snapstart: bool | None = field(metadata=_must_be("True or False", optional(lambda value: isinstance(value, bool))))
    log_format: str | None = field(metadata=_must_be("Text or JSON", optional(is_string)))
    log_level: str | None = field(metadata=_must_be("a level, such as WARN", optional(is_string)))
    system_log_level: str | None = field(metadata=_must_be("a level, such as WARN", optional(is_string)))
    log_group: str | None = field(metadata=_must_be("the name of a log group", optional(is_string)))
    tags: Mapping[str, str] | None = field(
        metadata=_must_be('a mapping, such as {"team": "shop"}', optional(is_mapping))
    )
    region: str | None = field(metadata=_must_be("a string", optional(is_string)))
    description: str | None = field(metadata=_must_be("a string", optional(is_string)))
    artifact_bucket: str | None = field(metadata=_must_be("a string", optional(is_string)))
    health_event: Mapping[str, Any] | None = field(
        metadata=_must_be('a mapping, such as {"ping": 1}', optional(is_mapping))
    )
    canary: Canary | Mapping[str, Any] | None
    adopt: bool = field(metadata=_must_be("True or False", lambda value: isinstance(value, bool)))


def check_names(given: Iterable[str], others: Iterable[str]) -> None:
    """Raise LimitError for names that are neither those of :class:`Arguments` nor ``others``; PlanError for several."""
    from difflib import get_close_matches

    known = {*(parameter.name for parameter in fields(Arguments)), *others}
    problems: list[ToolkitError] = []
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f" Did you mean `{near[0]}`?" if near else ""
            problems.append(LimitError(f"Lambda_script has no argument `{name}`.{meant}"))
    raise_all(problems)


def type_problems(arguments: Arguments) -> Iterator[ToolkitError]:
    """One error for each argument, or item of an argument, that has the wrong type. Secret values are not shown."""
    wrong: set[str] = set()
    for parameter in fields(arguments):
        check: _Check | None = parameter.metadata.get(_CHECK)
        value = getattr(arguments, parameter.name)
        if check is not None and not check.test(value):
            wrong.add(parameter.name)
            yield check.error(f"{parameter.name} must be {check.expected}, not {_shown(value, check.is_secret)}.")
    for name, mapping in (("environment", arguments.environment), ("tags", arguments.tags)):
        if name not in wrong:
            yield from _string_problems(name, mapping or {})
    if "extra_files" not in wrong:
        yield from _file_problems(arguments.extra_files or {})
    if "permissions" not in wrong:
        for number, statement in enumerate(arguments.permissions or (), start=1):
            yield from _statement_problems(number, statement)


def _string_problems(name: str, mapping: Mapping[Any, Any]) -> Iterator[ToolkitError]:
    for key, value in mapping.items():
        if not isinstance(key, str) or not isinstance(value, str):
            found = type(key).__name__ if not isinstance(key, str) else type(value).__name__
            yield LimitError(f"{name}[{key!r}] must map a string to a string, not {found}.")


def _file_problems(files: Mapping[Any, Any]) -> Iterator[ToolkitError]:
    for name, content in files.items():
        if not isinstance(name, str) or not isinstance(content, bytes | Path):
            yield PackageError(
                f"extra_files[{name!r}] must map a string to bytes or to the Path of a file; it is "
                f"{type(content).__name__}. A string becomes bytes by .encode()."
            )


def _statement_problems(number: int, statement: Mapping[str, Any]) -> Iterator[ToolkitError]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html."""
    where = f"permissions: statement {number}"
    try:
        json.dumps(statement)
    except (TypeError, ValueError) as error:
        yield LimitError(f"{where} cannot be written as JSON: {error}. Use strings, lists and mappings.")
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield LimitError(f"{where} needs `Effect`, which is Allow or Deny.")
    for name in ("Action", "Resource"):
        if not statement.get(name) and not statement.get(f"Not{name}"):
            yield LimitError(f"{where} needs `{name}`, a string or a list of strings.")


def _shown(value: Any, is_secret: bool) -> str:
    """``value`` for a message; its type where it may contain secrets or is long."""
    text = repr(value)
    return type(value).__name__ if is_secret or len(text) > _LONGEST_SHOWN else text
