"""Row sets as SQL conditions on the rows ``t`` of a table, and the order of its keys.

PostgreSQL sorts and compares keys as Arrow sorts them in the lake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

import pyarrow as pa

from ...shared.conversions import DATES, have_one_equality
from ...shared.postgres import sql
from ..row_set import (
    AllRows,
    Dangling,
    Intersection,
    Key,
    KeysAfter,
    KeysIn,
    KeysUpTo,
    NoRows,
    ReferencedBy,
    Referencing,
    RowSet,
    StoredBetween,
    Union,
    WithoutKey,
    WrittenSince,
)
from .catalog import Column, TableInfo


def written_since(xmin: int) -> sql.Fragment:
    """The condition that the row ``t`` was written by a transaction unfinished at ``xmin``, the text of an xid8.

    Ids are compared by age(), which counts back from the present id and so is right across wraparound:
    https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND. A snapshot's list of running
    transactions would not do: it contains no subtransactions, and on a standby it is empty
    (https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT).
    The subquery makes the server compute the age of ``xmin`` once, and not for each row. Most rows are too old, so that
    is asked first; the age of a row that was frozen longer ago than ids reach back is negative.
    """
    return sql.compose(
        "(age(t.xmin) <= (SELECT age(CAST($xmin AS xid8)::xid)) AND age(t.xmin) >= 0)",
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
            return _compared("<=", table, key)
        case KeysAfter(key):
            return beyond(table, key)
        case KeysIn(keys):
            return sql.compose(
                "$key IN ($keys)",
                key=_row([sql.columns([name], of="t") for name in table.keys]),
                keys=sql.joined(", ", [_row([sql.constant(text) for text in key]) for key in keys]),
            )
        case WithoutKey():
            return sql.compose("NOT $has_key", has_key=has_key(table))
        case StoredBetween(first, end):
            return _stored_between(first, end)
        case Referencing(columns, name, referenced):
            mine, theirs = _comparable([table.column(column) for column in columns], tables[name].key_columns)
            return sql.compose(
                "$columns IN (SELECT $key FROM $table AS t WHERE $rows)",
                columns=_row(mine),
                key=sql.joined(", ", theirs),
                table=tables[name].sql_name,
                rows=condition(referenced, tables[name], tables),
            )
        case ReferencedBy(name, columns, referencing):
            theirs, mine = _comparable([tables[name].column(column) for column in columns], table.key_columns)
            return sql.compose(
                "$key IN (SELECT $columns FROM $table AS t WHERE $rows)",
                key=_row(mine),
                columns=sql.joined(", ", theirs),
                table=tables[name].sql_name,
                rows=condition(referencing, tables[name], tables),
            )
        case Dangling(columns, name):
            mine, theirs = _comparable([table.column(column) for column in columns], tables[name].key_columns, "o")
            equal = [sql.compose("$k = $c", k=key, c=column) for key, column in zip(theirs, mine, strict=True)]
            return sql.compose(
                "($given AND NOT EXISTS (SELECT FROM $table AS o WHERE $equal))",
                given=sql.joined(" AND ", [sql.compose("$c IS NOT NULL", c=column) for column in mine]),
                table=tables[name].sql_name,
                equal=sql.joined(" AND ", equal),
            )
        case Intersection(parts):
            return _combined(" AND ", parts, table, tables)
        case Union(parts):
            return _combined(" OR ", parts, table, tables)
    assert_never(rows)


def _stored_between(first: str | None, end: str | None) -> sql.Fragment:
    """The condition on the ctid of the row ``t``, for which PostgreSQL 14 and newer read the pages of the range alone.

    https://www.postgresql.org/docs/14/release-14.html, "TID range scan". Of a partitioned table, each partition has
    pages of its own: a range is one of each.
    """
    bounds = [
        sql.compose(f"t.ctid {operator} CAST($place AS tid)", place=sql.constant(place))
        for operator, place in ((">=", first), ("<", end))
        if place is not None
    ]
    return sql.compose("($bounds)", bounds=sql.joined(" AND ", bounds) or sql.Fragment("TRUE"))


def _combined(
    operator: str, parts: tuple[RowSet, ...], table: TableInfo, tables: Mapping[str, TableInfo]
) -> sql.Fragment:
    conditions = [condition(part, table, tables) for part in parts]
    return sql.compose("($combined)", combined=sql.joined(operator, conditions))


def _comparable(
    columns: Sequence[Column], keys: Sequence[Column], of: str = "t"
) -> tuple[list[sql.Fragment], list[sql.Fragment]]:
    """Columns of a row ``t`` and the key of another, as transform compares them: by their texts, if types differ.

    ``of``: the name of the other row.
    """
    mine, theirs = [], []
    for column, key in zip(columns, keys, strict=True):
        template = "$c" if have_one_equality(column.type, key.type) else "$c::text"
        value = key.value(of) if template == "$c" else key.key_value(of)
        mine.append(sql.compose(template, c=column.value()))
        theirs.append(sql.compose(template, c=value))
    return mine, theirs


def has_key(table: TableInfo) -> sql.Fragment:
    """The condition that the lake can represent the key of the row ``t``: not one that has a NaN in a decimal."""
    conditions = [column.representable_condition() for column in table.key_columns]
    found = sql.joined(" AND ", [condition for condition in conditions if condition is not None])
    return sql.compose("($conditions)", conditions=found or sql.Fragment("TRUE"))


def order(table: TableInfo) -> sql.Fragment:
    """The expressions, separated by commas, that sort the rows ``t`` by their key as Arrow does."""
    return sql.joined(", ", [ordering(column) for column in table.key_columns])


def ordering(column: Column) -> sql.Fragment:
    """The expression that sorts and compares ``column`` of the key of the row ``t`` as Arrow does.

    A column that the lake stores as text is sorted by its bytes, whatever the database's collation: ``COLLATE "C"``
    (https://www.postgresql.org/docs/current/collation.html). A uuid is sorted by its bytes without that, and the texts
    of dates and timestamps of the years 1 to 9999, and of the infinities, sort as they do: an index serves.
    """
    name = column.key_value()
    is_sorted = column.type == "uuid" or (column.base_type in DATES and not column.sorts_as_text)
    if not pa.types.is_string(column.arrow) or is_sorted:
        return name
    if column.base_type in ("text", "character varying"):
        return sql.compose('($c COLLATE "C")', c=name)
    return sql.compose("(format('%s', $c) COLLATE \"C\")", c=name)


def beyond(table: TableInfo, key: Key) -> sql.Fragment:
    """The condition that the key of the row ``t`` sorts after ``key``."""
    return _compared(">", table, key)


def _compared(operator: str, table: TableInfo, key: Key) -> sql.Fragment:
    """Compares the key of the row ``t`` with ``key``, column by column until two differ: row-wise, where it has several
    (https://www.postgresql.org/docs/current/functions-comparisons.html#ROW-WISE-COMPARISON).
    """
    expressions = [ordering(column) for column in table.key_columns]
    constants = [sql.constant(text) for _, text in zip(expressions, key, strict=True)]
    return sql.compose(f"$key {operator} $constant", key=_row(expressions), constant=_row(constants))


def _row(values: Sequence[sql.Fragment]) -> sql.Fragment:
    """``values`` as one operand: a row of several, or the only one as it is."""
    row = sql.joined(", ", values)
    return row if len(values) == 1 else sql.compose("($row)", row=row)
