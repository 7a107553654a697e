"""Rejected rows are listed, and replayed from the lake after a fix; the lake alone rebuilds the warehouse."""

from __future__ import annotations

from lambda_toolkit.pipeline.local_stack.independent_check import check


def rows(opened):
    return [(row["table"], row["key"], row["column"], row["value"]) for row in opened["rejected"]]


def test_rejected_rows_are_replayed_and_the_lake_rebuilds_all(filled, sql):
    """A currency of which the functions do not know the name, an order in it, and its next state."""
    stack, root = filled.stack, filled.root
    sql(stack.source_admin, "INSERT INTO currency VALUES (77, 'QQQ', now(), now())")
    for units in (1977, 1978):
        statement = "UPDATE sales_order SET currency_id = 77, units_sold = :units WHERE sales_order_id = 7"
        sql(stack.source_admin, statement, units=units)
        result = filled("run")
        assert result.exit_code == 0, result.output
    opened = filled.document("rejected")
    assert ("dim_currency", "77", "currency_code", "QQQ") in rows(opened)
    assert opened["counts"]["pending"] == 2
    assert "QQQ" in filled("rejected").stdout

    names = root / "lambdas" / "transform" / "columns" / "currencies.py"
    names.write_text(names.read_text().replace('"ZAR"', '"QQQ": "A currency of tomorrow",\n        "ZAR"'))
    assert filled("deploy", "transform").exit_code == 0
    extracted = filled.state()["batches"]["extracted"]
    replayed = filled("replay")
    assert replayed.exit_code == 0, replayed.output
    assert "1 with another outcome than before" in replayed.stdout

    left = filled.document("rejected")
    assert left["counts"]["pending"] == 0
    assert not [row for row in rows(left) if row[1] == "77"]
    assert filled.state()["batches"]["extracted"] == extracted, "the source was not asked"
    history = (
        "SELECT units_sold FROM history_fact_sales_order"
        " WHERE sales_order_id = 7 AND currency_id = 77 ORDER BY valid_from"
    )
    assert sql(stack.warehouse, history) == [[1977], [1978]], "every version, in its order"

    rebuilt = filled("replay", "--all", "--into", "rebuilt")
    assert rebuilt.exit_code == 0, rebuilt.output
    assert "Equal, row for row" in rebuilt.stdout
    sql(stack.source_admin, "UPDATE sales_order SET currency_id = 1 WHERE sales_order_id = 7")
    sql(stack.source_admin, "DELETE FROM currency WHERE currency_id = 77")
    assert filled("run").exit_code == 0
    result = check(stack.source, stack.warehouse)
    assert result.agrees, result.as_dict()
