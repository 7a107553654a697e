"""What is deployed of a pipeline: the live versions of its functions, and the states of its alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambda_script import LIVE
from lambda_toolkit.pipeline.config.model import Pipeline

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws


def function_state(aws: Aws, pipeline: Pipeline, function: str) -> dict[str, Any]:
    """The live version of ``function`` as JSON values; its ``version`` is ``None`` where it is not deployed."""
    name = pipeline.function_name(function)
    declared = pipeline.functions[function]
    starts = [*(["S3 event"] if declared.s3_triggers else []), *filter(None, [declared.spec.schedule])]
    schedule = ", ".join(starts) or None
    live = aws.find("lambda", "get_function_configuration", FunctionName=name, Qualifier=LIVE)
    if live is None:
        absent = dict.fromkeys(("version", "runtime", "last_deployed"))
        return {"name": name, "state": "not deployed", "schedule": schedule, **absent}
    return {
        "name": name,
        "state": live.get("State", "Active"),
        "version": live["Version"],
        "runtime": live.get("Runtime"),
        "schedule": schedule,
        "last_deployed": readable_time(live["LastModified"]),
    }


def alarm_states(aws: Aws, pipeline: Pipeline) -> list[dict[str, Any]]:
    """The alarms of all functions of the pipeline's stage, each with its state, as JSON values."""
    prefix = f"{pipeline.name}-{pipeline.stage}-"
    alarms = aws.list_all("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=prefix)
    return [
        {
            "name": alarm["AlarmName"],
            "state": alarm["StateValue"],
            "since": readable_time(alarm["StateUpdatedTimestamp"].isoformat()),
            "reason": alarm.get("StateReason", ""),
        }
        for alarm in alarms
    ]


def readable_time(text: str) -> str:
    """An ISO 8601 time in UTC to the second, such as ``2026-01-02 03:04:05Z``."""
    return text[:19].replace("T", " ") + "Z"
