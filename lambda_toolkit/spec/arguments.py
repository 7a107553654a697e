"""What ``Lambda_script`` is given, from Python: made a FunctionSpec, or told all that is wrong with it.

What has the right type and is refused by AWS all the same is :mod:`lambda_toolkit.spec.quotas`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from lambda_toolkit.errors import LimitError, PackageError, ScheduleError, ToolkitError, TriggerError, raise_all
from lambda_toolkit.spec.argument_types import (
    Given,
    is_list,
    is_list_of,
    is_number,
    is_text,
    is_whole,
    type_problems,
)
from lambda_toolkit.spec.cron import to_eventbridge
from lambda_toolkit.spec.model import THIS_RUNTIME, Alarm, Canary, FunctionSpec, S3Trigger
from lambda_toolkit.spec.quotas import check_function
from lambda_toolkit.spec.requirements_file import read_requirements

_T = TypeVar("_T")


def function_spec(given: Given) -> FunctionSpec:
    """The function that the keywords of ``Lambda_script`` declare. Raises ToolkitError; PlanError of several.

    What AWS would refuse (:func:`check_function`) is among it.
    """
    problems = list(type_problems(given))
    has_types = not problems
    attempt = _Attempts(problems)
    schedule = attempt(lambda: _schedule(given["schedule"]))
    triggers = attempt(lambda: _triggers(given["s3_trigger"]))
    alarms = attempt(lambda: _alarms(given["alarms"]))
    canary = attempt(lambda: _canary(given["canary"]))
    requirements = attempt(lambda: _requirements(given["requirements"]))
    if not has_types:
        raise_all(problems)
    source = Path(given["lambda_function_path"])
    name = attempt(lambda: _name(given["function_name_template"] or source.absolute().stem, given["stage"]))
    spec = FunctionSpec(
        name=name or "unnamed",
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
        canary=canary if alarms is not None or given["alarms"] is None else None,  # what watches it cannot be read
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
            if is_number(canary.weight) and is_number(canary.minutes):
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
        texts = is_list_of(is_text)
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
    if not is_list(value):
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
        if not is_text(getattr(alarm, name)):
            yield f"{name} must be a text, not {getattr(alarm, name)!r}"
    if not is_number(alarm.threshold):
        yield f"threshold must be a number, not {alarm.threshold!r}"
    for name in ("period", "evaluation_periods"):
        if not is_whole(getattr(alarm, name)):
            yield f"{name} must be a whole number, not {getattr(alarm, name)!r}"
    if alarm.topic is not None and not is_text(alarm.topic):
        yield f"topic must be the name or the ARN of a topic, not {alarm.topic!r}"
    dimensions = alarm.dimensions
    if dimensions is not None and not (
        isinstance(dimensions, Mapping) and all(map(is_text, (*dimensions, *dimensions.values())))
    ):
        yield f"dimensions must be a mapping of texts, not {dimensions!r}"


def _requirements(value: Any) -> tuple[str, ...]:
    if isinstance(value, Path) or (isinstance(value, str) and value.endswith(".txt")):
        return read_requirements(Path(value))
    if not is_list_of(is_text)(value):
        example = value if isinstance(value, str) else "pg8000"
        raise PackageError(
            f'requirements must be a list, such as ["{example}"], or the path of a requirements.txt, not {value!r}.'
        )
    return tuple(value)
