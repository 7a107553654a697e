"""Reading a table of the source: COPY in CSV, parsed by Arrow in chunks of whole rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.csv as pc

from ...shared.arrow_types import UNREADABLE
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from .catalog import Column

CHUNK_BYTES = 4 * 1024 * 1024  # of CSV: enough for Arrow's parser to run at its best
XMIN, AGAIN = "xmin", "_again"  # what the wire carries beside the columns; neither is stored with them

# Only an unquoted nothing is NULL: '' and 'NULL' and 'NA' are texts that somebody wrote.
_PARSE = pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
_NULLS = {"null_values": [""], "strings_can_be_null": True, "quoted_strings_can_be_null": False}

ALL, NONE = sql.Fragment("TRUE"), sql.Fragment("FALSE")
SINCE, NOW = "pipeline.since", "pipeline.now"  # session settings that carry the two snapshots' xmin to the queries


def written_since(xmin: sql.Fragment) -> sql.Fragment:
    """The condition that a row of ``t`` was written by a transaction unfinished at ``xmin``, an xid8 as text.

    Ids are compared by age, which is right across wraparound and knows nothing of a snapshot's list, from which
    subtransactions, and on a standby everything, are missing. The subquery makes the server compute the age once.
    """
    return sql.compose(
        "(age(t.xmin) BETWEEN 0 AND (SELECT age(CAST($xmin AS xid8)::xid)))",
        xmin=xmin,
    )


def lake_schema(columns: Sequence[Column]) -> pa.Schema:
    """The schema of a table's files in the lake: its columns, and what could not be read of a row, as JSON."""
    return pa.schema([*((column.name, column.arrow) for column in columns), (UNREADABLE, pa.string())])


def select_columns(columns: Sequence[Column]) -> sql.Fragment:
    """The columns of ``t`` in the lake's types: a value that those cannot hold becomes NULL, and is told as text."""
    values, conditions, labels, texts = [], [], [], []
    for column in columns:
        name = sql.columns([column.name], of="t")
        fits = column.fits()
        if fits is None:
            values.append(name)
            continue
        values.append(sql.compose("CASE WHEN $fits THEN $c END", fits=fits, c=name))
        conditions.append(fits)
        labels.append(sql.constant(column.name))
        texts.append(sql.compose("CASE WHEN NOT $fits THEN $c::text END", fits=fits, c=name))
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


def read(connection: Connection, query: sql.Fragment, schema: pa.Schema, consume: Callable[[pa.Table], object]) -> None:
    """Runs ``query`` and hands its rows, in the order they come, to ``consume`` in tables of ``schema``."""
    chunks = _Chunks(schema, consume)
    connection.copy_out(sql.compose("COPY ($query) TO STDOUT (FORMAT csv)", query=query), chunks.add)
    chunks.flush()


class _Chunks:
    """Collects rows until there are enough of them to parse."""

    def __init__(self, schema: pa.Schema, consume: Callable[[pa.Table], object]) -> None:
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
        return pc.read_csv(
            pa.py_buffer(text),
            read_options=pc.ReadOptions(column_names=self._names, block_size=len(text) + 1),
            parse_options=_PARSE,
            convert_options=pc.ConvertOptions(
                column_types=self._types, true_values=["t"], false_values=["f"], check_utf8=False, **_NULLS
            ),
        )
