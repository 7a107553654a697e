"""Loads ``config/pipeline.toml``: reads it, merges the stage's own values, and reports all errors together.

Among them is what AWS would reject, found by the toolkit's quotas and reported with the table that it is in.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lambda_script import (
    Alarm,
    BucketSpec,
    Canary,
    FunctionSpec,
    LifecycleRule,
    S3Trigger,
    Schedule,
    ScheduleError,
    TopicSpec,
    Vpc,
)
from lambda_toolkit.pipeline.config.aws.access_function import with_access
from lambda_toolkit.pipeline.config.aws.failed_events import with_failed_events
from lambda_toolkit.pipeline.config.aws.limits import ACCOUNT, check_limits
from lambda_toolkit.pipeline.config.aws.readers import check_backfill, check_workers, with_reader
from lambda_toolkit.pipeline.config.aws.role_policy import bucket_of
from lambda_toolkit.pipeline.config.model import (
    ALARMS,
    Backfill,
    FunctionDeclaration,
    Notice,
    Pipeline,
    stage_name,
)
from lambda_toolkit.pipeline.config.schema.function_keys import LOGGING, SETTINGS
from lambda_toolkit.pipeline.config.schema.keys import FILE
from lambda_toolkit.pipeline.config.schema.toml_reader import Problems, Values, read_table, undeclared
from lambda_toolkit.pipeline.config.schema.trigger_keys import trigger_fields
from lambda_toolkit.pipeline.config.secret_keys import check_arns, read_secret
from lambda_toolkit.pipeline.config.warehouse_file import tables_alone, warehouse_file
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.installed import (
    ACCESS,
    FUNCTIONS,
    PACKAGE_ROOT,
    SHARED,
    access_package,
    program,
    shared_files,
    shipped_functions,
)
from lambda_toolkit.pipeline.lambdas.shared.errors import DeclarationError
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.warehouse.column_types import parse_sql

HOST = "host"  # the runtime of the Python that deploys, for a stack on this machine
MOST_CONNECTIONS = 64  # of load, at a time: more than a server has processors for
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PACKAGING = ("runtime", "architecture", "platform", "requirements", "requirements_exclude", "provided_modules")


def load(path: Path, stage: str | None = None, environ: Mapping[str, str] | None = None) -> Pipeline:
    """The declaration in ``path`` for ``stage`` (default: the file's own), with ``[stages.<stage>]`` merged over it.

    The region is ``AWS_REGION`` or ``AWS_DEFAULT_REGION`` of ``environ`` when set, as for every AWS tool.
    Raises ConfigurationError that names the file and the key of every error.
    """
    document = _parse(path)
    problems = Problems(path)
    stages = _table(document.pop("stages", None))
    stage = stage or str(_table(document.get("pipeline")).get("stage", "dev"))
    _check_schedules(problems, document)
    merged = with_failed_events(with_access(_merge(document, _table(stages.get(stage)))))
    values = read_table(problems, "", merged, FILE)
    pipeline = _pipeline(problems, path, stage_name(stage), environ or {}, merged, values)
    pipeline = _mirror(problems, pipeline, merged)
    _check_references(problems, pipeline)
    _check_tables(problems, pipeline)
    check_arns(problems, pipeline, ACCOUNT)
    check_limits(problems, pipeline)
    problems.raise_all()
    return pipeline


def _check_tables(problems: Problems, pipeline: Pipeline) -> None:
    """What the functions refuse of ``[source.*]`` and ``[warehouse.*]``, of tables in which nothing else is wrong."""
    reported = problems.places()
    if not all(pipeline.tables.values()):
        return  # a section is missing, which is reported
    try:
        parse(pipeline.document, parse_sql)
    except DeclarationError as error:
        for line in str(error).splitlines():
            place, _, text = line.partition("] ")
            if f"{place}]" not in reported:
                problems.add(f"{place}]", text)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path} does not exist. Run this in the folder of a project, or name the file with --config. "
            f"A new project: {program()} init"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}.") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error


def _table(value: Any) -> Mapping[str, Any]:
    """``value`` if it is a table, else an empty one: what is none is reported where it is read."""
    return value if isinstance(value, Mapping) else {}


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _pipeline(
    problems: Problems, path: Path, stage: str, environ: Mapping[str, str], document: Mapping[str, Any], values: Values
) -> Pipeline:
    general, alerts, dashboard = values["pipeline"], values["alerts"], values["cloudwatch_dashboard"]
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or general["region"]
    if not region and "pipeline" in document:
        problems.add("[pipeline]", "lacks the key `region` (a string), and AWS_REGION is not set.")
    for email in alerts["emails"] or ():
        if not _EMAIL.fullmatch(email):
            problems.add("[alerts]", f"`emails` contains {email!r}, which is not an email address.")
    root = path.resolve().parent.parent
    tables = {name: _raw(document, name) for name in ("source", "warehouse")}
    common = FunctionSpec(
        "",
        root,
        tags=general["tags"],
        log_retention_days=general["log_retention_days"],
        permissions_boundary=general["permissions_boundary"],
        vpc=_vpc(values["vpc"]),
        **_logging(general),
        **_packaging(values["packages"]),
    )
    pipeline = Pipeline(
        path=path,
        name=general["name"],
        stage=stage,
        region=region or "",
        common=common,
        buckets={name: _bucket(problems, name, bucket) for name, bucket in values["buckets"].items()},
        topic=_topic(problems, alerts, common),
        secrets={name: read_secret(problems, root, name, secret) for name, secret in values["secrets"].items()},
        functions={},
        notices={name: _notice(alarm) for name, alarm in values["alarms"].items()},
        alarms={name: _alarm(problems, name, alarm) for name, alarm in values["alarms"].items()},
        alarm_topic=alerts["alarms"] or "",
        tables=tables,
        declared=tables,
        mirrored=_patterns(document),
        readers=values["extract"]["readers"],
        reader_rows=values["extract"]["reader_rows"],
        workers=values["transform"]["workers"],
        part_rows=values["transform"]["part_rows"],
        load_connections=values["load"]["connections"],
        backfill=Backfill(**values["backfill"]),
        dashboard=dashboard["name"] if dashboard is not None else None,
        catalog=values["lake"]["database"] if values["lake"]["catalog"] else None,
        fresh_within=general["fresh_within"],
        warehouse_file=warehouse_file(problems, root, document),
        lock=root / values["packages"]["lock"] if values["packages"]["lock"] else None,
    )
    if not 1 <= pipeline.load_connections <= MOST_CONNECTIONS:
        problems.add("[load]", f"`connections` must be from 1 to {MOST_CONNECTIONS}, not {pipeline.load_connections}.")
    functions = {name: _function(problems, pipeline, name, function) for name, function in values["functions"].items()}
    pipeline = with_reader(problems, replace(pipeline, functions=functions))
    check_workers(problems, pipeline)
    check_backfill(problems, pipeline.backfill)
    return pipeline


def _raw(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = dict(_table(document.get(name)))
    if name == "warehouse":  # the keys beside its tables
        return tables_alone(found)
    return found


def _patterns(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of ``[warehouse] mirror``."""
    found = _table(document.get("warehouse")).get("mirror")
    return tuple(pattern for pattern in found if isinstance(pattern, str)) if isinstance(found, list) else ()


def _mirror(problems: Problems, pipeline: Pipeline, document: Mapping[str, Any]) -> Pipeline:
    """``pipeline`` with the tables that are mirrored, as far as they are known."""
    if not pipeline.mirrored:
        if document.get("source", {}) == {}:  # what is no table is reported
            problems.add("the file", "lacks the table [source].")
        return pipeline
    from lambda_toolkit.pipeline.config.mirror import read_mirror, with_mirror  # few pipelines have one

    try:
        mirror = read_mirror(pipeline.root)
        return with_mirror(pipeline, mirror) if mirror is not None else pipeline
    except ConfigurationError as error:
        problems.add("[warehouse]", f"`mirror`: {str(error).removeprefix(f'{pipeline.path}: ')}")
        return pipeline


def _packaging(values: Values) -> dict[str, Any]:
    """The fields of a FunctionSpec that ``[packages]`` or a function sets."""
    given = {name: values[name] for name in _PACKAGING if values[name] is not None}
    if given.get("runtime") == HOST:
        given["runtime"] = FunctionSpec.runtime  # the default: that of the Python that deploys
    return given


def _logging(values: Values) -> dict[str, Any]:
    """The fields of a FunctionSpec that ``[pipeline]`` or a function sets about its log."""
    return {key.name: values[key.name] for key in LOGGING if values[key.name] is not None}


def _vpc(values: Values | None) -> Vpc | None:
    """The network that ``[vpc]`` or a function declares; an empty one detaches."""
    return None if values is None else Vpc(**values)


def _bucket(problems: Problems, name: str, values: Values) -> BucketSpec:
    kms_key, rules = values["kms_key"], values["lifecycle"]
    if kms_key is not None and not kms_key.startswith("arn:"):
        text = f"`kms_key` must be the ARN of a key (arn:aws:kms:<region>:<account>:key/<id>), not {kms_key!r}."
        problems.add(f"[buckets.{name}]", text)
    lifecycle = None if rules is None else tuple(LifecycleRule(**rule) for rule in rules)
    return BucketSpec(**{**values, "lifecycle": lifecycle})


def _topic(problems: Problems, alerts: Values, common: FunctionSpec) -> TopicSpec:
    key = alerts["kms_key"]
    if key and (not key.startswith("arn:") or key.endswith("alias/aws/sns")):
        text = (
            f"`kms_key` must be the ARN of a key of your own (arn:aws:kms:<region>:<account>:key/<id>), not {key!r}. "
            "CloudWatch may not use AWS's own key, alias/aws/sns: no alarm would send a message."
        )
        problems.add("[alerts]", text)
    return TopicSpec(alerts["topic"], emails=alerts["emails"], kms_key=key, tags=common.tags)


def _notice(values: Values) -> Notice:
    """What messages say of an alarm; its keys are removed from ``values``."""
    return Notice(values.pop("command"), values.pop("incident"), values.pop("symptom"))


def _alarm(problems: Problems, name: str, values: Values) -> Alarm:
    threshold, below = values.pop("threshold"), values.pop("below")
    if threshold is not None and below is not None:
        problems.add(f"[alarms.{name}]", "has both a `threshold` to reach and a limit to fall `below`; give one.")
    if below is not None and values["missing_data"] is not None:
        problems.add(f"[alarms.{name}]", "has `below`, for which periods without data count as 0: omit `missing_data`.")
    missing = values["missing_data"] or Alarm.missing_data
    alarm = Alarm(name, **{**values, "expression": values["expression"] or "", "missing_data": missing})
    if below is None:
        return alarm if threshold is None else replace(alarm, threshold=threshold)
    return replace(
        alarm,
        threshold=below,
        comparison="LessThanThreshold",
        expression=alarm.expression or "FILL(m, 0)",
        missing_data="missing",
        notify_on_insufficient_data=True,  # where CloudWatch has nothing left to fill
    )


def _function(problems: Problems, pipeline: Pipeline, name: str, values: Values) -> FunctionDeclaration:
    triggers, canary = values["s3_trigger"], values["canary"]
    spec = replace(
        pipeline.common,
        name=pipeline.function_name(name),
        **_source(problems, pipeline.root, name, values),
        **_packaging(values),
        **_logging(values),
        **{key.name: values[key.name] for key in SETTINGS},
        **trigger_fields(values),
        handler=values["handler"],
        memory=values["memory"],
        timeout=values["timeout"],
        environment=values["environment"],
        **_schedules(problems, name, values["schedule"], values["timezone"]),
        schedule_role=values["schedule_role"],
        description=f"{pipeline.name}: {name}",
        zip_path=pipeline.root / "build" / f"{name}.zip",
        on_failure=values["on_failure"],
        retries=values["retries"],
        max_event_age=values["max_event_age"],
        layers=tuple(values["layers"]),
        concurrency=values["concurrency"],
        provisioned_concurrency=values["provisioned_concurrency"],
        recursive_loop=values["recursive_loop"],
        role=values["role"],
        permissions_boundary=None if values["role"] else pipeline.common.permissions_boundary,
        vpc=_vpc(values["vpc"]) or pipeline.common.vpc,
        health_event=values["health_event"],
        canary=None if canary is None else Canary(**canary),
    )
    return FunctionDeclaration(
        name=name,
        spec=spec,
        s3_triggers=None if triggers is None else tuple(S3Trigger(**trigger) for trigger in triggers),
        topic_triggers=values["topic_trigger"],
        alarms=values["alarms"],
        reads=values["reads"],
        writes=values["writes"],
        sweeps=values["sweeps"],
        secrets=_names(values["secret"]),
    )


def _source(problems: Problems, root: Path, name: str, values: Values) -> dict[str, Any]:
    """The fields of a FunctionSpec that say where its code is: its own, or the shipped function of that name."""
    source, include = values["source"], values["include"]
    own = tuple(root / entry for entry in include or ())
    if source is not None:
        return {"source": root / source, "include": own}
    if name not in shipped_functions():
        text = f"lacks the key `source` (a string). Code is shipped for {', '.join(shipped_functions())} alone."
        problems.add(f"[functions.{name}]", text)
    if name == ACCESS:
        package = access_package()
        return {**package, "include": (*package["include"], *own)}
    few = shared_files(name)
    include = own if few else (SHARED, *own)
    return {"source": FUNCTIONS / name, "include": include, "package_root": PACKAGE_ROOT, "extra_files": few}


def _names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """One name, or several."""
    return (value,) if isinstance(value, str) else tuple(value or ())


def _schedules(problems: Problems, function: str, value: Any, timezone: str | None) -> dict[str, Any]:
    """The fields of a FunctionSpec that ``schedule`` sets. An empty one, which removes what there is, stays empty."""
    if isinstance(value, tuple):
        value = [{key: item for key, item in each.items() if item is not None} for each in value]
    try:
        rule, schedules = Schedule.read(value, timezone)
    except ScheduleError as error:
        problems.add(f"[functions.{function}]", f"`schedule`: {error}")
        return {}
    return {"schedule": rule, "schedules": schedules}


def _check_schedules(problems: Problems, document: Mapping[str, Any]) -> None:
    """Every schedule can be deployed, including one that this stage replaces by its own."""
    for name, function in _table(document.get("functions")).items():
        schedule = _table(function).get("schedule")
        if isinstance(schedule, str):
            _schedules(problems, name, schedule, None)


def _check_references(problems: Problems, pipeline: Pipeline) -> None:
    """Every bucket, secret and alarm that a function names is declared."""
    for function in pipeline.functions.values():
        places = (*function.reads, *function.writes, *function.sweeps)
        named: Sequence[tuple[str, str, Mapping[str, Any]]] = [
            *(("buckets", bucket_of(place), pipeline.buckets) for place in places),
            *(("alarms", alarm, pipeline.alarms) for alarm in function.alarms or ()),
            *(("secrets", secret, pipeline.secrets) for secret in function.secrets),
            *(("buckets", trigger.bucket, pipeline.buckets) for trigger in function.s3_triggers or ()),
        ]
        for section, name, declared in named:
            if name not in declared:
                problems.add(f"[functions.{function.name}]", undeclared(name, section, declared))
    notifiers = [name for name, function in pipeline.functions.items() if function.is_notifier]
    if pipeline.alarm_topic and not notifiers and any(function.alarms for function in pipeline.functions.values()):
        problems.add(
            "[alerts]",
            f'`alarms` is a topic that nothing receives: give a function `topic_trigger = ["{ALARMS}"]`, such as the '
            "shipped notifier, or remove the key, and alarms notify `topic`.",
        )
    if notifiers and not pipeline.alarm_topic:
        problems.add("[alerts]", f"lacks the key `alarms`, the topic that starts the function {notifiers[0]}.")
