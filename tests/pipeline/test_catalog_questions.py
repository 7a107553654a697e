"""What load asks the catalogs of a warehouse, beside tables that have all that the one in question has not."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse.binary.copying import column_types
from lambda_toolkit.pipeline.lambdas.load.warehouse.parallel.replacement import NotReplaceableError, Replacement
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import kind_of
from lambda_toolkit.pipeline.lambdas.load.warehouse.references import (
    distinct_values,
    foreign_keys,
    proven_references,
    requirements,
)
from lambda_toolkit.pipeline.lambdas.load.warehouse.references.distinct_values import DistinctValues
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.load.warehouse.session import WarehouseSession, stage_rows
from lambda_toolkit.pipeline.lambdas.load.warehouse.tables import facts, filling
from lambda_toolkit.pipeline.lambdas.load.warehouse.tables.validity import times
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import ProcessedManifest
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.databases import empty_database
from tests.support.sample_star import COMPOSITE, COMPOSITE_SCHEMA, DECLARED, SCHEMA
from tests.support.written_lake import WrittenLake

FACT = DECLARED.warehouse["fact_order"]
MANIFEST = ProcessedManifest(3, "", "2024-01-01T00:00:00Z", {})
_TRIGGER = "FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"


@pytest.fixture(scope="module")
def database(postgres_server: Any) -> Iterator[Connection]:
    """The sample star, and a copy of each of its tables."""
    with empty_database(postgres_server, "catalog_questions") as connection:
        connection.run("SET client_min_messages = error")
        prepare(connection, SCHEMA, DECLARED)
        connection.run(
            "CREATE TABLE other_product (LIKE dim_product INCLUDING ALL); CREATE TABLE other_order (LIKE fact_order"
            " INCLUDING ALL, FOREIGN KEY (product_id) REFERENCES other_product);"
            "CREATE TABLE above (product_id integer)"
        )
        yield connection


@pytest.fixture
def star(database: Connection) -> Iterator[Connection]:
    """A transaction that is rolled back."""
    database.run("BEGIN")
    yield database
    database.run("ROLLBACK")


@pytest.fixture
def schema(star: Connection) -> Connection:
    """An empty schema."""
    star.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return star


@contextmanager
def undone(connection: Connection, script: str) -> Iterator[None]:
    """Within it the statements of ``script`` have been run."""
    connection.run("SAVEPOINT before_change")
    for statement in script.split(";"):
        connection.run(statement)
    yield
    connection.run("ROLLBACK TO SAVEPOINT before_change")


def session_of(connection: Connection) -> WarehouseSession:
    return WarehouseSession(connection, LIVE, WrittenLake(), kind_of, times(LIVE, MANIFEST))  # type: ignore[arg-type]


_PARTITIONED = "DROP TABLE {t} CASCADE; CREATE TABLE {t} (order_record bigint, order_id integer, amount numeric,"
NOT_PLAIN = {
    "a rule": "CREATE RULE kept AS ON INSERT TO {t} DO ALSO NOTHING",
    "a trigger": "CREATE TRIGGER kept BEFORE UPDATE ON {t} " + _TRIGGER,
    "row security": "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY",
    "a table that inherits": "CREATE TABLE below () INHERITS ({t})",
    "a table that it inherits": "ALTER TABLE {t} INHERIT above",
    "a reference to it": "CREATE TABLE line (record bigint REFERENCES {t})",
    "partitions": _PARTITIONED + " product_id integer) PARTITION BY RANGE (order_id)",
}
WAS_FILLED = {
    "a row": "INSERT INTO dim_product VALUES (1, 'a'); INSERT INTO other_product VALUES (1, 'a');"
    "INSERT INTO {t} (order_id, product_id) VALUES (1, 1)",
    "versions": "INSERT INTO pipeline.version_range VALUES ('{t}', 1, 1, 1)",
    "a row that waits": "INSERT INTO pipeline.pending_row VALUES ('{t}', '1', 1, '{{}}')",
    "a deletion": "INSERT INTO pipeline.deletion VALUES ('{t}', '1', 1)",
}


def test_only_a_new_and_plain_table_is_filled(star: Connection) -> None:
    """With so many rows that it is worth it, and so few that their numbers are kept in memory."""
    obstacles = {**NOT_PLAIN, **WAS_FILLED}
    found = {}
    for name, made in obstacles.items():
        with undone(star, made.format(t="fact_order")):
            found[name] = filling.is_fillable(star, LIVE, FACT, foreign_keys.MANY)
    assert found == dict.fromkeys(obstacles, False)
    for made in obstacles.values():
        if "DROP TABLE" not in made:
            for statement in made.format(t="other_order").split(";"):
                star.run(statement)
    rows = {foreign_keys.MANY - 1: False, foreign_keys.MANY: True, filling.MOST: True, filling.MOST + 1: False}
    assert {count: filling.is_fillable(star, LIVE, FACT, count) for count in rows} == rows


_ODD = """
    CREATE OPERATOR public.{} (LEFTARG = integer, RIGHTARG = integer, PROCEDURE = int4eq);
    CREATE OPERATOR CLASS odd FOR TYPE integer USING btree AS OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=,
        OPERATOR 3 public.{}, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>, FUNCTION 1 btint4cmp(integer, integer);
    CREATE TABLE odds (id integer NOT NULL); CREATE UNIQUE INDEX ON odds (id odd);
    ALTER TABLE {{f}} ADD FOREIGN KEY (order_id) REFERENCES odds (id)
"""


def test_only_a_table_whose_keys_are_sorted_here_is_filled(star: Connection) -> None:
    star.run("DROP VIEW current_fact_order, history_fact_order")
    kinds = {"smallint": True, "integer": True, "bigint": True, "date": True, "text": False, "numeric": False}
    found = {}
    for kind in kinds:
        with undone(star, f"ALTER TABLE fact_order ALTER order_id TYPE {kind} USING CAST(NULL AS {kind})"):
            found[kind] = filling.is_fillable(star, LIVE, FACT, foreign_keys.MANY)
    assert found == kinds


# With each of these the foreign keys' own checks do something else, or something else is run too.
NOT_PROVABLE = {
    "a trigger of the fact": "CREATE TRIGGER kept AFTER INSERT ON {f} " + _TRIGGER,
    "a trigger of the dimension": "CREATE TRIGGER kept BEFORE UPDATE ON {d} " + _TRIGGER,
    "a rule of the fact": "CREATE RULE kept AS ON INSERT TO {f} DO ALSO NOTHING",
    "a rule of the dimension": "CREATE RULE kept AS ON DELETE TO {d} DO ALSO NOTHING",
    "a key that is checked at the end": "ALTER TABLE {f} ADD UNIQUE (order_id) DEFERRABLE",
    "a reference to itself": "ALTER TABLE {f} ADD UNIQUE (order_id),"
    " ADD FOREIGN KEY (product_id) REFERENCES {f} (order_id)",
    "a reference that is all or nothing": "ALTER TABLE {f} ADD FOREIGN KEY (product_id) REFERENCES {d} MATCH FULL",
    "another type": "CREATE TABLE wide (id bigint PRIMARY KEY);"
    "ALTER TABLE {f} ADD FOREIGN KEY (order_id) REFERENCES wide",
    "an operator of another name": _ODD.format("===", "==="),
    "an operator of another schema": _ODD.format("=", "="),
    "a partitioned fact": "DROP TABLE {f} CASCADE;"
    "CREATE TABLE {f} (order_record bigint, order_id integer, product_id integer REFERENCES {d})"
    " PARTITION BY RANGE (order_id)",
    "a fact that is a partition": "CREATE TABLE whole (LIKE {f}) PARTITION BY RANGE (order_record);"
    "ALTER TABLE {f} ALTER order_record DROP IDENTITY; ALTER TABLE whole ATTACH PARTITION {f} DEFAULT",
    "a reference to a part": "CREATE TABLE whole (id integer PRIMARY KEY) PARTITION BY RANGE (id);"
    "CREATE TABLE part PARTITION OF whole DEFAULT; ALTER TABLE {f} ADD FOREIGN KEY (order_id) REFERENCES whole",
    "a reference to a period": "CREATE TABLE spans (a int4range, b int4range, PRIMARY KEY (a, b WITHOUT OVERLAPS));"
    "ALTER TABLE {f} ADD a int4range, ADD b int4range, ADD FOREIGN KEY (a, PERIOD b) REFERENCES spans (a, PERIOD b)",
}
COLUMNS = ("order_id", "amount", "product_id")


def proven(connection: Connection, columns: tuple[str, ...] = COLUMNS) -> bool:
    return proven_references.lock_referenced(connection, LIVE.table("fact_order"), columns, sql.table("rows"))


def test_references_are_proven_only_where_nothing_else_is_run(star: Connection) -> None:
    star.run(
        "INSERT INTO dim_product VALUES (1, 'a'), (2, 'b');"
        "CREATE TABLE rows (order_id int, amount numeric, product_id int, a int4range, b int4range)"
    )
    star.run("INSERT INTO rows VALUES (1, 1, 1), (2, 1, 1), (3, 1, NULL)")
    found = {}
    for name, made in NOT_PROVABLE.items():
        with undone(star, made.format(f="fact_order", d="dim_product")):
            found[name] = proven(star, (*COLUMNS, "a", "b"))
    assert found == dict.fromkeys(NOT_PROVABLE, False)
    for number, name in enumerate(("a trigger of the fact", "a rule of the dimension", "a reference to itself")):
        star.run(NOT_PROVABLE[name].format(f="other_order", d="other_product").replace("kept", f"kept_{number}"))
    with undone(
        star, "CREATE VIEW shown AS SELECT * FROM fact_order; " + NOT_PLAIN["a reference to it"].format(t="fact_order")
    ):
        assert proven(star)
        assert not proven(star, ("order_id", "amount")), "the rows have not the column that refers"
    with undone(star, "INSERT INTO rows VALUES (4, 1, 3)"):
        assert not proven(star), "one refers to nothing"
        star.run("INSERT INTO dim_product VALUES (3, 'c')")
        assert proven(star)
    with undone(star, "ALTER TABLE fact_order DROP CONSTRAINT fact_order_product_id_fkey"):
        assert not proven(star), "there is no reference"


INDEXES = {
    "(year, number)": True,
    "(number, year)": True,
    "(number, year, amount)": True,
    "(year)": False,
    "(year, amount, number)": False,
    "(amount, number, year)": False,
    "(year, number) WHERE amount > 0": False,
    "(year, number text_pattern_ops)": False,
    '(year, number COLLATE "C")': False,
    "USING gist (number_range, year_range)": False,
}


def test_an_index_finds_the_versions_of_a_key(schema: Connection) -> None:
    """If it begins with the key's columns, in the order of their types, and has all rows."""
    schema.run(COMPOSITE_SCHEMA)
    schema.run("ALTER TABLE fact_order ADD year_range int4range, ADD number_range int4range")
    schema.run("CREATE TABLE other AS SELECT * FROM fact_order; CREATE INDEX ON other (year, number)")
    session, table = session_of(schema), COMPOSITE.declared.warehouse["fact_order"]
    found = {}
    for columns in INDEXES:
        with undone(schema, f"CREATE INDEX made ON fact_order {columns}"):
            found[columns] = facts._has_index_on_key(session, table)
    assert found == INDEXES
    schema.run("CREATE INDEX made ON fact_order (year, number)")
    schema.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'made'::regclass")
    assert not facts._has_index_on_key(session, table)


def test_types_are_those_below_domains(schema: Connection) -> None:
    """Of the columns that a table has: with their lengths, where the domain has one."""
    schema.run(
        "CREATE DOMAIN short AS varchar(3); CREATE DOMAIN shorter AS short CHECK (length(VALUE) < 3);"
        "CREATE DOMAIN price AS numeric(7, 2); CREATE TABLE other (amount short);"
        "CREATE TABLE fact_order (dropped price, order_record bigint, order_id short, amount integer,"
        " product_id shorter, more price); ALTER TABLE fact_order DROP COLUMN dropped"
    )
    assert column_types(schema, sql.table("fact_order")) == {
        "order_record": "bigint",
        "order_id": "character varying",
        "amount": "integer",
        "product_id": "character varying",
        "more": "numeric",
    }
    assert column_types(schema, sql.table("missing")) == {}
    rows = pa.table({"order_id": ["a"], "amount": ["1"], "product_id": ["abc"]})
    session = dataclasses.replace(session_of(schema), tries_rows_of=frozenset({"fact_order"}))
    stage_rows(session, FACT, FACT.column_names, "staged", [rows])
    types = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attnum > 0 AND attrelid = "
    assert schema.rows(f"{types} 'pg_temp.staged'::regclass ORDER BY attnum") == [
        ["order_id", "character varying(3)"],
        ["amount", "integer"],
        ["product_id", "character varying(3)"],
    ]


def test_requirements_are_those_that_the_table_enforces(schema: Connection) -> None:
    """Of the columns that load writes: by their own order in each key, and not those that fill themselves."""
    table: Any = COMPOSITE.declared.warehouse["fact_order"]
    schema.run(COMPOSITE_SCHEMA)
    schema.run(
        "CREATE SCHEMA other; CREATE TABLE other.fact_order (amount numeric NOT NULL, extra integer NOT NULL);"
        "CREATE TABLE other.limits (a integer PRIMARY KEY)"
    )
    schema.run(
        "ALTER TABLE fact_order ADD dropped integer NOT NULL, ADD filled integer NOT NULL DEFAULT 1,"
        " ADD made integer NOT NULL GENERATED ALWAYS AS (1) STORED, ADD counted integer NOT NULL GENERATED ALWAYS AS"
        " IDENTITY, ADD extra integer NOT NULL, ADD loose integer REFERENCES other.limits,"
        " ADD FOREIGN KEY (year) REFERENCES other.limits"
    )
    schema.run("ALTER TABLE fact_order DROP COLUMN dropped")
    found = [(entry.columns, entry.referenced_table) for entry in requirements.enforced(schema, LIVE, table)]
    assert found == [
        (("product_code", "product_shop"), "dim_product"),
        (("year",), "limits"),
        (("year",), None),
        (("number",), None),
        (("product_shop",), None),
        (("product_code",), None),
        (("extra",), None),
    ]
    unmet = "EXISTS (SELECT FROM (SELECT 1 AS product_shop, 'a' AS product_code, 5 AS year) AS s WHERE $unmet)"
    first, second, *_ = requirements.enforced(schema, LIVE, table)

    def is_unmet(entry: requirements.Requirement) -> bool:
        return bool(schema.rows(sql.compose(f"SELECT {unmet}", unmet=entry.unmet))[0][0])

    assert is_unmet(first) and is_unmet(second)
    schema.run("INSERT INTO dim_product VALUES (1, 'a', 'n'); INSERT INTO other.limits VALUES (5)")
    assert not is_unmet(first) and not is_unmet(second)


KEYS_OF_RECORDS = {
    "CREATE UNIQUE INDEX made ON copied (order_record)": True,
    "ALTER TABLE copied ADD PRIMARY KEY (order_record)": True,
    "CREATE INDEX made ON copied (order_record)": False,
    "CREATE UNIQUE INDEX made ON copied (order_record) WHERE order_record > 1": False,
    "CREATE UNIQUE INDEX made ON copied (order_record, order_id)": False,
    "CREATE UNIQUE INDEX made ON copied (order_id)": False,
    "CREATE UNIQUE INDEX made ON other_order (order_record)": False,
    "CREATE UNIQUE INDEX made ON copied (order_record); UPDATE pg_index SET indisvalid = false"
    " WHERE indexrelid = 'made'::regclass": False,
}
NUMBERS = {(): 0, (1,): 1, (1, 2, 3): 3, (3, 1, 2): 3}
OTHER_NUMBERS = {(): 1, (2,): 1, (1, 2): 3, (1, 3): 2, (0, 1): 2, (1, 2, 4): 3, (1, 2, 3): 2}


def test_copied_rows_have_each_number_once(star: Connection) -> None:
    """As many as there are, from 1 on; and a key says that none is there twice."""
    star.run("CREATE TABLE copied (order_record bigint, order_id integer)")
    made = Replacement(FACT, LIVE.table("fact_order"), "copied", sql.table("copied"))

    def is_complete(count: int) -> bool:
        try:
            made.check_rows(star, count)
        except NotReplaceableError:
            return False
        return True

    found = {}
    for statements in KEYS_OF_RECORDS:
        with undone(star, statements):
            found[statements] = is_complete(0)
    assert found == KEYS_OF_RECORDS
    star.run("CREATE UNIQUE INDEX ON copied (order_record)")
    for numbers, is_whole in [*((n, True) for n in NUMBERS.items()), *((n, False) for n in OTHER_NUMBERS.items())]:
        with undone(star, "SELECT 1"):
            star.run("INSERT INTO copied SELECT unnest(CAST(:n AS bigint[]))", n=list(numbers[0]))
            assert is_complete(numbers[1]) == is_whole, numbers


REFERRING = """
    CREATE TABLE numbers (id integer PRIMARY KEY, other smallint UNIQUE); INSERT INTO numbers VALUES (1, 7), (2, 8);
    CREATE TABLE days (day date PRIMARY KEY); INSERT INTO days VALUES ('2026-01-02');
    CREATE TABLE words (word text PRIMARY KEY); CREATE TABLE pairs (x integer, y integer, PRIMARY KEY (x, y));
    CREATE TABLE fact_order (order_id integer UNIQUE, a integer NOT NULL REFERENCES numbers, d date REFERENCES days,
        s smallint REFERENCES numbers (other), b bigint REFERENCES numbers, t text REFERENCES words,
        o integer REFERENCES fact_order (order_id), x integer, y integer, FOREIGN KEY (x, y) REFERENCES pairs)
"""
FIT: dict[str, list[Any]] = {
    "order_id": [1, 2, 3, 4],
    "a": [1, 2, 2, 1],
    "d": [None, datetime.date(2026, 1, 2), None, datetime.date(2026, 1, 2)],
    "s": [7, 8, None, 7],
    "b": [1, None, 2, 2],
    **dict.fromkeys(("t", "o", "x", "y"), [None] * 4),
}
WIDTHS = {"s": pa.int16(), "a": pa.int32(), "o": pa.int32(), "x": pa.int32(), "y": pa.int32(), "t": pa.string()}
UNKNOWN = {("t",), ("o",), ("x", "y")}


def values_of(connection: Connection, rows: dict[str, list[Any]], **kinds: pa.DataType) -> DistinctValues:
    """What is known of the values of rows that come in two parts."""
    relation = sql.table("fact_order")
    table: Any = SimpleNamespace(name="fact_order", column_names=tuple(FIT), filled_by_load=())
    values = DistinctValues(column_types(connection, relation), requirements.enforced(connection, LIVE, table))
    whole = pa.table({name: pa.array(found, {**WIDTHS, **kinds}.get(name)) for name, found in rows.items()})
    assert pa.concat_tables(list(values.of([whole[:2], whole[2:]]))).equals(whole)
    return values


def test_values_say_whether_a_row_must_wait(schema: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one column of a type that is the same for Arrow, if they are not too many; else the rows say it."""
    schema.run(REFERRING)

    def unknown(rows: dict[str, list[Any]], **kinds: pa.DataType) -> set[tuple[str, ...]]:
        return {entry.columns for entry in values_of(schema, rows, **kinds).unknown}

    assert not values_of(schema, FIT).has_unmet(schema)
    assert unknown(FIT) == UNKNOWN
    unfit = {"a": [3, None], "d": [datetime.date(2026, 1, 3)], "s": [1], "b": [3]}
    for column, found in unfit.items():
        for value in found:
            for place in (0, 3):
                rows = {**FIT, column: [*FIT[column][:place], value, *FIT[column][place + 1 :]]}
                assert values_of(schema, rows).has_unmet(schema), (column, value, place)
    assert not values_of(schema, {**FIT, "d": [None] * 4}, d=pa.null()).has_unmet(schema)
    assert unknown({**FIT, "d": [None] * 4}, d=pa.null()) == UNKNOWN
    assert unknown({**FIT, "a": ["1", "2", "2", "1"]}, a=pa.string()) == UNKNOWN | {("a",)}
    monkeypatch.setattr(distinct_values, "MOST", 2)
    assert unknown({**FIT, "a": [1, 2, 2, 1], "b": [1, 2, 3, 1]}) == UNKNOWN | {("b",), ("s",)}
    monkeypatch.setattr(distinct_values, "MOST", 0)
    nothing = values_of(schema, FIT)
    assert not nothing.has_unmet(schema)
    assert {entry.columns for entry in nothing.unknown} == UNKNOWN | {(name,) for name in "adsb"}
