"""The Lambda handler of the notifier: messages of SNS and a schedule start it.

Every event is a reason to look: at the alarms, at what is remembered, and at what is still to be sent. So an event that
is delivered twice, late or not at all changes nothing but the moment.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..shared.logs import SUMMARY, Log, steps
from . import findings, webhook
from .cloudwatch import described, read_record
from .delivering import Channels, Sent, deliver, look
from .incidents import Observation, Transition
from .letters import Letter
from .messages import Message, Place, message_of
from .notices import Catalog, NotifierError, load
from .state_file import StateFile, document_of
from .webhook import Outcome

SETTLE = 300.0  # seconds that alarms must be fine before an incident is over; SETTLE_SECONDS may say otherwise
RESERVE = 40.0  # seconds that one post to Slack may take, with its attempts and pauses
_ABSENT = "ResourceNotFoundException"

logger = Log()


def lambda_handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Looks at the alarms and sends what is to be sent; ``{"action": "check"}`` only reads what that needs, and
    ``{"action": "report"}`` returns what is remembered.

    Raises NotifierError, and what AWS raises: an alarm on this function's errors reaches people without it.
    """
    logger.begin(getattr(context, "aws_request_id", None), str(getattr(context, "function_name", "local")))
    outcome = "failed"
    try:
        result = _answer(event, context)
        outcome = "done"
    except Exception as error:
        logger.error(f"{type(error).__name__}: {error}", error=type(error).__name__, stack=steps(error))
        raise
    finally:
        logger.info(SUMMARY, outcome=outcome)  # without a metric, each of which costs $0.30 a month
    return result


def _answer(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    file = StateFile(_client("s3"), _setting("INGESTION_BUCKET"))
    catalog = load(_root())
    action = event.get("action")
    if action == "report":
        return json.loads(document_of(file.read()[1]))  # type: ignore[no-any-return]
    observe = functools.partial(described, _client("cloudwatch"))
    if action == "check":
        return _checked(file, catalog, observe)
    if action is not None:
        raise NotifierError(f"There is no action {action!r}. Known: check, report.")
    records = [read_record(record, _now()) for record in event.get("Records") or ()]
    return _look(file, catalog, observe, records, context)


def _checked(
    file: StateFile, catalog: Catalog, observe: Callable[[Collection[str]], Mapping[str, Observation]]
) -> dict[str, Any]:
    _setting("ALERTS_TOPIC")
    file.read()
    observe(catalog.notices)
    return {"checked": True}


def _look(
    file: StateFile,
    catalog: Catalog,
    observe: Callable[[Collection[str]], Mapping[str, Observation]],
    records: Sequence[Transition | Letter],
    context: Any,
) -> dict[str, Any]:
    by = str(getattr(context, "aws_request_id", None) or f"local {time.monotonic_ns()}")
    transitions = [item for item in records if isinstance(item, Transition)]
    others = [item for item in records if isinstance(item, Letter)]
    settle = timedelta(seconds=float(os.environ.get("SETTLE_SECONDS") or SETTLE))
    letters = look(file, catalog, observe, transitions, others, by, _now(), settle)
    ends = time.monotonic() + getattr(context, "get_remaining_time_in_millis", lambda: 60_000)() / 1000
    sent = deliver(file, letters, _channels(catalog), by, _now, lambda: time.monotonic() + RESERVE < ends)
    for item in sent:
        _log(item)
    return {"sent": [item.letter.id for item in sent]}


def _log(item: Sent) -> None:
    fields = {"kind": str(item.letter.kind), "letter": item.letter.id, "email": item.email, "slack": str(item.slack)}
    logger.info("sent", **fields, reason=item.reason or None)


def _channels(catalog: Catalog) -> Channels:
    topic, secret = _setting("ALERTS_TOPIC"), os.environ.get("SLACK_SECRET", "")

    def email(message: Message) -> str:
        answer = _client("sns").publish(TopicArn=topic, Subject=message.subject, Message=message.text)
        return str(answer["MessageId"])

    compose = functools.partial(_composed, catalog=catalog, topic=topic)
    url = _webhook(secret) if secret else ""
    if isinstance(url, Outcome):
        refused = url
        return Channels(compose, email, lambda _: refused)
    return Channels(compose, email, functools.partial(webhook.post, url) if url else None)


def _webhook(secret: str) -> str | Outcome:
    """The webhook's URL; empty where none is stored; why it cannot be read, where it cannot."""
    client = _client("secretsmanager")
    try:
        text = client.get_secret_value(SecretId=secret)["SecretString"]
    except client.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        return "" if code == _ABSENT else Outcome(sent=False, reason=f"the secret {secret} cannot be read: {code}")
    except KeyError:
        return Outcome(sent=False, reason=f"the secret {secret} has no text", final=True)
    try:
        document = json.loads(text)
    except ValueError:
        return str(text).strip()  # a URL, stored by hand as plain text
    url = document.get("url") if isinstance(document, dict) else None
    return (
        url.strip()
        if isinstance(url, str)
        else Outcome(sent=False, reason=f'the secret {secret} is JSON without "url"', final=True)
    )


def _composed(letter: Letter, catalog: Catalog, topic: str) -> Message:
    """The message of ``letter``, with what the logs say of an incident that begins."""
    found: dict[str, findings.Findings] = {}
    if letter.incident and not letter.incident.over:
        trouble = letter.incident.troubles[0]
        group = catalog.of(trouble.alarm).log_group
        if group:
            try:
                found[group] = findings.read(_client("logs"), group, trouble.since, _now())
            except Exception as error:  # whatever it is, the message goes out, without what the log says
                logger.warning("the log could not be read", group=group, error=type(error).__name__)
    _, partition, _, region, *_ = topic.split(":")
    place = Place(region, partition, has_console="AWS_ENDPOINT_URL" not in os.environ)
    return message_of(letter, catalog, found, place)


def _now() -> datetime:
    return datetime.now(UTC)


def _root() -> Path:
    return Path(os.environ.get("LAMBDA_TASK_ROOT") or Path(__file__).parents[2])


def _setting(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise NotifierError(f"The environment variable {name} is not set: the function was deployed without it.")
    return value


@functools.cache
def _client(service: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        service, config=Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "max_attempts": 4})
    )
