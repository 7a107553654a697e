"""AWS's list prices: what ``prices.toml`` says for a region, or an estimate for a region that it does not have."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

HOURS_A_MONTH = Decimal(730)  # of a month: a twelfth of a year
BASE = "us-east-1"  # the region whose prices those of others are estimated from
_FILE = Path(__file__).with_name("prices.toml")
_OTHER = "other"


@dataclass(frozen=True)
class Price:
    """The price of one unit."""

    unit: str
    """Such as ``GB-second``; of what is priced by the month, one of it for a month."""
    amount: Decimal
    """US dollars."""
    free: Decimal
    """How many units are free each month, for ever and per account."""
    published: date
    """When the source published it."""
    page: str
    """AWS's page about it."""


@dataclass(frozen=True)
class PriceList:
    """The prices of one region."""

    region: str
    is_estimated: bool
    """Whether the region is not in the file: the prices are those of ``us-east-1`` times a factor."""
    read: date
    """When the file was last compared with its sources."""
    prices: Mapping[str, Price]

    hours: Decimal = HOURS_A_MONTH
    """Of a month."""

    def __getitem__(self, name: str) -> Price:
        """The price called ``name`` in the file."""
        return self.prices[name]


def price_list(region: str) -> PriceList:
    """The prices in ``region``; estimated where the file does not have that region."""
    document = _document()
    entries: Mapping[str, Mapping[str, Any]] = document["prices"]
    known = all(region in entry for entry in entries.values())
    factors = document["factors"]
    factor = Decimal(factors.get(region, factors[_OTHER]))
    prices = {
        name: Price(
            entry["unit"],
            Decimal(entry[region]) if known else Decimal(entry[BASE]) * factor,
            Decimal(entry.get("free", 0)),
            entry["published"],
            entry["page"],
        )
        for name, entry in entries.items()
    }
    return PriceList(region, not known, document["read"], prices)


@functools.cache
def _document() -> Mapping[str, Any]:
    with _FILE.open("rb") as file:
        return tomllib.load(file, parse_float=Decimal)
