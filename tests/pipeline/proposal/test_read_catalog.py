"""What is read of a database's catalog, by a role that has SELECT on the tables and nothing else."""

from __future__ import annotations

import dataclasses

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, ForeignKey, Table
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


BESIDE = """
    CREATE EXTENSION citext; CREATE SCHEMA beside;
    CREATE TABLE beside.a (name text PRIMARY KEY, id text DEFAULT 'y', moods text,
        code text GENERATED ALWAYS AS ('z') STORED);
    CREATE TABLE beside.b (x int REFERENCES beside.b, y text REFERENCES beside.a, PRIMARY KEY (x));
    CREATE TABLE beside.p (id int, PRIMARY KEY (id)) PARTITION BY LIST (id);
    CREATE TABLE beside.p1 PARTITION OF beside.p DEFAULT; CREATE VIEW beside.v AS SELECT 1 AS one;
    COMMENT ON TABLE beside.a IS 'beside'; COMMENT ON COLUMN beside.a.code IS 'beside';
    CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
    CREATE SCHEMA "My s"; SET search_path TO "My s", public;
    CREATE TYPE mood AS ENUM ('sad', 'ok'); ALTER TYPE mood ADD VALUE 'low' BEFORE 'sad';
    CREATE DOMAIN price AS numeric(10,2); CREATE DOMAIN list_price AS price; CREATE DOMAIN feeling AS mood;
    CREATE TABLE a (dropped int, name text NOT NULL, id int GENERATED BY DEFAULT AS IDENTITY UNIQUE, moods mood[],
        feels feeling, list list_price, code varchar(3) DEFAULT 'x', caseless citext,
        loud text GENERATED ALWAYS AS (upper(code)) STORED, soft text GENERATED ALWAYS AS (code || code) VIRTUAL,
        PRIMARY KEY (name, id));
    ALTER TABLE a DROP dropped; COMMENT ON TABLE a IS 'of a'; COMMENT ON COLUMN a.code IS 'of code';
    CREATE TABLE b (z int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x int REFERENCES beside.b, y text,
        FOREIGN KEY (y, x) REFERENCES a, FOREIGN KEY (x) REFERENCES a (id));
    ALTER TABLE b ADD CONSTRAINT late FOREIGN KEY (z) REFERENCES a (id) NOT VALID, ADD CHECK (z > 0),
        ADD CONSTRAINT loose FOREIGN KEY (z) REFERENCES b NOT ENFORCED;
    CREATE TABLE p (id int PRIMARY KEY, a_id int REFERENCES a (id)) PARTITION BY RANGE (id);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
    CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY HASH (id);
    CREATE TABLE p2a PARTITION OF p2 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    CREATE TABLE f (id int) PARTITION BY LIST (id); CREATE TABLE f3 PARTITION OF f DEFAULT;
    CREATE FOREIGN TABLE f2 PARTITION OF f FOR VALUES IN (1) SERVER nowhere;
    CREATE FOREIGN TABLE f1 PARTITION OF f FOR VALUES IN (2) SERVER nowhere;
    INSERT INTO a (name) VALUES ('n'); INSERT INTO p SELECT n FROM generate_series(1, 13) AS n; ANALYZE p, b, p1, p2a
"""


def test_catalog_of_a_schema_is_its_own(database, selecting):
    """Beside tables of the same names, whose columns, keys and comments are others."""
    credentials = database(BESIDE)
    with connect(credentials) as owner:
        found = read_catalog(owner, "My s")
    integer, mood = ("integer", "integer"), ("low", "sad", "ok")
    a = (
        Column("name", "text", "text", True),
        Column("id", *integer, True, identity="by default"),
        Column("moods", '"My s".mood[]', '"My s".mood[]', False, enum_labels=mood),
        Column("feels", '"My s".feeling', '"My s".mood', False, enum_labels=mood),
        Column("list", '"My s".list_price', "numeric(10,2)", False),
        Column("code", *("character varying(3)",) * 2, False, default="'x'::character varying", comment="of code"),
        Column("caseless", "citext", "citext", False, exact=False),
        Column("loud", "text", "text", False, generated="stored", default="upper((code)::text)"),
        Column("soft", "text", "text", False, generated="virtual", default="((code)::text || (code)::text)"),
    )
    b = (
        Column("z", *integer, True, identity="always"),
        Column("x", *integer, False),
        Column("y", "text", "text", False),
    )
    p = (Column("id", *integer, True), Column("a_id", *integer, False))
    tables = {table.name: dataclasses.replace(table, indexes=()) for table in found.tables}
    assert list(tables) == ["a", "b", "f", "p"]
    mine = {"schema": "My s"}
    assert tables["a"] == Table("a", "r", a, ("name", "id"), (("id",), ("name", "id")), comment="of a", **mine)
    keys = (
        ForeignKey(("x",), "a", ("id",), True),
        ForeignKey(("y", "x"), "a", ("name", "id"), True),
        ForeignKey(("z",), "a", ("id",), False),
        ForeignKey(("z",), "b", ("z",), False),
    )
    assert tables["b"] == Table("b", "r", b, ("z",), (("z",),), foreign_keys=keys, estimated_rows=0, **mine)
    assert tables["f"] == Table(
        *("f", "p", (Column("id", *integer, False),)), partitions=3, foreign_partitions=("f1", "f2"), **mine
    )
    of_p = {"foreign_keys": (ForeignKey(("a_id",), "a", ("id",), True),), "partitions": 2, "estimated_rows": 13}
    assert tables["p"] == Table("p", "p", p, ("id",), (("id",),), **of_p, **mine)
    assert found.other_schemas == {"beside": 4}

    with connect(credentials) as owner:
        owner.run(f'GRANT SELECT (id, moods) ON "My s".a TO {selecting}')
    for granted, readable in (("SELECT 1", set()), (f'GRANT USAGE ON SCHEMA "My s" TO {selecting}', {"id", "moods"})):
        with connect(credentials) as owner:
            owner.run(granted)
        with connect(dataclasses.replace(credentials, user=selecting, password=PASSWORD)) as connection:
            columns = read_catalog(connection, "My s").by_name["a"].columns
        assert {column.name for column in columns if column.readable} == readable
