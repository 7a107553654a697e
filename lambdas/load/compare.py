"""Reconciles two warehouses of one database: every row of every table, every version with its batch and number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from ..shared.messages.events import CompareResult, TableComparison
from ..shared.model.declarations import Declarations, WarehouseTable
from ..shared.postgres import sql
from ..shared.postgres.connection import Connection, transaction
from .warehouse.control.ledger import check_prepared, last_entry
from .warehouse.postgres import kind_of
from .warehouse.schemas import SchemaNames

EXAMPLES = 5  # differences that are shown of each table

_COMPARE = """
    WITH a AS ($one), b AS ($other)
    SELECT count(*) OVER (), to_jsonb(a)::text, to_jsonb(b)::text FROM a FULL JOIN b ON $same
    WHERE a."_present" IS NULL OR b."_present" IS NULL OR ROW($of_one) IS DISTINCT FROM ROW($of_other)
    LIMIT $limit
"""
_OTHER_NUMBERS = (
    'WITH a AS ($one), b AS ($other) SELECT count(*) FROM a JOIN b ON $same WHERE a."_record" <> b."_record"'
)
_COUNT = "WITH a AS ($one), b AS ($other) SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)"
# The control tables: the columns that identify a row, and those that are compared.
_CONTROL = {
    "ledger": (("batch",), ("batch", "source_manifest", "extracted_at")),
    "deletion": (("table_name", "key", "batch"), ("table_name", "key", "batch", "undeleted_batch")),
    "pending_row": (("table_name", "key", "batch"), ("table_name", "key", "batch", "content", "deleted_batch")),
    "rejected_value": (("table_name", "key", "batch"), ("table_name", "key", "batch", "rejected")),
}
_ROWS = 'SELECT true AS "_present", $columns FROM $table AS t'
_REJECTED = """
    SELECT true AS "_present", table_name, key, batch,
        array_agg(DISTINCT concat_ws(': ', column_name, value, reason)) AS rejected
    FROM $table GROUP BY table_name, key, batch
"""


@dataclass(frozen=True)
class _Side:
    query: sql.Fragment
    shown: str


def compare(connection: Connection, declarations: Declarations, one: SchemaNames, other: SchemaNames) -> CompareResult:
    """What differs between ``one`` and ``other``, in one read-only snapshot.

    https://www.postgresql.org/docs/current/transaction-iso.html#XACT-REPEATABLE-READ

    ``equal``: whether they have the same content, record for record. Where batches were replayed in ``one``, the
    late-arriving versions have higher record numbers there than in ``other``: these are counted as ``renumbered``, and
    are no difference. ``rows``: of the published tables of ``one``. Raises WarehouseError when one of them is not
    prepared.
    """
    for warehouse in (one, other):
        check_prepared(connection, warehouse)
    with transaction(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"):
        lasts = [last_entry(connection, warehouse).batch for warehouse in (one, other)]
        tables = [_table(connection, table, one, other) for table in declarations.warehouse.values()]
        tables += [_control_table(connection, name, one, other) for name in _CONTROL]
        revised = sql.compose("SELECT EXISTS (SELECT FROM $revision)", **one.control_tables())
        replayed = bool(connection.rows(revised)[0][0])
    different = any(table.differences for table in tables)
    renumbered = sum(table.renumbered for table in tables)
    return CompareResult(
        equal=not different and (replayed or not renumbered),  # the ledger is among what is compared
        last_batches=tuple(lasts),
        rows=sum(table.rows[0] for table in tables[: len(declarations.warehouse)]),
        renumbered=renumbered,
        replayed=replayed,
        tables=tuple(tables),
    )


def _table(connection: Connection, table: WarehouseTable, one: SchemaNames, other: SchemaNames) -> TableComparison:
    kind = kind_of(table)
    sides = [
        _Side(kind.compared_rows(warehouse, table), f"{warehouse.published}.{table.name}") for warehouse in (one, other)
    ]
    identity, compared = kind.compared_columns(table)
    found = _compared(connection, table.name, sides, identity, compared)
    if table.record:
        parts = {"one": sides[0].query, "other": sides[1].query, "same": _same(identity)}
        found = replace(found, renumbered=int(connection.rows(sql.compose(_OTHER_NUMBERS, **parts))[0][0]))
    return found


def _control_table(connection: Connection, name: str, one: SchemaNames, other: SchemaNames) -> TableComparison:
    identity, compared = _CONTROL[name]
    template = _REJECTED if name == "rejected_value" else _ROWS
    sides = [
        _Side(
            sql.compose(template, table=sql.table(name, warehouse.control), columns=sql.columns(compared, of="t")),
            f"{warehouse.control}.{name}",
        )
        for warehouse in (one, other)
    ]
    return _compared(connection, f"pipeline.{name}", sides, identity, compared)


def _compared(
    connection: Connection, name: str, sides: list[_Side], identity: tuple[str, ...], compared: tuple[str, ...]
) -> TableComparison:
    parts = {
        "one": sides[0].query,
        "other": sides[1].query,
        "same": _same(identity),
        "of_one": sql.columns(compared, of="a"),
        "of_other": sql.columns(compared, of="b"),
        "limit": sql.number(EXAMPLES),
    }
    rows = connection.rows(sql.compose(_COMPARE, **parts))
    counts = connection.rows(sql.compose(_COUNT, one=parts["one"], other=parts["other"]))[0]
    return TableComparison(
        table=name,
        rows=tuple(int(count) for count in counts),
        differences=int(rows[0][0]) if rows else 0,
        renumbered=0,
        examples=tuple(_description(sides, identity, compared, _read(row[1]), _read(row[2])) for row in rows),
    )


def _same(identity: tuple[str, ...]) -> sql.Fragment:
    return sql.joined(
        " AND ", [sql.compose("a.$column = b.$column", column=sql.identifier(column)) for column in identity]
    )


def _read(text: str | None) -> dict[str, Any] | None:
    found: dict[str, Any] | None = None if text is None else json.loads(text, parse_float=Decimal)
    return found


def _description(
    sides: list[_Side],
    identity: tuple[str, ...],
    compared: tuple[str, ...],
    one: Mapping[str, Any] | None,
    other: Mapping[str, Any] | None,
) -> str:
    """One difference as a sentence."""
    which = ", ".join(f"{name.lstrip('_')} {(one or other or {})[name]}" for name in identity)
    if one is None or other is None:
        there, missing = (sides[1], sides[0]) if one is None else sides
        return f"{which}: in {there.shown}, but not in {missing.shown}"
    return f"{which}: {', '.join(_columns(sides, compared, one, other))}"


def _columns(
    sides: list[_Side], compared: tuple[str, ...], one: Mapping[str, Any], other: Mapping[str, Any]
) -> Iterator[str]:
    for column in compared:
        if one[column] != other[column]:
            name = column.lstrip("_")
            yield f"{name} is {_value(one[column])} in {sides[0].shown} and {_value(other[column])} in {sides[1].shown}"


def _value(value: Any) -> str:
    return "NULL" if value is None else repr(value) if isinstance(value, str) else str(value)
