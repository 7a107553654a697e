"""Why rows are read again that no transaction has written since the last batch: all of the source, or of one table."""

from __future__ import annotations

from collections.abc import Collection

from ...shared.lake.manifest import SourceIdentity, TableFiles
from ...shared.model.declarations import SourceTable
from .catalog import TableInfo
from .interface import SourceSnapshot
from .snapshot import Snapshot


def full_refresh_reason(previous: SourceIdentity | None, now: Snapshot) -> str | None:
    """Why every row must be read again; None when the rows written since ``previous`` are enough."""
    if previous is None:
        return "this is the first run"
    if previous.system_identifier != now.identity.system_identifier:
        return "the source is another server"
    if previous.timeline != now.identity.timeline:
        return "the source was restored, or a standby was promoted"
    if previous.database != now.identity.database:
        return "the source is another database"
    if previous.database_oid != now.identity.database_oid:
        return "the source's database was replaced by another of its name"
    if previous.snapshot_xmin > now.identity.snapshot_xmin:
        return "the source's transaction ids run backwards"
    if not now.is_within_horizon(previous.snapshot_xmin):
        return "more than 2^31 transactions have passed"
    if previous.started != now.identity.started:
        # A server restored from a copy of its disk has the same identifier and timeline, and its transaction ids may
        # have passed the recorded ones. Only its new start time shows that.
        return "the source's server was restarted: it may have been restored from a copy of its disk"
    if previous.wal_position > now.identity.wal_position:
        return "the source's write-ahead log runs backwards"
    if previous.statistics_reset != now.identity.statistics_reset:
        # Only shared memory was lost, and with it the log of transactions that committed without waiting for the disk
        # (https://www.postgresql.org/docs/current/wal-async-commit.html). Their ids are used again.
        return "the source's server recovered from a crash: it may have lost commits that an earlier run saw"
    return None


def shows_the_same(previous: SourceIdentity | None, now: Snapshot) -> bool:
    """Whether the rows that ``now`` sees are those that ``previous`` saw: no transaction has ended in between.

    Each transaction that writes has an id, and xmax is beyond every one that has ended. So where xmax is the same, only
    a transaction below it could have committed since, and where xmin was xmax, none below it was unfinished: two
    savepoints of one transaction, or ids given out of order, change nothing of that. A transaction that had its id, and
    has ended since, moved xmax. On a standby nothing is concluded: its snapshots are made of what the primary logged,
    and list no transaction (https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT).
    """
    if previous is None or now.is_standby or full_refresh_reason(previous, now) is not None:
        return False
    return previous.snapshot_xmin == previous.snapshot_xmax == now.identity.snapshot_xmin == now.xmax


def can_be_continued(
    files: TableFiles | None,
    table: SourceTable,
    info: TableInfo,
    fingerprint: str,
    needed: Collection[str],
    snapshot: SourceSnapshot,
) -> bool:
    """Whether the rows written since the last batch are enough of one table. ``files``: what that batch has of it.

    ``fingerprint``: of the declarations, and ``needed``: the columns that they read.
    """
    return (
        files is not None
        and set(needed) <= set(files.columns)
        and not _is_another(files, info, fingerprint)
        and not _shows_other_values(files, info)
        and files.by_content == (table.by_content or info.row_security)
        and not _is_out_of_reach(files, snapshot)
    )


def _is_another(files: TableFiles, info: TableInfo, fingerprint: str) -> bool:
    """Whether the table, or what the declarations read of it, is another than the last batch's.

    A table recreated under the same name has rows written before it had the name; a changed declaration needs rows
    again that no transaction has written since.
    """
    return tuple(files.relation_oids) != info.relation_oids or files.declaration_fingerprint != fingerprint


def _shows_other_values(files: TableFiles, info: TableInfo) -> bool:
    """Whether rows that no transaction has written since the last batch may have other values by a change of the
    catalog alone: of a column that the batch has, or of the label of an enum.

    A column or a label that is new changes no value that the batch has.
    """
    identities = {column.name: column.identity for column in info.columns}
    return any(identities.get(name, known) != known for name, known in files.column_identities.items()) or any(
        info.enum_labels.get(oid, known) != known for oid, known in files.enum_labels.items()
    )


def _is_out_of_reach(files: TableFiles, snapshot: SourceSnapshot) -> bool:
    """Whether the rows that remain of a backfill were written too long ago to be found by their age."""
    xmins = (files.backfill.since_xmin, files.backfill.unchanged_xmin) if files.backfill else ()
    return any(xmin is not None and not snapshot.is_within_horizon(xmin) for xmin in xmins)
