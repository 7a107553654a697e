"""The context of a batch: the rows that have not changed, and that the joins of changed rows need.

A warehouse table is made of the rows of its source, and of the rows that these refer to, along paths of joins. A change
at any place of a path reaches the rows that depend on it, upward by semi-joins in the source; and all rows along their
paths, and along those of the changed rows, are looked up, downward. All of it in the snapshot of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..shared.lake.manifest import DataFile
from ..shared.lake.parquet import ParquetPart
from ..shared.model.declarations import Declarations, WarehouseTable
from .capture.change_file import upload
from .row_set import NONE, Dangling, ReferencedBy, Referencing, RowSet, intersection, union
from .source.reader import lake_schema
from .table_plan import Captured, CaptureRun, Complete, TablePlan


@dataclass(frozen=True)
class Context:
    """What a batch has beside its changes, by source table."""

    reached: Mapping[str, DataFile]
    """The rows that are transformed again, as something along their paths has changed; where nothing is made of the
    table with joins, its rows that are looked up."""
    looked_up: Mapping[str, DataFile]
    """The rows that are only looked up, of tables whose rows may be transformed again."""
    captured: Mapping[str, Captured]
    """What was captured. A table of which more rows are reached than a batch may have is read again, in ranges."""


def read_context(
    run: CaptureRun, declarations: Declarations, plans: Mapping[str, TablePlan], captured: Mapping[str, Captured]
) -> Context:
    """Reads and stores the context of what was captured."""
    captured = dict(captured)
    active = {name for name, found in captured.items() if found.changes or found.deleted}
    tables = [
        table for table in declarations.warehouse.values() if table.joins and active.intersection(table.source_tables)
    ]
    again = {table.source for table in declarations.warehouse.values() if table.joins}
    affected: dict[str, RowSet] = {}
    files: dict[str, DataFile] = {}
    for name in dict.fromkeys(str(table.source) for table in tables):
        made = [rows for table in tables if table.source == name for rows in reached_rows(table, captured)]
        file, is_complete = _file(run, plans[name], captured[name], union(*made), "context", run.budget.limits.rows)
        if not is_complete:
            captured[name] = replace(captured[name], state=run.reading_again(captured[name].state), state_changed=True)
        elif file is not None:
            files[name] = file
        own = (captured[name].changed_rows, captured[name].reread_rows)
        affected[name] = union(*own, *(made if is_complete else ()))
    needed: dict[str, list[RowSet]] = {}
    for table in tables:
        for name, rows in looked_up_rows(table, affected[str(table.source)]):
            needed.setdefault(name, []).append(rows)
    looked_up: dict[str, DataFile] = {}
    for name, parts in needed.items():
        kind, into = ("lookups", looked_up) if name in again else ("context", files)
        file, _ = _file(run, plans[name], captured[name], union(*parts), kind)
        if file is not None:
            into[name] = file
    return Context(files, looked_up, captured)


def reached_rows(table: WarehouseTable, captured: Mapping[str, Captured]) -> list[RowSet]:
    """The rows of the source of ``table`` from which a path leads to a change, of those captured until now.

    All others will be read later, as changes.
    """
    own = captured[str(table.source)].captured_rows
    return [intersection(own, rows) for rows in _referring(table, None, captured)]


def _referring(table: WarehouseTable, alias: str | None, captured: Mapping[str, Captured]) -> list[RowSet]:
    """The rows at ``alias`` that refer to a row at another which has changed, was deleted, or refers to such a row."""
    found: list[RowSet] = []
    for name, join in table.joins.items():
        if join.parent != alias:
            continue
        rows = union(_changed(captured[join.table]), *_referring(table, name, captured))
        found.append(Referencing(join.on, join.table, rows))
        if captured[join.table].deleted:
            found.append(Dangling(join.on, join.table))
    return found


def _changed(found: Captured) -> RowSet:
    """The rows that a batch has as changes; those that were only read once more are known to every reader already."""
    return found.changed_rows if found.changes else NONE


def looked_up_rows(table: WarehouseTable, rows: RowSet) -> list[tuple[str, RowSet]]:
    """Source tables, and the rows of them that ``rows`` of the source of ``table`` refer to, along all paths."""
    at: dict[str | None, tuple[str, RowSet]] = {None: (str(table.source), rows)}
    for name, join in table.joins.items():
        of, referring = at[join.parent]
        at[name] = (join.table, ReferencedBy(of, join.on, referring))
    return [at[name] for name in table.joins]


def _file(
    run: CaptureRun, plan: TablePlan, found: Captured, rows: RowSet, kind: str, limit: int | None = None
) -> tuple[DataFile | None, bool]:
    """The file of ``rows``, with ``lake_schema`` as its schema, None where there are none; and whether it has all.

    ``limit``: of rows, beyond which nothing is stored, unless the table is compared by content, where rows are not read
    again that have not changed.
    """
    if rows == NONE or (plan.full_refresh and isinstance(found.state, Complete) and not plan.by_content):
        return None, True  # every row of it is among the changes
    bound = None if plan.by_content else limit
    with ParquetPart(lake_schema(plan.info.columns)) as part:
        run.snapshot.related(plan.info, rows, part.write, None if bound is None else bound + 1)
        if bound is not None and part.rows > bound:
            return None, False
        return upload(run.lake, part, f"{run.prefix(plan.name)}.{kind}.parquet"), True
