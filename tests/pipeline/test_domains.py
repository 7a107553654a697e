"""Columns of a domain: they are read, converted and computed with as columns of the type that it is of."""

from __future__ import annotations

import tomllib
from decimal import Decimal

from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.warehouse.column_types import with_types
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.repository import CONFIG

SCHEMA = (CONFIG / "warehouse.sql").read_text(encoding="utf-8")
DOMAINS = """
    CREATE DOMAIN eur AS numeric(12, 2) CHECK (VALUE >= 0); CREATE DOMAIN price AS eur; CREATE DOMAIN units AS int;
    ALTER TABLE sales_order ALTER COLUMN unit_price TYPE price, ALTER COLUMN units_sold TYPE units
"""


def test_column_of_a_domain_is_one_of_its_base_type(pipeline):
    """In the lake, as a value, and in SQL; to make a domain of a column's own type changes no row and no type."""
    document = tomllib.loads((CONFIG / "pipeline.toml").read_text(encoding="utf-8"))
    document["warehouse"]["fact_sales_order"]["columns"]["each"] = "unit_price * units_sold / 7"
    schema = SCHEMA.replace("    unit_price                   numeric", "    each numeric,\n    unit_price numeric", 1)
    tables = {key: document[key] for key in ("source", "warehouse")}
    pipeline.admin.run("ALTER TABLE sales_order ALTER COLUMN unit_price TYPE numeric(12, 2)")
    pipeline.declarations = parse(with_types(tables, schema, "warehouse.sql"), parse_expression)
    prepare(pipeline.warehouse, schema, pipeline.declarations, alter=True)
    pipeline.run()
    pipeline.admin.run(DOMAINS)
    pipeline.run()
    assert pipeline.rows("SELECT count(*), count(DISTINCT sales_order_id) FROM fact_sales_order") == [[6, 6]]
    pipeline.admin.run("UPDATE sales_order SET unit_price = 3.33 WHERE sales_order_id = 2")
    pipeline.run()
    expected = pipeline.admin.rows("SELECT 3.33::price * units_sold / 7 FROM sales_order WHERE sales_order_id = 2")
    found = pipeline.rows("SELECT each, unit_price FROM current_fact_sales_order WHERE sales_order_id = 2")
    assert found == [[*expected[0], Decimal("3.33")]]
