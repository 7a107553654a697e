"""What AWS would reject of a declaration, found before the first call."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

from lambda_script import (
    Alarm,
    BucketSpec,
    FunctionSpec,
    LifecycleRule,
    LimitError,
    TriggerError,
    check_bucket,
    check_dashboard,
    function_problems,
)
from lambda_toolkit.pipeline.config.aws.cloudwatch_dashboard import dashboards
from lambda_toolkit.pipeline.config.model import FunctionDeclaration, Pipeline
from lambda_toolkit.pipeline.config.schema.toml_reader import Problems
from lambda_toolkit.pipeline.errors import ConfigurationError

ACCOUNT = "0" * 12  # a placeholder as long as an account's number: names have their real length
_VALID = FunctionSpec("f", Path())  # nothing is wrong with it
_DAYS = ("abort_uploads_days", "noncurrent_days", "expire_days", "transition_days")


def check_limits(problems: Problems, pipeline: Pipeline) -> None:
    """Add to ``problems`` what AWS would reject. Of a file with errors, what could be read is checked."""
    is_readable = not len(problems)
    common = pipeline.common
    tables = {
        "[pipeline]": replace(
            _VALID,
            tags=common.tags,
            log_retention_days=common.log_retention_days,
            permissions_boundary=_boundary(pipeline),
            log_format=common.log_format,
            log_level=common.log_level,
            system_log_level=common.system_log_level,
        ),
        "[vpc]": replace(_VALID, vpc=common.vpc, environment={}),
        "[packages]": replace(_VALID, runtime=common.runtime, architecture=common.architecture),
        **{f"[alarms.{name}]": replace(_VALID, alarms=(alarm,)) for name, alarm in pipeline.alarms.items()},
    }
    reported: set[str] = set()  # what is wrong with a table that functions share is not repeated for each of them
    for place, spec in tables.items():
        for text in function_problems(spec):
            problems.add(place, text)
            reported.add(text)
    for function in pipeline.functions.values():
        for text in function_problems(_complete(problems, pipeline, function, is_readable)):
            if text not in reported:
                problems.add(f"[functions.{function.name}]", text)
    if is_readable:
        _check_names(problems, pipeline)
        _check_dashboard(problems, pipeline)
        _check_triggers(problems, pipeline)
    for name, bucket in pipeline.buckets.items():
        for rule in bucket.lifecycle or ():
            _check_rule(problems, f"[buckets.{name}]", rule)
        _check_rule_names(problems, f"[buckets.{name}]", bucket)


def _boundary(pipeline: Pipeline) -> str | None:
    """The permissions boundary of all roles; ``None`` too where it has a placeholder that no function can replace."""
    try:
        return pipeline.common.permissions_boundary and pipeline.expand(pipeline.common.permissions_boundary, ACCOUNT)
    except ConfigurationError:
        return None


def _complete(problems: Problems, pipeline: Pipeline, function: FunctionDeclaration, is_readable: bool) -> FunctionSpec:
    """With the role's policy and the environment of all that it names, where the file declares all that."""
    if is_readable:
        from lambda_toolkit.pipeline.config.aws.deployment import (
            function_spec,  # it imports what most commands do not need
        )

        try:
            return function_spec(pipeline, function, ACCOUNT)
        except ConfigurationError as error:  # a placeholder
            problems.add(f"[functions.{function.name}]", str(error).removeprefix(f"{pipeline.path}: "))
    placeholders = None if function.alarms is None else tuple(Alarm(name, "Errors") for name in function.alarms)
    in_a_bucket = function.spec.on_failure in pipeline.buckets  # whose ARN has placeholders
    on_failure = None if in_a_bucket else function.spec.on_failure
    return replace(function.spec, alarms=placeholders, on_failure=on_failure)


def _check_names(problems: Problems, pipeline: Pipeline) -> None:
    for name in pipeline.buckets:
        try:
            check_bucket(BucketSpec(pipeline.bucket_name(name, ACCOUNT)))
        except (LimitError, ConfigurationError) as error:
            problems.add(f"[buckets] `{name}`:", str(error).removeprefix(f"{pipeline.path}: "))


def _check_dashboard(problems: Problems, pipeline: Pipeline) -> None:
    try:
        specs = tuple(function.spec for function in pipeline.functions.values())
        for spec in dashboards(pipeline, specs, ACCOUNT):
            check_dashboard(spec)
    except (LimitError, ConfigurationError) as error:
        problems.add("[cloudwatch_dashboard]", str(error).removeprefix(f"{pipeline.path}: "))


def _check_triggers(problems: Problems, pipeline: Pipeline) -> None:
    """No two triggers start on one object: S3 rejects that."""
    declared = [
        replace(_VALID, name=function.name, s3_triggers=(trigger,))
        for function in pipeline.functions.values()
        for trigger in function.s3_triggers or ()
    ]
    if len(declared) < 2:
        return
    from lambda_script import check_declared  # imported on use: it needs what plans and changes AWS

    for one, other in combinations(declared, 2):
        try:
            check_declared([one, other])
        except TriggerError as error:
            problems.add(f"[functions.{other.name}]", f"`s3_trigger`: {error}")


def _check_rule_names(problems: Problems, place: str, bucket: BucketSpec) -> None:
    names = [rule.name for rule in bucket.lifecycle or ()]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(place, f"`lifecycle` has two rules called `{name}`.")


def _check_rule(problems: Problems, place: str, rule: LifecycleRule) -> None:
    days = {key: getattr(rule, key) for key in _DAYS if getattr(rule, key) is not None}
    where = f"`lifecycle` rule `{rule.name}`"
    if not days:
        problems.add(place, f"{where} does nothing: give it one of {', '.join(_DAYS)}.")
    for key, value in days.items():
        if value < 1:
            problems.add(place, f"{where}: `{key}` {value} must be 1 or more.")
    if (rule.transition_days is None) != (rule.storage_class is None):
        problems.add(place, f"{where}: `transition_days` and `storage_class` need each other.")
