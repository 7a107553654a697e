"""What is read of a database's catalog, by a role that has SELECT on the tables and nothing else."""

from __future__ import annotations

import dataclasses

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from lambda_toolkit.pipeline.proposal.catalog import Catalog, ForeignKey
from lambda_toolkit.pipeline.proposal.read_catalog import read_catalog
from tests.pipeline.proposal.conftest import PASSWORD

SCHEMA = """
    CREATE EXTENSION pg_buffercache;
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE >= 0);
    CREATE DOMAIN list_price AS price;
    CREATE TABLE country (code char(2) PRIMARY KEY, "full name" varchar(80) NOT NULL);
    COMMENT ON TABLE country IS 'ISO 3166';
    COMMENT ON COLUMN country.code IS 'two letters';
    CREATE TABLE city (id int GENERATED ALWAYS AS IDENTITY UNIQUE, country char(2) REFERENCES country,
        mayor int REFERENCES city (id), name text NOT NULL DEFAULT 'x', upper_name text GENERATED ALWAYS AS
        (upper(name)) STORED, moods mood[], feels mood, list list_price, PRIMARY KEY (name, id));
    CREATE TABLE visit (city int NOT NULL, on_day date NOT NULL, guest text, PRIMARY KEY (on_day, city))
        PARTITION BY RANGE (on_day);
    CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
    CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY HASH (city);
    CREATE TABLE visit_2a PARTITION OF visit_2 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    ALTER TABLE visit_1 ADD FOREIGN KEY (city) REFERENCES city (id);
    ALTER TABLE visit_2a ADD FOREIGN KEY (city) REFERENCES city (id);
    ALTER TABLE visit_1 ADD FOREIGN KEY (guest) REFERENCES country;
    CREATE TABLE stay (day date, city int, FOREIGN KEY (day, city) REFERENCES visit);
    ALTER TABLE stay ADD CONSTRAINT unproven FOREIGN KEY (city) REFERENCES city (id) NOT VALID;
    CREATE TABLE half (a int NOT NULL, b int, UNIQUE (a, b));
    CREATE TABLE part (a int NOT NULL); CREATE UNIQUE INDEX some_of_part ON part (a) WHERE a > 0;
    CREATE TABLE on_an_expression (a int NOT NULL); CREATE UNIQUE INDEX absolute ON on_an_expression (abs(a));
    CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
    CREATE VIEW cities AS SELECT * FROM city;
    CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one;
    CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
    CREATE FOREIGN TABLE far (id int) SERVER nowhere;
    CREATE TABLE mixed (id int PRIMARY KEY) PARTITION BY LIST (id);
    ALTER TABLE mixed DROP CONSTRAINT mixed_pkey;
    CREATE FOREIGN TABLE mixed_far PARTITION OF mixed FOR VALUES IN (1) SERVER nowhere;
    CREATE TABLE secret (id int PRIMARY KEY);
    CREATE TABLE partly_secret (id int PRIMARY KEY, password text);
    CREATE TABLE guarded (id int PRIMARY KEY); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    CREATE TABLE bare ();
    CREATE SCHEMA sales; CREATE TABLE sales.orders (id int); CREATE VIEW sales.v AS SELECT 1 AS one;
    CREATE SCHEMA hollow;
    INSERT INTO country SELECT chr(65 + n) || 'A', n::text FROM generate_series(0, 9) AS n;
    ANALYZE country, visit_1;
"""


def read(database, selecting) -> Catalog:
    credentials = database(SCHEMA)
    with connect(credentials) as owner:
        owner.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {selecting}; REVOKE ALL ON secret FROM {selecting}")
        owner.run(f"REVOKE ALL ON partly_secret FROM {selecting}; GRANT SELECT (id) ON partly_secret TO {selecting}")
        as_owner = read_catalog(owner)
    with connect(dataclasses.replace(credentials, user=selecting, password=PASSWORD)) as connection:
        found = read_catalog(connection)
    rights = ("secret", "partly_secret", "guarded")
    assert [table for table in found.tables if table.name not in rights] == [
        table for table in as_owner.tables if table.name not in rights
    ], "SELECT alone shows all that the owner sees"
    return found


def test_select_rights_alone_show_every_table_and_constraint(database, selecting):
    found = read(database, selecting)
    tables = found.by_name
    assert {name for name in tables if name.startswith("visit")} == {"visit"}, "partitions are no tables"
    assert found.other_schemas == {"sales": 2}

    country, city, visit = tables["country"], tables["city"], tables["visit"]
    assert (country.comment, country.by_name["code"].comment, country.estimated_rows) == ("ISO 3166", "two letters", 10)
    assert country.by_name["full name"].required
    assert city.key == ("name", "id"), "the primary key, although a single column is unique too"
    assert city.unique_keys == (("id",), ("name", "id"))
    assert city.foreign_keys == (
        ForeignKey(("country",), "country", ("code",), True),
        ForeignKey(("mayor",), "city", ("id",), True),
    )
    columns = city.by_name
    assert (columns["id"].identity, columns["name"].default) == ("always", "'x'::text")
    assert (columns["upper_name"].generated, columns["upper_name"].default) == ("stored", "upper(name)")
    assert columns["feels"].enum_labels == columns["moods"].enum_labels == ("sad", "ok", "happy")
    assert (columns["list"].type, columns["list"].base_type) == ("list_price", "numeric(10,2)")

    assert (visit.key, visit.partitions, visit.estimated_rows) == (("on_day", "city"), 2, None)
    assert visit.foreign_keys == (ForeignKey(("city",), "city", ("id",), True),), "each partition has it"
    assert tables["stay"].foreign_keys == (
        ForeignKey(("city",), "city", ("id",), False),
        ForeignKey(("day", "city"), "visit", ("on_day", "city"), True),
    )


def test_tables_that_extract_cannot_read_say_why_and_what_serves(database, selecting):
    found = read(database, selecting)
    assert [table.name for table in found.readable] == ["child", "city", "country", "guarded", "visit"]
    excluded = found.excluded
    for name, says in {
        "bare": "It has no columns",
        "pg_buffercache": "It belongs to the extension pg_buffercache.",
        "cities": "It is a view: PostgreSQL does not show which of its rows changed. Use the tables behind it",
        "far": "a foreign table",
        "half": "b may be NULL in the unique index half_a_b_key. Where they never are NULL: ALTER COLUMN",
        "kept": "a materialized view",
        "mixed": "Its partition mixed_far is a foreign table",
        "on_an_expression": "The unique index absolute is on an expression. Add a primary key",
        "parent": "It also shows the rows of child by inheritance",
        "part": "The unique index some_of_part covers only the rows that satisfy a condition",
        "partly_secret": "This user may not read password: GRANT SELECT on the whole table",
        "secret": "This user may not read it: GRANT SELECT on it",
        "stay": "It has neither a primary key nor a unique index. Add a primary key; or",
    }.items():
        assert says in excluded[name], name
    assert found.by_name["guarded"].row_security
