"""Every message that reached a person on this machine: emails of the topic and messages of the webhook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.local_stack.alerting import mail_sink, slack_receiver

FORMAT = 1


def document(mails: Path, slack: Path) -> dict[str, Any]:
    """The emails below ``mails`` and the messages for Slack below ``slack``, oldest first, as JSON values.

    Each has ``received_at`` (ISO 8601, UTC), ``channel`` (``email`` or ``slack``), ``to``, ``subject`` and ``text``.
    """
    messages = [
        *(
            {
                "received_at": email.received_at,
                "channel": "email",
                "to": email.recipient,
                "subject": email.subject,
                "text": email.body,
            }
            for email in mail_sink.read(mails)
        ),
        *(
            {
                "received_at": post.received_at,
                "channel": "slack",
                "to": "webhook",
                "subject": post.subject,
                "text": post.text,
            }
            for post in slack_receiver.read(slack)
        ),
    ]
    return {"format": FORMAT, "messages": sorted(messages, key=lambda message: message["received_at"])}
