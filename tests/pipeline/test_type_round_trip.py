"""Types from end to end: each value arrives byte for byte, or is rejected with its column, itself and a reason."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.transform.columns.rejects import MAX_CHARACTERS
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.repository import configuration

LONG = "Ω" * 500_000  # a megabyte in UTF-8
TEXTS = [
    "",
    " ",
    "O'Keefe",
    'he said "no"',
    '"',
    '""',
    ",",
    "a,b;c\td",
    "one\ntwo",
    "one\r\ntwo\r",
    "\\",
    "\\\\",
    "\\N",
    "\\.",
    "\n\\.\n",
    "NULL",
    "\N{SNOWMAN}\N{VARIATION SELECTOR-16}",
    "👩‍👩‍👧‍👦 🇬🇧",
    "שלום, עולם",
    "\u202eright to left\u202c",
    "e\u0301 is not \u00e9",
    "\ufeffmark",
    "\x01\x1f\x7f",
    LONG,
]


def rejected(pipeline, done, table):
    file = done.manifest.rejected[table]
    return sorted(tuple(row.values()) for row in pipeline.processed.table(file.key).to_pylist())


def test_strings_arrive_byte_for_byte_and_null_is_not_empty(pipeline):
    """Every text arrives byte for byte and null is not the empty one."""
    for number, text in enumerate(TEXTS, start=1000):
        pipeline.admin.run(
            "INSERT INTO address VALUES (:n, :t, :t, NULL, :t, :t, :t, :t, now(), now())", n=number, t=text
        )
    pipeline.run()
    query = (
        "SELECT encode(sha256(convert_to(address_line_2, 'UTF8')), 'hex'), district, address_line_1 = address_line_2"
        " FROM dim_location WHERE location_id >= 1000 ORDER BY location_id"
    )
    digests = pipeline.admin.rows(
        "SELECT encode(sha256(convert_to(address_line_2, 'UTF8')), 'hex') FROM address WHERE address_id >= 1000"
        " ORDER BY address_id"
    )
    assert pipeline.rows(query) == [[digest, None, True] for (digest,) in digests]
    found = pipeline.rows("SELECT phone FROM dim_location WHERE location_id >= 1000 ORDER BY location_id")
    assert [text for (text,) in found] == TEXTS


def test_times_keep_what_they_have_and_decimals_every_digit(pipeline):
    pipeline.admin.run("ALTER TABLE sales_order ALTER COLUMN created_at TYPE timestamp(6)")
    pipeline.admin.run("UPDATE sales_order SET created_at = '2024-02-29 23:59:59.999999', unit_price = 99999999.99")
    pipeline.admin.run("UPDATE sales_order SET unit_price = -0.01 WHERE sales_order_id = 1")
    pipeline.run()
    assert pipeline.rows(
        "SELECT DISTINCT created_date, created_time, unit_price FROM fact_sales_order ORDER BY unit_price"
    ) == [
        [datetime.date(2024, 2, 29), datetime.time(23, 59, 59, 999999), Decimal("-0.01")],
        [datetime.date(2024, 2, 29), datetime.time(23, 59, 59, 999999), Decimal("99999999.99")],
    ]


NOWHERE = "the lake's type cannot represent this value"


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("created_at", "infinity", NOWHERE),
        ("created_at", "-infinity", NOWHERE),
        ("created_at", "0044-03-15 12:00:00 BC", NOWHERE),
        ("created_at", "12024-01-01 00:00:00", NOWHERE),
        ("agreed_delivery_date", "2022-13-45", "not a date of the form yyyy-mm-dd"),
        ("agreed_delivery_date", "infinity", "not a date of the form yyyy-mm-dd"),
        ("agreed_delivery_date", "", "not a date of the form yyyy-mm-dd"),
        ("unit_price", "NaN", "does not fit numeric(10, 2)"),
        ("unit_price", "100000000", "does not fit numeric(10, 2)"),
        ("unit_price", "0.001", "does not fit numeric(10, 2)"),
    ],
)
def test_unrepresentable_value_is_rejected_with_a_reason(pipeline, column, value, reason):
    """What has no place is rejected with column value and reason."""
    pipeline.admin.run("ALTER TABLE sales_order ALTER COLUMN unit_price TYPE numeric")
    kind = {"created_at": "timestamp", "unit_price": "numeric", "agreed_delivery_date": "text"}[column]
    pipeline.admin.run(
        f"UPDATE sales_order SET {column} = CAST(CAST(:v AS text) AS {kind}) WHERE sales_order_id = 1", v=value
    )
    done = pipeline.transform(pipeline.extract().batch)
    assert rejected(pipeline, done, "fact_sales_order") == [("sales_order", "1", column, value, reason)]
    assert pipeline.load().appended["fact_sales_order"] == 5


def test_what_the_star_would_refuse_is_rejected_in_its_own_words(pipeline):
    document = configuration()
    schema = """
        CREATE TABLE narrow_staff (staff_id smallint PRIMARY KEY, first_name varchar(5) NOT NULL,
            place character varying(4) NOT NULL)
    """
    document["warehouse"] = {
        "narrow_staff": {
            "kind": "dimension",
            "from": "staff",
            "key": "staff_id",
            "join": {"department": "department_id"},
            "columns": {"staff_id": "staff_id", "first_name": "first_name", "place": "department.location"},
            "types": {
                "staff_id": {"type": "smallint", "required": True},
                "first_name": {"type": "character varying(5)", "required": True},
                "place": {"type": "character varying(4)", "required": True},
            },
        }
    }
    pipeline.declarations = parse(document)
    prepare(pipeline.warehouse, schema, pipeline.declarations)
    pipeline.admin.run(
        "DELETE FROM payment; DELETE FROM transaction; DELETE FROM sales_order; DELETE FROM purchase_order"
    )
    pipeline.admin.run("DELETE FROM counterparty; DELETE FROM staff; DELETE FROM department")
    pipeline.admin.run(
        "INSERT INTO department VALUES (1, 'A', 'Wick', 'm'), (2, 'B', 'Leeds', 'm'), (3, 'C', NULL, 'm')"
    )
    pipeline.admin.run(
        "INSERT INTO staff VALUES (1, '😀😀😀😀😀', 'l', 1, 'e'), (2, 'Ann', 'l', 2, 'e'), (3, 'Ann', 'l', 3, 'e')"
    )
    pipeline.admin.run("INSERT INTO staff VALUES (32768, :long, 'l', 1, 'e')", long=LONG)
    _, loaded = pipeline.run()
    assert loaded.appended == {"narrow_staff": 1}
    done = pipeline.replay(1)
    cut = "Ω" * MAX_CHARACTERS + "… (500000 characters)"
    assert rejected(pipeline, done, "narrow_staff") == sorted(
        [
            ("staff", "2", "department.location", "Leeds", _unfit("place", "character varying(4)")),
            ("staff", "3", "department.location", None, "NULL, and narrow_staff.place is NOT NULL"),
            ("staff", "32768", "first_name", cut, _unfit("first_name", "character varying(5)")),
            ("staff", "32768", "staff_id", "32768", _unfit("staff_id", "smallint")),
        ],
        key=str,
    )
    assert done.manifest.rejected["narrow_staff"].source_rows == 3
    assert not done.created, "the report has the same bytes"


def _unfit(column, kind):
    return f"does not fit narrow_staff.{column}, which is {kind}"
