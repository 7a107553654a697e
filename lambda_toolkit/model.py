"""What should be on AWS, as plain values. Nothing here talks to AWS or reads a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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

    ``period`` is in seconds. ``topic`` is the name or the ARN of the SNS topic that is told when the alarm goes off.
    ``description`` stands in the message: say there what to do. ``dimensions`` is ``{"FunctionName": <function>}``
    unless given.
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


@dataclass(frozen=True)
class FunctionSpec:
    """One Lambda function and everything that belongs to it alone.

    ``memory`` is in MB, ``timeout`` in seconds. ``schedule`` is an EventBridge expression, in UTC. ``handler`` is
    found in the source where it is ``None``. ``permissions`` are IAM statements, added to the right to write its own
    log. ``zip_path`` is where a copy of the package is left for people to look into. ``adopt`` takes over what
    already has its name on AWS.
    """

    name: str
    source: Path
    handler: str | None = None
    runtime: str = THIS_RUNTIME
    architecture: str = "x86_64"
    memory: int = 128
    timeout: int = 60
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    include: tuple[Path, ...] = ()
    extra_files: Mapping[str, bytes | Path] = field(default_factory=dict, repr=False)
    requirements: tuple[str, ...] = ()
    requirements_exclude: tuple[str, ...] = ()
    platform: str | None = None
    schedule: str | None = None
    s3_triggers: tuple[S3Trigger, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    permissions: Sequence[Mapping[str, Any]] = ()
    log_retention_days: int = 30
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    zip_path: Path | None = None
    artifact_bucket: str | None = None
    adopt: bool = False


@dataclass(frozen=True)
class BucketSpec:
    """An S3 bucket with all public access blocked."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    adopt: bool = False


@dataclass(frozen=True)
class TopicSpec:
    """An SNS topic and the addresses that it mails to. AWS asks each address to confirm."""

    name: str
    emails: tuple[str, ...] = ()
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
    """All that is deployed together."""

    functions: tuple[FunctionSpec, ...] = ()
    buckets: tuple[BucketSpec, ...] = ()
    topics: tuple[TopicSpec, ...] = ()
    secrets: tuple[SecretSpec, ...] = ()
