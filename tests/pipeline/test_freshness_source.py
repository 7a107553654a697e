"""What a comparison asks of a source, each question alone, and what the warehouse keeps of the answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.freshness import state
from lambda_toolkit.pipeline.lambdas.freshness.source import ComparedSource
from lambda_toolkit.pipeline.lambdas.freshness.state import Known, LoadedBatch
from lambda_toolkit.pipeline.lambdas.shared.duckdb import connection as files
from lambda_toolkit.pipeline.lambdas.shared.errors import NotPreparedError
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.model.source_table import SourceTable
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, connect
from lambda_toolkit.pipeline.warehouse import duckdb_preparation
from tests.support.repository import CONFIG, configuration

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def admin(credentials) -> Iterator[Connection]:
    with connect(credentials[0]) as connection:
        yield connection


@pytest.fixture
def warehouse(credentials) -> Iterator[Connection]:
    with connect(credentials[1]) as connection:
        yield connection


def test_size_is_of_a_table_with_all_its_parts(admin: Connection) -> None:
    """Each part once, also where two ways lead to it; not of the table of that name in another schema."""
    admin.run(
        "CREATE SCHEMA other;"
        "CREATE TABLE part (id int) PARTITION BY RANGE (id);"
        "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (9999);"
        "INSERT INTO part SELECT generate_series(0, 2000);"
        "CREATE TABLE other.part (id int); INSERT INTO other.part SELECT generate_series(0, 5000);"
        "CREATE TABLE top (id int); CREATE TABLE one () INHERITS (top); CREATE TABLE two () INHERITS (top);"
        "CREATE TABLE bottom () INHERITS (one, two); INSERT INTO bottom VALUES (1);"
        "CREATE VIEW seen AS SELECT * FROM other.part"
    )
    size = {
        name: admin.rows("SELECT pg_relation_size(CAST(:name AS regclass))", name=name)[0][0]
        for name in ("part_1", "part_2", "other.part", "bottom")
    }
    tables = [
        SourceTable("part", ("id",)),
        SourceTable("named", ("id",), schema="other", table="part"),
        SourceTable("top", ("id",)),
        SourceTable("seen", ("id",), by_content=True),
        SourceTable("missing", ("id",)),
    ]
    found = ComparedSource(admin).sizes(tables)
    assert {name: found.get(name, 0) for name in ("part", "named", "top", "seen", "missing")} == {
        "part": size["part_1"] + size["part_2"],
        "named": size["other.part"],
        "top": size["bottom"],
        "seen": 0,
        "missing": 0,
    }


def test_content_is_the_number_of_rows_and_their_sum(admin: Connection) -> None:
    """Of the first 64 bits of each row's hash, modulo 2^64, whatever the sum of them as signed numbers is."""
    hashes = [int(hashlib.sha256(f"({n})".encode()).hexdigest()[:16], 16) for n in range(300)]
    signed = [*accumulate(each - 2**64 if each >= 2**63 else each for each in hashes)]
    chosen = {signed.index(extreme) + 1 for extreme in (min(signed), max(signed))} | {0, 1}
    assert min(signed) < -(2**64) and max(signed) > 2**64, "they go around"
    admin.run("CREATE TABLE item (id int)")
    for count in sorted(chosen):
        admin.run("TRUNCATE item")
        admin.run(f"INSERT INTO item SELECT generate_series(0, {count - 1})")
        expected = f"{count}:{sum(hashes[:count]) % 2**64}"
        assert ComparedSource(admin).content(SourceTable("item", ("id",), by_content=True)) == expected


def test_limits_of_time_are_those_of_the_session(admin: Connection) -> None:
    source = ComparedSource(admin)
    for seconds, shown in ((2.5, "2500ms"), (0.0001, "1ms"), (30.0, "30s")):
        source.limit(seconds)
        assert admin.rows("SHOW statement_timeout") == [[shown]]
    assert admin.rows("SHOW lock_timeout") == [["5s"]]


def known(**changes: Known) -> dict[str, Known]:
    kept = {
        "staff": Known(NOW, None, "unknown", None, "not yet"),
        "design": Known(NOW, NOW + timedelta(hours=1), "unchanged", 4),
    }
    return {**kept, **changes}


def test_what_is_known_is_kept_while_a_table_is_declared(warehouse: Connection) -> None:
    state.write(warehouse, known(dropped=Known(NOW)), NOW, ["staff", "design", "dropped"])
    later = known(staff=Known(NOW, NOW, "changed", 5))
    state.write(warehouse, later, NOW + timedelta(hours=2), ["staff", "design"])
    assert state.read(warehouse) == (None, later)
    checked = warehouse.rows("SELECT DISTINCT checked_at FROM pipeline.freshness")
    assert checked == [[NOW + timedelta(hours=2)]]


def test_what_is_known_is_kept_in_a_file_too(tmp_path: Path) -> None:
    schema = (CONFIG / "warehouse.sql").read_text(encoding="utf-8")
    with files.connect(tmp_path / "warehouse.duckdb") as warehouse:
        duckdb_preparation.prepare(warehouse, schema, parse(configuration()))
        state.write(warehouse, known(dropped=Known(NOW)), NOW, ["staff", "design", "dropped"])
        later = known(staff=Known(NOW, NOW, "changed", 5))
        state.write(warehouse, later, NOW, ["staff", "design"])
        assert state.read(warehouse) == (None, later)


def test_last_batch_is_that_of_the_highest_number(warehouse: Connection) -> None:
    for number in (2, 10, 9):
        warehouse.run(
            "INSERT INTO pipeline.ledger VALUES (:number, 'm', :at, now(), '{}')",
            number=number,
            at=NOW + timedelta(hours=number),
        )
    assert state.read(warehouse)[0] == LoadedBatch(10, NOW + timedelta(hours=10))


def test_warehouse_without_its_tables_is_not_prepared(warehouse: Connection) -> None:
    """One with other columns is another problem, which the server says."""
    for change, error in (
        ("DROP TABLE pipeline.ledger CASCADE", NotPreparedError),
        ("DROP SCHEMA pipeline CASCADE", NotPreparedError),
        ("ALTER TABLE pipeline.freshness DROP COLUMN problem CASCADE", DatabaseError),
    ):
        warehouse.run("BEGIN")
        warehouse.run(change)
        with pytest.raises(error):
            state.read(warehouse)
        warehouse.run("ROLLBACK")
