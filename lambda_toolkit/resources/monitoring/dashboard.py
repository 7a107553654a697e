"""CloudWatch dashboards. They are the account's, not a region's.

A text in the dashboard itself names its owner: tags of dashboards are younger than the SDKs and emulators that this
works with, and the one read of the body shows both.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lambda_toolkit.aws.account import ACCESS_DENIED
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.spec.dashboard import owner_of, signed
from lambda_toolkit.spec.model import DashboardSpec, Deployment, Kind
from lambda_toolkit.spec.ownership import is_owned, require_owned

KIND = Kind.DASHBOARD
FREE = 3  # in an account
PRICE = "$3 a month"  # of each further one, in all regions: https://aws.amazon.com/cloudwatch/pricing/


def plan(reads: Reads, spec: DashboardSpec) -> list[Change]:
    """The change that brings the dashboard to ``spec``. Raises OwnershipError."""
    wanted = signed(spec)

    def put(executor_aws: Aws) -> None:
        body = json.dumps(wanted, ensure_ascii=False)
        executor_aws.call("cloudwatch", "put_dashboard", DashboardName=spec.name, DashboardBody=body)

    live = _body(reads.aws, spec.name)
    if live is None:
        return [Change(KIND, spec.name, "create", (_price(reads.aws),), apply=put)]
    require_owned(KIND, spec.name, owner_of(live), adopt=spec.adopt, declared=spec.tags)
    found = tuple(_differences(live, wanted))
    return [Change(KIND, spec.name, "update", differences=found, apply=put)] if found else []


def plan_removal(reads: Reads, spec: DashboardSpec) -> list[Change]:
    """The change that deletes the dashboard, if a deploy of the same application and stage made it."""
    live = _body(reads.aws, spec.name)
    if live is None or not is_owned(owner_of(live), declared=spec.tags):
        return []

    def delete(executor_aws: Aws) -> None:
        executor_aws.find("cloudwatch", "delete_dashboards", DashboardNames=[spec.name])

    return [Change(KIND, spec.name, "delete", apply=delete)]


def plan_undeclared(reads: Reads, deployment: Deployment, tags: Mapping[str, str]) -> list[Change] | None:
    """The changes that delete those of ``tags``, application and stage, that ``deployment`` no longer declares.

    Looked for by names that begin with both, as nothing lists dashboards by what is in them. ``None`` where the
    credentials do not allow listing or reading them.
    """
    start, declared = f"{deployment.application}-{deployment.stage}", {item.name for item in deployment.dashboards}
    try:
        listed = reads.aws.list_all("cloudwatch", "list_dashboards", "DashboardEntries", DashboardNamePrefix=start)
        left = [str(item["DashboardName"]) for item in listed if item["DashboardName"] not in declared]
        return [change for name in left for change in plan_removal(reads, DashboardSpec(name, {}, tags=tags))]
    except AwsError as error:
        if error.code in ACCESS_DENIED:
            return None
        raise


def _price(aws: Aws) -> str:
    """What a new one costs, by how many the account has."""
    try:
        others = sum(1 for _ in aws.list_all("cloudwatch", "list_dashboards", "DashboardEntries"))
    except AwsError as error:
        if error.code in ACCESS_DENIED:
            return f"{FREE} in an account are free, each further one costs {PRICE}"
        raise
    if others >= FREE:
        return f"{PRICE}: {FREE} in an account are free, and this one has {others}"
    return f"free: the account has {others} of {FREE} that are"


def _body(aws: Aws, name: str) -> Any:
    """The dashboard's body, as JSON has it; ``None`` where there is no such dashboard."""
    answer = aws.find("cloudwatch", "get_dashboard", DashboardName=name)
    if answer is None:
        return None
    try:
        return json.loads(answer["DashboardBody"])
    except ValueError:
        return {}


def _differences(live: Any, wanted: Mapping[str, Any]) -> Iterator[Difference]:
    """How the dashboard differs, widget by widget: each by its title, or its number."""
    shown = _shape(live)
    desired = _shape(wanted)
    yield from differences(shown, {**dict.fromkeys(shown), **desired})
    if shown == desired and live != wanted:
        yield Difference("widgets", "in another order", "as declared")


def _shape(body: Any) -> dict[str, Any]:
    """The body with its widgets by their titles."""
    rest = {key: value for key, value in body.items() if key != "widgets"} if isinstance(body, Mapping) else {}
    widgets = body.get("widgets") if isinstance(body, Mapping) else None
    for number, widget in enumerate(widgets if isinstance(widgets, list) else (), start=1):
        properties = widget.get("properties") if isinstance(widget, Mapping) else None
        title = properties.get("title") if isinstance(properties, Mapping) else None
        rest[f"widget {number} {title}" if title else f"widget {number}"] = widget
    return rest
