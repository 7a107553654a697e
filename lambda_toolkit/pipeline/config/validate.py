"""What AWS would refuse of a declaration, found by the toolkit's own limits, each with the table that it stands in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from lambda_toolkit.errors import LimitError, ScheduleError, TriggerError
from lambda_toolkit.pipeline.config.model import FunctionDeclaration, Pipeline
from lambda_toolkit.pipeline.config.role_policy import permissions
from lambda_toolkit.pipeline.config.toml_section import Problems
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.spec import quotas
from lambda_toolkit.spec.cron import to_eventbridge
from lambda_toolkit.spec.model import THIS_RUNTIME, Alarm, BucketSpec, FunctionSpec, S3Trigger

_ACCOUNT = "0" * 12  # a placeholder as long as an account's number: no name gets longer by the real one
_NOTHING = FunctionSpec("f", Path())
_DAYS = ("abort_uploads_days", "noncurrent_days", "expire_days", "transition_days")
_CLASSES = ("DEEP_ARCHIVE", "GLACIER", "GLACIER_IR", "INTELLIGENT_TIERING", "ONEZONE_IA", "STANDARD_IA")


def check(problems: Problems, pipeline: Pipeline) -> None:
    """Add to ``problems`` what AWS would refuse. Where the file could not be read whole, what was read is checked."""
    readable = not len(problems)
    general = replace(_NOTHING, tags=pipeline.tags, log_retention_days=pipeline.log_retention_days)
    places = [("[pipeline]", general), *_alarms(pipeline)]
    if pipeline.packages.runtime is not None:
        places.append(("[packages]", replace(_NOTHING, runtime=pipeline.packages.runtime or THIS_RUNTIME)))
    for name, function in pipeline.functions.items():
        places.append((f"[functions.{name}]", _function(pipeline, function)))
        if function.schedule:
            try:
                to_eventbridge(function.schedule)  # of this stage
            except ScheduleError as error:
                problems.add(f"[functions.{name}]", f"`schedule`: {error}")
    for place, spec in places:
        for text in quotas.function_problems(spec):
            problems.add(place, text)
    if readable:
        _check_names(problems, pipeline)
        _check_policies(problems, pipeline)
        _check_triggers(problems, pipeline)
    _check_lifecycles(problems, pipeline)


def _function(pipeline: Pipeline, function: FunctionDeclaration) -> FunctionSpec:
    return replace(
        _NOTHING,
        name=pipeline.function_name(function.name),
        memory=function.memory,
        timeout=function.timeout,
        environment=function.environment,
        alarms=tuple(Alarm(name, "Errors") for name in function.alarms or ()),  # what they are is checked by themselves
        health_event=function.health,
        canary=function.canary,
    )


def _alarms(pipeline: Pipeline) -> Iterator[tuple[str, FunctionSpec]]:
    for name, alarm in pipeline.alarms.items():
        yield f"[alarms.{name}]", replace(_NOTHING, alarms=(alarm.as_alarm(),))


def _check_names(problems: Problems, pipeline: Pipeline) -> None:
    for name in pipeline.buckets:
        try:
            quotas.check_bucket(BucketSpec(pipeline.bucket_name(name, _ACCOUNT)))
        except (LimitError, ConfigurationError) as error:
            problems.add(f"[buckets] `{name}`:", str(error).removeprefix(f"{pipeline.path}: "))


def _check_policies(problems: Problems, pipeline: Pipeline) -> None:
    """The role's policy and the whole environment, of what else the function names."""
    from lambda_toolkit.pipeline.config.deployment import environment  # it imports what most commands do not need

    for name, function in pipeline.functions.items():
        spec = replace(
            _function(pipeline, function),
            environment=environment(pipeline, function, _ACCOUNT),
            permissions=permissions(pipeline, function, _ACCOUNT),
        )
        for text in quotas.function_problems(spec):
            problems.add(f"[functions.{name}]", text)


def _check_triggers(problems: Problems, pipeline: Pipeline) -> None:
    """No two triggers start on one object: S3 refuses that."""
    from lambda_toolkit.resources.s3_notification import check_declared

    declared = [
        replace(
            _NOTHING,
            name=function.name,
            s3_triggers=(S3Trigger(pipeline.bucket_name(trigger.bucket, _ACCOUNT), trigger.prefix, trigger.suffix),),
        )
        for function in pipeline.functions.values()
        for trigger in function.triggers or ()
    ]
    for one, other in combinations(declared, 2):
        try:
            check_declared([one, other])
        except TriggerError as error:
            problems.add(f"[functions.{other.name}]", f"`trigger`: {error}")


def _check_lifecycles(problems: Problems, pipeline: Pipeline) -> None:
    for bucket, settings in pipeline.bucket_settings.items():
        rules = settings.lifecycle or ()
        names = [rule.name for rule in rules]
        for name in sorted({name for name in names if names.count(name) > 1}):
            problems.add(f"[buckets.{bucket}]", f"`lifecycle` has two rules called `{name}`.")
        for rule in rules:
            days = {key: getattr(rule, key) for key in _DAYS if getattr(rule, key) is not None}
            where = f"`lifecycle` rule `{rule.name}`"
            if not days:
                problems.add(f"[buckets.{bucket}]", f"{where} does nothing: give it one of {', '.join(_DAYS)}.")
            for key, value in days.items():
                if value < 1:
                    problems.add(f"[buckets.{bucket}]", f"{where}: `{key}` {value} must be 1 or more.")
            if (rule.transition_days is None) != (rule.storage_class is None):
                text = f"{where}: `transition_days` and `storage_class` go together."
                problems.add(f"[buckets.{bucket}]", text)
            elif rule.storage_class is not None and rule.storage_class not in _CLASSES:
                text = f"{where}: `storage_class` {rule.storage_class!r} is not one of {', '.join(_CLASSES)}."
                problems.add(f"[buckets.{bucket}]", text)
