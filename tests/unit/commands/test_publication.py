"""What a publication commits to the tables of a catalog, for a warehouse in memory; the entries of their ledgers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from lambda_toolkit.pipeline.access.messages import Column
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.iceberg import publishing, tables
from lambda_toolkit.pipeline.iceberg.columns import published_rows, published_type
from lambda_toolkit.pipeline.iceberg.publishing import Published
from lambda_toolkit.pipeline.iceberg.snapshot import Loaded, Position
from lambda_toolkit.pipeline.iceberg.tables import Entry
from tests.support.sample_star import DECLARED

FACT = DECLARED.warehouse["fact_order"]


@dataclass
class Memory:
    """A warehouse: versions by their batch and record number, whole tables as lists of numbers."""

    position: Position
    versions: list[tuple[int, int]] = field(default_factory=list)
    products: list[int] = field(default_factory=lambda: [1, 2])
    since: str = "first load"
    more: tuple[str, ...] = ()
    """Names of further columns."""

    @property
    def loaded(self) -> Loaded | None:
        return Loaded(self.position, f"at {self.position.batch}", self.since) if self.position.batch else None

    def extracted_at(self, batch: int) -> str | None:
        return f"at {batch}" if batch <= self.position.batch else None

    def columns_of_fact(self, table: Any) -> list[Column]:
        return self.columns_of("")

    def columns_of(self, query: object) -> list[Column]:
        return [Column(name, "bigint") for name in ("order_record", *self.more)]

    def new_batches(self, table: Any, batch: int) -> list[int]:
        return sorted({of for of, _ in self.versions if of > batch})

    def count_versions(self, table: Any, last: int) -> tuple[int, int]:
        found = [record for _, record in self.versions if record <= last]
        return len(found), max(found, default=0)

    def record_numbers(self, table: Any, last: int) -> pa.ChunkedArray:
        return pa.chunked_array([[record for _, record in self.versions if record <= last]], pa.int64())

    def fact_query(self, table: Any, after: int, batches: tuple[int, int]) -> Sequence[int]:
        return [record for of, record in self.versions if record > after and batches[0] <= of <= batches[1]]

    def table_query(self, table: Any) -> Sequence[int]:
        return self.products

    def deletions_query(self) -> Sequence[int]:
        return []

    def content(self, query: Sequence[int]) -> str:
        return str(query)

    @contextmanager
    def spooled(self, query: Sequence[int], name: str) -> Iterator[Any]:
        columns = [pa.array(query, pa.int64())] * (1 + len(self.more))
        rows = pa.table(columns, names=["order_record", *self.more])
        yield SimpleNamespace(rows=len(query), schema=rows.schema, reader=lambda: rows.to_reader(max_chunksize=1))


@pytest.fixture
def catalog(tmp_path: Path) -> SqlCatalog:
    return SqlCatalog("test", uri="sqlite:///:memory:", warehouse=tmp_path.as_uri())


def publish(warehouse: Memory, catalog: SqlCatalog, *on_commit: Any) -> Published | None:
    of: Any = warehouse
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return publishing.publish(of, catalog, "n", DECLARED, *on_commit)


def table(catalog: SqlCatalog, name: str = "fact_order") -> Table:
    return catalog.load_table(("n", name))


def records(catalog: SqlCatalog, name: str = "fact_order") -> list[int]:
    return sorted(table(catalog, name).scan().to_arrow()["order_record"].to_pylist())


def ledger(catalog: SqlCatalog, name: str = "fact_order") -> list[Entry]:
    """The entries, the oldest first."""
    return [entry for _, entry in tables.entries(table(catalog, name))][::-1]


def test_fact_has_an_entry_for_each_batch(catalog: SqlCatalog) -> None:
    """With what the table has up to there. What came late of an earlier batch is in the next commit."""
    warehouse = Memory(Position(3, 0), [(1, 1), (1, 2), (2, 3)])
    seen: list[tuple[str, int]] = []
    assert publish(Memory(Position(0, 0)), catalog) is None
    assert publish(warehouse, catalog, lambda *of: seen.append(of)) == Published(3, 5, 5)
    assert seen == [*(("pipeline_deletions", 3), ("dim_product", 3)), *(("fact_order", batch) for batch in (1, 2, 3))]
    first = [Entry(Position(at, 0), f"at {at}", "first load", last, last) for at, last in ((1, 2), (2, 3), (3, 3))]
    assert ledger(catalog) == first and records(catalog) == [1, 2, 3]
    assert ledger(catalog, "dim_product") == [Entry(Position(3, 0), "at 3", "first load", content="[1, 2]")]
    assert publish(warehouse, catalog) == Published(3, 0, 0)
    later = Memory(Position(5, 1), [*warehouse.versions, (3, 4), (5, 6)], [1, 2, 3])
    assert publish(later, catalog) == Published(5, 3, 5)
    assert ledger(catalog)[3:] == [Entry(Position(5, 1), "at 5", "first load", 6, 5)]
    assert ledger(catalog, "dim_product")[1:] == [Entry(Position(5, 1), "at 5", "first load", content="[1, 2, 3]")]
    assert (records(catalog), records(catalog, "dim_product")) == ([1, 2, 3, 4, 6], [1, 2, 3])
    revised = replace(later, position=Position(5, 2))
    assert publish(revised, catalog) == Published(5, 3, 0), "the position of each table"
    assert ledger(catalog)[4:] == [Entry(Position(5, 2), "at 5", "first load", 6, 5)]
    assert records(catalog) == [1, 2, 3, 4, 6] and records(catalog, "dim_product") == [1, 2, 3]


def test_first_record_is_published_in_whichever_batch(catalog: SqlCatalog) -> None:
    publish(Memory(Position(1, 0)), catalog)
    assert ledger(catalog) == [Entry(Position(1, 0), "at 1", "first load")]
    publish(Memory(Position(2, 0), [(2, 1)]), catalog)
    assert records(catalog) == [1]


@pytest.mark.parametrize(("most", "snapshots"), [(2, ["overwrite", "append"]), (1, ["delete", "append"])])
def test_versions_that_load_removed_are_removed(catalog, monkeypatch, most, snapshots) -> None:
    """Of more than the limit, the whole table is written again: in both ways it has what the warehouse has."""
    monkeypatch.setattr(publishing, "MOST_REMOVED", most)
    publish(Memory(Position(1, 0), [(1, 1), (1, 2), (1, 3), (1, 4)]), catalog)
    changed = Memory(Position(3, 0), [(1, 1), (1, 4), (2, 7), (3, 8)])
    before = len(table(catalog).metadata.snapshots)
    assert publish(changed, catalog) == Published(3, *{2: (4, 2), 1: (5, 4)}[most])
    assert records(catalog) == [1, 4, 7, 8]
    made = [found.summary for found in table(catalog).metadata.snapshots[before:]]
    assert [str(found and found.operation.value) for found in made][:2] == snapshots
    assert ledger(catalog)[-1] == Entry(Position(3, 0), "at 3", "first load", 8, 4)
    assert publish(replace(changed, position=Position(4, 0), versions=[]), catalog) == Published(4, 3, 0)
    assert records(catalog) == []


@pytest.mark.parametrize(
    ("batches", "published", "last", "steps"),
    [
        ([1, 2, 3], 0, 3, [(0, 1), (2, 2), (3, 3)]),
        ([2, 5], 1, 7, [(0, 2), (3, 5), (6, 7)]),
        ([2, 4, 5, 6], 1, 7, [(0, 5), (6, 6), (7, 7)]),
        ([2, 4, 5, 7], 4, 7, [(0, 5), (6, 7)]),
        ([], 4, 7, [(0, 7)]),
    ],
)
def test_batches_of_the_commits_follow_each_other(monkeypatch, batches, published, last, steps) -> None:
    """From the first to the last one; where they are many, the first commit has several."""
    monkeypatch.setattr(publishing, "MOST_APPENDS", 3)
    warehouse: Any = Memory(Position(last, 0), [(batch, batch) for batch in batches])
    catalog: Any = None
    publication = publishing._Publication(warehouse, catalog, "n", warehouse.loaded, lambda *_: None)
    assert publication._steps(FACT, published) == steps


def test_table_gets_columns_and_properties_that_it_lacks(catalog: SqlCatalog) -> None:
    warehouse = Memory(Position(1, 0), [(1, 1)])
    publish(warehouse, catalog)
    kept = table(catalog).properties
    assert kept["commit.retry.num-retries"] == "0" and kept["write.metadata.delete-after-commit.enabled"] == "true"
    assert (kept["write.metadata.previous-versions-max"], kept["write.parquet.compression-codec"]) == ("20", "zstd")
    with table(catalog).transaction() as change:
        change.set_properties({"commit.retry.num-retries": "4", "own": "1"})
    publish(replace(warehouse, position=Position(2, 0)), catalog)
    assert table(catalog).properties == {**kept, "own": "1"}
    publish(replace(warehouse, position=Position(3, 0), versions=[(1, 1), (3, 2)], more=("other",)), catalog)
    assert table(catalog).schema().column_names == ["order_record", "other"]
    assert sorted(map(str, table(catalog).scan().to_arrow()["other"].to_pylist())) == ["2", "None"]


@pytest.mark.parametrize("other", [{"since": "second load"}, {"position": Position(1, 0)}])
def test_table_of_another_warehouse_is_refused(catalog: SqlCatalog, monkeypatch, other) -> None:
    """One that was rebuilt, or restored to a state before the last batch."""
    warehouse = Memory(Position(2, 0), [(2, 1)])
    publish(warehouse, catalog)
    with pytest.raises(CommandError, match=r"n\.pipeline_deletions was published from another warehouse"):
        publish(replace(warehouse, **other), catalog)
    monkeypatch.setattr(Memory, "extracted_at", lambda self, batch: "another time")
    with pytest.raises(CommandError, match="its batch 2 is not the one"):
        publish(replace(warehouse, position=Position(3, 0)), catalog)


def test_commit_that_another_was_quicker_with_is_named(catalog: SqlCatalog, monkeypatch) -> None:
    warehouse = Memory(Position(2, 0), [(1, 1), (2, 2)])

    def fails(*_: object) -> None:
        raise CommitFailedException("branch main has changed")

    monkeypatch.setattr(SqlCatalog, "commit_table", fails)
    seen: list[object] = []
    with pytest.raises(CommandError, match=r"maintenance of n\.pipeline_deletions, committed meanwhile.* batch 2 "):
        publish(warehouse, catalog, lambda *of: seen.append(of))
    assert seen == []

    def unreachable(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(SqlCatalog, "load_table", unreachable)
    with pytest.raises(ConnectionError):  # whether the table is there is not known: none is created
        publish(warehouse, catalog)


# ---------------------------------------------------------------------------------------------------------- the ledgers


def ledgers(*positions: tuple[int, int] | None) -> Any:
    """A table whose snapshots have these positions, the oldest first; None: a compaction's."""
    made = []
    for number, position in enumerate(positions, 1):
        entry = Entry(Position(*position), "at", "w").summary() if position else {}
        parent = number - 1 or None
        summary = SimpleNamespace(additional_properties=entry)
        made.append(SimpleNamespace(snapshot_id=number, parent_snapshot_id=parent, summary=summary))
    return SimpleNamespace(metadata=SimpleNamespace(snapshots=made), current_snapshot=lambda: (made or [None])[-1])


def test_summary_has_the_entry_as_texts() -> None:
    """It is a stored form: tables that were published have it."""
    entry = Entry(Position(7, 2), "at", "warehouse", 12, 34, "content")
    summary = {"batch": "7", "revisions": "2", "extracted-at": "at", "warehouse": "warehouse"}
    summary |= {"last-record": "12", "rows": "34", "content": "content"}
    assert entry.summary() == {f"pipeline.{name}": text for name, text in summary.items()}
    snapshot: Any = SimpleNamespace(summary=SimpleNamespace(additional_properties=entry.summary()))
    assert tables.entry_of(snapshot) == entry
    for nothing in (None, SimpleNamespace(additional_properties={"pipeline.rows": "1"})):
        other: Any = SimpleNamespace(summary=nothing)
        assert tables.entry_of(other) is None


def test_readers_take_the_last_position_that_all_have() -> None:
    one, other = ledgers((1, 0), None, (2, 0), (2, 1), (10, 0), None), ledgers((1, 0), (2, 0), (2, 1), (9, 5))
    assert [snapshot.snapshot_id for snapshot, _ in tables.entries(one)] == [5, 4, 3, 1]
    assert tables.common_position([one, other]) == Position(2, 1)
    assert tables.common_position([one]) == Position(10, 0)
    assert tables.common_position([one, ledgers((3, 0))]) is tables.common_position([]) is None
    assert (tables.snapshot_at(one, Position(2, 0)), tables.snapshot_at(other, Position(2, 1))) == (3, 3)
    with pytest.raises(KeyError):
        tables.snapshot_at(one, Position(9, 5))
    assert (tables.last_entry(one), tables.last_entry(ledgers(None)), tables.last_entry(ledgers())) == (
        *(Entry(Position(10, 0), "at", "w"), None, None),
    )


def test_tables_are_read_at_their_common_position(catalog: SqlCatalog) -> None:
    publish(Memory(Position(1, 0), [(1, 1)]), catalog)

    def stop(name: str, batch: int) -> None:
        if name == "dim_product":
            raise KeyboardInterrupt

    later = Memory(Position(2, 0), [(1, 1), (2, 2)], [7])
    with pytest.raises(KeyboardInterrupt):
        publish(later, catalog, stop)
    both = {name: table(catalog, name) for name in ("dim_product", "fact_order")}
    position, found = tables.read_at(both)
    assert position == Position(1, 0)
    read = {name: rows["order_record"].to_pylist() for name, rows in found.items()}
    assert read == {"dim_product": [1, 2], "fact_order": [1]}
    assert tables.read_at({}) == (None, {})


# ---------------------------------------------------------------------------------------------------------- the columns


@pytest.mark.parametrize(
    ("postgres", "arrow", "text", "value"),
    [
        ("smallint", "int32", 7, "7"),
        ("bigint", "int64", 7, "7"),
        ("numeric(5,2)", "decimal128(5, 2)", "1.5", "1.50"),
        ("numeric", "string", "1.50", "1.50"),
        ("time without time zone", "time64[us]", "03:04:05.000006", "03:04:05.000006"),
        ("time(3) without time zone", "time64[us]", "03:04:05", "03:04:05"),
        ("timestamp with time zone", "timestamp[us, tz=UTC]", "2026-01-02 03:04:05+00", "2026-01-02 03:04:05+00:00"),
        ("uuid", "string", "u", "u"),
        ("date", "date32[day]", None, "None"),
    ],
)
def test_column_has_a_type_of_iceberg(postgres, arrow, text, value) -> None:
    assert str(published_type(postgres)) == arrow
    column = Column("c", postgres)
    [found] = published_rows(pa.table({"0": [text]}), [column], "t").to_pylist()
    assert {name: str(each) for name, each in found.items()} == {"c": value}


def test_value_that_does_not_fit_is_named() -> None:
    with pytest.raises(CommandError, match=r"Column c of t has a value that Iceberg's date32\[day\] cannot"):
        published_rows(pa.table({"0": ["infinity"]}), [Column("c", "date")], "t")
    with pytest.raises(pa.ArrowNotImplementedError):  # no value is wrong: the code is
        published_rows(pa.table({"0": [True]}), [Column("c", "date")], "t")
