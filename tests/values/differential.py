"""What the pipeline stores of a column of any type in one of any other, and what PostgreSQL stores.

The pipeline's own steps: extract's query and CSV reader, a Parquet file, transform's conversion, load's COPY.
PostgreSQL assigns each value to a variable of the other type, in a function that catches its errors: that shares no
code with the pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from unittest import mock

import pyarrow as pa

from lambda_toolkit.pipeline.lambdas.extract.source import reader
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import Column
from lambda_toolkit.pipeline.lambdas.load.warehouse.binary.copying import copy_rows
from lambda_toolkit.pipeline.lambdas.shared.conversions import refusal
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import ParquetPart, batches
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import DIMENSION, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import parse_expression
from lambda_toolkit.pipeline.lambdas.shared.model.schema_declarations import ColumnType
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, transaction
from lambda_toolkit.pipeline.lambdas.transform.columns.convert import convert
from lambda_toolkit.pipeline.lambdas.transform.columns.source_rows import SourceRows
from tests.values import hostile
from tests.values.assignment import READ_AS_TEXT, REJECTED, Stored, base, create_assigned, is_named

SOURCES = (
    *("smallint", "integer", "bigint", "numeric", "numeric(10,2)", "numeric(38,10)", "numeric(3,-2)", "numeric(3,5)"),
    *(
        "numeric(50,20)",
        "real",
        "double precision",
        "boolean",
        "text",
        "character varying(12)",
        "character(8)",
        "bpchar",
    ),
    *("name", "date", "timestamp without time zone", "timestamp(3) without time zone", "timestamp with time zone"),
    *("timestamp(0) with time zone", "time without time zone", "time(2) without time zone", "time with time zone"),
    *("time(3) with time zone", "interval", "interval(2)", "uuid", "bytea", "json", "jsonb", "xml", "inet", "cidr"),
    *(
        "macaddr",
        "macaddr8",
        "bit(5)",
        "bit varying(9)",
        "bit varying",
        "money",
        "point",
        "line",
        "lseg",
        "box",
        "path",
    ),
    *(
        "polygon",
        "circle",
        "tsvector",
        "tsquery",
        "oid",
        "pg_lsn",
        "int4range",
        "numrange",
        "tsrange",
        "datemultirange",
    ),
    *("integer[]", "text[]", "numeric(6,2)[]", "double precision[]", "timestamp without time zone[]"),
    *(hostile.ENUM, hostile.DOMAIN, hostile.TEXT_DOMAIN),
)
TARGETS = (
    *SOURCES,
    *("numeric(4,2)", "numeric(2,-3)", "numeric(4,4)", "numeric(38,0)", "numeric(60,2)", "character varying(3)"),
    *(
        "character(4)",
        "character varying",
        "time(0) without time zone",
        "timestamp(0) without time zone",
        "interval(0)",
    ),
)
CHUNK = 2048  # bytes of CSV that extract parses at a time here: most values are the first of a chunk somewhere
LONG = 60  # characters of a value in a message

REFUSED_ALTHOUGH_ASSIGNED = {  # pairs of types that PostgreSQL assigns and the pipeline refuses, by docs/values.md
    *(
        ("timestamp without time zone", "time without time zone"),
        ("timestamp with time zone", "time without time zone"),
    ),
    *(("time with time zone", "time without time zone"), ("time without time zone", "time with time zone")),
    *(("timestamp with time zone", "time with time zone"), ("time without time zone", "interval")),
    *(("interval", "time without time zone"), ("json", "jsonb"), ("inet", "cidr"), ("macaddr8", "macaddr")),
    *(("bit", "bit varying"), ("bit varying", "bit")),
    *((kind, other) for kind in ("smallint", "integer", "bigint") for other in ("oid", "money")),
    *(("oid", kind) for kind in ("integer", "bigint")),
    *(("numeric", "money"), ("money", "numeric"), ("money", "money")),
    *((kind, "point") for kind in ("lseg", "box", "polygon", "circle")),
    *(("path", "polygon"), ("polygon", "path"), ("polygon", "circle"), ("polygon", "box"), ("circle", "polygon")),
    *(("circle", "box"), ("box", "polygon"), ("box", "circle"), ("box", "lseg"), ("point", "box"), ("path", "point")),
    *(("int4range", "int4multirange"), ("numrange", "nummultirange"), ("tsrange", "tsmultirange")),
}


@dataclass
class Found:
    """The result: how many cells were compared, and the differences, each as a sentence."""

    cells: int = 0
    stored: int = 0
    differences: list[str] = field(default_factory=list)


class Differential:
    """Compares pairs of types in one database, which is empty."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.run(hostile.CREATE_TYPES)
        self.found = Found()

    def source(self, kind: str, count: int, seed: int) -> SourceRows:
        """A new table ``given`` with about ``count`` values of ``kind``, and what extract stores of it."""
        name, connection = base(kind), self._connection
        texts = hostile.values(name, count, seed)
        with transaction(connection):
            connection.run("DROP TABLE IF EXISTS given, written")
            connection.run("CREATE TABLE written (n integer, t text)")
            connection.run(f"CREATE TABLE given (id integer PRIMARY KEY, v {kind}, after text)")
            rows = pa.table({"n": pa.array(range(1, len(texts) + 1), pa.int32()), "t": pa.array(texts, pa.string())})
            copy_rows(connection, sql.table("written"), ("n", "t"), [rows])
            connection.run(
                f"DO $do$ DECLARE w record; BEGIN FOR w IN SELECT * FROM written LOOP BEGIN"
                f" INSERT INTO given SELECT w.n, CAST(w.t AS {kind}), 'x';"
                " EXCEPTION WHEN others THEN NULL; END; END LOOP; INSERT INTO given VALUES (0, NULL, 'x'); END $do$"
            )
        return self._extracted(kind)

    def _extracted(self, kind: str) -> SourceRows:
        """By way of extract's reader, in small chunks, once with the value as the first column."""
        columns = (Column("v", kind), Column("id", "integer"), Column("after", "text"))
        schema = reader.lake_schema(columns)
        query = sql.compose(
            "SELECT $columns FROM given AS t ORDER BY starts_with(v::text, $mark) IS NOT TRUE, id",
            columns=reader.select_columns(columns, "id"),
            mark=sql.constant("\ufeff"),  # where there is one, it is the first character of a chunk
        )
        with ParquetPart(schema) as part, mock.patch.object(reader, "CHUNK_BYTES", CHUNK):
            reader.read(self._connection, query, schema, part.write)
            part.finish()
            part.file.seek(0)
            rows = pa.concat_tables(list(batches(part.file)))
        return SourceRows(rows, {column.name: column.type for column in columns})

    def compare(self, source: str, target: str, rows: SourceRows) -> None:
        """Compares each value of the table ``given``, which ``rows`` are of."""
        if self._is_refused(source, target):
            return
        ours, servers = self._ours(source, target, rows), self._servers(source, target)
        for number, (written, verdict) in servers.items():
            self.found.cells += 1
            wanted: Stored | str = verdict if isinstance(verdict, Stored) else REJECTED
            if is_named(source, target, written):
                wanted = REJECTED
            got = ours.get(number, REJECTED)
            self.found.stored += got != REJECTED
            if got != wanted:
                value = repr(written)
                self._differ(source, target, f"{value[:LONG]}: {wanted!r:.150} in PostgreSQL, here {got!r:.150}")

    def _is_refused(self, source: str, target: str) -> bool:
        """Whether the pipeline refuses the pair of types; a difference where PostgreSQL assigns it, or the reverse."""
        refused = refusal(source, target) is not None
        assigned = self._is_assigned(source, target)
        pair = (base(source), base(target))
        user_defined = base(target) in (hostile.ENUM, hostile.DOMAIN, hostile.TEXT_DOMAIN, "name")
        if refused:
            self.found.cells += 1
            if (
                assigned
                and source != target
                and not user_defined
                and pair not in REFUSED_ALTHOUGH_ASSIGNED
                and pair[0] != pair[1]
            ):
                self._differ(source, target, "refused, and PostgreSQL assigns it")
            if source == target and base(target) != "money" and not user_defined:
                self._differ(source, target, "refused, and it is the same type")
        elif not assigned and base(source) not in READ_AS_TEXT:
            self._differ(source, target, "accepted, and PostgreSQL does not assign it")
        return refused

    def _is_assigned(self, source: str, target: str) -> bool:
        row = self._connection.rows(
            "SELECT count(*) FROM pg_cast WHERE castsource = CAST(:s AS regtype) AND casttarget = CAST(:t AS regtype)"
            " AND castcontext IN ('i', 'a')",
            s=source,
            t=target,
        )[0]
        return (
            bool(row[0])
            or base(source) == base(target)
            or base(target) in ("text", "character varying", "character", "bpchar", "name")
        )

    def _ours(self, source: str, target: str, rows: SourceRows) -> dict[int, Stored]:
        table = WarehouseTable(
            name="stored",
            kind=DIMENSION,
            keys=("id",),
            source="given",
            record=None,
            joins=MappingProxyType({}),
            columns={name: parse_expression(name) for name in ("id", "v")},
            types=MappingProxyType({"id": ColumnType("integer", True), "v": ColumnType(target, False)}),
        )
        connection = self._connection
        try:
            converted = convert(table, rows, {}, {"given": ("id",)})
            with transaction(connection):
                connection.run(f"CREATE TEMPORARY TABLE stored (id integer, v {target}) ON COMMIT DROP")
                copy_rows(connection, sql.table("stored", "pg_temp"), ("id", "v"), [converted.rows])
                found = connection.rows("SELECT id, format('%s', v), v::text, v IS NULL FROM stored")
        except Exception as error:  # whatever a value raises is what this looks for
            self._differ(source, target, f"raises {type(error).__name__}: {error!s:.200}")
            return {}
        return {number: Stored(None if null else output, text) for number, output, text, null in found}

    def _servers(self, source: str, target: str) -> dict[int, tuple[str | None, Stored | str]]:
        connection = self._connection
        with transaction(connection):
            connection.run(create_assigned("pg_temp.assigned", source, target))
            found = connection.rows(
                "SELECT g.id, format('%s', g.v), g.v IS NULL, a.*"
                " FROM given AS g, pg_temp.assigned(g.v) AS a ORDER BY g.id"
            )
            connection.run("DROP FUNCTION pg_temp.assigned")
        return {
            number: (
                None if null else given,
                Stored(None if null else output, written) if verdict == "stored" else verdict,
            )
            for number, given, null, verdict, output, written in found
        }

    def _differ(self, source: str, target: str, what: str) -> None:
        self.found.differences.append(f"{source} to {target}: {what}")


def pairs() -> Iterator[tuple[str, str]]:
    """Every type to every type."""
    return ((source, target) for source in SOURCES for target in TARGETS)


def run(connection: Connection, cells: int, seed: int, chosen: Any = None) -> Found:
    """Compares ``cells`` cells or more of all pairs; fewer where ``chosen`` has the sources.

    Twice as many random values: some are of no use to a type, and some types have few.
    """
    differential = Differential(connection)
    accepted = [pair for pair in pairs() if refusal(*pair) is None]
    for source in chosen or SOURCES:
        rows = differential.source(source, max(20, 2 * cells // len(accepted)), seed)
        for target in TARGETS:
            differential.compare(source, target, rows)
    return differential.found
