"""Joins along paths: a change anywhere reaches exactly the rows that depend on it, with all rows along their paths."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.extract.capture import backfill
from lambda_toolkit.pipeline.lambdas.extract.extraction import extract
from lambda_toolkit.pipeline.lambdas.extract.limits import DEFAULT_LIMITS, Limits
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import processed_manifest
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations, parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from lambda_toolkit.pipeline.lambdas.transform.batch import transform
from lambda_toolkit.pipeline.warehouse.column_types import with_types
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.memory_s3 import MemoryS3

# No foreign keys: a reference may be dangling. Keys and references have different types, and NULLs.
SOURCE = """
CREATE TABLE country (id text PRIMARY KEY, name text);
CREATE TABLE city (id int PRIMARY KEY, name text, country_id int);
CREATE TABLE address (id int PRIMARY KEY, street text, city_id bigint);
CREATE TABLE branch (region text, number int, title text, PRIMARY KEY (number, region));
CREATE TABLE customer (id int PRIMARY KEY, name text, billing int, shipping int, referrer int, region text, branch int);
"""
KEYS = {"country": ("id",), "city": ("id",), "address": ("id",), "branch": ("region", "number"), "customer": ("id",)}
ADDRESS, CITY, COUNTRY = (
    {"table": "address"},
    {"table": "city", "on": "city_id"},
    {"table": "country", "on": "country_id"},
)
JOINS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {  # table -> its source, joins and columns
    "dim_customer": (
        "customer",
        {
            "country": {**COUNTRY, "from": "town"},  # before what it starts from
            "town": {**CITY, "from": "bill"},
            "bill": {**ADDRESS, "on": "billing"},
            "ship": {**ADDRESS, "on": "shipping"},
            "shop": {"table": "branch", "on": ["region", "branch"]},
            "referrer": {"table": "customer", "on": "referrer"},
            "first": {"table": "customer", "on": "referrer", "from": "referrer"},
            "referrer_shop": {"table": "branch", "on": ["region", "branch"], "from": "referrer"},
        },
        (
            *("name", "bill.street", "town.name", "country.name", "ship.street", "shop.title", "referrer.name"),
            *("first.name", "referrer_shop.title"),
        ),
    ),
    "dim_contact": (
        "customer",
        {"ship": {**ADDRESS, "on": "shipping"}, "town": {**CITY, "from": "ship"}},
        ("town.name",),
    ),
    "dim_address": ("address", {"city": "city_id", "country": {**COUNTRY, "from": "city"}}, ("street", "country.name")),
    "dim_branch": ("branch", {}, ("title",)),
}
VALUES: dict[str, dict[str, tuple[Any, ...]]] = {
    "country": {"name": ("a", "b", None)},
    "city": {"name": ("a", "b", None), "country_id": (1, 2, 3, 4, 9, None)},
    "address": {"street": ("a", "b"), "city_id": (1, 2, 3, 2, 2**40, None)},
    "branch": {"title": ("a", "b")},
    "customer": {
        "name": ("a", "b"),
        **dict.fromkeys(("billing", "shipping", "referrer"), (1, 2, 3, 4, 9, None)),
        "region": ("n", "s", None),
        "branch": (1, 2, None),
    },
}
IDS: dict[str, tuple[Any, ...]] = {
    "customer": (1, 2, 3, 4, 5),
    "address": (1, 2, 3, 4),
    "country": ("1", "2", "01"),
    "branch": ("n", "s"),
}
Row = dict[str, Any]
State = dict[str, dict[tuple[str, ...], Row]]


def _columns(name: str) -> dict[str, str]:
    source, _, read = JOINS[name]
    return {**{key: key for key in KEYS[source]}, **{text.replace(".", "_"): text for text in read}}


LABEL = {  # SQL of two rows along a path, and a filter by the further one
    "kind": "dimension",
    "from": "customer",
    "key": "id",
    "join": {"bill": {**ADDRESS, "on": "billing"}, "town": {**CITY, "from": "bill"}},
    "columns": {"id": "id", "label": "coalesce(bill.street, '?') || ' ' || town.name"},
    "where": "town.name <> 'b'",
}
DOCUMENT: dict[str, Any] = {
    "source": {name: {"key": list(keys), "deletes": "every run"} for name, keys in KEYS.items()},
    "warehouse": {
        name: {"kind": "dimension", "from": of, "key": list(KEYS[of]), "join": joins, "columns": _columns(name)}
        for name, (of, joins, _) in JOINS.items()
    }
    | {"dim_label": LABEL},
}
TYPES = {"number": "integer", "region": "text", "id": "integer"}


def _type(column: str) -> str:
    return TYPES.get(column, "text")


WAREHOUSE = "".join(
    f"CREATE TABLE {name} ({', '.join(f'{column} {_type(column)}' for column in _columns(name))},"
    f" PRIMARY KEY ({', '.join(KEYS[of])}));\n"
    for name, (of, _, _) in JOINS.items()
)
WAREHOUSE += "CREATE TABLE dim_label (id integer PRIMARY KEY, label text NOT NULL);"
DECLARED = parse(with_types(DOCUMENT, WAREHOUSE, "warehouse.sql"))
BY_CONTENT = parse(
    with_types(
        {
            **DOCUMENT,
            "source": {name: {**entry, "compare": "content"} for name, entry in DOCUMENT["source"].items()},
        },
        WAREHOUSE,
        "warehouse.sql",
    )
)


class World:
    """A source that changes at random, and the pipeline behind it."""

    def __init__(
        self, connections, declared: Declarations = DECLARED, limits: Limits = DEFAULT_LIMITS, rows: int = 60
    ) -> None:
        self.source, self.warehouse = connections
        self.declared, self.limits = declared, limits
        client = MemoryS3()
        for bucket in ("ingestion", "processed"):
            client.create_bucket(Bucket=bucket)
        self.ingestion, self.processed = Lake(client, "ingestion"), Lake(client, "processed")
        self.chance = random.Random(5)  # noqa: S311
        for _ in range(rows):
            self._insert(self.chance.choice(list(KEYS)))

    def change(self) -> None:
        """One row is inserted, deleted, touched or changed, its key and the references on it included."""
        table = self.chance.choice(list(KEYS))
        key = self._key(table)
        where = " AND ".join(f"{name} = '{value}'" for name, value in key.items())
        column = self.chance.choice([*VALUES[table]])
        match self.chance.randint(0, 7):
            case 0:
                self.source.run(f"DELETE FROM {table} WHERE {where}")
            case 1:
                rows = self.chance.choice([where, "true"])
                self.source.run(f"UPDATE {table} SET {column} = {column} WHERE {rows}")
            case 2 | 3:
                self._insert(table)
            case _:
                value = self.chance.choice(VALUES[table][column])
                text = "NULL" if value is None else f"'{value}'"
                self.source.run(f"UPDATE {table} SET {column} = {text} WHERE {where}")

    def _key(self, table: str) -> Row:
        key = {name: self.chance.choice(IDS.get(table, (1, 2, 3))) for name in KEYS[table]}
        return {**key, "number": self.chance.choice((1, 2))} if table == "branch" else key

    def _insert(self, table: str) -> None:
        row = {**self._key(table), **{name: self.chance.choice(values) for name, values in VALUES[table].items()}}
        texts = ", ".join("NULL" if value is None else f"'{value}'" for value in row.values())
        self.source.run(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({texts}) ON CONFLICT DO NOTHING")

    def state(self) -> State:
        """Every row by its key, with its xmin."""
        found: State = {}
        for table, keys in KEYS.items():
            rows = self.source.rows(f"SELECT to_jsonb(t) || jsonb_build_object('xmin', xmin::text) FROM {table} AS t")
            found[table] = {tuple(str(row[key]) for key in keys): row for (row,) in rows}
        return found

    def run(self) -> int | None:
        """One run of the pipeline; returns the batch."""
        done = extract(PostgresSource(self.source), self.ingestion, self.declared, uuid.uuid4().hex, limits=self.limits)
        self.incomplete = done.incomplete
        if done.batch is not None:
            transform(self.ingestion, self.processed, self.declared, done.batch)
        self.warehouse.run("SELECT pg_advisory_unlock_all()")
        load(PostgresWarehouse(self.warehouse), self.processed, self.declared)
        assert self.warehouse.rows("SELECT * FROM pipeline.rejected_value") == []
        return done.batch

    def finish(self) -> None:
        """Runs until nothing remains; then the warehouse equals the source."""
        for _ in range(60):
            if self.run() is None and not self.incomplete:
                break
        assert not self.incomplete, "a table is never read to its end"
        self.compare(self.state())

    def compare(self, state: State) -> None:
        """What is present in the warehouse is what LEFT JOIN gives."""
        for name in JOINS:
            assert _present(self, name) == _expected(name, state), name
        found = self.warehouse.rows("SELECT id, label FROM current_dim_label ORDER BY id")
        assert found == sorted(_labels(state))

    def written(self, batch: int, name: str) -> set[tuple[str, ...]]:
        """The keys of the rows that transform wrote of a table."""
        file = processed_manifest(self.processed.get(manifest_key(batch)), "").tables.get(name)
        if file is None or file.key is None:
            return set()
        rows = self.processed.table(file.key).to_pydict()
        return set(zip(*(map(str, rows[key]) for key in KEYS[JOINS[name][0]]), strict=True))


def _path(name: str, row: Row, state: State) -> dict[str | None, tuple[str, tuple[str, ...] | None, Row | None]]:
    """Alias -> its table, the key that is referred to (None: none is), and the row with that key, if there is one."""
    source, joins, _ = JOINS[name]
    found: dict[str | None, Any] = {None: (source, None, row)}
    left = dict(joins)
    while left:
        for alias, join in list(left.items()):
            join = {"on": join} if isinstance(join, str) else join
            if join.get("from") not in found:
                continue
            del left[alias]
            table, parent = join.get("table", alias), found[join.get("from")][2]
            on = [join["on"]] if isinstance(join["on"], str) else join["on"]
            values = [parent[column] if parent else None for column in on]
            key = None if None in values else tuple(map(str, values))
            found[alias] = (table, key, state[table].get(key) if key else None)
    return found


def _expected(name: str, state: State) -> list[tuple[Any, ...]]:
    found = []
    for row in state[JOINS[name][0]].values():
        path = _path(name, row, state)
        values = []
        for text in _columns(name).values():
            alias, _, column = text.rpartition(".")
            joined = path[alias or None][2]
            values.append(joined[column] if joined else None)
        found.append(tuple(values))
    return sorted(found, key=str)


def _labels(state: State) -> Iterator[list[Any]]:
    for row in state["customer"].values():
        path = _path("dim_customer", row, state)
        bill, town = path["bill"][2], path["town"][2]
        if bill and town and town["name"] not in (None, "b"):
            yield [row["id"], f"{bill['street'] or '?'} {town['name']}"]


def _dependent(name: str, state: State, before: State, *, xmin: bool) -> set[tuple[str, ...]]:
    """The rows of which something along the paths was written, or deleted, between two states.

    ``xmin``: a row that was written is another one, also where it has the same values.
    """
    found = set()

    def written(one: Row | None, other: Row | None) -> bool:
        same = bool(one and other) and (not xmin) and {**(one or {}), "xmin": 0} == {**(other or {}), "xmin": 0}
        return one != other and not same

    for own, row in state[JOINS[name][0]].items():
        for alias, (table, key, joined) in _path(name, row, state).items():
            key = own if alias is None else key
            if key is not None and written(before[table].get(key), joined):
                found.add(own)
    return found


def _present(world: World, name: str) -> list[tuple[Any, ...]]:
    columns = ", ".join(_columns(name))
    return sorted(map(tuple, world.warehouse.rows(f"SELECT {columns} FROM current_{name}")), key=str)


@pytest.fixture
def connections(credentials, empty) -> Iterator[Any]:
    """To the source and to the warehouse."""
    prepare(empty, WAREHOUSE, DECLARED)
    with connect(credentials[0]) as source:
        source.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        source.run(SOURCE)
        yield source, empty


@pytest.mark.parametrize("declared", [DECLARED, BY_CONTENT], ids=["by transaction", "by content"])
def test_change_along_a_path_reaches_exactly_what_depends_on_it(connections, declared):
    """In the same batch, after any history: what is present is what LEFT JOIN gives, and nothing else was written."""
    world = World(connections, declared)
    before: State = {}
    reached = 0
    for number in range(40):
        for _ in range(world.chance.randint(1, 4)):
            world.change()
        state = world.state()
        batch = world.run()
        world.compare(state)
        for name in JOINS:
            if batch is not None and before:
                dependent = _dependent(name, state, before, xmin=declared is DECLARED)
                assert world.written(batch, name) == dependent, (number, name)
                reached += len(dependent)
        before = state
    assert reached >= 50


def test_paths_are_followed_where_tables_are_read_in_ranges(connections, monkeypatch):
    """Batches of a few rows, into which neither a table fits nor what a change reaches."""
    monkeypatch.setattr(backfill, "FIRST_CHUNK", 2)
    world = World(connections, limits=Limits(rows=2))
    for _ in range(25):
        for _ in range(world.chance.randint(1, 12)):
            world.change()
        world.run()
    world.finish()


@pytest.fixture
def customers(connections, monkeypatch) -> World:
    """Ten of them in one country and one in another, all loaded, by batches of four rows."""
    monkeypatch.setattr(backfill, "FIRST_CHUNK", 2)
    connections[0].run(
        "INSERT INTO country VALUES ('1', 'a'), ('2', 'b');"
        "INSERT INTO city SELECT n, 'c', n FROM generate_series(1, 2) AS n;"
        "INSERT INTO address SELECT n, 'd', n FROM generate_series(1, 2) AS n;"
        "INSERT INTO customer SELECT n, 'e', 1 + n / 11 FROM generate_series(1, 11) AS n"
    )
    world = World(connections, limits=Limits(rows=4), rows=0)
    world.finish()
    return world


def test_change_that_reaches_more_than_a_batch_is_read_in_ranges(customers):
    customers.source.run("UPDATE country SET name = 'new' WHERE id = '1'")
    customers.run()
    assert set(customers.incomplete) == {"customer"}
    customers.source.run("UPDATE customer SET name = 'f' WHERE id IN (1, 9)")
    customers.finish()


def test_change_reaches_rows_beside_those_of_a_huge_update(customers):
    """Which is read in ranges, so that not all of it was read yet; the row that is reached is beyond the range."""
    customers.source.run("UPDATE customer SET name = 'f' WHERE id < 8")
    customers.run()
    assert set(customers.incomplete) == {"customer"}
    customers.source.run("UPDATE country SET name = 'new' WHERE id = '2'")
    customers.finish()


def test_rows_that_refer_to_the_last_one_of_their_own_table(customers):
    """More than a batch may have: each range that is read changes what the ranges before it refer to."""
    customers.source.run("UPDATE customer SET referrer = 11")
    customers.finish()
    customers.source.run("UPDATE customer SET name = 'f' WHERE id = 11")
    customers.finish()


def test_row_that_all_refer_to_changes_while_the_table_is_read(customers):
    """Rows of earlier ranges have what it was before; too many for a batch, they are read once more at the end."""
    customers.source.run("UPDATE customer SET referrer = 6")
    customers.finish()
    customers.source.run("UPDATE customer SET name = 'f'")
    customers.run()
    assert set(customers.incomplete) == {"customer"}
    customers.source.run("UPDATE customer SET name = 'g' WHERE id = 6")
    customers.finish()


def test_last_rows_are_read_though_each_batch_reaches_too_many(customers):
    """What every row refers to changes more often than the table is read."""
    customers.source.run("UPDATE customer SET name = 'f'")
    for number in range(12):
        customers.source.run(f"UPDATE country SET name = '{number}' WHERE id = '1'")
        customers.run()
    assert customers.warehouse.rows("SELECT name FROM current_dim_customer WHERE id = 10") == [["f"]]
    customers.finish()


def test_what_is_read_again_reaches_no_row_that_did_not_change(customers):
    """Rows that are only read once more are no changes of those that refer to them, in this table or another."""
    customers.source.run("UPDATE customer SET referrer = id % 11 + 1")
    customers.finish()
    customers.source.run("UPDATE country SET name = 'new' WHERE id = '1'")
    for _ in range(5):  # the batch that finds it, and eleven rows, four to a batch
        customers.run()
    assert not customers.incomplete
    customers.finish()
