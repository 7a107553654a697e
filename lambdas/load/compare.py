"""Two warehouses of one database compared: every row of every table, every version with its batch and its number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from ..shared.declarations import FACT, Declarations, WarehouseTable
from ..shared.events import CompareResult, TableComparison
from ..shared.postgres import sql
from ..shared.postgres.connection import transaction
from ..shared.postgres.copy import Connection
from .warehouse.facts import names
from .warehouse.ledger import check_prepared, last_entry
from .warehouse.schemas import Warehouse

EXAMPLES = 5  # differences that are told of each table

_ROWS = 'SELECT true AS "_present", $columns FROM $table AS t'
_VERSIONS = """
    SELECT true AS "_present", $columns, t.$record AS "_record", v.batch AS "_batch",
        row_number() OVER (PARTITION BY t.$key ORDER BY t.$record) AS "_version"
    FROM $table AS t
    $brought_by
"""
_COMPARE = """
    WITH a AS ($one), b AS ($other)
    SELECT count(*) OVER (), to_jsonb(a)::text, to_jsonb(b)::text FROM a FULL JOIN b ON $same
    WHERE a."_present" IS NULL OR b."_present" IS NULL OR ROW($of_one) IS DISTINCT FROM ROW($of_other)
    LIMIT $limit
"""
_RENUMBERED = 'WITH a AS ($one), b AS ($other) SELECT count(*) FROM a JOIN b ON $same WHERE a."_record" <> b."_record"'
_COUNT = "WITH a AS ($one), b AS ($other) SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)"
# The pipeline's own tables: what identifies a row, and what is compared.
_OWN = {
    "ledger": (("batch",), ("batch", "source_manifest", "extracted_at")),
    "deletion": (("table_name", "key", "batch"), ("table_name", "key", "batch", "ended_batch")),
    "held": (("table_name", "key", "batch"), ("table_name", "key", "batch", "version")),
    "rejected": (("table_name", "key", "batch"), ("table_name", "key", "batch", "faults")),
}
_REJECTED = """
    SELECT true AS "_present", table_name, key, batch,
        array_agg(DISTINCT concat_ws(': ', column_name, value, reason)) AS faults
    FROM $table GROUP BY table_name, key, batch
"""


@dataclass(frozen=True)
class _Side:
    query: sql.Fragment
    shown: str


def compare(connection: Connection, declarations: Declarations, one: Warehouse, other: Warehouse) -> CompareResult:
    """What differs between ``one`` and ``other``, in one snapshot; writes nothing.

    ``equal``: whether they hold the same, record for record. Where batches were replayed in ``one``, the versions that
    came late have later numbers there than where they come in time: that is told as ``renumbered``, and no difference.
    ``rows``: of the published tables of ``one``. Raises WarehouseError when one of them is not prepared.
    """
    for warehouse in (one, other):
        check_prepared(connection, warehouse)
    with transaction(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"):
        lasts = [last_entry(connection, warehouse).batch for warehouse in (one, other)]
        tables = [_table(connection, table, one, other) for table in declarations.warehouse.values()]
        tables += [_own(connection, name, one, other) for name in _OWN]
        revised = sql.compose("SELECT EXISTS (SELECT FROM $revision)", **one.parts())
        replayed = bool(connection.rows(revised)[0][0])
    different = any(table.differences for table in tables)
    renumbered = sum(table.renumbered for table in tables)
    return CompareResult(
        equal=lasts[0] == lasts[1] and not different and (replayed or not renumbered),
        last_batches=tuple(lasts),
        rows=sum(table.rows[0] for table in tables[: len(declarations.warehouse)]),
        renumbered=renumbered,
        replayed=replayed,
        tables=tuple(tables),
    )


def _table(connection: Connection, table: WarehouseTable, one: Warehouse, other: Warehouse) -> TableComparison:
    is_fact = table.kind == FACT
    columns = sql.columns(table.column_names, of="t")
    sides = [
        _Side(
            sql.compose(_VERSIONS if is_fact else _ROWS, **names(warehouse, table), columns=columns),
            f"{warehouse.published}.{table.name}",
        )
        for warehouse in (one, other)
    ]
    identity = (table.key, "_version") if is_fact else (table.key,)
    compared = (*table.column_names, "_batch") if is_fact else table.column_names
    found = _compared(connection, table.name, sides, identity, compared)
    if is_fact:
        parts = {"one": sides[0].query, "other": sides[1].query, "same": _same(identity)}
        found = replace(found, renumbered=int(connection.rows(sql.compose(_RENUMBERED, **parts))[0][0]))
    return found


def _own(connection: Connection, name: str, one: Warehouse, other: Warehouse) -> TableComparison:
    identity, compared = _OWN[name]
    template = _REJECTED if name == "rejected" else _ROWS
    sides = [
        _Side(
            sql.compose(template, table=sql.table(name, warehouse.own), columns=sql.columns(compared, of="t")),
            f"{warehouse.own}.{name}",
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
        examples=tuple(_told(sides, identity, compared, _read(row[1]), _read(row[2])) for row in rows),
    )


def _same(identity: tuple[str, ...]) -> sql.Fragment:
    return sql.joined(
        " AND ", [sql.compose("a.$column = b.$column", column=sql.identifier(column)) for column in identity]
    )


def _read(text: str | None) -> dict[str, Any] | None:
    found: dict[str, Any] | None = None if text is None else json.loads(text, parse_float=Decimal)
    return found


def _told(
    sides: list[_Side],
    identity: tuple[str, ...],
    compared: tuple[str, ...],
    one: Mapping[str, Any] | None,
    other: Mapping[str, Any] | None,
) -> str:
    """One difference in words."""
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
