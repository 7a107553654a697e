"""When the functions of a pipeline were started last, whether that failed, and when their schedules start them next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lambda_script import Schedule
from lambda_toolkit.pipeline.client.observing.batches import iso
from lambda_toolkit.pipeline.cost.schedule import interval

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws
    from lambda_toolkit.pipeline.config.model import Pipeline

WINDOW = timedelta(hours=3)  # CloudWatch keeps minutes for 15 days; a request has 1,440 of them at most
_METRICS = ("Invocations", "Errors")


def last_starts(aws: Aws, pipeline: Pipeline, now: datetime) -> dict[str, dict[str, Any]]:
    """Function -> ``last_run``, the minute of its last start in the last three hours, and ``last_failed``.

    CloudWatch has them a minute or two late. Both are None where there was none. Raises AwsError.
    """
    names = list(pipeline.functions)
    queries = [
        {
            "Id": f"q{number}_{metric.lower()}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/Lambda",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "FunctionName", "Value": pipeline.function_name(name)}],
                },
                "Period": 60,
                "Stat": "Sum",
            },
        }
        for number, name in enumerate(names)
        for metric in _METRICS
    ]
    answers = aws.list_all(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults",
        MetricDataQueries=queries,
        StartTime=now - WINDOW,
        EndTime=now + timedelta(minutes=1),
    )
    found: dict[str, dict[datetime, float]] = {}
    for answer in answers:
        found.setdefault(answer["Id"], {}).update(zip(answer["Timestamps"], answer["Values"], strict=True))
    made = {}
    for number, name in enumerate(names):
        starts, errors = (found.get(f"q{number}_{metric.lower()}", {}) for metric in _METRICS)
        last = max((time for time, count in starts.items() if count), default=None)
        made[name] = {
            "last_run": iso(last) if last else None,
            "last_failed": bool(errors.get(last)) if last else None,
        }
    return made


def next_run(schedules: Iterable[Schedule], last: datetime | None, now: datetime) -> datetime | None:
    """When one of ``schedules`` starts the function next, in UTC; None where that is not known.

    A rate counts from the last start, ``last``: one that is overdue is due now. Of a flexible window, it is the begin.
    """
    found = (_next_run(schedule, last, now) for schedule in schedules)
    return min((moment for moment in found if moment is not None), default=None)


def _next_run(schedule: Schedule, last: datetime | None, now: datetime) -> datetime | None:
    every = interval(schedule.expression)
    if every is None:
        return schedule.next_fire(now)
    start, end = schedule.starts, schedule.ends
    begin = start if start and start > now else None if last is None else max(last + every, now)
    return None if begin is None or (end and begin > end) else begin
