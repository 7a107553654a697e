"""What the statements of load run with: the connection, the warehouse and the lake; and the names of one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...shared.declarations import WarehouseTable
from ...shared.lake.store import Lake
from ...shared.postgres import sql
from ...shared.postgres.copy import Connection
from .schemas import SchemaNames

# The batch that appended a version `t`, as `v`: NULL for a row that load did not write.
_LOADED_BY_BATCH = """
    LEFT JOIN LATERAL (
        SELECT r.batch, r.last_record FROM $version_range AS r
        WHERE r.table_name = $name AND r.first_record <= t.$record ORDER BY r.first_record DESC LIMIT 1
    ) AS v ON v.last_record >= t.$record
"""


@dataclass(frozen=True)
class WarehouseSession:
    """One connection to one warehouse, and the lake that fills it."""

    connection: Connection
    schemas: SchemaNames
    lake: Lake

    def run(self, template: str, /, **parts: sql.Fragment) -> int:
        """Runs ``template`` (a constant) with its ``parts``; returns how many rows it wrote."""
        self.connection.run(sql.compose(template, **parts))
        return int(self.connection.row_count)

    def rows(self, template: str, /, **parts: sql.Fragment) -> list[list[Any]]:
        """The rows that ``template`` (a constant) returns with its ``parts``."""
        return self.connection.rows(sql.compose(template, **parts))

    def sql(self, table: WarehouseTable) -> TableSql:
        """The names of ``table`` in this warehouse."""
        return TableSql.of(self.schemas, table)


@dataclass(frozen=True)
class TableSql:
    """The names of one warehouse table, quoted, as parts of a template."""

    table: sql.Fragment
    """The published table, with its schema."""
    name: sql.Fragment
    """The table's name as a string constant: what the control tables have in ``table_name``."""
    key: sql.Fragment
    """The column of the natural key."""
    record: sql.Fragment
    """The column of a fact's surrogate key, which numbers the versions; of a dimension, its key."""
    columns: sql.Fragment
    """The columns that transform fills, in the order of its files."""
    loaded_by_batch: sql.Fragment
    """A join to each version ``t`` of a fact: ``v.batch`` appended it; NULL for a row that load did not write."""
    control: dict[str, sql.Fragment]
    """The control tables by their names."""

    @classmethod
    def of(cls, schemas: SchemaNames, table: WarehouseTable) -> TableSql:
        """The names of ``table`` in ``warehouse``."""
        control = schemas.control_tables()
        name, record = sql.constant(table.name), sql.identifier(table.record or table.key)
        return cls(
            table=schemas.table(table.name),
            name=name,
            key=sql.identifier(table.key),
            record=record,
            columns=sql.columns(table.column_names),
            loaded_by_batch=sql.compose(
                _LOADED_BY_BATCH, version_range=control["version_range"], name=name, record=record
            ),
            control=control,
        )

    @property
    def parts(self) -> dict[str, sql.Fragment]:
        """All of them by their names: ``$table``, ``$key``, ``$ledger``, ..."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, sql.Fragment)}
        return {**self.control, **own}
