"""A function's CloudWatch alarms."""

from __future__ import annotations

from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Key
from lambda_toolkit.resources import tags
from lambda_toolkit.resources.diff import differences
from lambda_toolkit.spec.model import Alarm, FunctionSpec
from lambda_toolkit.spec.ownership import as_list, as_mapping, desired_tags, is_owned, require_owned

KIND = "alarm"
_NOT_OURS = ("OKActions",)  # CloudWatch takes an alarm as a whole: what is not managed is said again
_UNWANTED = {"DatapointsToAlarm": None, "Unit": None}  # set by other hands, they change what is declared


def alarm_name(function: str, alarm: str) -> str:
    """The name of the alarm on CloudWatch."""
    return f"{function}-{alarm}"


def read_alarms(aws: Aws, prefix: str) -> list[dict[str, Any]]:
    """The alarms whose names begin with ``prefix``; read once."""
    return aws.cached(
        ("alarms", prefix),
        lambda: aws.list_all("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=prefix),
    )


def plan(aws: Aws, spec: FunctionSpec, prefix: str) -> list[Change]:
    """The changes that bring the function's alarms to ``spec`` and remove those that it no longer declares.

    Where ``spec`` says nothing of alarms, none is read. ``prefix`` is what functions are listed by.
    """
    if spec.alarms is None:
        return []
    live = _read(aws, spec.name, prefix)
    wanted = {alarm_name(spec.name, alarm.name): alarm for alarm in spec.alarms}
    changes = [change for name, alarm in wanted.items() for change in _plan_one(aws, spec, name, alarm, live.get(name))]
    dropped = (name for name in live if name not in wanted)
    return [*changes, *(change for name in dropped for change in plan_dropped(aws, spec.name, name))]


def plan_removal(aws: Aws, function: str) -> list[Change]:
    """The changes that remove all alarms that the toolkit made for ``function``."""
    return [change for name in _read(aws, function, function) for change in plan_dropped(aws, function, name)]


def _plan_one(aws: Aws, spec: FunctionSpec, name: str, alarm: Alarm, live: dict[str, Any] | None) -> list[Change]:
    desired = _desired(aws, spec.name, alarm)
    parameters = {**desired, "Dimensions": _dimensions(desired["Dimensions"])}
    after: frozenset[Key] = frozenset({("topic", alarm.topic.rpartition(":")[2])} if alarm.topic else ())
    if live is None:

        def create(aws: Aws) -> None:
            labels = as_list(desired_tags(spec.tags, spec.name))
            aws.call("cloudwatch", "put_metric_alarm", AlarmName=name, **parameters, Tags=labels)

        what = f"{alarm.namespace} {alarm.metric} {alarm.comparison} {alarm.threshold:g} in {alarm.period} s"
        return [Change(KIND, name, "create", (what,), after, apply=create)]

    arn = aws.arn("cloudwatch", f"alarm:{name}")
    live_tags = tags.tags_of(aws, arn, spec.tags, spec.name, lambda: _tags(aws, arn))
    require_owned(KIND, name, live_tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
    tag_change = tags.compare(live_tags, spec.tags, spec.name)
    found = differences(_comparable(live), {**desired, **_UNWANTED})
    kept = {key: live[key] for key in _NOT_OURS if live.get(key)}
    if not found and not tag_change:
        return []

    def update(aws: Aws) -> None:
        if found:
            aws.call("cloudwatch", "put_metric_alarm", AlarmName=name, **parameters, **kept)
        tag_change.apply(aws, "cloudwatch", arn)

    return [Change(KIND, name, "update", after=after, differences=(*found, *tag_change.differences), apply=update)]


def plan_dropped(aws: Aws, function: str, name: str) -> list[Change]:
    """The change that removes the alarm ``name``, if the toolkit made it for ``function``."""
    if not is_owned(_tags(aws, aws.arn("cloudwatch", f"alarm:{name}")), function):
        return []

    def delete(aws: Aws) -> None:
        aws.call("cloudwatch", "delete_alarms", AlarmNames=[name])

    return [Change(KIND, name, "delete", apply=delete)]


def _desired(aws: Aws, function: str, alarm: Alarm) -> dict[str, Any]:
    dimensions = {"FunctionName": function} if alarm.dimensions is None else dict(alarm.dimensions)
    topic = alarm.topic and (alarm.topic if alarm.topic.startswith("arn:") else aws.arn("sns", alarm.topic))
    return {
        "AlarmDescription": alarm.description,
        "MetricName": alarm.metric,
        "Namespace": alarm.namespace,
        "Dimensions": dimensions,
        "Statistic": alarm.statistic,
        "Threshold": float(alarm.threshold),
        "ComparisonOperator": alarm.comparison,
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        "TreatMissingData": alarm.missing_data,
        "AlarmActions": [topic] if topic else [],
        "InsufficientDataActions": [topic] if topic and alarm.notify_on_insufficient_data else [],
        "ActionsEnabled": True,
    }


def _comparable(live: dict[str, Any]) -> dict[str, Any]:
    dimensions = {item["Name"]: item["Value"] for item in live.get("Dimensions") or ()}
    points = live.get("DatapointsToAlarm")
    if points == live.get("EvaluationPeriods"):
        points = None  # all of them, as without it
    live = {**live, "DatapointsToAlarm": points or None, "Unit": live.get("Unit") or None}
    # CloudWatch leaves out what is empty.
    empty = {"AlarmDescription": "", "AlarmActions": [], "InsufficientDataActions": []}
    return {**empty, **{name: value for name, value in live.items() if value is not None}, "Dimensions": dimensions}


def _dimensions(mapping: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in mapping.items()]


def _read(aws: Aws, function: str, prefix: str) -> dict[str, dict[str, Any]]:
    """The alarms whose names begin with the function's: its own, by their tags, among them."""
    alarms = read_alarms(aws, prefix)
    return {str(alarm["AlarmName"]): alarm for alarm in alarms if alarm["AlarmName"].startswith(f"{function}-")}


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    answer = aws.find("cloudwatch", "list_tags_for_resource", ResourceARN=arn)
    return as_mapping(answer.get("Tags")) if answer else {}
