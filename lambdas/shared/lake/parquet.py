"""The lake's Parquet files: the Arrow type of each PostgreSQL type in them; written and read in row groups.

A file is in memory up to SPOOL_BYTES, and a temporary file above that.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from ..conversions import DATES, FLOATS, base_type, modifiers
from ..model.expressions import MAX_PRECISION

SPOOL_BYTES = 8 * 1024 * 1024  # a larger file moves from memory to disk, where it takes no longer
ROW_GROUP = 256 * 1024  # rows: the most in a row group that is written
READ_ROWS = 64 * 1024  # the most that are read together: what reads and writes them needs a multiple of their memory
FEW_ROWS = 4096  # up to which one thread decodes all columns
_PACKED = "DELTA_BINARY_PACKED"  # https://parquet.apache.org/docs/file-format/data-pages/encodings/: of integers alone
_LONG_DIGITS = 18  # the most of a decimal that Parquet stores as a 64-bit integer
_DIGEST_BLOCK = 1024 * 1024  # bytes


def own_field(name: str) -> str:
    """The name of a field of the pipeline beside PostgreSQL's columns: longer than theirs, which end at 63 bytes."""
    return name.ljust(64, "_")


UNREADABLE = own_field("_unreadable")
"""A column of JSON {column: text}: values that the Arrow type cannot represent; else NULL."""
_EXACT: Mapping[str, pa.DataType] = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
}


def arrow_type(postgres_type: str) -> pa.DataType:
    """The type in the lake. A type without an exact counterpart in Arrow is a string there, as PostgreSQL writes it.

    So is a ``numeric`` without precision, of which each value has its own number of digits, and one of more than 38.
    """
    if base_type(postgres_type) == "numeric" and (arguments := modifiers(postgres_type)):
        precision, scale = arguments
        if precision <= MAX_PRECISION and 0 <= scale <= precision:
            return pa.decimal128(precision, scale)
    return _EXACT.get(base_type(postgres_type), pa.string())


def key_type(postgres_type: str) -> pa.DataType:
    """The type in the lake of a column that is a key: a key must be there, and equal keys the same.

    A string for dates and timestamps, which may be infinite, and for floats, of which Arrow takes no NaN for equal.
    """
    is_text = base_type(postgres_type) in (*DATES, *FLOATS)
    return pa.string() if is_text else arrow_type(postgres_type)


def spool() -> IO[bytes]:
    """A temporary file that stays in memory up to SPOOL_BYTES. Closing deletes it."""
    return tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)


class ParquetPart:
    """A Parquet file that is being written, as a context manager. Upload ``file`` before the block ends."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self.digest = ""
        """The SHA-256 of its bytes, in hexadecimal, once it is finished."""
        self.file = spool()
        self._writer = pq.ParquetWriter(
            self.file,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[field.name for field in schema if _repeats(field.type)],
            column_encoding={field.name: _PACKED for field in schema if _packs(field.type)} or None,
            store_decimal_as_integer=True,
        )
        self._open = True

    def write(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Appends ``rows``, which must have the schema of the part."""
        if rows.num_rows:
            table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
            self._writer.write_table(table, row_group_size=ROW_GROUP)
            self.rows += rows.num_rows

    def finish(self) -> str:
        """Finishes the file; returns the SHA-256 of its bytes, in hexadecimal."""
        self._writer.close()
        self._open = False
        self.file.seek(0)
        digest = hashlib.sha256()
        while block := self.file.read(_DIGEST_BLOCK):
            digest.update(block)
        self.digest = digest.hexdigest()
        return self.digest

    def __enter__(self) -> Self:
        """The part itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file, which deletes it."""
        if self._open:
            self._writer.close()
        self.file.close()


def batches(file: IO[bytes], columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The rows of a Parquet file, in order, by at most READ_ROWS rows."""
    reader: Any = pq.ParquetFile(file)
    in_parallel = reader.metadata.num_rows > FEW_ROWS  # else a switch between threads takes longer than the column
    for batch in reader.iter_batches(batch_size=READ_ROWS, columns=columns, use_threads=in_parallel):
        yield pa.Table.from_batches([batch])


def _packs(kind: pa.DataType) -> bool:
    """Whether values are stored as integers, of which the differences take less room than themselves."""
    is_integer = pa.types.is_integer(kind) or pa.types.is_temporal(kind)
    return bool(is_integer or (pa.types.is_decimal128(kind) and kind.precision <= _LONG_DIGITS))


def _repeats(kind: pa.DataType) -> bool:
    """Whether to try dictionary encoding: for strings only."""
    return bool(pa.types.is_string(kind))
