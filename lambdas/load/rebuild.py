"""A second warehouse, filled from the lake alone: batch by batch, as many as there is time for, and on from there."""

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
    """The batches loaded and applied again now; the last one loaded; whether that is all that the lake holds.

    ``waiting_for``: a batch that is missing. ``busy``: somebody else is writing to that warehouse.
    """

    last_batch: int | None
    loaded: list[int] = field(default_factory=list)
    replayed: list[int] = field(default_factory=list)
    waiting_for: int | None = None
    done: bool = False
    busy: bool = False


def rebuild(
    connection: Connection,
    lake: Lake,
    declarations: Declarations,
    warehouse: Warehouse,
    in_time: Callable[[], bool],
) -> Rebuilt:
    """Loads the next batches into ``warehouse``, in their newest revisions, as long as ``in_time`` says.

    What was loaded before, and revised since, is applied again. Raises what load and replay raise.
    """
    loaded = load(connection, lake, declarations, warehouse=warehouse, in_time=in_time)
    result = Rebuilt(loaded.last.batch, loaded.loaded, waiting_for=loaded.waiting_for, busy=loaded.busy)
    if loaded.busy or loaded.unfinished or loaded.waiting_for is not None:
        return result
    revised = _revised(connection, lake, warehouse, loaded.last.batch or 0)
    again = replay(connection, lake, declarations, revised, warehouse=warehouse, in_time=in_time)
    result.replayed, result.busy = again.replayed, again.busy
    result.done = not again.left and not again.busy
    return result


def _revised(connection: Connection, lake: Lake, warehouse: Warehouse, last: int) -> list[int]:
    """The loaded batches of which the lake has a newer revision than the warehouse."""
    applied = {
        int(batch): int(revision) for batch, revision in connection.rows(sql.compose(_APPLIED, **warehouse.parts()))
    }
    newest = lake.newest_revisions(0)
    return [
        batch
        for batch, key in newest.items()
        if batch <= last and (revision_of(key) or (batch, 1))[1] > applied.get(batch, 1)
    ]
