"""The star that is proposed: which table is what, what it refers to, and why."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.proposal.propose import catalog_at, proposal_of, propose
from lambda_toolkit.pipeline.proposal.roles import classify, usable_references
from lambda_toolkit.pipeline.proposal.star import star
from tests.support.repository import CONFIG

SHOP = """
    CREATE TABLE country (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE city (id int PRIMARY KEY, country_id int REFERENCES country, name text NOT NULL);
    CREATE TABLE address (id int PRIMARY KEY, city_id int NOT NULL REFERENCES city, street text NOT NULL);
    CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, billing_id int NOT NULL REFERENCES address,
        shipping_id int REFERENCES address, recruited_by int REFERENCES customer, created_at timestamptz);
    CREATE TABLE product (id int PRIMARY KEY, name text, price numeric(8,2), weight real, released date);
    CREATE TABLE tag (id int PRIMARY KEY, name text);
    CREATE TABLE product_tag (id int PRIMARY KEY, product_id int NOT NULL REFERENCES product,
        tag_id int NOT NULL REFERENCES tag, created_at timestamptz);
    CREATE TABLE "order" (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, ordered_at timestamptz
        NOT NULL, due date, shipping numeric(8,2));
    CREATE TABLE order_line (id int PRIMARY KEY, order_id int NOT NULL REFERENCES "order", product_id int NOT NULL
        REFERENCES product, quantity int NOT NULL, mood_id int);
    CREATE TABLE coupon (code char(8) PRIMARY KEY, percent int);
    CREATE TABLE redeemed (id int PRIMARY KEY, code char(9) REFERENCES coupon, on_day date, amount int);
    CREATE TABLE setting (id int PRIMARY KEY, value text);
    CREATE TABLE reading (id int PRIMARY KEY, taken_at timestamptz, celsius real);
    CREATE TABLE review (id int PRIMARY KEY, product_id int, stars int, written date);
    ALTER TABLE review ADD CONSTRAINT late FOREIGN KEY (product_id) REFERENCES product NOT VALID;
"""


def url(credentials) -> str:
    login = f"{credentials.user}:{credentials.password}"
    return f"postgresql://{login}@{credentials.host}:{credentials.port}/{credentials.database}"


def test_foreign_keys_say_what_is_a_fact(database):
    found = {name: each.role.value for name, each in classify(catalog_at(url(database(SHOP)), "it")).items()}
    assert found == {
        **dict.fromkeys(("address", "city", "country", "customer", "product", "setting", "tag", "coupon"), "dimension"),
        **dict.fromkeys(("order", "order_line", "reading", "review", "redeemed"), "fact"),
        "product_tag": "bridge",
    }


def test_a_named_thing_is_a_dimension_however_much_it_refers_to(database):
    music = Path(__file__).with_name("shapes").joinpath("music.sql").read_text(encoding="utf-8").split("-- day\n")[0]
    roles = classify(catalog_at(url(database(music)), "it"))
    assert {name for name, each in roles.items() if each.role.value == "fact"} == {"Invoice", "InvoiceLine"}
    assert roles["Track"].reason == "InvoiceLine and PlaylistTrack refer to it"


def test_totesys_has_the_facts_that_it_ships_with(database):
    catalog = catalog_at(url(database((CONFIG / "totesys.sql").read_text(encoding="utf-8"))), "it")
    facts = {table.source for table in star(catalog) if table.kind == "fact"}
    assert facts == {"sales_order", "purchase_order", "payment"}


def test_each_table_says_why_and_what_it_takes(database):
    credentials = database(SHOP)
    proposal = propose(url(credentials), "it")
    assert proposal_of(catalog_at(url(credentials), "it")) == proposal, "the same database, the same text"
    tables = tomllib.loads(proposal.pipeline_toml)["warehouse"]
    customer, line = tables["dim_customer"], tables["fact_order_line"]
    assert customer["join"] == {
        "billing": {"table": "address", "on": "billing_id"},
        "shipping": {"table": "address", "on": "shipping_id"},
        "recruited_by": {"table": "customer", "on": "recruited_by"},
        "city": {"on": "city_id", "from": "billing"},
        "country": {"on": "country_id", "from": "city"},
    }
    names = ("billing_street", "shipping_street", "recruited_by_name", "city_name", "country_name")
    assert [customer["columns"][name] for name in names] == [
        *("billing.street", "shipping.street", "recruited_by.name", "city.name", "country.name")
    ]
    assert line["join"] == {"order": "order_id"}
    assert line["columns"]["ordered_at"] == "order.ordered_at"
    assert line["columns"]["ordered_date_key"] == "date(order.ordered_at)"
    assert line["columns"]["customer_id"] == "order.customer_id"
    assert "shipping" not in line["columns"], "a measure of the order would be added up for each of its lines"
    for says in (
        "# A dimension: address refers to it.",
        "# A fact: it refers to order and product, has measures (quantity), and no table refers to it.",
        "# A bridge: it does nothing but connect product and tag.",
        "# order is a fact too, and nothing can refer to a fact, which has versions",
        "# Joined in, as in a star no dimension refers to another: address by billing_id; customer by",
        "# The foreign key on product_id is not used: it is not validated",
        "# The foreign key on code is not used: its values may be equal to PostgreSQL and differ as texts",
    ):
        assert says in proposal.pipeline_toml, says
    for says in (
        "customer_id integer NOT NULL REFERENCES dim_customer",
        "due date REFERENCES dim_date",
        "billing_street text NOT NULL",
        "shipping_street text,",
        "city_name text NOT NULL",
        "country_name text,",
        "ordered_date_key date NOT NULL REFERENCES dim_date,  -- its date in UTC",
        "product_id integer NOT NULL REFERENCES dim_product",
    ):
        assert says in proposal.warehouse_sql, says


def test_texts_that_are_equal_though_they_differ_are_not_joined(database):
    """A citext that ignores case; or a collation that does, which the server of the tests has not."""
    schema = """
        CREATE EXTENSION citext;
        CREATE TABLE a (k text PRIMARY KEY); CREATE TABLE b (a text REFERENCES a);
        CREATE TABLE c (k citext PRIMARY KEY); CREATE TABLE d (c citext REFERENCES c);
    """
    catalog = catalog_at(url(database(schema)), "it")
    a, b = catalog.by_name["a"], catalog.by_name["b"]
    assert len(usable_references(b, catalog)) == 1
    assert usable_references(catalog.by_name["d"], catalog) == ()
    caseless = replace(a, columns=(replace(a.columns[0], exact=False),))
    assert usable_references(b, replace(catalog, tables=(caseless, b))) == ()


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        ("", "has no table that can be read as it is."),
        ("CREATE TABLE t (a int)", "\nt is not read. It has neither a primary key"),
        (
            "CREATE SCHEMA s; CREATE TABLE s.t (a int)",
            "The schema s is not read (1 tables and views): init --schema s reads it.",
        ),
    ],
)
def test_a_database_without_a_table_to_read_says_why(database, statements, says):
    with pytest.raises(CommandError) as caught:
        propose(url(database(statements)), "the URL")
    assert says in str(caught.value)


def test_an_unreachable_database_shows_no_password(database):
    credentials = database()
    wrong = url(credentials).replace(credentials.password, "s3cret-and-wrong")
    with pytest.raises(CommandError) as caught:
        propose(wrong, "the URL")
    assert "cannot be read" in str(caught.value)
    assert "s3cret" not in str(caught.value)
