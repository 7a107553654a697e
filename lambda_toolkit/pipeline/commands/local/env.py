"""``local env``: the exports that point other tools at the local stack."""

from __future__ import annotations

import shlex

import click

from lambda_toolkit.pipeline.client.target import local_target, warehouse_url
from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.installed import program


@click.command("env", epilog=f'Use it as: eval "$({program()} local env)"')
@with_request
def command(request: Request) -> None:
    """Print the `export` lines that point the AWS CLI, boto3 and psql at the local stack.

    The PG* variables are the source's administrator.
    """
    from lambda_toolkit.pipeline.local_stack.description import environment
    from lambda_toolkit.pipeline.local_stack.running import load_stack

    stack = load_stack(request.root)
    values = environment(stack)
    if request.config.is_file():
        target = local_target(request.config, stack, {}, request.stage)
        values["WAREHOUSE_DATABASE_URL"] = warehouse_url(target.pipeline, stack)
    for name, value in values.items():
        request.screen.say(f"export {name}={shlex.quote(value)}")
    request.screen.document(values)
