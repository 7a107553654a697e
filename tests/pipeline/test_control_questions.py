"""What commands ask of control tables on a real server: the ledger, freshness, and whose a schema is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.client import rebuild as rebuilding
from lambda_toolkit.pipeline.client.observing import freshness
from lambda_toolkit.pipeline.client.observing.freshness import Checked
from lambda_toolkit.pipeline.client.rebuild import Rebuild
from lambda_toolkit.pipeline.client.warehouses import ledger
from lambda_toolkit.pipeline.client.warehouses.ledger import LoadedBatch
from lambda_toolkit.pipeline.client.warehouses.reader import WarehouseReader
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, connect

FILL = """
    INSERT INTO pipeline.ledger SELECT b, 'm', timestamptz '2026-01-02 03:00:00Z' + b * interval '1 minute',
        timestamptz '2026-01-02 04:00:00Z' + b * interval '1 minute', jsonb_build_object('t', b)
        FROM generate_series(1, 4) AS b;
    INSERT INTO pipeline.revision SELECT 2, r, now(), '{}' FROM generate_series(2, 3) AS r;
    INSERT INTO pipeline.rejected_value (batch, table_name, key, column_name, reason) VALUES
        (2, 't', '1', 'c', ''), (2, 't', '1', 'd', ''), (2, 't', '2', 'c', ''), (2, 'u', '1', 'c', ''),
        (1, 't', '1', 'c', '');
    INSERT INTO pipeline.pending_row (batch, table_name, key, content, deleted_batch) VALUES
        (3, 't', '1', '{}', NULL), (3, 't', '2', '{}', 4), (3, 'u', '1', '{}', NULL), (1, 't', '1', '{}', NULL)
"""


@pytest.fixture
def warehouse(credentials: Any) -> Iterator[Connection]:
    with connect(credentials[1]) as connection:
        yield connection


def at(hour: int, minute: int) -> datetime:
    return datetime(2026, 1, 2, hour, minute, tzinfo=UTC)


def test_ledger_has_what_of_a_batch_is_not_loaded(credentials: Any, warehouse: Connection) -> None:
    """A row with two rejected values is one row; one that was deleted waits for nothing."""
    warehouse.execute_simple(FILL)
    reader = WarehouseReader(credentials[1])
    second = LoadedBatch(2, at(3, 2), at(4, 2), {"t": 2}, revision=3, rejected=3)
    third = LoadedBatch(3, at(3, 3), at(4, 3), {"t": 3}, revision=1, pending=2)
    assert ledger.loaded(reader, 2, 3) == {2: second, 3: third}
    assert ledger.loaded(reader, 4, 9) == {4: LoadedBatch(4, at(3, 4), at(4, 4), {"t": 4}, 1, 0, 0)}


def test_freshness_is_what_the_last_comparison_found(credentials: Any, warehouse: Connection) -> None:
    warehouse.execute_simple("""
        INSERT INTO pipeline.freshness VALUES
            ('a', '2026-01-02 01:00Z', '2026-01-02 02:00Z', '2026-01-02 03:00Z', 'changed', 7, NULL),
            ('b', '2026-01-02 01:01Z', NULL, '2026-01-02 03:01Z', 'unknown', NULL, 'locked')""")
    assert freshness.checked(WarehouseReader(credentials[1])) == {
        "a": Checked("a", at(1, 0), at(2, 0), at(3, 0), "changed", None),
        "b": Checked("b", at(1, 1), None, at(3, 1), "unknown", "locked"),
    }


def test_schema_is_taken_that_a_rebuild_created(credentials: Any, warehouse: Connection, monkeypatch: Any) -> None:
    """That is one with a ledger beside it: neither the ledger of another warehouse, nor a table of that name in it."""
    reader = WarehouseReader(credentials[1])
    monkeypatch.setattr(rebuilding, "warehouse_of", lambda of: reader)
    made = Rebuild(SimpleNamespace(), "check", print)  # type: ignore[arg-type]
    made._check_ours()
    for statement in (
        "CREATE SCHEMA check_pipeline; CREATE TABLE check_pipeline.other ()",
        'CREATE SCHEMA "check"; CREATE TABLE "check".ledger ()',
    ):
        warehouse.execute_simple(statement)
        with pytest.raises(CommandError, match="no rebuild created it") as caught:
            made._check_ours()
    assert str(caught.value).startswith("The schema check exists"), "the published one is named"
    warehouse.execute_simple("CREATE TABLE check_pipeline.ledger ()")
    made._check_ours()
    warehouse.execute_simple('DROP SCHEMA "check" CASCADE')
    made._check_ours()
