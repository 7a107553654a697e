"""Captures the changes of a table: rows found by the transaction that wrote them, each reported once, and deletes."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from ...shared.model.declarations import NEVER
from ..readers.coordinating import ReadAloneError, read_by_readers
from ..readers.fan_out import ALONE
from ..row_set import ALL
from ..source.interface import RowCounts
from ..table_plan import Backfill, Captured, CaptureMode, CaptureRun, FullRead, Incremental, TablePlan
from .backfill import capture_backfill
from .by_content import capture_by_content
from .change_file import ChangeFile
from .deletes import with_deletes


def capture(run: CaptureRun, plan: TablePlan, counts: RowCounts) -> Captured:
    """Reads the changes of one table. Rows are uploaded while they arrive; no batch has them yet.

    ``counts``: of the table's rows, with ``plan.changed`` selected. Raises SourceError for rows that appear although no
    transaction wrote them since the last batch.
    """
    if plan.by_content:
        return capture_by_content(run, plan)
    if counts.total is None and plan.new_rows(counts) > 0:
        counts = run.count(plan, plan.changed)  # whether they fit into a batch depends on the size of a row
    mode = plan.mode(counts, run.budget)
    with ChangeFile(run, plan) as changes:
        captured, why = None, ""
        if run.fan_out is not None and plan.begins_ranges(mode):
            try:
                captured = _capture_by_readers(run, plan, counts)
            except ReadAloneError as error:
                why = f"{ALONE}{error}"
        if captured is None:
            captured = replace(_capture_in_mode(mode, run, plan, counts, changes), fan_out=why)
        return with_deletes(run, plan, mode, captured, changes, counts.total)


def _capture_in_mode(
    mode: CaptureMode, run: CaptureRun, plan: TablePlan, counts: RowCounts, changes: ChangeFile
) -> Captured:
    """Captures rows, not deletes, as ``mode`` says.

    A function of its own: of a ``match`` inside ``with``, CPython 3.11.2 and 3.11.7 write different line tables.
    """
    match mode:
        case FullRead():
            return _capture_full(plan, counts, changes)
        case Incremental():
            return _capture_incremental(mode, plan, counts, changes)
        case Backfill():
            return capture_backfill(mode, run, plan, counts, changes)
        case _:
            assert_never(mode)


def _capture_full(plan: TablePlan, counts: RowCounts, changes: ChangeFile) -> Captured:
    """Reads every row in one query."""
    if counts.total:
        changes.read(ALL, keep_keys=plan.table.deletes != NEVER)  # deletes are found without reading them again
    return Captured(
        changes=changes.store(),
        keys=tuple(plan.before.keys),
        keys_since_compare=tuple(plan.before.keys_since_compare),
        compared_at=plan.before.compared_at,
        in_flight=changes.in_flight(),
        changed_rows=ALL,
        state_changed=plan.before.backfill is not None,
    )


def _capture_by_readers(run: CaptureRun, plan: TablePlan, counts: RowCounts) -> Captured:
    """What readers read, as if one query had. Raises ReadAloneError where they did not."""
    rows, total = ALL if plan.full_refresh else plan.since, counts.total or 0
    parts = read_by_readers(run, plan, rows, total if plan.full_refresh else counts.selected, total)
    return Captured(
        changes=parts.changes[0] if parts.changes else None,
        more_changes=parts.changes[1:],
        keys=tuple(plan.before.keys),
        keys_since_compare=(*plan.before.keys_since_compare, *parts.changes),
        compared_at=plan.before.compared_at,
        in_flight=parts.in_flight,
        changed_rows=rows,
        state_changed=plan.full_refresh,  # so that all keys are compared, as at the end of a backfill
        fan_out=parts.note,
    )


def _capture_incremental(mode: Incremental, plan: TablePlan, counts: RowCounts, changes: ChangeFile) -> Captured:
    """Reads the rows written since the last batch in one query. Their file has the keys to look up deletes."""
    if counts.selected:
        changes.read(mode.since)
    changed = changes.store()
    return Captured(
        changes=changed,
        keys=tuple(plan.before.keys),
        keys_since_compare=(*plan.before.keys_since_compare, *([changed] if changed else ())),
        compared_at=plan.before.compared_at,
        in_flight=changes.in_flight(),
        changed_rows=mode.since,
    )
