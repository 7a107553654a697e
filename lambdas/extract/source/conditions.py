"""Row sets as SQL conditions on the rows ``t`` of a table, and the order of its keys.

PostgreSQL sorts and compares keys as Arrow sorts them in the lake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import pyarrow as pa

from ...shared.conversions import is_text
from ...shared.postgres import sql
from ..row_set import (
    AllRows,
    Intersection,
    KeysAfter,
    KeysIn,
    KeysUpTo,
    NoRows,
    ReferencedBy,
    Referencing,
    RowSet,
    Union,
    WrittenSince,
)
from .catalog import Column, TableInfo


def written_since(xmin: int) -> sql.Fragment:
    """The condition that the row ``t`` was written by a transaction unfinished at ``xmin``, the text of an xid8.

    Ids are compared by age(), which counts back from the present id and so is right across wraparound:
    https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND. A snapshot's list of running
    transactions would not do: it contains no subtransactions, and on a standby it is empty
    (https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT).
    The subquery makes the server compute the age once, and not for each row.
    """
    return sql.compose(
        "(age(t.xmin) BETWEEN 0 AND (SELECT age(CAST($xmin AS xid8)::xid)))",
        xmin=sql.constant(str(xmin)),
    )


def condition(rows: RowSet, table: TableInfo, tables: Mapping[str, TableInfo]) -> sql.Fragment:
    """The condition that the row ``t`` of ``table`` is in ``rows``. ``tables``: those that ``rows`` may refer to."""
    match rows:
        case AllRows():
            return sql.Fragment("TRUE")
        case NoRows():
            return sql.Fragment("FALSE")
        case WrittenSince(xmin):
            return written_since(xmin)
        case KeysUpTo(key):
            return up_to(table.key_column, key)
        case KeysAfter(key):
            return beyond(table.key_column, key)
        case KeysIn(keys):
            constants = sql.joined(", ", [sql.constant(key) for key in keys])
            return sql.compose("t.$key IN ($keys)", key=sql.identifier(table.key), keys=constants)
        case Referencing(column, name, referenced):
            mine, key = _comparable(table.column(column), tables[name].key_column)
            return sql.compose(
                "$column IN (SELECT $key FROM $table AS t WHERE $rows)",
                column=mine,
                key=key,
                table=sql.table(name),
                rows=condition(referenced, tables[name], tables),
            )
        case ReferencedBy(name, column, referencing):
            theirs, key = _comparable(tables[name].column(column), table.key_column)
            return sql.compose(
                "$key IN (SELECT $column FROM $table AS t WHERE $rows)",
                key=key,
                column=theirs,
                table=sql.table(name),
                rows=condition(referencing, tables[name], tables),
            )
        case Intersection(parts):
            return _combined(" AND ", parts, table, tables)
        case Union(parts):
            return _combined(" OR ", parts, table, tables)
    assert_never(rows)


def _combined(
    operator: str, parts: tuple[RowSet, ...], table: TableInfo, tables: Mapping[str, TableInfo]
) -> sql.Fragment:
    conditions = [condition(part, table, tables) for part in parts]
    return sql.compose("($combined)", combined=sql.joined(operator, conditions))


def _comparable(column: Column, key: Column) -> tuple[sql.Fragment, sql.Fragment]:
    """A column of a row ``t`` and a key of another, as transform compares them: a text with the text of the other."""
    if is_text(column.type) == is_text(key.type):
        return column.value(), key.value()
    return sql.compose("$c::text", c=column.value()), sql.compose("$c::text", c=key.key_value())


def ordering(column: Column) -> sql.Fragment:
    """The expression that sorts and compares the key ``column`` of the row ``t`` as Arrow does.

    A key that the lake stores as text is sorted by its bytes, whatever the database's collation: ``COLLATE "C"``
    (https://www.postgresql.org/docs/current/collation.html). A uuid is sorted by its bytes without that.
    """
    name = column.key_value()
    if not pa.types.is_string(column.arrow) or column.type == "uuid":
        return name
    if column.base_type in ("text", "character varying"):
        return sql.compose('($c COLLATE "C")', c=name)
    return sql.compose("(format('%s', $c) COLLATE \"C\")", c=name)


def beyond(column: Column, key: str) -> sql.Fragment:
    """The condition that the key of the row ``t`` sorts after ``key``, which is the key as text."""
    return sql.compose("$order > $key", order=ordering(column), key=sql.constant(key))


def up_to(column: Column, key: str) -> sql.Fragment:
    """The condition that the key of the row ``t`` is ``key`` or sorts before it."""
    return sql.compose("$order <= $key", order=ordering(column), key=sql.constant(key))


def text_of(keys: pa.ChunkedArray) -> str | None:
    """The last of ``keys`` as text; None where there are no keys."""
    return str(keys[-1].cast(pa.string()).as_py()) if len(keys) else None


def value_of(text: str, dtype: pa.DataType) -> pa.Scalar:
    """The key whose text is ``text``."""
    return pa.scalar(text).cast(dtype)
