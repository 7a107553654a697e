"""What a month uses, and what that costs: the lines of a bill, each with and without what is free."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from lambda_script import HOURS_A_MONTH, PriceList

ZERO = Decimal(0)
_GB = Decimal(1024)  # MB: Lambda's GB-seconds
_SECONDS_A_MONTH = HOURS_A_MONTH * 3600


@dataclass(frozen=True)
class FunctionUse:
    """What one function uses in a month."""

    name: str
    memory: int
    """MB."""
    is_arm: bool
    starts: Decimal
    seconds: Decimal
    """All seconds that are billed: handlers, and the INIT phase of new environments, which is billed as well since
    August 2025 (https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/)."""
    s3_writes: Decimal = ZERO
    """PUT, POST and LIST requests."""
    s3_reads: Decimal = ZERO
    """GET and HEAD requests."""
    secret_reads: Decimal = ZERO
    log_bytes: Decimal = ZERO
    provisioned: Decimal | int = 0
    """Environments that are kept ready the whole month, and paid for whether or not they run."""

    @property
    def gb_seconds(self) -> Decimal:
        """Memory times the time that is billed as of any function: that of provisioned environments is not in it."""
        return self.memory / _GB * (self.seconds - self._seconds_in_provisioned)

    @property
    def gb_seconds_in_provisioned(self) -> Decimal:
        """Memory times the time that runs take in provisioned environments, which has a price of its own."""
        return self.memory / _GB * self._seconds_in_provisioned

    @property
    def gb_seconds_provisioned(self) -> Decimal:
        """Memory times the time that environments are kept ready."""
        return self.memory / _GB * self.provisioned * _SECONDS_A_MONTH

    @property
    def _seconds_in_provisioned(self) -> Decimal:
        """An environment handles one event at a time; what is more runs in others."""
        return min(self.seconds, self.provisioned * _SECONDS_A_MONTH)


@dataclass(frozen=True)
class Network:
    """What a private network adds: nothing where functions are attached to none."""

    nat_gateways: Decimal | int = 0
    nat_gb: Decimal = ZERO
    """What passes the NAT gateways in a month, in GB."""
    endpoints: Decimal | int = 0
    """Interface endpoints, each in each of its zones."""


@dataclass(frozen=True)
class Month:
    """What everything uses in a month."""

    functions: tuple[FunctionUse, ...] = ()
    alarm_metrics: Decimal | int = 0
    """The metrics of all alarms: an alarm with metric math counts each of its metrics."""
    metrics: Decimal | int = 0
    """Metrics that the functions publish, each with its dimensions."""
    dashboards: Decimal | int = 0
    secrets: Decimal | int = 0
    kms_keys: Decimal | int = 0
    kms_requests: Decimal = ZERO
    emails: Decimal = ZERO
    scheduled: Decimal = ZERO
    """Invocations by EventBridge Scheduler; those by rules cost nothing."""
    stored_gb: Decimal = ZERO
    """In the buckets, on average."""
    log_gb: Decimal = ZERO
    """In the log groups, on average."""
    network: Network = field(default_factory=Network)


@dataclass(frozen=True)
class Line:
    """One line of a bill."""

    service: str
    item: str
    quantity: Decimal
    unit: str
    price: Decimal
    """US dollars per unit."""
    free: Decimal
    """How much of the quantity is free, where nothing else in the account uses it."""

    @property
    def amount(self) -> Decimal:
        """US dollars, without anything that is free."""
        return self.quantity * self.price

    @property
    def amount_beyond_free(self) -> Decimal:
        """US dollars, where the account uses what is free for this alone."""
        return max(self.quantity - self.free, ZERO) * self.price


def bill(month: Month, prices: PriceList) -> tuple[Line, ...]:
    """The lines of ``month`` that are not zero, in the order of the services."""
    return tuple(line for line in _lines(month, prices) if line.quantity)


def total(month: Month, prices: PriceList) -> Decimal:
    """What ``month`` costs in US dollars, without anything that is free."""
    return sum((line.amount for line in bill(month, prices)), ZERO)


def _lines(month: Month, prices: PriceList) -> Iterator[Line]:
    def line(service: str, item: str, price: str, quantity: Decimal | int, free: Decimal | None = None) -> Line:
        found = prices[price]
        return Line(service, item, Decimal(quantity), found.unit, found.amount, found.free if free is None else free)

    def added(amount: Callable[[FunctionUse], Decimal]) -> Decimal:
        return sum(map(amount, month.functions), ZERO)

    x86 = added(lambda use: ZERO if use.is_arm else use.gb_seconds)
    free = prices["lambda_x86"].free
    network = month.network
    yield line("Lambda", "requests", "lambda_requests", added(lambda use: use.starts))
    yield line("Lambda", "GB-s, x86_64", "lambda_x86", x86)
    yield line(
        "Lambda",
        "GB-s, arm64",
        "lambda_arm",
        added(lambda use: use.gb_seconds if use.is_arm else ZERO),
        max(free - x86, ZERO),
    )
    for name, price, is_arm in (("x86_64", "x86", False), ("arm64", "arm", True)):
        same = [use for use in month.functions if use.is_arm == is_arm]
        provisioned = sum((use.gb_seconds_provisioned for use in same), ZERO)
        yield line("Lambda", f"GB-s provisioned, {name}", f"lambda_provisioned_{price}", provisioned)
        runs = sum((use.gb_seconds_in_provisioned for use in same), ZERO)
        yield line("Lambda", f"GB-s of runs in these, {name}", f"lambda_provisioned_runs_{price}", runs)
    yield line("S3", "PUT, POST, LIST", "s3_writes", added(lambda use: use.s3_writes))
    yield line("S3", "GET, HEAD", "s3_reads", added(lambda use: use.s3_reads))
    yield line("S3", "storage", "s3_storage", month.stored_gb)
    yield line("CloudWatch", "logs ingested", "logs_ingested", added(lambda use: use.log_bytes) / 10**9)
    yield line("CloudWatch", "logs stored", "logs_stored", month.log_gb)
    yield line("CloudWatch", "metrics", "metrics", month.metrics)
    yield line("CloudWatch", "alarms", "alarms", month.alarm_metrics)
    yield line("CloudWatch", "dashboards", "dashboards", month.dashboards)
    yield line("Secrets Manager", "secrets", "secrets", month.secrets)
    yield line("Secrets Manager", "calls", "secret_reads", added(lambda use: use.secret_reads))
    yield line("SNS", "emails", "emails", month.emails)
    yield line("Scheduler", "invocations", "scheduler", month.scheduled)
    yield line("KMS", "keys", "kms_keys", month.kms_keys)
    yield line("KMS", "requests", "kms_requests", month.kms_requests)
    yield line("VPC", "NAT gateways", "nat_hours", network.nat_gateways * HOURS_A_MONTH)
    yield line("VPC", "NAT traffic", "nat_traffic", network.nat_gb)
    yield line("VPC", "public addresses", "public_address_hours", network.nat_gateways * HOURS_A_MONTH)
    yield line("VPC", "endpoints", "endpoint_hours", network.endpoints * HOURS_A_MONTH)
