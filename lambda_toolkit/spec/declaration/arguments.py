"""From the arguments of ``Lambda_script`` to a FunctionSpec, or to the list of all errors in them.

Types are checked here; what AWS rejects although its type is right, in :mod:`lambda_toolkit.spec.limits.quotas`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from lambda_toolkit.errors import LimitError, PackageError, ToolkitError, TriggerError, raise_all
from lambda_toolkit.spec.declaration.argument_types import (
    Arguments,
    is_integer,
    is_list,
    is_list_of,
    is_number,
    is_string,
    type_problems,
)
from lambda_toolkit.spec.declaration.requirements_file import read_requirements
from lambda_toolkit.spec.declaration.trigger_arguments import (
    event_triggers,
    function_url,
    queue_triggers,
    stream_triggers,
)
from lambda_toolkit.spec.limits.quotas import check_function
from lambda_toolkit.spec.model import THIS_RUNTIME, Alarm, Canary, FunctionSpec
from lambda_toolkit.spec.network import Vpc
from lambda_toolkit.spec.schedules import schedule
from lambda_toolkit.spec.triggers import S3Trigger, TopicTrigger

_T = TypeVar("_T")


def function_spec(arguments: Arguments) -> FunctionSpec:
    """The function that ``arguments`` declare. Raises ToolkitError; PlanError where there are several errors.

    Reports what AWS would reject (:func:`check_function`) together with wrong types. Reads the requirements file.
    """
    problems = list(type_problems(arguments))
    has_types = not problems
    attempt = _Attempts(problems)
    rule, schedules = attempt(lambda: schedule.read(arguments.schedule, arguments.timezone)) or (None, None)
    triggers = attempt(lambda: _triggers(arguments.s3_trigger))
    topics = attempt(lambda: _topics(arguments.topic_trigger))
    queues = attempt(lambda: queue_triggers(arguments.queue_trigger))
    streams = attempt(lambda: stream_triggers(arguments.stream_trigger))
    events = attempt(lambda: event_triggers(arguments.event_trigger))
    url = attempt(lambda: function_url(arguments.url))
    alarms = attempt(lambda: _alarms(arguments.alarms))
    canary = attempt(lambda: _canary(arguments.canary))
    vpc = attempt(lambda: _vpc(arguments.vpc))
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
        "s3_triggers": triggers,
        "topic_triggers": topics,
        "queue_triggers": queues,
        "stream_triggers": streams,
        "event_triggers": events,
        "url": url,
        "alarms": alarms,
        "permissions": None if arguments.permissions is None else tuple(arguments.permissions),
        "vpc": vpc,
        "tags": _copy(arguments.tags) or {},
        "zip_path": Path(arguments.zip_file_name),
        "canary": canary if alarms is not None or arguments.alarms is None else None,  # without alarms, it fails
    }
    spec = FunctionSpec(**{**_as_given(arguments), **read})
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


def _vpc(value: Any) -> Vpc | None:
    if value is None:
        return None
    if isinstance(value, Vpc | Mapping):
        try:
            vpc = Vpc.of(value)
        except TypeError:
            pass
        else:
            are_ids = is_list_of(is_string)
            if are_ids(vpc.subnets) and are_ids(vpc.security_groups) and isinstance(vpc.ipv6, bool):
                return vpc
    raise LimitError(
        "vpc takes lists of `subnets` and `security_groups`, and `ipv6`, which is True or False, such as "
        f'{{"subnets": ["subnet-1a2b"], "security_groups": ["sg-3c4d"]}}, or {{}} to detach it; not {value!r}.'
    )


def _triggers(value: Any) -> tuple[S3Trigger, ...] | None:
    if value is None:
        return None
    items = (value,) if isinstance(value, S3Trigger | Mapping) else value
    try:
        if isinstance(items, str):
            raise TypeError
        triggers = tuple(S3Trigger.of(item) for item in items)
    except (TypeError, AttributeError) as error:
        raise TriggerError(_trigger_message(value)) from error
    for trigger in triggers:
        are_strings = is_list_of(is_string)
        if not are_strings((trigger.bucket, trigger.prefix, trigger.suffix)) or not are_strings(trigger.events):
            raise TriggerError(_trigger_message(trigger))
    return triggers


def _trigger_message(value: Any) -> str:
    return (
        f"s3_trigger takes `bucket`, and may take `prefix`, `suffix` and `events`, all of them strings: "
        f'{{"bucket": "my-lake", "prefix": "in/"}}. {value!r} does not fit.'
    )


def _topics(value: Any) -> tuple[TopicTrigger, ...] | None:
    if value is None:
        return None
    items = (value,) if isinstance(value, TopicTrigger | Mapping | str) else value
    try:
        triggers = tuple(TopicTrigger.of(item) for item in items)
    except TypeError as error:
        raise TriggerError(_topic_message(value)) from error
    for trigger in triggers:
        are_strings = is_list_of(is_string)((trigger.topic, trigger.filter_scope))
        if not are_strings or not isinstance(trigger.filter_policy, Mapping):
            raise TriggerError(_topic_message(trigger))
    return triggers


def _topic_message(value: Any) -> str:
    return (
        "topic_trigger takes the name or the ARN of a topic, or `topic` with `filter_policy` and `filter_scope`: "
        f'"orders" or {{"topic": "orders", "filter_policy": {{"kind": ["new"]}}}}. {value!r} does not fit.'
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
