"""The page Warehouse: the versions of a row, and how an answer is written and drawn."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_toolkit.pipeline.dashboard.pages import warehouse
from lambda_toolkit.pipeline.dashboard.pages.model import View
from lambda_toolkit.pipeline.dashboard.readings import Reading
from tests.unit.dashboard.documents import HISTORY, NOW, question, view

DASH = "\N{EN DASH}"


def test_versions_have_heads_and_cells():
    first, last = HISTORY["versions"]
    first = {**first, "values": {**first["values"], "amount": None}}
    found = warehouse.history(view(history={**HISTORY, "versions": [{**first, "record": 1234}, last]}))
    assert found["heads"] == [
        {"number": 1, "record": "1,234", "from": "10:00:00", "to": "11:00:00", "is_last": False},
        {"number": 2, "record": "19", "from": "11:00:00", "to": "", "is_last": True},
    ]
    assert found["rows"][0] == {
        "column": "paid",
        "changed": True,
        "cells": [{"text": "no", "changed": False}, {"text": "yes", "changed": True}],
    }
    assert [row["changed"] for row in found["rows"]] == [True, False, False]
    assert [cell["text"] for cell in found["rows"][2]["cells"]] == [DASH, "12.50"]
    del found["heads"], found["rows"]
    assert found == {
        "tables": ["fact_sales_order", "fact_payment"],
        "table": "fact_payment",
        "key": "7",
        "key_columns": "payment_id",
        "last_changed": [{"key": "7", "versions": "2 versions"}],
        "changed": 1,
        "deleted": "",
    }


def test_row_that_was_not_read_keeps_what_was_asked_for():
    found = warehouse.history(view({"table": "t", "key": "9"}, history="down"))
    lists: dict[str, list[str]] = {name: [] for name in ("tables", "last_changed", "heads", "rows")}
    assert found == {**lists, "table": "t", "key": "9", "key_columns": "", "changed": 0, "deleted": ""}
    assert warehouse.history(view(history="down"))["table"] == ""


def answer(columns: dict[str, str], *rows: list[Any], **changed: Any) -> dict[str, Any]:
    return warehouse._answer({**question(columns, *rows), **changed})


def test_answer_shows_eight_rows_before_the_others():
    columns = {"order_id": "int64", "net_amount": "double", "kind": "string", "at": "date32[day]"}
    found = answer(columns, *([1000 + n, 1234.5, "1000", "2026-01-02"] for n in range(10)), more=3, number=4)
    assert found["columns"] == [("order id", True), ("net amount", True), ("kind", False), ("at", False)]
    assert found["right"] == [True, True, False, False]
    assert (len(found["rows"]), len(found["more"]), found["not_shown"], found["number"]) == (8, 2, 3, 4)
    assert found["rows"][0] == ["1000", "1,234.5", "1000", "2026-01-02"]
    assert (found["more"][0][0], found["error"], found["sql"]) == ("1008", None, "SELECT 1 < 2;")


@pytest.mark.parametrize(
    ("name", "kind", "value", "shown"),
    [
        ("year", "int32", 2026, "2026"),
        ("order_id", "int64", 12345, "12345"),
        ("Customer_Key", "int64", 12345, "12345"),
        ("number", "uint32", 12345, "12345"),
        ("postal_code", "int32", 12345, "12345"),
        ("order_id", "int64", None, DASH),
        ("avg_id", "double", 1234.5, "1,234.5"),
        ("idea", "int64", 12345, "12,345"),
        ("paid", "int64", 12345, "12,345"),
        ("years", "int64", 12345, "12,345"),
        ("id_count", "int64", 12345, "12,345"),
        ("amount", "decimal128(38, 2)", "12345.60", "12,345.60"),
        ("amount", "float", 12345.5, "12,345.5"),
        ("name", "string", "12345", "12345"),
        ("name", "string", None, DASH),
        ("flag", "bool", True, "yes"),
    ],
)
def test_cell_has_commas_unless_its_number_is_a_name(name, kind, value, shown):
    assert warehouse._shown({"name": name, "type": kind}, value) == shown


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        *((kind, True) for kind in ("int16", "uint8", "decimal128(38, 2)", "double", "float")),
        *((kind, False) for kind in ("string", "bool", "date32[day]", "timestamp[us]", "time64[us]")),
    ],
)
def test_numbers_are_at_the_right(kind, right):
    assert answer({"a_b": kind}, [None])["columns"] == [("a b", right)]


def test_stale_answers_are_shown_with_the_reason():
    asked = question({"n": "int64"}, [1])
    readings = {"questions": Reading({"file": "f", "questions": [asked]}, "No answer."), "tables": Reading(None, "x")}
    found = {each.id: each for each in warehouse.sections(View(readings, NOW, str))}
    assert (found["question-1"].problem, found["question-1"].shown["rows"]) == ("No answer.", [["1"]])
    nothing = {"questions": Reading({"file": "f", "questions": []})}
    [asks] = [each for each in warehouse.sections(View(nothing, NOW, str)) if each.id == "questions"]
    assert (asks.title, asks.macro, asks.shown, asks.problem) == ("Questions", "no_questions", {"file": "f"}, None)


@pytest.mark.parametrize(
    ("values", "falls"),
    [
        ([3, 2, 1], True),
        ([3, 3, 1], True),
        ([3, 3], False),
        ([1, 2], False),
        ([3, None, 1], False),
        ([3, "NaN", 1], False),
        ([None, None], False),
        (["10", "9"], True),
    ],
)
def test_numbers_fall_where_the_last_is_below_the_first(values, falls):
    assert warehouse._is_falling(values) is falls


def test_bars_are_of_the_number_that_sorts_the_rows():
    rows = [[f"name {n}", f"city {n}", "x", n * 7 % 10, 1000 * (20 - n)] for n in range(10)]
    columns = {"a_name": "string", "city": "string", "more": "string", "rank_of": "int64", "net_sum": "int64"}
    chart = warehouse.chart_of(question(columns, *rows))
    assert chart and chart.title == "What did we sell?"
    assert chart.columns == ("a_name", "net sum")
    assert chart.rows == tuple((f"name {n} city {n}", f"{20 - n}k") for n in range(8)), "eight at most"
    assert chart.description == "Net sum, from name 0 city 0 20,000 to name 7 city 7 13,000."


def test_bars_of_the_last_two_numbers_of_one_type_are_stacked():
    columns = {"kind": "string", "one": "int64", "two": "int64", "share": "double", "three": "int64"}
    chart = warehouse.chart_of(question(columns, ["a", 1, 2, 0.5, 3], ["b", 4, 5, 0.6, 6]))
    assert chart and chart.columns == ("kind", "two", "three")
    assert chart.rows == (("a", "2", "3"), ("b", "5", "6"))
    assert chart.description == "Two and three, from a 2 to b 5."


def test_rows_in_the_order_of_their_first_number_have_no_bars():
    columns = {"day_number": "int64", "units": "int64"}
    assert warehouse.chart_of(question(columns, [1, 9], [2, 8])) is None
    drawn = warehouse.chart_of(question(columns, [2, 9], [1, 8]))
    assert drawn and drawn.rows == (("2", "9"), ("1", "8"))
    assert warehouse.chart_of(question(columns, [2, 8], [1, 9])) is None, "the first column is no measure"
    assert warehouse.chart_of(question(columns, [2, 9])) is None, "one row is no picture"
    assert warehouse.chart_of(question({"kind": "string"}, ["a"], ["b"])) is None


def test_lines_are_the_last_days_of_at_most_four_names():
    columns = {"day": "date32[day]", "shop_name": "string", "orders": "int64", "net_sum": "int64"}
    days = [f"2026-{month:02}-{day:02}" for month in (1, 2) for day in range(1, 21)]
    rows = [[day, f"s{shop}", 1, 1000 * shop] for day in days for shop in range(1, 6)]
    chart = warehouse.chart_of(question(columns, *reversed(rows), [None, "s9", 1, 1]))
    assert chart and chart.columns == ("day", "s5", "s4", "s3", "s2")
    assert [row[0] for row in chart.rows] == days[-30:]
    assert chart.rows[0][1:] == ("5k", "4k", "3k", "2k")
    assert chart.description == f"Net sum on each day from {days[-30]} to {days[-1]}, for s5, s4, s3, s2."
    single = {"day": "date32[day]", "net_sum": "int64"}
    one = warehouse.chart_of(question(single, ["2026-01-02", 5], ["2026-01-01", None]))
    assert one and (one.columns, one.rows) == (("day", "net_sum"), (("2026-01-01", DASH), ("2026-01-02", "5")))
    assert one.description == "Net sum on each day from 2026-01-01 to 2026-01-02."


def test_value_that_no_chart_can_show_leaves_a_gap():
    """Neither NaN nor infinity has a place on an axis, nor has a row without its day."""
    bars = warehouse.chart_of(question({"name": "string", "share": "double"}, ["a", "NaN"], ["b", 2.0], ["c", 1e999]))
    assert bars and bars.rows == (("a", DASH), ("b", "2"), ("c", DASH))
    columns = {"day": "date32[day]", "shop": "string", "share": "double"}
    lines = warehouse.chart_of(question(columns, ["2026-01-01", "s", float("nan")], ["2026-01-02", "s", 1.0]))
    assert lines and lines.rows == (("2026-01-01", DASH), ("2026-01-02", "1"))
    assert warehouse.chart_of(question(columns, [None, "s", 1.0], [None, "t", 2.0])) is None
