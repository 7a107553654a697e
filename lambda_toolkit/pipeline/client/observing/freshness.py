"""How fresh the warehouse is against what is promised: what the function freshness found when it last compared.

The function has stored it in the warehouse (``lambdas/freshness``). Meanwhile time has passed: each table is behind by
the time since it was known to be fresh, at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client.observing.batches import iso
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.client.warehouses.reader import ReadsWarehouse
    from lambda_toolkit.pipeline.config.model import Pipeline

_READ = "SELECT source_table, first_seen, fresh_at, checked_at, state, problem FROM $freshness"
FRESH, LATE, UNKNOWN = "fresh", "late", "unknown"
FORGOTTEN = timedelta(minutes=15)  # after which a comparison is missed: three of its default schedule


@dataclass(frozen=True)
class Checked:
    """What is known of one table of the source."""

    table: str
    first_seen: datetime
    fresh_at: datetime | None
    """The warehouse has every change of it that was committed before; None: of no time yet."""
    checked_at: datetime
    state: str
    """What the last comparison found: ``unchanged``, ``changed`` or ``unknown``."""
    problem: str | None
    """Why it could not be compared."""

    def behind(self, now: datetime) -> float:
        """How old the oldest change is at most that the warehouse does not have, in seconds."""
        return max((now - (self.fresh_at or self.first_seen)).total_seconds(), 0.0)


def checked(warehouse: ReadsWarehouse) -> dict[str, Checked]:
    """What the last comparison found, by table; nothing before the first. Raises PipelineError."""
    rows = warehouse.rows(sql.compose(_READ, **LIVE.control_tables()))
    return {row[0]: Checked(*row) for row in rows}


def promises(pipeline: Pipeline) -> dict[str, timedelta]:
    """Source table -> how soon the warehouse shall have its changes, of those of which something is promised."""
    declared = parse(pipeline.document, parse_expression).promises()
    return {name: within for name, within in declared.items() if within is not None}


def document(found: Mapping[str, Checked], due: Mapping[str, timedelta], now: datetime) -> dict[str, Any]:
    """The freshness at the time ``now`` as JSON values: see ``docs/storage.md``. ``due``: what is promised."""
    tables = [_table(found.get(name), name, within, now) for name, within in sorted(due.items())]
    states = {table["state"] for table in tables}
    state = LATE if LATE in states else UNKNOWN if UNKNOWN in states or not tables else FRESH
    known = [of.fresh_at for name, of in found.items() if name in due and of.fresh_at]
    times = [of.checked_at for name, of in found.items() if name in due]
    behind = [table["seconds_behind"] for table in tables if table["seconds_behind"] is not None]
    return {
        "state": state,
        "fresh_at": iso(min(known)) if len(known) == len(due) and known else None,
        "checked_at": iso(min(times)) if times else None,
        "seconds_behind": max(behind, default=None),
        "fresh_within_seconds": min((table["fresh_within"] for table in tables), default=None),
        "tables": tables,
    }


def _table(found: Checked | None, name: str, within: timedelta, now: datetime) -> dict[str, Any]:
    promised = within.total_seconds()
    if found is None:
        return {
            "table": name,
            "state": UNKNOWN,
            "changed": None,
            "fresh_at": None,
            "seconds_behind": None,
            "fresh_within": promised,
            "problem": "it was not compared yet",
        }
    behind = found.behind(now)
    return {
        "table": name,
        "state": LATE if behind > promised else UNKNOWN if now - found.checked_at > FORGOTTEN else FRESH,
        "changed": None if found.state == "unknown" else found.state == "changed",
        "fresh_at": iso(found.fresh_at) if found.fresh_at else None,
        "seconds_behind": round(behind, 3),
        "fresh_within": promised,
        "problem": found.problem,
    }
