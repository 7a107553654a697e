"""``rollback``: makes an earlier version of one function live again."""

from __future__ import annotations

import click

from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.config.aws.deployment import aws_name


@click.command("rollback")
@click.argument("function")
@click.option("--to", metavar="VERSION", help="The version to go back to; default: the newest one before the live one.")
@with_request
def command(request: Request, function: str, to: str | None) -> None:
    """Make an earlier version of FUNCTION live again, in one call.

    Schedules, triggers and `invoke` then start that version. `plan` shows the rollback as a difference, and the next
    deploy reverts it: fix the cause first.
    """
    from lambda_script import rollback

    target = request.target()
    done = rollback(aws_name(target.pipeline, function), to, aws=target.aws())
    request.screen.say(str(done), bold=True)
    request.screen.document({"function": done.function, "from": done.from_version, "to": done.to_version})
