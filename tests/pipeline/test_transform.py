"""Every value arrives as it was: text, NULL, numbers, times, dates; and what cannot be converted is rejected."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal

import pytest

from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import UNREADABLE
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.calendar import ATTRIBUTES
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from tests.support.repository import configuration
from tests.support.source_model import EXPECTED, current_rows, expected_rows

TRICKY = [
    "",
    "NULL",
    "NA",
    "null",
    "nan",
    "None",
    " ",
    "\\N",
    "\\.",
    'a"b',
    "a,b",
    "a\nb",
    "a\r\nb",
    "08841",
    "9002744",
    "日本",
    "t",
    "'",
]


def rejected(pipeline, transformed, table):
    file = transformed.manifest.rejected[table]
    return pipeline.processed.table(file.key).to_pylist()


def test_everything_of_the_small_source_arrives(pipeline):
    pipeline.run()
    for table in EXPECTED:
        assert current_rows(pipeline.warehouse, table) == expected_rows(pipeline.reader, table), table


@pytest.mark.parametrize("setting", ["German", "SQL, DMY"])
def test_text_survives_whatever_the_server_and_its_roles_prefer(pipeline, setting):
    pipeline.admin.run(f"ALTER ROLE reader SET DateStyle = '{setting}'; ALTER ROLE reader SET TimeZone = 'Asia/Tokyo'")
    try:
        for number, text in enumerate(TRICKY, start=1000):
            pipeline.admin.run("INSERT INTO design VALUES (:n, now(), :t, :t, :t)", n=number, t=text)
        pipeline.run()
        rows = pipeline.rows(
            "SELECT design_name, file_location, file_name FROM dim_design WHERE design_id >= 1000 ORDER BY 1"
        )
        assert sorted(rows) == sorted([text, text, text] for text in TRICKY)
        assert current_rows(pipeline.warehouse, "fact_sales_order") == expected_rows(
            pipeline.reader, "fact_sales_order"
        )
    finally:
        pipeline.admin.run("ALTER ROLE reader RESET ALL")


def test_columns_that_nothing_is_made_of_are_not_read(pipeline, monkeypatch):
    """Payments have two account numbers, which no warehouse table has; what cannot be read is kept beside them."""
    read: dict[str, set[str]] = {}
    tables = Lake.iter_tables

    def remembering(lake, key, columns=None):
        for rows in tables(lake, key, columns):
            read.setdefault(key.split("/")[1], set()).update(rows.column_names)
            yield rows

    monkeypatch.setattr(Lake, "iter_tables", remembering)
    pipeline.extract()
    read.clear()
    pipeline.transform(1)
    needed = parse(configuration()).needed_columns()["payment"]
    assert read["payment"] == {*needed, UNREADABLE}
    assert "company_ac_number" not in read["payment"]


def test_null_is_null_and_is_nothing_else(pipeline):
    pipeline.run()
    assert pipeline.rows("SELECT address_line_2, district FROM dim_location ORDER BY location_id") == [
        [None, None],
        ["NA", ""],
        [None, "x"],
    ]
    assert pipeline.rows(
        "SELECT sales_order_id, purchase_order_id FROM dim_transaction WHERE transaction_id IN (1, 7) ORDER BY 1"
    ) == [
        [1, None],
        [None, 1],
    ]


def test_times_keep_their_milliseconds_and_amounts_every_digit(pipeline):
    pipeline.admin.run("UPDATE payment SET payment_amount = 9999999999999999.99 WHERE payment_id = 1")
    pipeline.admin.run("UPDATE sales_order SET created_at = '1969-12-31 23:59:59.999' WHERE sales_order_id = 1")
    pipeline.run()
    assert pipeline.rows("SELECT payment_amount FROM fact_payment WHERE payment_id = 1") == [
        [Decimal("9999999999999999.99")]
    ]
    assert pipeline.rows(
        "SELECT created_date, created_time, last_updated_time FROM fact_sales_order WHERE sales_order_id = 1"
    ) == [[datetime.date(1969, 12, 31), datetime.time(23, 59, 59, 999000), datetime.time(8, 0, 0, 960000)]]


def test_the_calendar_has_every_date_that_a_fact_names(pipeline):
    pipeline.run()
    assert pipeline.rows("SELECT * FROM dim_date WHERE date_id = '2024-02-29'") == [
        [datetime.date(2024, 2, 29), 2024, 2, 29, 4, "Thursday", "February", 1]
    ]
    assert pipeline.rows(
        """SELECT count(*) FROM dim_date
            WHERE (year, month, day, day_of_week, quarter, day_name, month_name) IS DISTINCT FROM
            (extract(year FROM date_id), extract(month FROM date_id), extract(day FROM date_id),
             extract(isodow FROM date_id), extract(quarter FROM date_id),
             trim(to_char(date_id, 'Day')), trim(to_char(date_id, 'Month')))"""
    ) == [[0]]


DAYS = """CREATE TABLE dim_day (day date PRIMARY KEY, year int, quarter int, month int, dom int, dow int, doy int,
    day_name text, month_name text, iso_year int, iso_week int, weekend boolean, first date, last date,
    fiscal_year int, fiscal_quarter int, fiscal_month int)"""
EXTRACTED = """SELECT extract(year FROM d), extract(quarter FROM d), extract(month FROM d), extract(day FROM d),
    extract(isodow FROM d), extract(doy FROM d), to_char(d, 'FMDay'), to_char(d, 'FMMonth'), extract(isoyear FROM d),
    extract(week FROM d), extract(isodow FROM d) > 5, date_trunc('month', d)::date,
    (date_trunc('month', d) + interval '1 month -1 day')::date, extract(year FROM f), extract(quarter FROM f),
    extract(month FROM f)"""


def test_second_calendar_has_chosen_columns_and_every_day(pipeline):
    """The server says the same of each day; the fiscal year from April is that of the date nine months later."""
    columns = dict(zip(re.findall(r"(\w+) (?:date|int|text|boolean)\b", DAYS), ATTRIBUTES, strict=True))
    declared = {"kind": "calendar", "key": "day", "columns": columns, "fiscal_year_start": 4}
    document = configuration()
    document["warehouse"]["dim_day"] = {**declared, "first_day": "2019-12-30", "days_ahead": 400}
    pipeline.warehouse.run(DAYS)
    pipeline.declarations = parse(document)
    pipeline.run()
    every = "SELECT generate_series(date '2019-12-30', current_date + 399, '1 day')::date"  # midnight may have passed
    assert pipeline.rows(f"{every} EXCEPT SELECT day FROM dim_day") == []
    assert pipeline.rows("SELECT date_id FROM dim_date EXCEPT SELECT day FROM dim_day") == []
    said_by_the_server = f"""SELECT day, x.* FROM (SELECT day, day AS d, (day + interval '9 months')::date AS f
        FROM dim_day) AS k CROSS JOIN LATERAL ({EXTRACTED}) AS x"""
    assert pipeline.rows(f"SELECT * FROM dim_day EXCEPT {said_by_the_server}") == []


def test_invalid_rows_are_rejected_and_the_rest_continues(pipeline):
    """Rows that cannot be converted are rejected and the rest goes on."""
    pipeline.run()
    pipeline.admin.run("UPDATE sales_order SET agreed_delivery_date = '2023-02-30' WHERE sales_order_id = 1")
    pipeline.admin.run(
        "UPDATE sales_order SET agreed_payment_date = 'soon', unit_price = 2.505 WHERE sales_order_id = 2"
    )
    pipeline.admin.run("UPDATE sales_order SET unit_price = 'NaN' WHERE sales_order_id = 3")
    pipeline.admin.run("UPDATE sales_order SET created_at = 'infinity' WHERE sales_order_id = 4")
    pipeline.admin.run("UPDATE sales_order SET units_sold = 77 WHERE sales_order_id = 5")
    pipeline.admin.run("UPDATE currency SET currency_code = 'ZZZ' WHERE currency_id = 2")
    extracted = pipeline.extract()
    done = pipeline.transform(extracted.batch)
    assert sorted(list(row.values()) for row in rejected(pipeline, done, "fact_sales_order")) == [
        ["sales_order", "1", "agreed_delivery_date", "2023-02-30", "not a date of the form yyyy-mm-dd"],
        ["sales_order", "2", "agreed_payment_date", "soon", "not a date of the form yyyy-mm-dd"],
        ["sales_order", "2", "unit_price", "2.505", "does not fit numeric(10, 2)"],
        ["sales_order", "3", "unit_price", "NaN", "does not fit numeric(10, 2)"],
        ["sales_order", "4", "created_at", "infinity", "the lake's type cannot represent this value"],
    ]
    assert done.manifest.rejected["fact_sales_order"].source_rows == 4
    assert [(row["key"], row["value"]) for row in rejected(pipeline, done, "dim_currency")] == [("2", "ZZZ")]
    assert pipeline.load().appended["fact_sales_order"] == 1
    pipeline.admin.run("UPDATE sales_order SET unit_price = 2.5 WHERE sales_order_id = 3")
    assert pipeline.run()[1].appended["fact_sales_order"] == 1  # corrected in the source, it arrives


def test_numbers_beyond_the_lake_types_are_rejected(pipeline):
    pipeline.admin.run("UPDATE payment SET payment_amount = 0.00000000001 WHERE payment_id = 1")
    pipeline.admin.run("UPDATE payment SET payment_amount = 1e30 WHERE payment_id = 2")
    pipeline.admin.run("UPDATE payment SET payment_amount = 12.500000000000000000 WHERE payment_id = 3")
    extracted = pipeline.extract()
    done = pipeline.transform(extracted.batch)
    found = {(row["key"], row["column"]): row["value"] for row in rejected(pipeline, done, "fact_payment")}
    assert found == {("1", "payment_amount"): "0.00000000001", ("2", "payment_amount"): "1" + "0" * 30}
    pipeline.load()
    assert pipeline.rows("SELECT payment_amount FROM fact_payment WHERE payment_id = 3") == [[Decimal("12.50")]]


def test_a_row_that_names_a_row_that_is_not_there_is_rejected(pipeline):
    pipeline.admin.run("ALTER TABLE staff DROP CONSTRAINT staff_department_id_fkey")
    pipeline.admin.run("INSERT INTO staff VALUES (50, 'No', 'Where', 99, 'n@t.com')")
    done = pipeline.transform(pipeline.extract().batch)
    (found,) = rejected(pipeline, done, "dim_staff")
    assert (found["key"], found["column"], found["value"]) == ("50", "department_id", "99")
    assert "no such department" in found["reason"]


def test_a_batch_transformed_again_gives_the_same_bytes(pipeline):
    pipeline.extract()
    first = pipeline.transform(1)
    stored = pipeline.processed.get(manifest_key(1))
    again = pipeline.replay(1)
    assert (first.created, again.created, again.manifest) == (True, False, first.manifest)
    assert pipeline.transform(1) == again
    assert pipeline.processed.get(manifest_key(1)) == stored
    assert pipeline.processed.newest_revision(1) == manifest_key(1)


def test_numeric_wider_than_the_lake_is_converted_or_rejected(pipeline):
    """A numeric declared wider than the lake holds is converted or reported."""
    pipeline.admin.run("ALTER TABLE sales_order ALTER COLUMN unit_price TYPE numeric(50, 2)")
    pipeline.admin.run("UPDATE sales_order SET unit_price = 1e40 WHERE sales_order_id = 2")
    done = pipeline.transform(pipeline.extract().batch)
    assert [row["key"] for row in rejected(pipeline, done, "fact_sales_order")] == ["2"]
    assert pipeline.load().appended["fact_sales_order"] == 5
