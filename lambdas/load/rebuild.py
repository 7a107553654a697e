"""Shadow rebuild: fills a second warehouse from the lake alone, as many batches as there is time for in one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..shared.declarations import Declarations
from ..shared.lake.object_keys import revision_of
from ..shared.lake.store import Lake
from ..shared.postgres import sql
from ..shared.postgres.copy import Connection
from .loading import load
from .replay import replay
from .warehouse.schemas import Warehouse

_APPLIED = "SELECT batch, max(revision) FROM $revision GROUP BY batch"


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
    connection: Connection,
    lake: Lake,
    declarations: Declarations,
    warehouse: Warehouse,
    has_time_for_next: Callable[[], bool],
) -> Rebuilt:
    """Loads the next batches into ``warehouse``, in their newest revisions, while ``has_time_for_next()``.

    Loaded batches that have a newer revision in the lake are applied again. Raises what load and replay raise.
    """
    loaded = load(connection, lake, declarations, warehouse=warehouse, has_time_for_next=has_time_for_next)
    result = Rebuilt(loaded.last.batch, loaded.loaded, missing_batch=loaded.missing_batch, busy=loaded.busy)
    if loaded.busy or loaded.unfinished or loaded.missing_batch is not None:
        return result
    revised = _revised(connection, lake, warehouse, loaded.last.batch or 0)
    again = replay(connection, lake, declarations, revised, warehouse=warehouse, has_time_for_next=has_time_for_next)
    result.replayed, result.busy = again.replayed, again.busy
    result.done = not again.left and not again.busy
    return result


def _revised(connection: Connection, lake: Lake, warehouse: Warehouse, last: int) -> list[int]:
    """The loaded batches of which the lake has a newer revision than the warehouse."""
    applied = {
        int(batch): int(revision)
        for batch, revision in connection.rows(sql.compose(_APPLIED, **warehouse.control_tables()))
    }
    newest = lake.newest_revisions(0)
    return [
        batch
        for batch, key in newest.items()
        if batch <= last and (revision_of(key) or (batch, 1))[1] > applied.get(batch, 1)
    ]
