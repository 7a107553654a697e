"""``local up``: the embedded stack, with databases, data and the pipeline deployed, left running."""

from __future__ import annotations

from pathlib import Path

import click

from commands.embedded import Seeding, bring_up
from commands.options import DONE, Request, with_request


@click.command("up")
@click.option(
    "--seed",
    type=click.Path(path_type=Path, file_okay=False),
    help="Fill the source from one Parquet or CSV file per table in this directory.",
)
@click.option("--orders", type=click.IntRange(min=1), help="Fill it with this many generated orders (default 16000).")
@click.option("--empty", is_flag=True, help="Leave the source empty.")
@with_request
def command(request: Request, seed: Path | None, orders: int | None, empty: bool) -> int:
    """Start a real PostgreSQL and an emulated AWS, fill the source, prepare the warehouse, deploy; leave it running."""
    stack, target = bring_up(request, Seeding(seed, orders, empty))
    request.screen.say(
        f"The embedded stack is up at {stack.aws_endpoint_url}; .local/stack.json says the rest.", bold=True
    )
    request.screen.say("Next: python deploy.py run · status · local simulate · local down")
    request.screen.document(
        {
            "aws_endpoint_url": stack.aws_endpoint_url,
            "region": stack.region,
            "stage": target.pipeline.stage,
            "stack": str(stack.directory / "stack.json"),
        }
    )
    return DONE
