"""Takes orders from a queue, from events of EventBridge, and by HTTPS: the event says which."""

import json


def lambda_handler(event: dict, context: object) -> dict:
    """The answer to a request, or the messages of a batch that failed and are to come again."""
    if "requestContext" in event:  # of the URL
        return {"statusCode": 200, "body": json.dumps({"open": True})}
    if "detail" in event:  # of EventBridge
        print("order", event["detail"]["number"])
    failed = []
    for message in event.get("Records", []):
        try:
            order = json.loads(message["body"])
            print("order", order["number"])
        except (KeyError, TypeError, ValueError):
            failed.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failed}
