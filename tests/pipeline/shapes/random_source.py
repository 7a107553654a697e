"""A source of some shape that changes at random."""

from __future__ import annotations

import random

from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from tests.pipeline.shapes.shape import Shape, SourceTable, text


class RandomSource:
    """The source of a shape, with its data. The same seed gives the same statements."""

    def __init__(self, shape: Shape, connection: Connection, seed: int) -> None:
        self.shape, self.connection = shape, connection
        self.chance = random.Random(seed)  # noqa: S311
        self.taken_out: list[tuple[SourceTable, str]] = []
        self.refused = self.done = 0
        connection.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.run(shape.ddl)
        for table in shape.tables:
            for _ in range(table.rows):
                self._insert(table)

    def change(self, most: int) -> None:
        """One statement or more, at most ``most``."""
        for _ in range(self.chance.randint(1, most)):
            self._change()

    def _change(self) -> None:
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
        rows = self.connection.rows(f"SELECT to_jsonb(taken)::text FROM {table.name} AS taken WHERE {where}")
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
            self.connection.run(statement)
        except DatabaseError as error:
            if not str(error.args[0]["C"]).startswith("23"):
                raise AssertionError(statement) from error
            self.refused += 1
            return False
        self.done += 1
        return True
