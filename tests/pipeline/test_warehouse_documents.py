"""What the dashboard reads of a warehouse: rows and versions of each table, one row's history, answers."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from lambda_toolkit.pipeline import Warehouse
from lambda_toolkit.pipeline.commands.local.business_day import ArrivalWatch, show_history
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.dashboard import warehouse_documents
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.repository import configuration
from tests.support.sample_star import COMPOSITE, DATED


@pytest.fixture
def warehouse(credentials: Any) -> Warehouse:
    of = credentials[1]
    return Warehouse.at(f"postgresql://{of.user}:{quote(of.password)}@{of.host}:{of.port}/{of.database}")


def test_tables_and_versions_are_those_of_the_warehouse(pipeline: Any, warehouse: Warehouse, monkeypatch) -> None:
    declared = parse(configuration()).warehouse
    pipeline.run()
    pipeline.admin.run("UPDATE payment SET paid = NOT paid WHERE payment_id IN (2, 3)")
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 9")
    pipeline.run()

    def tables() -> dict[str, dict[str, Any]]:
        return {row["table"]: row for row in warehouse_documents.tables(warehouse, declared)["tables"]}

    found = tables()
    counts = {name: pipeline.warehouse.run(f"SELECT count(*) FROM {name}")[0][0] for name in declared}
    assert {name: row["rows"] for name, row in found.items()} == counts
    payment = found["fact_payment"]
    present = pipeline.warehouse.run("SELECT count(*) FROM current_fact_payment")[0][0]
    kept = {"kind": "fact", "versioned": True, "exact": True, "problem": None}
    assert payment == {"table": "fact_payment", "rows": counts["fact_payment"], "present": present, **kept}
    assert counts["fact_payment"] == present + 3, "two versions before, and a row that is deleted"
    assert (found["dim_staff"]["versioned"], found["dim_staff"]["kind"]) == (False, "dimension")
    assert (found["dim_date"]["exact"], found["dim_date"]["present"]) == (True, None)

    shown = warehouse_documents.history(warehouse, declared, "fact_payment", "")
    assert [(each["key"], each["versions"]) for each in shown["last_changed"]] == [("3", 2), ("2", 2)]
    assert (shown["key"], shown["key_columns"], shown["table"]) == ("3", ["payment_id"], "fact_payment")
    assert "fact_payment" in shown["tables"] and "dim_staff" not in shown["tables"]
    versions = shown["versions"]
    assert [version["changed"] for version in versions[:1]] == [[]]
    assert all("paid" in version["changed"] for version in versions[1:])
    paid = [version["values"]["paid"] for version in versions]
    assert paid == [paid[0], not paid[0]]
    assert [version["record"] for version in versions] == sorted(version["record"] for version in versions)
    ends = [version["valid_to"] for version in versions]
    assert ends == [*(version["valid_from"] for version in versions[1:]), None]
    assert not {"payment_record_id", "valid_from", "valid_to"} & set(shown["columns"])
    first = warehouse_documents.history(warehouse, declared, "", "")
    assert (first["table"], first["key"]) == ("fact_payment", "3"), "the first table with a row that changed"
    other = warehouse_documents.history(warehouse, declared, "fact_payment", "9")
    assert len(other["versions"]) == 1 and other["versions"][0]["valid_to"] is not None
    with pytest.raises(CommandError, match="dim_staff is no table with versions"):
        warehouse_documents.history(warehouse, declared, "dim_staff", "1")

    pipeline.warehouse.run("DROP VIEW current_fact_payment CASCADE; ANALYZE fact_payment")
    pipeline.warehouse.run("CREATE MATERIALIZED VIEW current_fact_payment AS SELECT * FROM fact_payment LIMIT 2")
    row = tables()["fact_payment"]
    assert (row["present"], row["problem"]) == (2, None), "any relation that can be read is there"
    pipeline.warehouse.run("DROP MATERIALIZED VIEW current_fact_payment CASCADE")
    row = tables()["fact_payment"]
    assert (row["rows"], row["present"], row["exact"]) == (counts["fact_payment"], None, True)
    assert "The warehouse has no current_fact_payment" in row["problem"]
    monkeypatch.setattr(warehouse_documents, "_COUNTED", counts["fact_payment"])
    row = tables()["fact_payment"]
    assert (row["rows"], row["exact"]) == (counts["fact_payment"], False), "as estimated: it is large"
    monkeypatch.setattr(warehouse_documents, "_COUNTED", counts["fact_payment"] + 1)
    assert tables()["fact_payment"]["exact"] is True


def test_table_that_is_missing_is_named(warehouse: Warehouse, credentials: Any) -> None:
    """One of that name in another schema is not the warehouse's, nor is a type; one that has partitions is."""
    with connect(credentials[1]) as connection:
        connection.run("CREATE SCHEMA other; CREATE TABLE other.dim_missing (id int); DROP TABLE dim_staff CASCADE")
        connection.run("CREATE TABLE dim_staff (staff_id int) PARTITION BY LIST (staff_id)")
        connection.run("CREATE TYPE dim_missing AS (id int)")
    declared = dict(parse(configuration()).warehouse)
    nothing = {**declared, "dim_absent": declared["dim_date"], "dim_missing": declared["dim_staff"]}
    *rows, absent, row = warehouse_documents.tables(warehouse, nothing)["tables"]
    [staff] = [each for each in rows if each["table"] == "dim_staff"]
    assert (staff["rows"], staff["exact"], staff["present"]) == (0, True, None)
    assert staff["problem"] == "The warehouse has no current_dim_staff, as the configuration declares."
    assert absent["rows"] is None
    assert absent["problem"] == "The warehouse has no dim_absent, as the configuration declares."
    assert (row["table"], row["rows"], row["present"], row["exact"]) == ("dim_missing", None, None, False)
    lacks = "The warehouse has no dim_missing and no current_dim_staff, as the configuration declares."
    assert row["problem"] == lacks
    empty = warehouse_documents.history(warehouse, declared, "", "")
    assert (empty["key"], empty["versions"], empty["columns"], empty["last_changed"]) == ("", [], [], [])
    assert warehouse_documents.tables(warehouse, {})["tables"] == []


VERSIONS = """
    INSERT INTO dim_product VALUES (1, 'a', 'x');
    INSERT INTO pipeline.ledger VALUES (1, '', '2026-01-01 12:00+00', now(), '{}'),
        (2, '', '2026-01-02 12:00+00', now(), '{}');
    INSERT INTO pipeline.version_range VALUES ('fact_order', 1, 4, 1), ('fact_order', 5, 9, 2);
    INSERT INTO fact_order VALUES (1, 2025, 'n', 1, 1, 'a'), (2, 2026, 'n', 1, 1, 'a'), (3, 2025, 'n', 2, 1, 'a'),
        (4, 2025, 'm', 7, 1, 'a'), (5, 2025, 'n', 2, 1, 'a'), (6, 2026, 'n', NULL, 1, 'a'), (7, 2025, 'n', 3, 1, 'a')
"""


def test_row_that_changed_last_is_the_first_of_several(empty: Any, warehouse: Warehouse, monkeypatch) -> None:
    """By its last version, in the order of its keys; what is offered, and what is shown of one, has a limit."""
    prepare(empty, COMPOSITE.schema, COMPOSITE.declared)
    empty.run(VERSIONS)
    declared = COMPOSITE.declared.warehouse

    def shown(key: str = "", table: str = "fact_order") -> Any:
        return warehouse_documents.history(warehouse, declared, table, key)

    first, second = {"key": '["2025", "n"]', "versions": 4}, {"key": '["2026", "n"]', "versions": 2}
    found = shown()
    assert found["last_changed"] == [first, second] and found["key"] == first["key"]
    assert (found["key_columns"], found["columns"][:3]) == (["year", "number"], ["year", "number", "amount"])
    assert [(each["record"], each["values"]["amount"], each["changed"]) for each in found["versions"]] == [
        *((1, "1", []), (3, "2", ["amount"]), (5, "2", []), (7, "3", ["amount"])),
    ]
    assert [each["valid_from"] for each in found["versions"]][1:3] == [
        *("2026-01-01T12:00:00+00:00", "2026-01-02T12:00:00+00:00"),
    ]
    assert [each["record"] for each in shown('["2025", "m"]', "")["versions"]] == [4]
    monkeypatch.setattr(warehouse_documents, "_VERSIONS", 2)
    assert [each["record"] for each in shown()["versions"]] == [1, 3]
    monkeypatch.setattr(warehouse_documents, "_CHANGED", 1)
    assert shown()["last_changed"] == [first]
    monkeypatch.setattr(warehouse_documents, "_CHANGED", 2)
    monkeypatch.setattr(warehouse_documents, "_RECENT", 1)
    assert shown()["last_changed"] == [first], "the second is not among the last versions"
    with pytest.raises(CommandError, match="nothing is no table with versions. These are: fact_order"):
        shown(table="nothing")


def test_dimension_that_keeps_its_history_is_read_itself(empty: Any, warehouse: Warehouse) -> None:
    """Its own columns have the times: they are beside the values, and so is which version is current."""
    prepare(empty, DATED.schema, DATED.declared)
    empty.run("""
        INSERT INTO dim_product VALUES (1, 'x');
        INSERT INTO fact_order (order_record, order_id, amount, product_id, valid_from, valid_to, is_current) VALUES
            (1, 7, 1, 1, '2026-01-01 12:00+00', '2026-01-02 12:00+00', false),
            (2, 7, 1, 1, '2026-01-02 12:00+00', NULL, true)
    """)
    found = warehouse_documents.history(warehouse, DATED.declared.warehouse, "fact_order", "7")
    assert found["columns"] == ["order_id", "amount", "product_id"]
    one, two = (f"2026-01-0{day}T12:00:00+00:00" for day in (1, 2))
    values = {"order_id": 7, "amount": "1", "product_id": 1}
    assert found["versions"] == [
        {"record": 1, "valid_from": one, "valid_to": two, "values": values, "changed": []},
        {"record": 2, "valid_from": two, "valid_to": None, "values": values, "changed": []},
    ]


QUESTIONS = """-- Not a question.
-- 2. What is there?
SELECT number AS n, CASE WHEN number > 1 THEN 'x; y' END AS name
FROM generate_series(1, 203) AS number;

-- 12.  What fails?
SELECT nothing FROM nowhere;
-- 13. What has no end?
SELECT 1
"""


def test_questions_have_their_answers(warehouse: Warehouse, tmp_path: Path) -> None:
    assert warehouse_documents.questions(warehouse, tmp_path) == {"file": None, "questions": []}
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "questions.sql").write_text(QUESTIONS, encoding="utf-8")
    found = warehouse_documents.questions(warehouse, tmp_path)
    assert found["file"] == "docs/questions.sql"
    first, failed = found["questions"]
    assert (first["number"], first["question"], first["more"], first["error"]) == (2, "What is there?", 3, None)
    assert first["columns"] == [{"name": "n", "type": "int32"}, {"name": "name", "type": "string"}]
    assert (len(first["rows"]), first["rows"][:2]) == (200, [[1, None], [2, "x; y"]])
    assert first["sql"].startswith("SELECT number") and first["sql"].endswith("AS number;")
    assert (failed["number"], failed["question"], failed["columns"], failed["rows"]) == (12, "What fails?", [], [])
    assert "nowhere" in failed["error"] and failed["more"] == 0


def test_error_of_the_code_is_no_answer() -> None:
    def fails(query: str) -> None:
        raise ValueError

    broken: Any = SimpleNamespace(query=fails)
    with pytest.raises(ValueError):
        warehouse_documents._answer(broken, "SELECT 1")


@pytest.mark.parametrize(
    ("changed", "table", "key", "chosen"),
    [
        ("cd", "", "", ("c", "last of c")),
        ("cd", "", "7", ("b", "7")),
        ("cd", "d", "", ("d", "last of d")),
        ("cd", "b", "", ("b", "")),
        ("", "", "", ("d", "")),
    ],
)
def test_row_is_of_the_first_table_with_a_change(monkeypatch, changed, table, key, chosen) -> None:
    declared: Any = {name: SimpleNamespace(name=name, record=name != "a", keys=("id",)) for name in "abcd"}
    monkeypatch.setattr(
        warehouse_documents,
        "_last_changed",
        lambda warehouse, of: [{"key": f"last of {of.name}"}] if of.name in changed else [],
    )
    monkeypatch.setattr(warehouse_documents, "_versions", lambda warehouse, of, key: ([of.name], [key]))
    nothing: Any = None
    found = warehouse_documents.history(nothing, declared, table, key)
    assert (found["table"], found["key"], found["tables"]) == (*chosen, ["b", "c", "d"])
    assert (found["columns"], found["versions"]) == (([chosen[0]], [chosen[1]]) if chosen[1] else ([], []))


MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        *((same, same) for same in (None, True, 7, 1.5, "text")),
        *((float(text), text) for text in ("NaN", "Infinity", "-Infinity")),
        (Decimal("1.50"), "1.50"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (MOMENT, "2026-01-02T03:04:05+00:00"),
        (datetime.time(3, 4, 5), "03:04:05"),
        (datetime.time(3, 4), "03:04:00"),
        (datetime.time(3, 4, 5, 120_000), "03:04:05.120"),
        (datetime.time(3, 4, 5, 120_001), "03:04:05.120001"),
        ([1, 2], "[1, 2]"),
    ],
)
def test_values_are_those_that_json_has(value: Any, plain: Any) -> None:
    assert warehouse_documents._plain(value) == plain


def test_key_of_several_columns_is_an_array() -> None:
    composite = next(table for table in COMPOSITE.declared.warehouse.values() if len(table.keys) == 2)
    shown = warehouse_documents._is_key(composite, '["7", 2]')
    assert str(shown) == """t."shop" = '7' AND t."code" = '2'"""
    for wrong in ("7", "[1]", "[1, 2, 3]", '{"a": 1, "b": 2}', "a\0b"):
        with pytest.raises(CommandError, match="key"):
            warehouse_documents._is_key(composite, wrong)


def test_main_job_shows_the_first_order_with_versions(pipeline: Any, credentials: Any, capsys: Any) -> None:
    """Not one of a single version, nor a later one with more; and it waits for the last batch of the ledger."""
    of: Any = SimpleNamespace(connect=lambda: connect(credentials[1]))
    watch = ArrivalWatch(None, None, Screen(), of)  # type: ignore[arg-type]
    assert watch._loaded() == 0
    pipeline.run()
    for day, orders in (("2030-01-02", "2, 3"), ("2030-01-03", "3")):
        pipeline.admin.run(f"UPDATE sales_order SET agreed_delivery_date = '{day}' WHERE sales_order_id IN ({orders})")
        pipeline.run()
    assert watch._loaded() == 3
    show_history(Screen(), of)
    title, *shown = (line for line in capsys.readouterr().out.splitlines() if line[0] in "O│")
    assert title.startswith("Order 2, every version")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown]
    [before, after] = pipeline.warehouse.run(
        "SELECT sales_record_id, last_updated_date, last_updated_time, sales_staff_id, design_id, agreed_delivery_date,"
        " agreed_delivery_location_id FROM fact_sales_order WHERE sales_order_id = 2 ORDER BY sales_record_id"
    )
    for row, (record, day, time, staff, design, delivered, location) in zip(rows, (before, after), strict=True):
        updated = f"{day} {time}".rstrip("0")
        expected = [str(record), updated, str(staff), str(design), str(delivered), str(location)]
        assert row == expected
    assert rows[1][4] == "2030-01-02" != rows[0][4]
