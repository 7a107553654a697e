"""Published tables: their ledger, which is in the summaries of their snapshots, and what readers take of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from lambda_toolkit.pipeline.iceberg.snapshot import Position

DELETIONS = "pipeline_deletions"  # the table with the deleted rows of all tables
_PREFIX = "pipeline."  # of the properties of a snapshot's summary


@dataclass(frozen=True)
class Entry:
    """What a snapshot's summary says: the row of the table's ledger, committed with the data."""

    position: Position
    """What the table has up to here, of which the data are new."""
    extracted_at: str
    warehouse: str
    last_record: int = 0
    """Of a fact: the highest record number that was published."""
    rows: int = 0
    """Of a fact: how many versions it has."""
    content: str = ""
    """Of a table that is overwritten: the rows and a sum of their hashes."""

    def summary(self) -> dict[str, str]:
        """As properties of a snapshot."""
        return {
            f"{_PREFIX}batch": str(self.position.batch),
            f"{_PREFIX}revisions": str(self.position.revisions),
            f"{_PREFIX}extracted-at": self.extracted_at,
            f"{_PREFIX}warehouse": self.warehouse,
            f"{_PREFIX}last-record": str(self.last_record),
            f"{_PREFIX}rows": str(self.rows),
            f"{_PREFIX}content": self.content,
        }


def entry_of(snapshot: Snapshot) -> Entry | None:
    """The entry in a snapshot's summary; ``None`` of one that no publication made, such as a compaction."""
    found: Mapping[str, str | None] = snapshot.summary.additional_properties if snapshot.summary else {}
    if f"{_PREFIX}batch" not in found:
        return None

    def text(name: str) -> str:
        return str(found.get(_PREFIX + name) or "")

    return Entry(
        Position(int(text("batch")), int(text("revisions"))),
        text("extracted-at"),
        text("warehouse"),
        int(text("last-record")),
        int(text("rows")),
        text("content"),
    )


def entries(table: Table) -> Iterator[tuple[Snapshot, Entry]]:
    """The table's ledger, the newest first: the snapshots that lead to the present one."""
    by_id = {snapshot.snapshot_id: snapshot for snapshot in table.metadata.snapshots}
    snapshot = table.current_snapshot()
    while snapshot is not None:
        found = entry_of(snapshot)
        if found is not None:
            yield snapshot, found
        snapshot = by_id.get(snapshot.parent_snapshot_id or 0)


def last_entry(table: Table) -> Entry | None:
    """The last entry of the table's ledger."""
    return next((entry for _, entry in entries(table)), None)


def common_position(tables: Iterable[Table]) -> Position | None:
    """The last position that all ``tables`` have; ``None`` where they have none in common.

    A publication that was interrupted has it in some of the tables: readers then take the one before.
    """
    found = [{entry.position for _, entry in entries(table)} for table in tables]
    common = set.intersection(*found) if found else set()
    return max(common, key=lambda position: (position.batch, position.revisions), default=None)


def snapshot_at(table: Table, position: Position) -> int:
    """The id of the table's snapshot at ``position``. Raises KeyError where it has none."""
    for snapshot, entry in entries(table):
        if entry.position == position:
            return snapshot.snapshot_id
    raise KeyError(position)


def read_at(tables: Mapping[str, Table]) -> tuple[Position | None, dict[str, pa.Table]]:
    """All tables at their common position, and that position."""
    position = common_position(tables.values())
    if position is None:
        return None, {}
    return position, {
        name: table.scan(snapshot_id=snapshot_at(table, position)).to_arrow() for name, table in tables.items()
    }
