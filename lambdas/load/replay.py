"""Batches applied again as their newest revisions say: what differs is put in its place, the rest is left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pg8000.exceptions import DatabaseError

from ..shared.declarations import CALENDAR, FACT, Declarations, WarehouseTable
from ..shared.errors import WarehouseError
from ..shared.lake.manifest import ProcessedManifest, ProcessedTable, processed_manifest
from ..shared.lake.store import Lake
from ..shared.postgres import sql
from ..shared.postgres.connection import message, transaction
from ..shared.postgres.copy import Connection
from .warehouse import ledger, rejects
from .warehouse.facts import names
from .warehouse.late_arrivals import place
from .warehouse.schemas import LIVE, Warehouse
from .warehouse.staging import stage_rows, temporary
from .warehouse.tables import set_batch, upsert, write_held

# The versions of the staged ids as of the batch, each the last one up to it; batch 0 where that is not known.
_AS_OF = """
    CREATE TEMPORARY TABLE $as_of ON COMMIT DROP AS
    SELECT DISTINCT ON (t.$key) t.*, COALESCE(v.batch, 0) AS "_batch" FROM $table AS t
    $brought_by
    WHERE t.$key IN (SELECT s.$key FROM $stage AS s) AND COALESCE(v.batch, 0) <= $batch
    ORDER BY t.$key, t.$record DESC
"""
_OTHER_VERSIONS = """
    CREATE TEMPORARY TABLE $late ON COMMIT DROP AS
    SELECT s.$key FROM $stage AS s LEFT JOIN $as_of AS a ON a.$key = s.$key
    WHERE a.$key IS NULL OR ROW($staged) IS DISTINCT FROM ROW($present) OR EXISTS (
        SELECT FROM $deletion AS d
        WHERE d.table_name = $name AND d.key = s.$key::text AND d.batch > a."_batch" AND d.batch <= $batch
    )
    UNION
    SELECT t.$key FROM $table AS t
    JOIN $version AS r ON r.table_name = $name AND t.$record BETWEEN r.first_record AND r.last_record
    WHERE r.batch = $batch AND NOT EXISTS (SELECT FROM $stage AS s WHERE s.$key = t.$key)
"""
_OTHER_ROWS = """
    CREATE TEMPORARY TABLE $late ON COMMIT DROP AS
    SELECT s.$key FROM $stage AS s LEFT JOIN $table AS a ON a.$key = s.$key
    WHERE a.$key IS NULL OR ROW($staged) IS DISTINCT FROM ROW($present) OR EXISTS (
        SELECT FROM $deletion AS d WHERE d.table_name = $name AND d.key = s.$key::text
        AND d.batch < $batch AND (d.ended_batch IS NULL OR d.ended_batch > $batch)
    )
"""
# What is held of the batch is looked at again: the revision may hold it no more.
_HELD = """
    INSERT INTO $late SELECT DISTINCT v.$key FROM $held AS h, jsonb_populate_record(NULL::$table, h.version) AS v
    WHERE h.table_name = $name AND h.batch = $batch
"""
_GONE = """
    INSERT INTO $late SELECT s.$key FROM $gone AS s WHERE NOT EXISTS (
        SELECT FROM $deletion AS d WHERE d.table_name = $name AND d.key = s.$key::text
        AND d.batch <= $batch AND (d.ended_batch IS NULL OR d.ended_batch > $batch)
    )
"""


@dataclass
class Replayed:
    """The batches applied again, and the rows written per table.

    ``not_loaded``: asked for, but load has yet to take them. ``left``: for another run, because time was up, or because
    another load is running (``busy``).
    """

    replayed: list[int] = field(default_factory=list)
    written: dict[str, int] = field(default_factory=dict)
    not_loaded: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    busy: bool = False


def replay(
    connection: Connection,
    lake: Lake,
    declarations: Declarations,
    batches: list[int],
    *,
    warehouse: Warehouse = LIVE,
    in_time: Callable[[], bool] = lambda: True,
) -> Replayed:
    """Applies the newest revisions of ``batches``, in order, each in one transaction, as long as ``in_time`` says.

    A batch that was not loaded yet is left to load. While another load runs, nothing is done. Raises LakeError for a
    batch that the lake does not hold, WarehouseError when the warehouse is not prepared or refuses one: those before it
    stay.
    """
    ledger.check_prepared(connection, warehouse)
    todo = sorted(set(batches))
    if not ledger.take_turn(connection, warehouse):
        return Replayed(left=todo, busy=True)
    last = ledger.last_entry(connection, warehouse).batch or 0
    result = Replayed(not_loaded=[batch for batch in todo if batch > last])
    todo = [batch for batch in todo if batch <= last]
    while todo:
        if not in_time():
            result.left = todo
            break
        batch = todo.pop(0)
        key = lake.newest_revision(batch)
        manifest = processed_manifest(lake.read(key), key)
        for table, rows in _Replay(connection, warehouse, lake, declarations, manifest, last).apply().items():
            result.written[table] = result.written.get(table, 0) + rows
        result.replayed.append(batch)
    return result


@dataclass(frozen=True)
class _Replay:
    connection: Connection
    warehouse: Warehouse
    lake: Lake
    declarations: Declarations
    manifest: ProcessedManifest
    last: int  # the last batch loaded

    def apply(self) -> dict[str, int]:
        written: dict[str, int] = {}
        batch = self.manifest.batch
        try:
            with transaction(self.connection):
                set_batch(self.connection, batch)
                for table in self.declarations.loading_order():
                    files = self.manifest.tables.get(table.name, ProcessedTable())
                    rows = self._calendar(table, files) if table.kind == CALENDAR else self._table(table, files)
                    if rows:
                        written[table.name] = rows
                rejects.replace(self.connection, self.warehouse, self.lake, self.declarations, self.manifest, self.last)
                ledger.record_revision(self.connection, self.warehouse, self.manifest, written)
        except DatabaseError as error:
            raise WarehouseError(
                f"Batch {batch} cannot be applied again: {message(error)}. Nothing of it was changed."
            ) from error
        return written

    def _calendar(self, table: WarehouseTable, files: ProcessedTable) -> int:
        if files.key is None:
            return 0
        return upsert(self.connection, self.warehouse, table, self._stage(table, files.key))

    def _table(self, table: WarehouseTable, files: ProcessedTable) -> int:
        connection, warehouse, lake = self.connection, self.warehouse, self.lake
        rows = write_held(connection, warehouse, lake, table, self.last)
        late = self._late(table, files)
        if connection.rows(sql.compose("SELECT EXISTS (SELECT FROM $late)", late=late))[0][0]:
            rows += place(connection, warehouse, lake, table, late, self.manifest.batch, self.last)
        return rows

    def _late(self, table: WarehouseTable, files: ProcessedTable) -> sql.Fragment:
        """The ids of which the warehouse, as of the batch, has something else than the revision says."""
        late, as_of = temporary(f"late_{table.name}"), temporary(f"as_of_{table.name}")
        columns = table.column_names
        parts = {
            **names(self.warehouse, table),
            "stage": self._stage(table, files.key),
            "late": late,
            "as_of": as_of,
            "batch": sql.number(self.manifest.batch),
            "staged": sql.columns(columns, of="s"),
            "present": sql.columns(columns, of="a"),
        }
        if table.kind == FACT:
            self.connection.run(sql.compose(_AS_OF, **parts))
            self.connection.run(sql.compose(_OTHER_VERSIONS, **parts))
        else:
            self.connection.run(sql.compose(_OTHER_ROWS, **parts))
        self.connection.run(sql.compose(_HELD, **parts))
        if files.deleted is not None:
            rows = self.lake.tables(files.deleted.key)
            gone = stage_rows(self.connection, self.warehouse, table, (table.key,), f"gone_{table.name}", rows)
            self.connection.run(sql.compose(_GONE, **parts, gone=gone))
        return late

    def _stage(self, table: WarehouseTable, key: str | None) -> sql.Fragment:
        rows = self.lake.tables(key) if key else iter(())
        return stage_rows(self.connection, self.warehouse, table, table.column_names, f"stage_{table.name}", rows)
