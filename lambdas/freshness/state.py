"""What the warehouse knows of its freshness: the last loaded batch, and what the last comparison found of each table.

It is kept there, and not with the function, as it is true of that warehouse alone: one that is restored from a backup
is as fresh as it was then, and says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from pg8000.exceptions import DatabaseError

from ..shared.errors import NotPreparedError
from ..shared.messages.freshness_events import UNKNOWN
from ..shared.postgres import sql
from ..shared.postgres.connection import Connection, transaction
from ..shared.postgres.server_errors import sqlstate

_CONTROL = "pipeline"  # the schema of the live warehouse's control tables, which `prepare` creates
_TABLES = {"freshness": sql.table("freshness", _CONTROL), "ledger": sql.table("ledger", _CONTROL)}
_NO_TABLE = "42P01"  # SQLSTATE: a table of a schema that is missing is missing, too
_LAST = "SELECT batch, extracted_at FROM $ledger ORDER BY batch DESC LIMIT 1"
_READ = "SELECT source_table, first_seen, fresh_at, state, batch, problem FROM $freshness"
_INSERT = """
    INSERT INTO $freshness (source_table, first_seen, fresh_at, checked_at, state, batch, problem)
    VALUES (:table, :first_seen, :fresh_at, :checked_at, :state, :batch, :problem)
"""
_ON_CONFLICT = """
    ON CONFLICT (source_table) DO UPDATE SET fresh_at = excluded.fresh_at, checked_at = excluded.checked_at,
        state = excluded.state, batch = excluded.batch, problem = excluded.problem
"""
_DELETE = "DELETE FROM $freshness WHERE source_table = :table"  # without a unique key, as in a DuckDB file
_FORGET = "DELETE FROM $freshness WHERE source_table <> ALL (CAST(:tables AS text[]))"


@dataclass(frozen=True)
class LoadedBatch:
    """The last batch in the warehouse."""

    number: int
    extracted_at: datetime


@dataclass(frozen=True)
class Known:
    """What is known of one table of the source."""

    first_seen: datetime
    """When it was first compared: of a table that was never loaded, changes are that old at most."""
    fresh_at: datetime | None = None
    """The warehouse has every change that was committed before; None: of no time yet."""
    state: str = UNKNOWN
    """What the last comparison found."""
    batch: int | None = None
    """The last loaded batch then; None: there was none."""
    problem: str | None = None
    """Why it could not be compared."""

    @property
    def complete_at(self) -> datetime:
        """No change committed before is missing, as far as one can know."""
        return self.fresh_at or self.first_seen


def read(warehouse: Connection) -> tuple[LoadedBatch | None, dict[str, Known]]:
    """The last loaded batch, and what is known of each table. Raises NotPreparedError."""
    try:
        last = warehouse.rows(sql.compose(_LAST, ledger=_TABLES["ledger"]))
        rows = warehouse.rows(sql.compose(_READ, freshness=_TABLES["freshness"]))
    except DatabaseError as error:
        if sqlstate(error) == _NO_TABLE:
            raise NotPreparedError(
                f"The warehouse is not prepared: it lacks {_CONTROL}.ledger or {_CONTROL}.freshness."
            ) from error
        raise
    return LoadedBatch(int(last[0][0]), last[0][1]) if last else None, {name: Known(*of) for name, *of in rows}


def write(warehouse: Connection, known: Mapping[str, Known], at: datetime, declared: Collection[str]) -> None:
    """Stores what is known of each table at the time ``at``, and forgets tables that are not ``declared`` any more."""
    with transaction(warehouse):
        warehouse.run(sql.compose(_FORGET, freshness=_TABLES["freshness"]), tables=list(declared))
        for name, of in known.items():
            if warehouse.is_duckdb:
                warehouse.run(sql.compose(_DELETE, freshness=_TABLES["freshness"]), table=name)
            warehouse.run(
                sql.compose(_INSERT if warehouse.is_duckdb else _INSERT + _ON_CONFLICT, freshness=_TABLES["freshness"]),
                table=name,
                first_seen=of.first_seen,
                fresh_at=of.fresh_at,
                checked_at=at,
                state=of.state,
                batch=of.batch,
                problem=of.problem,
            )
