"""Publishes the warehouse as Iceberg tables in the middle of a history and at its end, and compares them."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from tests.proof.simulation import Simulation
from tests.proof.steps import History, Load
from tests.support.published import catalog_in, compare, published


class DiedError(BaseException):
    """A publication ends here."""


def prove_published(world: Simulation, history: History) -> None:
    """Performs ``history``, and publishes after its loads, some of which die after a commit; then compares all."""
    world.reset()
    try:
        with tempfile.TemporaryDirectory() as folder:
            catalog = catalog_in(Path(folder))
            number = itertools.count(1)

            def publish(*, dies: bool) -> None:
                commits = itertools.count(1)

                def on_commit(table: str, batch: int) -> None:
                    if dies and next(commits) == len(history) % 20 + 1:
                        raise DiedError

                try:
                    done = published(world.warehouse, catalog, world.declarations, on_commit)
                    world.counts["published"] += done is not None
                except DiedError:
                    world.counts["publications that died"] += 1

            for step in history:
                world.step(step)
                if isinstance(step, Load) and next(number) % 3 == 1:
                    publish(dies=True)
            world.settle()
            publish(dies=False)
            if world.repair():
                world.settle()
                publish(dies=False)
            world.counts["published rows"] += compare(world.warehouse, catalog, world.declarations)
        world.counts["histories"] += 1
    finally:
        world.forget()
