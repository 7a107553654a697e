"""A snapshot that several connections share, and how a table is divided among them.

One transaction exports its snapshot, and others import it while that one is open
(https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION). Ranges that are read
in snapshots of their own lose rows, and have others twice: an update moves a row to another place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal, localcontext

import pyarrow as pa
import pyarrow.compute as pc
from pg8000.exceptions import DatabaseError, InterfaceError

from ...shared.errors import SourceError
from ...shared.messages.read_events import SharedSnapshot
from ...shared.postgres import free_connections as left
from ...shared.postgres import sql
from ...shared.postgres.connection import Connection, transaction
from ...shared.postgres.server_errors import message, sqlstate
from ..row_set import StoredBetween
from .catalog import Column, TableInfo
from .snapshot import BEGIN, Snapshot, current, set_for_transaction

OLDEST_SERVER = 140000  # server_version_num: older servers read the whole table for each range of ctids
MOST_PER_PAGE = 1000  # places of a page that ranges tell apart: more than a page of 8 kB has rows
_OWN_LIMITS: Mapping[str, str] = {
    # Whoever waits for an exclusive lock of the table is before a reader in the queue, and behind extract, which waits
    # for the reader: PostgreSQL sees no deadlock there.
    "lock_timeout": "10s",
    # The rows of a range always come in the same order: the files of two readings are the same.
    "synchronize_seqscans": "off",
    "max_parallel_workers_per_gather": "0",
}
_MODULUS = 2**64
_SUMMED_DIGITS = 20  # the most of a decimal: the sum of 10^18 of them is a decimal128
_POSITION_FIELDS = ("wal_position",)  # of the identity: what moves on while a snapshot stays
_EXPORT = "SELECT pg_export_snapshot(), pg_current_snapshot()::text"
_VISIBLE = "SELECT pg_current_snapshot()::text"


class SnapshotRefusedError(SourceError):
    """A snapshot cannot be shared: it does not exist here, or this is another server, or another snapshot."""


class SnapshotLostError(SourceError):
    """The transaction that exported a snapshot has ended, or is of no use any more: nothing read in it counts."""


def export(connection: Connection, taken: Snapshot) -> SharedSnapshot:
    """Exports the snapshot ``taken`` of the transaction of ``connection``. Raises SnapshotLostError where that fails:
    an error ends the transaction.
    """
    with _losing(connection):
        name, visible = connection.rows(_EXPORT)[0]
    return SharedSnapshot(name, visible, asdict(taken.identity))


def check(connection: Connection, shared: SharedSnapshot) -> None:
    """Asks the server in the transaction that exported ``shared``, which keeps that from being ended as idle.

    Raises SnapshotLostError where it has another snapshot, or has ended.
    """
    with _losing(connection):
        visible = connection.rows(_VISIBLE)[0][0]
    if visible != shared.visible:
        raise SnapshotLostError(
            f"The transaction on {connection.server} that exported a snapshot is another one now: a pooler between has "
            "given its connection to another client. Nothing was extracted with it."
        )


@contextmanager
def _losing(connection: Connection) -> Iterator[None]:
    """Raises SnapshotLostError for whatever ends the transaction of ``connection``."""
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        why = message(error) if isinstance(error, DatabaseError) else str(error)
        raise SnapshotLostError(f"The snapshot that was shared on {connection.server} is lost: {why}.") from error


@contextmanager
def imported(connection: Connection, shared: SharedSnapshot) -> Iterator[Snapshot]:
    """A transaction that sees what the one sees that exported ``shared``, with the settings of every session.

    The settings are those of the transaction, as a pooler may give each transaction another session. Raises
    SnapshotRefusedError where the snapshot cannot be imported, and where it, or the server, turns out to be another.
    """
    with transaction(connection, BEGIN):
        try:
            connection.run(sql.compose("SET TRANSACTION SNAPSHOT $name", name=sql.constant(shared.name)))
        except DatabaseError as error:
            raise SnapshotRefusedError(
                f"{connection.server} refuses the snapshot {shared.name} ({message(error)}, SQLSTATE "
                f"{sqlstate(error)}): the transaction that exported it has ended, or is on another server."
            ) from error
        set_for_transaction(connection, _OWN_LIMITS)
        taken, visible = current(connection), connection.rows(_VISIBLE)[0][0]
        own, theirs = asdict(taken.identity), dict(shared.source)
        other = sorted(name for name in own if own[name] != theirs.get(name) and name not in _POSITION_FIELDS)
        if other or visible != shared.visible:
            raise SnapshotRefusedError(
                f"{connection.server} shows another snapshot than the one that was shared: "
                f"{', '.join(other) or 'its transactions'} differ. Does a pooler stand before several servers?"
            )
        yield taken


def free_connections(connection: Connection) -> int:
    """How many connections the server has left for this user and this database; 0 where it is too old for ranges."""
    with _losing(connection):
        version = int(connection.rows("SELECT current_setting('server_version_num')")[0][0])
        return left.free_connections(connection) if version >= OLDEST_SERVER else 0


def pages(connection: Connection, table: TableInfo) -> int:
    """The pages of the table; of a partitioned one, those of its largest partition."""
    with _losing(connection):
        found = connection.rows(
            "SELECT coalesce(max(pg_relation_size(CAST(o.oid AS oid))), 0)::bigint"
            " / current_setting('block_size')::bigint FROM unnest(CAST(:oids AS bigint[])) AS o(oid)",
            oids=list(table.relation_oids),
        )
    return int(found[0][0])


def ranges(page_count: int, rows: int, count: int) -> list[StoredBetween]:
    """About ``count`` ranges that follow each other, which have every row of a table of so many pages and ``rows``.

    The first has no beginning and the last no end: whatever the numbers are, no row is in none of them, nor in two.
    """
    per_page = min(max(1, math.ceil(rows / max(page_count, 1))), MOST_PER_PAGE)
    places = page_count * per_page
    step = max(1, math.ceil(places / max(count, 1)))
    bounds = [f"({place // per_page},{place % per_page})" for place in range(step, places, step)]
    edges = [None, *bounds, None]
    return [StoredBetween(first, end) for first, end in itertools.pairwise(edges)]


def summed_columns(table: TableInfo) -> tuple[Column, ...]:
    """The columns of which sums are compared: integers and decimals."""
    return tuple(column for column in table.columns if _is_summed(column.arrow))


def _is_summed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or (pa.types.is_decimal128(kind) and kind.precision <= _SUMMED_DIGITS))


class Sums:
    """The number of rows, and the sums of their columns: of what a reader reads."""

    def __init__(self, table: TableInfo) -> None:
        self.rows = 0
        self._sums = {column.name: 0 for column in summed_columns(table)}

    def add(self, rows: pa.Table) -> None:
        """Adds the values of ``rows``."""
        self.rows += rows.num_rows
        for place, name in enumerate(rows.column_names):
            if name in self._sums:
                found = pc.sum(rows.column(place)).as_py()
                self._sums[name] = (self._sums[name] + _units(found, rows.column(place).type)) % _MODULUS

    @property
    def sums(self) -> dict[str, int]:
        """Column -> sum, modulo 2^64; of decimals, in units of their last digit."""
        return dict(self._sums)


def _units(value: int | Decimal | None, kind: pa.DataType) -> int:
    if isinstance(value, Decimal):
        with localcontext(prec=60):
            return int(value.scaleb(kind.scale))
    return value or 0


def source_sums(connection: Connection, table: TableInfo, condition: sql.Fragment) -> tuple[int, dict[str, int]]:
    """The number of rows ``t`` that meet ``condition``, and the sums of their columns as ``Sums`` has them."""
    columns = summed_columns(table)
    wanted = [sql.Fragment("count(*)")]
    for column in columns:
        value, representable = sql.columns([column.name], of="t"), column.representable_condition()
        if representable is None:
            wanted.append(sql.compose("sum($c)::text", c=value))
        else:
            wanted.append(sql.compose("(sum($c) FILTER (WHERE $only))::text", c=value, only=representable))
    query = sql.compose(
        "SELECT $wanted FROM $table AS t WHERE $condition",
        wanted=sql.joined(", ", wanted),
        table=table.sql_name,
        condition=condition,
    )
    with _losing(connection):
        count, *found = connection.run_as_it_is(query)[0]
    sums = {
        column.name: 0
        if text is None
        else _units(Decimal(text), column.arrow) % _MODULUS
        if pa.types.is_decimal(column.arrow)
        else int(text) % _MODULUS
        for column, text in zip(columns, found, strict=True)
    }
    return int(count), sums
