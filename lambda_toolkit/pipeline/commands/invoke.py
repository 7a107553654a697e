"""``invoke``: calls one function and shows its result and the end of its log."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from lambda_toolkit.pipeline.client.invocation import Invocation, invoke
from lambda_toolkit.pipeline.client.scripts import is_file, scripts_of
from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.config.aws.deployment import aws_name
from lambda_toolkit.pipeline.errors import CommandError, UsageError


@click.command("invoke")
@click.argument("function")
@click.argument("arguments", nargs=-1)
@click.option("--event", help="A file with the event as JSON, `-` for standard input, or the JSON itself; default: {}.")
@click.option("--name", help="Which function, where a script declares several: its name on AWS.")
@with_request
def command(request: Request, function: str, arguments: Sequence[str], event: str | None, name: str | None) -> None:
    """Invoke FUNCTION, a name in the configuration, and wait for it.

    A path (handler.py, ./folder) is run on this machine instead, and nothing is deployed: from the package that a
    deploy would upload, in a process of its own, with the time and memory of the declaration and the AWS credentials of
    this shell. It is the source of a function, or a script with `Lambda_script`, which is run with ARGUMENTS to learn
    what it declares.
    """
    value = _event(event)
    if is_file(function):
        answer = _run_here(request.screen, Path(function), arguments, value, name)
    else:
        if arguments or name:
            raise UsageError("Arguments and --name are for scripts; a function of the pipeline takes an event.")
        target = request.target()
        answer = invoke(target.aws(), aws_name(target.pipeline, function), value)
        if answer.log_tail:
            request.screen.progress(answer.log_tail.rstrip())
    if answer.error is not None:
        raise CommandError(f"{function} failed: {answer.error}")
    request.screen.say(json.dumps(answer.result, indent=2))
    request.screen.document({"result": answer.result, "log_tail": answer.log_tail})


def _run_here(screen: Screen, path: Path, arguments: Sequence[str], event: Any, name: str | None) -> Invocation:
    from lambda_toolkit.running.local import invoke_locally

    scripts = {script.spec.name: script for script in scripts_of(path, arguments)}
    if name is None and len(scripts) > 1:
        raise UsageError(f"{path} declares {', '.join(scripts)}. Which one? --name {next(iter(scripts))}")
    if name is not None and name not in scripts:
        raise UsageError(f"{path} declares no function {name}. There are: {', '.join(scripts)}.")
    script = scripts[name] if name else next(iter(scripts.values()))
    answer = invoke_locally(script.spec, event, on_log=screen.progress, region=script.region)
    return Invocation(answer.result, answer.error, answer.log_tail)


def _event(given: str | None) -> dict[str, Any]:
    if given is None:
        return {}
    if given == "-":
        text, name = sys.stdin.read(), "standard input"
    elif given.lstrip().startswith("{"):
        text, name = given, "--event"
    else:
        name = given
        try:
            text = Path(given).read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            raise UsageError(f"There is no event file {given}.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{given} cannot be read as text: {error}.") from error
    try:
        event = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {error}.") from error
    if not isinstance(event, dict):
        raise UsageError(f"{name} must hold a JSON object, not {type(event).__name__}.")
    return event
