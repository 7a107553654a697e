"""Keys read by buckets on a real server are the keys that the table has, whichever are missing."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.extract.source import dense_keys
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column, TableInfo
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import KeyFile

KINDS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


def keys_with_gaps(draw: random.Random, limit: int) -> list[int]:
    """Some runs of numbers, also at the ends of the type and around 0, with some missing."""
    found: set[int] = set()
    for _ in range(draw.randint(0, 4)):
        start = draw.choice((1, -3, 0, -limit, limit - 20, draw.randint(-limit, limit - 20)))
        found |= {start + offset for offset in range(draw.randint(1, 20)) if draw.random() > draw.choice((0, 0.1))}
    return sorted(found)


@pytest.mark.parametrize("kind", KINDS)
def test_keys_by_buckets_are_those_of_the_table(pipeline, kind, monkeypatch):
    """Every set of keys, in order, each once; where there are many gaps, nothing is passed on."""
    monkeypatch.setattr(dense_keys, "_CHUNK", 7)
    draw = random.Random(kind)  # noqa: S311
    pipeline.admin.run(f"CREATE TABLE numbered (k {kind} PRIMARY KEY)")
    table = TableInfo("numbered", ("k",), (Column("k", kind, is_key=True),))
    dense = 0
    for _ in range(60):
        bucket = draw.choice((1, 2, 3, 8, 256))
        monkeypatch.setattr(dense_keys, "BUCKET", bucket)
        keys = keys_with_gaps(draw, KINDS[kind])
        pipeline.admin.run("TRUNCATE numbered")
        pipeline.admin.run("INSERT INTO numbered SELECT unnest(CAST(:keys AS bigint[]))", keys=keys)
        parts: list[pa.Table] = []
        if dense_keys.read_dense(pipeline.admin, table, parts.append):
            dense += bool(keys)
            found = pa.concat_tables([table.key_schema.empty_table(), *parts])
            assert found.schema == table.key_schema
            assert found["k"].to_pylist() == keys
            assert all(0 < part.num_rows < 7 + max(7, bucket) for part in parts), "they are not in memory together"
        else:
            assert parts == []
    assert dense > 20


def test_keys_are_taken_for_dense_by_their_number_and_the_last():
    def dense(rows: int, last: str, kind: str = "int32") -> bool:
        schema = pa.schema([("k", pa.type_for_alias(kind))])
        return dense_keys.are_dense([KeyFile("a", rows, "0"), KeyFile("b", 0, last)], schema)

    assert dense(1_000_000, "1000000", "int64")
    assert dense(999_000, "1000000")
    assert not dense(990_000, "1000000")
    assert not dense(10, "9"), "the first is below 1: how many there could be is not known"
    assert not dense(5, "5", "string")
    assert not dense_keys.are_dense([], pa.schema([("k", pa.int32())]))
