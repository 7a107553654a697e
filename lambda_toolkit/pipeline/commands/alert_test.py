"""``alert-test``: sends a test through the whole chain, and says what arrived where and what cannot be known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from lambda_toolkit.pipeline.client.observing.alert_test import send
from lambda_toolkit.pipeline.client.observing.deployed import SUBSCRIPTION_ADVICE
from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.lambdas.notifier.letters import Slack

_SLACK = {
    Slack.SENT: "took it",
    Slack.NONE: "there is no webhook, so it gets nothing",
    Slack.PENDING: "did not take it yet, and is tried again for an hour",
    Slack.DROPPED: "refused it",
}
UNKNOWN = (
    "whether a mailbox shows the email: SNS does not say. Look for the test's number in each",
    "whether CloudWatch may publish to a topic that is encrypted with a key of your own: see the alarm's history",
)


@click.command("alert-test")
@with_request
def command(request: Request) -> int:
    """Send a test by the way that alarms take: topic, notifier, email and Slack. Nothing is wrong.

    Says what each step reported, which addresses have not confirmed their subscription, and what cannot be known from
    here. Exit code 1 where no address is confirmed, or where Slack did not take it.
    """
    target = request.target()
    with request.screen.waiting("Waiting for the notifier ..."):
        document = {**send(target.aws(), target.pipeline), "unknown": list(UNKNOWN)}
    _show(request, document)
    request.screen.document(document)
    return DONE if document["reached"] else FAILED


def _show(request: Request, document: Mapping[str, Any]) -> None:
    say = request.screen.say
    say(f"Test {document['test']}, published to {document['topic']}; after {document['seconds']} s:", bold=True)
    confirmed = [item["address"] for item in document["addresses"] if item["state"] == "confirmed"]
    say(f"  email    published as {document['email']['message']}, for {', '.join(confirmed) or 'no address'}")
    for item in document["addresses"]:
        if item["state"] != "confirmed":
            advice = f"{SUBSCRIPTION_ADVICE[item['state']]} Deploy: {suggested()}"
            say(f"           {item['address']} gets nothing: {item['state']}. {advice}", color="yellow")
    reason = f": {document['slack']['reason']}" if document["slack"]["reason"] else ""
    failed = document["slack"]["state"] not in (Slack.SENT, Slack.NONE)
    say(f"  Slack    {_SLACK[Slack(document['slack']['state'])]}{reason}", color="yellow" if failed else None)
    alarms = document["alarms"]
    say(f"  alarms   {alarms['notifying']} of {alarms['declared']} declared ones are deployed and notify a topic")
    say("Not known from here:")
    for text in document["unknown"]:
        say(f"  - {text}.")
