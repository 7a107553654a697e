"""The declaration of the source tables and the warehouse tables, as frozen values."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import DeclarationError
from ..postgres.sql import MAX_IDENTIFIER, SCHEMA
from . import calendar, history
from .calendar import Calendar
from .expressions import ColumnExpression, Expression, ParseSql, SqlExpression, read_expression, read_sql
from .history import VersionReference
from .joins import Join, joined_tables, parse_joins
from .scale import PART_ROWS, part_rows
from .schema_declarations import ColumnType, Reference, column_types, references_of
from .source_table import EVERY_RUN as EVERY_RUN
from .source_table import FRESH_WITHIN, interval, promise
from .source_table import NEVER as NEVER
from .source_table import SourceTable as SourceTable

TABLES_FILE = "tables.json"
TABLES_FORMAT = 1  # of TABLES_FILE

CALENDAR, DIMENSION, FACT = "calendar", "dimension", "fact"

# The columns of load's temporary tables, beside those of the published table.
RESERVED_COLUMNS = ("_batch", "_deleted", "_present", "_record", "_version", "_was", "_was_deleted")

_OPTIONAL = frozenset({"join", "where", "types", "references", FRESH_WITHIN})
_KEYS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {  # kind -> needed keys, allowed keys
    CALENDAR: (frozenset({"kind", "key"}), frozenset({"types", "references"}) | calendar.KEYS),
    DIMENSION: (frozenset({"kind", "from", "key", "columns"}), _OPTIONAL | history.KEYS),
    FACT: (frozenset({"kind", "from", "key", "record", "columns"}), _OPTIONAL | history.VERSIONS),
}


@dataclass(frozen=True)
class WarehouseTable:
    """A table of the warehouse: one row for each row of ``source``; of a fact, one row per version of it."""

    name: str
    kind: str
    """CALENDAR (a date dimension), DIMENSION or FACT."""
    keys: tuple[str, ...]
    """The columns that identify the row of ``source``, in the order of its ``keys``."""
    source: str | None
    """The source table that the rows are made of; None for a date dimension."""
    record: str | None
    """The column with the number of a version, its surrogate key; None where only the latest row is kept."""
    joins: Mapping[str, Join]
    """Alias -> the row that is joined under it; each after the alias that it starts from."""
    columns: Mapping[str, ColumnExpression]
    """Column -> the expression that derives it; empty for a date dimension."""
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    """The columns as the warehouse's schema declares them. A column that is not in here is not checked before load."""
    references: tuple[Reference, ...] = ()
    """The foreign keys among the columns that transform fills: rows wait until the rows they refer to exist."""
    calendar: Calendar | None = None
    """What a date dimension contains; None for any other table."""
    versions: tuple[VersionReference, ...] = ()
    """Of a fact: the columns that refer to a version of a dimension with history."""
    referring: tuple[WarehouseTable, ...] = ()
    """Of such a dimension: the facts that refer to its versions."""
    where: SqlExpression | None = None
    """The condition that a row must meet: one that does not is deleted from the present. None: every row is there."""
    fresh_within: timedelta | None = None
    """How soon it shall have each change of the source; None: as the declarations say of all tables."""

    @property
    def validity(self) -> tuple[str, ...]:
        """The columns with the times of a version, which load fills: of a dimension that keeps its history."""
        return tuple(history.VALIDITY) if self.kind == DIMENSION and self.record else ()

    @property
    def filled_by_load(self) -> tuple[str, ...]:
        """The columns of a version that load fills: its number, its times, and the versions that it refers to."""
        return (self.record, *self.validity, *(entry.column for entry in self.versions)) if self.record else ()

    def table_of(self, alias: str | None) -> str:
        """The source table of the rows that are joined as ``alias``; None: of the rows themselves."""
        return str(self.source) if alias is None else self.joins[alias].table

    @property
    def source_tables(self) -> tuple[str, ...]:
        """The source tables that it reads, each once; its own is the first."""
        return tuple(dict.fromkeys((str(self.source), *(join.table for join in self.joins.values()))))

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns that transform fills, in the order of its files."""
        return tuple(self.calendar.columns if self.calendar else self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that transform fills and config/warehouse.sql declares NOT NULL."""
        return tuple(name for name in self.column_names if name in self.types and self.types[name].required)


@dataclass(frozen=True)
class Declarations:
    """Every table by its name, in the order declared."""

    source: Mapping[str, SourceTable]
    warehouse: Mapping[str, WarehouseTable]
    fresh_within: timedelta | None = None
    """How soon the warehouse shall have each change, of tables that say nothing else; None: nothing is promised."""
    part_rows: int = PART_ROWS

    def promises(self) -> Mapping[str, timedelta | None]:
        """Source table -> how soon the warehouse shall have each change of it; None: that is not promised.

        What the source table itself says; or else the shortest of the warehouse tables that are made of it.
        """
        made: dict[str, list[timedelta]] = {}
        for table in self.warehouse.values():
            within = table.fresh_within or self.fresh_within
            if table.source is not None and within is not None:
                for name in table.source_tables:
                    made.setdefault(name, []).append(within)
        return {
            name: table.fresh_within or min(made.get(name, ()), default=self.fresh_within)
            for name, table in self.source.items()
        }

    def needed_columns(self) -> Mapping[str, Mapping[str, tuple[Expression, ...]]]:
        """Source table -> column -> the functions that read it (none for a key or a join's column, or of SQL)."""
        needed: dict[str, dict[str, tuple[Expression, ...]]] = {
            table.name: dict.fromkeys(table.keys, ()) for table in self.source.values()
        }
        for table in self.warehouse.values():
            if table.source is None:
                continue
            for join in table.joins.values():
                for column in join.on:
                    needed[table.table_of(join.parent)].setdefault(column, ())
            for expression in table.columns.values():
                for read, column in expression.reads:
                    columns = needed[table.table_of(read)]
                    found = columns.get(column, ())
                    columns[column] = (*found, expression) if isinstance(expression, Expression) else found
            for read, column in table.where.reads if table.where else ():
                needed[table.table_of(read)].setdefault(column, ())
        return needed

    def fingerprint(self, source: str) -> str:
        """A hash of all that is made of the source table: it changes when a declaration that reads it does."""
        made = [
            [table.name, table.kind, _stored(table.keys), table.source]
            + [sorted((alias, join.stored(alias)) for alias, join in table.joins.items())]
            + [[column, str(expression)] for column, expression in sorted(table.columns.items())]
            + ([["where", str(table.where)]] if table.where else [])
            for table in sorted(self.warehouse.values(), key=lambda table: table.name)
            if table.source is not None and source in table.source_tables
        ]
        table = self.source[source]
        place = [] if (table.schema, table.relation) == (SCHEMA, source) else [table.schema, table.relation]
        document = [_stored(table.keys), made, *(["content"] if table.by_content else []), *place]
        return hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16]

    def capture_order(self) -> tuple[SourceTable, ...]:
        """The source tables: first those that dimensions are made of, so that facts find what they name."""
        named = {
            name
            for table in self.warehouse.values()
            for name in (
                *(join.table for join in table.joins.values()),
                *((table.source,) if table.kind == DIMENSION else ()),
            )
        }
        return tuple(sorted(self.source.values(), key=lambda table: table.name not in named))

    def loading_order(self) -> tuple[WarehouseTable, ...]:
        """Calendars, then dimensions, then facts; and each table after the tables that it refers to."""
        order = (CALENDAR, DIMENSION, FACT)
        ordered: dict[str, WarehouseTable] = {}
        visited: set[str] = set()

        def add(table: WarehouseTable) -> None:
            if table.name in visited:  # loaded already, or a circle: rows of it wait for the next batch
                return
            visited.add(table.name)
            for reference in table.references:
                if reference.table in self.warehouse:
                    add(self.warehouse[reference.table])
            ordered[table.name] = table

        for table in sorted(self.warehouse.values(), key=lambda table: order.index(table.kind)):
            add(table)
        return tuple(ordered.values())


def parse(document: Mapping[str, Any], parse_sql: ParseSql | None = None) -> Declarations:
    """The declarations in ``document``: its sections ``source`` and ``warehouse``.

    ``parse_sql`` parses the SQL of a file that people write; packaged declarations have it parsed.

    Raises DeclarationError with every error, one a line; each begins with the table, such as ``[source.staff]``.
    """
    source: dict[str, SourceTable] = {}
    warehouse: dict[str, WarehouseTable] = {}
    errors: list[str] = []
    within = promise("[pipeline]", document)
    for name, entry in _section(document, "source").items():
        try:
            source[name] = _source_table(name, entry)
        except DeclarationError as error:
            errors.append(str(error))
    unread = set(document["source"]) - set(source)
    for name, entry in _section(document, "warehouse").items():
        try:
            warehouse[name] = _warehouse_table(name, entry, source, parse_sql)
        except DeclarationError as error:
            read = {table for table in (entry.get("from"), *joined_tables(entry.get("join"))) if isinstance(table, str)}
            if not unread & read:  # otherwise what it reads is reported already
                errors.append(str(error))
    linked, wrong = history.link_versions(warehouse, document["warehouse"])
    if errors or wrong:
        raise DeclarationError("\n".join([*errors, *wrong]))
    return Declarations(MappingProxyType(source), MappingProxyType(linked), within, part_rows(document))


def load(root: Path | None = None) -> Declarations:
    """The declarations packaged as ``tables.json`` in ``root`` (default: where Lambda unpacks a function).

    Raises DeclarationError when the file is missing, not JSON, of another format, or when ``parse`` refuses it.
    """
    root = root or Path(os.environ.get("LAMBDA_TASK_ROOT") or Path(__file__).parents[3])
    path = root / TABLES_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DeclarationError(f"{path} is missing: the function was packaged without its tables.") from error
    except ValueError as error:
        raise DeclarationError(f"{path} is not valid JSON: {error}.") from error
    found = document.get("format") if isinstance(document, Mapping) else None
    if found != TABLES_FORMAT:
        raise DeclarationError(
            f"{path} has the format {found!r}; this code reads format {TABLES_FORMAT}: the function was packaged by "
            "another release. Deploy it again with this one."
        )
    return parse(document)


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Mapping[str, Any]]:
    section = document.get(name)
    if not isinstance(section, Mapping) or not section:
        raise DeclarationError(f"The declaration has no [{name}.<table>] section.")
    for table, entry in section.items():
        if not isinstance(entry, Mapping):
            raise DeclarationError(f"[{name}.{table}] must be a table of keys, not {entry!r}.")
    return section


def _source_table(name: str, entry: Mapping[str, Any]) -> SourceTable:
    where = f"[source.{name}]"
    _check_name(where, name)
    _check_keys(where, entry, frozenset({"key"}), frozenset({"deletes", "compare", "schema", "table", FRESH_WITHIN}))
    by_content = _text(where, {"compare": "transactions", **entry}, "compare")
    if by_content not in ("transactions", "content"):
        raise DeclarationError(f'{where} `compare` must be "transactions" or "content", not {by_content!r}.')
    deletes = interval(where, _text(where, entry, "deletes")) if "deletes" in entry else None
    place = {key: _text(where, entry, key) for key in ("schema", "table") if key in entry}
    for value in place.values():
        _check_name(where, value)
    within = promise(where, entry)
    return SourceTable(name, _key_columns(where, entry), deletes, by_content == "content", **place, fresh_within=within)


def _warehouse_table(
    name: str, entry: Mapping[str, Any], source: Mapping[str, SourceTable], parse_sql: ParseSql | None
) -> WarehouseTable:
    where = f"[warehouse.{name}]"
    _check_name(where, name)
    kind = _text(where, entry, "kind")
    if kind not in _KEYS:
        raise DeclarationError(f"{where} `kind` must be one of {', '.join(_KEYS)}, not {kind!r}.")
    _check_keys(where, entry, *_KEYS[kind])
    keys, types, references = _key_columns(where, entry), column_types(where, entry), references_of(where, entry)
    if kind == CALENDAR:
        if len(keys) != 1:
            raise DeclarationError(f"{where} `key` of a calendar is one column, not {', '.join(keys)}.")
        declared = calendar.parse_calendar(where, keys[0], entry)
        none: Mapping[str, Any] = MappingProxyType({})
        return WarehouseTable(name, kind, keys, None, None, none, none, types, references, declared)
    base = _text(where, entry, "from")
    if base not in source:
        raise DeclarationError(f"{where} reads the table `{base}`, which no [source.{base}] declares.")
    joins = parse_joins(where, entry.get("join", {}), {table.name: table.keys for table in source.values()})
    columns, errors = {}, []
    for column, declared_as in _texts(where, entry, "columns", Mapping).items():
        try:
            columns[column] = read_expression(declared_as, parse_sql)
        except ValueError as error:
            errors.append(f"{where} column `{column}` = {declared_as!r}: {error}.")
            continue
        unknown = dict.fromkeys(read for read, _ in columns[column].reads if read not in (None, *joins))
        errors += [f"{where} column `{column}` names `{read}`, which `join` does not." for read in unknown]
        if column in RESERVED_COLUMNS:
            errors.append(f"{where} column `{column}` has a name that load uses itself: give it another.")
    condition = None
    try:
        condition = _condition(where, entry, joins, parse_sql)
    except DeclarationError as error:
        errors.append(str(error))
    if errors:
        raise DeclarationError("\n".join(errors))
    _check_key(where, keys, columns, source[base])
    record = _text(where, entry, "record") if kind == FACT else history.parse_record(where, entry, columns)
    return WarehouseTable(
        *(name, kind, keys, base, record, joins, MappingProxyType(columns), types, references),
        where=condition,
        fresh_within=promise(where, entry),
    )


def _condition(
    where: str, entry: Mapping[str, Any], joins: Mapping[str, Join], parse_sql: ParseSql | None
) -> SqlExpression | None:
    if "where" not in entry:
        return None
    declared = entry["where"]
    try:
        condition = read_sql(declared if isinstance(declared, Mapping) else _text(where, entry, "where"), parse_sql)
    except ValueError as error:
        raise DeclarationError(f"{where} `where` = {declared!r}: {error}.") from error
    unknown = sorted(read for read, _ in condition.reads if read is not None and read not in joins)
    if unknown:
        raise DeclarationError(f"{where} `where` names `{unknown[0]}`, which `join` does not.")
    return condition


def _check_key(where: str, keys: tuple[str, ...], columns: Mapping[str, ColumnExpression], source: SourceTable) -> None:
    if len(keys) != len(source.keys):
        raise DeclarationError(
            f"{where} `key` must name a column for each of the key of [source.{source.name}], in its order "
            f"({', '.join(source.keys)}), not {', '.join(keys)}."
        )
    for key, column in zip(keys, source.keys, strict=True):
        if columns.get(key) != Expression(column):
            raise DeclarationError(
                f"{where} `key` must be the column that holds {source.name}.{column} as it is; `{key}` is "
                f"{columns.get(key, 'not among its columns')}."
            )


def _stored(keys: tuple[str, ...]) -> str | list[str]:
    """A key as a declaration has it: a text, or a list of several."""
    return keys[0] if len(keys) == 1 else list(keys)


def _check_name(where: str, name: str) -> None:
    if not 0 < len(name.encode()) <= MAX_IDENTIFIER or "\0" in name:
        raise DeclarationError(f"{where} cannot be the name of a table: PostgreSQL's have 1 to {MAX_IDENTIFIER} bytes.")


def _check_keys(where: str, entry: Mapping[str, Any], needed: frozenset[str], allowed: frozenset[str]) -> None:
    for key in sorted(needed - set(entry)):
        raise DeclarationError(f"{where} lacks the key `{key}`.")
    for key in sorted(set(entry) - needed - allowed):
        raise DeclarationError(
            f"{where} holds the unknown key `{key}`. Known here: {', '.join(sorted(needed | allowed))}."
        )


def _key_columns(where: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of the key: a text, or a list of different ones."""
    value = entry.get("key")
    if not isinstance(value, list | tuple):
        return (_text(where, entry, "key"),)
    if not value or not all(isinstance(column, str) and column for column in value):
        raise DeclarationError(f"{where} `key` must be a text or a list of texts, not {value!r}.")
    if len(set(value)) != len(value):
        raise DeclarationError(f"{where} `key` names a column twice: {', '.join(value)}.")
    return tuple(value)


def _text(where: str, entry: Mapping[str, Any], key: str) -> str:
    if key not in entry:
        raise DeclarationError(f"{where} lacks the key `{key}`.")
    value = entry[key]
    if not isinstance(value, str) or not value:
        raise DeclarationError(f"{where} `{key}` must be a text, not {value!r}.")
    return value


def _texts(where: str, entry: Mapping[str, Any], key: str, *more: type) -> dict[str, Any]:
    """``more``: what a value may be beside a text."""
    values = entry.get(key, {})
    if not isinstance(values, Mapping) or not all(isinstance(value, (str, *more)) for value in values.values()):
        raise DeclarationError(f"{where} `{key}` must be a table of texts, not {values!r}.")
    return dict(values)
