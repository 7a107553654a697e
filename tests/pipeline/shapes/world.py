"""A source of some shape that changes at random, the pipeline behind it, and the log of what runs must have seen."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.extract.extraction import extract
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.extract.table_plan import DEFAULT_LIMITS, Limits
from lambda_toolkit.pipeline.lambdas.load.compare import compare
from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.rebuild import rebuild
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.declarations import FACT, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.lambdas.transform.batch import transform
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.pipeline.shapes.shape import Shape, SourceTable, text
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
        self.chance = random.Random(seed)  # noqa: S311
        self.declared = shape.declared()
        client = MemoryS3()
        for bucket in ("ingestion", "processed"):
            client.create_bucket(Bucket=bucket)
        self.ingestion, self.processed = Lake(client, "ingestion"), Lake(client, "processed")
        self.logs = {name: Log() for name in shape.oracle}
        self.taken_out: list[tuple[SourceTable, str]] = []
        self.refused = self.done = 0
        source.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        source.run(shape.ddl)
        prepare(warehouse, shape.warehouse_sql, self.declared)
        for table in shape.tables:
            for _ in range(table.rows):
                self._insert(table)

    # The source

    def change(self) -> None:
        """One statement: rows are inserted, changed, given another key, touched, deleted, or inserted again."""
        table = self.chance.choice(self.shape.tables)
        column = self.chance.choice(list(table.columns))
        value = self.chance.choice(table.columns[column])
        match self.chance.randint(0, 11):
            case 0 | 1:
                self._insert(table)
            case 2:
                self._run(f"DELETE FROM {table.name} WHERE {self._one(table)}")
            case 3:
                self._run(f"UPDATE {table.name} SET {column} = {column}")
            case 4:
                self._take_out(table, self._one(table))
            case 5 if self.taken_out:
                self._put_back()
            case 6:
                self._take_out(table, self._one(table))
                self._put_back()
            case 7:
                key = self.chance.choice(table.key)
                self._run(
                    f"UPDATE {table.name} SET {key} = {self.chance.choice(table.columns[key])} WHERE {self._one(table)}"
                )
            case _:
                self._run(f"UPDATE {table.name} SET {column} = {value} WHERE {self._one(table)}")

    def _one(self, table: SourceTable) -> str:
        """A condition that one row meets."""
        key = ", ".join(table.key)
        order = f"md5(ROW({key})::text || '{self.chance.random()}')"
        return f"ROW({key}) = (SELECT {key} FROM {table.name} ORDER BY {order} LIMIT 1)"

    def _insert(self, table: SourceTable) -> None:
        values = ", ".join(self.chance.choice(values) for values in table.columns.values())
        self._run(f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({values}) ON CONFLICT DO NOTHING")

    def _take_out(self, table: SourceTable, where: str) -> None:
        rows = self.source.rows(f"SELECT to_jsonb(t)::text FROM {table.name} AS t WHERE {where}")
        if rows and self._run(f"DELETE FROM {table.name} WHERE {where}"):
            self.taken_out.append((table, rows[0][0]))

    def _put_back(self) -> None:
        if self.taken_out:
            table, row = self.taken_out.pop()
            columns = ", ".join(table.columns)
            self._run(
                f"INSERT INTO {table.name} ({columns}) SELECT {columns}"
                f" FROM jsonb_populate_record(NULL::{table.name}, {text(row)}) ON CONFLICT DO NOTHING"
            )

    def _run(self, statement: str) -> bool:
        """Whether a statement is run; the constraints of the source refuse some."""
        try:
            self.source.run(statement)
        except DatabaseError as error:
            if not str(error.args[0]["C"]).startswith("23"):
                raise AssertionError(statement) from error
            self.refused += 1
            return False
        self.done += 1
        return True

    # The pipeline

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

    # What it must be

    def compare(self) -> None:
        """The present and every version, against the oracle's queries now and after the earlier runs."""
        time = self.warehouse.rows("SELECT max(extracted_at)::text FROM pipeline.ledger")[0][0]
        for name, query in self.shape.oracle.items():
            rows = _fetched(self.source, query)
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
        expected, found = (
            Counter(json.dumps(row, sort_keys=True) for row in _fetched(connection, query))
            for connection, query in (
                (self.source, self.shape.oracle[name]),
                (self.warehouse, f"SELECT {columns} FROM current_{name}"),
            )
        )
        assert {"missing": expected - found, "too many": found - expected} == {"missing": {}, "too many": {}}, name

    def _compare_versions(self, name: str) -> None:
        table = self.declared.warehouse[name]
        of = f"history_{name}" if table.kind == FACT else name
        current = "" if table.kind == FACT else ", is_current"
        found: dict[Key, list[Version]] = {key: [] for key in self.logs[name].seen}
        for row in _fetched(
            self.warehouse,
            f"SELECT {self._columns(table)}, valid_from::text, valid_to::text{current} FROM {of}"
            f" ORDER BY {table.record}",
        ):
            begin, end = row.pop("valid_from"), row.pop("valid_to")
            assert row.pop("is_current", end is None) == (end is None), name
            found[self._key(name, row)].append((row, begin, end))
        waiting = self.shape.waiting.get(name)
        columns = waiting.columns if waiting else ()
        known = {key for key, seen in self.logs[waiting.dimension].seen.items() if seen} if waiting else None
        for key, versions in found.items():
            assert versions == self.logs[name].versions(key, known, columns), (name, key)

    def compare_rebuilt(self) -> None:
        """A warehouse that is made again from the lake equals the live one, record numbers included."""
        prepare(self.warehouse, self.shape.warehouse_sql, self.declared, CHECK)
        self.warehouse.run("SELECT pg_advisory_unlock_all()")
        assert rebuild(PostgresWarehouse(self.warehouse, CHECK), self.processed, self.declared, lambda: True).done
        result = compare(self.warehouse, self.declared, LIVE, CHECK)
        assert result.equal, [table for table in result.tables if table.differences]
        assert result.rows
        assert not result.renumbered

    def _key(self, name: str, row: Row) -> Key:
        return tuple(row[key] for key in self.declared.warehouse[name].keys)

    @staticmethod
    def _columns(table: WarehouseTable) -> str:
        return ", ".join(f'"{column}"' for column in table.columns)


def _fetched(connection: Connection, query: str) -> list[Row]:
    """The rows of a query, each a JSON object, with the digits that numbers have."""
    rows = connection.rows(f"SELECT to_jsonb(t)::text FROM ({query}) AS t")
    return [json.loads(row, parse_float=str) for (row,) in rows]
