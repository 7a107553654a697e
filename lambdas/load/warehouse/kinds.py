"""The kinds of warehouse tables: what loading, replaying and comparing do differently for dimensions and for facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ...shared.declarations import CALENDAR, DIMENSION, FACT, WarehouseTable
from ...shared.postgres import sql
from . import dimensions, facts
from .schemas import SchemaNames
from .session import WarehouseSession


class TableKind(Protocol):
    """What a kind of table does. Each is a module. ``parts``: see :func:`.late_arrivals.rebuild_history`."""

    def apply(self, session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int) -> int:
        """Writes the staged rows of ``batch``, the newest batch; returns how many were new or different."""

    def discard_superseded(
        self, session: WarehouseSession, table: WarehouseTable, staging: sql.Fragment, batch: int
    ) -> None:
        """Deletes what is pending, or was rejected, of the staged keys up to ``batch``, where it matters no more."""

    def discard_superseded_by_events(
        self, session: WarehouseSession, table: WarehouseTable, events: sql.Fragment
    ) -> None:
        """Deletes what is pending, or was rejected, before an event of its key, where it matters no more."""

    def stage_state_before(self, session: WarehouseSession, parts: dict[str, sql.Fragment]) -> sql.Fragment | None:
        """Stages the stored state of ``$keys``; the query of the state before the batch ``$first``, where it is kept.

        Its columns: those of the table, ``_batch`` (bigint) and ``_deleted`` (boolean).
        """

    def write_history(self, session: WarehouseSession, table: WarehouseTable, parts: dict[str, sql.Fragment]) -> int:
        """Makes the table what ``$history`` says of ``$keys``; returns how many rows were written."""

    def stage_changed_keys(self, session: WarehouseSession, parts: dict[str, sql.Fragment]) -> None:
        """Creates ``$changed`` with the keys of which ``$staging`` has another row of ``$batch`` than the table."""

    def compared_rows(self, schemas: SchemaNames, table: WarehouseTable) -> sql.Fragment:
        """The query of what a comparison reads; every row has ``_present`` true."""

    def compared_columns(self, table: WarehouseTable) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The columns that identify a compared row, and those that are compared."""


_KINDS: Mapping[str, TableKind] = {CALENDAR: dimensions, DIMENSION: dimensions, FACT: facts}


def kind_of(table: WarehouseTable) -> TableKind:
    """What the kind of ``table`` does."""
    return _KINDS[table.kind]
