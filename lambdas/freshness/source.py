"""What a comparison asks of the source: whether a table has changes that a loaded batch does not have.

It finds them by the same facts as extract, which transaction wrote a row, and shares no code with it: so that a defect
there cannot hide here. It reads no row, only whether there are some; plain SELECT rights are enough, on a primary or a
hot standby.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..shared.lake.manifest import SourceIdentity
from ..shared.model.declarations import SourceTable
from ..shared.postgres import sql
from ..shared.postgres.connection import Connection

XID_HORIZON = 2**31  # transactions, after which ids of 32 bits compare as newer
LOCK_TIMEOUT = 5  # seconds: a table that is being altered is compared the next time

_POSITION = """
    SELECT clock_timestamp(),
           -- A standby is as of the last commit that it replayed, unless it has replayed all that it receives.
           CASE WHEN NOT pg_is_in_recovery() THEN clock_timestamp()
                WHEN EXISTS (SELECT FROM pg_stat_wal_receiver) AND pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn()
                THEN clock_timestamp() ELSE pg_last_xact_replay_timestamp() END,
           (SELECT system_identifier::text FROM pg_control_system()),
           CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
                ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END,
           (SELECT oid::bigint FROM pg_database WHERE datname = current_database()),
           (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
           (SELECT coalesce(extract(epoch FROM stats_reset) * 1000000, 0)::bigint FROM pg_stat_bgwriter),
           pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
           pg_snapshot_xmax(pg_current_snapshot())::text::bigint
"""
_SIZES = """
    WITH RECURSIVE tree AS (
        SELECT wanted.name, c.oid
        FROM unnest(CAST(:names AS text[]), CAST(:schemas AS text[]), CAST(:relations AS text[]))
             AS wanted(name, schema, relation)
        JOIN pg_namespace AS n ON n.nspname = wanted.schema
        JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.relation
        UNION SELECT tree.name, i.inhrelid FROM tree JOIN pg_inherits AS i ON i.inhparent = tree.oid
    )
    SELECT name, coalesce(sum(pg_relation_size(oid)), 0)::bigint FROM tree GROUP BY name
"""
# Ids are compared by age(): https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND
_CHANGED = """
    SELECT EXISTS (
        SELECT FROM $table AS t
        WHERE age(t.xmin) <= (SELECT age(CAST($since AS xid8)::xid)) AND age(t.xmin) >= 0
        AND t.xmin::text::bigint <> ALL (CAST(:known AS bigint[]))
    )
"""
_CONTENT = """
    SELECT count(*) || ':' || mod(mod(coalesce(sum(
        ('x' || left(encode(sha256(convert_to(ROW(t.*)::text, 'UTF8')), 'hex'), 16))::bit(64)::bigint
    ), 0), CAST(2 AS numeric) ^ 64) + CAST(2 AS numeric) ^ 64, CAST(2 AS numeric) ^ 64)::numeric(20, 0)
    FROM $table AS t
"""


@dataclass(frozen=True)
class Position:
    """Where the source is."""

    clock: datetime
    """Its time."""
    as_of: datetime | None
    """Every change committed before is visible; None: a standby that has replayed no commit yet."""
    server: tuple[str, int, int, int, int]
    """What makes it this server: see ``server_of``."""
    xmin: int
    xmax: int

    def continues(self, stored: SourceIdentity) -> bool:
        """Whether rows written since ``stored`` can be found by their transactions: it is the same server, no copy."""
        is_same = self.server == server_of(stored)
        return is_same and stored.snapshot_xmin <= self.xmin and self.xmax - stored.snapshot_xmin < XID_HORIZON


def server_of(stored: SourceIdentity) -> tuple[str, int, int, int, int]:
    """The server that a batch was read from. Another start, or new statistics, may mean a restored copy, or a crash."""
    return (stored.system_identifier, stored.timeline, stored.database_oid, stored.started, stored.statistics_reset)


class ComparedSource:
    """A PostgreSQL source. Every method raises DatabaseError for what the server refuses."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def limit(self, seconds: float) -> None:
        """Lets no statement take longer."""
        self._connection.run(f"SET statement_timeout = {max(int(seconds * 1000), 1)}")
        self._connection.run(f"SET lock_timeout = '{LOCK_TIMEOUT}s'")

    def position(self) -> Position:
        """Where the source is now."""
        clock, as_of, system, timeline, oid, started, reset, xmin, xmax = self._connection.rows(_POSITION)[0]
        return Position(clock, as_of, (system, int(timeline), oid, started, reset), int(xmin), int(xmax))

    def sizes(self, tables: Collection[SourceTable]) -> Mapping[str, int]:
        """The bytes that the rows of each of ``tables`` take, partitions included; a view's take none."""
        found = self._connection.rows(
            _SIZES,
            names=[table.name for table in tables],
            schemas=[table.schema for table in tables],
            relations=[table.relation for table in tables],
        )
        return {name: int(size) for name, size in found}

    def has_changes(self, table: SourceTable, since: int, known: Sequence[int]) -> bool:
        """Whether a row was written by a transaction unfinished at the xmin ``since``, and not one of ``known``."""
        statement = sql.compose(_CHANGED, table=table.sql_name, since=sql.constant(str(since)))
        return bool(self._connection.rows(statement, known=list(known))[0][0])

    def count(self, table: SourceTable) -> int:
        """How many rows the table has."""
        return int(self._connection.rows(sql.compose("SELECT count(*) FROM $table", table=table.sql_name))[0][0])

    def has_rows(self, table: SourceTable) -> bool:
        """Whether the table has a row."""
        return bool(
            self._connection.rows(sql.compose("SELECT EXISTS (SELECT FROM $table)", table=table.sql_name))[0][0]
        )

    def content(self, table: SourceTable) -> str:
        """The digest of all rows, as a manifest has it."""
        return str(self._connection.rows(sql.compose(_CONTENT, table=table.sql_name))[0][0])
