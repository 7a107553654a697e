"""``local up``: the local stack, with databases, data and the pipeline deployed, left running."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lambda_toolkit.pipeline.commands.local.bring_up import Seeding, bring_up, say_next, seeding_options
from lambda_toolkit.pipeline.commands.local.source_url import source_url_option
from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.installed import suggested

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.local_stack.description import Stack


@click.command("up")
@seeding_options
@click.option("--empty", is_flag=True, help="Leave the source empty.")
@source_url_option
@with_request
def command(request: Request, seed: Path | None, orders: int | None, empty: bool, source_url: str | None) -> None:
    """Start a real PostgreSQL and an emulated AWS, fill the source, prepare the warehouse, deploy; leave it running.

    With --source-url the pipeline reads a database of yours instead, with SELECT alone: only where it is said, whatever
    variables the shell has. `local down` forgets the URL; to go on with the same data, say it again.
    """
    from lambda_toolkit.pipeline.local_stack.running import running_stack
    from lambda_toolkit.pipeline.local_stack.stack import set_disposable

    set_disposable(request.root, False)
    try:
        stack, target = bring_up(request, Seeding(seed, orders, empty), source_url=source_url)
    except BaseException:
        if running_stack(request.root):
            request.screen.progress(f"The stack keeps running. Repeat the command, or: {suggested('local down')}")
        raise
    request.screen.say(
        f"The local stack is up at {stack.aws_endpoint_url}; {_shown(stack)} has its ports and passwords.", bold=True
    )
    say_next(request, stack, "run", "status", "local simulate", "local down")
    request.screen.document(
        {
            "aws_endpoint_url": stack.aws_endpoint_url,
            "region": stack.region,
            "stage": target.pipeline.stage,
            "stack": str(stack.directory / "stack.json"),
            "source": stack.external.place if stack.external else None,
        }
    )


def _shown(stack: Stack) -> str:
    """Where its description is, seen from the current folder where it is below that."""
    path = stack.directory / "stack.json"
    here = Path.cwd().resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
