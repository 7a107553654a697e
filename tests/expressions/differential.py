"""Evaluates an expression here and on a real PostgreSQL, for every row of one table, and compares type and text.

The rows take extract's own way into the lake's types. The server evaluates the text that the parser reads here, row by
row where one row fails.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.extract.source import reader
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column
from lambda_toolkit.pipeline.lambdas.load.warehouse.binary.copying import copy_rows
from lambda_toolkit.pipeline.lambdas.shared.expression.resolve import Typed, resolve
from lambda_toolkit.pipeline.lambdas.shared.expression.tree import ExpressionError, from_json, to_json
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import ParquetPart, batches
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import DIMENSION, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import read_expression
from lambda_toolkit.pipeline.lambdas.shared.model.schema_declarations import ColumnType
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, transaction
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message
from lambda_toolkit.pipeline.lambdas.transform.columns.convert import SourceRows, convert
from lambda_toolkit.pipeline.lambdas.transform.expressions.evaluate import evaluate, output
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression
from tests.expressions.generator import COLUMNS, Generator
from tests.values import hostile

REJECTED = "rejected"
ROWS = 120

_FRIENDLY = {  # values that meet each other: without these most sums overflow and most texts differ
    "number": ("0", "1", "2", "-1", "3", "7", "10", "-5", "100"),
    "date": ("2024-02-29", "2024-03-31", "2000-01-01", "1969-12-31", "2024-12-30"),
    "moment": ("2024-03-31 02:30:00", "2024-10-27 02:30:00", "2024-03-10 06:59:59.5", "1969-12-31 23:59:59.999999"),
    "text": ("", "a", "Ab", "é", "straße", "7", "-3", " x ", "1.5", "a_b", "100%", "ΑΣ", "t", "2024-02-29"),
}
_DOCUMENTS = (
    *(
        '{"a": [1, {"b": "x"}], "b": null}',
        '{"a": {"b": "é\\"\\\\"}, "b": [1.50, -2e3]}',
        '[{"a": 1}, "two", null]',
        '"s"',
    ),
    *('{"a b": true, "a": "\\ud83d\\ude00"}', "null", "5", "[]", "{}", '{"a": 1, "a": 2}', '[[1, 2], "]", "}"]'),
)
_MAX_VALUE = 300  # characters of a hostile value: longer ones are for `make values`
_SHOWN = 400


@dataclass
class Found:
    """The result: how many expressions both accept, how many values were compared, and the differences."""

    expressions: int = 0
    accepted: int = 0
    cells: int = 0
    rejected: int = 0
    differences: list[str] = field(default_factory=list)
    stricter: dict[str, list[str]] = field(default_factory=dict)
    """Why an expression is refused here that PostgreSQL evaluates -> such expressions."""


class Differential:
    """One table of hostile rows in an empty database."""

    def __init__(self, connection: Connection, seed: int = 1, rows: int = ROWS) -> None:
        self._connection = connection
        self.found = Found()
        connection.run(hostile.CREATE_TYPES)
        connection.run("SET TimeZone = 'UTC'")
        declared = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
        connection.run(f"CREATE TABLE given (id integer PRIMARY KEY, {declared})")
        self._fill(random.Random(seed), rows, seed)  # noqa: S311
        self._rows, self._ids = self._extracted()

    def _fill(self, chance: random.Random, rows: int, seed: int) -> None:
        """A row of NULLs, then rows of friendly values, then of hostile ones, each with NULLs here and there."""
        connection = self._connection
        connection.run("INSERT INTO given (id) VALUES (0)")
        for name, kind in COLUMNS.items():
            base = re.sub(r"\([^)]*\)", "", kind)
            texts = [text for text in self._values(base, seed) if len(text) <= _MAX_VALUE]
            connection.run("CREATE TEMPORARY TABLE written (n integer, t text)")
            for number in range(rows):
                friendly = self._friendly(base, chance) if number < rows // 2 else None
                text = friendly if friendly is not None else chance.choice(texts)
                connection.rows("INSERT INTO written VALUES (:n, :t) RETURNING 1", n=number + 1, t=text)
            connection.run("INSERT INTO given (id) SELECT n FROM written ON CONFLICT DO NOTHING")
            connection.run(
                "DO $do$ DECLARE w record; BEGIN FOR w IN SELECT * FROM written LOOP BEGIN"
                f' UPDATE given SET "{name}" = CAST(w.t AS {kind})'
                f" WHERE id = w.n AND id % 11 <> {chance.randint(0, 10)};"
                " EXCEPTION WHEN others THEN NULL; END; END LOOP; END $do$"
            )
            connection.run("DROP TABLE written")
        for name, kind in COLUMNS.items():  # what the lake has no value of is rejected whatever reads it
            if kind.startswith(("date", "timestamp")):
                connection.run(f"UPDATE given SET {name} = NULL WHERE NOT {name} BETWEEN '0001-01-01' AND '9999-12-31'")
            if kind.startswith("numeric("):
                connection.run(f"UPDATE given SET {name} = NULL WHERE {name} = 'NaN'")

    @staticmethod
    def _values(base: str, seed: int) -> list[str]:
        if base in ("json", "jsonb"):
            return [*_DOCUMENTS, *hostile.values(base, 30, seed)]
        return hostile.values(base, 60, seed) if base != hostile.ENUM else hostile.values(base, 0, seed)

    @staticmethod
    def _friendly(base: str, chance: random.Random) -> str | None:
        if base in ("smallint", "integer", "bigint"):
            return chance.choice(_FRIENDLY["number"])
        if base in ("numeric", "real", "double precision"):
            return chance.choice(_FRIENDLY["number"]) + chance.choice(("", ".5", ".25", ".0"))
        if base == "date":
            return chance.choice(_FRIENDLY["date"])
        if base.startswith("timestamp"):
            return chance.choice((*_FRIENDLY["moment"], *_FRIENDLY["date"]))
        if base in ("json", "jsonb"):
            return chance.choice(_DOCUMENTS)
        return chance.choice(_FRIENDLY["text"]) if base in ("text", "character varying", "character") else None

    def _extracted(self) -> tuple[pa.Table, list[int]]:
        columns = (Column("id", "integer"), *(Column(name, kind) for name, kind in COLUMNS.items()))
        schema = reader.lake_schema(columns)
        query = sql.compose("SELECT $columns FROM given AS t ORDER BY id", columns=reader.select_columns(columns, "id"))
        with ParquetPart(schema) as part:
            reader.read(self._connection, query, schema, part.write)
            part.finish()
            part.file.seek(0)
            rows = pa.concat_tables(list(batches(part.file)))
        return rows, rows["id"].to_pylist()

    def run(self, expressions: int, seed: int) -> Found:
        """Compares so many random expressions."""
        generator = Generator(seed)
        for _ in range(expressions):
            self.compare(generator.any())
        return self.found

    def compare(self, text: str) -> None:
        """Compares one expression."""
        self.found.expressions += 1
        try:
            typed = resolve(from_json(to_json(parse_expression(text))), lambda path: COLUMNS[path[0]])
        except ExpressionError as error:
            refusal = self._type(text)
            if refusal[0]:
                self.found.stricter.setdefault(re.sub(r"\(at .*|'.*|\d+", "", str(error))[:90], []).append(text)
            return
        accepted, kind = self._type(text)
        if not accepted:
            if not re.search(
                "out of range|overflow|invalid input syntax|division by zero|not allowed|field value|field position",
                kind,
            ):
                self._differ(text, f"PostgreSQL refuses it: {kind}; here it is {typed.type}")
            return  # a constant part that fails: PostgreSQL computes it before it reads a row
        self.found.accepted += 1
        if kind != typed.type:
            self._differ(text, f"is {kind} in PostgreSQL, here {typed.type}")
            return
        self._compare_values(text, typed)

    def _type(self, text: str) -> tuple[bool, str]:
        """Whether the server accepts the expression, and the type; or why it does not."""
        connection = self._connection
        try:
            with transaction(connection):
                connection.run(f"CREATE TEMPORARY VIEW typed AS SELECT ({text}) AS v FROM given")
                row = connection.rows(
                    "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
                    " WHERE attrelid = 'pg_temp.typed'::regclass AND attname = 'v'"
                )[0]
                connection.run("SELECT v FROM typed WHERE false")
                connection.run("DROP VIEW typed")
            return True, str(row[0])
        except DatabaseError as error:
            return False, message(error)

    def _compare_values(self, text: str, typed: Typed) -> None:
        ours, servers = self._ours(text, typed), self._servers(text)
        if all(value == REJECTED for value in servers.values()) and len(set(ours.values())) > 1:
            return  # as above
        for number, wanted in servers.items():
            self.found.cells += 1
            got = ours.get(number, (REJECTED, "is missing"))
            self.found.rejected += got[0] == REJECTED
            if got[0] != wanted and not _is_named(wanted, got):
                row = self._rows.slice(self._ids.index(number), 1).to_pylist()[0]
                used = {name: value for name, value in row.items() if re.search(rf"\b{name}\b", text)}
                self._differ(text, f"row {number}: {wanted!r:.150} in PostgreSQL, here {got!r:.200} ({used!s:.200})")
                return

    def store(self, text: str, wanted: str) -> list[tuple[int, str | None]]:
        """What the warehouse has of the expression in a column of the type ``wanted``, by transform, Parquet, COPY."""
        table = WarehouseTable(
            name="stored",
            kind=DIMENSION,
            keys=("id",),
            source="given",
            record=None,
            joins={},
            columns={"id": read_expression("id"), "v": read_expression(text, parse_expression)},
            types={"id": ColumnType("integer", required=True), "v": ColumnType(wanted, required=False)},
        )
        source = SourceRows(self._rows, {"id": "integer", **COLUMNS})
        converted = convert(table, source, {}, {"given": ("id",)})
        with ParquetPart(converted.rows.schema) as part:
            part.write(converted.rows)
            part.finish()
            part.file.seek(0)
            rows = list(batches(part.file))
        with transaction(self._connection):
            self._connection.run(f"CREATE TEMPORARY TABLE stored (id integer, v {wanted}) ON COMMIT DROP")
            copy_rows(self._connection, sql.table("stored", "pg_temp"), ("id", "v"), rows)
            found = self._connection.rows("SELECT id, v::text FROM stored ORDER BY id")
        return [(number, value) for number, value in found]

    def _ours(self, text: str, typed: Typed) -> dict[int, tuple[str | None, str | None]]:
        rows = self._rows
        try:
            values, reasons = evaluate(typed, lambda path: rows[path[0]], rows.num_rows)
            texts = output(values, typed.type).to_pylist()
            why = reasons.to_pylist() if reasons is not None else [None] * len(texts)
        except Exception as error:  # whatever an expression raises is what this looks for
            self._differ(text, f"raises {type(error).__name__}: {error!s:.300}")
            return {}
        return {
            number: (REJECTED, reason) if reason is not None else (value, None)
            for number, value, reason in zip(self._ids, texts, why, strict=True)
        }

    def _servers(self, text: str) -> dict[int, str | None]:
        connection = self._connection
        shown = f"CASE WHEN ({text}) IS NULL THEN NULL ELSE format('%s', ({text})) END"
        try:
            with transaction(connection):
                found: list[list[Any]] = connection.rows(f"SELECT id, {shown} FROM given ORDER BY id")
        except DatabaseError:
            with transaction(connection):
                connection.run(
                    "CREATE FUNCTION pg_temp.evaluated(number integer, OUT state_ text, OUT value_ text)"
                    f" LANGUAGE plpgsql AS $do$ BEGIN SELECT {shown} INTO value_ FROM given WHERE id = number;"
                    f" state_ := 'stored'; EXCEPTION WHEN others THEN state_ := '{REJECTED}'; value_ := NULL; END $do$"
                )
                found = [
                    [number, REJECTED if state == REJECTED else value]
                    for number, state, value in connection.rows(
                        "SELECT g.id, e.* FROM given AS g, pg_temp.evaluated(g.id) AS e ORDER BY g.id"
                    )
                ]
                connection.run("DROP FUNCTION pg_temp.evaluated")
        return dict(found)  # type: ignore[arg-type]

    def _differ(self, text: str, says: str) -> None:
        self.found.differences.append(f"{text[:_SHOWN]}\n    {says}")


def _is_named(wanted: str | None, got: tuple[str | None, str | None]) -> bool:
    """Whether docs/expressions.md names the difference: rows that are rejected although PostgreSQL has a value."""
    # A form of a text that docs/values.md does not have, or a moment that the lake does not have.
    return got[0] == REJECTED and str(got[1]).startswith(
        ("invalid input syntax", "date out of range", "timestamp out of range")
    )
