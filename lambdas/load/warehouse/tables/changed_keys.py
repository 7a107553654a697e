"""The keys of which the warehouse, as of a batch, differs from a revision of that batch."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from ....shared.model.declarations import WarehouseTable
from ....shared.postgres import sql
from ..session import WarehouseSession, stage_deleted_keys, stage_rows, temporary
from ..table_sql import compared
from . import validity

# The pending rows of the batch count as changed: in the revision they may be others.
_PENDING_KEYS = """
    INSERT INTO $changed
    SELECT DISTINCT $key_of_s FROM $pending_row AS p, jsonb_populate_record(NULL::$table, p.content) AS s
    WHERE p.table_name = $name AND p.batch = $batch
"""
_DELETED_KEYS = """
    INSERT INTO $changed SELECT $key_of_s FROM $deleted AS s WHERE NOT EXISTS (
        SELECT FROM $deletion AS d WHERE d.table_name = $name AND d.key = $key_text_of_s
        AND d.batch <= $batch AND (d.undeleted_batch IS NULL OR d.undeleted_batch > $batch)
    )
"""


def stage_changed_keys(
    session: WarehouseSession,
    table: WarehouseTable,
    changed: sql.Fragment,
    rows: Iterable[pa.Table],
    deleted: Iterable[pa.Table] | None,
    batch: int,
) -> bool:
    """Creates the temporary table ``changed`` with these keys; returns whether there are any.

    ``rows``: the revision's rows, Arrow tables with the columns of ``table``. ``deleted``: the keys that it deletes,
    Arrow tables with the fields ``table.keys``.
    """
    parts = {
        **session.sql(table).parts,
        "staging": stage_rows(session, table, table.column_names, f"staging_{table.name}", rows),
        "changed": changed,
        "as_of": temporary(f"as_of_{table.name}"),
        "batch": sql.number(batch),
        "staged": compared(table, of="s"),
        "present": compared(table, of="a"),
    }
    session.kind_of(table).stage_changed_keys(session, parts)
    validity.follow_in_batch(session, table, sql.number(batch))
    session.run(_PENDING_KEYS, **parts)
    if deleted is not None:
        session.run(_DELETED_KEYS, **parts, deleted=stage_deleted_keys(session, table, deleted))
    return bool(session.rows("SELECT EXISTS (SELECT FROM $changed)", changed=changed)[0][0])
