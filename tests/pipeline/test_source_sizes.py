"""What ``backfill --plan`` knows of a real source: rows, bytes, pages and widths, by the server's statistics alone."""

from __future__ import annotations

from lambda_toolkit.pipeline.client.sources.sizes import read_sizes
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable

TABLES = """
    CREATE TABLE unknown (unknown_id int);
    CREATE TABLE wide (wide_id int PRIMARY KEY, note text);
    INSERT INTO wide SELECT n, CASE WHEN n % 2 = 0 THEN repeat('x', 100) END FROM generate_series(1, 2000) AS n;
    CREATE SCHEMA shop; CREATE TABLE shop.wide (a bigint, b bigint);
    INSERT INTO shop.wide SELECT n, n FROM generate_series(1, 500) AS n;
    CREATE TABLE parted (parted_id int) PARTITION BY RANGE (parted_id);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);
    CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1000) TO (3000) PARTITION BY RANGE (parted_id);
    CREATE TABLE parted_3 PARTITION OF parted_2 FOR VALUES FROM (1000) TO (3000);
    INSERT INTO parted SELECT generate_series(0, 2999);
    CREATE TABLE half (half_id int) PARTITION BY RANGE (half_id);
    CREATE TABLE half_1 PARTITION OF half FOR VALUES FROM (0) TO (10);
    CREATE TABLE half_2 PARTITION OF half FOR VALUES FROM (10) TO (20);
    INSERT INTO half SELECT generate_series(0, 19);
    CREATE TABLE "Part Of" (id int); CREATE TABLE inheriting (more text) INHERITS ("Part Of");
    INSERT INTO "Part Of" VALUES (1), (2); INSERT INTO inheriting VALUES (3, 'x');
    CREATE TABLE hidden (hidden_id int); INSERT INTO hidden SELECT generate_series(1, 2000);
    CREATE TABLE bare (); INSERT INTO bare SELECT FROM generate_series(1, 2000);
    CREATE TABLE hollow (hollow_id int);
    ANALYZE wide, shop.wide, parted, half_1, "Part Of", hidden, bare, hollow;
    GRANT USAGE ON SCHEMA shop TO reader; GRANT SELECT ON wide, shop.wide, parted, parted_1, "Part Of", hollow TO reader
"""
RELATIONS = (
    "unknown",
    "wide",
    "shop.wide",
    "parted",
    "parted_1",
    "half",
    "Part Of",
    "missing",
    "hidden",
    "bare",
    "hollow",
)


def test_sizes_are_those_of_the_server(pipeline) -> None:
    """Of each table alone: with the sum of its partitions, without those that inherit, without NULLs.

    Where the reader may not see how wide values are, a row is as wide as on its page.
    """
    pipeline.admin.execute_simple(TABLES)
    declared = {}
    for name in RELATIONS:
        schema, _, relation = name.rpartition(".")
        declared[f"of {name}"] = SourceTable(f"of {name}", ("id",), schema=schema or "public", table=relation)
    found = read_sizes(pipeline.reader, declared)
    tables = {table.name.removeprefix("of "): table for table in found.tables}
    rows = {"wide": 2000, "shop.wide": 500, "parted": 3000, "parted_1": 1000, "Part Of": 2}
    assert {name: table.rows for name, table in tables.items()} == {**rows, "hidden": 2000, "bare": 2000, "hollow": 0}
    for name, parts in ({name: (name,) for name in tables} | {"parted": ("parted_1", "parted_3")}).items():
        names = [".".join(f'"{word}"' for word in part.split(".")) for part in parts]
        size = sum(
            pipeline.admin.rows("SELECT pg_relation_size(CAST(:of AS regclass))", of=name)[0][0] for name in names
        )
        assert (tables[name].bytes, tables[name].pages) == (size, size // 8192), name
    widths = {name: table.row_bytes for name, table in tables.items()}
    assert 4 + 100 / 2 <= widths.pop("wide") < 4 + 110 / 2
    assert widths.pop("hidden") == tables["hidden"].bytes / 2000 - 28 > 4
    assert widths == {"shop.wide": 16, "parted": 4, "parted_1": 4, "Part Of": 4, "bare": 1, "hollow": 0}
    [note] = found.notes
    assert note.endswith("which ANALYZE there makes: of unknown, of half and of missing")
    assert 0 < (found.free_connections or 0) < 1000
