"""From the arguments of ``Lambda_script`` to a FunctionSpec, or to the list of all errors in them.

Types are checked here; what AWS rejects although its type is right, in :mod:`lambda_toolkit.spec.limits.quotas`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lambda_toolkit.errors import LimitError, PackageError, ToolkitError, raise_all
from lambda_toolkit.spec.declaration.argument_types import (
    Arguments,
    is_integer,
    is_list,
    is_list_of,
    is_number,
    is_string,
    readers,
    type_problems,
)
from lambda_toolkit.spec.declaration.requirements_file import read_requirements
from lambda_toolkit.spec.limits.quotas import check_function
from lambda_toolkit.spec.model import THIS_RUNTIME, Alarm, Canary, FunctionSpec
from lambda_toolkit.spec.schedules import schedule

_T = TypeVar("_T")


def function_spec(arguments: Arguments) -> FunctionSpec:
    """The function that ``arguments`` declare. Raises ToolkitError; PlanError where there are several errors.

    Reports what AWS would reject (:func:`check_function`) together with wrong types. Reads the requirements file.
    """
    problems = list(type_problems(arguments))
    has_types = not problems
    attempt = _Attempts(problems)
    rule, schedules = attempt(lambda: schedule.read(arguments.schedule, arguments.timezone)) or (None, None)
    formed = {each.field: attempt(partial(each.read, getattr(arguments, name))) for name, each in readers()}
    alarms = attempt(lambda: _alarms(arguments.alarms))
    canary = attempt(lambda: _canary(arguments.canary))
    requirements = attempt(lambda: _requirements(arguments.requirements))
    if not has_types:
        raise_all(problems)
    source = Path(arguments.lambda_function_path)
    name = attempt(lambda: _name(arguments.function_name_template or source.absolute().stem, arguments.stage))
    read = {
        "name": name or "unnamed",
        "source": source,
        "runtime": arguments.runtime or THIS_RUNTIME,
        "environment": _copy(arguments.environment),
        "secret_environment": tuple(arguments.secret_environment),
        "include": tuple(Path(path) for path in arguments.include),
        "extra_files": _copy(arguments.extra_files) or {},
        "requirements": requirements or (),
        "requirements_exclude": tuple(arguments.requirements_exclude),
        "provided_modules": tuple(arguments.provided_modules),
        "layers": tuple(arguments.layers),
        "schedule": rule,
        "schedules": schedules,
        "alarms": alarms,
        "permissions": None if arguments.permissions is None else tuple(arguments.permissions),
        "tags": _copy(arguments.tags) or {},
        "zip_path": Path(arguments.zip_file_name),
        "canary": canary if alarms is not None or arguments.alarms is None else None,  # without alarms, it fails
    }
    spec = FunctionSpec(**{**_as_given(arguments), **formed, **read})
    attempt(lambda: check_function(spec))
    raise_all(problems)
    return spec


class _Attempts:
    """Collects errors, so that all errors in a declaration are reported together."""

    def __init__(self, problems: list[ToolkitError]) -> None:
        self._problems = problems

    def __call__(self, read: Callable[[], _T]) -> _T | None:
        """The result of ``read``; ``None`` where it raised a ToolkitError, which is kept."""
        try:
            return read()
        except ToolkitError as error:
            self._problems.append(error)
            return None


def _as_given(arguments: Arguments) -> dict[str, Any]:
    """The fields of a FunctionSpec that are arguments of the same name, which most settings are."""
    given = {field.name for field in fields(Arguments)}
    return {field.name: getattr(arguments, field.name) for field in fields(FunctionSpec) if field.name in given}


def _copy(mapping: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if mapping is None else dict(mapping)


def _name(template: str, stage: str) -> str:
    try:
        return template.format(stage=stage)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise LimitError(f"function_name_template `{template}` may hold {{stage}} and no other braces.") from error


def _canary(value: Any) -> Canary | None:
    if value is None:
        return None
    if isinstance(value, Canary | Mapping):
        try:
            canary = Canary.of(value)
        except TypeError:
            pass
        else:
            if is_number(canary.weight) and is_number(canary.minutes):
                return canary
    raise LimitError(f'canary takes `weight` and `minutes`, such as {{"weight": 0.1, "minutes": 10}}; not {value!r}.')


def _alarms(value: Any) -> tuple[Alarm, ...] | None:
    if value is None:
        return None
    if not is_list(value):
        raise LimitError(f'alarms must be a list, such as [Alarm(name="errors", metric="Errors")], not {value!r}.')
    return tuple(_alarm(item) for item in value)


def _alarm(value: Any) -> Alarm:
    known = [field.name for field in fields(Alarm)]
    if isinstance(value, Mapping):
        unknown = sorted(str(name) for name in value if name not in known)
        missing = [name for name in ("name", "metric") if name not in value]
        if unknown or missing:
            problem = f"no {' and no '.join(missing)}" if missing else f"the unknown key `{', '.join(unknown)}`"
            raise LimitError(f"alarms: {dict(value)!r} has {problem}. An alarm has {', '.join(known)}.")
        value = Alarm(**value)
    if not isinstance(value, Alarm):
        raise LimitError(f"alarms: {value!r} must be an Alarm or a mapping with its fields: {', '.join(known)}.")
    wrong = next(_alarm_problems(value), None)
    if wrong:
        raise LimitError(f"alarm `{value.name}`: {wrong}.")
    return value


def _alarm_problems(alarm: Alarm) -> Iterator[str]:
    strings = ("name", "metric", "namespace", "statistic", "comparison", "missing_data", "description", "expression")
    for name in (*strings, "alias"):
        if not is_string(getattr(alarm, name)):
            yield f"{name} must be a string, not {getattr(alarm, name)!r}"
    if not is_number(alarm.threshold):
        yield f"threshold must be a number, not {alarm.threshold!r}"
    for name in ("period", "evaluation_periods"):
        if not is_integer(getattr(alarm, name)):
            yield f"{name} must be an integer, not {getattr(alarm, name)!r}"
    if alarm.datapoints_to_alarm is not None and not is_integer(alarm.datapoints_to_alarm):
        yield f"datapoints_to_alarm must be an integer, not {alarm.datapoints_to_alarm!r}"
    if alarm.topic is not None and not is_string(alarm.topic):
        yield f"topic must be the name or the ARN of a topic, not {alarm.topic!r}"
    if alarm.notify_on_ok is not None and not isinstance(alarm.notify_on_ok, bool):
        yield f"notify_on_ok must be True, False or None, not {alarm.notify_on_ok!r}"
    dimensions = alarm.dimensions
    if dimensions is not None and not (
        isinstance(dimensions, Mapping) and all(map(is_string, (*dimensions, *dimensions.values())))
    ):
        yield f"dimensions must be a mapping of strings, not {dimensions!r}"
    if dimensions is not None and alarm.alias:
        yield "give dimensions or an alias, not both"


def _requirements(value: Any) -> tuple[str, ...]:
    if isinstance(value, Path) or (isinstance(value, str) and value.endswith(".txt")):
        return read_requirements(Path(value))
    if not is_list_of(is_string)(value):
        example = value if isinstance(value, str) else "pg8000"
        raise PackageError(
            f'requirements must be a list, such as ["{example}"], or the path of a requirements.txt, not {value!r}.'
        )
    return tuple(value)
