"""The lake's Parquet files: how columns are stored, what is read together, and the types of keys."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lambda_toolkit.pipeline.lambdas.shared.lake import store
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import (
    UNREADABLE,
    ParquetPart,
    arrow_type,
    batches,
    key_type,
    own_field,
    spool,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from tests.support.memory_s3 import MemoryS3

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS: dict[str, tuple[pa.DataType, Any, str, str]] = {  # name -> type, value, how it is stored, and encoded
    "whole": (pa.int32(), 7, "INT32", "DELTA_BINARY_PACKED"),
    "large": (pa.int64(), 7, "INT64", "DELTA_BINARY_PACKED"),
    "day": (pa.date32(), MOMENT.date(), "INT32", "DELTA_BINARY_PACKED"),
    "seen": (pa.timestamp("us", "UTC"), MOMENT, "INT64", "DELTA_BINARY_PACKED"),
    "price": (pa.decimal128(9, 2), Decimal("1.50"), "INT32", "DELTA_BINARY_PACKED"),
    "amount": (pa.decimal128(18, 2), Decimal("1.50"), "INT64", "DELTA_BINARY_PACKED"),
    "wide": (pa.decimal128(19, 2), Decimal("1.50"), "FIXED_LEN_BYTE_ARRAY", "PLAIN"),
    "num": (pa.float64(), 1.5, "DOUBLE", "PLAIN"),
    "flag": (pa.bool_(), True, "BOOLEAN", "RLE"),
    "name": (pa.string(), "a", "BYTE_ARRAY", "RLE_DICTIONARY"),
}


def test_columns_are_stored_in_the_form_of_their_type() -> None:
    """Athena, Spark and DuckDB read the same files: the form is theirs to know."""
    schema = pa.schema([(name, kind) for name, (kind, *_) in COLUMNS.items()])
    rows = pa.table({name: [value] * 3 for name, (_, value, *_) in COLUMNS.items()}, schema)
    with ParquetPart(schema) as part:
        part.write(rows)
        part.write(rows.to_batches()[0])
        part.write(rows.slice(0, 0))
        assert (part.rows, part.digest) == (6, "")
        digest = part.finish()
        part.file.seek(0)
        content = part.file.read()
        assert digest == part.digest == hashlib.sha256(content).hexdigest()
        found = pq.ParquetFile(io.BytesIO(content))
        assert found.read().equals(pa.concat_tables([rows, rows]))
        assert found.metadata.num_row_groups == 2
        for number, (name, (_, _, stored, encoding)) in enumerate(COLUMNS.items()):
            column = found.metadata.row_group(0).column(number)
            assert (column.path_in_schema, column.physical_type, column.compression) == (name, stored, "ZSTD")
            assert encoding in column.encodings, name
            assert (column.has_dictionary_page, column.has_column_index) == (name == "name", False)
    assert part.file.closed


def test_part_that_fails_is_closed() -> None:
    with pytest.raises(KeyError), ParquetPart(pa.schema([("a", pa.int32())])) as part:
        raise KeyError
    assert part.file.closed


def test_rows_are_read_in_pieces_of_a_bounded_size() -> None:
    rows = pa.table({"id": pa.array(range(65_537), pa.int32()), "more": pa.nulls(65_537, pa.string())})
    file = io.BytesIO()
    pq.write_table(rows, file)
    found = list(batches(file))
    assert [piece.num_rows for piece in found] == [65_536, 1]
    assert pa.concat_tables(found).equals(rows)
    [few] = [piece for piece in batches(file, ["id"]) if piece.num_rows == 1]
    assert few.to_pydict() == {"id": [65_536]}


def test_own_field_is_longer_than_any_name_of_postgresql() -> None:
    assert UNREADABLE == own_field("_unreadable") == "_unreadable" + "_" * 53


@pytest.mark.parametrize(
    ("postgres", "as_value", "as_key"),
    [
        ("smallint", pa.int16(), pa.int16()),
        ("integer", pa.int32(), pa.int32()),
        ("bigint", pa.int64(), pa.int64()),
        ("real", pa.float32(), pa.string()),
        ("double precision", pa.float64(), pa.string()),
        ("boolean", pa.bool_(), pa.bool_()),
        ("date", pa.date32(), pa.string()),
        ("timestamp(3) without time zone", pa.timestamp("us"), pa.string()),
        ("timestamp with time zone", pa.timestamp("us", "UTC"), pa.string()),
        ("numeric(38,38)", pa.decimal128(38, 38), pa.decimal128(38, 38)),
        ("numeric(39,2)", pa.string(), pa.string()),
        ("numeric(3,-1)", pa.string(), pa.string()),
        ("numeric(2,3)", pa.string(), pa.string()),
        ("numeric(2,2)", pa.decimal128(2, 2), pa.decimal128(2, 2)),
        ("numeric(2,0)", pa.decimal128(2, 0), pa.decimal128(2, 0)),
        ("numeric", pa.string(), pa.string()),
        ("uuid", pa.string(), pa.string()),
        ("time without time zone", pa.string(), pa.string()),
    ],
)
def test_type_of_a_column_in_the_lake(postgres: str, as_value: pa.DataType, as_key: pa.DataType) -> None:
    assert (arrow_type(postgres), key_type(postgres)) == (as_value, as_key)


def lake() -> tuple[Lake, MemoryS3]:
    s3 = MemoryS3()
    s3.create_bucket("lake")
    return Lake(s3, "lake"), s3


def test_sizes_are_of_what_was_stored_or_read() -> None:
    one, s3 = lake()
    one.upload("a", io.BytesIO(b"12345"))
    one.upload("a", io.BytesIO(b"other"))
    assert (one.get("a"), one.sizes) == (b"12345", {"a": 5})
    other, file = Lake(s3, "lake"), io.BytesIO()
    other.download("a", file)
    assert (file.getvalue(), other.sizes) == (b"12345", {"a": 5})


def test_large_file_is_uploaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is unique to its content: what is there is not sent again."""
    one, s3 = lake()
    sent: list[str] = []
    upload = s3.upload_fileobj
    monkeypatch.setattr(s3, "upload_fileobj", lambda file, bucket, key: (sent.append(key), upload(file, bucket, key)))
    monkeypatch.setattr(store, "SINGLE_PUT", 4)
    for key, content in (("four", b"1234"), ("five", b"12345"), ("five", b"other")):
        with spool() as file:
            file.write(content)
            one.upload(key, file)
    assert (sent, one.get("five"), one.get("four")) == (["five"], b"12345", b"1234")
    with ParquetPart(pa.schema([("a", pa.int32())])) as part:
        part.write(pa.table({"a": pa.array([1, None], pa.int32())}))
        key = one.put_table("data/", part)
        assert key == f"data/{part.digest[:8]}.parquet" and len(part.digest) == 64
    assert [piece.to_pydict() for piece in one.iter_tables(key)] == [{"a": [1, None]}]
    assert one.table(key).num_rows == 2


def test_manifests_are_never_deleted() -> None:
    one, _ = lake()
    for key in ("0/a", "data/a", "data/b", "data/c", "manifests/a", "revisions/a"):
        one.put_if_absent(key, b"x")
    for wrong in ("manifests/a", "revisions/a", "manifests/"):
        with pytest.raises(ValueError, match="is a manifest, or has the prefix of manifests"):
            one.delete(["data/a", wrong])
    one.delete(iter(["data/a", "data/b"]))
    assert [found.key for found in one.listing("")] == ["0/a", "data/c", "manifests/a", "revisions/a"]
    assert [found.key for found in one.listing("", after="data/c")] == ["manifests/a", "revisions/a"]
    assert (one.folders(), one.exists("data/c"), one.exists("data/a")) == (
        ["0/", "data/", "manifests/", "revisions/"],
        True,
        False,
    )


def test_newest_revisions_are_of_later_batches() -> None:
    one, _ = lake()
    for batch, number in ((3, 2), (4, 2), (4, 3), (4, 12), (5, 2)):
        one.put_if_absent(f"revisions/batch-{batch:012}-{number:04}.json", b"{}")
    assert one.newest_revisions(3) == {
        4: "revisions/batch-000000000004-0012.json",
        5: "revisions/batch-000000000005-0002.json",
    }
    assert set(one.newest_revisions(0)) == {3, 4, 5} and one.newest_revisions(5) == {}
    assert one.revisions(4) == [
        "manifests/batch-000000000004.json",
        *(f"revisions/batch-000000000004-{number:04}.json" for number in (2, 3, 12)),
    ]
