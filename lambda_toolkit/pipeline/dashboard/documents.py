"""The documents that the pages show: each is read by the function that a command prints it with."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client.observing.batch_log import batch_lines
from lambda_toolkit.pipeline.client.observing.batches import TimelineReader
from lambda_toolkit.pipeline.client.observing.follow import Follower
from lambda_toolkit.pipeline.client.observing.status import StatusReader
from lambda_toolkit.pipeline.client.target import DIRECTORY, LOCAL_STAGE, STACK_FILE, Target, choose
from lambda_toolkit.pipeline.client.warehouses.query import Warehouse
from lambda_toolkit.pipeline.commands.cost import cost
from lambda_toolkit.pipeline.commands.plan import plan_document
from lambda_toolkit.pipeline.commands.rejected import rejected
from lambda_toolkit.pipeline.dashboard import warehouse_documents
from lambda_toolkit.pipeline.dashboard.readings import Document, Source
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.local_stack.alerting import inbox

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws
    from lambda_toolkit.pipeline.lambdas.shared.model.declarations import WarehouseTable

LOCAL_SECONDS, AWS_SECONDS = 2.0, 20.0
"""How often what changes with each batch is read: an emulator costs nothing, AWS a request each."""
_SLOWER = 3  # how much more seldom the state of functions, alarms and rows is read
BATCHES = 40
"""How many batches the pages show at most."""
_SELDOM = 15  # and what changes with a deploy


@dataclass(frozen=True)
class Connected:
    """One target, and what is made of it once: clients, credentials, declarations."""

    target: Target

    @cached_property
    def aws(self) -> Aws:
        """The client of its AWS."""
        return self.target.aws()

    @cached_property
    def follower(self) -> Follower:
        """Its functions and buckets."""
        return Follower(self.aws, self.target.pipeline, lambda text: None)

    @cached_property
    def warehouse(self) -> Warehouse:
        """Its warehouse. Raises CommandError where its credentials are unknown."""
        return Warehouse.of(self.target)

    @cached_property
    def states(self) -> StatusReader:
        """Its state."""
        return StatusReader(self.follower, lambda: self.warehouse)

    @cached_property
    def timelines(self) -> TimelineReader:
        """Its batches."""
        return TimelineReader(self.aws, self.target.pipeline, self.warehouse)

    @cached_property
    def declared(self) -> Mapping[str, WarehouseTable]:
        """The warehouse tables that its configuration declares. Raises DeclarationError."""
        from lambda_toolkit.pipeline.lambdas.shared.model import declarations
        from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression

        return declarations.parse(self.target.pipeline.tables, parse_expression).warehouse


class Targets:
    """The target that ``first`` is, chosen again when a file of the configuration or of the local stack changes.

    So a page that is open follows a configuration that is edited, and a stack that was stopped and started; it never
    moves to another stage, nor from the stack to AWS.
    """

    def __init__(self, first: Target) -> None:
        config = first.pipeline.path
        self._config = config
        self._stage = LOCAL_STAGE if first.is_local else first.pipeline.stage
        self._watched = (config.parent, config.resolve().parent.parent / DIRECTORY / STACK_FILE)
        self._choosing = threading.Lock()
        self._seen = self._state()
        self._connected = Connected(first)

    def __call__(self) -> Connected:
        """The target as it is now. Raises what ``choose`` raises."""
        with self._choosing:
            seen = self._state()
            if seen != self._seen:
                self._connected, self._seen = Connected(choose(self._config, self._stage, os.environ)), seen
            return self._connected

    def _state(self) -> object:
        return tuple(map(_state, self._watched))


def sources(targets: Callable[[], Connected], now: Callable[[], datetime], seconds: float) -> dict[str, Source]:
    """How each document is read. ``seconds``: how often what changes with each batch is."""

    def read_status() -> Document:
        return targets().states.read(now())

    def read_batches() -> Document:
        connected = targets()
        return connected.timelines.read(BATCHES).to_json(connected.target.pipeline, now())

    def read_batch(number: str) -> Document:
        return _batch(targets(), int(number), now())

    def read_tables() -> Document:
        return warehouse_documents.tables(targets().warehouse, targets().declared)

    def read_history(table: str, key: str) -> Document:
        return warehouse_documents.history(targets().warehouse, targets().declared, table, key)

    def read_questions() -> Document:
        return warehouse_documents.questions(targets().warehouse, targets().target.pipeline.root)

    slower, seldom = seconds * _SLOWER, seconds * _SELDOM
    return {
        "status": Source(read_status, seconds),
        "batches": Source(read_batches, seconds),
        "batch": Source(read_batch, slower),
        "rejected": Source(lambda: rejected(targets().target), slower),
        "tables": Source(read_tables, slower),
        "history": Source(read_history, slower),
        "questions": Source(read_questions, slower),
        "cost": Source(lambda: cost(targets().target), seldom),
        "messages": Source(lambda: _messages(targets().target), seconds),
        "plan": Source(lambda: plan_document(targets().target), seldom),
    }


def _messages(target: Target) -> dict[str, Any]:
    """Those that arrived in the local stack, oldest first; null on AWS, which delivers them."""
    if not target.is_local:
        return {"messages": None}
    stack = target.pipeline.root / DIRECTORY
    return inbox.document(stack / "mail-sink", stack / "slack-sink")


def _batch(connected: Connected, number: int, now: datetime) -> dict[str, Any]:
    """The document of ``batches`` with one batch, and ``lines``: the log lines about it."""
    pipeline = connected.target.pipeline
    found = connected.timelines.one(number).to_json(pipeline, now)
    if not found["batches"]:
        raise CommandError(f"There is no batch {number}.")
    batch = found["batches"][0]
    ended = _time(batch["loaded_at"]) if batch["loaded_at"] else now
    begun = _time(batch["extracted_at"])
    return {**found, "lines": batch_lines(connected.aws, pipeline, number, begun, max(begun, ended))}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _state(path: Path) -> object:
    """What tells one state of a file, or of the files in a folder, from the next."""
    found = []
    with suppress(OSError):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        found = [(str(file), file.stat().st_mtime_ns) for file in files]
    return found
