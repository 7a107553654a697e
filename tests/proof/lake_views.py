"""Compares what DuckDB reads of the lake with the warehouse, after a history."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.lambdas.shared.conversions import FLOATS
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import CALENDAR, WarehouseTable
from tests.proof.simulation import Simulation
from tests.proof.steps import History
from tests.support.lake_reader import copied, reading, texts


def prove_lake(world: Simulation, history: History) -> None:
    """Performs ``history``, drains it with every bad value corrected, and compares the views of the lake."""
    world.reset()
    try:
        world.perform(history)
        world.settle()
        if world.repair():
            world.settle()
        compare_views(world)
        world.counts["histories"] += 1
    finally:
        world.forget()


def compare_views(world: Simulation) -> None:
    """The views of each table of which no row waits: a row that waits is in the lake, and not in the warehouse."""
    waiting = {row[0] for row in world.warehouse.rows("SELECT table_name FROM pipeline.pending_row")}
    with (
        tempfile.TemporaryDirectory() as folder,
        reading(world.declarations, copied(world.client, world.buckets[1], Path(folder))) as connection,
    ):
        world.warehouse.run("SET TimeZone = 'UTC'")
        for table in world.declarations.warehouse.values():
            if table.name in waiting:
                world.counts["tables with waiting rows"] += 1
                continue
            for relation, columns in _relations(table):
                floats = [name for name in table.column_names if table.types[name].type in FLOATS]
                found = _read(texts(connection, relation, columns), columns, floats)
                expected = _read(_in_warehouse(world, relation, columns), columns, floats)
                assert found == expected, (
                    f"{relation} of the lake is not the warehouse's",
                    *difference(found, expected),
                )
                world.counts["rows of lake views"] += len(found)


def _read(
    rows: list[tuple[str | None, ...]], columns: list[str], floats: list[str]
) -> list[tuple[str | float | None, ...]]:
    """The rows with floats as numbers, which engines write differently."""
    return [
        tuple(float(value) if value and name in floats else value for name, value in zip(columns, row, strict=True))
        for row in rows
    ]


def _relations(table: WarehouseTable) -> list[tuple[str, list[str]]]:
    columns = list(table.column_names)
    if table.kind == CALENDAR:
        return [(table.name, columns)]
    if not table.record:
        return [(table.name, columns), (f"current_{table.name}", columns)]
    history = [] if table.validity else [(f"history_{table.name}", [*columns, "valid_from", "valid_to"])]
    return [(f"current_{table.name}", columns), *history]


def _in_warehouse(world: Simulation, relation: str, columns: list[str]) -> list[tuple[str | None, ...]]:
    selected = ", ".join(
        f"(\"{column}\" AT TIME ZONE 'UTC')::text" if column in ("valid_from", "valid_to") else f'"{column}"::text'
        for column in columns
    )
    rows = world.warehouse.rows(f"SELECT {selected} FROM {relation}")
    return sorted(map(tuple, rows), key=lambda row: [(value is None, value or "") for value in row])


def difference(found: Sequence[Any], expected: Sequence[Any]) -> tuple[object, object]:
    """The rows that only one of the two has."""
    return sorted(set(found) - set(expected), key=str)[:3], sorted(set(expected) - set(found), key=str)[:3]
