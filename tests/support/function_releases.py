"""The released versions of the function that the tests deploy, and an edit of its code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

ClientFactory = Callable[[str], Any]  # the name of a service -> its boto3 client


def alias(client: ClientFactory) -> dict[str, Any]:
    """The alias ``live`` as Lambda returns it."""
    found: dict[str, Any] = client("lambda").get_alias(FunctionName="my-function", Name="live")
    return found


def live(client: ClientFactory) -> str:
    """The version that the alias ``live`` points to."""
    return str(alias(client)["FunctionVersion"])


def versions(client: ClientFactory) -> list[str]:
    """The published versions, oldest first."""
    listed = client("lambda").list_versions_by_function(FunctionName="my-function")["Versions"]
    return [str(version["Version"]) for version in listed if version["Version"] != "$LATEST"]


def edit(source: Path, text: str) -> None:
    """Make the function return ``text``."""
    source.write_text(f"def lambda_handler(event, context):\n    return {text!r}\n", encoding="utf-8")
