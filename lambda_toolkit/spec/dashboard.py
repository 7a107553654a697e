"""The body of a CloudWatch dashboard: what CloudWatch would refuse in it, and its owner. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from lambda_toolkit.errors import LimitError
from lambda_toolkit.spec.model import DashboardSpec
from lambda_toolkit.spec.ownership import APPLICATION_TAG, OWNER, OWNER_TAG, STAGE_TAG

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_WIDGETS, _METRICS, _ALL_METRICS, _ALARMS = 500, 500, 2500, 100  # the most on a dashboard, in a widget, on all, in one
_WIDTH, _HEIGHT = 24, 1000  # grid units
_VIEWS = ("timeSeries", "singleValue", "gauge", "bar", "pie")
_NEEDED: Mapping[str, tuple[str, ...]] = {  # by the type of a widget
    "text": ("markdown",),
    "metric": ("region", "metrics"),
    "alarm": ("alarms",),
    "log": ("region", "query"),
}
_SIGNED = re.compile(rf"{OWNER_TAG}={OWNER} {APPLICATION_TAG}=(?P<application>\S+) {STAGE_TAG}=(?P<stage>\S+)")


def check_dashboard(spec: DashboardSpec) -> None:
    """Raise LimitError, listing all problems together, where CloudWatch would reject ``spec``."""
    problems = list(dashboard_problems(spec))
    if problems:
        raise LimitError(f"Dashboard `{spec.name}`: {' '.join(problems)}")


def dashboard_problems(spec: DashboardSpec) -> Iterator[str]:
    """What CloudWatch would reject of ``spec``: a sentence each."""
    if not _NAME.fullmatch(spec.name):
        yield "its name must be 1 to 255 letters, digits, `-` and `_`."
    widgets = spec.body.get("widgets")
    if not _is_list(widgets):
        yield "its body must have `widgets`, a list."
        return
    if len(widgets) > _WIDGETS - 1:
        yield f"{len(widgets)} widgets are more than {_WIDGETS - 1}, and one for the owner."
    total = 0
    for number, widget in enumerate(widgets, start=1):
        yield from (f"widget {number}: {problem}" for problem in _widget_problems(widget))
        total += len(metrics_of(widget))
    if total > _ALL_METRICS:
        yield f"{total} metrics are more than {_ALL_METRICS}."


def metrics_of(widget: Any) -> list[tuple[str, ...]]:
    """The metrics in a widget, without their options: namespace, name, and pairs of a dimension and its value.

    A short form of CloudWatch, such as ``.`` for what is above it, is not understood: each must be written out.
    """
    properties = widget.get("properties") if isinstance(widget, Mapping) else None
    listed = properties.get("metrics") if isinstance(properties, Mapping) else None
    entries = [entry for entry in listed if _is_list(entry)] if _is_list(listed) else []
    found = [tuple(part for part in entry if isinstance(part, str)) for entry in entries]
    return [metric for metric in found if metric]


def signed(spec: DashboardSpec) -> dict[str, Any]:
    """The body of ``spec`` with a text above it that names its owner: the first widget, one grid unit high."""
    tags = spec.tags
    text = (
        f"Deployed by lambda_script: what is changed here is lost. `{OWNER_TAG}={OWNER} "
        f"{APPLICATION_TAG}={tags.get(APPLICATION_TAG) or '-'} {STAGE_TAG}={tags.get(STAGE_TAG) or '-'}`"
    )
    owner = {"type": "text", "x": 0, "y": 0, "width": _WIDTH, "height": 1, "properties": {"markdown": text}}
    below = [{**widget, "y": widget["y"] + 1} for widget in spec.body["widgets"]]
    return {**spec.body, "widgets": [owner, *below]}


def owner_of(body: Any) -> dict[str, str]:
    """The owner of a dashboard, as tags; empty where no deploy wrote it."""
    widgets = body.get("widgets") if isinstance(body, Mapping) else None
    for widget in widgets if _is_list(widgets) else ():
        properties = widget.get("properties") if isinstance(widget, Mapping) else None
        text = properties.get("markdown") if isinstance(properties, Mapping) else None
        found = _SIGNED.search(text) if isinstance(text, str) else None
        if found:
            scope = {APPLICATION_TAG: found["application"], STAGE_TAG: found["stage"].rstrip("`")}
            return {OWNER_TAG: OWNER, **{key: value for key, value in scope.items() if value != "-"}}
    return {}


def _widget_problems(widget: Any) -> Iterator[str]:
    if not isinstance(widget, Mapping) or widget.get("type") not in _NEEDED:
        yield f"its type must be one of {', '.join(_NEEDED)}."
        return
    place = [widget.get(key) for key in ("x", "y", "width", "height")]
    if not all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in place):
        yield "x, y, width and height must be integers from 0."
    elif not 1 <= widget["width"] <= _WIDTH - widget["x"] or not 1 <= widget["height"] <= _HEIGHT:
        yield f"it must be within {_WIDTH} grid units, and 1 to {_HEIGHT} high."
    properties = widget.get("properties")
    if not isinstance(properties, Mapping):
        yield "it has no `properties`."
        return
    lacking = [name for name in _NEEDED[widget["type"]] if not properties.get(name)]
    if lacking:
        yield f"its properties need {', '.join(f'`{name}`' for name in lacking)}."
    if len(properties.get("alarms") or ()) > _ALARMS:
        yield f"{len(properties['alarms'])} alarms are more than {_ALARMS}."
    if widget["type"] == "metric":
        yield from _metric_problems(widget, properties)


def _metric_problems(widget: Mapping[str, Any], properties: Mapping[str, Any]) -> Iterator[str]:
    view, period = properties.get("view", _VIEWS[0]), properties.get("period", 60)
    if view not in _VIEWS:
        yield f"its view `{view}` is not one of {', '.join(_VIEWS)}."
    if not isinstance(period, int) or period < 1 or (period not in (1, 5, 10, 30) and period % 60):
        yield f"its period {period} is neither 1, 5, 10, 30 nor a multiple of 60 seconds."
    if len(metrics_of(widget)) > _METRICS:
        yield f"{len(metrics_of(widget))} metrics are more than {_METRICS}."
    for metric in metrics_of(widget):
        if len(metric) < 2 or len(metric) % 2 or not all(metric) or "." in metric or "..." in metric:
            yield f"the metric {list(metric)} must be a namespace, a name, and pairs of a dimension and its value."


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
