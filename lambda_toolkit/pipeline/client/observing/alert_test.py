"""A message through the whole chain, from the topic of the alarms to whoever reads them, and what is known of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lambda_toolkit.pipeline.client.observing import logs
from lambda_toolkit.pipeline.client.observing.deployed import subscription_states
from lambda_toolkit.pipeline.client.observing.log_lines import json_object
from lambda_toolkit.pipeline.config.model import ALARMS, ALERTS, Pipeline
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.lambdas.notifier.cloudwatch import TEST
from lambda_toolkit.pipeline.lambdas.notifier.letters import Kind, Slack

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws

FORMAT = 1
TIMEOUT = 90.0  # seconds for the notifier to say what it did
_POLL = 1.0
_EARLIER = 5000  # milliseconds: clocks differ


def send(
    aws: Aws, pipeline: Pipeline, wait: Callable[[float], object] = time.sleep, timeout: float = TIMEOUT
) -> dict[str, Any]:
    """Send a test, wait for what the notifier says of it, and return all that is known, as JSON values.

    ``reached`` is whether it arrived as far as that can be known: an address confirmed its subscription, and
    neither channel failed. Raises CommandError where there is no topic, and where the notifier says nothing.
    """
    topics = {name: aws.arn("sns", topic) for name, topic in pipeline.topic_names(aws.account_id).items()}
    identity, begun = uuid4().hex[:12], time.time()
    notifier = next((name for name, function in pipeline.functions.items() if function.is_notifier), None)
    published = _publish(aws, topics, identity, notifier)
    document: dict[str, Any] = {
        "format": FORMAT,
        "test": identity,
        "topic": topics[ALARMS if notifier else ALERTS].rpartition(":")[2],
        "email": {"state": "published", "message": published},
        "slack": {"state": str(Slack.NONE), "reason": None},
        "addresses": subscription_states(aws, pipeline),
        "alarms": _alarms(aws, pipeline, topics),
    }
    if notifier:
        line = _line(aws, pipeline, notifier, identity, int(begun * 1000), wait, timeout)
        document["email"]["message"] = line.get("email")
        document["slack"] = {"state": line.get("slack"), "reason": line.get("reason")}
    document["seconds"] = round(time.time() - begun, 1)
    document["reached"] = document["slack"]["state"] in (Slack.SENT, Slack.NONE) and any(
        address["state"] == "confirmed" for address in document["addresses"]
    )
    return document


def _publish(aws: Aws, topics: Mapping[str, str], identity: str, notifier: str | None) -> str:
    from lambda_script import AwsError

    text = json.dumps({TEST: identity}) if notifier else f"This is the test {identity}: nothing is wrong.\n"
    topic = topics[ALARMS if notifier else ALERTS]
    try:
        answer = aws.call("sns", "publish", TopicArn=topic, Subject="A test: nothing is wrong", Message=text)
    except AwsError as error:
        if error.code != "NotFound":
            raise
        raise CommandError(f"There is no topic {topic.rpartition(':')[2]} yet. Deploy: {suggested()}") from error
    return str(answer["MessageId"])


def _line(
    aws: Aws,
    pipeline: Pipeline,
    notifier: str,
    identity: str,
    since: int,
    wait: Callable[[float], object],
    timeout: float,
) -> Mapping[str, Any]:
    """What the notifier wrote to its log of the test."""
    wanted, deadline = f"{Kind.TEST} {identity}", time.time() + timeout
    while time.time() < deadline:
        for event in logs.of_function(aws, pipeline, notifier, since - _EARLIER):
            found = json_object(str(event["message"]))
            if found and found.get("letter") == wanted:
                return found
        wait(_POLL)
    raise CommandError(
        f"The test {identity} was published, and {notifier} has not said within {timeout:.0f} s that it sent it. "
        f"Is it subscribed, and does it work? {suggested('plan')}, and: {suggested('logs notifier --since 15m')}"
    )


def _alarms(aws: Aws, pipeline: Pipeline, topics: Mapping[str, str]) -> dict[str, int]:
    """How many of the deployed alarms notify a topic of the pipeline when they are in ALARM; read, not tried."""
    declared = {
        f"{function.spec.name}-{alarm}" for function in pipeline.functions.values() for alarm in function.alarms or ()
    }
    prefix = f"{pipeline.name}-{pipeline.stage}-"
    alarms = aws.list_all("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=prefix)
    found = [alarm for alarm in alarms if alarm["AlarmName"] in declared]
    notifying = [
        alarm
        for alarm in found
        if alarm.get("ActionsEnabled", True) and set(alarm.get("AlarmActions") or ()) & set(topics.values())
    ]
    return {"declared": len(declared), "deployed": len(found), "notifying": len(notifying)}
