"""A function's CloudWatch alarms."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Key
from lambda_toolkit.resources.planning import tags
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.destinations import exists
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.reads import Listing, Prefetch
from lambda_toolkit.spec.metric_math import METRIC_ID
from lambda_toolkit.spec.model import Alarm, FunctionSpec, Kind
from lambda_toolkit.spec.ownership import as_list, as_mapping, desired_tags, is_owned, require_owned

KIND = Kind.ALARM
DEPLOYER_ACTIONS = DeployerActions(
    "Alarms",
    "cloudwatch",
    ("DeleteAlarms", "ListTagsForResource", "PutMetricAlarm", "TagResource", "UntagResource"),
    lists=("DescribeAlarms",),
)
_ALARMS = Listing("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmNamePrefix", "AlarmName")
_OK_ACTIONS = "OKActions"  # PutMetricAlarm replaces all attributes, so where unmanaged, they are resent unchanged
_UNWANTED = {"Unit": None}  # set outside this tool, it changes the alarm's behaviour
_OF_ONE_METRIC = ("MetricName", "Namespace", "Dimensions", "Statistic", "Period")  # of an alarm without an expression
_RESULT = "e"  # the id of the expression that is compared


def alarm_name(function: str, alarm: str) -> str:
    """The name of the alarm on CloudWatch."""
    return f"{function}-{alarm}"


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """All alarms whose names begin with the function's."""
    return [_arn(arns, alarm_name(spec.name, "*"))]


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """None: CloudWatch watches the function, which needs no permission for that."""
    return ()


def prefetch(context: Context) -> Prefetch:
    """The list of alarms, where alarms are declared."""
    if context.spec.alarms is None:
        return Prefetch({})
    return Prefetch(context.reads.prefetch_listed(_ALARMS, context.spec.name))


def plan(context: Context) -> list[Change]:
    """The changes that bring the alarms to ``context.spec``, and delete those that it no longer declares."""
    spec = context.spec
    if spec.alarms is None:
        return []
    live = _live(context)
    wanted = {alarm_name(spec.name, alarm.name): alarm for alarm in spec.alarms}
    changes = [change for name, alarm in wanted.items() for change in _plan_one(context, name, alarm, live.get(name))]
    return [*changes, *(change for name in live if name not in wanted for change in _plan_deletion(context, name))]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """The deletion of alarms that exist though none is declared."""
    if context.spec.alarms is not None:
        return []
    names = sorted(item.removeprefix("alarm:") for item in tagged if item.startswith("alarm:"))
    return [change for name in names for change in _plan_deletion(context, name)]


def plan_removal(context: Context) -> list[Change]:
    """The changes that delete all alarms that the toolkit created for the function."""
    return [change for name in _live(context) for change in _plan_deletion(context, name)]


def _plan_one(context: Context, name: str, alarm: Alarm, live: Mapping[str, Any] | None) -> list[Change]:
    spec = context.spec
    desired = _desired(context.reads, spec.name, alarm)
    parameters = {**_request(desired), "AlarmName": name}
    after: frozenset[Key] = frozenset({(Kind.TOPIC, alarm.topic.rpartition(":")[2])} if alarm.topic else ())
    if live is None:

        def create(executor_aws: Aws) -> None:
            labels = as_list(desired_tags(spec.tags, spec.name))
            executor_aws.call("cloudwatch", "put_metric_alarm", **parameters, Tags=labels)

        what = f"{_what(alarm)} {alarm.comparison} {alarm.threshold:g} in {_duration(alarm)}"
        missing = frozenset(key for key in after if not exists(context, _topic(context.reads, alarm)))
        return [Change(KIND, name, "create", (what,), after, missing=missing, apply=create)]

    arn = _arn(context.reads, name)
    live_tags = context.reads.tags(arn, spec.tags, spec.name, lambda: _tags(context.aws, arn))
    require_owned(KIND, name, live_tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
    tag_change = tags.compare(live_tags, spec.tags, spec.name)
    found = differences(_comparable(live), {**desired, **_UNWANTED})
    kept = {_OK_ACTIONS: live[_OK_ACTIONS]} if alarm.notify_on_ok is None and live.get(_OK_ACTIONS) else {}
    if not found and not tag_change:
        return []

    def update(executor_aws: Aws) -> None:
        if found:
            executor_aws.call("cloudwatch", "put_metric_alarm", **parameters, **kept)
        tag_change.apply(executor_aws, "cloudwatch", arn)

    return [Change(KIND, name, "update", after=after, differences=(*found, *tag_change.differences), apply=update)]


def _topic(arns: ArnFormat, alarm: Alarm) -> str:
    """The ARN of its topic; empty where it has none."""
    topic = alarm.topic or ""
    return arns.arn("sns", topic) if topic and not topic.startswith("arn:") else topic


def _plan_deletion(context: Context, name: str) -> list[Change]:
    """The change that deletes the alarm ``name``, if the toolkit created it for the function."""
    if not is_owned(_tags(context.aws, _arn(context.reads, name)), context.spec.name):
        return []

    def delete(executor_aws: Aws) -> None:
        executor_aws.find("cloudwatch", "delete_alarms", AlarmNames=[name])

    return [Change(KIND, name, "delete", apply=delete)]


def _arn(arns: ArnFormat, name: str) -> str:
    return arns.arn("cloudwatch", f"alarm:{name}")


def _what(alarm: Alarm) -> str:
    metric = f"{alarm.namespace} {alarm.metric}"
    return f"{alarm.expression} of {metric}" if alarm.expression else metric


def _duration(alarm: Alarm) -> str:
    if alarm.evaluation_periods == 1:
        return f"{alarm.period} s"
    points = alarm.datapoints_to_alarm or alarm.evaluation_periods
    return f"{points} of {alarm.evaluation_periods} periods of {alarm.period} s"


def _desired(arns: ArnFormat, function: str, alarm: Alarm) -> dict[str, Any]:
    """The attributes in the form of :func:`_comparable`; ``None`` for those that it shall not have."""
    dimensions = _of_function(function, alarm) if alarm.dimensions is None else dict(alarm.dimensions)
    topic = _topic(arns, alarm)
    points = alarm.datapoints_to_alarm
    one_metric = {
        "MetricName": alarm.metric,
        "Namespace": alarm.namespace,
        "Dimensions": dimensions,
        "Statistic": alarm.statistic,
        "Period": alarm.period,
    }
    measured = {**dict.fromkeys(_OF_ONE_METRIC), "Metrics": _metrics(alarm, dimensions)}
    return {
        "AlarmDescription": alarm.description,
        **(measured if alarm.expression else {**one_metric, "Metrics": []}),
        "Threshold": float(alarm.threshold),
        "ComparisonOperator": alarm.comparison,
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": None if points == alarm.evaluation_periods else points,
        "TreatMissingData": alarm.missing_data,
        "AlarmActions": [topic] if topic else [],
        "InsufficientDataActions": [topic] if topic and alarm.notify_on_insufficient_data else [],
        **({} if alarm.notify_on_ok is None else {_OK_ACTIONS: [topic] if topic and alarm.notify_on_ok else []}),
        "ActionsEnabled": True,
    }


def _of_function(function: str, alarm: Alarm) -> dict[str, str]:
    """The dimensions of a function's metrics; of an alias they have a resource, too.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
    """
    return {"FunctionName": function, **({"Resource": f"{function}:{alarm.alias}"} if alarm.alias else {})}


def _metrics(alarm: Alarm, dimensions: Mapping[str, str]) -> list[dict[str, Any]]:
    """The expression and its metric, as ``Metrics`` of PutMetricAlarm has them, in the order of their ids."""
    metric = {"Namespace": alarm.namespace, "MetricName": alarm.metric, "Dimensions": _dimensions(dimensions)}
    return [
        {"Id": _RESULT, "Expression": alarm.expression, "ReturnData": True},
        {
            "Id": METRIC_ID,
            "MetricStat": {"Metric": metric, "Period": alarm.period, "Stat": alarm.statistic},
            "ReturnData": False,
        },
    ]


def _request(desired: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of PutMetricAlarm. An alarm has one metric, or ``Metrics``, and not the other."""
    given = {name: value for name, value in desired.items() if value is not None and (name != "Metrics" or value)}
    dimensions = {"Dimensions": _dimensions(given["Dimensions"])} if "Dimensions" in given else {}
    return {**given, **dimensions}


def _comparable(live: Mapping[str, Any]) -> dict[str, Any]:
    points = live.get("DatapointsToAlarm")
    if points == live.get("EvaluationPeriods"):
        points = None  # all of them, as without it
    metrics = sorted(map(_comparable_metric, live.get("Metrics") or ()), key=lambda metric: str(metric.get("Id")))
    of_one = dict.fromkeys(_OF_ONE_METRIC)
    if not metrics:
        dimensions = {item["Name"]: item["Value"] for item in live.get("Dimensions") or ()}
        of_one |= {**{name: live.get(name) for name in _OF_ONE_METRIC}, "Dimensions": dimensions}
    # CloudWatch omits what is empty.
    empty = {"AlarmDescription": "", "AlarmActions": [], "InsufficientDataActions": [], _OK_ACTIONS: []}
    return {
        **empty,
        **{name: value for name, value in live.items() if value is not None},
        **of_one,
        "DatapointsToAlarm": points or None,
        "Unit": live.get("Unit") or None,
        "Metrics": metrics,
    }


def _comparable_metric(metric: Mapping[str, Any]) -> dict[str, Any]:
    """One of ``Metrics`` as :func:`_metrics` has it: without its label, which changes nothing, and in its order."""
    found = {name: value for name, value in metric.items() if value is not None and name != "Label"}
    found["ReturnData"] = bool(found.get("ReturnData", True))
    stat = found.get("MetricStat")
    if stat:
        of = stat["Metric"]
        dimensions = sorted(of.get("Dimensions") or (), key=lambda item: str(item["Name"]))
        found["MetricStat"] = {
            **{name: value for name, value in stat.items() if value},
            "Metric": {**of, "Dimensions": [{"Name": item["Name"], "Value": item["Value"]} for item in dimensions]},
        }
    return found


def _dimensions(mapping: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in sorted(mapping.items())]


def _live(context: Context) -> dict[str, Mapping[str, Any]]:
    """The alarms whose names begin with the function's, by name. Their tags show which are its own."""
    start = alarm_name(context.spec.name, "")
    alarms = context.reads.listed(_ALARMS, context.spec.name)
    return {str(alarm["AlarmName"]): alarm for alarm in alarms if alarm["AlarmName"].startswith(start)}


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    answer = aws.find("cloudwatch", "list_tags_for_resource", ResourceARN=arn)
    return as_mapping(answer.get("Tags")) if answer else {}
