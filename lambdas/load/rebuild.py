"""Shadow rebuild: fills a second warehouse from the lake alone, as many batches as there is time for in one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..shared.lake.object_keys import revision_of
from ..shared.lake.store import Lake
from ..shared.model.declarations import Declarations
from .loading import load
from .replay import replay
from .warehouse.interface import Warehouse


@dataclass
class Rebuilt:
    """What one run of a rebuild did."""

    last_batch: int | None
    """The last batch loaded."""
    loaded: list[int] = field(default_factory=list)
    """The batches loaded by this run."""
    replayed: list[int] = field(default_factory=list)
    """The batches applied again by this run, because the lake has a newer revision."""
    missing_batch: int | None = None
    """The batch that is missing from the lake."""
    done: bool = False
    """The warehouse has everything that the lake has."""
    busy: bool = False
    """Another session writes to that warehouse."""


def rebuild(
    warehouse: Warehouse,
    lake: Lake,
    declarations: Declarations,
    has_time_for_next: Callable[[], bool],
) -> Rebuilt:
    """Loads the next batches into ``warehouse``, in their newest revisions, while ``has_time_for_next()``.

    Loaded batches that have a newer revision in the lake are applied again. Raises what load and replay raise.
    """
    loaded = load(warehouse, lake, declarations, has_time_for_next=has_time_for_next)
    result = Rebuilt(loaded.last.batch, loaded.loaded, missing_batch=loaded.missing_batch, busy=loaded.busy)
    if loaded.busy or loaded.unfinished or loaded.missing_batch is not None:
        return result
    revised = _revised(warehouse, lake)
    again = replay(warehouse, lake, declarations, revised, has_time_for_next=has_time_for_next)
    result.replayed, result.busy = again.replayed, again.busy
    result.done = not again.left and not again.busy
    return result


def _revised(warehouse: Warehouse, lake: Lake) -> list[int]:
    """The batches of which the lake has a newer revision than the warehouse."""
    applied = warehouse.applied_revisions()
    return [
        batch
        for batch, key in lake.newest_revisions(0).items()
        if (found := revision_of(key)) and found[1] > applied.get(batch, 1)
    ]
