"""The warehouse after changes of the source, checked by the independent check and by plain SQL."""

from __future__ import annotations

from lambda_toolkit.pipeline.local_stack.independent_check import check


def fact_versions(stack):
    tables = check(stack.source, stack.warehouse).tables
    return {table.table: table.versions for table in tables if table.versions is not None}


def agrees(line):
    result = check(line.stack.source, line.stack.warehouse)
    assert result.agrees, result.as_dict()
    return result


def test_the_first_run_fills_all_eleven_tables(filled):
    result = agrees(filled)
    assert len(result.tables) == 11
    assert all(table.warehouse_rows > 0 for table in result.tables)


def test_a_run_without_changes_writes_nothing(filled):
    before, versions = filled.document("run"), fact_versions(filled.stack)
    again = filled.document("run")
    assert again["batch"] is None
    assert again["last_batch"] == before["last_batch"]
    assert again["appended"] == {}
    assert fact_versions(filled.stack) == versions


def test_a_payment_that_becomes_paid_is_one_more_version_of_it(filled, sql):
    stack = filled.stack
    versions = fact_versions(stack)
    ((payment,),) = sql(stack.source_admin, "SELECT min(payment_id) FROM payment WHERE NOT paid")
    sql(stack.source_admin, "UPDATE payment SET paid = true, last_updated = now() WHERE payment_id = :p", p=payment)
    assert filled.document("run")["rows"] == {"payment": 1}
    assert fact_versions(stack) == {**versions, "fact_payment": versions["fact_payment"] + 1}
    history = "SELECT paid FROM fact_payment WHERE payment_id = :p ORDER BY payment_record_id"
    assert sql(stack.warehouse, history, p=payment) == [[False], [True]]
    agrees(filled)


def test_a_change_that_last_updated_does_not_show_is_seen(filled, sql):
    stack = filled.stack
    query = (
        "SELECT units_sold, last_updated_time FROM fact_sales_order WHERE sales_order_id = 1 ORDER BY sales_record_id"
    )
    before = sql(stack.warehouse, query)
    sql(stack.source_admin, "UPDATE sales_order SET units_sold = units_sold + 1 WHERE sales_order_id = 1")
    assert filled.document("run")["rows"] == {"sales_order": 1}
    units, moment = before[-1]
    assert sql(stack.warehouse, query) == [*before, [units + 1, moment]]
    agrees(filled)


def test_a_department_that_moves_takes_its_staff_along(filled, sql):
    stack = filled.stack
    ((department,),) = sql(stack.source, "SELECT min(department_id) FROM staff")
    sql(stack.source_admin, "UPDATE department SET location = 'Wick' WHERE department_id = :d", d=department)
    filled.document("run")
    ((staff,),) = sql(stack.source, "SELECT count(*) FROM staff WHERE department_id = :d", d=department)
    assert sql(stack.warehouse, "SELECT count(*) FROM dim_staff WHERE location = 'Wick'") == [[staff]]
    agrees(filled)


def test_deleted_row_leaves_current_view_but_not_history(filled, sql):
    """What is deleted leaves the present and stays in the history."""
    stack = filled.stack
    ((payment,),) = sql(stack.source, "SELECT max(payment_id) FROM payment")
    sql(stack.source_admin, "DELETE FROM payment WHERE payment_id = :p", p=payment)
    assert filled.document("run")["deleted"] == {"payment": 1}
    published = "SELECT count(*) FROM fact_payment WHERE payment_id = :p"
    current = "SELECT count(*) FROM current_fact_payment WHERE payment_id = :p"
    assert sql(stack.warehouse, published, p=payment) != [[0]]
    assert sql(stack.warehouse, current, p=payment) == [[0]]
    agrees(filled)


def test_invalid_row_is_rejected_and_the_batch_continues(filled, sql):
    """A row that cannot be converted is rejected and the rest goes on."""
    stack = filled.stack
    sql(stack.source_admin, "UPDATE sales_order SET agreed_payment_date = 'soon' WHERE sales_order_id = 2")
    sql(stack.source_admin, "UPDATE sales_order SET units_sold = 4711 WHERE sales_order_id = 3")
    result = filled("run")
    assert result.exit_code == 0, result.output
    assert "Rejected: 1 row." in result.stdout
    assert sql(stack.warehouse, "SELECT units_sold FROM current_fact_sales_order WHERE sales_order_id = 3") == [[4711]]
    sql(stack.source_admin, "UPDATE sales_order SET agreed_payment_date = '2024-02-29' WHERE sales_order_id = 2")
    filled.document("run")
    agrees(filled)


def test_transform_role_allows_scheduled_runs_and_replays(filled, tmp_path):
    """Transform may do what its scheduled run and a replay need."""
    (tmp_path / "sweep.json").write_text('{"action": "sweep"}')
    (tmp_path / "replay.json").write_text('{"action": "replay", "batch": 1}')
    swept = filled.document("invoke", "transform", "--event", str(tmp_path / "sweep.json"))["result"]
    assert (swept["batches"], swept["swept"]) == ([], 0)
    replayed = filled.document("invoke", "transform", "--event", str(tmp_path / "replay.json"))["result"]
    assert replayed == {"batch": 1, "revision": 1, "rejected": {}, "changed": False}


def test_no_fact_has_the_same_version_twice_in_a_row(filled, sql):
    """After all that the tests before have changed; a version differs from the one before it in some column."""
    key = {
        "fact_sales_order": "sales_order_id",
        "fact_purchase_orders": "purchase_order_id",
        "fact_payment": "payment_id",
    }
    for table, name in key.items():
        record = name.replace("order_id", "record_id").replace("payment_id", "payment_record_id")
        repeated = sql(
            filled.stack.warehouse,
            f"WITH version AS (SELECT {record} AS number, {name} AS key, to_jsonb(f) - '{record}' AS content"
            f" FROM {table} AS f)"
            " SELECT key, number FROM (SELECT *, lag(content) OVER (PARTITION BY key ORDER BY number) AS before"
            " FROM version) AS compared WHERE content = before",
        )
        assert repeated == [], table
