"""What the pages show of the warehouse, for any configuration: its tables, one row's versions, answers to questions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client.warehouses.query import Warehouse
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.load.warehouse.table_sql import TableSql
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.warehouse.views import view_names

if TYPE_CHECKING:
    import pyarrow as pa

    from lambda_toolkit.pipeline.dashboard.readings import Document

QUESTIONS = Path("docs") / "questions.sql"
"""The queries that a project shows on its dashboard, below its root."""
_COUNTED = 1_000_000  # rows, as estimated: larger tables are not counted
_CHANGED = 12  # keys that changed last, which the page offers
_RECENT = 2_000  # the versions among which these are looked for
_VERSIONS = 50  # of one key
_ANSWER = 200  # rows of an answer
_QUESTION = re.compile(r"^-- (\d+)\. ([^\n]*)\n(.*?;)[ \t]*$", re.DOTALL | re.MULTILINE)
_ESTIMATES = """
    SELECT c.relname::text AS name, c.reltuples::bigint AS rows FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = to_regnamespace($schema) AND c.relkind IN ('r', 'p', 'v', 'm')
"""
_COUNTS = "SELECT $name AS name, (SELECT count(*) FROM $table) AS rows, ($present) AS present"
_LAST_CHANGED = """
    SELECT $key_text_of_t AS key, count(*) AS versions FROM $table AS t
    WHERE ($key_of_t) IN (SELECT $key_of_t FROM $table AS t ORDER BY t.$record DESC LIMIT $recent)
    GROUP BY $key_of_t HAVING count(*) > 1 ORDER BY max(t.$record) DESC LIMIT $limit
"""
_VERSIONS_OF = "SELECT t.* FROM $history AS t WHERE $is_key ORDER BY t.$record LIMIT $limit"


def tables(warehouse: Warehouse, declared: Mapping[str, WarehouseTable]) -> Document:
    """Each declared table with its rows, and of a table with versions how many rows of the source they are of.

    ``{"tables": [{"table", "kind", "rows", "present", "exact", "problem"}]}``. ``rows`` counts versions where there
    are any; ``present``, the rows that are not deleted, is null where that is not known. Large tables are estimated.
    ``problem`` names the table and the views of it that are missing.
    """
    found = {row["name"]: row["rows"] for row in _rows(warehouse, _ESTIMATES, schema=sql.constant(LIVE.published))}
    counted = {
        name: table for name, table in declared.items() if name in found and found[name] < _COUNTED and table.source
    }
    counted |= {name: table for name, table in declared.items() if name in found and not table.source}
    queries = [
        sql.compose(_COUNTS, name=sql.constant(name), table=LIVE.table(name), present=_present(table, frozenset(found)))
        for name, table in counted.items()
    ]
    counts: dict[str, Mapping[str, Any]] = {}
    if queries:
        union = sql.joined("\nUNION ALL ", [sql.compose("($query)", query=query) for query in queries])
        counts = {row["name"]: row for row in warehouse.query(union).to_pylist()}
    return {"tables": [_table(name, table, found, counts.get(name)) for name, table in declared.items()]}


def _present(table: WarehouseTable, existing: frozenset[str]) -> sql.Fragment:
    names = view_names(table)
    if not names or names[0] not in existing:
        return sql.Fragment("NULL::bigint")
    return sql.compose("SELECT count(*) FROM $view", view=LIVE.table(names[0]))


def _table(
    name: str, table: WarehouseTable, found: Mapping[str, int], count: Mapping[str, Any] | None
) -> dict[str, Any]:
    rows = count["rows"] if count else found.get(name)
    missing = [each for each in (name, *view_names(table)) if each not in found]
    problem = f"The warehouse has no {' and no '.join(missing)}, as the configuration declares." if missing else None
    return {
        "table": name,
        "kind": table.kind,
        "versioned": bool(table.record),
        "rows": rows,
        "present": count["present"] if count else None,
        "exact": count is not None,
        "problem": problem,
    }


# ------------------------------------------------------------------------------------------------------------- history


def history(warehouse: Warehouse, declared: Mapping[str, WarehouseTable], table: str, key: str) -> Document:
    """The versions of one row, oldest first, and the rows that changed last.

    ``{"tables", "table", "key", "last_changed": [{"key", "versions"}], "columns", "versions": [{"record", "valid_from",
    "valid_to", "values", "changed"}]}``: ``tables`` are those that have versions; ``changed`` are the columns that
    differ from the version before. Without ``key``: the row that changed last; without ``table`` too, of the first
    table that has one. Raises CommandError for a table without versions.
    """
    versioned = {name: each for name, each in declared.items() if each.record}
    if table and table not in versioned:
        raise CommandError(f"{table} is no table with versions. These are: {', '.join(versioned) or 'none'}.")
    chosen, changed = table, []
    for name in [table] if table else versioned:
        changed = _last_changed(warehouse, versioned[name])
        chosen = name
        if changed or key:
            break
    key = key or (changed[0]["key"] if changed else "")
    columns, versions = _versions(warehouse, versioned[chosen], key) if chosen and key else ([], [])
    return {
        "tables": list(versioned),
        "table": chosen,
        "key": key,
        "key_columns": list(versioned[chosen].keys) if chosen else [],
        "last_changed": changed,
        "columns": columns,
        "versions": versions,
    }


def _last_changed(warehouse: Warehouse, table: WarehouseTable) -> list[dict[str, Any]]:
    limits = {"recent": sql.number(_RECENT), "limit": sql.number(_CHANGED)}
    return [dict(row) for row in _rows(warehouse, _LAST_CHANGED, **_parts(table), **limits)]


def _versions(warehouse: Warehouse, table: WarehouseTable, key: str) -> tuple[list[str], list[dict[str, Any]]]:
    names = view_names(table)
    relation = table.name if table.validity else names[-1]
    found = warehouse.query(
        sql.compose(
            _VERSIONS_OF,
            history=LIVE.table(relation),
            is_key=_is_key(table, key),
            record=sql.identifier(str(table.record)),
            limit=sql.number(_VERSIONS),
        )
    )
    times = list(table.validity[:2]) if table.validity else found.column_names[-2:]
    apart = {table.record, *times, *table.validity}
    columns = [name for name in found.column_names if name not in apart]
    versions: list[dict[str, Any]] = []
    for row in _plain_rows(found):
        values = {name: row[name] for name in columns}
        before = versions[-1]["values"] if versions else values
        versions.append(
            {
                "record": row[str(table.record)],
                "valid_from": row[times[0]],
                "valid_to": row[times[1]],
                "values": values,
                "changed": [name for name in columns if values[name] != before[name]],
            }
        )
    return columns, versions


def _is_key(table: WarehouseTable, key: str) -> sql.Fragment:
    """The condition that a row has this key, which the server compares as its own type, so that an index serves."""
    if "\0" in key:
        raise CommandError("A key has no NUL character.")
    texts = [key]
    if len(table.keys) > 1:
        try:
            texts = json.loads(key)
        except ValueError:
            texts = []
        if not isinstance(texts, list) or len(texts) != len(table.keys):
            raise CommandError(f"The key of {table.name} is a JSON array of {', '.join(table.keys)}.")
    return sql.joined(
        " AND ",
        [
            sql.compose("t.$column = $value", column=sql.identifier(column), value=sql.constant(str(text)))
            for column, text in zip(table.keys, texts, strict=True)
        ],
    )


def _parts(table: WarehouseTable) -> dict[str, sql.Fragment]:
    parts = TableSql.of(LIVE, table).parts
    return {name: parts[name] for name in ("table", "key_of_t", "key_text_of_t", "record")}


# ----------------------------------------------------------------------------------------------------------- questions


def questions(warehouse: Warehouse, root: Path) -> Document:
    """The answers to the questions of the project at ``root``; or why one has none.

    ``{"file", "questions": [{"number", "question", "sql", "columns", "rows", "more", "error"}]}``; ``file`` is null
    where the project has none.
    """
    path = root / QUESTIONS
    if not path.is_file():
        return {"file": None, "questions": []}
    return {
        "file": str(QUESTIONS),
        "questions": [
            {"number": number, "question": text, "sql": query, **_answer(warehouse, query)}
            for number, text, query in parse_questions(path.read_text(encoding="utf-8"))
        ],
    }


def parse_questions(text: str) -> Iterator[tuple[int, str, str]]:
    """The questions in ``text``: each is a line ``-- 1. What?``, and the query below it up to a line that ends in ;."""
    for number, question, query in _QUESTION.findall(text):
        yield int(number), question.strip(), query.strip()


def _answer(warehouse: Warehouse, query: str) -> dict[str, Any]:
    try:
        found = warehouse.query(query)
    except CommandError as error:
        return {"columns": [], "rows": [], "more": 0, "error": str(error)}
    rows = [list(row.values()) for row in _plain_rows(found.slice(0, _ANSWER))]
    columns = [{"name": field.name, "type": str(field.type)} for field in found.schema]
    return {"columns": columns, "rows": rows, "more": max(0, found.num_rows - _ANSWER), "error": None}


def _rows(warehouse: Warehouse, template: str, /, **parts: sql.Fragment) -> Sequence[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = warehouse.query(sql.compose(template, **parts)).to_pylist()
    return rows


def _plain_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows as JSON values: numbers that JSON has, and texts for all else. Times are ISO 8601."""
    for row in table.to_pylist():
        yield {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):  # which JSON has not: as PostgreSQL writes it
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, time):
        return value.isoformat(
            "auto" if value.microsecond % 1000 else "milliseconds" if value.microsecond else "seconds"
        )
    return value.isoformat() if isinstance(value, datetime) else str(value)
