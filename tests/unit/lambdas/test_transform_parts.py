"""The parts of a batch that is written by hand: which rows each reads, and every file and number it returns."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import LakeError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import TableFiles
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.messages.part_events import PartResult
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import ColumnType, Reference, parse
from lambda_toolkit.pipeline.lambdas.transform.batch import BatchTransform, transform
from lambda_toolkit.pipeline.lambdas.transform.parts import PartTransform, dates_of
from lambda_toolkit.pipeline.lambdas.transform.workers import problem_of
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression
from tests.support.written_batch import DOCUMENT, SALES, SPOTS, WrittenBatch, day, sales_and_shops


@pytest.fixture
def batch() -> WrittenBatch:
    found = WrittenBatch()
    sales_and_shops(found)
    return found


def test_parts_have_the_files_that_fit_into_their_rows(batch: WrittenBatch) -> None:
    parts = batch.parts()
    assert [(part.table, part.number, part.parts, part.batch) for part in parts.parts] == [
        ("fact_sale", 0, 2, 4),
        ("fact_sale", 1, 2, 4),
        ("dim_spot", 0, 1, 4),
    ]
    assert [parts.rows_of(part) for part in parts.parts] == [2, 3, 0]
    assert len({part.fingerprint for part in parts.parts}) == 1
    for rows, expected in ((2, [2, 2, 1]), (4, [4, 1]), (5, [5]), (1, [2, 2, 1])):
        found = batch.parts(replace(batch.declarations, part_rows=rows))
        assert [found.rows_of(part) for part in found.parts if part.table == "fact_sale"] == expected


def test_each_part_has_its_rows_and_the_last_one_the_context(batch: WrittenBatch) -> None:
    """Unchanged rows are transformed again, but for those that have changed in any part; so are deleted keys."""
    first, last = batch.results("fact_sale")
    assert (first.refused, first.table, first.number, last.number) == (None, "fact_sale", 0, 1)
    assert (first.read, first.unchanged, first.unmatched) == (2, 0, 1)
    assert batch.rows(first.rows) == [(1, day("2024-01-01"), "Bath")]
    assert batch.rows(first.deleted) == [(2,)], "it does not meet the condition"
    assert (first.rejected, first.unfit) == (None, None)
    assert (last.read, last.unchanged, last.unmatched) == (3, 3, 1)
    assert batch.rows(last.rows) == [
        (3, day("2024-01-03"), "Leeds"),
        (4, day("2024-02-01"), None),
        (6, day("2024-01-05"), "Bath"),
        (7, day("2024-01-06"), "Leeds"),
    ]
    assert batch.rows(last.deleted) == [(9,), (10,), (8,)]
    assert last.rejected is not None and (last.rejected.rows, last.rejected.source_rows) == (1, 1)
    assert [row[1:4] for row in batch.rows(last.rejected)] == [("5", "sold_on", "infinity")]
    stored = [first.rows, first.deleted, last.rows, last.deleted, last.rejected]
    assert [file.rows for file in stored if file] == [1, 1, 4, 3, 1]
    sizes = {file.key: len(batch.processed.get(file.key)) for file in stored if file}
    assert first.bytes + last.bytes == sum(sizes.values())
    assert (first.milliseconds, last.milliseconds) == (1000.0, 1000.0)


def test_dates_of_parts_are_runs_of_days(batch: WrittenBatch) -> None:
    first, last = batch.results("fact_sale")
    january = (day("2024-01-01") - day("1970-01-01")).days
    assert first.dates == (january, 1)
    assert last.dates == (january + 2, 1, january + 4, 2, january + 31, 1)
    dates = [january, january + 2, january + 4, january + 5, january + 31]
    assert dates_of([last, first, first]).cast(pa.int32()).to_pylist() == dates
    assert dates_of([]).to_pylist() == []


def test_context_is_that_of_changes_where_tables_share_it(batch: WrittenBatch) -> None:
    """Rows of the context of which nothing along the paths has changed are not read: another table needs them."""
    document = {**DOCUMENT["warehouse"], "fact_again": DOCUMENT["warehouse"]["fact_sale"]}
    shared = replace(parse({**DOCUMENT, "warehouse": document}, parse_expression), part_rows=3)
    _, last = batch.results("fact_sale", shared)
    assert (last.read, last.unchanged, last.unmatched) == (3, 2, 1)
    assert [row[0] for row in batch.rows(last.rows)] == [3, 4, 6]
    unjoined = {name: value for name, value in document["fact_sale"].items() if name != "join"}
    spot = {**DOCUMENT["warehouse"]["dim_spot"], "join": {"shop": "number"}}
    others = {**document, "fact_again": {**unjoined, "columns": {"sale_id": "sale_id"}}, "dim_spot": spot}
    declared = replace(parse({**DOCUMENT, "warehouse": others}, parse_expression), part_rows=3)
    assert batch.results("fact_sale", declared)[1].unchanged == 3, "no other table has joins of this source"
    assert batch.results("fact_again", declared)[1].unchanged == 0, "it refers to nothing"


def test_row_of_a_deleted_reference_is_transformed_again(batch: WrittenBatch) -> None:
    """And with it those that a change reaches, but no others."""
    batch.tables["shop"] = replace(batch.tables["shop"], deleted=batch.file({"shop_id": "integer"}, (12,)))
    files = batch.tables["sale"]
    more = batch.file(SALES, *((11, None, 5, 12), (12, None, 5, 11), (13, None, 5, None), (14, None, 5, 10)))
    batch.tables["sale"] = replace(files, context=more)
    _, last = batch.results("fact_sale")
    assert last.unchanged == 2
    assert batch.rows(last.rows)[2:] == [(11, None, None), (14, None, "Bath")]


def test_deletes_of_one_of_several_joins_count(batch: WrittenBatch) -> None:
    """Rows whose references are all as they were are read no more, as soon as one joined table has a deleted row."""
    seller = {"seller_id": "integer", "name": "text"}
    sales = {**SALES, "seller_id": "integer"}
    batch.tables["seller"] = TableFiles(
        seller,
        ("seller_id",),
        lookups=batch.file(seller, (1, "Ann")),
        deleted=batch.file({"seller_id": "integer"}, (2,)),
    )
    rows = [(number, None, 5, 11, who) for number, who in ((1, 1), (2, 2), (3, None))]
    batch.tables["sale"] = TableFiles(sales, ("sale_id",), context=batch.file(sales, *rows))
    fact = {**DOCUMENT["warehouse"]["fact_sale"], "join": {"shop": "shop_id", "seller": "seller_id"}}
    fact["columns"] = {"sale_id": "sale_id", "town": "shop.town", "who": "seller.name"}
    source = {**DOCUMENT["source"], "seller": {"key": "seller_id"}}
    declared = parse({"source": source, "warehouse": {"fact_sale": fact}}, parse_expression)
    (found,) = batch.results("fact_sale", declared)
    assert (found.read, found.unchanged, batch.rows(found.rows)) == (0, 1, [(2, "Leeds", None)])


def test_rejects_of_all_files_of_a_part_are_in_one(batch: WrittenBatch) -> None:
    infinite = '{"sold_on": "infinity"}'
    batch.tables["sale"] = TableFiles(
        SALES,
        ("sale_id",),
        batch.file(SALES, (1, None, 5, 10, infinite), (2, None, 5, 10)),
        more_changes=(batch.file(SALES, (3, None, 5, 11, infinite), (4, None, 5, 11, infinite)),),
    )
    (found,) = batch.results("fact_sale", replace(batch.declarations, part_rows=100))
    assert [row[1] for row in batch.rows(found.rejected)] == ["1", "3", "4"]
    assert found.rejected is not None and (found.rejected.rows, found.rejected.source_rows) == (3, 3)
    assert batch.rows(found.rows) == [(2, None, "Bath")]


def test_part_of_which_no_row_is_valid_has_no_file_of_rows(batch: WrittenBatch) -> None:
    rows = (1, None, 0, 10), (2, None, 5, 10, '{"sold_on": "infinity"}')
    batch.tables["sale"] = TableFiles(SALES, ("sale_id",), batch.file(SALES, *rows))
    (found,) = batch.results("fact_sale")
    assert (found.rows, found.unmatched, found.dates) == (None, 1, ())
    assert found.rejected is not None and found.rejected.source_rows == 1


def test_dimension_names_the_dates_that_refer_to_a_calendar(batch: WrittenBatch) -> None:
    """A date that refers to another table is none of the calendar's."""
    batch.tables["shop"] = TableFiles(
        {"shop_id": "integer", "opened": "date", "moved": "date"},
        ("shop_id",),
        batch.file(
            {"shop_id": "integer", "opened": "date", "moved": "date"}, (1, day("1970-01-03"), day("1970-01-09"))
        ),
    )
    columns = {name: name for name in ("shop_id", "opened", "moved")}
    shop = {"kind": "dimension", "from": "shop", "key": "shop_id", "columns": columns}
    warehouse = {"dim_day": DOCUMENT["warehouse"]["dim_day"], "dim_shop": shop}
    declared = parse({**DOCUMENT, "warehouse": warehouse}, parse_expression)
    references = Reference(("opened",), "dim_day", ("day",)), Reference(("moved",), "dim_shop", ("opened",))
    tables = {**declared.warehouse, "dim_shop": replace(declared.warehouse["dim_shop"], references=references)}
    (found,) = batch.results("dim_shop", replace(declared, warehouse=tables))
    assert found.dates == (2, 1)


def test_table_without_files_has_one_part_with_nothing(batch: WrittenBatch) -> None:
    (spot,) = batch.results("dim_spot")
    assert spot == PartResult("dim_spot", 0)
    batch.tables["spot"] = TableFiles(SPOTS, ("area", "number"))
    assert batch.results("dim_spot") == [spot]
    del batch.tables["sale"]
    assert batch.results("fact_sale") == [PartResult("fact_sale", 0)]


def test_deleted_keys_have_the_warehouses_types(batch: WrittenBatch) -> None:
    """Those of a dimension that its types do not have are listed as texts, once; a fact has none of these."""
    batch.tables["spot"] = TableFiles(
        SPOTS,
        ("area", "number"),
        batch.file(SPOTS, ("n", 1, "one"), ("n", 70_000, "far")),
        deleted=batch.file({"area": "text", "number": "bigint"}, ("s", 2), ("s", 70_001), ("w", 3)),
    )
    types = {"number": ColumnType("smallint", required=True)}
    tables = dict(batch.declarations.warehouse)
    tables["dim_spot"] = replace(tables["dim_spot"], types=types)
    (spot,) = batch.results("dim_spot", replace(batch.declarations, warehouse=tables))
    assert batch.rows(spot.rows) == [("n", 1, "one")]
    assert batch.rows(spot.deleted) == [("s", 2), ("w", 3)]
    assert batch.rows(spot.unfit) == [('["s", "70001"]',)]
    assert spot.rejected is not None and [row[1] for row in batch.rows(spot.rejected)] == ['["n", "70000"]']
    tables["dim_spot"] = replace(tables["dim_spot"], record="record_id")
    (spot,) = batch.results("dim_spot", replace(batch.declarations, warehouse=tables))
    assert (spot.unfit, spot.deleted and spot.deleted.rows) == (None, 2)


def test_lookup_of_a_composite_key_takes_the_newest_row(batch: WrittenBatch) -> None:
    """Changes come before the context, and the context before rows that are only looked up; each key counts once."""
    batch.tables["spot"] = TableFiles(
        SPOTS,
        ("area", "number"),
        batch.file(SPOTS, ("n", 1, "new")),
        batch.file(SPOTS, ("n", 1, "old"), ("n", 2, "kept")),
        lookups=batch.file(SPOTS, ("n", 2, "older"), ("n", 1, "oldest"), ("s", 1, "far")),
    )
    types = {"sale_id": "integer", "area": "text", "number": "bigint", "amount": "integer"}
    sales = batch.file(types, *((n, area, number, 1) for n, area, number in ((1, "n", 1), (2, "n", 2), (3, "s", 1))))
    batch.tables["sale"] = TableFiles(types, ("sale_id",), sales)
    fact = {**DOCUMENT["warehouse"]["fact_sale"], "join": {"spot": {"on": ["area", "number"]}}}
    fact["columns"] = {"sale_id": "sale_id", "label": "spot.label"}
    declared = parse({**DOCUMENT, "warehouse": {"fact_sale": fact}}, parse_expression)
    (sale,) = batch.results("fact_sale", declared)
    assert batch.rows(sale.rows) == [(1, "new"), (2, "kept"), (3, "far")]


def test_part_of_others_is_refused_and_stores_nothing(batch: WrittenBatch) -> None:
    parts = batch.parts()
    for change in ({"number": 2}, {"table": "dim_spot"}, {"parts": 3}, {"fingerprint": "x"}, {"batch": 5}):
        asked = replace(parts.parts[1], **change)
        found = parts.result(asked)
        assert found.refused and found == PartResult(asked.table, asked.number, found.refused)
    later = replace(batch.manifest, extracted_at="2024-03-02T00:00:00+00:00")
    other = PartTransform(later, batch.ingestion, batch.processed, batch.declarations)
    assert other.result(parts.parts[0]).refused
    assert list(batch.processed.listing("")) == []


def test_file_of_a_part_is_known_by_its_name(batch: WrittenBatch) -> None:
    parts = batch.parts()
    part = parts.parts[1]
    done = parts.result(part)
    assert len(done.stored) == 3 and all(parts.is_of(part, file) for file in done.stored)
    file = done.stored[0]
    assert not parts.is_of(part, replace(file, digest="0" * 64))
    assert not parts.is_of(parts.parts[2], file)


def test_column_that_the_source_did_not_have_then_is_null(batch: WrittenBatch) -> None:
    """Other than its key, without which all rows are the same row."""
    batch.tables["shop"] = TableFiles(
        {"shop_id": "integer"}, ("shop_id",), batch.file({"shop_id": "integer"}, (10,), (11,))
    )
    first, _ = batch.results("fact_sale")
    assert batch.rows(first.rows) == [(1, day("2024-01-01"), None)]
    batch.tables["shop"] = replace(batch.tables["shop"], columns={"town": "text"})
    with pytest.raises(LakeError, match="no column shop_id of shop, which is its key now"):
        batch.results("fact_sale")


def test_manifest_lists_the_files_of_all_parts(batch: WrittenBatch) -> None:
    """Rows are counted over all parts, rejects by rows of the source; the calendar has every part's dates."""
    batch.commit()
    done = transform(batch.ingestion, batch.processed, batch.declarations, 4)
    sales, days = done.manifest.tables["fact_sale"], done.manifest.tables["dim_day"]
    assert (done.created, set(done.manifest.tables), set(done.manifest.rejected)) == (
        *(True, {"fact_sale", "dim_day"}),
        {"fact_sale"},
    )
    assert (sales.rows, [file.rows for file in sales.data_files]) == (5, [1, 4])
    assert [row[0] for file in sales.data_files for row in batch.rows(file)] == [1, 3, 4, 6, 7]
    assert [row[0] for file in sales.deleted_files for row in batch.rows(file)] == [2, 9, 10, 8]
    assert sales.unfit_files == ()
    rejected = done.manifest.rejected["fact_sale"]
    assert (rejected.rows, rejected.source_rows, rejected.more) == (1, 1, ())
    assert [row[0].isoformat() for row in batch.rows(days.data_files[0])] == [
        *("2024-01-01", "2024-01-03", "2024-01-05", "2024-01-06", "2024-02-01"),
    ]
    assert (days.rows, done.manifest.batch, done.manifest.source_manifest) == (5, 4, manifest_key(4))
    assert set(done.milliseconds) == {"fact_sale", "dim_spot", "dim_day"}
    assert done.bytes["fact_sale"] == sum(
        len(batch.processed.get(file.key)) for file in (*sales.data_files, *sales.deleted_files, rejected)
    )
    assert done.bytes["dim_day"] == len(batch.processed.get(days.data_files[0].key))


def test_time_of_a_table_is_that_of_all_its_parts(batch: WrittenBatch) -> None:
    ticks = iter(range(1000))
    work = BatchTransform(
        *(batch.manifest, manifest_key(4), batch.ingestion, batch.processed, batch.declarations),
        clock=lambda: float(next(ticks)),
    )
    work.write()
    assert work.milliseconds == {"fact_sale": 2000.0, "dim_spot": 1000.0, "dim_day": 1000.0}


def test_result_is_believed_if_its_numbers_and_files_agree(batch: WrittenBatch) -> None:
    """Whoever made it: rows that were read are written, rejected, or meet no condition, and every file is there."""
    parts = batch.parts()
    part, other = parts.parts[1], parts.parts[0]
    done = parts.result(part)
    assert done.rows and done.rejected and done.deleted
    assert problem_of(parts, part, done) is None
    first = parts.result(other)
    assert problem_of(parts, other, first) is None, "without rejects"
    assert problem_of(parts, parts.parts[2], PartResult("dim_spot", 0)) is None, "without rows"
    for change in (
        {"refused": "why"},
        {"number": 0},
        {"table": "dim_spot"},
        {"read": 2},
        {"read": 4, "unchanged": 2},
        {"unchanged": done.unchanged + 1},
        {"unmatched": done.unmatched + 1},
        {"rows": None},
        {"rows": replace(done.rows, rows=done.rows.rows - 1)},
        {"rejected": None},
        {"rejected": replace(done.rejected, source_rows=0)},
        {"rows": replace(done.rows, digest="0" * 64)},
        {"rows": replace(done.rows, key="data/fact_sale/x.parquet")},
        {"deleted": replace(done.deleted, key=first.deleted and first.deleted.key)},
    ):
        assert problem_of(parts, part, replace(done, **change)) is not None, change
    batch.processed.delete([done.deleted.key])
    assert problem_of(parts, part, done) == f"has no file {done.deleted.key}"
