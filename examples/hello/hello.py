"""A whole Lambda function: one file, nothing to install."""

from typing import Any


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, str]:
    """Greets whom the event names."""
    return {"message": f"Hello, {event.get('name', 'world')}!"}
