"""A warehouse that is a DuckDB file, as commands and notebooks reach it: on the machine that has the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.access.messages import Column, QueryError
from lambda_toolkit.pipeline.lambdas.shared.database import connected
from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import DuckdbConnection
from lambda_toolkit.pipeline.lambdas.shared.duckdb.dialect import translated
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, transaction
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message

if TYPE_CHECKING:
    import pyarrow as pa

    from lambda_toolkit.pipeline.access.messages import Prepared
    from lambda_toolkit.pipeline.config.model import Pipeline
    from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import SchemaNames
    from lambda_toolkit.pipeline.lambdas.shared.postgres.copy_rows import Sink

_TEXT = "text"
_WIDE = "HUGEINT"  # what sum() of integers is
_AS_THEY_ARE = (  # the types of DuckDB that Arrow has too
    *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "DATE", "TIME", "BLOB"),
    *("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
)


@dataclass(frozen=True)
class FileReader:
    """A warehouse in a DuckDB file: each call opens it, beside other readers. See WarehouseAccess."""

    credentials: Credentials

    def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
        """As ReadsWarehouse has it. Raises ConnectionFailedError, and StatementError for what DuckDB refuses."""
        with self._reading() as connection:
            query = sql.compose("SELECT * FROM ($query) AS query", query=_query(statement))
            return connection.rows(query, **parameters)

    def table(self, query: str) -> tuple[list[Column], pa.Table]:
        """As WarehouseAccess has it; types that Arrow does not have are texts. Raises QueryError."""
        with self._reading() as connection, _explained():
            names, types = _described(connection, query)
            values = [_value(number, kind) for number, kind in enumerate(types)]
            found = connection.driver.sql(_statement(connection, query, values)).to_arrow_table()
        return [Column(name, _TEXT) for name in names], found.rename_columns([str(n) for n in range(len(names))])

    def csv(self, query: str, sink: Sink) -> None:
        """As WarehouseAccess has it: values as DuckDB writes them. Raises QueryError."""
        from lambda_toolkit.pipeline.lambdas.load.warehouse.binary.copying import to_csv

        with self._reading() as connection, _explained():
            names, _ = _described(connection, query)
            values = [sql.compose("CAST($name AS varchar)", name=_name(number)) for number in range(len(names))]
            found = connection.driver.sql(_statement(connection, query, values)).to_arrow_table()
        sink(",".join(map(_quoted, names)).encode() + b"\n")
        for piece in to_csv([found]):
            sink(piece)

    def prepare(
        self, pipeline: Pipeline, schema: str, into: SchemaNames, *, alter: bool = False, later: str = ""
    ) -> Prepared:
        """As WarehouseAccess has it. Raises ConnectionFailedError, DeclarationError and WarehouseError."""
        from lambda_toolkit.pipeline.access.preparing import prepared

        with connected(self.credentials) as connection:
            return prepared(connection, schema, pipeline.tables, into, alter=alter, later=later)

    @contextmanager
    def _reading(self) -> Iterator[DuckdbConnection]:
        with connected(self.credentials, read_only=True) as connection, transaction(connection):
            assert isinstance(connection, DuckdbConnection)  # noqa: S101  # nosec B101  # by its credentials
            yield connection


def _described(connection: DuckdbConnection, query: str) -> tuple[list[str], list[str]]:
    """The names and the types of the columns of ``query``. Raises QueryError where it is none."""
    if not query.strip(" \t\r\n;"):
        raise QueryError("The query is empty.")
    relation = connection.driver.sql(_text(connection, sql.compose("SELECT * FROM ($q) AS query", q=_query(query))))
    return list(relation.columns), [str(kind) for kind in relation.types]


def _statement(connection: DuckdbConnection, query: str, values: list[sql.Fragment]) -> str:
    names = sql.joined(", ", [_name(number) for number in range(len(values))])
    parts = {"values": sql.joined(", ", values), "query": _query(query), "names": names}
    return _text(connection, sql.compose("SELECT $values FROM ($query) AS query($names)", **parts))


def _text(connection: DuckdbConnection, statement: sql.Fragment) -> str:
    return translated(statement, connection.column_types)


def _query(text: str) -> sql.Fragment:
    """The query as a part of a statement: a comment at its end ends with its line."""
    return sql.Fragment(f"\n{text.strip().rstrip(';').rstrip()}\n")


def _name(number: int) -> sql.Fragment:
    return sql.identifier(f"column_{number}")


def _value(number: int, kind: str) -> sql.Fragment:
    """A column as what Arrow has of it: by a column of several names, under its number."""
    name = _name(number)
    if kind in _AS_THEY_ARE or kind.startswith("DECIMAL"):
        return name
    if kind == _WIDE:
        return sql.compose("CAST($name AS DECIMAL(38, 0))", name=name)
    return sql.compose("CAST($name AS varchar)", name=name)


def _quoted(name: str) -> str:
    return f'"{name.replace(chr(34), chr(34) * 2)}"' if any(mark in name for mark in ',"\r\n') else name


@contextmanager
def _explained() -> Iterator[None]:
    """Raises QueryError for an error of DuckDB."""
    from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import is_refusal, refused

    try:
        yield
    except DatabaseError as error:
        raise QueryError(f"The warehouse refuses the query: {message(error).rstrip('.')}.") from error
    except Exception as error:
        if not is_refusal(error):
            raise
        raise QueryError(f"The warehouse refuses the query: {message(refused(error)).rstrip('.')}.") from error
