"""Reads the rows of a query: COPY in CSV, which Arrow parses in chunks of complete rows.

Rows are pushed to a callback and not pulled from an iterator: pg8000 calls a stream's ``write`` for each row of a COPY
while it runs the statement, and returns only after the last. An iterator would need a thread, or all rows in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import pyarrow as pa
import pyarrow.csv as pc

from ...shared.lake.parquet import UNREADABLE
from ...shared.postgres import sql
from ...shared.postgres.connection import Connection
from .catalog import Column

CHUNK_BYTES = 4 * 1024 * 1024  # of CSV: enough for Arrow's parser to run at its best
FEW_BYTES = 256 * 1024  # up to which one thread parses all columns: a switch between threads takes longer
_MARK = "\ufeff".encode()  # the byte order mark; in a text of PostgreSQL it is a character like any other

# Only an unquoted empty field is NULL: '' and 'NULL' and 'NA' are text values.
_PARSE = pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
_NULLS = {"null_values": [""], "strings_can_be_null": True, "quoted_strings_can_be_null": False}

Consumer = Callable[[pa.Table], object]


def lake_schema(columns: Sequence[Column]) -> pa.Schema:
    """The schema of a table's files in the lake.

    One field for each of ``columns``, in their order and of their Arrow type, and then
    ``_unreadable: string``: the row's values that those types cannot represent, as JSON {column: text}, or NULL.
    """
    return pa.schema([*((column.name, column.arrow) for column in columns), (UNREADABLE, pa.string())])


def select_columns(columns: Sequence[Column], keys: Collection[str]) -> sql.Fragment:
    """The select list, on rows ``t``, that gives ``lake_schema(columns)``. ``keys``: the names of the key's columns.

    A value that the lake's type cannot represent becomes NULL, and its text goes into ``_unreadable``.
    """
    values, conditions, labels, texts = [], [], [], []
    for column in columns:
        name = column.key_value() if column.name in keys else column.value()
        representable = column.representable_condition()
        if representable is None:
            values.append(name)
            continue
        values.append(sql.compose("CASE WHEN $condition THEN $c END", condition=representable, c=name))
        conditions.append(representable)
        labels.append(sql.constant(column.name))
        texts.append(sql.compose("CASE WHEN NOT $condition THEN $c::text END", condition=representable, c=name))
    if conditions:
        unreadable = sql.compose(
            # From arrays: a function takes no more than a hundred arguments, and a table may have more columns.
            "CASE WHEN ($all) IS FALSE THEN jsonb_strip_nulls(jsonb_object(ARRAY[$labels], ARRAY[$texts]))::text END",
            all=sql.joined(" AND ", conditions),
            labels=sql.joined(", ", labels),
            texts=sql.joined(", ", texts),
        )
    else:
        unreadable = sql.Fragment("NULL")
    return sql.joined(", ", [*values, unreadable])


def read(connection: Connection, query: sql.Fragment, schema: pa.Schema, consume: Consumer) -> None:
    """Runs ``query`` and passes its rows, in the server's order, to ``consume`` as tables of ``schema``.

    No call has an empty table; a query without rows makes no call.
    """
    chunks = _Chunks(schema, consume)
    connection.copy_out(sql.compose("COPY ($query) TO STDOUT (FORMAT csv)", query=query), chunks.add)
    chunks.flush()


class _Chunks:
    """Collects rows until there are enough of them to parse."""

    def __init__(self, schema: pa.Schema, consume: Consumer) -> None:
        self._names = schema.names
        self._types = dict(zip(schema.names, schema.types, strict=True))
        self._consume = consume
        self._rows: list[bytes] = []
        self._size = 0

    def add(self, rows: bytes) -> None:
        self._rows.append(rows)
        self._size += len(rows)
        if self._size >= CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._size:
            text = b"".join(self._rows)
            self._rows, self._size = [], 0
            self._consume(self._parse(text))

    def _parse(self, text: bytes) -> pa.Table:
        if text.startswith(_MARK):  # Arrow drops one at the beginning of its input, be it a value's first character
            text = _MARK + text
        return pc.read_csv(
            pa.py_buffer(text),
            read_options=pc.ReadOptions(
                column_names=self._names, block_size=len(text) + 1, use_threads=len(text) > FEW_BYTES
            ),
            parse_options=_PARSE,
            convert_options=pc.ConvertOptions(
                column_types=self._types, true_values=["t"], false_values=["f"], check_utf8=False, **_NULLS
            ),
        )
