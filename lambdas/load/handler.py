"""The door of load: EventBridge calls it on a schedule; events with an ``action`` ask for something else.

``report``: what is loaded · ``rejected``: what is open · ``replay``: batches, in their newest revisions, again ·
``rebuild``: the next batches into another schema · ``compare``: the live warehouse with such a schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ..shared import clients, declarations
from ..shared.deadline import Budget
from ..shared.errors import PipelineError
from ..shared.postgres.connection import connected
from ..shared.postgres.copy import Connection
from ..shared.runtime import checked, count_rejected, logged, logger
from .compare import compare
from .loading import Loaded, load, report
from .open_items import count_open, open_rows
from .rebuild import rebuild
from .replay import replay
from .warehouse.schemas import LIVE, Warehouse

Action = Callable[[Connection, dict[str, Any], Any], dict[str, Any]]


@logged
@checked(lambda: clients.credentials("WAREHOUSE_SECRET"), clients.processed_lake)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Loads the batches that the warehouse does not have yet, in order; or does what the event's ``action`` says.

    Raises PipelineError for an event that it does not understand, and what the action raises.
    """
    name = event.get("action")
    if name is not None and name not in _ACTIONS:
        raise PipelineError(f"load knows the actions {', '.join(_ACTIONS)}, not {name!r}.")
    action = _ACTIONS[name] if name else _load
    with connected(clients.credentials("WAREHOUSE_SECRET")) as connection:
        return action(connection, event, context)


def _load(connection: Connection, event: dict[str, Any], context: Any) -> dict[str, Any]:
    result = load(connection, clients.processed_lake(), declarations.load(), in_time=_budget(context))
    if result.busy:
        logger.warning("another load is running: nothing was loaded by this one")
    if result.held:
        logger.warning(
            "rows are held: what they name is not in the warehouse (see what transform rejected), or they lack a value "
            "that it demands",
            held=result.held,
        )
        count_rejected(sum(result.held.values()), context)
    return _described(connection, result)


def _report(connection: Connection, event: dict[str, Any], context: Any) -> dict[str, Any]:
    return _described(connection, report(connection))


def _rejected(connection: Connection, event: dict[str, Any], context: Any) -> dict[str, Any]:
    return open_rows(connection, declarations.load())


def _replay(connection: Connection, event: dict[str, Any], context: Any) -> dict[str, Any]:
    batches = event.get("batches")
    if not isinstance(batches, list) or not batches or not all(type(n) is int and n > 0 for n in batches):
        raise PipelineError(f"The event's `batches` must be a list of numbers of batches, not {batches!r}.")
    done = replay(connection, clients.processed_lake(), declarations.load(), batches, in_time=_budget(context))
    return {**asdict(done), "open": count_open(connection)}


def _rebuild(connection: Connection, event: dict[str, Any], context: Any) -> dict[str, Any]:
    warehouse = _other(event, "into")
    return asdict(rebuild(connection, clients.processed_lake(), declarations.load(), warehouse, _budget(context)))


def _compare(connection: Connection, event: dict[str, Any], context: Any) -> dict[str, Any]:
    return compare(connection, declarations.load(), LIVE, _other(event, "with"))


_ACTIONS: Mapping[str, Action] = {
    "report": _report,
    "rejected": _rejected,
    "replay": _replay,
    "rebuild": _rebuild,
    "compare": _compare,
}


def _described(connection: Connection, result: Loaded) -> dict[str, Any]:
    return {
        "loaded": result.loaded,
        "last_batch": result.last.batch,
        "extracted_at": result.last.extracted_at,
        "loaded_at": result.last.loaded_at,
        "waiting_for": result.waiting_for,
        "appended": result.appended,
        "held": result.held,
        "open": count_open(connection),
    }


def _other(event: dict[str, Any], key: str) -> Warehouse:
    """The warehouse beside the live one that the event names. Raises PipelineError."""
    schema = event.get(key)
    problem = Warehouse.refusal(schema) if isinstance(schema, str) else "it must be a text"
    if problem or not isinstance(schema, str):
        raise PipelineError(f"The event's `{key}` cannot be {schema!r}: {problem}.")
    return Warehouse.beside(schema)


def _budget(context: Any) -> Budget:
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return Budget(lambda: float(remaining()) / 1000 if remaining else float("inf"))
