"""A source of some shape that changes at random, the pipeline behind it, and the log of what runs must have seen."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from lambda_toolkit.pipeline.lambdas.extract.extraction import extract
from lambda_toolkit.pipeline.lambdas.extract.limits import DEFAULT_LIMITS, Limits
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.load.compare import compare
from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.rebuild import rebuild
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import FACT, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.lambdas.transform.batch import transform
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.pipeline.shapes.random_source import RandomSource
from tests.pipeline.shapes.shape import Shape
from tests.support.memory_s3 import MemoryS3

CHECK = SchemaNames.shadow("check")
Key = tuple[Any, ...]
Row = dict[str, Any]
Version = tuple[Row, str, str | None]
"""A row with the times from which and to which it was the present one."""


@dataclass
class Log:
    """What runs saw of the rows of one warehouse table: by key, (time, row) in order; None where it was not there."""

    seen: dict[Key, list[tuple[str, Row | None]]] = field(default_factory=dict)

    def add(self, time: str, state: dict[Key, Row]) -> None:
        """The state at a time."""
        for key in self.seen.keys() | state.keys():
            self.seen.setdefault(key, []).append((time, state.get(key)))

    def versions(self, key: Key, known: set[Key] | None, columns: tuple[str, ...]) -> list[Version]:
        """The versions of a row. ``known``: the keys that ``columns`` may name; a row that names another one waits."""
        found: list[Version] = []
        for time, row in self.seen[key]:
            if row is not None and known is not None and not _is_known(tuple(row[name] for name in columns), known):
                continue
            if found and found[-1][2] is None and found[-1][0] != row:
                found[-1] = (*found[-1][:2], time)
            if row is not None and (not found or found[-1][2] is not None):
                found.append((row, time, None))
        return found


def _is_known(key: Key, known: set[Key]) -> bool:
    return None in key or key in known


class World:
    """The source and the warehouse of a shape, in two databases, with a lake in memory."""

    def __init__(
        self, shape: Shape, source: Connection, warehouse: Connection, seed: int, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.shape, self.source, self.warehouse, self.limits = shape, source, warehouse, limits
        self.days = RandomSource(shape, source, seed)
        self.declared = shape.declared()
        client = MemoryS3()
        for bucket in ("ingestion", "processed"):
            client.create_bucket(Bucket=bucket)
        self.ingestion, self.processed = Lake(client, "ingestion"), Lake(client, "processed")
        self.logs = {name: Log() for name in shape.oracle}
        prepare(warehouse, shape.warehouse_sql, self.declared)

    def run(self) -> bool:
        """One run of the three functions. Returns whether something is left for the next one."""
        done = extract(PostgresSource(self.source), self.ingestion, self.declared, uuid.uuid4().hex, limits=self.limits)
        if done.batch is not None:
            transform(self.ingestion, self.processed, self.declared, done.batch)
        self.warehouse.run("SELECT pg_advisory_unlock_all()")
        load(PostgresWarehouse(self.warehouse), self.processed, self.declared)
        assert self.warehouse.rows("SELECT * FROM pipeline.rejected_value") == []
        return bool(done.incomplete)

    def run_until_done(self) -> None:
        """As many runs as it takes."""
        for _ in range(200):
            if not self.run():
                return
        raise AssertionError("there is always something left")

    def compare(self) -> None:
        """The present and every version, against the oracle's queries now and after the earlier runs."""
        time = self.warehouse.rows("SELECT max(extracted_at)::text FROM pipeline.ledger")[0][0]
        for name, query in self.shape.oracle.items():
            rows = self._wanted(name, query)
            state = {self._key(name, row): row for row in rows}
            assert len(state) == len(rows), name
            self.logs[name].add(time, state)
        for name in self.shape.oracle:
            if name not in self.shape.waiting:
                self._compare_present(name)
            if self.declared.warehouse[name].record:
                self._compare_versions(name)

    def compare_present(self) -> None:
        """The present alone, of what does not wait."""
        for name in self.shape.oracle.keys() - self.shape.waiting.keys():
            self._compare_present(name)

    def _compare_present(self, name: str) -> None:
        columns = self._columns(self.declared.warehouse[name])
        rows = (
            self._wanted(name, self.shape.oracle[name]),
            _fetched(self.warehouse, f'SELECT {columns} FROM "current_{name}"'),
        )
        expected, found = (Counter(json.dumps(row, sort_keys=True) for row in each) for each in rows)
        assert expected == found, (name, "missing:", expected - found, "too many:", found - expected)

    def _compare_versions(self, name: str) -> None:
        table = self.declared.warehouse[name]
        of = f'"history_{name}"' if table.kind == FACT else f'"{name}"'
        current = "" if table.kind == FACT else ", is_current::text"
        found: dict[Key, list[Version]] = {key: [] for key in self.logs[name].seen}
        for row in _fetched(
            self.warehouse,
            f"SELECT {self._columns(table)}, valid_from::text, valid_to::text{current} FROM {of}"
            f' ORDER BY "{table.record}"',
        ):
            begin, end = row.pop("valid_from"), row.pop("valid_to")
            assert row.pop("is_current", str(end is None).lower()) == str(end is None).lower(), name
            found[self._key(name, row)].append((row, begin, end))
        waiting = self.shape.waiting.get(name)
        columns = waiting.columns if waiting else ()
        known = {key for key, seen in self.logs[waiting.dimension].seen.items() if seen} if waiting else None
        for key, versions in found.items():
            expected = self.logs[name].versions(key, known, columns)
            assert versions == expected, (name, key, versions, expected)

    def compare_rebuilt(self) -> None:
        """A warehouse that is made again from the lake equals the live one, record numbers included."""
        prepare(self.warehouse, self.shape.warehouse_sql, self.declared, CHECK)
        self.warehouse.run("SELECT pg_advisory_unlock_all()")
        assert rebuild(PostgresWarehouse(self.warehouse, CHECK), self.processed, self.declared, lambda: True).done
        result = compare(self.warehouse, self.declared, LIVE, CHECK)
        assert result.equal, [table for table in result.tables if table.differences]
        assert result.rows
        assert not result.renumbered

    def _wanted(self, name: str, query: str) -> list[Row]:
        """What the source says that a table must have."""
        return _fetched(self.source, f"SELECT {self._columns(self.declared.warehouse[name])} FROM ({query}) AS t")

    def _key(self, name: str, row: Row) -> Key:
        return tuple(row[key] for key in self.declared.warehouse[name].keys)

    @staticmethod
    def _columns(table: WarehouseTable) -> str:
        return ", ".join(f'"{column}"::text' for column in table.columns)


def _fetched(connection: Connection, query: str) -> list[Row]:
    """The rows of a query, all of whose columns are text."""
    return [json.loads(row) for (row,) in connection.rows(f"SELECT to_jsonb(t)::text FROM ({query}) AS t")]
