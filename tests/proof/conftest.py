"""The world in which histories happen: one per worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.proof.simulation import Simulation
from tests.proof.worlds import opened


@pytest.fixture(scope="session")
def world(postgres_server: Any) -> Iterator[Simulation]:
    """A source, a lake and a warehouse; each history starts them from their initial state."""
    with opened(postgres_server) as made:
        yield made
