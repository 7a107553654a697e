"""What the functions log."""

from __future__ import annotations

import json
from typing import Any


def json_lines(text: str) -> list[dict[str, Any]]:
    """The JSON documents among the lines of ``text``."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
