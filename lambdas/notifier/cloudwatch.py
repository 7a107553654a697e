"""What CloudWatch says of alarms: as it describes them, and in the messages that it publishes to a topic."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from .incidents import Observation, Transition
from .letters import Kind, Letter

MOST_NAMES = 100  # that DescribeAlarms takes
TEST = "AlertTest"  # the key of the message that `alert-test` publishes


def described(client: Any, names: Collection[str]) -> dict[str, Observation]:
    """The alarms called ``names`` that exist, through a boto3 CloudWatch client. Raises ClientError."""
    ordered, found = sorted(names), dict[str, Observation]()
    for first in range(0, len(ordered), MOST_NAMES):
        some = ordered[first : first + MOST_NAMES]
        types = ["MetricAlarm", "CompositeAlarm"]
        answer = client.describe_alarms(AlarmNames=some, AlarmTypes=types, MaxRecords=MOST_NAMES)
        for alarm in (*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())):
            found[alarm["AlarmName"]] = _observation(alarm)
    return found


def _observation(alarm: Mapping[str, Any]) -> Observation:
    since: datetime = alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"]
    return Observation(
        state=alarm["StateValue"],
        since=since.astimezone(UTC),
        reason=alarm.get("StateReason") or "",
        needs_data=bool(alarm.get("InsufficientDataActions")),
        description=alarm.get("AlarmDescription") or "",
        is_exact="StateTransitionedTimestamp" in alarm,
    )


def read_record(record: Mapping[str, Any], now: datetime) -> Transition | Letter:
    """What one record of an event of SNS is about: an alarm, a test, or something else, which is passed on as it is."""
    sns = record.get("Sns") or {}
    text = str(sns.get("Message") or "")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict):
        if transition := _transition(document):
            return transition
        if isinstance(document.get(TEST), str):
            return Letter(f"{Kind.TEST} {document[TEST]}", Kind.TEST, now, text=document[TEST])
    identity = str(sns.get("MessageId") or text)
    return Letter(f"{Kind.NOTE} {identity}", Kind.NOTE, now, text=text, subject=str(sns.get("Subject") or ""))


def _transition(document: Mapping[str, Any]) -> Transition | None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html."""
    try:
        at = datetime.fromisoformat(document["StateChangeTime"])
        return Transition(
            alarm=str(document["AlarmName"]),
            old=str(document["OldStateValue"]),
            new=str(document["NewStateValue"]),
            at=at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC),
            reason=str(document.get("NewStateReason") or ""),
            description=str(document.get("AlarmDescription") or ""),
        )
    except (KeyError, ValueError, TypeError):
        return None
