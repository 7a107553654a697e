"""What a month of the declared functions uses: how often they start, how long they run, what each run reads and writes.

Durations are measured where functions ran (``client.measured``), and assumed otherwise; requests and sizes are what
the functions do with the sample database, which a test counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from lambda_script import HOURS_A_MONTH, FunctionSpec
from lambda_toolkit.pipeline.config.aws.deployment import function_spec
from lambda_toolkit.pipeline.config.model import WEBHOOK, Pipeline
from lambda_toolkit.pipeline.cost.month import ZERO, FunctionUse, Month, Network
from lambda_toolkit.pipeline.cost.schedule import starts_a_month
from lambda_toolkit.pipeline.lambdas.shared.metrics import METRICS

DAYS = HOURS_A_MONTH / 24
BATCHES_A_DAY = 96  # assumed: changes in one of three quarters of an hour, where extract starts that often
MONTHS_STORED = 6  # assumed: nothing in the buckets expires, and a pipeline is half a year old on average
COLD_SHARE = Decimal("0.05")  # assumed: new environments per start. Lambda says less than 1 % for busy functions
ALARMS_A_MONTH = 4  # assumed: alarms that are raised, each with an email per address
_ANY_ACCOUNT = "000000000000"  # the names of what is declared are not asked for
_KMS_PER_S3 = Decimal("0.01")  # S3 bucket keys reduce the requests to KMS by up to 99 %


@dataclass(frozen=True)
class Run:
    """What one run uses."""

    seconds: Decimal
    """Billed, without INIT, at 1 GB."""
    s3_writes: int = 0
    s3_reads: int = 0
    log_bytes: int = 1200
    """With the runtime's own lines and CloudWatch's 26 bytes per event."""


@dataclass(frozen=True)
class Behaviour:
    """What one function does."""

    idle: Run
    """A run that finds nothing to do."""
    batch: Run
    """A run with a batch of some rows."""
    init_seconds: Decimal = Decimal("1.2")
    stored_bytes: int = 0
    """What a batch adds to a bucket."""


def _run(seconds: str, writes: int = 0, reads: int = 0, log_bytes: int = 1200) -> Run:
    return Run(Decimal(seconds), writes, reads, log_bytes)


BEHAVIOURS: Mapping[str, Behaviour] = {
    "extract": Behaviour(_run("0.5", 1, 2, 2500), _run("1.5", 12, 6, 5000), stored_bytes=150_000),
    "transform": Behaviour(_run("0.3", 7, 0), _run("0.8", 8, 8, 3500), stored_bytes=15_000),
    "load": Behaviour(_run("0.4", 1, 1), _run("1.2", 1, 9, 5000)),
}
OTHER = Behaviour(_run("0.3", 1, 1), _run("0.3", 1, 1), Decimal("0.5"))
"""Assumed of any other function: a batch makes no difference."""


@dataclass(frozen=True)
class Measured:
    """What runs of one function took."""

    runs: int
    seconds: Decimal
    """The mean of what was billed, with the INIT phase of those runs that had one."""
    log_bytes: Decimal | None
    """The mean per run; None: not known."""
    memory_used: int
    """The most, in MB."""


@dataclass(frozen=True)
class Workload:
    """What the declaration does not say."""

    batches: Decimal = BATCHES_A_DAY * DAYS
    """A month, where extract starts that often."""
    measured: Mapping[str, Measured] = field(default_factory=dict)
    """By the name of the function in the file."""
    stored_gb: Decimal | None = None
    """``None``: assumed."""


ASSUMED = Workload()


@dataclass(frozen=True)
class DeclaredFunction:
    """What of one function's declaration costs something."""

    name: str
    """In the file."""
    on_aws: str
    """Its name on AWS."""
    memory: int
    is_arm: bool
    schedules: Mapping[str, str]
    """Its schedules' expressions, by their names on AWS."""
    is_triggered: bool
    """Whether S3 starts it, once per batch."""
    alarms: Mapping[str, int]
    """The number of metrics of each alarm, by the alarm's name on CloudWatch."""
    metrics: int
    """How many metrics of its own it publishes."""
    retention_days: int | None
    """``None``: its log is kept for ever."""
    secrets_read: int
    """How many secrets each run reads."""
    provisioned: int = 0
    """How many environments are kept ready; what is not declared is not known."""


@dataclass(frozen=True)
class Declared:
    """What of a declaration costs something."""

    functions: tuple[DeclaredFunction, ...]
    secrets: frozenset[str]
    """The names of those that are written; others' are paid for by others."""
    kms_keys: int = 0
    emails: int = 0
    """Addresses."""
    dashboards: int = 0
    network: Network = field(default_factory=Network)


def declared(pipeline: Pipeline) -> Declared:
    """What of ``pipeline`` costs something. Raises ConfigurationError for names that cannot be expanded."""
    keys = {key for key in (pipeline.topic.kms_key, *(each.kms_key for each in pipeline.buckets.values())) if key}
    # A webhook is optional, and read only where there is a message.
    databases = {name: secret for name, secret in pipeline.secrets.items() if secret.kind != WEBHOOK}
    written = (secret for secret in databases.values() if secret.is_stored)
    return Declared(
        functions=tuple(
            of_spec(
                each.name,
                function_spec(pipeline, each, _ANY_ACCOUNT),
                secrets_read=len(databases.keys() & set(each.secrets)),
            )
            for each in pipeline.functions.values()
        ),
        secrets=frozenset(pipeline.expand(secret.template, _ANY_ACCOUNT) for secret in written),
        kms_keys=len(keys),
        emails=len(pipeline.topic.emails or ()),
        dashboards=int(pipeline.dashboard is not None),
    )


def of_spec(name: str, spec: FunctionSpec, *, secrets_read: int) -> DeclaredFunction:
    """What of ``spec``, declared as ``name``, costs something."""
    alarms = spec.alarms or ()
    own = {alarm.metric for alarm in alarms if not alarm.namespace.startswith("AWS/")}
    own |= {metric.name for metric in METRICS if name in metric.functions}
    return DeclaredFunction(
        name=name,
        on_aws=spec.name,
        memory=spec.memory,
        is_arm=spec.architecture == "arm64",
        schedules={name: each.expression for name, each in spec.named_schedules().items()},
        is_triggered=bool(spec.s3_triggers),
        alarms={f"{spec.name}-{alarm.name}": 1 for alarm in alarms},  # its expression has one metric, too
        metrics=len(own),
        retention_days=spec.log_retention_days,
        secrets_read=secrets_read,
        provisioned=spec.provisioned_concurrency or 0,
    )


def month(declared: Declared, workload: Workload = ASSUMED) -> Month:
    """What a month of ``declared`` uses."""
    batches = _batches(declared, workload)
    stored = sum(BEHAVIOURS.get(each.name, OTHER).stored_bytes for each in declared.functions)
    uses = tuple(_use(each, batches, workload.measured.get(each.name)) for each in declared.functions)
    requests = sum((use.s3_reads + use.s3_writes for use in uses), ZERO)
    return Month(
        functions=uses,
        alarm_metrics=sum(sum(each.alarms.values()) for each in declared.functions),
        metrics=sum(each.metrics for each in declared.functions),
        dashboards=declared.dashboards,
        secrets=len(declared.secrets),
        kms_keys=declared.kms_keys,
        kms_requests=requests * _KMS_PER_S3 if declared.kms_keys else ZERO,
        emails=Decimal(declared.emails * ALARMS_A_MONTH),
        stored_gb=batches * MONTHS_STORED * stored / 10**9 if workload.stored_gb is None else workload.stored_gb,
        log_gb=sum(map(_kept, declared.functions, uses), ZERO),
        scheduled=sum((_by_scheduler(each) for each in declared.functions), ZERO),
        network=declared.network,
    )


def _by_scheduler(function: DeclaredFunction) -> Decimal:
    """How often EventBridge Scheduler starts it: the name of its schedules has a dot, which that of a rule has not."""
    return starts_a_month(*(each for name, each in function.schedules.items() if "." in name))


def init_seconds(function: str) -> Decimal:
    """How long the INIT phase of the function declared as ``function`` is assumed to take."""
    return BEHAVIOURS.get(function, OTHER).init_seconds


def _batches(declared: Declared, workload: Workload) -> Decimal:
    """How many batches a month has: at most one for each start of extract."""
    starts = [starts_a_month(*each.schedules.values()) for each in declared.functions if each.name == "extract"]
    return min([workload.batches, *starts])


def _use(function: DeclaredFunction, batches: Decimal, measured: Measured | None) -> FunctionUse:
    behaviour = BEHAVIOURS.get(function.name, OTHER)
    on_schedule = starts_a_month(*function.schedules.values())
    busy = batches if function.is_triggered else min(batches, on_schedule)
    idle = on_schedule if function.is_triggered else on_schedule - busy
    starts = idle + busy

    def spent(amount: str) -> Decimal:
        return idle * Decimal(getattr(behaviour.idle, amount)) + busy * Decimal(getattr(behaviour.batch, amount))

    return FunctionUse(
        name=function.name,
        memory=function.memory,
        is_arm=function.is_arm,
        starts=starts,
        seconds=starts * measured.seconds
        if measured
        else spent("seconds") + starts * COLD_SHARE * behaviour.init_seconds,
        s3_writes=spent("s3_writes"),
        s3_reads=spent("s3_reads"),
        secret_reads=starts * function.secrets_read,
        log_bytes=spent("log_bytes") if measured is None or measured.log_bytes is None else starts * measured.log_bytes,
        provisioned=function.provisioned,
    )


def _kept(function: DeclaredFunction, use: FunctionUse) -> Decimal:
    """What a function's log has on average, in GB: half a year's where nothing ends it."""
    days = DAYS * MONTHS_STORED if function.retention_days is None else Decimal(function.retention_days)
    return use.log_bytes / 10**9 * days / DAYS
