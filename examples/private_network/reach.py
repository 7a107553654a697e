"""Says what a function in a private network reaches: each address of the event, as `host:port`."""

import socket
from typing import Any


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, str]:
    """By address, ``reached`` or why not."""
    return {address: _reach(address) for address in event.get("addresses", ())}


def _reach(address: str) -> str:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=3):
            return "reached"
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
