"""What ``config/pipeline.toml`` declares, as frozen dataclasses, for one stage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.spec.model import Alarm, Canary, LifecycleRule
from lambda_toolkit.spec.ownership import bounded, short_hash

_FUNCTION_NAME, _BUCKET_NAME = 64, 63  # characters that AWS allows
_STAGE_NAME = 24  # characters: so that the names made of it seldom need shortening


def stage_name(stage: str) -> str:
    """``stage`` in the characters that every name on AWS may have: as it is, or spelled so with a hash of it.

    ``feature/Login`` of a branch becomes ``feature-login-`` and eight characters, always the same.
    """
    spelled = re.sub(r"[^a-z0-9]+", "-", stage.lower()).strip("-")
    if spelled == stage and len(stage) <= _STAGE_NAME:
        return stage
    return f"{spelled[: _STAGE_NAME - 9].rstrip('-')}-{short_hash(stage)}".lstrip("-")


@dataclass(frozen=True)
class Trigger:
    """An S3 trigger: objects created in ``bucket`` (a name of ``[buckets]``) under ``prefix``, ending in ``suffix``."""

    bucket: str
    prefix: str
    suffix: str


@dataclass(frozen=True)
class FunctionDeclaration:
    """One ``[functions.<name>]``: memory in MB, timeout in seconds, buckets and secret by their names in the file.

    ``schedule``, ``triggers`` and ``alarms`` are ``None`` where the file does not mention them: they are not managed.
    Empty, they are removed.
    """

    name: str
    source: Path
    include: tuple[Path, ...]
    package_root: Path | None  # where import names in the package begin; None: found from the source
    requirements: tuple[str, ...]
    memory: int
    timeout: int
    environment: Mapping[str, str]
    schedule: str | None
    triggers: tuple[Trigger, ...] | None
    reads: tuple[str, ...]  # buckets, or what lies under a prefix in one: `lake`, `lake/reports/`
    writes: tuple[str, ...]
    sweeps: tuple[str, ...]  # where it may delete data files, and never a manifest
    secret: str | None
    alarms: tuple[str, ...] | None
    health: Mapping[str, Any] | None = None  # the event that a new version must take before it goes live
    canary: Canary | None = None


@dataclass(frozen=True)
class AlarmDeclaration:
    """One ``[alarms.<name>]``: in alarm when the metric's sum over ``period`` seconds reaches ``threshold``.

    With ``below`` instead, when it is less than that or when no more values come. ``description`` stands in the email;
    ``{function}`` and ``{stage}`` in it are filled in.
    """

    name: str
    metric: str
    namespace: str
    threshold: float
    below: float | None
    period: int
    description: str

    def as_alarm(self) -> Alarm:
        """The alarm that the toolkit makes of it, of no topic, its placeholders not filled in."""
        alarm = Alarm(self.name, self.metric, self.namespace, period=self.period, description=self.description)
        if self.below is None:
            return replace(alarm, threshold=self.threshold)
        return replace(
            alarm, threshold=self.below, comparison="LessThanThreshold", missing_data="missing", tell_missing=True
        )


@dataclass(frozen=True)
class BucketDeclaration:
    """One bucket's settings. ``kms_key`` ``None`` is S3's own encryption; ``lifecycle`` ``None`` is not managed."""

    kms_key: str | None = None
    versioned: bool = True
    lifecycle: tuple[LifecycleRule, ...] | None = None


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
    """The whole declaration for one stage. Names still hold ``{account}``: see :meth:`expand`.

    ``emails`` is ``None`` where the file does not mention them.
    """

    path: Path
    name: str
    stage: str
    region: str
    log_retention_days: int
    tags: Mapping[str, str]
    buckets: Mapping[str, str]  # templates of their names
    bucket_settings: Mapping[str, BucketDeclaration]
    topic: str
    emails: tuple[str, ...] | None
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
        """The name on AWS of the function declared as ``function``: shortened with a hash where Lambda wants that."""
        return bounded(f"{self.name}-{self.stage}-{function}", _FUNCTION_NAME)

    def bucket_name(self, bucket: str, account: str) -> str:
        """The name on AWS of the bucket declared as ``bucket``: shortened with a hash where S3 wants that."""
        return bounded(self.expand(self.buckets[bucket], account), _BUCKET_NAME)

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
