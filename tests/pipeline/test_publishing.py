"""The warehouse as Iceberg tables: one append for each batch, equal row for row, and once, wherever it dies."""

from __future__ import annotations

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Transaction

from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.iceberg import publishing, snapshot
from lambda_toolkit.pipeline.iceberg.tables import entries, read_at
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from tests.support.published import NAMESPACE, catalog_in, compare, published, tables_of


class DiedError(BaseException):
    """The process ends here."""


@pytest.fixture
def catalog(tmp_path):
    return catalog_in(tmp_path / "iceberg")


def change(pipeline, number: int) -> None:
    pipeline.admin.run(f"UPDATE sales_order SET units_sold = units_sold + {number} WHERE sales_order_id < 4")
    pipeline.admin.run(f"UPDATE department SET location = 'Moon {number}'")
    pipeline.run()


def fact(catalog, name: str = "fact_sales_order"):
    return catalog.load_table((NAMESPACE, name))


def batches(catalog, name: str = "fact_sales_order") -> list[int]:
    """The batches in the table's ledger, the oldest first."""
    return [entry.position.batch for _, entry in entries(fact(catalog, name))][::-1]


def test_each_batch_is_one_append_of_a_fact(pipeline, catalog):
    pipeline.run()
    assert published(pipeline.warehouse, catalog, pipeline.declarations).batch == 1
    for number in (1, 2, 3):
        change(pipeline, number)
    published(pipeline.warehouse, catalog, pipeline.declarations)
    assert batches(catalog) == [1, 2, 3, 4]
    assert batches(catalog, "dim_staff") == [1, 4], "a dimension is overwritten by what it is now"
    assert compare(pipeline.warehouse, catalog, pipeline.declarations) > 50
    appended = [snapshot.summary["added-records"] for snapshot, _ in entries(fact(catalog))]
    assert appended == ["3", "3", "3", "6"]


def test_nothing_new_is_no_commit(pipeline, catalog):
    pipeline.run()
    published(pipeline.warehouse, catalog, pipeline.declarations)
    again = published(pipeline.warehouse, catalog, pipeline.declarations)
    assert (again.commits, again.rows) == (0, 0)


def test_empty_warehouse_publishes_nothing(pipeline, catalog):
    assert published(pipeline.warehouse, catalog, pipeline.declarations) is None


def test_publication_killed_at_every_commit_doubles_nothing(pipeline, catalog):
    """Killed after each of its commits; readers have the state before until the last table is there."""
    pipeline.run()
    published(pipeline.warehouse, catalog, pipeline.declarations)
    change(pipeline, 1)
    change(pipeline, 2)
    deaths = 0
    for _ in range(30):  # more often than it has commits
        before = read_at(tables_of(catalog, pipeline.declarations))[0]
        try:
            done = published(pipeline.warehouse, catalog, pipeline.declarations, on_commit=_die)
        except DiedError:
            deaths += 1
            assert before.batch == 1, "not before every table has it"
            continue
        break
    assert done.commits == 0
    assert deaths == 13, "each of 12 tables once, and the fact with rows in both batches twice"
    assert batches(catalog) == [1, 2, 3]
    compare(pipeline.warehouse, catalog, pipeline.declarations)


def _die(table: str, batch: int) -> None:
    raise DiedError


@pytest.mark.parametrize("where", ["spooled", "_highest", "append", "commit"])
def test_publication_killed_before_a_commit_leaves_nothing(pipeline, catalog, monkeypatch, where):
    """Before and after the data files are written, and just before the commit of the catalog."""
    pipeline.run()
    published(pipeline.warehouse, catalog, pipeline.declarations)
    change(pipeline, 1)

    def die(*_: object, **__: object) -> None:
        raise DiedError

    places = {
        "spooled": (snapshot.WarehouseSnapshot, "spooled"),
        "_highest": (publishing, "_highest"),
        "append": (Transaction, "append"),
        "commit": (SqlCatalog, "commit_table"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*places[where], die)
        with pytest.raises(DiedError):
            published(pipeline.warehouse, catalog, pipeline.declarations)
    assert batches(catalog) == [1]
    published(pipeline.warehouse, catalog, pipeline.declarations)
    assert batches(catalog) == [1, 2]
    compare(pipeline.warehouse, catalog, pipeline.declarations)


def test_commit_whose_answer_is_lost_is_not_repeated(pipeline, catalog, monkeypatch):
    pipeline.run()
    committed = SqlCatalog.commit_table

    def lost(self, *arguments):
        committed(self, *arguments)
        raise ConnectionError("the answer is lost")

    deaths = 0
    for _ in range(30):
        with monkeypatch.context() as patch:
            patch.setattr(SqlCatalog, "commit_table", lost)
            try:
                published(pipeline.warehouse, catalog, pipeline.declarations)
                break
            except ConnectionError:
                deaths += 1
    assert deaths == 12
    compare(pipeline.warehouse, catalog, pipeline.declarations)


def test_second_of_two_publications_fails_and_doubles_nothing(pipeline, catalog, credentials, monkeypatch):
    pipeline.run()
    published(pipeline.warehouse, catalog, pipeline.declarations)
    change(pipeline, 1)
    spooled, raced = snapshot.WarehouseSnapshot.spooled, []

    def meanwhile(self, query, where):
        if where == "fact_sales_order" and not raced:
            raced.append(where)
            with connect(credentials[1]) as other:
                published(other, catalog, pipeline.declarations)
        return spooled(self, query, where)

    with monkeypatch.context() as patch:
        patch.setattr(snapshot.WarehouseSnapshot, "spooled", meanwhile)
        with pytest.raises(CommandError, match="Another publication"):
            published(pipeline.warehouse, catalog, pipeline.declarations)
    published(pipeline.warehouse, catalog, pipeline.declarations)
    assert batches(catalog) == [1, 2]
    compare(pipeline.warehouse, catalog, pipeline.declarations)


def test_versions_that_load_took_away_are_removed(pipeline, catalog):
    """A version that waited takes its place in the history: a later one, published already, gets another number."""
    pipeline.run()
    pipeline.admin.run("INSERT INTO currency VALUES (9, 'ZZZ', now(), now())")
    pipeline.admin.run("UPDATE sales_order SET currency_id = 9 WHERE sales_order_id = 1")
    pipeline.run()
    pipeline.admin.run("UPDATE sales_order SET currency_id = 1, units_sold = 5 WHERE sales_order_id = 1")
    pipeline.run()
    published(pipeline.warehouse, catalog, pipeline.declarations)
    before = pipeline.rows("SELECT max(sales_record_id), count(*) FROM fact_sales_order")[0]
    pipeline.admin.run("UPDATE currency SET currency_code = 'EUR' WHERE currency_id = 9")
    pipeline.run()
    after = pipeline.rows("SELECT max(sales_record_id), count(*) FROM fact_sales_order")[0]
    assert (after[0] - before[0], after[1] - before[1]) == (2, 1), "one was taken away, and two were appended"
    published(pipeline.warehouse, catalog, pipeline.declarations)
    compare(pipeline.warehouse, catalog, pipeline.declarations)
    assert batches(catalog)[-2:] == [3, 4]


def test_many_removed_versions_write_the_table_again(pipeline, catalog, monkeypatch):
    pipeline.run()
    change(pipeline, 1)
    published(pipeline.warehouse, catalog, pipeline.declarations)
    monkeypatch.setattr(publishing, "MOST_REMOVED", 1)
    pipeline.warehouse.run("DELETE FROM fact_sales_order WHERE sales_order_id IN (1, 2)")
    change(pipeline, 2)
    published(pipeline.warehouse, catalog, pipeline.declarations)
    compare(pipeline.warehouse, catalog, pipeline.declarations)


def test_many_batches_are_a_bounded_number_of_appends(pipeline, catalog, monkeypatch):
    monkeypatch.setattr(publishing, "MOST_APPENDS", 2)
    pipeline.run()
    for number in (1, 2, 3):
        change(pipeline, number)
    published(pipeline.warehouse, catalog, pipeline.declarations)
    assert batches(catalog) == [3, 4]
    compare(pipeline.warehouse, catalog, pipeline.declarations)


def test_rebuilt_warehouse_is_not_added_to_another(pipeline, catalog):
    pipeline.run()
    published(pipeline.warehouse, catalog, pipeline.declarations)
    change(pipeline, 1)
    pipeline.warehouse.run("UPDATE pipeline.ledger SET loaded_at = loaded_at + interval '1 second'")
    with pytest.raises(CommandError, match="was rebuilt or restored"):
        published(pipeline.warehouse, catalog, pipeline.declarations)
    assert batches(catalog) == [1]


def test_new_column_of_the_warehouse_is_added(pipeline, catalog):
    pipeline.run()
    published(pipeline.warehouse, catalog, pipeline.declarations)
    for table in ("dim_staff", "fact_sales_order"):
        pipeline.warehouse.run(f"ALTER TABLE {table} ADD COLUMN note varchar")
    pipeline.warehouse.run("UPDATE dim_staff SET note = 'x'")
    change(pipeline, 1)
    published(pipeline.warehouse, catalog, pipeline.declarations)
    compare(pipeline.warehouse, catalog, pipeline.declarations)


def test_value_that_iceberg_cannot_have_is_named(pipeline, catalog):
    pipeline.run()
    pipeline.warehouse.run("UPDATE fact_payment SET created_time = '24:00' WHERE payment_id = 1")
    with pytest.raises(CommandError, match="Column created_time of fact_payment has a value that"):
        published(pipeline.warehouse, catalog, pipeline.declarations)
