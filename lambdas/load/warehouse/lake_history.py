"""Change history from the lake: the rows and deletions of some keys, batch by batch."""

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
from .session import WarehouseSession, analyze, copy_rows, temporary

BATCH, DELETED = "_batch", "_deleted"  # columns of the staging table of events, after those of the table
T = TypeVar("T")

THREADS = 16  # manifests and small files read concurrently
SMALL = 20_000  # rows of a file that is read concurrently; a larger one is streamed alone

_CREATE = """
    CREATE TEMPORARY TABLE $staging ON COMMIT DROP AS
    SELECT $columns, NULL::bigint AS $batch, NULL::boolean AS $deleted FROM $table WITH NO DATA
"""


def stage_events(
    session: WarehouseSession, table: WarehouseTable, keys: sql.Fragment, first: int, last: int
) -> sql.Fragment:
    """Stages all rows and deletions of the keys in ``keys`` in the batches ``first`` to ``last``; returns the table.

    ``keys`` is a table that has the key column of ``table``. Of each batch the newest revision counts. The staging
    table has the columns of ``table``, ``_batch`` (bigint) and ``_deleted`` (boolean); of a deletion the other columns
    are NULL.
    """
    staging = temporary(f"events_{table.name}")
    names = session.sql(table).parts
    session.run(_CREATE, **names, staging=staging, batch=sql.identifier(BATCH), deleted=sql.identifier(DELETED))
    chosen = session.rows("SELECT DISTINCT k.$key::text FROM $keys AS k", **names, keys=keys)
    wanted = pa.array([row[0] for row in chosen], pa.string())
    manifests = list(_manifests(session.lake, table.name, first, last)) if len(wanted) else []
    rows = [(m.batch, key, m.tables[table.name].rows) for m in manifests if (key := m.tables[table.name].key)]
    deletions = [(m.batch, file.key, file.rows) for m in manifests if (file := m.tables[table.name].deleted)]
    for files, columns, deleted in ((rows, table.column_names, False), (deletions, (table.key,), True)):
        found = _rows_of(session.lake, files, table.key, wanted)
        marked = (_marked(part, batch, deleted=deleted) for batch, part in found)
        copy_rows(session.connection, staging, (*columns, BATCH, DELETED), marked)
    analyze(session.connection, staging)
    return staging


def newest_manifests(lake: Lake, first: int, last: int) -> Iterator[ProcessedManifest]:
    """The manifests of the batches ``first`` to ``last`` in order, each in its newest revision."""
    revised = lake.newest_revisions(first - 1)

    def read(batch: int) -> ProcessedManifest:
        key = revised.get(batch) or manifest_key(batch)
        return processed_manifest(lake.get(key), key)

    with ThreadPoolExecutor(THREADS) as pool:
        for batches in _groups(range(first, last + 1)):
            yield from pool.map(read, batches)


def _manifests(lake: Lake, table: str, first: int, last: int) -> Iterator[ProcessedManifest]:
    """The newest manifests that have files of ``table``."""
    return (manifest for manifest in newest_manifests(lake, first, last) if table in manifest.tables)


def _rows_of(
    lake: Lake, files: Iterable[tuple[int, str, int]], key: str, wanted: pa.Array
) -> Iterator[tuple[int, pa.Table]]:
    """The rows of the files whose key is in ``wanted``, each piece with its batch.

    ``files``: batch, object key and number of rows of each. ``wanted``: keys as strings.
    """

    def chosen(name: str) -> Iterator[pa.Table]:
        for part in lake.iter_tables(name):
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
    """The values in tuples of at most THREADS: what is read ahead stays bounded."""
    iterator = iter(values)
    while group := tuple(itertools.islice(iterator, THREADS)):
        yield group


def _marked(rows: pa.Table, batch: int, *, deleted: bool) -> pa.Table:
    """The rows with ``_batch`` (int64) and ``_deleted`` (bool) as their last columns."""
    count = rows.num_rows
    return rows.append_column(BATCH, pa.repeat(pa.scalar(batch, pa.int64()), count)).append_column(
        DELETED, pa.repeat(pa.scalar(deleted), count)
    )
