"""``config/pipeline.toml`` as frozen dataclasses: read, merged with its stage, checked before anything is called."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.errors import ConfigurationError
from commands.section import WHOLE_FILE, Section
from lambda_toolkit.errors import ScheduleError
from lambda_toolkit.schedule import to_eventbridge

DEFAULT_PATH = Path("config/pipeline.toml")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
HOST = "host"  # the runtime of the Python that deploys, for a stack on this machine


@dataclass(frozen=True)
class Trigger:
    """An S3 trigger: objects created in ``bucket`` (a name of ``[buckets]``) under ``prefix``, ending in ``suffix``."""

    bucket: str
    prefix: str
    suffix: str


@dataclass(frozen=True)
class FunctionDeclaration:
    """One ``[functions.<name>]``: memory in MB, timeout in seconds, buckets and secret by their names in the file."""

    name: str
    source: Path
    include: tuple[Path, ...]
    requirements: tuple[str, ...]
    memory: int
    timeout: int
    environment: Mapping[str, str]
    schedule: str | None
    trigger: Trigger | None
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    secret: str | None
    alarms: tuple[str, ...]


@dataclass(frozen=True)
class AlarmDeclaration:
    """One ``[alarms.<name>]``: in alarm when the metric's sum over ``period`` seconds reaches ``threshold``.

    ``description`` stands in the email; ``{function}`` and ``{stage}`` in it are filled in.
    """

    name: str
    metric: str
    namespace: str
    threshold: float
    period: int
    description: str


@dataclass(frozen=True)
class SecretDeclaration:
    """One ``[secrets.<name>]``: a secret and the environment variable that holds its value when deploying."""

    name: str
    template: str
    environment: str
    ca: Path | None


@dataclass(frozen=True)
class Packages:
    """How functions are packaged: for which runtime and platform, and what is left out of the requirements.

    ``runtime`` ``None`` is this Python's; ``platform`` ``None`` is Lambda's.
    """

    runtime: str | None
    platform: str | None
    exclude: tuple[str, ...]


@dataclass(frozen=True)
class Pipeline:
    """The whole declaration for one stage. Names still hold ``{account}``: see :meth:`expand`."""

    path: Path
    name: str
    stage: str
    region: str
    log_retention_days: int
    tags: Mapping[str, str]
    buckets: Mapping[str, str]
    topic: str
    emails: tuple[str, ...]
    secrets: Mapping[str, SecretDeclaration]
    functions: Mapping[str, FunctionDeclaration]
    alarms: Mapping[str, AlarmDeclaration]
    packages: Packages
    tables: Mapping[str, Mapping[str, Any]]  # the [source] and [warehouse] sections, as they were written

    @property
    def root(self) -> Path:
        """The directory that the file's paths are relative to: the parent of ``config/``."""
        return self.path.resolve().parent.parent

    def function_name(self, function: str) -> str:
        """The name on AWS of the function declared as ``function``."""
        return f"{self.name}-{self.stage}-{function}"

    def expand(self, template: str, account: str) -> str:
        """``template`` with ``{name}``, ``{stage}``, ``{region}`` and ``{account}`` filled in.

        Raises ConfigurationError for any other placeholder.
        """
        try:
            return template.format(name=self.name, stage=self.stage, region=self.region, account=account)
        except (KeyError, IndexError, ValueError) as error:
            raise ConfigurationError(
                f"{self.path}: {template!r} holds a placeholder that nothing fills ({error}). "
                "Use {name}, {stage}, {region} or {account}."
            ) from error


def load(path: Path, stage: str | None = None, environ: Mapping[str, str] | None = None) -> Pipeline:
    """The declaration in ``path`` for ``stage`` (default: the file's own), with ``[stages.<stage>]`` merged over it.

    The region is ``AWS_REGION`` or ``AWS_DEFAULT_REGION`` of ``environ`` when set, as for every AWS tool.
    Raises ConfigurationError naming the file and the key.
    """
    environ = environ or {}
    document = _read(path)
    base = document.get("pipeline", {})
    stage = stage or (str(base.get("stage", "dev")) if isinstance(base, Mapping) else "dev")
    overrides = document.pop("stages", {})
    _check_schedules(path, document)
    merged = _merge(document, overrides.get(stage, {}))
    top = Section(path, WHOLE_FILE, merged)

    pipeline = top.section("pipeline")
    name = pipeline.text("name")
    pipeline.optional_text("stage")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or pipeline.text("region")
    pipeline.optional_text("region")
    retention = pipeline.whole("log_retention_days", 30)
    tags = pipeline.text_map("tags")
    pipeline.done()

    alerts = top.section("alerts")
    topic, emails = alerts.text("topic"), alerts.texts("emails")
    for email in emails:
        if not _EMAIL.fullmatch(email):
            raise ConfigurationError(f"{path}: [alerts] `emails` holds {email!r}, which is no email address.")
    alerts.done()

    packages = top.optional_section("packages")
    result = Pipeline(
        path=path,
        name=name,
        stage=stage,
        region=region,
        log_retention_days=retention,
        tags=tags,
        buckets=top.text_map("buckets"),
        topic=topic,
        emails=emails,
        secrets={key: _secret(path, key, section) for key, section in top.sections("secrets").items()},
        functions={key: _function(path, key, section) for key, section in top.sections("functions").items()},
        alarms={key: _alarm(key, section) for key, section in top.sections("alarms").items()},
        packages=_packages(packages) if packages else Packages(None, None, ()),
        tables={"source": top.raw("source"), "warehouse": top.raw("warehouse")},
    )
    top.done()
    _check_references(result)
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
    alarm = AlarmDeclaration(
        name,
        section.text("metric"),
        section.text("namespace"),
        section.number("threshold", 1),
        section.whole("period", 60),
        section.optional_text("description") or "",
    )
    section.done()
    return alarm


def _function(path: Path, name: str, section: Section) -> FunctionDeclaration:
    root = path.resolve().parent.parent
    trigger = section.optional_section("trigger")
    declaration = FunctionDeclaration(
        name=name,
        source=root / section.text("source"),
        include=tuple(root / entry for entry in section.texts("include")),
        requirements=section.texts("requirements"),
        memory=section.whole("memory", 512),
        timeout=section.whole("timeout", 300),
        environment=section.text_map("environment"),
        schedule=section.optional_text("schedule"),
        trigger=_trigger(trigger) if trigger else None,
        reads=section.texts("reads"),
        writes=section.texts("writes"),
        secret=section.optional_text("secret"),
        alarms=section.texts("alarms"),
    )
    section.done()
    return declaration


def _trigger(section: Section) -> Trigger:
    trigger = Trigger(
        section.text("bucket"), section.optional_text("prefix") or "", section.optional_text("suffix") or ""
    )
    section.done()
    return trigger


def _check_schedules(path: Path, document: Mapping[str, Any]) -> None:
    """Every schedule can be deployed, also one that this stage replaces by its own."""
    functions = document.get("functions", {})
    for name, function in functions.items() if isinstance(functions, Mapping) else ():
        schedule = function.get("schedule") if isinstance(function, Mapping) else None
        if isinstance(schedule, str):
            try:
                to_eventbridge(schedule)
            except ScheduleError as error:
                raise ConfigurationError(f"{path}: [functions.{name}] `schedule`: {error}") from error


def _check_references(pipeline: Pipeline) -> None:
    """Every bucket, secret and alarm that a function names is declared."""
    for function in pipeline.functions.values():
        named: Sequence[tuple[str, str, Mapping[str, Any]]] = [
            *(("buckets", bucket, pipeline.buckets) for bucket in (*function.reads, *function.writes)),
            *(("alarms", alarm, pipeline.alarms) for alarm in function.alarms),
            *([("secrets", function.secret, pipeline.secrets)] if function.secret else []),
            *([("buckets", function.trigger.bucket, pipeline.buckets)] if function.trigger else []),
        ]
        for section, name, declared in named:
            if name not in declared:
                raise ConfigurationError(
                    f"{pipeline.path}: [functions.{function.name}] names `{name}`, which [{section}] does not declare. "
                    f"Declared there: {', '.join(declared) or 'nothing'}."
                )
