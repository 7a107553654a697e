"""What is deployed of a pipeline: the live versions of its functions, and the states of its alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambda_script import LIVE
from lambda_toolkit.pipeline.config.model import Pipeline

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws


SUBSCRIPTION_ADVICE = {
    "not confirmed": "AWS sent it a link to confirm the subscription, and waits for that. Is it in the spam folder? "
    "After three days a deploy sends another.",
    "not subscribed": "It is declared and not subscribed.",
}
"""By the states of :func:`subscription_states`, what to know; a deploy is what to do."""


def function_state(aws: Aws, pipeline: Pipeline, function: str) -> dict[str, Any]:
    """The live version of ``function`` as JSON values; its ``version`` is ``None`` where it is not deployed."""
    name = pipeline.function_name(function)
    declared = pipeline.functions[function]
    topics = declared.topic_triggers or ()
    starts = [
        *(["S3 event"] if declared.s3_triggers else []),
        *map("topic {}".format, topics),
        *map(str, declared.spec.all_schedules),
    ]
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
            "description": alarm.get("AlarmDescription", ""),
        }
        for alarm in alarms
    ]


def subscription_states(aws: Aws, pipeline: Pipeline) -> list[dict[str, str]]:
    """Each address of the topic of alerts, and each that is declared, with its state, as JSON values.

    ``confirmed``, ``not confirmed`` (nothing is sent to it: its owner must follow the link that AWS sent, within three
    days), or ``not subscribed``. Empty where the topic does not exist.
    """
    topic = aws.arn("sns", pipeline.expand(pipeline.topic.name, aws.account_id))
    if aws.find("sns", "get_topic_attributes", TopicArn=topic) is None:
        return []
    states = dict.fromkeys(pipeline.topic.emails or (), "not subscribed")
    for item in aws.list_all("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic):
        if item["Protocol"] == "email":
            confirmed = str(item["SubscriptionArn"]).startswith("arn:")
            states[item["Endpoint"]] = "confirmed" if confirmed else "not confirmed"
    return [{"address": address, "state": state} for address, state in sorted(states.items())]


def readable_time(text: str) -> str:
    """An ISO 8601 time in UTC to the second, such as ``2026-01-02 03:04:05Z``."""
    return text[:19].replace("T", " ") + "Z"
