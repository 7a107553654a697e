"""``local down``: stops the local stack."""

from __future__ import annotations

import click

from lambda_toolkit.pipeline.commands.shared.options import Request, with_request


@click.command("down")
@click.option("--wipe", is_flag=True, help="Delete its databases and its lake, too.")
@with_request
def command(request: Request, wipe: bool) -> None:
    """Stop the local stack. Its data stays for the next `local up`, unless --wipe is given."""
    from lambda_toolkit.pipeline.local_stack.stack import down

    stopped = down(request.root, wipe=wipe, on_progress=request.screen.progress)
    request.screen.say("Stopped." if stopped else "It was not up.")
    request.screen.document({"stopped": stopped, "wiped": wipe})
