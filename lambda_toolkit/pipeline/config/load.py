"""``config/pipeline.toml``: read, merged with its stage, checked before anything is called, all mistakes at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lambda_toolkit.errors import ScheduleError
from lambda_toolkit.pipeline.config.model import (
    AlarmDeclaration,
    BucketDeclaration,
    FunctionDeclaration,
    Packages,
    Pipeline,
    SecretDeclaration,
    Trigger,
    stage_name,
)
from lambda_toolkit.pipeline.config.role_policy import bucket_of
from lambda_toolkit.pipeline.config.toml_section import WHOLE_FILE, Problems, Section, undeclared
from lambda_toolkit.pipeline.config.validate import check
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.installed import FUNCTIONS, PACKAGE_ROOT, SHARED, shipped_functions
from lambda_toolkit.spec.cron import to_eventbridge
from lambda_toolkit.spec.model import Canary, LifecycleRule

DEFAULT_PATH = Path("config/pipeline.toml")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
HOST = "host"  # the runtime of the Python that deploys, for a stack on this machine


def load(path: Path, stage: str | None = None, environ: Mapping[str, str] | None = None) -> Pipeline:
    """The declaration in ``path`` for ``stage`` (default: the file's own), with ``[stages.<stage>]`` merged over it.

    The region is ``AWS_REGION`` or ``AWS_DEFAULT_REGION`` of ``environ`` when set, as for every AWS tool.
    Raises ConfigurationError naming the file and the key of everything that is wrong.
    """
    environ = environ or {}
    document = _read(path)
    problems = Problems(path)
    base = document.get("pipeline", {})
    stage = stage or (str(base.get("stage", "dev")) if isinstance(base, Mapping) else "dev")
    overrides = document.pop("stages", {})
    _check_schedules(problems, document)
    own = overrides.get(stage, {}) if isinstance(overrides, Mapping) else {}
    top = Section(problems, WHOLE_FILE, _merge(document, own if isinstance(own, Mapping) else {}))

    pipeline = top.section("pipeline")
    name = pipeline.text("name")
    pipeline.optional_text("stage")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or pipeline.text("region")
    pipeline.optional_text("region")
    retention = pipeline.whole("log_retention_days", 30)
    tags = pipeline.text_map("tags")
    pipeline.done()

    alerts = top.section("alerts")
    topic, emails = alerts.text("topic"), alerts.optional_texts("emails")
    for email in emails or ():
        if not _EMAIL.fullmatch(email):
            alerts.problem(f"`emails` holds {email!r}, which is no email address.")
    alerts.done()

    names, tables = top.mixed("buckets")
    packages = top.optional_section("packages")
    result = Pipeline(
        path=path,
        name=name,
        stage=stage_name(stage),
        region=region,
        log_retention_days=retention,
        tags=tags,
        buckets={**names, **{key: table.text("name") for key, table in tables.items()}},
        bucket_settings={key: _bucket(table) for key, table in tables.items()},
        topic=topic,
        emails=emails,
        secrets={key: _secret(path, key, section) for key, section in top.sections("secrets").items()},
        functions={key: _function(path, key, section) for key, section in top.sections("functions").items()},
        alarms={key: _alarm(key, section) for key, section in top.sections("alarms").items()},
        packages=_packages(packages) if packages else Packages(None, None, ()),
        tables={"source": top.raw("source"), "warehouse": top.raw("warehouse")},
    )
    top.done()
    _check_references(problems, result)
    check(problems, result)
    problems.raise_all()
    return result


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path} does not exist. Run from the repository, or name it with --config."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}.") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _secret(path: Path, name: str, section: Section) -> SecretDeclaration:
    ca = section.optional_text("ca")
    secret = SecretDeclaration(
        name=name,
        template=section.text("name"),
        environment=section.text("environment"),
        ca=path.resolve().parent.parent / ca if ca else None,
    )
    section.done()
    return secret


def _packages(section: Section) -> Packages:
    runtime = section.optional_text("runtime")
    packages = Packages(
        runtime=None if runtime == HOST else runtime,
        platform=section.optional_text("platform"),
        exclude=section.texts("exclude"),
    )
    section.done()
    return packages


def _alarm(name: str, section: Section) -> AlarmDeclaration:
    threshold, below = section.optional_number("threshold"), section.optional_number("below")
    if threshold is not None and below is not None:
        section.problem("an alarm has a `threshold` that is reached, or something that it falls `below`, not both.")
    alarm = AlarmDeclaration(
        name,
        section.text("metric"),
        section.text("namespace"),
        1 if threshold is None else threshold,
        below,
        section.whole("period", 60),
        section.optional_text("description") or "",
    )
    section.done()
    return alarm


def _bucket(section: Section) -> BucketDeclaration:
    kms_key = section.optional_text("kms_key")
    if kms_key is not None and not kms_key.startswith("arn:"):
        section.problem(
            f"`kms_key` must be the ARN of a key (arn:aws:kms:<region>:<account>:key/<id>), not {kms_key!r}."
        )
    rules = section.optional_list("lifecycle")
    bucket = BucketDeclaration(
        kms_key=kms_key,
        versioned=section.flag("versioned", True),
        lifecycle=None if rules is None else tuple(map(_rule, rules)),
    )
    section.done()
    return bucket


def _rule(section: Section) -> LifecycleRule:
    rule = LifecycleRule(
        name=section.text("name"),
        prefix=section.optional_text("prefix") or "",
        abort_uploads_days=section.optional_whole("abort_uploads_days"),
        noncurrent_days=section.optional_whole("noncurrent_days"),
        expire_days=section.optional_whole("expire_days"),
        transition_days=section.optional_whole("transition_days"),
        storage_class=section.optional_text("storage_class"),
    )
    section.done()
    return rule


def _function(path: Path, name: str, section: Section) -> FunctionDeclaration:
    root = path.resolve().parent.parent
    source, include = section.optional_text("source"), section.optional_texts("include")
    if source is None and name not in shipped_functions():
        section.problem(
            f"lacks the key `source`: the folder of its code. Only {', '.join(shipped_functions())} are shipped."
        )
    triggers = section.optional_list("trigger")
    canary = section.optional_section("canary")
    declaration = FunctionDeclaration(
        name=name,
        source=FUNCTIONS / name if source is None else root / source,
        include=(SHARED,) if source is None and include is None else tuple(root / entry for entry in include or ()),
        package_root=PACKAGE_ROOT if source is None else None,
        requirements=section.texts("requirements"),
        memory=section.whole("memory", 512),
        timeout=section.whole("timeout", 300),
        environment=section.text_map("environment"),
        schedule=section.optional_text("schedule"),
        triggers=None if triggers is None else tuple(map(_trigger, triggers)),
        reads=section.texts("reads"),
        writes=section.texts("writes"),
        sweeps=section.texts("sweeps"),
        secret=section.optional_text("secret"),
        alarms=section.optional_texts("alarms"),
        health=section.optional_raw("health"),
        canary=None if canary is None else _canary(canary),
    )
    section.done()
    return declaration


def _canary(section: Section) -> Canary:
    canary = Canary(section.number("weight", Canary.weight), section.number("minutes", Canary.minutes))
    section.done()
    return canary


def _trigger(section: Section) -> Trigger:
    trigger = Trigger(
        section.text("bucket"), section.optional_text("prefix") or "", section.optional_text("suffix") or ""
    )
    section.done()
    return trigger


def _check_schedules(problems: Problems, document: Mapping[str, Any]) -> None:
    """Every schedule can be deployed, also one that this stage replaces by its own. An empty one removes it."""
    functions = document.get("functions", {})
    for name, function in functions.items() if isinstance(functions, Mapping) else ():
        schedule = function.get("schedule") if isinstance(function, Mapping) else None
        if isinstance(schedule, str) and schedule:
            try:
                to_eventbridge(schedule)
            except ScheduleError as error:
                problems.add(f"[functions.{name}]", f"`schedule`: {error}")


def _check_references(problems: Problems, pipeline: Pipeline) -> None:
    """Every bucket, secret and alarm that a function names is declared."""
    for function in pipeline.functions.values():
        places = (*function.reads, *function.writes, *function.sweeps)
        named: Sequence[tuple[str, str, Mapping[str, Any]]] = [
            *(("buckets", bucket_of(place), pipeline.buckets) for place in places),
            *(("alarms", alarm, pipeline.alarms) for alarm in function.alarms or ()),
            *([("secrets", function.secret, pipeline.secrets)] if function.secret else []),
            *(("buckets", trigger.bucket, pipeline.buckets) for trigger in function.triggers or ()),
        ]
        for section, name, declared in named:
            if name not in declared:
                problems.add(f"[functions.{function.name}]", undeclared(name, section, declared))
