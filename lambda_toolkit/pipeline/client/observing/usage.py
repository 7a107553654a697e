"""What the deployed functions used: their REPORT lines, the sizes of their logs and buckets, how many batches.

A few reads per function. ``GetMetricStatistics`` is free for a million calls a month; ``GetMetricData`` never is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lambda_script import HOURS_A_MONTH
from lambda_toolkit.aws.parallel import readers
from lambda_toolkit.pipeline.client.lake import batches_after, last_batch
from lambda_toolkit.pipeline.client.observing.log_lines import json_object
from lambda_toolkit.pipeline.client.observing.logs import of_function
from lambda_toolkit.pipeline.config.aws.role_policy import group_of
from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.cost.month import ZERO, FunctionUse, Month, Network
from lambda_toolkit.pipeline.cost.workload import (
    ASSUMED,
    COLD_SHARE,
    Declared,
    Measured,
    Workload,
    declared,
    init_seconds,
    month,
)

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws

WINDOW = timedelta(days=7)  # whose runs are measured
LEAST_RUNS = 12  # of a function, from which a month can be concluded: an hour of five minutes each
_RECENT = 500  # batches whose times say how many there are in a month
_REPORT = re.compile(
    r"REPORT RequestId: \S+\s.*?Billed Duration: (?P<billed>[\d.]+) ms.*?Max Memory Used: (?P<used>\d+) MB", re.DOTALL
)
_PATTERNS = ('"REPORT RequestId"', '"platform.report"')  # of the two forms; a function's log has one of them
_THREADS = 6
_DAY = 86_400  # seconds
_LEAST_HOURS = Decimal(1)  # of batches, from which a month can be concluded


def workload(aws: Aws, pipeline: Pipeline, now: datetime) -> Workload:
    """What was measured in the week before ``now``. What ran less often than ``LEAST_RUNS`` is not in it.

    Raises AwsError where AWS cannot be asked.
    """
    buckets = [pipeline.bucket_name(name, aws.account_id) for name in pipeline.buckets]
    with readers(_THREADS) as pool:
        runs = {name: pool.submit(_measured, aws, pipeline, name, now) for name in pipeline.functions}
        sizes = [pool.submit(_bucket_bytes, aws, bucket, now) for bucket in buckets]
        ingestion = pipeline.bucket_name("ingestion", aws.account_id) if "ingestion" in pipeline.buckets else None
        batches = _batches_a_month(aws, ingestion, now) if ingestion else None
        stored = [size.result() for size in sizes]
        measured = {name: found for name, run in runs.items() if (found := run.result()) is not None}
    return Workload(
        batches=ASSUMED.batches if batches is None else batches,
        measured=measured,
        stored_gb=sum(filter(None, stored), ZERO) / 10**9 if any(stored) else None,
    )


def network_of(aws: Aws, pipeline: Pipeline) -> Network | None:
    """What of the functions' private networks costs something; ``None`` where the credentials do not show it.

    What passes the NAT gateways is not in it. Where there is no network, AWS is not asked. Raises AwsError.
    """
    vpcs = [each.spec.vpc for each in pipeline.functions.values() if each.spec.vpc is not None]
    if not any(vpc.is_attached for vpc in vpcs):
        return Network()
    from lambda_script import network_charges

    found = network_charges(aws, vpcs)
    return None if found is None else Network(nat_gateways=found.nat_gateways, endpoints=found.endpoints)


def month_so_far(aws: Aws, pipeline: Pipeline, now: datetime, network: Network | None = None) -> Month:
    """What this month, in UTC, used until ``now``: starts and durations as CloudWatch counted them.

    Requests to S3 and logs are those that so many starts make; alarms, metrics and secrets are charged by the hour.
    Raises AwsError where AWS cannot be asked.
    """
    begin = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    parts = replace(declared(pipeline), network=network or Network())
    with readers(_THREADS) as pool:
        counted = {
            (each.on_aws, metric): pool.submit(
                _sum, aws, "AWS/Lambda", metric, {"FunctionName": each.on_aws}, begin, now
            )
            for each in parts.functions
            for metric in ("Invocations", "Duration")
        }
        sums = {key: value.result() or ZERO for key, value in counted.items()}
    return so_far(parts, sums, Decimal((now - begin).total_seconds()) / 3600 / HOURS_A_MONTH)


def so_far(parts: Declared, sums: Mapping[tuple[str, str], Decimal], share: Decimal) -> Month:
    """The part of a month that is over, ``share``: ``sums`` has Invocations and Duration (ms) by a function's name."""
    whole = month(parts)

    def used(use: FunctionUse, on_aws: str) -> FunctionUse:
        starts = sums.get((on_aws, "Invocations"), ZERO)
        ratio = starts / use.starts if use.starts else ZERO
        seconds = sums.get((on_aws, "Duration"), ZERO) / 1000 + starts * COLD_SHARE * init_seconds(use.name)
        return replace(
            use,
            starts=starts,
            seconds=seconds,
            s3_writes=use.s3_writes * ratio,
            s3_reads=use.s3_reads * ratio,
            secret_reads=use.secret_reads * ratio,
            log_bytes=use.log_bytes * ratio,
            provisioned=use.provisioned * share,
        )

    functions = tuple(used(use, each.on_aws) for use, each in zip(whole.functions, parts.functions, strict=True))
    network = replace(
        whole.network,
        nat_gateways=whole.network.nat_gateways * share,
        nat_gb=whole.network.nat_gb * share,
        endpoints=whole.network.endpoints * share,
    )
    return replace(
        whole,
        functions=functions,
        alarm_metrics=whole.alarm_metrics * share,
        metrics=whole.metrics * share,
        dashboards=whole.dashboards * share,
        secrets=whole.secrets * share,
        kms_keys=whole.kms_keys * share,
        kms_requests=whole.kms_requests * share,
        emails=whole.emails * share,
        stored_gb=whole.stored_gb * share,
        log_gb=whole.log_gb * share,
        network=network,
    )


def reports(messages: Iterable[str]) -> Iterator[tuple[Decimal, int]]:
    """The billed seconds, with INIT, and the memory used in MB, of each line of Lambda that reports a run.

    Both forms: text, and JSON where the function's LoggingConfig says so. Lines of any other form are skipped.
    """
    for message in messages:
        if found := _REPORT.match(message):
            yield Decimal(found["billed"]) / 1000, int(found["used"])
        elif '"platform.report"' in message:
            metrics = _metrics(message)
            if "billedDurationMs" in metrics:
                yield Decimal(str(metrics["billedDurationMs"])) / 1000, int(metrics.get("maxMemoryUsedMB", 0))


def _metrics(message: str) -> Mapping[str, Any]:
    record = (json_object(message) or {}).get("record")
    found = record.get("metrics") if isinstance(record, dict) else None
    return found if isinstance(found, dict) else {}


def _measured(aws: Aws, pipeline: Pipeline, name: str, now: datetime) -> Measured | None:
    begin = now - WINDOW
    found = next(filter(None, (_reports_in(aws, pipeline, name, begin, pattern) for pattern in _PATTERNS)), ())
    if len(found) < LEAST_RUNS:
        return None
    group = group_of(pipeline, pipeline.functions[name], aws.account_id)
    shares = sum(group == group_of(pipeline, function, aws.account_id) for function in pipeline.functions.values()) > 1
    written = None if shares else _sum(aws, "AWS/Logs", "IncomingBytes", {"LogGroupName": group}, begin, now)
    return Measured(
        runs=len(found),
        seconds=sum((seconds for seconds, _ in found), ZERO) / len(found),
        memory_used=max(used for _, used in found),
        log_bytes=None if written is None else written / len(found),
    )


def _reports_in(
    aws: Aws, pipeline: Pipeline, name: str, begin: datetime, pattern: str
) -> tuple[tuple[Decimal, int], ...]:
    """The :func:`reports` of a function's log since ``begin``; none where it has no log."""
    events = of_function(aws, pipeline, name, int(begin.timestamp() * 1000), pattern=pattern)
    return tuple(reports(event["message"] for event in events))


def _bucket_bytes(aws: Aws, bucket: str, now: datetime) -> Decimal | None:
    """The size of a bucket as S3 measured it yesterday; None where it did not."""
    dimensions = {"BucketName": bucket, "StorageType": "StandardStorage"}
    points = _points(aws, "AWS/S3", "BucketSizeBytes", dimensions, now - timedelta(days=3), now, "Average")
    return Decimal(str(points[-1]["Average"])) if points else None


def _batches_a_month(aws: Aws, bucket: str, now: datetime) -> Decimal | None:
    last = last_batch(aws, bucket)
    recent = batches_after(aws, bucket, max(0, last - _RECENT)) if last else ()
    if len(recent) < 2:
        return None
    hours = Decimal((now - recent[0].written).total_seconds()) / 3600
    return len(recent) / hours * HOURS_A_MONTH if hours >= _LEAST_HOURS else None


def _sum(
    aws: Aws, namespace: str, metric: str, dimensions: Mapping[str, str], begin: datetime, end: datetime
) -> Decimal | None:
    points = _points(aws, namespace, metric, dimensions, begin, end, "Sum")
    return sum((Decimal(str(point["Sum"])) for point in points), ZERO) if points else None


def _points(
    aws: Aws,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    begin: datetime,
    end: datetime,
    statistic: str,
) -> list[dict[str, Any]]:
    answer = aws.call(
        "cloudwatch",
        "get_metric_statistics",
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=begin,
        EndTime=end,
        Period=_DAY,
        Statistics=[statistic],
    )
    return sorted(answer.get("Datapoints", ()), key=lambda point: point["Timestamp"])
