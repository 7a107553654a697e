"""All keys of a table whose keys are integers with few gaps, read as a fraction of the rows.

The server puts the keys into buckets, and says of each how many there are, the first and the last. Where there are as
many as fit between the two, these are the keys, exactly. Only those of the other buckets are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.lake.manifest import KeyFile
from ...shared.postgres import sql
from ...shared.postgres.connection import Connection
from .catalog import TableInfo
from .reader import Consumer, read

BUCKET = 256  # keys: as many rows of a million as are read quickly, and one gap in it costs no more to read
MOST_GAPS = 0.002  # of all keys: with more, half of the buckets have one, and reading all keys is quicker
SPARSE_KEYS = 1_000_000  # that are read of buckets with gaps, and are in memory together
_CHUNK = 256 * 1024  # keys that are passed on together
_BUCKETS = pa.schema([("first", pa.int64()), ("last", pa.int64()), ("keys", pa.int64())])


@dataclass(frozen=True, slots=True)
class _Bucket:
    """Some keys that follow each other."""

    first: int
    last: int
    keys: int

    @property
    def is_dense(self) -> bool:
        """Whether each number from the first to the last is a key."""
        return self.keys == self.last - self.first + 1


def are_dense(files: Sequence[KeyFile], key: pa.Schema) -> bool:
    """Whether the keys in ``files``, sorted parts of a table's keys, are integers with few gaps, by a guess.

    They are taken to begin at 1 where that can be so.
    """
    if len(key) != 1 or not pa.types.is_integer(key.types[0]) or not files:
        return False
    rows = sum(file.rows for file in files)
    last = int(files[-1].last_key)
    return last >= rows and rows >= last * (1 - MOST_GAPS)


def read_dense(connection: Connection, table: TableInfo, consume: Consumer) -> bool:
    """Passes every key of ``table``, sorted, to ``consume``; False, and nothing, where the keys have many gaps.

    The key must be one integer column. Both queries must see one snapshot.
    """
    buckets = list(_buckets(connection, table))
    sparse = [bucket for bucket in buckets if not bucket.is_dense]
    wanted = sum(bucket.keys for bucket in sparse)
    if wanted > SPARSE_KEYS or 2 * wanted > sum(bucket.keys for bucket in buckets):
        return False
    found = _keys_in(connection, table, sparse)
    if found.num_rows != wanted:
        return False
    for keys in _in_order(buckets, found, table.key_schema):
        consume(keys)
    return True


def _buckets(connection: Connection, table: TableInfo) -> Iterator[_Bucket]:
    """The buckets, in the order of their keys: integer division never puts a key before a smaller one."""
    query = sql.compose(
        "SELECT min($key), max($key), count(*) FROM $table AS t GROUP BY $key / $size ORDER BY 1",
        key=_key(table),
        table=table.sql_name,
        size=sql.number(BUCKET),
    )
    found: list[pa.Table] = []
    read(connection, query, _BUCKETS, found.append)
    for part in found:
        for first, last, keys in zip(*(column.to_pylist() for column in part.columns), strict=True):
            yield _Bucket(first, last, keys)


def _keys_in(connection: Connection, table: TableInfo, buckets: Sequence[_Bucket]) -> pa.Table:
    """The keys of ``buckets``, sorted."""
    found = [table.key_schema.empty_table()]
    if buckets:
        query = sql.compose(
            "SELECT $key FROM $table AS t WHERE $key / $size = ANY (CAST($buckets AS bigint[])) ORDER BY $key",
            key=_key(table),
            table=table.sql_name,
            size=sql.number(BUCKET),
            buckets=sql.constant("{" + ",".join(str(_quotient(bucket.first)) for bucket in buckets) + "}"),
        )
        read(connection, query, table.key_schema, found.append)
    return pa.concat_tables(found)


def _quotient(key: int) -> int:
    """The number of the bucket of ``key``, as PostgreSQL divides: toward zero."""
    return key // BUCKET if key >= 0 else -(-key // BUCKET)


def _in_order(buckets: Sequence[_Bucket], sparse: pa.Table, schema: pa.Schema) -> Iterator[pa.Table]:
    """The keys of all ``buckets``, of which those of buckets with gaps are ``sparse``; all sorted."""
    parts, rows = [], 0
    for part in _parts(buckets, sparse, schema):
        parts.append(part)
        rows += part.num_rows
        if rows >= _CHUNK:
            yield pa.concat_tables(parts).combine_chunks()
            parts, rows = [], 0
    if parts:
        yield pa.concat_tables(parts).combine_chunks()


def _parts(buckets: Sequence[_Bucket], sparse: pa.Table, schema: pa.Schema) -> Iterator[pa.Table]:
    """The same in smaller parts, each made when it is asked for: a run may have all keys of the table."""
    at = 0
    for run in _runs(buckets):
        if run.is_dense:
            for first in range(run.first, run.last + 1, _CHUNK):
                yield _range(first, min(first + _CHUNK - 1, run.last), schema)
        else:
            yield sparse.slice(at, run.keys)
            at += run.keys


def _runs(buckets: Sequence[_Bucket]) -> Iterator[_Bucket]:
    """The same, in which dense buckets that follow each other without a gap are one."""
    run: _Bucket | None = None
    for bucket in buckets:
        if run and run.is_dense and bucket.is_dense and bucket.first == run.last + 1:
            run = _Bucket(run.first, bucket.last, run.keys + bucket.keys)
            continue
        if run:
            yield run
        run = bucket
    if run:
        yield run


def _range(first: int, last: int, schema: pa.Schema) -> pa.Table:
    """The numbers from ``first`` to ``last``, each a key."""
    steps = pa.concat_arrays([pa.array([first], pa.int64()), pa.repeat(pa.scalar(1, pa.int64()), last - first)])
    return pa.table([pc.cumulative_sum(steps).cast(schema.types[0])], schema=schema)


def _key(table: TableInfo) -> sql.Fragment:
    return sql.columns(table.keys, of="t")
