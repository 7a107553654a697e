"""``convert`` on Arrow tables alone: rows, rejects and dates of one warehouse table."""

from __future__ import annotations

import datetime
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import UNREADABLE
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import (
    DIMENSION,
    FACT,
    ColumnType,
    Reference,
    WarehouseTable,
)
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import parse_expression, read_sql
from lambda_toolkit.pipeline.lambdas.shared.model.joins import Join
from lambda_toolkit.pipeline.lambdas.transform.columns.convert import Converted, convert
from lambda_toolkit.pipeline.lambdas.transform.columns.rejects import REJECTS_SCHEMA
from lambda_toolkit.pipeline.lambdas.transform.columns.source_rows import ABSENT, SourceRows
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression as parse_sql

KEYS = {"sale": ("sale_id",), "shop": ("shop_id",)}
TABLE = WarehouseTable(
    name="fact_sale",
    kind=FACT,
    keys=("sale_id",),
    source="sale",
    record="record_id",
    joins={"shop": Join("shop", ("shop_id",))},
    columns={
        name: parse_expression(text)
        for name, text in {"sale_id": "sale_id", "day": "date(sold_at)", "town": "shop.town"}.items()
    },
    types=MappingProxyType({"town": ColumnType("character varying(4)", required=True)}),
)
SHOPS = SourceRows(
    pa.table({"shop_id": pa.array([1, 2, 3], pa.int32()), "town": ["Bath", "Leeds", None]}),
    {"shop_id": "integer", "town": "text"},
)
SALE_TYPES = {"sale_id": "bigint", "sold_at": "text", "shop_id": "integer"}


def converted(*rows: tuple[int, str | None, int | None]) -> Converted:
    ids, days, shops = zip(*rows, strict=True)
    sales = {"sale_id": pa.array(ids, pa.int64()), "sold_at": pa.array(days, pa.string())}
    rows = pa.table({**sales, "shop_id": pa.array(shops, pa.int32())})
    return convert(TABLE, SourceRows(rows, SALE_TYPES), {"shop": SHOPS}, KEYS)


def test_valid_rows_keep_their_order_and_name_their_dates() -> None:
    found = converted((7, "2024-02-29", 1), (5, "2023-01-01", 1), (6, "2024-02-29", 1))
    assert found.rows.column_names == list(TABLE.columns)
    assert found.rows["sale_id"].to_pylist() == [7, 5, 6]
    assert sorted(found.dates.to_pylist()) == [datetime.date(2023, 1, 1), datetime.date(2024, 2, 29)]
    assert (found.rejected_rows, found.rejects) == (0, REJECTS_SCHEMA.empty_table())


def test_dates_of_columns_that_refer_to_the_calendar_are_named() -> None:
    """Of a dimension, the dates that refer to it; of a fact, all."""
    columns = {name: parse_expression(name) for name in ("shop_id", "opened", "audited", "closed", "town")}
    references = (
        Reference(("opened",), "dim_date", ("date_id",)),
        Reference(("audited",), "dim_date", ("date_id",)),
        Reference(("town",), "dim_town", ("town_id",)),
    )
    shop = WarehouseTable("dim_shop", DIMENSION, ("shop_id",), "shop", None, {}, columns, references=references)
    days = [datetime.date(2024, 2, day) for day in (28, 29)]
    types = {"shop_id": "integer", "opened": "date", "audited": "timestamp without time zone", "closed": "date"}
    rows = pa.table(
        {
            "shop_id": pa.array([1, 2], pa.int32()),
            "opened": pa.array([days[0], None], pa.date32()),
            "audited": pa.array([None, datetime.datetime(2024, 2, 29)], pa.timestamp("us")),
            "closed": pa.array([datetime.date(1999, 1, 1)] * 2, pa.date32()),
            "town": ["Bath", "Leeds"],
        }
    )
    source = SourceRows(rows, {**types, "town": "text"})
    assert sorted(convert(shop, source, {}, {"shop": ("shop_id",)}, {"dim_date"}).dates.to_pylist()) == days
    assert convert(shop, source, {}, {"shop": ("shop_id",)}).dates.to_pylist() == []
    fact = replace(shop, kind=FACT, record="shop_record")
    expected = [datetime.date(1999, 1, 1), *days]
    assert sorted(convert(fact, source, {}, {"shop": ("shop_id",)}, {"dim_date"}).dates.to_pylist()) == expected


def test_row_with_several_errors_is_rejected_once_with_all() -> None:
    """A row with several errors is rejected once with each of them."""
    found = converted((1, "soon", 9), (2, "2024-01-01", 2), (3, "2024-01-02", 3), (4, "2024-01-03", 1))
    assert found.rows["sale_id"].to_pylist() == [4]
    assert found.dates.to_pylist() == [datetime.date(2024, 1, 3)]
    assert found.rejected_rows == 3
    assert [tuple(row.values()) for row in found.rejects.to_pylist()] == [
        ("sale", "1", "shop_id", "9", "there is no such shop in the source"),
        ("sale", "1", "sold_at", "soon", "not a date of the form yyyy-mm-dd"),
        ("sale", "2", "shop.town", "Leeds", "does not fit fact_sale.town, which is character varying(4)"),
        ("sale", "3", "shop.town", None, "NULL, and fact_sale.town is NOT NULL"),
    ]


def test_paths_of_joins_end_where_a_reference_is_missing() -> None:
    """NULL where a column of the reference is NULL or no row has that key; rejected where a value is required.

    A part of a reference that is NULL is none, whatever text the keys have.
    """
    joins = {
        "shop": Join("shop", ("shop_id",)),
        "area": Join("area", ("region", "number"), "shop"),
        "again": Join("shop", ("other",)),
    }
    columns = {"id": "sale_id", "area": "area.name", "other": "again.town"}
    table = replace(
        TABLE,
        keys=("id",),
        joins=joins,
        columns={name: parse_expression(text) for name, text in columns.items()},
        types=MappingProxyType({"area": ColumnType("text", required=True)}),
    )
    shops = pa.table(
        {
            "shop_id": pa.array([1, 2, 3, 4], pa.int32()),
            "town": ["Bath", "Leeds", None, "York"],
            "region": ["n", "null", None, "s"],
            "number": pa.array([1, None, 7, 9], pa.int64()),
        }
    )
    types = {**SHOPS.types, "region": "text", "number": "bigint"}
    areas = pa.table({"region": ["n", "null", "s"], "number": pa.array([1, 7, 8], pa.int16()), "name": ["x", "y", "z"]})
    sales = pa.table(
        {
            "sale_id": pa.array(range(1, 7), pa.int64()),
            "shop_id": pa.array([1, 2, 3, 4, 9, None], pa.int32()),
            "other": pa.array([2, 9, 1, 1, 1, 1], pa.int32()),
        }
    )
    joined = {
        "shop": SourceRows(shops, types),
        "area": SourceRows(areas, {"region": "text", "number": "smallint", "name": "text"}),
    }
    keys = {**KEYS, "area": ("region", "number")}
    found = convert(table, SourceRows(sales, {**SALE_TYPES, "other": "integer"}), joined, keys)
    assert found.rows.to_pylist() == [{"id": 1, "area": "x", "other": "Leeds"}]
    missing = "NULL, and fact_sale.area is NOT NULL"
    assert [tuple(row.values())[1:] for row in found.rejects.to_pylist()] == [
        ("5", "shop_id", "9", "there is no such shop in the source"),
        ("4", "shop.region, shop.number", '["s", "9"]', "there is no such area in the source"),
        ("2", "area.name", None, missing),
        ("3", "area.name", None, missing),
        ("6", "area.name", None, missing),
    ]
    free = convert(replace(table, types={}), SourceRows(sales, {**SALE_TYPES, "other": "integer"}), joined, keys)
    assert free.rows["area"].to_pylist() == ["x", None, None, None, None, None]
    assert free.rows["other"].to_pylist() == ["Leeds", None, *["Bath"] * 4]
    assert free.rejected_rows == 0


def test_the_arguments_are_left_as_they_were() -> None:
    before = SHOPS.rows.to_pylist()
    assert converted((1, "2024-01-01", 1)) == converted((1, "2024-01-01", 1))
    assert SHOPS.rows.to_pylist() == before


def test_row_whose_condition_cannot_be_computed_is_rejected() -> None:
    """One that does not meet it is listed by its key, and so is one of which it is NULL."""
    condition = read_sql("10 / shop_id > 2 AND shop.town <> 'York'", parse_sql)
    table = replace(TABLE, types={}, where=condition)
    ids = pa.array(range(1, 7), pa.int64())
    sales = {"sale_id": ids, "sold_at": ["2024-01-01"] * 6, "shop_id": pa.array([0, 1, 9, None, 2, 3], pa.int32())}
    found = convert(table, SourceRows(pa.table(sales), SALE_TYPES), {"shop": SHOPS}, KEYS)
    assert found.rows["sale_id"].to_pylist() == [2, 5]
    assert found.rows["town"].to_pylist() == ["Bath", "Leeds"]
    assert found.unmatched is not None and found.unmatched.to_pylist() == [{"sale_id": number} for number in (3, 4, 6)]
    assert found.rejected_rows == 1
    text = str(condition)
    assert [tuple(row.values()) for row in found.rejects.to_pylist()] == [
        ("sale", "1", text, "shop_id = 0, shop.town = NULL", "division by zero")
    ]


@pytest.mark.parametrize(
    ("wanted", "arrow"), [("character varying(4)", pa.string()), ("integer", pa.int32()), ("date", pa.date32())]
)
def test_column_that_the_source_did_not_have_is_null_of_its_type(wanted: str, arrow: pa.DataType) -> None:
    """Where the warehouse needs a value, the row is rejected, and the reason says why there is none."""
    shops = SourceRows(SHOPS.rows.set_column(1, "town", pa.nulls(3, pa.string())), {**SHOPS.types, "town": ABSENT})
    sales = {"sale_id": pa.array([1], pa.int64()), "sold_at": ["2024-01-01"], "shop_id": pa.array([1], pa.int32())}
    source = SourceRows(pa.table(sales), SALE_TYPES)
    free = replace(TABLE, types={"town": ColumnType(wanted, required=False)})
    found = convert(free, source, {"shop": shops}, KEYS)
    assert (found.rows["town"].type, found.rows["town"].to_pylist(), found.rejected_rows) == (arrow, [None], 0)
    needed = replace(TABLE, types={"town": ColumnType(wanted, required=True)})
    found = convert(needed, source, {"shop": shops}, KEYS)
    reason = "NULL, as the source had no such column then, and fact_sale.town is NOT NULL"
    assert [tuple(row.values())[1:] for row in found.rejects.to_pylist()] == [("1", "shop.town", None, reason)]


def test_key_of_a_reject_is_as_the_warehouse_writes_it() -> None:
    """Or as the source does, where the warehouse's type has no such key, or the lake's."""
    types = {"sale_id": ColumnType("numeric(3,1)", required=True), "day": ColumnType("date", required=True)}
    table = replace(TABLE, joins={}, columns={name: TABLE.columns[name] for name in types}, types=types)
    sales = {"sale_id": ["1", "12.50", "700", None], "sold_at": [None, "2024-01-01", "2024-01-02", "2024-01-03"]}
    rows = pa.table({**sales, UNREADABLE: [None, None, None, '{"sale_id":"1e900"}']})
    source = SourceRows(rows, {"sale_id": "numeric", "sold_at": "text"})
    found = convert(table, source, {}, KEYS)
    assert found.rows.to_pylist() == [{"sale_id": Decimal("12.5"), "day": datetime.date(2024, 1, 1)}]
    assert [(row["key"], row["column"], row["value"]) for row in found.rejects.to_pylist()] == [
        ("1e900", "sale_id", "1e900"),
        ("700", "sale_id", "700"),
        ("1.0", "sold_at", None),
    ]


def test_reference_that_the_lake_cannot_represent_is_named() -> None:
    """By its column, and along a path by the join before it; the row is rejected also where no column needs a value."""
    joins = {"shop": Join("shop", ("shop_id",)), "area": Join("area", ("region",), "shop")}
    columns = {"id": parse_expression("sale_id"), "area": parse_expression("area.name")}
    table = replace(TABLE, keys=("id",), joins=joins, columns=columns, types={})
    shop_ids = pa.array([1, 2, None], pa.int32())
    noted = pa.array([None, '{"region":"1e900"}', None])
    shops = pa.table({"shop_id": shop_ids, "region": pa.array([7, None, None], pa.int32()), UNREADABLE: noted})
    sales = pa.table(
        {
            "sale_id": pa.array([1, 2, 3], pa.int64()),
            "shop_id": pa.array([1, 2, None], pa.int32()),
            UNREADABLE: pa.array([None, None, '{"shop_id":"1e99"}']),
        }
    )
    joined = {
        "shop": SourceRows(shops, {"shop_id": "integer", "region": "integer"}),
        "area": SourceRows(
            pa.table({"region": pa.array([7], pa.int32()), "name": ["x"]}), {"region": "integer", "name": "text"}
        ),
    }
    found = convert(table, SourceRows(sales, SALE_TYPES), joined, {**KEYS, "area": ("region",)})
    assert found.rows.to_pylist() == [{"id": 1, "area": "x"}]
    assert [tuple(row.values())[1:4] for row in found.rejects.to_pylist()] == [
        ("3", "shop_id", "1e99"),
        ("2", "shop.region", "1e900"),
    ]
