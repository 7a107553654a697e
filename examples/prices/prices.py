"""Says what something costs, by a module that a layer has."""

from typing import Any

import tariff  # from the layer


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """The price of ``event["item"]``."""
    return {"item": event["item"], "price": tariff.PRICES[event["item"]]}
