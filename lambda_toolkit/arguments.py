"""What ``Lambda_script`` is given, from Python: checked for its types, all of it, and made a FunctionSpec.

What has the right type and is refused by AWS all the same is :mod:`lambda_toolkit.limits`' business.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from lambda_toolkit.errors import LimitError, PackageError, ScheduleError, ToolkitError, TriggerError
from lambda_toolkit.gathering import raise_all
from lambda_toolkit.limits import check_function
from lambda_toolkit.model import THIS_RUNTIME, Alarm, Canary, FunctionSpec, S3Trigger
from lambda_toolkit.requirements import read_requirements
from lambda_toolkit.schedule import to_eventbridge

_T = TypeVar("_T")
Given = Mapping[str, Any]


def function_spec(given: Given) -> FunctionSpec:
    """The function that the keywords of ``Lambda_script`` declare. Raises ToolkitError; PlanError of several.

    What AWS would refuse (:func:`check_function`) is among it.
    """
    raise_all(list(_type_problems(given)))
    problems: list[ToolkitError] = []
    attempt = _Attempts(problems)
    schedule = attempt(lambda: _schedule(given["schedule"]))
    triggers = attempt(lambda: _triggers(given["s3_trigger"]))
    alarms = attempt(lambda: _alarms(given["alarms"]))
    canary = attempt(lambda: _canary(given["canary"]))
    requirements = attempt(lambda: _requirements(given["requirements"]))
    source = Path(given["lambda_function_path"])
    spec = FunctionSpec(
        name=_name(given["function_name_template"] or source.absolute().stem, given["stage"]),
        source=source,
        handler=given["handler"],
        runtime=given["runtime"] or THIS_RUNTIME,
        architecture=given["architecture"],
        memory=given["memory"],
        timeout=given["timeout"],
        environment=_copy(given["environment"]),
        secret_environment=tuple(given["secret_environment"]),
        include=tuple(Path(path) for path in given["include"]),
        extra_files=_copy(given["extra_files"]) or {},
        requirements=requirements or (),
        requirements_exclude=tuple(given["requirements_exclude"]),
        platform=given["platform"],
        schedule=schedule,
        s3_triggers=triggers,
        alarms=alarms,
        permissions=None if given["permissions"] is None else tuple(given["permissions"]),
        log_retention_days=given["log_retention_days"],
        tags=_copy(given["tags"]) or {},
        description=given["description"],
        zip_path=Path(given["zip_file_name"]),
        artifact_bucket=given["artifact_bucket"],
        health_event=given["health_event"],
        canary=canary,
        adopt=given["adopt"],
    )
    attempt(lambda: check_function(spec))
    raise_all(problems)
    return spec


class _Attempts:
    """Goes on after what cannot be read, so that everything that is wrong is told at once."""

    def __init__(self, problems: list[ToolkitError]) -> None:
        self._problems = problems

    def __call__(self, read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except ToolkitError as error:
            self._problems.append(error)
            return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_path(value: Any) -> bool:
    return isinstance(value, str | PathLike)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: _is_list(value) and all(map(check, value))


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


_OPTIONAL_TEXTS = (
    "function_name_template",
    "application",
    "handler",
    "platform",
    "region",
    "description",
    "artifact_bucket",
)
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "lambda_function_path": (_is_path, "the path of a file or a folder"),
    "zip_file_name": (_is_path, "the path of a file, such as build/report.zip"),
    **dict.fromkeys(_OPTIONAL_TEXTS, (lambda value: value is None or _is_text(value), "a text")),
    "stage": (_is_text, "a text, such as dev"),
    "runtime": (lambda value: value is None or _is_text(value), "a text, such as python3.12"),
    "architecture": (_is_text, "x86_64 or arm64"),
    "memory": (_is_whole, "a whole number of MB, such as 256"),
    "timeout": (_is_whole, "a whole number of seconds, such as 60"),
    "log_retention_days": (lambda value: value is None or _is_whole(value), "a whole number of days, such as 30"),
    "environment": (lambda value: value is None or isinstance(value, Mapping), 'a mapping, such as {"MODE": "fast"}'),
    "secret_environment": (_is_list_of(_is_text), 'a list of names, such as ["TOKEN"]'),
    "include": (_is_list_of(_is_path), 'a list of paths, such as ["lib"]'),
    "extra_files": (
        lambda value: value is None or isinstance(value, Mapping),
        'a mapping of names in the package to bytes or Paths, such as {"names.json": Path("names.json")}',
    ),
    "requirements_exclude": (_is_list_of(_is_text), 'a list of globs, such as ["numpy/f2py/**"]'),
    "permissions": (
        lambda value: value is None or _is_list_of(lambda item: isinstance(item, Mapping))(value),
        'a list of IAM statements, such as [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:..."}]',
    ),
    "tags": (lambda value: value is None or isinstance(value, Mapping), 'a mapping, such as {"team": "shop"}'),
    "health_event": (lambda value: value is None or isinstance(value, Mapping), 'a mapping, such as {"ping": 1}'),
    "adopt": (lambda value: isinstance(value, bool), "True or False"),
}


def _type_problems(given: Given) -> Iterator[ToolkitError]:
    """What has the wrong type, keyword by keyword. The values of an environment are not shown."""
    wrong: set[str] = set()
    for name, (is_right, wanted) in _CHECKS.items():
        if not is_right(given[name]):
            wrong.add(name)
            kind = PackageError if name == "lambda_function_path" else LimitError
            yield kind(f"{name} must be {wanted}, not {_shown(name, given[name])}.")
    for name in ("environment", "tags"):
        if name not in wrong:
            yield from _text_problems(name, given[name] or {})
    if "extra_files" not in wrong:
        for name, content in (given["extra_files"] or {}).items():
            if not isinstance(name, str) or not isinstance(content, bytes | Path):
                yield PackageError(
                    f"extra_files[{name!r}] must be bytes or the Path of a file, under a name that is a text; it is "
                    f"{type(content).__name__}. A text becomes bytes by .encode()."
                )
    if "permissions" not in wrong:
        for number, statement in enumerate(given["permissions"] or (), start=1):
            yield from _statement_problems(number, statement)


def _text_problems(name: str, mapping: Mapping[Any, Any]) -> Iterator[ToolkitError]:
    for key, value in mapping.items():
        if not isinstance(key, str) or not isinstance(value, str):
            odd = type(key).__name__ if not isinstance(key, str) else type(value).__name__
            yield LimitError(f"{name}[{key!r}] must be a text under a name that is a text, and not {odd}.")


def _statement_problems(number: int, statement: Mapping[str, Any]) -> Iterator[ToolkitError]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html"""
    where = f"permissions: statement {number}"
    try:
        json.dumps(statement)
    except (TypeError, ValueError) as error:
        yield LimitError(f"{where} cannot be written as JSON: {error}. Use texts, lists and mappings.")
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield LimitError(f"{where} needs `Effect`, which is Allow or Deny.")
    for name in ("Action", "Resource"):
        if not statement.get(name) and not statement.get(f"Not{name}"):
            yield LimitError(f"{where} needs `{name}`, a text or a list of texts.")


def _shown(name: str, value: Any) -> str:
    """``value`` for the message, unless it may be nobody's business; what is long is named by its type."""
    text = repr(value)
    return type(value).__name__ if name == "environment" or len(text) > 60 else text


def _copy(mapping: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if mapping is None else dict(mapping)


def _name(template: str, stage: str) -> str:
    try:
        return template.format(stage=stage)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise LimitError(f"function_name_template `{template}` may hold {{stage}} and no other braces.") from error


def _schedule(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ScheduleError(f"schedule must be a text such as `0 0 * * *` or `rate(5 minutes)`, not {value!r}.")
    return to_eventbridge(value) if value else value


def _canary(value: Any) -> Canary | None:
    if value is None:
        return None
    if isinstance(value, Canary | Mapping):
        try:
            canary = Canary.of(value)
        except TypeError:
            pass
        else:
            if _is_number(canary.weight) and _is_number(canary.minutes):
                return canary
    raise LimitError(f'canary takes `weight` and `minutes`, such as {{"weight": 0.1, "minutes": 10}}; not {value!r}.')


def _triggers(value: Any) -> tuple[S3Trigger, ...] | None:
    if value is None:
        return None
    items = (value,) if isinstance(value, S3Trigger | Mapping) else value
    try:
        if isinstance(items, str):
            raise TypeError
        triggers = tuple(S3Trigger.of(item) for item in items)
    except (TypeError, AttributeError) as error:
        raise TriggerError(_odd_trigger(value)) from error
    for trigger in triggers:
        texts = _is_list_of(_is_text)
        if not texts((trigger.bucket, trigger.prefix, trigger.suffix)) or not texts(trigger.events):
            raise TriggerError(_odd_trigger(trigger))
    return triggers


def _odd_trigger(value: Any) -> str:
    return (
        f"s3_trigger takes `bucket`, and may take `prefix`, `suffix` and `events`, all of them texts: "
        f'{{"bucket": "my-lake", "prefix": "in/"}}. {value!r} is not that.'
    )


def _alarms(value: Any) -> tuple[Alarm, ...] | None:
    if value is None:
        return None
    if not _is_list(value):
        raise LimitError(f'alarms must be a list, such as [Alarm(name="errors", metric="Errors")], not {value!r}.')
    return tuple(_alarm(item) for item in value)


def _alarm(value: Any) -> Alarm:
    known = [field.name for field in fields(Alarm)]
    if isinstance(value, Mapping):
        odd = sorted(str(name) for name in value if name not in known)
        lacking = [name for name in ("name", "metric") if name not in value]
        if odd or lacking:
            said = f"no {' and no '.join(lacking)}" if lacking else f"`{', '.join(odd)}`, which no alarm has"
            raise LimitError(f"alarms: {dict(value)!r} has {said}. An alarm has {', '.join(known)}.")
        value = Alarm(**value)
    if not isinstance(value, Alarm):
        raise LimitError(f"alarms: {value!r} is no Alarm, nor a mapping of what one has: {', '.join(known)}.")
    problem = next(_alarm_problems(value), None)
    if problem:
        raise LimitError(f"alarm `{value.name}`: {problem}.")
    return value


def _alarm_problems(alarm: Alarm) -> Iterator[str]:
    texts = ("name", "metric", "namespace", "statistic", "comparison", "missing_data", "description")
    for name in texts:
        if not _is_text(getattr(alarm, name)):
            yield f"{name} must be a text, not {getattr(alarm, name)!r}"
    if not _is_number(alarm.threshold):
        yield f"threshold must be a number, not {alarm.threshold!r}"
    for name in ("period", "evaluation_periods"):
        if not _is_whole(getattr(alarm, name)):
            yield f"{name} must be a whole number, not {getattr(alarm, name)!r}"
    if alarm.topic is not None and not _is_text(alarm.topic):
        yield f"topic must be the name or the ARN of a topic, not {alarm.topic!r}"
    dimensions = alarm.dimensions
    if dimensions is not None and not (
        isinstance(dimensions, Mapping) and all(map(_is_text, (*dimensions, *dimensions.values())))
    ):
        yield f"dimensions must be a mapping of texts, not {dimensions!r}"


def _requirements(value: Any) -> tuple[str, ...]:
    if isinstance(value, Path) or (isinstance(value, str) and value.endswith(".txt")):
        return read_requirements(Path(value))
    if not _is_list_of(_is_text)(value):
        example = value if isinstance(value, str) else "pg8000"
        raise PackageError(
            f'requirements must be a list, such as ["{example}"], or the path of a requirements.txt, not {value!r}.'
        )
    return tuple(value)
