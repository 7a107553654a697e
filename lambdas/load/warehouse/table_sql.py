"""The names of a warehouse table as parts of statements, and its rows as statements compare them.

Needs no Arrow: the commands compose the views with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ...shared.conversions import is_compared_as_text
from ...shared.model.declarations import WarehouseTable
from ...shared.postgres import sql
from .schemas import SchemaNames

# The batch that appended a version `t`, as `v`: NULL for a row that load did not write.
LOADED_BY_BATCH = """
    LEFT JOIN LATERAL (
        SELECT r.batch, r.last_record FROM $version_range AS r
        WHERE r.table_name = $name AND r.first_record <= t.$record ORDER BY r.first_record DESC LIMIT 1
    ) AS v ON v.last_record >= t.$record
"""
ALIASES = ("a", "c", "d", "f", "h", "k", "last", "r", "s", "t", "u", "x")  # that statements give to rows with a key


@dataclass(frozen=True)
class TableSql:
    """The names of one warehouse table, quoted, as parts of a template."""

    table: sql.Fragment
    """The published table, with its schema."""
    name: sql.Fragment
    """The table's name as a string constant: what the control tables have in ``table_name``."""
    key: sql.Fragment
    """The columns of the natural key. ``$key_of_s`` has the alias ``s`` before each; ``$key_text_of_s`` is one text."""
    record: sql.Fragment
    """The column of the surrogate key, which numbers the versions; without versions, the first column of ``key``."""
    columns: sql.Fragment
    """The columns that transform fills, in the order of its files."""
    loaded_by_batch: sql.Fragment
    """A join to each version ``t`` of a fact: ``v.batch`` appended it; NULL for a row that load did not write."""
    control: dict[str, sql.Fragment]
    """The control tables by their names."""
    of_aliases: dict[str, sql.Fragment]
    """``key_of_s`` and ``key_text_of_s``, for each of ALIASES."""

    @classmethod
    def of(cls, schemas: SchemaNames, table: WarehouseTable) -> TableSql:
        """The names of ``table`` in ``warehouse``."""
        control = schemas.control_tables()
        name, record = sql.constant(table.name), sql.identifier(table.record or table.keys[0])
        return cls(
            table=schemas.table(table.name),
            name=name,
            key=sql.columns(table.keys),
            record=record,
            columns=sql.columns(table.column_names),
            loaded_by_batch=sql.compose(
                LOADED_BY_BATCH, version_range=control["version_range"], name=name, record=record
            ),
            control=control,
            of_aliases={
                **{f"key_of_{alias}": sql.columns(table.keys, of=alias) for alias in ALIASES},
                **{f"key_text_of_{alias}": key_text(table.keys, of=alias) for alias in ALIASES},
            },
        )

    @cached_property
    def parts(self) -> dict[str, sql.Fragment]:
        """All of them by their names: ``$table``, ``$key``, ``$ledger``, ..."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, sql.Fragment)}
        return {**self.control, **self.of_aliases, **own}


def key_text(keys: tuple[str, ...], of: str) -> sql.Fragment:
    """The key of the row ``of`` as one text, as the control tables have it: see ``shared.postgres_text``."""
    texts = [sql.compose("$column::text", column=sql.columns([name], of=of)) for name in keys]
    return texts[0] if len(texts) == 1 else sql.compose("jsonb_build_array($all)::text", all=sql.joined(", ", texts))


def content(table: WarehouseTable, of: str) -> sql.Fragment:
    """The columns of a row of ``table`` as versions are compared, each under its own name; ``of``: the row's alias.

    As text where PostgreSQL has no equality for the type, or takes different values for equal.
    """
    return sql.joined(
        ", ",
        [
            sql.compose(
                "$column::text AS $name" if _is_text(table, name) else "$column",
                column=sql.columns([name], of=of),
                name=sql.identifier(name),
            )
            for name in table.column_names
        ],
    )


def compared(table: WarehouseTable, of: str) -> sql.Fragment:
    """As ``content``, for a row constructor, which takes no names."""
    return sql.joined(
        ", ",
        [
            sql.compose("$column::text" if _is_text(table, name) else "$column", column=sql.columns([name], of=of))
            for name in table.column_names
        ],
    )


def _is_text(table: WarehouseTable, name: str) -> bool:
    return name not in table.keys and name in table.types and is_compared_as_text(table.types[name].type)
