"""What should be on AWS, as plain values. Nothing here talks to AWS or reads a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from lambda_toolkit.spec.ownership import APPLICATION_TAG, STAGE_TAG

THIS_RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
HOST_PLATFORM = "host"


@dataclass(frozen=True)
class S3Trigger:
    """Start the function when an object appears in ``bucket`` under ``prefix`` with the end ``suffix``."""

    bucket: str
    prefix: str = ""
    suffix: str = ""
    events: tuple[str, ...] = ("s3:ObjectCreated:*",)

    @classmethod
    def of(cls, value: S3Trigger | Mapping[str, Any]) -> S3Trigger:
        """``value`` itself, or the trigger that a mapping of the same names describes. Raises TypeError for others."""
        if isinstance(value, S3Trigger):
            return value
        events = value.get("events", cls.events)
        return cls(**{**value, "events": (events,) if isinstance(events, str) else tuple(events)})


@dataclass(frozen=True)
class Alarm:
    """A CloudWatch alarm of one function; its name on CloudWatch is ``<function>-<name>``.

    ``period`` is in seconds. ``topic`` is the name or the ARN of the SNS topic that is notified when the state
    becomes ALARM; with ``notify_on_insufficient_data`` also when it becomes INSUFFICIENT_DATA, which needs data before.
    ``description`` is part of the notification: say there what to do. ``dimensions`` is
    ``{"FunctionName": <function>}`` unless given.
    """

    name: str
    metric: str
    namespace: str = "AWS/Lambda"
    threshold: float = 1.0
    period: int = 60
    evaluation_periods: int = 1
    statistic: str = "Sum"
    comparison: str = "GreaterThanOrEqualToThreshold"
    missing_data: str = "notBreaching"
    topic: str | None = None
    description: str = ""
    dimensions: Mapping[str, str] | None = None
    notify_on_insufficient_data: bool = False


@dataclass(frozen=True)
class Canary:
    """Try a new version on a share of the calls, ``weight`` (between 0 and 1), for ``minutes``, before it takes all.

    The function's own alarms watch it: when one goes off, the calls go back to the version before.
    """

    weight: float = 0.1
    minutes: float = 10.0

    @classmethod
    def of(cls, value: Canary | Mapping[str, Any]) -> Canary:
        """``value`` itself, or the canary that a mapping of the same names describes. Raises TypeError for others."""
        return value if isinstance(value, Canary) else cls(**value)


@dataclass(frozen=True)
class FunctionSpec:
    """One Lambda function and everything that belongs to it alone.

    ``memory`` is in MB, ``timeout`` in seconds. ``schedule`` is an EventBridge expression, in UTC. ``handler`` is
    found in the source where it is ``None``. ``package_root`` is the folder where import names in the package begin;
    by default the closest one above the source that is not a Python package. ``permissions`` are IAM statements, added
    to the right to write its own log. ``zip_path`` is where a copy of the package is left for people to look into.
    ``health_event`` is what a new version must take without an error before it goes live. ``adopt`` takes over what
    already has its name on AWS.

    What is ``None`` is not managed: what AWS has stays. What is empty is removed, as is a ``schedule`` that is an empty
    text. A tag with an empty value is taken away; tags that are not named stay. ``secret_environment`` names variables
    whose values are masked, beside those that look secret.
    """

    name: str
    source: Path
    handler: str | None = None
    runtime: str = THIS_RUNTIME
    architecture: str = "x86_64"
    memory: int = 128
    timeout: int = 60
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    secret_environment: tuple[str, ...] = ()
    include: tuple[Path, ...] = ()
    package_root: Path | None = None
    extra_files: Mapping[str, bytes | Path] = field(default_factory=dict, repr=False)
    requirements: tuple[str, ...] = ()
    requirements_exclude: tuple[str, ...] = ()
    platform: str | None = None
    schedule: str | None = None
    s3_triggers: tuple[S3Trigger, ...] | None = None
    alarms: tuple[Alarm, ...] | None = None
    permissions: Sequence[Mapping[str, Any]] | None = None
    log_retention_days: int | None = 30
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    zip_path: Path | None = None
    artifact_bucket: str | None = None
    health_event: Mapping[str, Any] | None = None
    canary: Canary | None = None
    adopt: bool = False


@dataclass(frozen=True)
class LifecycleRule:
    """What S3 does by itself to the objects under ``prefix``, each after so many days; ``None`` is never.

    ``abort_uploads_days`` after a multipart upload was begun and not ended, its parts go. ``noncurrent_days`` after it
    was replaced or deleted, a version goes. ``expire_days`` after it was made, an object goes; ``transition_days``
    after, it moves to ``storage_class``.
    """

    name: str
    prefix: str = ""
    abort_uploads_days: int | None = None
    noncurrent_days: int | None = None
    expire_days: int | None = None
    transition_days: int | None = None
    storage_class: str | None = None


@dataclass(frozen=True)
class BucketSpec:
    """An S3 bucket: closed to the public, encrypted, answering over TLS only, keeping versions.

    ``kms_key`` is the ARN or alias of the key of its objects, which are otherwise encrypted with S3's own.
    ``lifecycle`` ``None`` leaves its rules alone; empty removes ours. Rules, policy statements and notifications of
    others stay in either case. ``versioned`` ``None`` leaves versioning alone.
    """

    name: str
    kms_key: str | None = None
    tls_only: bool = True
    versioned: bool | None = True
    lifecycle: tuple[LifecycleRule, ...] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    adopt: bool = False


@dataclass(frozen=True)
class TopicSpec:
    """An SNS topic and the addresses that it mails to. AWS asks each address to confirm.

    ``emails`` ``None`` leaves the subscriptions alone; otherwise exactly these addresses are subscribed, so that empty
    removes them all. Subscribers of other kinds (queues, functions) stay.
    """

    name: str
    emails: tuple[str, ...] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    adopt: bool = False


@dataclass(frozen=True)
class SecretSpec:
    """A secret of Secrets Manager.

    ``value`` ``None`` leaves alone what is stored; ``variable`` is the environment variable that a value comes from.
    """

    name: str
    value: str | None = field(default=None, repr=False)
    variable: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    adopt: bool = False


@dataclass(frozen=True)
class Deployment:
    """All that is deployed together.

    ``application`` and ``stage`` become tags of everything, by which it is found again when it is no longer declared.
    ``adopt`` takes over whatever has a declared name.
    """

    functions: tuple[FunctionSpec, ...] = ()
    buckets: tuple[BucketSpec, ...] = ()
    topics: tuple[TopicSpec, ...] = ()
    secrets: tuple[SecretSpec, ...] = ()
    application: str = ""
    stage: str = ""
    adopt: bool = False

    def tagged(self) -> Deployment:
        """The same, with the tags of application and stage, and ``adopt``, passed on to each part. Idempotent."""
        own = {APPLICATION_TAG: self.application, STAGE_TAG: self.stage} if self.application else {}

        def tagged(spec: _Spec) -> _Spec:
            return replace(spec, tags={**spec.tags, **own}, adopt=spec.adopt or self.adopt)

        return replace(
            self,
            functions=tuple(map(tagged, self.functions)),
            buckets=tuple(map(tagged, self.buckets)),
            topics=tuple(map(tagged, self.topics)),
            secrets=tuple(map(tagged, self.secrets)),
        )


_Spec = TypeVar("_Spec", FunctionSpec, BucketSpec, TopicSpec, SecretSpec)
