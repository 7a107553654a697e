"""The settings of an event source mapping: as a trigger declares them, and as Lambda takes and returns them. Pure.

https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.changes import Difference
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.spec.event_pattern import as_json
from lambda_toolkit.spec.triggers.queue import QueueTrigger
from lambda_toolkit.spec.triggers.stream import StreamTrigger, parsed_timestamp

Trigger = QueueTrigger | StreamTrigger
_PARTIAL = "ReportBatchItemFailures"
_TOGETHER = frozenset({"batch_size", "batching_window"})  # Lambda checks one by the other


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class _Setting:
    """One setting: a field of a trigger, and a parameter of Lambda's."""

    field: str
    parameter: str
    default: Any
    """What Lambda has where nothing is sent."""
    to_aws: Callable[[Any], Any] = _same
    of_live: Callable[[Any], Any] = _same


def _filters(value: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"Filters": [{"Pattern": as_json(pattern)} for pattern in value]} if value else {}


def _live_filters(value: Mapping[str, Any]) -> list[Any]:
    return sorted((_parsed(item.get("Pattern")) for item in value.get("Filters") or ()), key=_order)


def _parsed(pattern: str | None) -> Any:
    try:
        return json.loads(pattern or "{}")
    except ValueError:
        return pattern


def _order(pattern: Any) -> str:
    return json.dumps(pattern, sort_keys=True)


def _destination(value: str) -> dict[str, Any]:
    return {"OnFailure": {"Destination": value}}  # an empty one removes it


_SETTINGS = (
    _Setting("batch_size", "BatchSize", None),
    _Setting("batching_window", "MaximumBatchingWindowInSeconds", 0),
    _Setting("filters", "FilterCriteria", [], _filters, _live_filters),
    _Setting(
        "report_failures",
        "FunctionResponseTypes",
        False,
        lambda value: [_PARTIAL] if value else [],
        lambda value: _PARTIAL in value,
    ),
    _Setting(
        "maximum_concurrency",
        "ScalingConfig",
        None,
        lambda value: {} if value is None else {"MaximumConcurrency": value},
        lambda value: value.get("MaximumConcurrency"),
    ),
    _Setting(
        "on_failure",
        "DestinationConfig",
        "",
        _destination,
        lambda value: (value.get("OnFailure") or {}).get("Destination") or "",
    ),
    _Setting("parallelization_factor", "ParallelizationFactor", 1),
    _Setting("bisect", "BisectBatchOnFunctionError", False),
    _Setting("retries", "MaximumRetryAttempts", -1),
    _Setting("max_record_age", "MaximumRecordAgeInSeconds", -1),
)
_STATES = {"Enabled": True, "Enabling": True, "Disabled": False, "Disabling": False}


def creation(trigger: Trigger) -> dict[str, Any]:
    """The parameters of a new mapping, without what Lambda has by default: a FIFO queue, say, takes no window."""
    declared = _declared(trigger)
    wanted = {
        item.parameter: item.to_aws(getattr(trigger, item.field))
        for item in _SETTINGS
        if item.field in declared and declared[item.field] != item.default
    }
    if isinstance(trigger, StreamTrigger):
        wanted["StartingPosition"] = trigger.starting_position
        if trigger.starting_timestamp:
            wanted["StartingPositionTimestamp"] = parsed_timestamp(trigger.starting_timestamp)
    return {**wanted, "Enabled": trigger.enabled}


def compare(live: Mapping[str, Any], trigger: Trigger) -> tuple[Difference, ...]:
    """How a mapping differs from ``trigger``. One that is being created or updated has no state to compare yet."""
    known = {
        item.field: item.default if live.get(item.parameter) is None else item.of_live(live[item.parameter])
        for item in _SETTINGS
    }
    known["enabled"] = _STATES.get(str(live.get("State")), trigger.enabled)
    return tuple(
        difference
        for name, value in {**_declared(trigger), "enabled": trigger.enabled}.items()
        for difference in differences({name: known[name]}, {name: value})
    )


def update(trigger: Trigger, fields: Collection[str]) -> dict[str, Any]:
    """The parameters that bring these ``fields`` of a mapping to ``trigger``; the others stay as they are."""
    changed = {*fields, *(_TOGETHER if _TOGETHER & {*fields} else ())}
    if isinstance(trigger, QueueTrigger) and trigger.is_fifo and "batching_window" not in fields:
        changed -= {"batching_window"}  # which a FIFO queue does not have
    wanted = {item.parameter: item.to_aws(getattr(trigger, item.field)) for item in _SETTINGS if item.field in changed}
    return {**wanted, **({"Enabled": trigger.enabled} if "enabled" in changed else {})}


def shown(trigger: Trigger) -> tuple[str, ...]:
    """What of a new mapping is not Lambda's default, in words."""
    declared = _declared(trigger)
    found = [
        f"{item.field} {_order(declared[item.field]) if item.field == 'filters' else declared[item.field]}"
        for item in _SETTINGS
        if item.field in declared and declared[item.field] != item.default
    ]
    if isinstance(trigger, StreamTrigger):
        found.insert(0, f"from {trigger.starting_timestamp or trigger.starting_position}")
    return (", ".join([*found, *([] if trigger.enabled else ["disabled"])]),)


def _declared(trigger: Trigger) -> dict[str, Any]:
    """The settings that triggers of this kind have, in the form in which two are compared."""
    found = {item.field: getattr(trigger, item.field) for item in _SETTINGS if hasattr(trigger, item.field)}
    # As JSON has them: tuples of a declaration are lists there
    return {**found, "filters": sorted(json.loads(json.dumps(list(found["filters"]))), key=_order)}
