"""``invoke``: calls one function and shows its result and the end of its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from lambda_toolkit.pipeline.client.invocation import invoke
from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.config.deployment import aws_name
from lambda_toolkit.pipeline.errors import CommandError, UsageError


@click.command("invoke")
@click.argument("function")
@click.option(
    "--event", type=click.Path(path_type=Path, dir_okay=False), help="A file with the event as JSON; default: {}."
)
@with_request
def command(request: Request, function: str, event: Path | None) -> int:
    """Invoke FUNCTION and wait for it."""
    target = request.target()
    answer = invoke(target.aws(), aws_name(target.pipeline, function), _event(event))
    if answer.log_tail:
        request.screen.progress(answer.log_tail.rstrip())
    if answer.error is not None:
        raise CommandError(f"{function} failed: {answer.error}")
    request.screen.say(json.dumps(answer.result, indent=2))
    request.screen.document({"result": answer.result, "log_tail": answer.log_tail})
    return DONE if answer.error is None else FAILED


def _event(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        event = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UsageError(f"There is no event file {path}.") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}.") from error
    if not isinstance(event, dict):
        raise UsageError(f"{path} must hold a JSON object, not {type(event).__name__}.")
    return event
