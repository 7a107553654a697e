"""Batch after batch, as long as there is more to read and time to read it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from ..shared.declarations import Declarations
from ..shared.lake.store import Lake
from ..shared.postgres.copy import Connection
from .extraction import Extracted, Request, extract
from .limits import Limits


def extract_all(
    connection: Connection,
    lake: Lake,
    declarations: Declarations,
    request: Request,
    limits: Limits,
    tell: Callable[[Extracted], object] = lambda _: None,
) -> Extracted:
    """Extracts until nothing is incomplete, another run is faster, or the time is up. ``tell`` is told of each batch.

    Returns the last batch made, with the rows of all. Each batch is a run of its own: it has its own snapshot.
    """
    done = extract(connection, lake, declarations, uuid.uuid4().hex, request, limits=limits)
    tell(done)
    following = done
    deadline = limits.deadline
    while following.batch is not None and following.incomplete and deadline.has(2 * deadline.reserve):
        following = extract(connection, lake, declarations, uuid.uuid4().hex, limits=limits)
        tell(following)
        done = replace(
            following,
            batch=following.batch or done.batch,
            rows=_added(done.rows, following.rows),
            deleted=_added(done.deleted, following.deleted),
        )
    return done


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {
        name: one.get(name, 0) + other.get(name, 0) for name in (*one, *(name for name in other if name not in one))
    }
