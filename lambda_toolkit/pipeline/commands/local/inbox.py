"""``local inbox``: the emails and the messages for Slack that arrived on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from lambda_toolkit.pipeline.client.target import DIRECTORY
from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.errors import UsageError

POLL_SECONDS = 1.0


@click.command("inbox")
@click.option(
    "--last", type=click.IntRange(min=1), default=10, show_default=True, help="How many messages, the newest."
)
@click.option("--follow", is_flag=True, help="Keep showing new messages until Ctrl-C.")
@with_request
def command(request: Request, last: int, follow: bool) -> None:
    """Show the emails and the messages for Slack that arrived in the local stack, oldest first.

    On this machine no mail server is asked, nor Slack: both end here, and stay until `local down --wipe`.
    """
    if follow and request.screen.as_json:
        raise UsageError("--follow never ends, so its output cannot be one JSON document. Omit one of the two options.")
    document = _read(request)
    messages = document["messages"]
    for message in messages[-last:]:
        _show(request, message)
    if not messages:
        request.screen.progress("No message arrived yet. To send one: alert-test")
    request.screen.document({**document, "messages": messages[-last:]})
    shown = len(messages)
    while follow:
        time.sleep(POLL_SECONDS)
        messages = _read(request)["messages"]
        for message in messages[shown:]:
            _show(request, message)
        shown = len(messages)


def _read(request: Request) -> dict[str, Any]:
    from lambda_toolkit.pipeline.local_stack.alerting import inbox

    directory = request.root / DIRECTORY
    return inbox.document(directory / "mail-sink", directory / "slack-sink")


def _show(request: Request, message: Mapping[str, str]) -> None:
    request.screen.say(
        f"{message['received_at'][:19].replace('T', ' ')}Z  {message['channel']} to {message['to']}", dim=True
    )
    request.screen.say(message["subject"], bold=True)
    request.screen.say("".join(f"    {line}".rstrip() + "\n" for line in message["text"].splitlines()))
