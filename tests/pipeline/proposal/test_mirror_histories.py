"""Random lives of a database: rows, columns, types and tables change, and the mirror equals it after each run."""

from __future__ import annotations

import contextlib
import random

import pytest

from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from tests.pipeline.proposal.mirrored_project import Project, mirrored_project

ROUNDS = 6
VALUES = {  # type -> a value of it, made of the number `n`
    "integer": "n::int",
    "smallint": "(n % 100)::smallint",
    "numeric(8,2)": "(n / 4.0)::numeric(8,2)",
    "numeric": "(n * 1.10)",
    "text": "'t' || n",
    "varchar(9)": "('v' || n)::varchar(9)",
    "date": "('2020-01-01'::date + n)",
    "timestamptz": "('2020-01-01'::timestamptz + n * interval '1 second')",
    "boolean": "(n % 2 = 0)",
    "text[]": "ARRAY['a' || n, NULL]",
    "jsonb": "jsonb_build_object('n', n)",
    "mood": "(ENUM_RANGE(NULL::mood))[1 + n % 2]",
    "uuid": "md5(n::text)::uuid",
    "real": "(n / 3.0)::real",
    "numeric(10,3)": "(n / 8.0)::numeric(10,3)",
    "double precision": "(n / 3.0)::double precision",
}
WIDER = {"smallint": "integer", "numeric(8,2)": "numeric(10,3)", "varchar(9)": "text", "real": "double precision"}


class Life:
    """A database whose tables have keys of one or two columns, and columns that come and disappear."""

    def __init__(self, project: Project, seed: int) -> None:
        self.project, self.random, self.number = project, random.Random(seed), 0  # noqa: S311  # it can be repeated
        self.tables: dict[str, dict[str, str]] = {}
        self.accepted: list[str] = []

    def run(self, statement: str) -> None:
        self.project.source.run(statement)

    def pick(self, of):
        return self.random.choice(sorted(of))

    def add_table(self) -> None:
        self.number += 1
        name = self.random.choice((f"t{self.number}", f"T {self.number}", f"current_t{self.number - 1}"))
        columns = {f"c{number}": self.pick(VALUES) for number in range(self.random.randint(1, 3))}
        keys = "PRIMARY KEY (k, l)" if self.random.random() < 0.4 else "PRIMARY KEY (k)"
        required = {column: self.random.choice(("", " NOT NULL")) for column in columns}
        lines = [f"{column} {kind}{required[column]}" for column, kind in columns.items()]
        self.run(f"CREATE TABLE {sql.identifier(name)} (k int, l text NOT NULL, {', '.join(lines)}, {keys})")
        self.tables[name] = columns
        self.insert(name, 8)

    def insert(self, name: str, count: int = 3) -> None:
        first = self.number * 1000
        self.number += 1
        values = "".join(f", {VALUES[kind]}" for kind in self.tables[name].values())
        self.run(
            f"INSERT INTO {sql.identifier(name)} (k, l{''.join(f', {column}' for column in self.tables[name])})"
            f" SELECT n, 'l' || n % 2{values} FROM generate_series({first}, {first + count}) AS n"
        )

    def update(self, name: str) -> None:
        if self.tables[name]:
            column, by = self.pick(self.tables[name]), self.random.randint(0, 50)
            value = f"(SELECT {VALUES[self.tables[name][column]]} FROM (SELECT abs(k) + {by} AS n) AS one)"
            self.run(f"UPDATE {sql.identifier(name)} SET {column} = {value} WHERE k % 3 = {self.random.randint(0, 2)}")

    def change_keys(self, name: str) -> None:
        self.run(f"UPDATE {sql.identifier(name)} SET k = -k - 1 WHERE k % 5 = {self.random.randint(0, 4)} AND k >= 0")

    def delete(self, name: str) -> None:
        how = self.random.choice(
            (f"DELETE FROM {sql.identifier(name)} WHERE k % 4 = 1", f"TRUNCATE {sql.identifier(name)}")
        )
        self.run(how)

    def add_column(self, name: str) -> None:
        self.number += 1
        column, kind = f"c{self.number}", self.pick(VALUES)
        default = f" NOT NULL DEFAULT {self.random.randint(0, 9)}" if kind == "integer" else ""
        self.run(f"ALTER TABLE {sql.identifier(name)} ADD COLUMN {column} {kind}{default}")
        self.tables[name][column] = kind

    def drop_column(self, name: str) -> None:
        if self.tables[name]:
            column = self.pick(self.tables[name])
            self.run(f"ALTER TABLE {sql.identifier(name)} DROP COLUMN {column}")
            del self.tables[name][column]

    def change_column(self, name: str) -> None:
        """Drops a column and adds one of the same name and another type."""
        if self.tables[name]:
            column, kind = self.pick(self.tables[name]), self.pick(VALUES)
            self.run(f"ALTER TABLE {sql.identifier(name)} DROP COLUMN {column}, ADD COLUMN {column} {kind}")
            if kind != self.tables[name][column]:
                self.accepted.append(f"{name}.{column}")
            self.tables[name][column] = kind

    def widen(self, name: str) -> None:
        for column, kind in self.tables[name].items():
            if kind in WIDER:
                self.run(f"ALTER TABLE {sql.identifier(name)} ALTER COLUMN {column} TYPE {WIDER[kind]}")
                self.tables[name][column] = WIDER[kind]
                self.accepted.append(f"{name}.{column}")
                return

    def let_be_null(self, name: str) -> None:
        if self.tables[name]:
            column = self.pick(self.tables[name])
            self.run(f"ALTER TABLE {sql.identifier(name)} ALTER COLUMN {column} DROP NOT NULL")
            self.run(f"UPDATE {sql.identifier(name)} SET {column} = NULL WHERE k % 2 = 0")

    def drop_table(self, name: str) -> None:
        if len(self.tables) > 1:
            self.run(f"DROP TABLE {sql.identifier(name)}")
            del self.tables[name]

    def day(self) -> None:
        rows = (self.insert, self.update, self.update, self.change_keys, self.delete)
        shapes = (self.add_column, self.drop_column, self.change_column, self.widen, self.let_be_null, self.drop_table)
        for _ in range(self.random.randint(2, 6)):
            self.random.choice(rows)(self.pick(self.tables))
        for _ in range(self.random.randint(0, 3)):
            self.random.choice(shapes)(self.pick(self.tables))
        if self.random.random() < 0.3:
            self.add_table()
        self.project.prepare()
        self.project.narrowed.update(
            self.project.declarations().warehouse
        )  # its history has columns that are not there
        existing = {f"{name}.{column}" for name, columns in self.tables.items() for column in columns}
        self.project.run(accept_types=[each for each in dict.fromkeys(self.accepted) if each in existing])


@pytest.mark.parametrize("seed", range(2))
def test_a_mirror_follows_whatever_happens(seed, database, buckets, tmp_path):
    with contextlib.ExitStack() as stack:
        source = database(
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE first (k int PRIMARY KEY, l text NOT NULL)"
        )
        project = mirrored_project(
            tmp_path / "life", source, database(), lambda to: stack.enter_context(connect(to)), buckets
        )
        life = Life(project, seed)
        life.tables["first"] = {}
        life.add_table()
        for _ in range(ROUNDS):
            life.day()
