"""Each derivation on an Arrow column, compared with plain Python on the same values."""

from __future__ import annotations

import calendar
import datetime
import json
import re
from decimal import Context, Decimal, InvalidOperation

import pandas as pd
import pyarrow as pa
import pycountry
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.shared.errors import DeclarationError
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import UNREADABLE, arrow_type
from lambda_toolkit.pipeline.lambdas.shared.model.calendar import (
    ATTRIBUTES,
    LONGEST_TEXTS,
    Calendar,
    parse_calendar,
)
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import (
    EXPRESSIONS,
    Expression,
    parse_expression,
    read_expression,
)
from lambda_toolkit.pipeline.lambdas.transform.columns.convert import _FUNCTIONS, derive
from lambda_toolkit.pipeline.lambdas.transform.columns.currencies import NAMES
from lambda_toolkit.pipeline.lambdas.transform.columns.date_dimension import date_dimension
from lambda_toolkit.pipeline.lambdas.transform.columns.lookup import lookup
from lambda_toolkit.pipeline.lambdas.transform.columns.rejects import build_rejects
from lambda_toolkit.pipeline.lambdas.transform.columns.source_rows import SourceRows
from lambda_toolkit.pipeline.warehouse import expression_parser


def column(expression: str, values, kind, postgres_type: str = "text") -> tuple[list, list]:
    """The result values, and for each whether it is at fault."""
    rows = SourceRows(pa.table({"c": pa.array(values, kind)}), {"c": postgres_type})
    result = derive(parse_expression(expression), rows, {})
    faults = [any(error.rows[i].as_py() for error in result.errors) for i in range(len(values))]
    return result.values.to_pylist(), faults


def test_every_registered_function_reads_its_types():
    """Each function of the registry has an implementation, and that reads a column of every type it accepts."""
    assert set(_FUNCTIONS) == set(EXPRESSIONS)
    for name, function in EXPRESSIONS.items():
        expression = ", ".join(("c", *("9" for _ in function.integers)))
        for accepted in function.accepts:
            values, faults = column(f"{name}({expression})", [None], arrow_type(accepted), accepted)
            assert (values, faults) == ([None], [False]), (name, accepted)


def iso_date(text):
    try:
        date = datetime.date.fromisoformat(text)
    except ValueError:
        return None
    return date if date.isoformat() == text else None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.dates().map(datetime.date.isoformat),
            st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True),
            st.text(max_size=12),
        ),
        max_size=20,
    )
)
def test_text_is_a_date_exactly_when_it_is_one_in_iso_form(texts):
    values, faults = column("date(c)", texts, pa.string())
    assert values == [None if text is None else iso_date(text) for text in texts]
    assert faults == [text is not None and iso_date(text) is None for text in texts]


@pytest.mark.parametrize(
    "text", ["2023-02-29", "2023-2-3", "0000-01-01", "2023-13-01", "2023-01-01 ", "", "10000-01-01"]
)
def test_what_looks_like_a_date_is_not_bent_into_one(text):
    assert column("date(c)", [text], pa.string()) == ([None], [True])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.datetimes()), max_size=10))
def test_timestamps_split_into_a_date_and_a_time(moments):
    dates, _ = column("date(c)", moments, pa.timestamp("us"))
    times, _ = column("time(c)", moments, pa.timestamp("us"))
    assert dates == [moment and moment.date() for moment in moments]
    assert times == [None if moment is None else moment.time() for moment in moments]


def test_a_time_with_time_zone_is_its_moment_in_utc():
    moment = datetime.datetime(2024, 1, 1, 23, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=-2)))
    assert column("date(c)", [moment], pa.timestamp("us", "UTC"))[0] == [datetime.date(2024, 1, 2)]
    assert column("time(c)", [moment], pa.timestamp("us", "UTC"))[0] == [datetime.time(1, 30)]


def test_a_date_stays_a_date():
    assert column("date(c)", [datetime.date(2024, 2, 29), None], pa.date32())[0] == [datetime.date(2024, 2, 29), None]


WIDE = Context(prec=80)  # Python's own default would round


def fitting(value: Decimal, precision: int, scale: int):
    try:
        exact = value.quantize(Decimal(1).scaleb(-scale), context=WIDE)
    except InvalidOperation:
        return None
    return exact if exact == value and abs(exact) < Decimal(10) ** (precision - scale) else None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.none(), st.decimals(-(10**20), 10**20, places=4), st.decimals(-999, 999, places=2)), max_size=12
    ),
    st.sampled_from([(10, 2), (18, 2), (4, 4), (38, 10), (3, 0)]),
)
def test_a_decimal_fits_exactly_or_is_at_fault(values, shape):
    precision, scale = shape
    found, faults = column(f"decimal(c, {precision}, {scale})", values, pa.decimal128(38, 10))
    assert found == [None if value is None else fitting(value, precision, scale) for value in values]
    assert faults == [value is not None and fitting(value, precision, scale) is None for value in values]


@pytest.mark.parametrize("kind", [pa.int16(), pa.int32(), pa.int64(), pa.decimal128(5, 2), pa.decimal128(12, 2)])
def test_a_decimal_of_any_number_column(kind):
    values = [Decimal(5), None] if pa.types.is_decimal(kind) else [5, None]
    assert column("decimal(c, 10, 2)", values, kind) == ([Decimal("5.00"), None], [False, False])


def test_currencies_are_those_of_the_standard():
    assert dict(NAMES) == {currency.alpha_3: currency.name for currency in pycountry.currencies}
    assert (NAMES["GBP"], NAMES["USD"], NAMES["EUR"]) == ("Pound Sterling", "US Dollar", "Euro")
    values, faults = column("currency_name(c)", ["GBP", "ZZZ", None, "gbp"], pa.string())
    assert (values, faults) == (["Pound Sterling", None, None, None], [False, True, False, True])


def test_join_returns_the_row_null_or_an_error():
    """A join finds the row or nothing or says that it is not there."""
    rows = SourceRows(pa.table({"d": pa.array([2, None, 2**40, 1], pa.int64())}), {"d": "bigint"})
    columns = {"id": pa.array([1, 2], pa.int32()), "name": ["one", "two"]}
    other = SourceRows(pa.table(columns), {"id": "integer", "name": "text"})
    found = lookup(rows, ["d"], other, ["id"], "department")
    assert found.found.rows["name"].to_pylist() == ["two", None, None, "one"]
    assert found.dangling[0].rows.to_pylist() == [False, False, True, False]
    assert derive(parse_expression("department.name"), rows, {"department": found}).values.to_pylist()[0] == "two"


@pytest.mark.parametrize(
    ("values", "kind", "keys", "key_kind", "found"),
    [
        ([1, 2**40, 3], "bigint", [1, 3], "integer", [1, None, 3]),
        (["1", "abc", "01", " 1", str(2**40)], "text", [1, 3], "integer", [1, None, None, None, None]),
        ([1.0, 1.5, float("nan"), 3.0], "double precision", [1, 3], "smallint", [1, None, None, 3]),
        ([Decimal("1.00"), Decimal("1.50")], "numeric(5,2)", [1, 3], "integer", [1, None]),
        (["1.0", "1.5", "1" * 60, "NaN"], "numeric", [1, 3], "bigint", [1, None, None, None]),
        ([1, 3], "integer", ["1", "2.5"], "numeric", ["1", None]),
        (["ab    ", "ab", "a"], "character(6)", ["ab", "b"], "text", ["ab", "ab", None]),
        (
            [datetime.date(2024, 1, 1)],
            "date",
            [datetime.datetime(2024, 1, 1)],
            "timestamp without time zone",
            [datetime.datetime(2024, 1, 1)],
        ),
        ([True, False], "boolean", ["true", "t"], "text", ["true", None]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_reference_outside_the_keys_type_finds_no_row(values, kind, keys, key_kind, found):
    """A reference that no value of the key's type equals is one to a missing row; it raises nothing."""
    rows = SourceRows(pa.table({"d": pa.array(values, arrow_type(kind))}), {"d": kind})
    other = SourceRows(pa.table({"id": pa.array(keys, arrow_type(key_kind))}), {"id": key_kind})
    result = lookup(rows, ["d"], other, ["id"], "department")
    assert result.found.rows["id"].to_pylist() == found
    assert result.dangling[0].rows.to_pylist() == [key is None for key in found]


def test_value_in_overflow_is_an_error_of_its_column():
    """A value that the lake could not hold is a fault of the column that reads it."""
    columns = {"a": pa.array([1, None], pa.int32()), "ab": ["x", "y"], UNREADABLE: [None, '{"a": "1e99"}']}
    rows = SourceRows(pa.table(columns), {"a": "integer", "ab": "text"})
    (error,) = derive(parse_expression("a"), rows, {}).errors
    assert error.rows.to_pylist() == [False, True]
    rejects = build_rejects("t", rows.rows["ab"], [error]).to_pylist()
    assert [(row["key"], row["column"], row["value"]) for row in rejects] == [("y", "a", "1e99")]
    assert not any(derive(parse_expression("ab"), rows, {}).errors[0].rows.to_pylist())


def test_value_in_overflow_of_a_column_with_any_name():
    """The name is JSON in the lake, and may have a dot."""
    for name in ('Unit "Price"', "a.b", "größe\\1"):
        columns = {name: pa.array([None], pa.int32()), UNREADABLE: [json.dumps({name: "1e99"}, ensure_ascii=False)]}
        rows = SourceRows(pa.table(columns), {name: "integer"})
        (error,) = derive(Expression(name), rows, {}).errors
        assert build_rejects("t", pa.chunked_array([["k"]]), [error])["value"].to_pylist() == ["1e99"]


IDENTIFIERS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8) | st.sampled_from(
    ("0", "true", "NULL", "current_date", "select", "case")
)


@given(IDENTIFIERS, st.none() | IDENTIFIERS, st.sampled_from((None, *EXPRESSIONS)))
def test_an_expression_reads_back_whatever_the_names(column, table, function):
    arguments = (10, 2) if function == "decimal" else ()
    expression = Expression(column, table, function, arguments)
    assert parse_expression(f" {expression} ") == expression
    assert read_expression(str(expression), expression_parser.parse_expression) == expression, "where SQL is read too"


@pytest.mark.parametrize("text", ['"a', 'a"b"', '""', 'date("a)', 'date("a" b)', "date()", "a b", "date(a, 1)", "a..b"])
def test_text_that_is_no_expression_is_refused(text):
    with pytest.raises(ValueError, match="neither a column|takes a column"):
        parse_expression(text)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.dates()), max_size=8), st.integers(1, 12))
@example([datetime.date(2024, month, 1) for month in range(1, 13)], 4)
@example([None, datetime.date(2024, 2, 29), datetime.date(2023, 12, 31), datetime.date(2023, 1, 1)], 1)
def test_the_calendar_agrees_with_python(dates, fiscal_year_start):
    every = Calendar({"date_id": "date", **{name: name for name in ATTRIBUTES}}, fiscal_year_start)
    rows = date_dimension(every, pa.array(dates, pa.date32()), datetime.date(2024, 5, 1)).to_pylist()
    assert [row["date_id"] for row in rows] == sorted({date for date in dates if date})
    for row in rows:
        date = row["date_id"]
        assert (row["year"], row["month"], row["day"], row["date"]) == (date.year, date.month, date.day, date)
        assert (row["iso_year"], row["iso_week"], row["day_of_week"]) == tuple(date.isocalendar())
        assert (row["day_name"], row["month_name"]) == (date.strftime("%A"), date.strftime("%B"))
        assert row["quarter"] == (date.month + 2) // 3
        assert row["day_of_year"] == date.timetuple().tm_yday
        assert row["is_weekend"] == (date.strftime("%a") in ("Sat", "Sun"))
        assert row["first_of_month"] == date.replace(day=1)
        assert row["last_of_month"] == date.replace(day=calendar.monthrange(date.year, date.month)[1])
        # The months since the first fiscal year began, counted one by one.
        months = date.year * 12 + date.month - 1 - (fiscal_year_start - 1)
        assert row["fiscal_month"] == months % 12 + 1
        assert row["fiscal_quarter"] == months % 12 // 3 + 1
        assert row["fiscal_year"] == months // 12 + (fiscal_year_start > 1)


@pytest.mark.parametrize(
    ("declared", "first", "last"),
    [
        ({}, None, None),
        ({"days_ahead": 0}, "2024-05-01", "2024-05-01"),
        ({"days_ahead": 2}, "2024-05-01", "2024-05-03"),
        ({"first_day": "2024-04-29"}, "2024-04-29", "2024-05-01"),
        ({"first_day": "2024-04-29", "days_ahead": 366}, "2024-04-29", "2025-05-02"),
        ({"first_day": "2024-05-03"}, None, None),
        ({"first_day": "2024-05-03", "days_ahead": 3}, "2024-05-03", "2024-05-04"),
    ],
)
def test_calendar_has_the_days_that_it_declares(declared, first, last):
    """Beside the dates that rows name, each once."""
    named = {datetime.date(1999, 12, 31), datetime.date(2024, 5, 1)}
    found = parse_calendar("[warehouse.dim_date]", "date_id", declared)
    rows = date_dimension(found, pa.array(list(named), pa.date32()), datetime.date(2024, 5, 1))
    days = set(pd.date_range(first, last).date) if first else set()
    assert rows["date_id"].to_pylist() == sorted(named | days)


@pytest.mark.parametrize(
    ("key", "entry", "message"),
    [
        (
            "date_id",
            {"columns": {"date_id": "date", "w": "week"}},
            "`w` = 'week' is not known of a date. Known: date, ",
        ),
        ("day", {"columns": {"date_id": "date"}}, '`key` must be the column with the date: write day = "date"'),
        ("date_id", {"columns": {}}, "`columns` must be a table of texts"),
        ("date_id", {"fiscal_year_start": 13}, "`fiscal_year_start` must be a number from 1 to 12, not 13"),
        ("date_id", {"days_ahead": True}, "`days_ahead` must be a number from 0 to 36525, not True"),
        ("date_id", {"first_day": "soon"}, "`first_day` must be a date such as"),
    ],
)
def test_calendar_that_cannot_be_made_is_refused(key, entry, message):
    with pytest.raises(DeclarationError, match=re.escape(message)):
        parse_calendar("[warehouse.dim_date]", key, entry)


def test_calendar_of_another_key_has_the_usual_columns():
    """Without the one that has the key's name."""
    usual = [column for column in Calendar().columns if column != "date_id"]
    assert list(parse_calendar("[warehouse.dim_day]", "date_key", {}).columns) == ["date_key", *usual]
    assert sorted(parse_calendar("[warehouse.dim_day]", "day", {}).columns) == sorted(usual)


def test_calendar_is_declared_to_its_edges():
    def declared(**entry: object) -> Calendar:
        return parse_calendar("Here", "date_id", entry)

    assert [declared(fiscal_year_start=month).fiscal_year_start for month in (1, 12)] == [1, 12]
    assert [declared(days_ahead=days).days_ahead for days in (0, 36_525)] == [0, 36_525]
    assert declared() == Calendar(Calendar().columns, 1, None, None)
    assert list(declared().columns.items()) == [
        ("date_id", "date"),
        *((name, name) for name in ("year", "month", "day", "day_of_week", "day_name", "month_name", "quarter")),
    ]
    wrong = {"fiscal_year_start": (0, 13, "4", 1.5, False), "days_ahead": (-1, 36_526, "3", True)}
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(DeclarationError, match=rf"^Here `{name}` must be a number from \d+ to \d+, not "):
                declared(**{name: value})
    for value in ("2024-13-01", 5, "soon"):
        with pytest.raises(DeclarationError, match=r"^Here `first_day` must be a date such as .*, not "):
            declared(first_day=value)
    assert declared(first_day=datetime.date(2024, 2, 29)).first_day == datetime.date(2024, 2, 29)
    for columns in ([], {}, "date", {"date_id": "year"}, {"other": "date"}):
        with pytest.raises(DeclarationError, match=r"^Here `(columns|key)` must be "):
            declared(columns=columns)
    last = datetime.date(9999, 12, 30)
    assert declared(days_ahead=3).days_of(last) == (last, datetime.date.max), "the years end there"
    assert declared().days_of(last) is None


def test_attributes_of_a_date_have_their_types():
    """As the warehouse's schema must declare the columns; texts as long as the longest name."""
    others = {"date": "date", "day_name": "text", "month_name": "text", "is_weekend": "boolean"}
    others |= {"first_of_month": "date", "last_of_month": "date"}
    numbers = ("year", "quarter", "month", "day", "day_of_week", "day_of_year", "iso_year", "iso_week")
    assert dict(ATTRIBUTES) == {
        **others,
        **dict.fromkeys((*numbers, "fiscal_year", "fiscal_quarter", "fiscal_month"), "integer"),
    }
    days = pa.array([datetime.date(2024, 1, 1) + datetime.timedelta(days=31 * n) for n in range(12)], pa.date32())
    rows = date_dimension(Calendar({"d": "date", "day": "day_name", "month": "month_name"}), days, datetime.date.min)
    longest = {name: max(map(len, rows[name].to_pylist())) for name in ("day", "month")}
    assert (
        dict(LONGEST_TEXTS)
        == {"day_name": longest["day"], "month_name": longest["month"]}
        == {"day_name": 9, "month_name": 9}
    )
