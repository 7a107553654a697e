"""Rows that wait, in both kinds of warehouse: which are moved, with all that refers to them, and which stay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse.control import pending
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import kind_of
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.load.warehouse.session import WarehouseSession, temporary
from lambda_toolkit.pipeline.lambdas.load.warehouse.tables.validity import times
from lambda_toolkit.pipeline.lambdas.shared.database import connected
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import ProcessedManifest
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.lambdas.shared.postgres.credentials import Credentials
from lambda_toolkit.pipeline.warehouse import duckdb_preparation
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.pipeline.test_dimension_references import DECLARED, SCHEMA
from tests.support.databases import empty_database
from tests.support.written_lake import WrittenLake

PEOPLE = DECLARED.warehouse["dim_person"]
# Key, whom the person reports to, and the mentor.
STAGED = "(1, 100, NULL), (2, 9, NULL), (3, 2, 1), (4, 1, 100), (5, NULL, 3), (6, 6, NULL), (7, 8, NULL), (8, 7, 1)"


@pytest.fixture(scope="module")
def server(postgres_server: Any) -> Iterator[Connection]:
    with empty_database(postgres_server, "waiting_rows") as connection:
        prepare(connection, SCHEMA, DECLARED)
        yield connection


@pytest.fixture(params=["postgres", "duckdb"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WarehouseSession]:
    """A warehouse that has the person 100, and of others and of the person 2 what waits of another batch."""
    if request.param == "postgres":
        connection = request.getfixturevalue("server")
        connection.run("BEGIN")
        yield filled(connection)
        connection.run("ROLLBACK")
        return
    with connected(Credentials.of_file(str(tmp_path / "warehouse.duckdb"), "a test", "the warehouse")) as connection:
        duckdb_preparation.prepare(connection, SCHEMA, DECLARED)
        yield filled(connection)


def filled(connection: Any) -> WarehouseSession:
    connection.run("INSERT INTO dim_person VALUES (100, NULL, NULL)")
    connection.run("CREATE TABLE dim_other AS SELECT * FROM dim_person")
    for table, key, batch in (("dim_other", 2, 3), ("dim_person", 2, 2), ("dim_person", 3, 3)):
        connection.run(f"INSERT INTO pipeline.pending_row VALUES ('{table}', '{key}', {batch}, '{{}}', NULL)")
    manifest = ProcessedManifest(3, "", "2024-01-01T00:00:00Z", {})
    reads: Any = WrittenLake()
    return WarehouseSession(connection, LIVE, reads, kind_of, times(LIVE, manifest))


WAITED = {("dim_other", "2", 3), ("dim_person", "2", 2), ("dim_person", "3", 3)}


def waiting(session: WarehouseSession) -> dict[tuple[Any, ...], list[int | None]]:
    """The rows that wait: table, key and batch, with the values of each row."""
    rows = session.connection.rows("SELECT table_name, key, batch, CAST(content AS varchar) FROM pipeline.pending_row")
    return {tuple(row[:3]): values_of(json.loads(row[3])) for row in rows}


def values_of(members: dict[str, Any]) -> list[int | None]:
    found = [members.get(name) for name in ("person_id", "reports_to", "mentor")]
    return [None if value is None else int(value) for value in found]


def staged(session: WarehouseSession, values: str, more: str = "") -> Any:
    columns = f"person_id, reports_to, mentor{more}"
    session.connection.run(f"CREATE TEMPORARY TABLE staged AS SELECT * FROM (VALUES {values}) AS v ({columns})")
    return temporary("staged")


def test_rows_wait_with_those_that_refer_to_them(session: WarehouseSession) -> None:
    """At any distance; not those that refer to themselves, in a circle, or to a row that is there. Each waits once."""
    assert pending.defer_unresolved(session, PEOPLE, staged(session, STAGED), 3) == 2
    left = session.connection.rows("SELECT person_id FROM staged ORDER BY 1")
    assert left == [[1], [4], [6], [7], [8]]
    new = {("dim_person", "2", 3): [2, 9, None], ("dim_person", "5", 3): [5, None, 3]}
    assert waiting(session) == {key: [None, None, None] for key in WAITED} | new


def test_events_wait_each_with_its_own_batch(session: WarehouseSession) -> None:
    """A deletion waits for nothing, and is nothing to refer to."""
    events = ", ".join(
        [
            *(
                "(1, 100, NULL, 3, false)",
                "(2, 9, NULL, 3, false)",
                "(2, 1, NULL, 5, false)",
                "(2, NULL, NULL, 6, true)",
            ),
            *("(9, NULL, NULL, 4, true)", "(10, 11, 12, 4, true)", "(3, 1, 100, 4, false)", "(4, 10, NULL, 4, false)"),
        ]
    )
    staging = staged(session, events, ', "_batch", "_deleted"')
    assert pending.defer_unresolved_events(session, PEOPLE, staging) == 2
    left = session.connection.rows('SELECT person_id, "_batch" FROM staged ORDER BY 1, 2')
    assert left == [[1, 3], [2, 5], [2, 6], [3, 4], [9, 4], [10, 4]]
    new = {("dim_person", "2", 3): [2, 9, None], ("dim_person", "4", 4): [4, 10, None]}
    assert waiting(session) == {key: [None, None, None] for key in WAITED} | new


def test_rows_that_waited_are_staged_where_they_need_not(session: WarehouseSession) -> None:
    """And stay in the control table until they are written."""
    session.connection.run("DELETE FROM pipeline.pending_row")
    rows = {(1, 100, None): 2, (2, 9, None): 3, (3, 1, None): 3, (3, 2, None): 4, (5, 100, 5): 4, (70, None, None): 2}
    for row, batch in rows.items():
        table = "dim_other" if row[0] == 70 else "dim_person"
        content = json.dumps(dict(zip(PEOPLE.column_names, row, strict=True)))
        session.connection.run(
            f"INSERT INTO pipeline.pending_row VALUES ('{table}', '{row[0]}', {batch}, '{content}', 9)"
        )
    before = waiting(session)
    assert pending.stage_resolved_rows(session, PEOPLE, temporary("resolved"))
    staged = session.connection.rows('SELECT person_id, reports_to, mentor, "_batch" FROM resolved ORDER BY 1, 4')
    assert staged == [[1, 100, None, 2], [3, 1, None, 3], [5, 100, 5, 4]]
    assert waiting(session) == before
    session.connection.run("DROP TABLE resolved; DELETE FROM pipeline.pending_row WHERE key <> '2'")
    assert not pending.stage_resolved_rows(session, PEOPLE, temporary("resolved"))
    session.connection.run("DELETE FROM pipeline.pending_row")
    assert not pending.stage_resolved_rows(session, PEOPLE, temporary("resolved"))
