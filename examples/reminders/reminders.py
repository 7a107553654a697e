"""Reminds of an invoice often enough: it sends the message once more to the topic that starts it."""

import json
import os
from typing import Any

import boto3


def lambda_handler(event: dict[str, Any], context: object) -> None:
    """Each record is a message such as ``{"invoice": 7, "reminders": 3}``."""
    for record in event["Records"]:
        message = json.loads(record["Sns"]["Message"])
        left = int(message["reminders"]) - 1
        print(f"invoice {message['invoice']}: {left} reminders left")
        if left > 0:
            _send({**message, "reminders": left})


def _send(message: dict[str, Any]) -> None:
    boto3.client("sns").publish(
        TopicArn=os.environ["TOPIC"],
        Message=json.dumps(message),
        MessageAttributes={"kind": {"DataType": "String", "StringValue": "invoice"}},
    )
