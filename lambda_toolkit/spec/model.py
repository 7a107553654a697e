"""The declaration: what should be on AWS, as frozen dataclasses. Nothing here calls AWS or reads a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from lambda_toolkit.spec import function_url, network
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.catalog import CatalogSpec
from lambda_toolkit.spec.function_url import FunctionUrl
from lambda_toolkit.spec.limit_checks import limited_by
from lambda_toolkit.spec.metric_math import fills_gaps
from lambda_toolkit.spec.network import Vpc
from lambda_toolkit.spec.ownership import APPLICATION_TAG, STAGE_TAG, derived_name
from lambda_toolkit.spec.schedules.schedule import Schedule, schedule_name
from lambda_toolkit.spec.triggers import event, queue, s3, stream, topic
from lambda_toolkit.spec.triggers.event import EventTrigger
from lambda_toolkit.spec.triggers.queue import QueueTrigger
from lambda_toolkit.spec.triggers.s3 import S3Trigger
from lambda_toolkit.spec.triggers.stream import StreamTrigger
from lambda_toolkit.spec.triggers.topic import TopicTrigger

THIS_RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
TEXT_LOGS, JSON_LOGS = "Text", "JSON"
"""Lambda's formats of a log."""
ACTIVE, PASS_THROUGH = "Active", "PassThrough"
"""Lambda's modes of tracing."""
ALLOW_LOOPS, TERMINATE_LOOPS = "Allow", "Terminate"
"""What Lambda does with a function that starts itself again and again."""
DEFAULT_STORAGE = 512  # MB of /tmp
HOST_PLATFORM = "host"  # install requirements for this machine, for tests that run functions here


class Kind(StrEnum):
    """The kinds of resources. The values are the words that plans, reports and messages use."""

    FUNCTION = "function"
    VERSIONS = "old versions"
    LAYER = "layer"
    ROLE = "role"
    LOG_GROUP = "log group"
    EVENT_RULE = "schedule"
    SCHEDULE = "Scheduler schedule"
    SCHEDULE_GROUP = "schedule group"
    SCHEDULE_ROLE = "schedule role"
    S3_NOTIFICATION = "trigger"
    TOPIC_SUBSCRIPTION = "subscription"
    EVENT_SOURCE_MAPPING = "event source mapping"
    EVENT_TRIGGER = "event trigger"
    FUNCTION_URL = "url"
    ASYNC_INVOCATION = "asynchronous invocation"
    CONCURRENCY = "concurrency"
    PROVISIONED_CONCURRENCY = "provisioned concurrency"
    RECURSION = "recursion"
    NETWORK = "network"
    ALARM = "alarm"
    BUCKET = "bucket"
    TOPIC = "topic"
    QUEUE = "queue"
    STREAM = "stream"
    TABLE = "table"
    EVENT_BUS = "event bus"
    DASHBOARD = "dashboard"
    CATALOG = "catalog"
    SECRET = "secret"  # noqa: S105  # nosec B105  # the name of a kind


UNRESERVED = "unreserved"
"""The concurrency of a function that shares the account's with others."""


@dataclass(frozen=True)
class Alarm:
    """A CloudWatch alarm on one metric of a function.

    The fields are those of https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html.
    """

    name: str
    """Its name on CloudWatch is ``<function>-<name>``."""
    metric: str
    """The metric's name, such as ``Errors``."""
    namespace: str = "AWS/Lambda"
    """The metric's namespace."""
    threshold: float = 1.0
    """The value that the statistic is compared with, in the metric's unit."""
    period: int = 60
    """The length of one evaluation period, in seconds: 10, 20, 30 or a multiple of 60."""
    evaluation_periods: int = 1
    """How many periods are evaluated."""
    statistic: str = "Sum"
    """``Average``, ``Maximum``, ``Minimum``, ``SampleCount`` or ``Sum`` of a period."""
    comparison: str = "GreaterThanOrEqualToThreshold"
    """CloudWatch's comparison operator."""
    missing_data: str = "notBreaching"
    """How periods without data count: ``breaching``, ``ignore``, ``missing`` or ``notBreaching``."""
    topic: str | None = None
    """The name or the ARN of the SNS topic that is notified when the state becomes ALARM."""
    description: str = ""
    """Part of the notification: say what to do."""
    dimensions: Mapping[str, str] | None = None
    """The metric's dimensions; ``{"FunctionName": <function>}`` where ``None``."""
    alias: str = ""
    """Only the calls of this alias: ``live``, which schedules and triggers call. Empty: all calls of the function. It
    takes the place of ``dimensions``."""
    notify_on_ok: bool | None = None
    """Whether ``topic`` is notified when the state becomes OK again. ``None``: not managed."""
    notify_on_insufficient_data: bool = False
    """Notify also when the state becomes INSUFFICIENT_DATA, which needs data before. ``missing_data`` must be
    ``missing``."""
    expression: str = ""
    """What is compared in place of the metric, which is ``m`` in it: ``FILL(m, 0)``, whose periods without data count
    as 0. CloudWatch would evaluate the last periods that have data. See ``spec.metric_math``."""
    datapoints_to_alarm: int | None = None
    """How many of the ``evaluation_periods`` must breach the threshold; ``None``: all."""

    @property
    def watches_canary(self) -> bool:
        """Whether it shows a fault of a new version: one that waits for what does not happen, or stays, does not."""
        waits = self.notify_on_insufficient_data or self.missing_data == "breaching" or fills_gaps(self.expression)
        return not waits and self.missing_data != "ignore"


@dataclass(frozen=True)
class Canary:
    """Route a share of the calls to a new version before it receives all of them.

    The function's alarms watch it: when one is in ALARM, all calls are routed to the previous version again.
    https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
    """

    weight: float = 0.1
    """The share of calls for the new version: more than 0, less than 1."""
    minutes: float = 10.0
    """How long the new version receives that share."""

    @classmethod
    def of(cls, value: Canary | Mapping[str, Any]) -> Canary:
        """``value`` itself, or the canary with the fields of a mapping. Raises TypeError for other values."""
        return value if isinstance(value, Canary) else cls(**value)


@dataclass(frozen=True)
class FunctionSpec:
    """One Lambda function and its own resources: role, log group, schedule, triggers, alarms.

    A field that is ``None`` is not managed: what is on AWS stays. An empty one removes what is on AWS.
    """

    name: str
    """The function's name on AWS."""
    source: Path
    """The file or folder with its code."""
    handler: str | None = None
    """``module.function``; found in the source where ``None``."""
    runtime: str = THIS_RUNTIME
    """Lambda's identifier of the Python version, such as ``python3.12``."""
    architecture: str = "x86_64"
    """``x86_64`` or ``arm64``."""
    memory: int = 128
    """In MB; Lambda assigns CPU in proportion."""
    timeout: int = 60
    """In seconds."""
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    """Environment variables."""
    secret_environment: tuple[str, ...] = ()
    """Names of variables whose values are masked in plans, in addition to those that look like secrets."""
    include: tuple[Path, ...] = ()
    """More files and folders for the package."""
    package_root: Path | None = None
    """The folder where import names in the package begin. ``None``: the closest one above the source that is not a
    Python package."""
    extra_files: Mapping[str, bytes | Path] = field(default_factory=dict, repr=False)
    """More files: their names in the package, and their content or the file to read it from."""
    requirements: tuple[str, ...] = ()
    """Requirements in pip's syntax. They become a layer."""
    requirements_exclude: tuple[str, ...] = ()
    """Globs of installed files that the layer leaves out, such as ``numpy/f2py/**``."""
    layers: tuple[str, ...] = ()
    """The ARNs of versions of layers that exist. The layer of the requirements comes after them."""
    platform: str | None = None
    """uv's name of the platform that requirements are installed for. ``None``: the runtime's; :data:`HOST_PLATFORM`:
    this machine's."""
    provided_modules: tuple[str, ...] = ()
    """Modules that the function finds though no check can see them; with ``*``, imports are not checked."""
    schedule: str | None = None
    """The schedule expression of an EventBridge rule, in UTC. An empty string removes the rule."""
    schedules: tuple[Schedule, ...] | None = None
    """The schedules that EventBridge Scheduler runs, for what a rule cannot do."""
    schedule_role: str | None = None
    """The ARN of the role with which Scheduler invokes the function. ``None``: the toolkit creates one."""
    s3_triggers: tuple[S3Trigger, ...] | None = field(default=None, metadata=limited_by(s3.problems))
    """The S3 event notifications that invoke it."""
    topic_triggers: tuple[TopicTrigger, ...] | None = field(default=None, metadata=limited_by(topic.problems))
    """The SNS topics whose messages invoke it."""
    queue_triggers: tuple[QueueTrigger, ...] | None = field(default=None, metadata=limited_by(queue.problems))
    """The SQS queues whose messages invoke it."""
    stream_triggers: tuple[StreamTrigger, ...] | None = field(default=None, metadata=limited_by(stream.problems))
    """The Kinesis streams, and streams of DynamoDB tables, whose records invoke it."""
    event_triggers: tuple[EventTrigger, ...] | None = field(default=None, metadata=limited_by(event.problems))
    """The events of EventBridge that invoke it."""
    url: FunctionUrl | str | None = field(default=None, metadata=limited_by(function_url.problems))
    """Its HTTPS endpoint. An empty string removes it."""
    on_failure: str | None = None
    """The ARN of the queue, topic, bucket, event bus or function that gets events which failed for good."""
    retries: int | None = None
    """How often Lambda repeats an event that failed: 0 to 2."""
    max_event_age: int | None = None
    """For how many seconds Lambda keeps an event that it cannot deliver: 60 to 21,600."""
    concurrency: int | str | None = None
    """How many invocations run at most at a time, reserved in the account; :data:`UNRESERVED`: no limit of its own."""
    provisioned_concurrency: int | None = None
    """How many environments of the alias ``live`` are initialized before events come; 0: none."""
    recursive_loop: str | None = None
    """What Lambda does where the function starts itself again and again: ``Terminate``, or ``Allow``. Empty:
    ``Terminate``, Lambda's default."""
    alarms: tuple[Alarm, ...] | None = None
    """Its CloudWatch alarms."""
    permissions: Sequence[Mapping[str, Any]] | None = None
    """IAM statements of the execution role, in addition to those for its own log group."""
    role: str | None = None
    """The ARN of an execution role that exists; nothing of IAM is then read or written. ``None``: the toolkit creates
    one."""
    permissions_boundary: str | None = None
    """The ARN of the managed policy that limits the role that the toolkit creates. Empty: it has none."""
    vpc: Vpc | None = field(default=None, metadata=limited_by(network.problems))
    """The private network that it is attached to; an empty one detaches it."""
    log_retention_days: int | None = 30
    """How long CloudWatch Logs keeps its log, in days."""
    ephemeral_storage: int | None = None
    """In MB, of ``/tmp``: 512 to 10,240. 0: Lambda's default, 512."""
    tracing: str | None = None
    """``Active``: AWS X-Ray traces a share of the calls; ``PassThrough``, or empty: those that the caller traces."""
    kms_key: str | None = None
    """The ARN of the KMS key that encrypts the environment variables. Empty: AWS's own key."""
    snapstart: bool | None = None
    """Whether a version starts from a snapshot of its initialized environment."""
    log_format: str | None = None
    """``Text`` or ``JSON``: how Lambda writes its own lines, and those of Python's ``logging``. Empty: Text."""
    log_level: str | None = None
    """The least level of the function's own lines that is kept, such as ``WARN``. It needs JSON. Empty: ``INFO``."""
    system_log_level: str | None = None
    """The least level of Lambda's own lines: ``DEBUG``, ``INFO`` or ``WARN``. It needs JSON. Empty: ``INFO``."""
    log_group: str | None = None
    """The log group of others that the log goes to: it exists, and nothing of it is written. Empty: its own."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the function and its resources. A tag with an empty value is removed; undeclared tags stay."""
    description: str | None = None
    """The function's description on AWS."""
    zip_path: Path | None = None
    """Where a copy of the package is written, for inspection."""
    artifact_bucket: str | None = None
    """The bucket for packages that are too large for a direct upload. ``None``: one that the toolkit creates."""
    health_event: Mapping[str, Any] | None = None
    """The event of the smoke test: a new version goes live only if it handles this event without an error."""
    canary: Canary | None = None
    """How a new version is tried on a share of the calls. ``None``: it receives all calls immediately."""
    adopt: bool = False
    """Manage existing resources of these names that the toolkit did not create."""

    @property
    def all_schedules(self) -> tuple[Schedule, ...]:
        """That of the rule, and those of Scheduler."""
        return tuple(self.named_schedules().values())

    def named_schedules(self) -> dict[str, Schedule]:
        """Those by their names on AWS."""
        rule = {derived_name(self.name, "schedule"): Schedule(self.schedule)} if self.schedule else {}
        return {**rule, **{schedule_name(self.name, each): each for each in self.schedules or ()}}


@dataclass(frozen=True)
class TopicSpec:
    """An SNS topic with email subscriptions. AWS asks each address to confirm."""

    name: str
    """The topic's name."""
    emails: tuple[str, ...] | None = None
    """Exactly these addresses are subscribed; an empty tuple removes all. ``None``: not managed. Subscriptions of other
    protocols stay."""
    kms_key: str | None = None
    """The ARN of a KMS key that encrypts the messages, whose policy permits CloudWatch to use it; an empty text: none.
    ``None``: not managed. Without a key, SNS encrypts what it stores with its own (disk encryption)."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """A tag with an empty value is removed; undeclared tags stay."""
    adopt: bool = False
    """Manage an existing topic of this name that the toolkit did not create."""


@dataclass(frozen=True)
class DashboardSpec:
    """A CloudWatch dashboard. Three in an account are free."""

    name: str
    """The dashboard's name, unique in the account: dashboards have no region."""
    body: Mapping[str, Any] = field(repr=False)
    """CloudWatch's body: ``widgets``, ``start`` and others. Metrics are written out, without ``.``."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The application and stage that it belongs to, which are written into it: it has no tags."""
    adopt: bool = False
    """Replace an existing dashboard of this name that the toolkit did not create."""


@dataclass(frozen=True)
class SecretSpec:
    """A secret of Secrets Manager."""

    name: str
    """The secret's name."""
    value: str | None = field(default=None, repr=False)
    """The value to store. ``None``: the stored value stays."""
    environment: str = ""
    """The environment variable that the value comes from, for messages."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """A tag with an empty value is removed; undeclared tags stay."""
    adopt: bool = False
    """Manage an existing secret of this name that the toolkit did not create."""
    optional: bool = False
    """Where it does not exist and has no value, nothing is created, and a plan says so. Otherwise that is an error."""
    overwrite: bool = False
    """Write the value also where the stored one was changed since a deploy wrote it. Never where it is rotated."""


@dataclass(frozen=True)
class Deployment:
    """Everything that is deployed together."""

    functions: tuple[FunctionSpec, ...] = ()
    buckets: tuple[BucketSpec, ...] = ()
    topics: tuple[TopicSpec, ...] = ()
    secrets: tuple[SecretSpec, ...] = ()
    application: str = ""
    """With ``stage``, a tag of every resource, by which undeclared resources are found. Empty: no such tags."""
    stage: str = ""
    """The deployment stage, such as ``dev``."""
    notes: tuple[str, ...] = ()
    """What a plan shall say about the declaration; without secrets."""
    adopt: bool = False
    """Manage all existing resources of the declared names."""
    secrets_of_others: tuple[str, ...] = ()
    """The ARNs of secrets that functions read and others manage: never written, tagged or removed, whatever their
    tags."""
    dashboards: tuple[DashboardSpec, ...] = ()
    catalogs: tuple[CatalogSpec, ...] = ()

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
            dashboards=tuple(map(tagged, self.dashboards)),
            catalogs=tuple(map(tagged, self.catalogs)),
        )


_Spec = TypeVar("_Spec", FunctionSpec, BucketSpec, TopicSpec, SecretSpec, DashboardSpec, CatalogSpec)
