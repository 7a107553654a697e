"""What ``backfill --plan`` knows of a real source: rows, bytes, pages and widths, by the server's statistics alone."""

from __future__ import annotations

from lambda_toolkit.pipeline.client.sources.sizes import read_sizes
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable


def declared(*names: str) -> dict[str, SourceTable]:
    return {name: SourceTable(name, (f"{name}_id",)) for name in names}


def test_sizes_are_those_of_the_server(pipeline) -> None:
    """A plain table, a partitioned one with the sum of its parts, and one that was never analyzed, which is named."""
    pipeline.admin.run("""
        CREATE TABLE wide (wide_id int PRIMARY KEY, note text);
        INSERT INTO wide SELECT n, repeat('x', 100) FROM generate_series(1, 2000) AS n;
        CREATE TABLE parted (parted_id int) PARTITION BY RANGE (parted_id);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);
        CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1000) TO (3000);
        INSERT INTO parted SELECT generate_series(0, 2999);
        CREATE TABLE unknown (unknown_id int);
        ANALYZE wide, parted;
        GRANT SELECT ON wide, parted, unknown TO reader""")
    found = read_sizes(pipeline.reader, declared("wide", "parted", "unknown"))
    wide, parted = found.tables
    size = pipeline.admin.rows("SELECT pg_relation_size('wide'), pg_relation_size('wide') / 8192")[0]
    assert (wide.name, wide.rows, wide.bytes, wide.pages) == ("wide", 2000, *size)
    assert 100 < wide.row_bytes < 120
    assert (parted.name, parted.rows, parted.row_bytes) == ("parted", 3000, 4.0)
    assert parted.pages > 10
    assert [note for note in found.notes if "unknown" in note and "ANALYZE" in note]
    assert 0 < (found.free_connections or 0) < 1000
