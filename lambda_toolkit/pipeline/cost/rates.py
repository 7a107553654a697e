"""What a million rows take in each step, as it was measured: ``rates.toml``, with the date and what measured it."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("rates.toml")
_NARROWEST = 0.5  # a row without bytes takes half of what one of the measured width does: it is a row all the same


@dataclass(frozen=True)
class Rates:
    """Seconds for a million rows of ``row_bytes`` each."""

    measured: date
    machine: str
    row_bytes: int
    seconds: Mapping[str, float]
    by: Mapping[str, str]
    """What measured each."""

    def width(self, row_bytes: float) -> float:
        """How many times as long as a measured row one of ``row_bytes`` takes: assumed to follow its bytes."""
        return max(_NARROWEST, row_bytes / self.row_bytes)


@functools.cache
def rates() -> Rates:
    """The rates of the file."""
    with _FILE.open("rb") as file:
        document: Mapping[str, Any] = tomllib.load(file)
    entries: Mapping[str, Mapping[str, Any]] = document["rates"]
    return Rates(
        document["measured"],
        document["machine"],
        document["row_bytes"],
        {name: float(entry["seconds"]) for name, entry in entries.items()},
        {name: entry["by"] for name, entry in entries.items()},
    )
