"""What the lake holds of some rows from a batch on: which batches brought them, with what content, or as deleted."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.declarations import WarehouseTable
from ...shared.lake.manifest import ProcessedManifest, processed_manifest
from ...shared.lake.object_keys import manifest_key
from ...shared.lake.store import Lake
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from .schemas import Warehouse
from .staging import analyze, copy_rows, temporary

BATCH, DELETED = "_batch", "_deleted"  # columns of the stage of events, beside those of the table
T = TypeVar("T")

THREADS = 16  # manifests and small files read at once
SMALL = 20_000  # rows of a file that is read beside others; a larger one is streamed alone

_CREATE = """
    CREATE TEMPORARY TABLE $stage ON COMMIT DROP AS
    SELECT $columns, NULL::bigint AS $batch, NULL::boolean AS $deleted FROM $table WITH NO DATA
"""


def stage_events(
    connection: Connection,
    warehouse: Warehouse,
    lake: Lake,
    table: WarehouseTable,
    keys: sql.Fragment,
    first: int,
    last: int,
) -> sql.Fragment:
    """A stage with all rows and deletions of the ids in ``keys`` in the batches ``first`` to ``last``.

    ``keys`` is a table with the column that is the table's key. The batches count as their newest revisions say.
    """
    stage = temporary(f"events_{table.name}")
    connection.run(
        sql.compose(
            _CREATE,
            stage=stage,
            columns=sql.columns(table.column_names),
            table=warehouse.table(table.name),
            batch=sql.identifier(BATCH),
            deleted=sql.identifier(DELETED),
        )
    )
    chosen = connection.rows(
        sql.compose("SELECT DISTINCT k.$key::text FROM $keys AS k", key=sql.identifier(table.key), keys=keys)
    )
    wanted = pa.array([row[0] for row in chosen], pa.string())
    manifests = list(_manifests(lake, table.name, first, last)) if len(wanted) else []
    rows = [(m.batch, key, m.tables[table.name].rows) for m in manifests if (key := m.tables[table.name].key)]
    gone = [(m.batch, file.key, file.rows) for m in manifests if (file := m.tables[table.name].deleted)]
    for files, columns, deleted in ((rows, table.column_names, False), (gone, (table.key,), True)):
        found = _rows_of(lake, files, table.key, wanted)
        marked = (_marked(part, batch, deleted=deleted) for batch, part in found)
        copy_rows(connection, stage, (*columns, BATCH, DELETED), marked)
    analyze(connection, stage)
    return stage


def newest_manifests(lake: Lake, first: int, last: int) -> Iterator[ProcessedManifest]:
    """The manifests of the batches ``first`` to ``last`` in order, each in its newest revision."""
    revised = lake.newest_revisions(first - 1)

    def read(batch: int) -> ProcessedManifest:
        key = revised.get(batch) or manifest_key(batch)
        return processed_manifest(lake.read(key), key)

    with ThreadPoolExecutor(THREADS) as pool:
        for batches in _groups(range(first, last + 1)):
            yield from pool.map(read, batches)


def _manifests(lake: Lake, table: str, first: int, last: int) -> Iterator[ProcessedManifest]:
    return (manifest for manifest in newest_manifests(lake, first, last) if table in manifest.tables)


def _rows_of(
    lake: Lake, files: Iterable[tuple[int, str, int]], key: str, wanted: pa.Array
) -> Iterator[tuple[int, pa.Table]]:
    """The wanted rows of the files, each with its batch."""

    def chosen(name: str) -> Iterator[pa.Table]:
        for part in lake.tables(name):
            found = part.filter(pc.is_in(pc.cast(part[key], pa.string()), value_set=wanted))
            if found.num_rows:
                yield found

    with ThreadPoolExecutor(THREADS) as pool:
        for large, group in itertools.groupby(files, key=lambda file: file[2] > SMALL):
            if large:
                yield from ((batch, part) for batch, name, _ in group for part in chosen(name))
                continue
            for some in _groups(group):
                parts = pool.map(lambda file: list(chosen(file[1])), some)
                yield from ((file[0], part) for file, found in zip(some, parts, strict=True) for part in found)


def _groups(values: Iterable[T]) -> Iterator[tuple[T, ...]]:
    """The values by so many as are read at once: what is read ahead stays bounded."""
    iterator = iter(values)
    while group := tuple(itertools.islice(iterator, THREADS)):
        yield group


def _marked(rows: pa.Table, batch: int, *, deleted: bool) -> pa.Table:
    count = rows.num_rows
    return rows.append_column(BATCH, pa.repeat(pa.scalar(batch, pa.int64()), count)).append_column(
        DELETED, pa.repeat(pa.scalar(deleted), count)
    )
