"""What the source's catalog means for the declarations and for the last batch: problems and notes, as sentences."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lambda_toolkit.pipeline.lambdas.extract.limits import DEFAULT_LIMITS
from lambda_toolkit.pipeline.lambdas.extract.source.schema_drift import drift, unmet_needs
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations, SourceTable
from lambda_toolkit.pipeline.lambdas.shared.postgres.sql import SCHEMA
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Table, listed

Columns = Mapping[str, Mapping[str, str]]
"""Table -> column -> its PostgreSQL type."""

# Of a Lambda function of 1 GB, which has 0.6 of a processor; on a whole one the three functions together do twice that:
# python -m benchmarks.main_job
_ROWS_PER_SECOND = 60_000
_MINUTE = 60


@dataclass(frozen=True)
class FirstLoad:
    """What the first load of every declared table takes, estimated."""

    rows: int
    """By the planner's statistics."""
    not_analyzed: tuple[str, ...]
    """The tables that have no statistics, and are not counted."""

    @property
    def batches(self) -> int:
        """How many batches it is divided into, at least."""
        return max(1, math.ceil(self.rows / DEFAULT_LIMITS.rows))

    @property
    def minutes(self) -> int:
        """How many minutes the three functions work, rounded up."""
        return max(1, math.ceil(self.rows / _ROWS_PER_SECOND / _MINUTE))

    def __str__(self) -> str:
        """A sentence without its period."""
        batches = "1 batch" if self.batches == 1 else f"{self.batches:,} batches"
        minutes = "1 minute" if self.minutes == 1 else f"{self.minutes:,} minutes"
        unknown = f", and those of {listed(self.not_analyzed)}, which were never analyzed" if self.not_analyzed else ""
        return f"the first load has about {self.rows:,} rows{unknown}: {batches}, and about {minutes} of work"


Catalogs = Mapping[str, Catalog]
"""Schema -> its catalog, of each schema that has a declared table, and of ``public``."""


def first_load(declared: Declarations, catalogs: Catalogs) -> FirstLoad:
    """The estimate for the declared tables that ``catalogs`` have."""
    found = [(name, table) for name, source in declared.source.items() if (table := _table(source, catalogs))]
    unknown = tuple(name for name, table in found if table.estimated_rows is None)
    return FirstLoad(sum(table.estimated_rows or 0 for _, table in found), unknown)


def problems(declared: Declarations, catalogs: Catalogs, before: Columns) -> Iterator[str]:
    """Why the next extract would refuse the declared tables; their keys excepted. ``before``: at the last batch."""
    needed = declared.needed_columns()
    for source in declared.source.values():
        table = _table(source, catalogs)
        if table is None:
            yield (
                f"The source has no table {_place(source)}, which [source.{source.name}] declares."
                f"{_near(source, catalogs)}"
            )
            continue
        yield from _unreadable(source, table)
        columns, previous = _columns(table), before.get(source.name, {})
        for need in unmet_needs(source.name, columns, needed[source.name], previous):
            yield f"{need.problem} {need.remedy}"


def notes(declared: Declarations, catalogs: Catalogs, before: Columns) -> Iterator[str]:
    """What changed in the source since the last batch, and which of its tables are not declared."""
    for name, source in declared.source.items():
        table = _table(source, catalogs)
        if table is not None and name in before:
            yield from (line.rstrip(".") for line in drift(name, _columns(table), before[name]))
    for schema, catalog in catalogs.items():
        known = {source.relation for source in declared.source.values() if source.schema == schema}
        undeclared = [table.name for table in catalog.readable if table.name not in known]
        if undeclared:
            where = "" if schema == SCHEMA else f" in the schema {schema}"
            yield f"the source also has {listed(undeclared)}{where}, which no [source.<table>] declares"


def _table(source: SourceTable, catalogs: Catalogs) -> Table | None:
    return catalogs[source.schema].by_name.get(source.relation)


def _place(source: SourceTable) -> str:
    return source.relation if source.schema == SCHEMA else f"{source.schema}.{source.relation}"


def _columns(table: Table) -> dict[str, str]:
    return {column.name: column.base_type for column in table.columns}


def _unreadable(source: SourceTable, table: Table) -> Iterator[str]:
    columns = [column.name for column in table.columns if not column.readable]
    if columns:
        what = f"the columns {listed(columns)} of it" if len(columns) < len(table.columns) else "it"
        yield f"The source table {source.name}: this user may not read {what}. GRANT SELECT ON it."
    if not source.by_content and table.kind_obstacle is not None:
        yield f"The source table {source.name}: {table.kind_obstacle}"


def _near(source: SourceTable, catalogs: Catalogs) -> str:
    catalog = catalogs[source.schema]
    near = difflib.get_close_matches(source.relation, catalog.by_name)
    if near:
        return f" Is {near[0]} meant?"
    others = list(catalog.other_schemas)
    known = f", and the database also has {listed(others)}: name one as `schema`" if others else ""
    return f" It is looked for in the schema {source.schema}{known}."
