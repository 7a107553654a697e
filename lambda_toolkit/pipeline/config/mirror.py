"""The mirror: source tables that become warehouse tables as they are, with every version.

``config/mirror.json`` has them resolved, like a lock file: a deployment needs no way to the source, and the same commit
gives the same warehouse.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import FACT
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import Expression
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.warehouse.written import column_sql, create_table_sql, record_sql

MIRROR_FILE = Path("config/mirror.json")
MIRROR_FORMAT = 1  # of MIRROR_FILE
_PREFIX = "mirror_"  # of a table that would have the name of a view


@dataclass(frozen=True)
class MirrorColumn:
    """A column of a mirrored table."""

    name: str
    """In the warehouse: the source's, unless load uses that itself."""
    source: str
    """In the source."""
    type: str
    """In the warehouse, as format_type() writes it."""
    required: bool
    """Whether it is NOT NULL there."""
    dropped: bool = False
    """Whether the source has it no more: then it is there for the earlier versions."""


@dataclass(frozen=True)
class MirrorTable:
    """A mirrored table: a fact with every version of each row."""

    source: str
    """The table in the source."""
    name: str
    """In the warehouse: the source's, unless a view has that."""
    key: tuple[str, ...]
    """The columns of its key, in the source."""
    record: str
    """The column of the warehouse that numbers the versions."""
    columns: tuple[MirrorColumn, ...]
    """In the source's order as they were first seen, later ones last."""

    @property
    def present(self) -> tuple[MirrorColumn, ...]:
        """The columns that the source has."""
        return tuple(column for column in self.columns if not column.dropped)


@dataclass(frozen=True)
class Mirror:
    """All mirrored tables, by their names in the source."""

    tables: tuple[MirrorTable, ...] = ()

    def get(self, source: str) -> MirrorTable | None:
        """The mirrored table of a source table."""
        return next((table for table in self.tables if table.source == source), None)


def is_mirrored(patterns: Sequence[str], table: str) -> bool:
    """Whether ``[warehouse] mirror`` means ``table``: the last of the patterns that fits it does not begin with ``!``.

    ``*`` is any text, ``?`` any character, everything else itself.
    """
    fits = [pattern for pattern in patterns if _matches(pattern.removeprefix("!"), table)]
    return bool(fits) and not fits[-1].startswith("!")


def _matches(pattern: str, table: str) -> bool:
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(part, re.escape(part)) for part in pattern), table, re.DOTALL) is not None


def relation_names(table: str) -> tuple[str, str, str]:
    """The names of a mirrored table ``table`` in the warehouse, and of its views."""
    return table, sql.bounded(f"current_{table}"), sql.bounded(f"history_{table}")


def with_mirror(pipeline: Pipeline, mirror: Mirror) -> Pipeline:
    """``pipeline`` with the tables of ``mirror`` that it declares to be mirrored.

    Raises ConfigurationError for a name that a declared table has too.
    """
    chosen = Mirror(tuple(table for table in mirror.tables if is_mirrored(pipeline.mirrored, table.source)))
    source, warehouse = dict(pipeline.declared["source"]), dict(pipeline.declared["warehouse"])
    for table in chosen.tables:
        if table.name in warehouse:
            raise ConfigurationError(
                f"{pipeline.path}: [warehouse] `mirror` and [warehouse.{table.name}] give two tables the name "
                f'{table.name}. Rename the second, or exclude the first with "!{table.source}".'
            )
        own = source.get(table.source, {})
        key = own.get("key", _text_or_list(table.key)) if isinstance(own, Mapping) else own
        source[table.source] = {"key": key, **own} if isinstance(own, Mapping) else own
        warehouse[table.name] = _declaration(table, [key] if isinstance(key, str) else key)
    return replace(pipeline, tables={"source": source, "warehouse": warehouse}, mirror=mirror_sql(chosen))


def _declaration(table: MirrorTable, key: Any) -> dict[str, Any]:
    names = {column.source: column.name for column in table.present}
    return {
        "kind": FACT,
        "from": table.source,
        "key": _text_or_list([names.get(column, column) for column in key]),
        "record": table.record,
        "columns": {column.name: str(Expression(column.source)) for column in table.present},
    }


def _text_or_list(texts: Sequence[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else list(texts)


def mirror_sql(mirror: Mirror) -> str:
    """The CREATE TABLE statements of the mirrored tables."""
    return "\n".join(
        create_table_sql(
            table.name,
            [(record_sql(table.record), "")]
            + [(column_sql(each.name, each.type, required=each.required), "") for each in table.columns],
        )
        for table in mirror.tables
    )


def to_json(mirror: Mirror) -> str:
    """``mirror`` as a file, one column a line, so that a difference shows what changed."""
    lines = [f'{{\n "format": {MIRROR_FORMAT},\n "tables": {{']
    for number, table in enumerate(mirror.tables, 1):
        head = {"key": list(table.key), "record": table.record}
        if table.name != table.source:
            head["table"] = table.name
        lines.append(f"  {_json(table.source)}: {{")
        lines += [f"   {_json(name)}: {_json(value)}," for name, value in head.items()]
        lines.append('   "columns": {')
        columns = [f"    {_json(column.name)}: {_json(_column_json(column))}" for column in table.columns]
        lines += [",\n".join(columns), "   }", f"  }}{',' if number < len(mirror.tables) else ''}"]
    return "\n".join((*lines, " }", "}", ""))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _column_json(column: MirrorColumn) -> dict[str, Any]:
    found: dict[str, Any] = {"type": column.type, "required": column.required}
    if column.name != column.source:
        found["source"] = column.source
    if column.dropped:
        found["dropped"] = True
    return found


def read_mirror(root: Path) -> Mirror | None:
    """The mirror in ``root``; None where there is no such file. Raises ConfigurationError for one of another form."""
    path = root / MIRROR_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"{path} cannot be read: {reason}. {_AGAIN}") from error
    found = document.get("format") if isinstance(document, Mapping) else None
    if found != MIRROR_FORMAT:
        raise ConfigurationError(f"{path} has the format {found!r}; this release reads {MIRROR_FORMAT}. {_AGAIN}")
    try:
        return Mirror(tuple(_table(name, entry) for name, entry in document["tables"].items()))
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path} is not as this release writes it ({error!r}). {_AGAIN}") from error


_AGAIN = "Restore it from the repository; or remove it, and prepare makes it again where it knows the source's URL."


def _table(source: str, entry: Mapping[str, Any]) -> MirrorTable:
    columns = tuple(
        MirrorColumn(
            name, column.get("source", name), str(column["type"]), bool(column["required"]), "dropped" in column
        )
        for name, column in entry["columns"].items()
    )
    return MirrorTable(source, entry.get("table", source), tuple(entry["key"]), str(entry["record"]), columns)


def warehouse_name(source: str, taken: Collection[str], tables: Collection[str]) -> str:
    """The name of the mirrored table of ``source``: the same, unless it or one of its views would have a name twice.

    ``taken``: the other relations of the warehouse; ``tables``: the source tables that will be mirrored as well.
    """
    return next(name for name in _candidates(source) if _is_free(name, taken, tables))


def _candidates(source: str) -> Iterator[str]:
    yield source
    yield sql.bounded(f"{_PREFIX}{source}")
    for number in itertools.count(2):
        yield sql.bounded(f"{_PREFIX}{number}_{source}")


def _is_free(name: str, taken: Collection[str], tables: Collection[str]) -> bool:
    table, *views = relation_names(name)
    return table not in taken and not any(view in taken or view in tables for view in views)
