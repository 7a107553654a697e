"""What is read of the catalog: of tables with dropped columns, parts, heirs, and namesakes in other schemas."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lambda_toolkit.pipeline.lambdas.extract.row_set import ALL
from lambda_toolkit.pipeline.lambdas.extract.source import shared_snapshot
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Relation, TableInfo
from lambda_toolkit.pipeline.lambdas.extract.source.introspection import introspect, partitions
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.extract.source.shared_snapshot import Sums
from lambda_toolkit.pipeline.lambdas.extract.source.snapshot import set_for_transaction
from lambda_toolkit.pipeline.lambdas.extract.source.unique_key import (
    KeyedTable,
    UniqueIndex,
    column_types,
    keyed_tables,
)
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, connect

TABLES = """
CREATE SCHEMA other;
CREATE DOMAIN eur AS numeric(12, 2);
CREATE DOMAIN price AS eur;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE line (dropped int, k int NOT NULL, n price NOT NULL, d date, m mood);
ALTER TABLE line DROP COLUMN dropped;
CREATE UNIQUE INDEX b_both ON line (k, n) INCLUDE (d);
CREATE UNIQUE INDEX a_both ON line (n, k);
CREATE UNIQUE INDEX c_some ON line (k) WHERE n > 0;
CREATE UNIQUE INDEX d_of ON line (abs(k), k);
CREATE INDEX e_any ON line (k);
ALTER TABLE line ADD CONSTRAINT f_apart EXCLUDE USING btree (k WITH =);
CREATE TABLE heir_2 (more text) INHERITS (line);
CREATE TABLE heir_1 () INHERITS (line);
CREATE TABLE heir_of_both () INHERITS (heir_1, heir_2);
CREATE TABLE other.line (z text, k bigint PRIMARY KEY);
CREATE TABLE heir_of_other () INHERITS (other.line);
CREATE TABLE other.unlike (k int);
CREATE TABLE part_1 (w int, v text, id date NOT NULL);
CREATE TABLE part (id date, v text, w int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM ('2000-01-01') TO ('2001-01-01');
ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES FROM ('1000-01-01') TO ('2000-01-01');
INSERT INTO part SELECT date '1000-01-01' + n, 'v' FROM generate_series(0, 999) AS n;
INSERT INTO part VALUES ('2000-02-02', 'v');
"""
LINE, NAMESAKE = SourceTable("line", ("k",)), SourceTable("namesake", ("k",), schema="other", table="line")
PART, MISSING = SourceTable("part", ("id",)), SourceTable("unlike", ("id",))
PART_TYPES = {"id": "date", "v": "text", "w": "integer"}
DECLARED = [LINE, NAMESAKE, PART, MISSING]


@pytest.fixture
def admin(credentials) -> Iterator[Connection]:
    with connect(credentials[0]) as connection:
        connection.run(TABLES)
        yield connection


def test_keys_are_read_with_all_that_proves_them(admin: Connection) -> None:
    """Of each table, its columns and unique indexes in their order; what is dropped, or of another table, is not."""
    assert keyed_tables(admin, [*DECLARED, SourceTable("seen", ("k",), by_content=True)]) == (
        KeyedTable(
            "line",
            ("k",),
            frozenset({"k", "n", "d", "m"}),
            frozenset({"k", "n"}),
            (
                UniqueIndex("a_both", ("n", "k"), True, False),
                UniqueIndex("b_both", ("k", "n"), True, False),
                UniqueIndex("c_some", ("k",), True, True),
                UniqueIndex("d_of", (None, "k"), True, False),
            ),
            ("heir_1", "heir_2"),
        ),
        KeyedTable(
            "namesake",
            ("k",),
            frozenset({"z", "k"}),
            frozenset({"k"}),
            (UniqueIndex("line_pkey", ("k",), True, False),),
            ("heir_of_other",),
        ),
        KeyedTable(
            "part",
            ("id",),
            frozenset({"id", "v", "w"}),
            frozenset({"id"}),
            (UniqueIndex("part_pkey", ("id",), True, False),),
            (),
        ),
        KeyedTable("unlike", ("id",), frozenset(), frozenset(), (), ()),
    )


def test_types_are_those_of_the_values(admin: Connection) -> None:
    """Of a domain, whichever it is of, the type below; the same where a table is described."""
    line = {"k": "integer", "n": "numeric(12,2)", "d": "date", "m": "mood"}
    expected = {"line": line, "namesake": {"z": "text", "k": "bigint"}, "part": PART_TYPES}
    assert column_types(admin, DECLARED) == {**expected, "unlike": {}}
    found = introspect(admin, DECLARED)
    assert {name: dict(info.column_types) for name, info in found.items()} == {**expected, "unlike": {}}
    assert [column.name for column in found["line"].columns] == ["k", "n", "d", "m"], "in the table's order"
    assert [column.name for column in found["part"].columns] == ["id", "v", "w"], "and not in that of a part"
    assert {column.name for info in found.values() for column in info.columns if column.is_key} == {"k", "id"}


def test_tables_are_described_with_all_their_parts(admin: Connection) -> None:
    """And with those that inherit from them, whose rows they show; each once, also where two ways lead to it."""
    oids = dict(admin.rows("SELECT oid::regclass::text, oid::bigint FROM pg_class"))
    found = introspect(admin, DECLARED)
    trees = {"line": ("line", "heir_2", "heir_1", "heir_of_both"), "part": ("part", "part_1", "part_2")}
    for name, members in trees.items():
        assert found[name].relation_oids == tuple(sorted(oids[member] for member in members))
        sizes = [admin.rows("SELECT pg_table_size(CAST(:t AS regclass))", t=member)[0][0] for member in members]
        assert found[name].bytes == sum(sizes)
    assert found["namesake"].relation_oids == (oids["other.line"], oids["heir_of_other"])
    assert (found["unlike"].relation_oids, found["unlike"].bytes, found["unlike"].columns) == ((), 0, ())
    labels = [text for _, text in sorted(found["line"].enum_labels.items(), key=lambda item: int(item[0]))]
    assert labels == ["sad", "glad"]
    assert found["namesake"].enum_labels == found["part"].enum_labels == {}
    assert not any(info.row_security for info in found.values())
    assert partitions(admin, DECLARED) == {
        "line": tuple(Relation(name, "r") for name in trees["line"]),
        "namesake": (Relation("line", "r"), Relation("heir_of_other", "r")),
        "part": (Relation("part", "p"), Relation("part_1", "r"), Relation("part_2", "r")),
        "unlike": (),
    }


def test_days_beyond_four_digits_are_noticed(admin: Connection) -> None:
    """Of a key: other days are not compared."""
    admin.run("CREATE TABLE dated (id date PRIMARY KEY, other date)")
    days = {"0001-01-01": False, "9999-12-31": False, "infinity": False, "-infinity": False}
    for day, sorts_as_text in {**days, "0001-12-31 BC": True, "10000-01-01": True}.items():
        admin.run("TRUNCATE dated")
        admin.run("INSERT INTO dated VALUES (CAST(CAST(:day AS text) AS date), '10000-01-01')", day=day)
        (key, other) = introspect(admin, [SourceTable("dated", ("id",))])["dated"].columns
        assert (key.sorts_as_text, other.sorts_as_text) == (sorts_as_text, False), day


def test_readers_have_settings_of_their_own(admin: Connection, credentials) -> None:
    """In that transaction: two readings of a range give one file, and a lock in the queue is not waited for."""
    with PostgresSource(admin).snapshot([PART]) as taken, connect(credentials[0]) as other:
        shared = taken.export()
        with PostgresSource(other).imported(shared):
            settings = ("lock_timeout", "synchronize_seqscans", "max_parallel_workers_per_gather", "datestyle")
            shown = {name: other.rows(f"SHOW {name}")[0][0] for name in settings}
            set_for_transaction(other, {"setting_of_a_later_version": "on"})
        taken.check(shared)
        assert [other.rows(f"SHOW {name}")[0][0] for name in settings] == ["1min", "on", "2", "ISO, YMD"]
    assert shown == {
        "lock_timeout": "10s",
        "synchronize_seqscans": "off",
        "max_parallel_workers_per_gather": "0",
        "datestyle": "ISO, YMD",
    }


def test_pages_are_those_of_the_largest_part(admin: Connection) -> None:
    found = introspect(admin, DECLARED)
    pages = admin.rows("SELECT pg_relation_size('part_1') / current_setting('block_size')::int")[0][0]
    assert (shared_snapshot.pages(admin, found["part"]), pages > 1) == (pages, True)
    assert shared_snapshot.pages(admin, TableInfo("none", ("id",))) == 0


def test_sums_of_the_source_are_those_of_readers(admin: Connection) -> None:
    """Modulo 2^64; without what a decimal of the lake cannot represent, and 0 of no value."""
    admin.run(
        "CREATE TABLE summed (k int PRIMARY KEY, n bigint, d numeric(20, 2), e int, t text);"
        "INSERT INTO summed VALUES (1, 9223372036854775807, 999999999999999999.99, NULL, 'a'),"
        " (2, 9223372036854775807, 'NaN', NULL, 'b'), (3, 9223372036854775807, -0.01, NULL, 'c'),"
        " (4, -5, NULL, NULL, '')"
    )
    table = SourceTable("summed", ("k",))
    with PostgresSource(admin).snapshot([table]) as taken:
        info = taken.describe([table])["summed"]
        found = Sums(info)
        taken.changed(info, ALL, found.add)
        assert taken.sums(info, ALL) == (found.rows, found.sums)
    assert (found.rows, found.sums) == (
        4,
        {"k": 10, "n": (3 * (2**63 - 1) - 5) % 2**64, "d": (10**20 - 2) % 2**64, "e": 0},
    )
