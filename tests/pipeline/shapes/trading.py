"""A trading company: addresses twice, order details, keys of blanks and text, money, discounts, filters, versions."""

from __future__ import annotations

from tests.pipeline.shapes.shape import MAYBE_TEXTS, TEXTS, Shape, SourceTable, Waiting, numbers, text

_CASCADE = "ON UPDATE CASCADE ON DELETE CASCADE"
DDL = f"""
DROP SCHEMA IF EXISTS sales CASCADE; CREATE SCHEMA sales;
CREATE TABLE region (code "char", area smallint, name text, PRIMARY KEY (area, code));
CREATE TABLE customers (customer_id char(5) PRIMARY KEY, company text NOT NULL, area smallint, region "char",
    billing smallint, shipping smallint, credit money, limits jsonb);
CREATE TABLE addresses (customer_id char(5), number smallint, street text NOT NULL, country text,
    PRIMARY KEY (customer_id, number));
CREATE TABLE categories (name text PRIMARY KEY, description text);
CREATE TABLE products (sku text PRIMARY KEY, title text NOT NULL, category text REFERENCES categories
    ON UPDATE CASCADE ON DELETE SET NULL, price numeric, list_price money, discontinued boolean);
CREATE TABLE sales.orders (order_id int PRIMARY KEY, customer_id char(5) REFERENCES customers
    ON UPDATE CASCADE ON DELETE SET NULL, ship_to smallint, status text NOT NULL, ordered date, freight real,
    placed timestamptz);
CREATE TABLE sales."Order Details" ("Order ID" int REFERENCES sales.orders {_CASCADE}, sku text REFERENCES products
    {_CASCADE}, "Unit Price" numeric(10,4) NOT NULL, quantity smallint NOT NULL, discount numeric(4,3) NOT NULL,
    PRIMARY KEY ("Order ID", sku));
"""
_CUSTOMERS = ("'ALFKI'", "'AB'", "'AB '", "''", "'a b'", "'\u00e9'", "'\"'", "'a''b'", "'\\'", "'NULL'", "'  x'")
_SKUS = tuple(text(sku) for sku in ("a", "A", " a", "a ", "", "NULL", '["a"]', "\\", "\u00e9", "e\u0301", "x\ny", "'"))
_NAMES = tuple(text(name) for name in ("Tea", "tea", "", "Tea ", "NULL"))
TABLES = (
    SourceTable(
        "region",
        ("area", "code"),
        {"code": ("'n'", "'s'", "'\u0001'"), "area": numbers(2), "name": MAYBE_TEXTS},
        8,
    ),
    SourceTable(
        "customers",
        ("customer_id",),
        {
            "customer_id": _CUSTOMERS,
            "company": TEXTS,
            "area": numbers(3, "NULL"),
            "region": ("'n'", "'s'", "'\u0001'", "NULL"),
            "billing": numbers(3, "NULL"),
            "shipping": numbers(3, "NULL"),
            "credit": ("'1234.50'", "'-0.01'", "NULL"),
            "limits": ('\'{"month": 12.50, "a": [1, "x"]}\'', "'null'", "'{}'", "NULL", "'{\"month\": null}'"),
        },
        20,
    ),
    SourceTable(
        "addresses",
        ("customer_id", "number"),
        {
            "customer_id": _CUSTOMERS,
            "number": numbers(3),
            "street": TEXTS,
            "country": ("'DE'", "'GB'", "'gb'", "''", "NULL"),
        },
        30,
    ),
    SourceTable("categories", ("name",), {"name": _NAMES, "description": MAYBE_TEXTS}, 6),
    SourceTable(
        "products",
        ("sku",),
        {
            "sku": _SKUS,
            "title": TEXTS,
            "category": (*_NAMES, "NULL"),
            "price": ("1", "1.0", "0.333333333333333333333333", "99999999.99", "NULL", "-0.000"),
            "list_price": ("'0'", "'1.99'", "'92233720368547758.07'", "NULL"),
            "discontinued": ("false", "false", "true", "NULL"),
        },
        16,
    ),
    SourceTable(
        "sales.orders",
        ("order_id",),
        {
            "order_id": numbers(25),
            "customer_id": (*_CUSTOMERS, "NULL"),
            "ship_to": numbers(3, "NULL"),
            "status": ("'draft'", "'open'", "'open'", "'paid'", "'paid '", "''"),
            "ordered": ("'2024-02-29'", "'2023-12-31'", "'0001-01-01'", "'9999-12-31'", "NULL"),
            "freight": ("0.1", "1e-30", "'NaN'", "'Infinity'", "-0.0", "NULL"),
            "placed": ("'2024-03-31 01:30+00'", "'2024-10-27 00:59:59.999999+00'", "'2024-10-27 01:00+00'", "NULL"),
        },
        40,
    ),
    SourceTable(
        'sales."Order Details"',
        ('"Order ID"', "sku"),
        {
            '"Order ID"': numbers(25),
            "sku": _SKUS,
            '"Unit Price"': ("1.0000", "12.3456", "0.0050", "0"),
            "quantity": ("1", "3", "7", "-1", "0"),
            "discount": ("0", "0.05", "0.333", "1"),
        },
        80,
    ),
)
CONFIG = """
source.region.key = ["area", "code"]
source.customers.key = "customer_id"
source.addresses.key = ["customer_id", "number"]
source.categories.key = "name"
source.products.key = "sku"
source.orders = { key = "order_id", schema = "sales" }
source.details = { key = ["Order ID", "sku"], schema = "sales", table = "Order Details" }

[warehouse.dim_customer]
kind = "dimension"
history = true
record = "customer_key"
from = "customers"
key = "customer_id"
where = "billing.country <> 'GB' OR coalesce(place.name, '') <> ''"
columns.customer_id = "customer_id"
columns.company = "company"
columns.region = "place.name"
columns.billed_in = "billing.country"
columns.street = "coalesce(shipping.street, billing.street, '-')"
columns.credit = "credit"
columns.monthly = "(limits ->> 'month')::numeric(8,2)"

[warehouse.dim_customer.join]
place = { table = "region", on = ["area", "region"] }
billing = { table = "addresses", on = ["customer_id", "billing"] }
shipping = { table = "addresses", on = ["customer_id", "shipping"] }

[warehouse.dim_region]
kind = "dimension"
from = "region"
key = ["area", "code"]
where = "name IS NOT NULL AND name <> ''"
columns = { area = "area", code = "code", name = "name" }

[warehouse.dim_address]
kind = "dimension"
history = true
record = "address_key"
from = "addresses"
key = ["customer_id", "number"]
where = "street <> ''"
join = { customers = "customer_id" }
columns.customer_id = "customer_id"
columns.number = "number"
columns.company = "customers.company"
columns.country = "upper(country)"

[warehouse."Dim Customer (2)"]
kind = "dimension"
history = true
record = "Key"
from = "customers"
key = "Customer Id"
columns = { "Customer Id" = "customer_id", "Street % 1" = "b.street", "lim\u0131ts" = "limits" }
join.b = { table = "addresses", on = ["customer_id", "billing"] }

[warehouse.dim_product]
kind = "dimension"
from = "products"
key = "sku"
join.family = { table = "categories", on = "category" }
where = "discontinued IS NOT TRUE"
columns.sku = "sku"
columns.title = "title"
columns.price = "price"
columns.list_price = "list_price"
columns.family = "coalesce(family.description, category)"

[warehouse.fact_order]
kind = "fact"
from = "orders"
key = "order_id"
record = "order_record"
where = "status <> 'draft' AND status <> ''"
columns.order_id = "order_id"
columns.customer_id = "customer_id"
columns.status = "status"
columns.ordered = "ordered"
columns.freight = "freight"
columns.placed_in_berlin = "placed AT TIME ZONE 'Europe/Berlin'"
columns.country = "target.country"
columns.place = "place.name"
columns.area = "customer.area"
columns.region = "customer.region"

[warehouse.fact_order.join]
customer = { table = "customers", on = "customer_id" }
target = { table = "addresses", on = ["customer_id", "ship_to"] }
place = { table = "region", on = ["area", "region"], from = "customer" }

[warehouse.fact_line]
kind = "fact"
from = "details"
key = ["order_id", "sku"]
record = "line_record"
where = "orders.status <> 'draft' AND quantity > 0"
columns.order_id = '"Order ID"'
columns.sku = "sku"
columns.net = 'round("Unit Price" * quantity * (1 - discount), 2)'
columns.half = "quantity / 2"
columns.ordered = "orders.ordered"
columns.customer = "customer.company"
columns.family = "family.description"

[warehouse.fact_line.join]
orders = "Order ID"
customer = { table = "customers", on = "customer_id", from = "orders" }
product = { table = "products", on = "sku" }
family = { table = "categories", on = "category", from = "product" }

[warehouse.fact_draft]
kind = "fact"
from = "orders"
key = "order_id"
record = "draft_record"
where = "status = 'draft'"
columns.order_id = "order_id"
columns.constant = "'draft'"
"""
WAREHOUSE = """
CREATE TABLE dim_customer (customer_key bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    customer_id char(5) NOT NULL, company text NOT NULL, region text, billed_in text, street text NOT NULL,
    credit text, monthly numeric(8,2),
    valid_from timestamptz NOT NULL, valid_to timestamptz, is_current boolean NOT NULL);
CREATE TABLE dim_region (code text, area smallint, name text NOT NULL, PRIMARY KEY (code, area));
CREATE TABLE dim_address (address_key bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    customer_id varchar(5) NOT NULL, number smallint NOT NULL, company text, country text,
    valid_from timestamptz NOT NULL, valid_to timestamptz, is_current boolean NOT NULL);
CREATE TABLE "Dim Customer (2)" ("Key" bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    "Customer Id" char(5) NOT NULL, "Street % 1" text, "lim\u0131ts" jsonb,
    valid_from timestamptz NOT NULL, valid_to timestamptz, is_current boolean NOT NULL);
CREATE TABLE dim_product (sku text PRIMARY KEY, title text NOT NULL, price numeric, list_price text, family text);
CREATE TABLE fact_order (order_record bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, order_id int NOT NULL,
    customer_id char(5), status text NOT NULL, ordered date, freight real, placed_in_berlin timestamp, country text,
    place text, area smallint, region text, FOREIGN KEY (region, area) REFERENCES dim_region (code, area));
CREATE TABLE fact_line (line_record bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, order_id int NOT NULL,
    sku text NOT NULL REFERENCES dim_product, net numeric(14,2) NOT NULL, half smallint NOT NULL, ordered date,
    customer text, family text);
CREATE TABLE fact_draft (draft_record bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, order_id int NOT NULL,
    constant text NOT NULL);
"""
ORACLE = {
    "dim_customer": """
        SELECT c.customer_id, company, r.name AS region, b.country AS billed_in,
            coalesce(s.street, b.street, '-') AS street, credit::text, (limits ->> 'month')::numeric(8,2) AS monthly
        FROM customers AS c LEFT JOIN region AS r ON r.area = c.area AND r.code = c.region
            LEFT JOIN addresses AS b ON b.customer_id = c.customer_id AND b.number = c.billing
            LEFT JOIN addresses AS s ON s.customer_id = c.customer_id AND s.number = c.shipping
        WHERE b.country <> 'GB' OR r.name <> ''
    """,
    "dim_region": "SELECT area, code, name FROM region WHERE name <> ''",
    "dim_address": """
        SELECT a.customer_id::varchar(5) AS customer_id, number, company, upper(country) AS country
        FROM addresses AS a LEFT JOIN customers USING (customer_id) WHERE street <> ''
    """,
    "Dim Customer (2)": """
        SELECT customer_id AS "Customer Id", street AS "Street % 1", limits AS "lim\u0131ts"
        FROM customers LEFT JOIN addresses USING (customer_id) WHERE number = billing
        UNION ALL SELECT customer_id, NULL, limits FROM customers AS c WHERE NOT EXISTS
            (SELECT FROM addresses AS a WHERE a.customer_id = c.customer_id AND number = billing)
    """,
    "dim_product": """
        SELECT sku, title, price, list_price::text, coalesce(description, category) AS family
        FROM products LEFT JOIN categories ON name = category WHERE discontinued IS NULL OR NOT discontinued
    """,
    "fact_order": """
        SELECT order_id, o.customer_id, status, ordered, freight,
            placed AT TIME ZONE 'Europe/Berlin' AS placed_in_berlin, a.country,
            r.name AS place, c.area, c.region
        FROM sales.orders AS o LEFT JOIN customers AS c USING (customer_id)
            LEFT JOIN addresses AS a ON a.customer_id = o.customer_id AND a.number = ship_to
            LEFT JOIN region AS r ON r.area = c.area AND r.code = c.region
        WHERE status NOT IN ('draft', '')
    """,
    "fact_line": """
        SELECT order_id, sku, round("Unit Price" * quantity * (1 - discount), 2) AS net, quantity / 2 AS half, ordered,
            company AS customer, description AS family
        FROM sales."Order Details" JOIN sales.orders ON order_id = "Order ID" LEFT JOIN customers USING (customer_id)
            JOIN products USING (sku) LEFT JOIN categories ON name = category
        WHERE status <> 'draft' AND quantity > 0
    """,
    "fact_draft": "SELECT order_id, 'draft' AS constant FROM sales.orders WHERE status = 'draft'",
}
# A row may name one that the filter of its dimension has never had: it waits.
WAITING = {
    "fact_line": Waiting(("sku",), "dim_product"),
    "fact_order": Waiting(("area", "region"), "dim_region"),
}
TRADING = Shape("trading company", DDL, TABLES, CONFIG, WAREHOUSE, ORACLE, WAITING, ("sales",))
