"""``cost``: what a month on AWS costs, from the configuration and from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from lambda_script import price_list
from lambda_toolkit.pipeline.client.observing.usage import month_so_far, network_of, workload
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.cost.month import Month, Network
from lambda_toolkit.pipeline.cost.statement import dollars, statement
from lambda_toolkit.pipeline.cost.workload import ASSUMED, Workload, declared


@click.command("cost")
@click.option("--assumed", is_flag=True, help="Ask AWS nothing: durations and batches as assumed.")
@with_request
def command(request: Request, assumed: bool) -> None:
    """Show what a month costs on AWS: each item, with and without what is free, and what a change would save.

    Durations, batches and sizes are those of the last week where the functions ran, and assumed otherwise; the output
    says which. Prices are those of a file with the date and page of each. Databases and tax are not in it.
    """
    document = cost(request.target(), assumed=assumed)
    _show(request, document)
    request.screen.document(document)


def cost(target: Target, *, assumed: bool = False) -> dict[str, Any]:
    """What a month of ``target`` costs, as JSON values; with ``assumed`` AWS is not asked."""
    found = _Found(note="AWS was not asked") if assumed else _measured(target)
    parts = replace(declared(target.pipeline), network=found.network or Network())
    document = statement(parts, found.workload, price_list(target.pipeline.region), found.so_far)
    if found.note:
        document["assumptions"].insert(0, found.note)
    if any(each.spec.vpc is not None and each.spec.vpc.is_attached for each in target.pipeline.functions.values()):
        document["assumptions"].append(_about_network(found.network))
    return document


@dataclass(frozen=True)
class _Found:
    """What AWS knows."""

    workload: Workload = ASSUMED
    so_far: Month | None = None
    note: str | None = None
    """Where what was measured was, or why nothing was."""
    network: Network | None = None
    """What of the private network costs something; ``None``: not known."""


def _about_network(network: Network | None) -> str:
    if network is None:
        return "not in it: NAT gateways and endpoints of the private network, which were not looked at"
    return "NAT gateways and endpoints are those of the private network, which others may share; without NAT traffic"


def _measured(target: Target) -> _Found:
    """What AWS knows; where it cannot be asked, what is assumed, and why."""
    from lambda_script import ToolkitError

    now = datetime.now(UTC)
    try:
        aws = target.aws()
        found, network = workload(aws, target.pipeline, now), network_of(aws, target.pipeline)
        so_far = month_so_far(aws, target.pipeline, now, network)
    except ToolkitError as error:
        return _Found(note=f"AWS could not be asked: {error}")
    here = (
        "measured in the local stack: this machine's times, not Lambda's"
        if target.is_local and found.measured
        else None
    )
    return _Found(found, so_far, here, network)


def _show(request: Request, document: dict[str, Any]) -> None:
    screen = request.screen
    screen.table(
        f"A month of {request.target().pipeline.name} in {document['region']}, US dollars",
        ["item", "quantity", "price", "amount", "free tier"],
        [*map(_row, document["lines"]), ["total", "", "", *_amounts(document)]],
        right=("quantity", "price", "amount", "free tier"),
    )
    screen.say(f"Most of it: {', '.join(f'{name} {share}' for name, share in document['dominates'].items())}.")
    if document["so_far"] is not None:
        screen.say(f"This month until now: about {dollars(Decimal(document['so_far']))}.")
    if document["savings"]:
        screen.say("One change would save, each for itself:", bold=True)
        for saving in document["savings"]:
            screen.say(f"  {dollars(Decimal(saving['amount'])):>7}  {saving['change']}")
    for text in document["assumptions"]:
        screen.say(f"- {text}", dim=True)
    prices = document["prices"]
    what = "estimated from those of us-east-1" if prices["estimated"] else "AWS's list prices"
    screen.say(f"- prices: {what}, read {prices['read']}", dim=True)
    measured = document["measured"]
    if measured:
        runs = sum(each["runs"] for each in measured.values())
        screen.say(f"- durations: {counted(runs, 'run')} of the last week", dim=True)


def _row(line: dict[str, Any]) -> Sequence[str]:
    return (
        f"{line['service']} {line['item']}",
        _quantity(Decimal(line["quantity"])),
        line["price"],
        dollars(Decimal(line["amount"])),
        dollars(Decimal(line["amount_beyond_free"])),
    )


def _amounts(document: dict[str, Any]) -> tuple[str, str]:
    return dollars(Decimal(document["total"])), dollars(Decimal(document["total_beyond_free"]))


def _quantity(value: Decimal) -> str:
    return f"{value:,.0f}" if value >= 10 or value == value.to_integral() else f"{value:.3f}"
