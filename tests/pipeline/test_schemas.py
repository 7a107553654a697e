"""Source tables in other schemas than ``public``, and under other names than those that declarations give them."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import DeclarationError, SourceError
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from tests.support.repository import configuration

PLACES = {"staff": ('Sales "1"', None), "department": ('Sales "1"', "De.part $ment"), "sales_order": ("other", "order")}
MOVE = """
    CREATE SCHEMA "Sales ""1\"""; CREATE SCHEMA other; GRANT USAGE ON SCHEMA "Sales ""1\""", other TO reader;
    ALTER TABLE department RENAME TO "De.part $ment"; ALTER TABLE "De.part $ment" SET SCHEMA "Sales ""1\""";
    ALTER TABLE staff SET SCHEMA "Sales ""1\"""; ALTER TABLE sales_order RENAME TO "order";
    ALTER TABLE "order" SET SCHEMA other;
    CREATE TABLE staff (staff_id text PRIMARY KEY); CREATE TABLE other.staff (x int);
    INSERT INTO staff VALUES ('of another schema')
"""


def declared():
    document = configuration()
    for name, (schema, table) in PLACES.items():
        document["source"][name] |= {"schema": schema, **({"table": table} if table else {})}
    return parse(document)


@pytest.fixture
def moved(pipeline):
    """A pipeline that has run once, and three of whose tables were moved then; others took their names."""
    pipeline.run()
    pipeline.admin.run(MOVE)
    pipeline.declarations = declared()
    return pipeline


def test_tables_of_other_schemas_are_captured(moved):
    """What did not change makes no version; changes, of joined rows too, and deletes arrive."""
    queries = ("SELECT * FROM dim_staff ORDER BY 1", "SELECT count(*) FROM fact_sales_order")
    before = [moved.rows(query) for query in queries]
    moved.run()
    assert [moved.rows(query) for query in queries] == before
    moved.admin.run("""UPDATE "Sales ""1\"""."De.part $ment" SET location = 'Hull' WHERE department_id = 1;
        UPDATE other."order" SET units_sold = 5 WHERE sales_order_id = 1;
        DELETE FROM payment WHERE transaction_id = 6; DELETE FROM transaction WHERE sales_order_id = 6;
        DELETE FROM other."order" WHERE sales_order_id = 6; UPDATE staff SET staff_id = 'again'""")
    moved.run()
    assert moved.rows("SELECT location FROM dim_staff WHERE staff_id = 1") == [["Hull"]]
    assert moved.rows("SELECT sales_order_id, units_sold FROM current_fact_sales_order ORDER BY 1 LIMIT 1") == [[1, 5]]
    assert moved.rows("SELECT max(sales_order_id) FROM current_fact_sales_order") == [[5]]
    assert moved.rows("SELECT count(*) FROM pipeline.rejected_value") == [[0]]


def test_tables_of_other_schemas_are_named_as_declared(moved):
    moved.admin.run('REVOKE ALL ON other."order" FROM reader')
    with pytest.raises(SourceError, match="The source table sales_order may not be read by this user"):
        moved.extract()
    moved.admin.run('ALTER TABLE other."order" RENAME TO former')
    with pytest.raises(SourceError, match="The source table sales_order does not exist"):
        moved.extract()
    moved.admin.run(
        'ALTER TABLE other.former RENAME TO "order"; GRANT SELECT ON other."order" TO reader;'
        'ALTER TABLE other."order" DROP CONSTRAINT sales_order_pkey CASCADE'
    )
    with pytest.raises(SourceError, match="does not identify the rows of the source table sales_order"):
        moved.extract()


@pytest.mark.parametrize("key", ["schema", "table"])
@pytest.mark.parametrize("value", ["", 3, "x" * 64])
def test_place_that_cannot_be_is_refused(key, value):
    document = configuration()
    document["source"]["staff"][key] = value
    with pytest.raises(DeclarationError, match=r"\[source.staff\]"):
        parse(document)
