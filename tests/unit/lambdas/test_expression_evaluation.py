"""Expressions computed on Arrow columns, without a server. `make expressions` compares them with PostgreSQL."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import DeclarationError
from lambda_toolkit.pipeline.lambdas.shared.expression.check import refused_expressions
from lambda_toolkit.pipeline.lambdas.shared.expression.resolve import resolve
from lambda_toolkit.pipeline.lambdas.shared.expression.signatures import CALLED, SIGNATURES, SPECIAL
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import UNREADABLE
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import SqlExpression, read_expression, read_sql
from lambda_toolkit.pipeline.lambdas.shared.model.schema_declarations import ColumnType
from lambda_toolkit.pipeline.lambdas.transform.columns.convert import convert
from lambda_toolkit.pipeline.lambdas.transform.columns.source_rows import SourceRows
from lambda_toolkit.pipeline.lambdas.transform.expressions import evaluate as evaluation
from lambda_toolkit.pipeline.lambdas.transform.expressions.evaluate import KERNELS, evaluate, output
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression
from tests.expressions import page

TYPES = {
    "whole": "integer",
    "price": "numeric(10,2)",
    "name": "text",
    "seen": "timestamp without time zone",
    "doc": "jsonb",
    "num": "numeric",
}


def computed(text: str, **columns) -> list:
    """What the rows of ``columns`` give, as PostgreSQL writes it, or the reason why they give nothing."""
    typed = resolve(parse_expression(text), lambda path: TYPES[path[0]])
    arrays = {name: pa.chunked_array([pa.array(values)]) for name, values in columns.items()}
    rows = len(next(iter(arrays.values()))) if arrays else 1
    values, reasons = evaluate(typed, lambda path: arrays[path[0]], rows)
    texts = output(values, typed.type).to_pylist()
    why = reasons.to_pylist() if reasons is not None else [None] * rows
    return [reason or value for value, reason in zip(texts, why, strict=True)]


WIDE = " * ".join(["price"] * 7)  # 76 digits, as many as Arrow's decimals have


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        *(("price", 2), ("price + 1.234", 3), ("1.234 - price", 3), ("price * 1.25", 4), ("price * -0.125", 5)),
        *(("-price", 2), ("abs(price)", 2), ("+price", 2), ("price * whole", 2), ("whole::numeric + price", 2)),
        *(("whole::numeric", 0), ("1.50", 2), ("-1.50", 2), ("0.05", 2), ("0", None), ("whole * 1.5", 1)),
        *((WIDE, 14), (f"{WIDE} * price", None), (f"{WIDE} + 0.1", None), (f"{WIDE[:-8]} + {'9' * 38}", 12)),
        *((f"-{WIDE} * 1", None), (f"price * {'9' * 38}", 2), (f"price * {'9' * 39}", None)),
        *((f"price * 1.{'9' * 37}", 39), ("price + 'NaN'", None), ("price / 3", None), ("price % 3", None)),
        *(("coalesce(price, price)", 2), ("coalesce(price, 1.5)", None), ("num + price", None)),
    ],
)
def test_numeric_is_a_decimal_where_types_say_its_scale(text: str, scale: int | None) -> None:
    """Then it is computed for all rows together; else it is a text, each of which has its own scale."""
    typed = resolve(parse_expression(text), lambda path: TYPES[path[0]])
    columns = {
        "price": pa.chunked_array([pa.array([Decimal("1.50")], pa.decimal128(10, 2))]),
        "whole": pa.chunked_array([pa.array([2], pa.int32())]),
        "num": pa.chunked_array([pa.array(["1.5"])]),
    }
    values, reasons = evaluate(typed, lambda path: columns[path[0]], 1)
    assert reasons is None
    assert (values.type.scale if pa.types.is_decimal(values.type) else None) == scale


def test_every_operation_of_the_list_is_implemented():
    implemented = {*KERNELS, *evaluation._CONTROL}
    assert {*SIGNATURES, *SPECIAL, "cast", "case"} == implemented
    assert {*CALLED} <= implemented


def test_failed_row_has_the_reason_and_others_go_on():
    assert computed("7 / whole", whole=pa.array([2, 0, None], pa.int32())) == ["3", "division by zero", None]
    assert computed("whole + 1", whole=pa.array([2**31 - 1, 1], pa.int32())) == ["integer out of range", "2"]
    assert computed("name::integer", name=["7", "x"]) == ["7", "invalid input syntax for type integer"]


def test_product_has_as_many_decimals_as_a_numeric_may_have():
    one_more = f"1.{'0' * 9_999}5"
    assert computed("num * num", num=[one_more]) == [f"1.{'0' * 9_998}1{'0' * (16_383 - 9_999)}"]


def test_name_of_a_currency_is_a_part_of_an_expression():
    """PostgreSQL has no such function, so no comparison with it has it."""
    codes = ["gbp", None, "zz", "XAF"]
    assert computed("currency_name(upper(name)) || '!'", name=codes) == [
        *("Pound Sterling!", None, "not a currency code of ISO 4217", "CFA Franc BEAC!"),
    ]
    assert computed("currency_name(name)", name=["EUR"]) == ["Euro"]


def test_branch_that_is_not_reached_cannot_fail():
    whole = pa.array([0, 2, None], pa.int32())
    assert computed("CASE WHEN whole = 0 THEN -1 ELSE 10 / whole END", whole=whole) == ["-1", "5", None]
    assert computed("coalesce(whole, 1 / (whole - whole))", whole=whole) == ["0", "2", None]
    assert computed("whole <> 0 AND 10 / whole > 1", whole=whole) == ["f", "t", None]


def test_strict_function_of_a_constant_null_is_not_computed():
    """PostgreSQL does not compute its other arguments either, which would fail."""
    whole = pa.array([0, 2], pa.int32())
    assert (
        computed("NULL + 10 / whole", whole=whole) == computed("upper(10 / whole || NULL)", whole=whole) == [None] * 2
    )


def test_constants_need_no_column():
    assert computed("'web'") == ["web"]
    assert computed("7 / 2") == ["3"]
    assert computed("7 / 2.0") == ["3.5000000000000000"]


def test_rows_are_computed_in_slices_with_one_result(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(evaluation, "SLICE", 3)
    whole = pa.array([4, 2, 0, 1, None, 8, 16], pa.int32())
    assert computed("16 / whole", whole=whole) == ["4", "8", "division by zero", "16", None, "2", "1"]
    assert computed("whole + 1", whole=pa.array([], pa.int32())) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("name LIKE '%a%a%a%a%a%a%a%a%b'", "a" * 20_000),
        ("replace(name, 'aa', 'b')", "a" * 1_000_000),
        ("btrim(name, 'ab')", "ab" * 500_000),
        ("name #>> '{a}'", None),
        ("upper(name) || name", "ß" * 500_000),
    ],
)
def test_cost_is_linear_in_the_text(text, name):
    if name is None:
        text, name = "doc #>> '{x}'", '{"a": ' + "[" * 100_000 + "]" * 100_000 + ', "x": 1}'
    begin = time.process_time()
    computed(text, **{"doc" if "doc" in text else "name": [name]})
    assert time.process_time() - begin < 2.0


DECLARED = {
    "source": {"sale": {"key": "sale_id"}, "shop": {"key": "shop_id"}},
    "warehouse": {
        "fact_sale": {
            "kind": "fact",
            "from": "sale",
            "key": "sale_id",
            "record": "record_id",
            "join": {"shop": "shop_id"},
            "columns": {
                "sale_id": "sale_id",
                "share": "round(price / quantity, 2)",
                "label": "upper(shop.town) || '-' || sale_id",
                "origin": "'web'",
            },
        }
    },
}
SALES = {"sale_id": "bigint", "price": "numeric(10,2)", "quantity": "integer", "shop_id": "integer"}
SHOPS = {"shop_id": "integer", "town": "text"}


def test_expression_columns_are_packaged_checked_and_converted():
    """From the text of a configuration, by way of the JSON in the package, to rows and rejects."""
    parsed = parse(DECLARED, parse_expression)
    columns = {
        name: found.to_json() if isinstance(found, SqlExpression) else str(found)
        for name, found in parsed.warehouse["fact_sale"].columns.items()
    }
    packaged = {**DECLARED["warehouse"]["fact_sale"], "columns": json.loads(json.dumps(columns))}
    declared = parse({**DECLARED, "warehouse": {"fact_sale": packaged}})
    assert declared == parsed
    assert set(declared.needed_columns()["sale"]) == {"sale_id", "shop_id", "price", "quantity"}
    assert set(declared.needed_columns()["shop"]) == {"shop_id", "town"}
    assert list(refused_expressions(declared, {"sale": SALES, "shop": SHOPS})) == []

    table = replace(declared.warehouse["fact_sale"], types={"share": ColumnType("numeric(4,2)", required=True)})
    rows = pa.table(
        {
            "sale_id": pa.array([1, 2, 3, 4], pa.int64()),
            "price": pa.array([Decimal("10.00"), Decimal("5.00"), Decimal("100.00"), None], pa.decimal128(10, 2)),
            "quantity": pa.array([3, 0, 1, 1], pa.int32()),
            "shop_id": pa.array([1, 1, 1, 1], pa.int32()),
        }
    )
    shops = SourceRows(pa.table({"shop_id": pa.array([1], pa.int32()), "town": ["Köln"]}), SHOPS)
    found = convert(table, SourceRows(rows, SALES), {"shop": shops}, {"sale": ("sale_id",), "shop": ("shop_id",)})
    assert found.rows.to_pylist() == [{"sale_id": 1, "share": Decimal("3.33"), "label": "KÖLN-1", "origin": "web"}]
    assert [tuple(row.values())[1:] for row in found.rejects.to_pylist()] == [
        ("2", "round(price / quantity, 2)", "price = 5.00, quantity = 0", "division by zero"),
        ("3", "round(price / quantity, 2)", "100.00", "does not fit fact_sale.share, which is numeric(4,2)"),
        ("4", "round(price / quantity, 2)", None, "NULL, and fact_sale.share is NOT NULL"),
    ]


def test_value_that_the_lake_does_not_have_rejects_the_row():
    """Such a value is NULL in the lake, and the expression must not take it for one."""
    text = "coalesce(price, 0) + quantity"
    table = replace(
        parse(DECLARED, parse_expression).warehouse["fact_sale"],
        joins={},
        columns={"sale_id": read_expression("sale_id"), "total": read_expression(text, parse_expression)},
    )
    rows = pa.table(
        {
            "sale_id": pa.array([1, 2], pa.int64()),
            "price": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
            "quantity": pa.array([3, 3], pa.int32()),
            UNREADABLE: [None, '{"price":"NaN"}'],
        }
    )
    for condition in (None, read_sql("price IS NULL OR price > 1", parse_expression)):
        found = convert(replace(table, where=condition), SourceRows(rows, SALES), {}, {"sale": ("sale_id",)})
        assert found.rows.to_pylist() == [{"sale_id": 1, "total": "4.50"}]
        assert ("2", "price", "NaN") in {tuple(row.values())[1:4] for row in found.rejects.to_pylist()}
        assert condition is None or found.unmatched.num_rows == 0


def test_expression_that_does_not_fit_the_source_is_refused():
    declared = parse(DECLARED, parse_expression)
    table = replace(declared.warehouse["fact_sale"], types={"share": ColumnType("date", required=False)})
    declared = replace(declared, warehouse={"fact_sale": table})
    (label, share) = sorted(refused_expressions(declared, {"sale": SALES, "shop": {**SHOPS, "town": "date"}}))
    assert label.startswith("The column fact_sale.label = \"upper(shop.town) || '-' || sale_id\" cannot be computed:")
    assert "there is no function upper for date: it takes text (at character 1)." in label
    assert share.startswith(
        "The column fact_sale.share = 'round(price / quantity, 2)' is of type numeric and cannot be"
    )
    assert list(refused_expressions(declared, {})) == [], "what is not known is not checked"
    with pytest.raises(DeclarationError, match="column `share` = 'round"):
        parse(DECLARED)


def test_list_on_the_page_is_the_list_of_the_code():
    assert page.table() in page.PAGE.read_text(encoding="utf-8"), "run: python -m tests.expressions.page"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("false AND NULL", "f"),
        ("true OR NULL", "t"),
        ("NULL IS NULL", "t"),
        ("NULL IS TRUE", "f"),
        ("NULL IS NOT FALSE", "t"),
        ("1 IS DISTINCT FROM NULL", "t"),
        ("NULL IS NOT DISTINCT FROM NULL", "t"),
        ("concat('a', NULL)", "a"),
        ("concat_ws('-', 'a', NULL, 'b')", "a-b"),
        ("coalesce(NULL, 1)", "1"),
        ("coalesce(NULL::integer, 1.5)", "1.5"),
        ("greatest(NULL::integer, 1.5, NULL)", "1.5"),
        ("CASE WHEN true THEN NULL::integer ELSE 1.5 END", None),
        ("nullif(7, NULL)", "7"),
        ("nullif(NULL, 7)", None),
        ("greatest(1, NULL)", "1"),
        ("least(NULL, 1)", "1"),
        ("CASE WHEN NULL THEN 1 ELSE 2 END", "2"),
        ("1 IN (NULL, 1)", "t"),
        ("1 IN (NULL, 2)", None),
        ("NOT NULL", None),
        ("upper(NULL) || 'a'", None),
        ("1 + NULL", None),
    ],
)
def test_function_of_null_is_null_unless_it_is_not_strict(text: str, value: str | None) -> None:
    assert computed(text) == [value]
