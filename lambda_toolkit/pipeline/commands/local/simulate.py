"""``local simulate``: simulated activity in the source of the local stack."""

from __future__ import annotations

import click

from lambda_toolkit.pipeline.commands.local.bring_up import require_totesys
from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.installed import suggested


@click.command("simulate")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True, help="Events a minute."
)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True, help="For how long."
)
@with_request
def command(request: Request, rate: float, minutes: float) -> None:
    """Simulate activity in the source: orders, payments, corrections, deletions. Ctrl-C ends it earlier."""
    from lambda_toolkit.pipeline.local_stack.running import load_stack
    from lambda_toolkit.pipeline.local_stack.stack import simulated_source
    from lambda_toolkit.pipeline.local_stack.totesys.business_day import simulate

    require_totesys(request)
    source = simulated_source(load_stack(request.root))
    pace = f"{rate:g} event{'s' * (rate != 1)} a minute for {minutes:g} minute{'s' * (minutes != 1)}"
    request.screen.progress(f"{pace}; watch them arrive: {suggested('status')}")
    events = simulate(source, rate=rate, minutes=minutes, on_event=request.screen.progress)
    request.screen.table("What happened", ["event", "times"], sorted(events.items()), right=["times"])
    request.screen.document({"events": events})
