"""The check finds every kind of difference, and finds none where there is none. Both sides are written by hand here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import connect
from lambda_toolkit.pipeline.local_stack import independent_check
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.independent_check import Check, TableCheck, check
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.postgres_server import Server
from lambda_toolkit.pipeline.local_stack.totesys.expected import EXPECTATIONS, FOREIGN_KEYS, Expectation
from tests.support.databases import CONFIG, made, run

SOURCE = """
INSERT INTO address VALUES
    (1, '1 High St', NULL, '', 'Leeds', '08841', 'Korea, Republic of', '1803 637401', '2024-01-01', '2024-01-01');
INSERT INTO department VALUES (1, 'Dispatch', 'Leds', NULL, '2024-01-01', '2024-01-01');
INSERT INTO staff VALUES (1, 'Quinn', 'O''Keefe', 1, 'q@example.com', '2024-01-01', '2024-01-01');
INSERT INTO counterparty VALUES (1, E'Tab\\tand\\nline', 1, NULL, NULL, '2024-01-01', '2024-01-01');
INSERT INTO currency VALUES (1, 'GBP', '2024-01-01', '2024-01-01');
INSERT INTO design VALUES (1, '2024-01-01', 'Steel', '/lib', 'steel.json', '2024-01-01');
INSERT INTO payment_type VALUES (1, 'SALES_RECEIPT', '2024-01-01', '2024-01-01');
INSERT INTO sales_order VALUES (7, '2024-02-29 08:00:00.001', '2024-02-29 08:00:00', 1, 1, 1, 1000, 2.50, 1,
    '2024-03-01', '2024-03-02', 1);
INSERT INTO transaction VALUES (7, 'SALE', 7, NULL, '2024-02-29 08:00:00.001', '2024-02-29 08:00:00.001');
INSERT INTO payment VALUES (7, '2024-02-29 08:00:00.001', '2024-02-29 08:00:00.001', 7, 1, 2500, 1, 1, true,
    '2024-03-02', 12345678, 12345678);
"""
WAREHOUSE = """
CREATE SCHEMA pipeline;
CREATE TABLE pipeline.deletion (table_name text, key text, batch bigint, undeleted_batch bigint);
INSERT INTO dim_date VALUES (DATE '2024-02-29', 2024, 2, 29, 4, 'Thursday', 'February', 1),
    (DATE '2024-03-01', 2024, 3, 1, 5, 'Friday', 'March', 1),
    (DATE '2024-03-02', 2024, 3, 2, 6, 'Saturday', 'March', 1),
    (DATE '2020-12-31', 2020, 12, 31, 4, 'Thursday', 'December', 4);
INSERT INTO dim_staff VALUES (1, 'Quinn', 'O''Keefe', 'Dispatch', 'Leds', 'q@example.com'),
    (9, 'Long', 'Away', 'Dispatch', 'Leds', 'away@example.com');
INSERT INTO pipeline.deletion VALUES ('dim_staff', '9', 2, NULL), ('dim_staff', '1', 2, 3);
INSERT INTO dim_location VALUES (1, '1 High St', NULL, '', 'Leeds', '08841', 'Korea, Republic of', '1803 637401');
INSERT INTO dim_counterparty VALUES
    (1, E'Tab\\tand\\nline', '1 High St', NULL, '', 'Leeds', '08841', 'Korea, Republic of', '1803 637401');
INSERT INTO dim_currency VALUES (1, 'GBP', 'Pound Sterling');
INSERT INTO dim_design VALUES (1, 'Steel', '/lib', 'steel.json');
INSERT INTO dim_payment_type VALUES (1, 'SALES_RECEIPT');
INSERT INTO dim_transaction VALUES (7, 'SALE', 7, NULL);
INSERT INTO fact_sales_order VALUES
    (1, 7, '2024-02-29', '08:00:00.001', '2024-02-29', '08:00', 1, 1, 999, 2.5, 1, 1, '2024-03-02', '2024-03-01', 1),
    (2, 7, '2024-02-29', '08:00:00.001', '2024-02-29', '08:00', 1, 1, 1000, 2.5, 1, 1, '2024-03-02', '2024-03-01', 1),
    (3, 8, '2024-02-29', '08:00:00.001', '2024-02-29', '08:00', 1, 1, 1000, 2.5, 1, 1, '2024-03-02', '2024-03-01', 1);
INSERT INTO pipeline.deletion VALUES ('fact_sales_order', '8', 2, NULL);
INSERT INTO fact_payment VALUES (1, 7, '2024-02-29', '08:00:00.001', '2024-02-29', '08:00:00.001', 7, 1, 2500.00, 1, 1,
    true, '2024-03-02');
"""
VIEWS = """
CREATE VIEW current_{table} AS SELECT * FROM {table} AS t
    WHERE NOT EXISTS (SELECT FROM {table} AS l WHERE l.{key} = t.{key} AND l.{record} > t.{record})
    AND NOT EXISTS (SELECT FROM pipeline.deletion AS d WHERE d.table_name = '{table}' AND d.key = t.{key}::text
                    AND d.undeleted_batch IS NULL);
CREATE VIEW history_{table} AS SELECT *, now() AS valid_from,
    CASE WHEN {record} NOT IN (SELECT {record} FROM current_{table}) THEN now() END AS valid_to FROM {table};
"""
FACTS = {"sales_order": "sales", "purchase_order": "purchase", "payment": "payment"}
for _of, _record in FACTS.items():
    _table = "fact_purchase_orders" if _record == "purchase" else f"fact_{_of}"
    WAREHOUSE += VIEWS.format(table=_table, key=f"{_of}_id", record=f"{_record}_record_id")


@pytest.fixture
def pair(postgres_server: Server) -> Iterator[tuple[Database, Database]]:
    """A small source and a warehouse that agrees with it."""
    tables, stars = ((CONFIG / name).read_text(encoding="utf-8") for name in ("totesys.sql", "warehouse.sql"))
    with (
        made(postgres_server, "check_source", tables + SOURCE) as source,
        made(postgres_server, "check_warehouse", stars + WAREHOUSE) as warehouse,
    ):
        yield source, warehouse


def of(checked: Check, table: str) -> TableCheck:
    return next(found for found in checked.tables if found.table == table)


def test_agreement_lists_eleven_tables_without_differences(pair: tuple[Database, Database]) -> None:
    """Where they agree all eleven tables are there without a difference."""
    checked = check(*pair)

    assert checked.agrees, checked
    assert len(checked.tables) == 11
    assert of(checked, "fact_sales_order") == TableCheck(
        "fact_sales_order", 1, 1, versions=3, differences=0, examples=()
    )
    assert of(checked, "dim_staff") == TableCheck("dim_staff", 1, 1, versions=None, differences=0, examples=())
    assert checked.as_dict()["agrees"] is True


@pytest.mark.parametrize(
    ("table", "statement", "example"),
    [
        ("fact_payment", "UPDATE fact_payment SET payment_amount = 2500.01", "is '2500.01' and should be '2500'"),
        ("fact_payment", "UPDATE fact_payment SET last_updated_time = '08:00'", "last_updated_time is '08:00:00'"),
        ("fact_payment", "DELETE FROM fact_payment", "payment_id 7 is missing"),
        ("fact_sales_order", "DELETE FROM pipeline.deletion", "sales_order_id 8 should not be there"),
        ("fact_sales_order", "DELETE FROM fact_sales_order WHERE sales_record_id = 2", "units_sold is '999'"),
        ("fact_sales_order", "INSERT INTO pipeline.deletion VALUES ('fact_sales_order', '7', 3, NULL)", "7 is missing"),
        ("dim_location", "UPDATE dim_location SET address_line_2 = ''", "address_line_2 is '' and should be None"),
        ("dim_location", "UPDATE dim_location SET district = NULL", "district is None and should be ''"),
        ("dim_location", "UPDATE dim_location SET postal_code = '8841'", "postal_code is '8841'"),
        ("dim_staff", "UPDATE dim_staff SET location = 'Leeds'", "location is 'Leeds' and should be 'Leds'"),
        ("dim_staff", "UPDATE pipeline.deletion SET undeleted_batch = 3", "staff_id 9 should not be there"),
        ("dim_transaction", "UPDATE dim_transaction SET purchase_order_id = 0", "purchase_order_id is '0'"),
        ("dim_currency", "UPDATE dim_currency SET currency_name = 'Pound'", "should be 'Pound Sterling'"),
        ("dim_date", "UPDATE dim_date SET day_of_week = 0 WHERE date_id = '2020-12-31'", "is '0' and should be '4'"),
        ("dim_date", "UPDATE dim_date SET quarter = 2 WHERE date_id = '2024-03-01'", "is '2' and should be '1'"),
    ],
)  # fmt: skip
def test_each_kind_of_difference_is_reported(
    pair: tuple[Database, Database], table: str, statement: str, example: str
) -> None:
    run(pair[1], statement)

    checked = check(*pair)

    assert not checked.agrees
    assert [found.table for found in checked.tables if found.differences] == [table] or "deletion" in statement
    assert of(checked, table).differences == 1
    assert example in of(checked, table).examples[0]


PAYMENT_KEYS = {
    **dict.fromkeys(("created_date", "last_updated_date", "payment_date"), "dim_date"),
    **{f"{name}_id": f"dim_{name}" for name in ("transaction", "counterparty", "currency", "payment_type")},
}
ALTER, TRANSACTION = "ALTER TABLE fact_payment", "fact_payment_transaction_id_fkey"
FOREIGN = f"ADD CONSTRAINT {TRANSACTION} FOREIGN KEY (transaction_id)"


TRIGGERS = "UPDATE pg_trigger SET tgenabled = '{}' WHERE tgrelid = 'fact_payment'::regclass"
UNENFORCED: list[tuple[str, list[str]]] = [
    ("SELECT 1", []),
    (f"{ALTER} DROP CONSTRAINT {TRANSACTION}", ["transaction_id"]),
    (f"{ALTER} DROP CONSTRAINT fact_payment_currency_id_fkey", ["currency_id"]),
    (f"{ALTER} DROP CONSTRAINT fact_payment_payment_date_fkey", ["payment_date"]),
    (f"{ALTER} DISABLE TRIGGER ALL", [*PAYMENT_KEYS]),
    (TRIGGERS.format("R"), [*PAYMENT_KEYS]),
    (TRIGGERS.format("A"), []),
    (f"DELETE FROM pg_trigger USING pg_constraint AS c WHERE tgconstraint = c.oid AND conname = '{TRANSACTION}'",
     ["transaction_id"]),
    (f"{ALTER} DROP CONSTRAINT {TRANSACTION}, {FOREIGN} REFERENCES dim_transaction NOT VALID", ["transaction_id"]),
    (f"{ALTER} DROP CONSTRAINT {TRANSACTION}, {FOREIGN} REFERENCES dim_transaction", []),
    (f"CREATE TABLE other AS SELECT * FROM dim_transaction; ALTER TABLE other ADD PRIMARY KEY (transaction_id);"
     f" {ALTER} DROP CONSTRAINT {TRANSACTION}, {FOREIGN} REFERENCES other", ["transaction_id"]),
]  # fmt: skip


def test_foreign_key_that_is_not_enforced_is_reported(pair: tuple[Database, Database]) -> None:
    connection = pair[1].connect()
    for statements, unenforced in UNENFORCED:
        connection.execute_simple(f"BEGIN; {statements}")
        expected = [f"fact_payment.{column} -> {PAYMENT_KEYS[column]}" for column in unenforced]
        assert sorted(independent_check._unenforced(connection)) == sorted(expected), statements
        connection.run("ROLLBACK")
    connection.close()
    run(pair[1], UNENFORCED[1][0])
    checked = check(*pair)
    assert checked.unenforced == ("fact_payment.transaction_id -> dim_transaction",) and not checked.agrees


def test_reference_of_a_file_that_leads_nowhere_is_reported(tmp_path: Path) -> None:
    """A file enforces nothing: its rows are looked at. A reference that is NULL leads nowhere rightly."""
    file = connect(str(tmp_path / "w.duckdb"), read_only=False)
    facts: dict[str, list[str]] = {}
    script = ""
    for table, column, dimension in FOREIGN_KEYS:
        facts.setdefault(table, []).append(column)
        key = f"{dimension.removeprefix('dim_')}_id"
        script += f"CREATE OR REPLACE TABLE {dimension} AS SELECT unnest([1, 2]) AS {key};"
    for table, columns in facts.items():
        values = ", ".join(f"unnest([1, 2, NULL]) AS {column}" for column in columns)
        script += f"CREATE TABLE {table} AS SELECT {values};"
    file.driver.execute(script)
    assert [*independent_check._unenforced(file)] == []  # type: ignore[arg-type]
    assert [*independent_check._rows(file, "SELECT design_id FROM dim_design ORDER BY 1")] == [("1",), ("2",)]
    file.execute("UPDATE fact_payment SET transaction_id = 3 WHERE transaction_id = 1")
    file.execute("DELETE FROM dim_design WHERE design_id = 2")
    assert [*independent_check._unenforced(file)] == [  # type: ignore[arg-type]
        *("fact_sales_order.design_id -> dim_design", "fact_payment.transaction_id -> dim_transaction")
    ]
    file.close()


def test_both_sides_are_compared_as_they_were(pair: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch) -> None:
    """What others commit meanwhile belongs to neither snapshot."""
    compare = independent_check._compare

    def slowly(*of: Any) -> TableCheck:
        found = compare(*of)
        run(pair[0], "INSERT INTO currency SELECT max(currency_id) + 1, 'EUR', now(), now() FROM currency")
        run(pair[1], "INSERT INTO dim_design SELECT max(design_id) + 1, 'x', 'x', 'x' FROM dim_design")
        return found

    monkeypatch.setattr(independent_check, "_compare", slowly)
    some = [each for each in EXPECTATIONS if each.table in ("dim_design", "dim_currency", "dim_payment_type")]
    assert check(*pair, some).agrees and len(some) == 3


@pytest.mark.parametrize(
    ("source", "warehouse", "examples"),
    [
        ([("1", "a"), ("2", None)], [("2", None), ("1", "a")], ()),
        ([("1", "a"), ("2", "b")], [("1", "a")], ("id 2 is missing",)),
        ([("1", "a")], [("1", "b"), ("9", "x")], ("id 1: a is 'b' and should be 'a'", "id 9 should not be there")),
        ([("1", "a")], [("1", "a"), ("1", "a"), ("1", "a")], ("rows that repeat the id of another: 2",)),
        (
            [],
            [(str(number), "a") for number in range(7)],
            tuple(f"id {number} should not be there" for number in range(5)),
        ),
    ],
)
def test_rows_are_compared_by_their_key(
    monkeypatch: pytest.MonkeyPatch, source: list[Any], warehouse: list[Any], examples: tuple[str, ...]
) -> None:
    rows: Any = {"source": source, "warehouse": warehouse}
    monkeypatch.setattr(independent_check, "_rows", lambda connection, query: iter(rows[connection]))
    expectation = Expectation("dim_x", ("id", "a"), "", "")
    found = independent_check._compare("source", "warehouse", expectation)  # type: ignore[arg-type]
    count = len(examples) if len(examples) < 5 else 7
    assert found == TableCheck("dim_x", len(source), len(warehouse), None, count, examples)
    whole = Check((TableCheck("dim_y", 0, 0, None, 0, ()), found), ())
    assert whole.agrees is not bool(examples)
    assert not Check((), ("f.a -> d",)).agrees
    assert whole.as_dict()["tables"][1]["examples"] == examples and set(whole.as_dict()) == {
        "tables",
        "unenforced",
        "agrees",
    }


def test_many_differences_are_counted_and_few_are_shown(pair: tuple[Database, Database]) -> None:
    run(pair[1], "INSERT INTO dim_design SELECT n, 'x', 'x', 'x' FROM generate_series(2, 40) AS n")

    designs = of(check(*pair), "dim_design")

    assert designs.differences == 39
    assert len(designs.examples) == 5


def test_a_warehouse_that_is_not_prepared_is_one_clear_message(pair: tuple[Database, Database]) -> None:
    run(pair[1], "DROP SCHEMA pipeline CASCADE")

    with pytest.raises(LocalError, match="pipeline.deletion.*prepare"):
        check(*pair)


def test_currency_unknown_to_iso_is_reported(pair: tuple[Database, Database]) -> None:
    run(pair[0], "UPDATE currency SET currency_code = 'ZZZ'")

    with pytest.raises(LocalError, match="'ZZZ'"):
        check(*pair)


@pytest.mark.parametrize(
    ("statement", "example"),
    [
        ("CREATE OR REPLACE VIEW current_fact_payment AS SELECT * FROM fact_payment WHERE false",
         "current_fact_payment is wrong about payment_record_id 1"),
        ("CREATE OR REPLACE VIEW history_fact_payment AS"
         " SELECT *, now() AS valid_from, now() AS valid_to FROM fact_payment",
         "history_fact_payment is wrong about the end of payment_record_id 1"),
    ],
)  # fmt: skip
def test_view_that_shows_something_else_is_reported(
    pair: tuple[Database, Database], statement: str, example: str
) -> None:
    run(pair[1], statement)

    assert example in of(check(*pair), "fact_payment").examples
