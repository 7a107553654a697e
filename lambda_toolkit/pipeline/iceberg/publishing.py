"""Publishes the warehouse as Iceberg tables: facts batch by batch, other tables as they are.

Each commit has its entry of the table's ledger in the summary of its snapshot. One that was made is never repeated, and
one that was not leaves files that nothing names: whenever a publication dies, the next goes on table by table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, In, Reference
from pyiceberg.table import Table, Transaction

from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.iceberg.columns import published_schema
from lambda_toolkit.pipeline.iceberg.snapshot import Loaded, Position, Spooled, WarehouseSnapshot
from lambda_toolkit.pipeline.iceberg.tables import DELETIONS, Entry, last_entry
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import FACT, Declarations, WarehouseTable

MOST_APPENDS = 100  # of one table in one publication: of more batches, the first ones are one append
MOST_REMOVED = 10_000  # versions: of more, the table is written again
_PROPERTIES = {
    # pyiceberg repeats an append that another writer was quicker with. Of two publications of one batch both would
    # then be kept: the second must fail instead, and find the batch in the ledger when it is run again.
    "commit.retry.num-retries": "0",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "write.parquet.compression-codec": "zstd",
}


@dataclass(frozen=True)
class Published:
    """What a publication did."""

    batch: int
    commits: int
    rows: int
    """Rows that were written, those of overwritten tables included."""


def publish(
    warehouse: WarehouseSnapshot,
    catalog: Catalog,
    namespace: str,
    declared: Declarations,
    on_commit: Callable[[str, int], None] = lambda table, batch: None,
) -> Published | None:
    """Brings the tables in ``namespace`` to what the warehouse has; ``None`` where nothing is loaded yet.

    ``on_commit``: called after each commit. Raises CommandError where the tables are of another warehouse, and where
    another publication runs.
    """
    loaded = warehouse.loaded
    if loaded is None:
        return None
    catalog.create_namespace_if_not_exists(namespace)
    publication = _Publication(warehouse, catalog, namespace, loaded, on_commit)
    counts = [publication.deletions()]
    counts += [publication.table(table) for table in declared.warehouse.values()]
    return Published(loaded.position.batch, sum(commits for commits, _ in counts), sum(rows for _, rows in counts))


@dataclass(frozen=True)
class _Publication:
    warehouse: WarehouseSnapshot
    catalog: Catalog
    namespace: str
    loaded: Loaded
    on_commit: Callable[[str, int], None]

    def table(self, table: WarehouseTable) -> tuple[int, int]:
        """Publishes a table; returns the commits and the rows."""
        if table.kind == FACT and not table.versions:
            return self._fact(table)
        return self._whole(table.name, self.warehouse.table_query(table))

    def deletions(self) -> tuple[int, int]:
        """Publishes which rows were deleted."""
        return self._whole(DELETIONS, self.warehouse.deletions_query())

    def _whole(self, name: str, query: str) -> tuple[int, int]:
        schema = published_schema(self.warehouse.columns_of(query))
        table, last = self._opened(name, schema)
        if last is not None and last.position == self.loaded.position:
            return 0, 0
        content = self.warehouse.content(query)
        entry = self._entry(content=content)
        if last is not None and last.content == content:
            self._commit(name, table, entry, lambda change: change.append(schema.empty_table(), entry.summary()))
            return 1, 0
        with self.warehouse.spooled(query, name) as rows:
            self._commit(name, table, entry, lambda change: _replace(change, rows, entry))
            return 1, rows.rows

    def _fact(self, fact: WarehouseTable) -> tuple[int, int]:
        columns = self.warehouse.columns_of_fact(fact)
        schema = published_schema(columns)
        table, last = self._opened(fact.name, schema)
        if last is not None and last.position == self.loaded.position:
            return 0, 0
        before = last or self._nothing
        removed = self._removed(fact, table, before)
        if removed is None:  # too many versions are at another place now
            before, removed, rewrites = self._nothing, pa.array([], pa.int64()), True
        else:
            rewrites = False
        commits = rows = 0
        entry = replace(before, rows=before.rows - len(removed))
        for number, (first, until) in enumerate(self._steps(fact, before.position.batch)):
            query = self.warehouse.fact_query(fact, before.last_record, (first, until))
            with self.warehouse.spooled(query, fact.name) as spooled:
                highest = _highest(spooled, str(fact.record))
                entry = self._entry(last_record=max(entry.last_record, highest), rows=entry.rows + spooled.rows)
                moment = self.warehouse.extracted_at(until) or ""
                entry = replace(entry, position=replace(entry.position, batch=until), extracted_at=moment)
                taken = removed if number == 0 else None
                step = _Step(str(fact.record), spooled, entry, taken, rewrites and number == 0)
                self._commit(fact.name, table, entry, step.apply)
                commits, rows = commits + 1, rows + spooled.rows
        return commits, rows

    def _steps(self, fact: WarehouseTable, published: int) -> list[tuple[int, int]]:
        """The batches of each commit, from one to another. What came late of earlier batches is in the first.

        The last one is that of the last batch, with or without rows: it has the position of the warehouse.
        """
        last = self.loaded.position.batch
        batches = [batch for batch in self.warehouse.new_batches(fact, published) if batch < last]
        ends = [*batches[max(0, len(batches) - MOST_APPENDS + 1) :], last]
        starts = [0, *(end + 1 for end in ends)]
        return list(zip(starts, ends, strict=False))

    def _removed(self, fact: WarehouseTable, table: Table, before: Entry) -> pa.Array | None:
        """The published record numbers that the warehouse has no more; ``None`` where there are too many."""
        count, _ = self.warehouse.count_versions(fact, before.last_record)
        if count == before.rows:  # a number is never given twice: as many are the same
            return pa.array([], pa.int64())
        if before.rows - count > MOST_REMOVED:
            return None
        record = str(fact.record)
        published = table.scan(selected_fields=(record,)).to_arrow()[record].combine_chunks()
        present = self.warehouse.record_numbers(fact, before.last_record)
        return published.filter(pc.invert(pc.is_in(published, value_set=present.combine_chunks())))

    def _opened(self, name: str, schema: pa.Schema) -> tuple[Table, Entry | None]:
        """The published table, created where there is none, with all columns of ``schema``; and its last entry."""
        identifier = (self.namespace, name)
        try:
            table = self.catalog.load_table(identifier)
        except NoSuchTableError:
            table = self.catalog.create_table(identifier, schema, properties=_PROPERTIES)
        last = last_entry(table)
        if last is not None:
            self._check(name, last)
        missing = {key: value for key, value in _PROPERTIES.items() if table.properties.get(key) != value}
        lacking = [field.name for field in schema if field.name not in table.schema().column_names]
        if missing or lacking:
            with table.transaction() as change:
                change.set_properties(missing)
                with change.update_schema() as update:
                    update.union_by_name(schema)
        return table, last

    def _check(self, name: str, last: Entry) -> None:
        here = f"{self.namespace}.{name}"
        batch = last.position.batch
        is_same = last.warehouse == self.loaded.warehouse and self.warehouse.extracted_at(batch) == last.extracted_at
        if not is_same:
            raise CommandError(
                f"The Iceberg table {here} was published from another warehouse, or this one was rebuilt or restored: "
                f"its batch {batch} is not the one that was published. Nothing of it was changed. Publish into another "
                "namespace (--namespace), or drop its tables first."
            )

    @property
    def _nothing(self) -> Entry:
        """Of a table in which nothing is published."""
        return replace(self._entry(), position=Position(0, 0))

    def _entry(self, content: str = "", last_record: int = 0, rows: int = 0) -> Entry:
        loaded = self.loaded
        return Entry(loaded.position, loaded.extracted_at, loaded.warehouse, last_record, rows, content)

    def _commit(self, name: str, table: Table, entry: Entry, write: Callable[[Transaction], None]) -> None:
        try:
            with table.transaction() as change:
                write(change)
        except CommitFailedException as error:
            raise CommandError(
                f"Another publication, or a maintenance of {self.namespace}.{name}, committed meanwhile: nothing of "
                f"batch {entry.position.batch} was added to it. Run the command again: it goes on where the tables are."
            ) from error
        self.on_commit(name, entry.position.batch)


@dataclass(frozen=True)
class _Step:
    """One commit of a fact."""

    record: str
    rows: Spooled
    entry: Entry
    removed: pa.Array | None
    rewrites: bool

    def apply(self, change: Transaction) -> None:
        if self.rewrites:
            _replace(change, self.rows, self.entry)
            return
        if self.removed is not None and len(self.removed):
            change.delete(In(term=Reference(self.record), values=set(self.removed.to_pylist())))
        change.append(self.rows.reader(), snapshot_properties=self.entry.summary())


def _replace(change: Transaction, rows: Spooled, entry: Entry) -> None:
    """Writes the rows in place of all others. The deletion is a snapshot of its own, and no entry of the ledger."""
    change.delete(AlwaysTrue())
    change.append(rows.reader(), snapshot_properties=entry.summary())


def _highest(rows: Spooled, record: str) -> int:
    """The highest record number of the rows."""
    return max((pc.max(batch.column(record)).as_py() or 0 for batch in rows.reader()), default=0)
