"""A project that mirrors a database, run step by step in this process, and compared with SQL on the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

import deploy
from lambda_toolkit.pipeline.client.sources.mirror import Follow, Refreshed, refreshed
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.client.warehouses.warehouse import prepare
from lambda_toolkit.pipeline.config.aws.deployment import tables_json
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import FACT, Declarations
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import load as load_declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from tests.pipeline.proposal.test_star import url
from tests.support.pipeline import Pipeline

Row = tuple[Any, ...]


@dataclass
class Project:
    """A project in ``folder``, its source and its warehouse."""

    folder: Path
    source: Connection
    warehouse: Connection
    environ: dict[str, str]
    buckets: tuple[Lake, Lake]
    versions: dict[tuple[str, Row], list[Row | None]] = field(default_factory=dict)
    """By table and key, what each run saw of a row, in order; None: it was deleted."""
    narrowed: set[str] = field(default_factory=set)
    """The tables that have lost a column: only their present is compared."""

    def target(self, *, with_source: bool = True) -> Target:
        """As commands have it, with the source's URL or without."""
        environ = {name: value for name, value in self.environ.items() if with_source or "SOURCE" not in name}
        return Target(load(self.folder / "config" / "pipeline.toml", None, environ), environ, is_local=False)

    def prepare(self) -> Refreshed:
        """What ``prepare --alter`` does. Fails where a difference remains."""
        mirror = refreshed(self.target(), Follow.EVERYTHING)
        done = prepare(mirror.target, alter=True)
        assert done["differences"] == []
        again = prepare(mirror.target)
        assert not [name for name, found in again.items() if found], "what is prepared stays as it is"
        return mirror

    def declarations(self) -> Declarations:
        """As the functions have them, deployed without a way to the source."""
        packaged = self.folder / "tables.json"
        packaged.write_bytes(tables_json(self.target(with_source=False).pipeline))
        return load_declarations(self.folder)

    def run(self, compare: Callable[[Project], None] | None = None, **request: Any) -> None:
        """One run of the three functions; then compares, by default as a mirror."""
        pipeline = Pipeline(
            self.source, self.source, self.warehouse, *self.buckets, self.declarations(), lambda: self.source
        )
        pipeline.run(**request)
        (compare or Project.compare)(self)

    def compare(self) -> None:
        """Every mirrored table equals SQL on the source, and its history has each state that a run saw."""
        for table in self.declarations().warehouse.values():
            assert table.kind == FACT
            columns = {str(expression.column): name for name, expression in table.columns.items()}
            assert sorted(columns) == self._columns(str(table.source)), f"{table.name} has every column of the source"
            keys = [columns.get(key, key) for key in table.keys]
            mine = _rows(self.source, str(table.source), list(columns))
            theirs = _rows(self.warehouse, sql.bounded(f"current_{table.name}"), list(columns.values()))
            missing, more = Counter(mine) - Counter(theirs), Counter(theirs) - Counter(mine)
            assert (dict(missing), dict(more)) == ({}, {}), f"{table.name}: missing in the mirror, and more there"
            self._remember(table.name, mine, [list(columns.values()).index(key) for key in keys])
            if table.name in self.narrowed:
                continue
            found: dict[Row, list[Row]] = {}
            for row in _rows(self.warehouse, table.name, list(columns.values()), by=str(table.record)):
                found.setdefault(tuple(row[list(columns.values()).index(key)] for key in keys), []).append(row)
            assert found == dict(self._expected(table.name, len(columns))), table.name

    def _columns(self, table: str) -> list[str]:
        rows = self.source.rows(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attnum > 0"
            " AND NOT attisdropped",
            table=str(sql.table(table)),
        )
        return sorted(row[0] for row in rows)

    def _remember(self, table: str, rows: list[Row], key: list[int]) -> None:
        now = {tuple(row[index] for index in key): row for row in rows}
        for of, each in {of for of in self.versions if of[0] == table} | {(table, each) for each in now}:
            seen = self.versions.setdefault((of, each), [])
            row = now.get(each)
            if not seen or row is None or seen[-1] is None or (*seen[-1], *(None,) * (len(row) - len(seen[-1]))) != row:
                seen.append(row)

    def _expected(self, table: str, width: int) -> Iterator[tuple[Row, list[Row]]]:
        """The versions of each key; of columns that came later, NULL in those before."""
        for (of, key), seen in self.versions.items():
            if of == table:
                yield key, [(*row, *(None,) * (width - len(row))) for row in seen if row is not None]


def _rows(connection: Connection, table: str, columns: list[str], by: str | None = None) -> list[Row]:
    """The rows, each value as PostgreSQL writes it."""
    order = f" ORDER BY {sql.identifier(by)}" if by else ""
    values = ", ".join(f"{sql.identifier(column)}::text" for column in columns)
    return [tuple(row) for row in connection.rows(f"SELECT {values} FROM {sql.table(table)}{order}")]


def mirrored_project(folder: Path, source: Any, warehouse: Any, sessions: Any, buckets: tuple[Lake, Lake]) -> Project:
    """The project that ``init --mirror`` writes for the database ``source``; nothing in it is edited."""
    environ = {"SOURCE_DATABASE_URL": url(source), "WAREHOUSE_DATABASE_URL": url(warehouse)}
    result = CliRunner().invoke(
        deploy.main, ["init", str(folder), "--from", "SOURCE_DATABASE_URL", "--mirror"], env=environ
    )
    assert result.exit_code == 0, result.output
    return Project(folder, sessions(source), sessions(warehouse), environ, buckets)
