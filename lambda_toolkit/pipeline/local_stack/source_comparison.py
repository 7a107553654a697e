"""Compares the warehouse with a source of any shape: SQL that is derived from the declaration, run on the source.

PostgreSQL evaluates it: joins, casts and all. Of the pipeline it shares the reader of expressions, and nothing that
reads, converts or loads a row. What no SQL can be derived for is named, and not compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.shared.conversions import FLOATS
from lambda_toolkit.pipeline.lambdas.shared.model.calendar import Calendar
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import DIMENSION, FACT, Declarations, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import ColumnExpression, SqlExpression
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message
from lambda_toolkit.pipeline.local_stack.independent_check import EXAMPLES, TableCheck
from lambda_toolkit.pipeline.warehouse.views import view_names

KNOWN_KEYS = frozenset({"kind", "from", "key", "record", "history", "versions", "join", "where", "columns"})
"""The keys of a table's declaration that the SQL below follows. A table with another is not compared."""
_FUNCTIONS: Mapping[str | None, str] = {
    None: "$c",
    "date": "($c)::date",
    "time": "($c)::time",
    "decimal": "($c)::numeric($0, $1)",
}
_BASE, _OWN = "the row", "own"  # what the row is called beside the joined tables, if none of them is called so
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_FISCAL = "date_trunc('month', d::timestamp) + ((13 - $start) % 12) * interval '1 month'"
_OF_A_DATE: Mapping[str, str] = {  # what a calendar says of the date d; $start is the first month of a fiscal year
    "date": "d",
    "year": "extract(year FROM d)",
    "quarter": "extract(quarter FROM d)",
    "month": "extract(month FROM d)",
    "day": "extract(day FROM d)",
    "day_of_week": "extract(isodow FROM d)",
    "day_of_year": "extract(doy FROM d)",
    "day_name": "to_char(d, 'FMDay')",
    "month_name": "to_char(d, 'FMMonth')",
    "iso_year": "extract(isoyear FROM d)",
    "iso_week": "extract(week FROM d)",
    "is_weekend": "extract(isodow FROM d) > 5",
    "first_of_month": "date_trunc('month', d::timestamp)",
    "last_of_month": "date_trunc('month', d::timestamp) + interval '1 month - 1 day'",
    "fiscal_year": f"extract(year FROM {_FISCAL})",
    "fiscal_quarter": f"extract(quarter FROM {_FISCAL})",
    "fiscal_month": f"extract(month FROM {_FISCAL})",
}
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_SELECT = "SELECT $key AS k, md5(convert_to($values, 'UTF8')) AS v FROM $rows WHERE $condition"
_ONE = "SELECT $values FROM $rows WHERE $condition AND $key = $wanted"
_WITH_LENGTH = "coalesce(length($value)::text || ':' || $value, '-')"  # together they tell where a value ends
_ALL = sql.Fragment("true")  # the condition that all rows meet


class _NotDerivedError(Exception):
    """No SQL follows from a declaration; the message says why."""


@dataclass(frozen=True)
class Comparison:
    """What was compared, and why the rest was not."""

    tables: tuple[TableCheck, ...]
    not_compared: tuple[str, ...]
    """Tables and columns, each with the reason, sentences without their periods."""

    @property
    def agrees(self) -> bool:
        """Whether nothing that was compared differs."""
        return not any(table.differences for table in self.tables)


@dataclass(frozen=True)
class _Side:
    """How one side says what the rows of a table are: all fragments give text."""

    connection: Connection
    key: sql.Fragment
    values: tuple[sql.Fragment, ...]
    rows: sql.Fragment
    condition: sql.Fragment = _ALL

    def hashes(self) -> dict[str, str]:
        """By key, a hash of the other values; an empty one where several rows have the key."""
        lengths = [sql.compose(_WITH_LENGTH, value=value) for value in self.values]
        values = sql.joined(" || ", lengths) if lengths else sql.constant("")
        query = sql.compose(_SELECT, key=self.key, values=values, rows=self.rows, condition=self.condition)
        found: dict[str, str] = {}
        for key, value in self.connection.run(str(query)):
            found[str(key)] = "" if str(key) in found else str(value)
        return found

    def row(self, key: str) -> list[Any]:
        """The values of one row."""
        values, wanted = sql.joined(", ", self.values), sql.constant(key)
        parts = {"rows": self.rows, "condition": self.condition}
        query = sql.compose(_ONE, key=self.key, values=values, wanted=wanted, **parts)
        return list(self.connection.run(str(query))[0])


def compare(
    declared: Declarations, tables: Mapping[str, Mapping[str, Any]], source: Connection, warehouse: Connection
) -> Comparison:
    """Compare the present state of each warehouse table with the source, each read in one snapshot.

    ``declared`` has the types of the warehouse's columns, ``tables`` the declarations as the file has them. Both
    connections have the settings of the pipeline's sessions. Only reads.
    """
    checks: list[TableCheck] = []
    not_compared: list[str] = []
    for connection in (source, warehouse):
        connection.run(_SNAPSHOT)
    try:
        for name, table in declared.warehouse.items():
            try:
                checks.append(_check(table, declared, tables[name], source, warehouse, not_compared.append))
            except _NotDerivedError as reason:
                not_compared.append(f"{name}: {reason}")
    finally:
        for connection in (source, warehouse):
            connection.run("ROLLBACK")
    return Comparison(tuple(checks), tuple(not_compared))


def _check(
    table: WarehouseTable,
    declared: Declarations,
    entry: Mapping[str, Any],
    source: Connection,
    warehouse: Connection,
    say: Callable[[str], None],
) -> TableCheck:
    if table.calendar is not None:
        return _calendar_check(table, table.calendar, declared, source, warehouse)
    if unknown := sorted(set(entry) - KNOWN_KEYS):
        raise _NotDerivedError(f"the key `{unknown[0]}` of its declaration has no SQL here")
    if table.kind not in (DIMENSION, FACT) or table.source is None:
        raise _NotDerivedError(f"its kind, {table.kind}, has no SQL here")
    derived: dict[str, sql.Fragment] = {}
    for column, expression in table.columns.items():
        try:
            derived[column] = _derived(expression, table, table.types[column].type)
        except _NotDerivedError as reason:
            if column in table.keys:
                raise
            say(f"{table.name}.{column}: {reason}")
    others = [column for column in derived if column not in table.keys]
    shown = {column: _text(sql.columns([column], of="w"), table.types[column].type) for column in derived}
    view = sql.compose("$view AS w", view=sql.table(view_names(table)[0]))

    def side(connection: Connection, values: Mapping[str, sql.Fragment], rows: sql.Fragment) -> _Side:
        return _Side(connection, _key([values[name] for name in table.keys]), tuple(values[n] for n in others), rows)

    expected, found = side(source, derived, _rows(table, declared)), side(warehouse, shown, view)
    if table.where is not None:
        expected = replace(expected, condition=_evaluated(table.where, table))
    return _compared(table, others, expected, found)


def _compared(table: WarehouseTable, columns: list[str], expected: _Side, found: _Side) -> TableCheck:
    should, does = _hashes(expected, "the source"), _hashes(found, "the warehouse")
    differ = sorted(key for key in should.keys() | does.keys() if should.get(key) != does.get(key))
    label = ", ".join(table.keys)
    return TableCheck(
        table=table.name,
        source_rows=len(should),
        warehouse_rows=len(does),
        versions=_count(found.connection, table) if table.record else None,
        differences=len(differ),
        examples=tuple(
            f"{label} {key[1:-1]} {_difference(key, columns, (expected, should), (found, does))}"
            for key in differ[:EXAMPLES]
        ),
    )


def _calendar_check(
    table: WarehouseTable, calendar: Calendar, declared: Declarations, source: Connection, warehouse: Connection
) -> TableCheck:
    """A calendar beside what the source's server says of the same dates, and of those that its rows name."""
    key = sql.columns(table.keys)
    query = sql.compose("SELECT $key::text FROM $table", key=key, table=sql.table(table.name))
    dates = {str(row[0]) for row in warehouse.run(str(query))} | _named_dates(table, declared, source)
    start = sql.number(calendar.fiscal_year_start)

    def said(name: str) -> sql.Fragment:
        value = sql.compose(_OF_A_DATE[calendar.columns[name]], start=start)
        return _typed(value, table.types[name].type)

    def shown(name: str) -> sql.Fragment:
        return _text(sql.columns([name], of="w"), table.types[name].type)

    others = [name for name in calendar.columns if name not in table.keys]
    days = sql.compose("unnest($dates::date[]) AS d", dates=sql.constant(f"{{{','.join(sorted(dates))}}}"))
    expected = _Side(source, _key([said(name) for name in table.keys]), tuple(map(said, others)), days)
    rows = sql.compose("$table AS w", table=sql.table(table.name))
    found = _Side(warehouse, _key([shown(name) for name in table.keys]), tuple(map(shown, others)), rows)
    return _compared(table, others, expected, found)


def _named_dates(table: WarehouseTable, declared: Declarations, source: Connection) -> set[str]:
    """The dates, as yyyy-mm-dd, in the columns of other tables that refer to the calendar ``table``."""
    named: set[str] = set()
    for other in declared.warehouse.values():
        for reference in other.references:
            if reference.table != table.name or reference.columns[0] not in other.columns:
                continue
            date = _derived(other.columns[reference.columns[0]], other, "date")
            condition = _evaluated(other.where, other) if other.where else _ALL
            parts = {"date": date, "rows": _rows(other, declared), "condition": condition}
            query = sql.compose("SELECT DISTINCT $date FROM $rows WHERE $condition", **parts)
            source.run("SAVEPOINT dates_named")
            try:
                named |= {str(row[0]) for row in source.run(str(query)) if _DATE.fullmatch(str(row[0]))}
            except DatabaseError:  # the check of that table says why
                source.run("ROLLBACK TO SAVEPOINT dates_named")
    return named


def _hashes(side: _Side, name: str) -> dict[str, str]:
    has_savepoints = not side.connection.is_duckdb
    if has_savepoints:
        side.connection.run("SAVEPOINT table_compared")
    try:
        return side.hashes()
    except DatabaseError as error:
        side.connection.run("ROLLBACK TO SAVEPOINT table_compared" if has_savepoints else "ROLLBACK")
        if not has_savepoints:
            side.connection.run(_SNAPSHOT)
        raise _NotDerivedError(f"{name} refuses the query: {message(error)}") from error


def _difference(
    key: str, columns: list[str], expected: tuple[_Side, Mapping[str, str]], found: tuple[_Side, Mapping[str, str]]
) -> str:
    if key not in found[1]:
        return "is missing"
    if key not in expected[1]:
        return "should not be there"
    if not found[1][key] or not expected[1][key]:
        return f"is more than once in the {'source' if found[1][key] else 'warehouse'}"
    pairs = zip(columns, expected[0].row(key), found[0].row(key), strict=True)
    return ", ".join(f"{column} is {is_!r} and should be {must!r}" for column, must, is_ in pairs if is_ != must)


def _derived(expression: ColumnExpression, table: WarehouseTable, kind: str) -> sql.Fragment:
    """The text of what the source says that a column of the warehouse, of type ``kind``, must hold."""
    if isinstance(expression, SqlExpression):
        value = _evaluated(expression, table)
    else:
        template = _FUNCTIONS.get(expression.function)
        if template is None:
            raise _NotDerivedError(f"{expression} has no SQL")
        for number, argument in enumerate(expression.arguments):
            template = template.replace(f"${number}", str(int(argument)))
        of = sql.identifier(expression.table) if expression.table else _scope(table, _BASE)
        value = sql.compose(template, c=sql.compose("$of.$column", of=of, column=sql.identifier(expression.column)))
    return _typed(value, kind)


def _evaluated(expression: SqlExpression, table: WarehouseTable) -> sql.Fragment:
    """SQL of a declaration, in a scope where a name alone is a column of the row, whatever the joined tables have."""
    text = sql.Fragment(expression.text)
    base, own = _scope(table, _BASE), _scope(table, _OWN)
    return sql.compose("(SELECT $text FROM (SELECT $base.*) AS $own)", text=text, base=base, own=own)


def _scope(table: WarehouseTable, name: str) -> sql.Fragment:
    """A name for the row itself that is no alias of a joined table."""
    while name in table.joins:
        name += "'"
    return sql.identifier(name)


def _typed(value: sql.Fragment, kind: str) -> sql.Fragment:
    return _text(sql.compose("($value)::$type", value=value, type=sql.Fragment(kind)), kind)


def _text(value: sql.Fragment, kind: str) -> sql.Fragment:
    """A value of type ``kind`` as text: numbers without the zeros at their end, which mean nothing."""
    if kind.startswith("numeric"):
        return sql.compose("trim_scale($value)::text", value=value)
    if kind in FLOATS:  # a DuckDB file writes 1.0 where PostgreSQL writes 1
        return sql.compose(r"regexp_replace(($value)::text, '\.0$$', '')", value=value)
    return sql.compose("($value)::text", value=value)


def _key(parts: list[sql.Fragment]) -> sql.Fragment:
    """The text of a key: of several columns, no two keys have the same, whatever commas are in them."""
    if len(parts) > 1:
        parts = [sql.compose(r"replace(replace($part, '\', '\\'), ',', '\,')", part=part) for part in parts]
    return sql.compose("'(' || $parts || ')'", parts=sql.joined(" || ',' || ", parts))


def _rows(table: WarehouseTable, declared: Declarations) -> sql.Fragment:
    """The source's rows with those that the declaration joins to them, which have its names."""
    assert table.source is not None  # noqa: S101  # nosec B101  # the caller asked
    base = _scope(table, _BASE)
    rows = sql.compose("$table AS $base", table=declared.source[table.source].sql_name, base=base)
    for alias, join in table.joins.items():
        of = sql.identifier(join.parent) if join.parent else base
        equal = [
            sql.compose("$key = $of.$column", key=sql.columns([key], of=alias), of=of, column=sql.identifier(column))
            for key, column in zip(declared.source[join.table].keys, join.on, strict=True)
        ]
        rows = sql.compose(
            "$rows LEFT JOIN $joined AS $alias ON $equal",
            rows=rows,
            joined=declared.source[join.table].sql_name,
            alias=sql.identifier(alias),
            equal=sql.joined(" AND ", equal),
        )
    return rows


def _count(warehouse: Connection, table: WarehouseTable) -> int:
    query = sql.compose("SELECT count(*) FROM $table", table=sql.table(table.name))
    return int(warehouse.run(str(query))[0][0])
