"""What ``config/pipeline.toml`` declares for one stage, as frozen dataclasses around what the toolkit deploys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lambda_script import Alarm, BucketSpec, FunctionSpec, S3Trigger, TopicSpec, bounded, short_hash
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.lambdas.shared.model.scale import PART_ROWS, READER_ROWS

_FUNCTION_NAME, _BUCKET_NAME = 64, 63  # characters that AWS allows
ALARMS, ALERTS = "alarms", "alerts"  # the two topics of [alerts]: what alarms notify, and what people read
WEBHOOK = "webhook"  # the kind of a secret
PROCESSED = "processed"  # the bucket that the Glue catalog is of, by its name in the file
_STAGE_NAME = 24  # characters: so that the names made of it seldom need shortening


def stage_name(stage: str) -> str:
    """``stage`` in the characters that every name on AWS may have: unchanged, or normalized with a hash of it.

    The branch ``feature/Login`` becomes ``feature-login-`` and eight characters, always the same.
    """
    normalized = re.sub(r"[^a-z0-9]+", "-", stage.lower()).strip("-")
    if normalized == stage and len(stage) <= _STAGE_NAME:
        return stage
    return f"{normalized[: _STAGE_NAME - 9].rstrip('-')}-{short_hash(stage)}".lstrip("-")


@dataclass(frozen=True)
class FunctionDeclaration:
    """One ``[functions.<name>]``. Buckets, secret and alarms have their names in the file."""

    name: str
    spec: FunctionSpec
    """What the toolkit deploys, without what depends on the account: see ``deployment.function_spec``."""
    s3_triggers: tuple[S3Trigger, ...] | None = None
    """The objects that start it; ``None``: not managed, empty: removed."""
    topic_triggers: tuple[str, ...] | None = None
    """The topics that start it, by :data:`ALARMS`, :data:`ALERTS` or their names; ``None``: not managed."""
    alarms: tuple[str, ...] | None = None
    """Its alarms; ``None``: not managed, empty: removed."""
    reads: tuple[str, ...] = ()
    """Buckets that it reads, or a prefix in one: ``lake``, ``lake/reports/``."""
    writes: tuple[str, ...] = ()
    sweeps: tuple[str, ...] = ()
    """Where it may delete data files, and never a manifest."""
    secrets: tuple[str, ...] = ()
    """Those that its role may read."""

    @property
    def is_notifier(self) -> bool:
        """Whether alarms start it: it makes messages of them."""
        return ALARMS in (self.topic_triggers or ())


@dataclass(frozen=True)
class Notice:
    """What a message says of an alarm beside its description, and which alarms are one incident."""

    command: str = ""
    """The command that helps; with ``{function}`` and ``{stage}``."""
    incident: str = "{function}"
    """Alarms with the same text are one incident."""
    symptom: bool = False
    """Whether it joins another incident that is open."""


@dataclass(frozen=True)
class ReadSecret:
    """A secret that RDS or others manage: functions read it, and nothing of it is written or tagged.

    It has the user and the password. What it has besides is used where the declaration is silent.
    """

    arn: str
    """Its complete ARN, with placeholders."""
    host: str | None = None
    port: int | None = None
    database: str | None = None
    sslmode: str | None = None
    """libpq's; ``None``: what the host says."""
    kms_key: str | None = None
    """The ARN of the KMS key that encrypts it; ``None``: AWS's own key, ``aws/secretsmanager``."""


@dataclass(frozen=True)
class IamLogin:
    """A user of Amazon RDS that logs in by IAM authentication: there is no password, and nothing is stored."""

    host: str
    port: int
    database: str
    user: str
    resource: str
    """The server's resource id, ``db-...``, ``cluster-...`` or ``prx-...``, which the permission names."""


@dataclass(frozen=True)
class SecretDeclaration:
    """One ``[secrets.<name>]``: a secret, and the environment variable that contains its value when deploying."""

    name: str
    template: str
    """Its name in Secrets Manager, with placeholders; empty for one that is only read."""
    environment: str
    """Empty for one that is only read."""
    ca: Path | None
    """A PEM file of authorities; ``None``: what the URL and the host say."""
    read: ReadSecret | None = None
    """The secret, where others manage it."""
    kind: str = "database"
    """``database`` or :data:`WEBHOOK`: what its value is the URL of."""
    iam: IamLogin | None = None
    """The login that is in place of a secret."""

    @property
    def is_stored(self) -> bool:
        """Whether deploys store its value."""
        return self.read is None and self.iam is None


BACKFILL_ENGINES = ("lambda", "glue", "emr-serverless", "local-spark")


@dataclass(frozen=True)
class Backfill:
    """``[backfill]``: what transforms batches that the command ``backfill`` names."""

    engine: str = "lambda"
    """One of :data:`BACKFILL_ENGINES`."""
    role: str | None = None
    """The ARN of the role of the job, with placeholders."""
    application: str | None = None
    """The id of an application of EMR Serverless."""
    workers: int = 10
    python: str | None = None
    """The Python that runs Spark on this machine; ``None``: the one that runs the command."""


@dataclass(frozen=True)
class Pipeline:
    """The complete declaration for one stage. Names of resources still contain placeholders: see :meth:`expand`."""

    path: Path
    name: str
    stage: str
    region: str
    common: FunctionSpec
    """What all functions share: tags, log retention, and ``[packages]``."""
    buckets: Mapping[str, BucketSpec]
    topic: TopicSpec
    secrets: Mapping[str, SecretDeclaration]
    functions: Mapping[str, FunctionDeclaration]
    alarms: Mapping[str, Alarm]
    tables: Mapping[str, Mapping[str, Any]]
    """The ``[source]`` and ``[warehouse]`` tables: those in the file, and those that are mirrored."""
    dashboard: str | None = None
    """The name of the CloudWatch dashboard; ``None``: there is none."""
    catalog: str | None = None
    """The name of the Glue database over the lake, with placeholders; ``None``: there is none."""
    notices: Mapping[str, Notice] = field(default_factory=dict)
    """By the names of ``alarms``."""
    alarm_topic: str = ""
    """The template of the topic that alarms notify; empty: that of ``topic``."""
    lock: Path | None = None
    """The lock of the requirements in ``[packages]``; ``None``: there is none."""
    declared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The ``[source]`` and ``[warehouse]`` tables that are in the file."""
    mirrored: tuple[str, ...] = ()
    """The patterns of ``[warehouse] mirror``."""
    warehouse_file: Path | None = None
    """The DuckDB file that is the warehouse; ``None``: it is a database of a PostgreSQL server."""
    fresh_within: str | None = None
    """How soon the warehouse shall have a change, such as ``30 minutes``; ``None``: nothing is promised."""
    readers: int = 0
    """How many readers extract starts at a time; below 2: none are deployed."""
    reader_rows: int = READER_ROWS
    """The most rows of a table that they read."""
    workers: int = 0
    """How many invocations of itself transform starts at a time; below 2: none."""
    part_rows: int = PART_ROWS
    """The most rows of a part of a batch."""
    load_connections: int = 1
    """Over how many connections at a time load copies the first rows of a large fact."""
    backfill: Backfill = field(default_factory=Backfill)
    mirror: str | None = None
    """The CREATE TABLE statements of the mirrored tables; ``None``: they are not known, or there are none."""

    @property
    def has_readers(self) -> bool:
        """Whether a function of its own reads ranges of large tables."""
        return self.readers >= 2

    @property
    def has_workers(self) -> bool:
        """Whether invocations of transform transform parts of large batches."""
        return self.workers >= 2

    @property
    def has_catalog(self) -> bool:
        """Whether a Glue catalog of the lake is deployed."""
        return self.catalog is not None and PROCESSED in self.buckets

    @property
    def document(self) -> Mapping[str, Any]:
        """What the functions read of it: the tables, and what is promised of them."""
        promised = {"fresh_within": self.fresh_within} if self.fresh_within else {}
        parts = {"part_rows": self.part_rows} if self.part_rows != PART_ROWS else {}
        return {**promised, **parts, **self.tables}

    @property
    def root(self) -> Path:
        """The directory that the file's paths are relative to: the parent of ``config/``."""
        return self.path.resolve().parent.parent

    def topic_names(self, account: str) -> dict[str, str]:
        """The names on AWS of the topics :data:`ALARMS` and :data:`ALERTS`, which may be the same."""
        alerts = self.expand(self.topic.name, account)
        return {ALERTS: alerts, ALARMS: self.expand(self.alarm_topic, account) if self.alarm_topic else alerts}

    def function_name(self, function: str) -> str:
        """The name on AWS of the function declared as ``function``: in 64 characters, shortened with a hash."""
        return bounded(f"{self.name}-{self.stage}-{function}", _FUNCTION_NAME)

    def bucket_name(self, bucket: str, account: str) -> str:
        """The name on AWS of the bucket declared as ``bucket``: in 63 characters, shortened with a hash."""
        return bounded(self.expand(self.buckets[bucket].name, account), _BUCKET_NAME)

    def expand(self, template: str, account: str) -> str:
        """``template`` with its ``{name}``, ``{stage}``, ``{region}`` and ``{account}`` replaced.

        Raises ConfigurationError for any other placeholder.
        """
        try:
            return template.format(name=self.name, stage=self.stage, region=self.region, account=account)
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:  # also of {name.x} and {name[x]}
            raise ConfigurationError(
                f"{self.path}: {template!r} contains an unknown placeholder ({error}). "
                "Use {name}, {stage}, {region} or {account}."
            ) from error
