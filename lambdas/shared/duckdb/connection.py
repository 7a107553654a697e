"""One connection to a DuckDB file, as load and the commands use one to PostgreSQL.

``duckdb`` is imported when a file is opened: no package for AWS has it, and a pipeline with another warehouse does not
need it. One process has the file open for writing, and then no other has it open at all, also for reading:
https://duckdb.org/docs/stable/connect/concurrency
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pg8000.exceptions import DatabaseError

from ..errors import ConnectionFailedError
from ..postgres import sql
from ..postgres.connection import Connection
from ..postgres.sql import SCHEMA
from .dialect import MAIN, translated
from .types import BLOB, TEXT

if TYPE_CHECKING:
    import pyarrow as pa  # commands read a file without Arrow

WAIT = 60.0  # seconds that another process may have the file: a run of load is seldom longer
# Seconds between two attempts. Who reads asks more often: several runs of load may wait for one another, and none of
# them may keep a command from its turn, which takes a moment.
_PAUSE_TO_READ, _PAUSE_TO_WRITE = 0.01, 0.25
_DRIVER = "duckdb"  # no literal where it is imported: a deploy, which checks literals, would miss it in every package
DRIVER_VARIABLE = "DUCKDB_PACKAGES"  # a folder that has the package, where the interpreter's own do not
_SETTINGS = ("SET TimeZone = 'UTC'", "SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
_UNDEFINED = {"CatalogException": "42P01", "BinderException": "42703"}  # SQLSTATE for a missing table or column
_OF_VALUES = ("ConversionException", "ConstraintException", "InvalidInputException", "OutOfRangeException")
_COLUMNS = """
    SELECT column_name, data_type FROM duckdb_columns()
    WHERE database_name = $database AND schema_name = $schema AND table_name = $name ORDER BY column_index
"""
_writers: set[str] = set()  # the files into which a connection of this process loads
_guard = threading.Lock()


class DuckdbConnection(Connection):
    """What load and the commands ask of a connection, of a DuckDB file. Statements are those for PostgreSQL.

    ``row_count``: the rows that the last statement wrote. Raises DatabaseError in pg8000's form.
    """

    is_duckdb = True

    def __init__(self, file: Path, session: Any) -> None:
        self.file, self.server = file, f"the DuckDB file {file}"
        self._session, self._count = session, 0
        self._known: dict[str, dict[str, str]] = {}
        self._writes = False

    @property
    def row_count(self) -> int:
        """The rows that the last statement wrote."""
        return self._count

    @property
    def driver(self) -> Any:
        """DuckDB's own connection."""
        return self._session

    def run(self, sql: str, stream: Any = None, types: None = None, **params: Any) -> Any:
        """Runs one statement, and returns its rows. Raises DatabaseError."""
        text = translated(str(sql), self.column_types)
        text = text.replace("clock_timestamp()", f"CAST('{datetime.now(UTC).isoformat()}' AS timestamptz)")
        for name in params:
            text = re.sub(rf"(?<!:):{name}\b", f"${name}", text)
        return self.execute(text, params or None)

    def execute(self, text: str, parameters: dict[str, Any] | None = None) -> list[list[Any]]:
        """Runs one statement of DuckDB's own SQL; returns its rows, none where it has none. Raises DatabaseError."""
        try:
            found = self._session.execute(text, parameters) if parameters else self._session.execute(text)
            described = found.description
            rows = [list(row) for row in found.fetchall()] if described else []
        except Exception as error:
            raise refused(error) from error
        is_count = described and len(described) == 1 and described[0][0] == "Count"
        self._count = int(rows[0][0]) if is_count and rows else 0
        return rows

    def rows(self, statement: str, **parameters: Any) -> list[list[Any]]:
        """The rows that ``statement`` returns."""
        return list(self.run(statement, **parameters))

    def column_types(self, table: str) -> dict[str, str]:
        """The columns of ``table``, quoted, with its schema, each with its type. What is not temporary is kept."""
        if table not in self._known:
            schema, name = _parts(table)
            database = "temp" if schema == "pg_temp" else self.file.stem
            schema = MAIN if schema in ("pg_temp", SCHEMA) else schema
            place = {"database": database, "schema": schema, "name": name}
            found = self.execute(_COLUMNS, place)
            if database == "temp" or not found:
                return dict(found)
            self._known[table] = dict(found)
        return self._known[table]

    def absent_tables(self, tables: Collection[str]) -> set[str]:
        """Those of ``tables``, quoted, with their schemas, that do not exist."""
        return {table for table in tables if not self.column_types(table)}

    def forget_columns(self) -> None:
        """Looks the columns of tables up again: a table was altered."""
        self._known.clear()

    def append(self, to: sql.Fragment, columns: tuple[str, ...], rows: Iterable[pa.Table]) -> int:
        """Appends these columns of ``rows`` to the table ``to``, where they have the same names; returns how many."""
        types = self.column_types(str(to))
        chosen, written = sql.columns(columns), 0
        for part in rows:
            if not part.num_rows:
                continue
            values = [_value(name, part.schema.field(name).type, types[name]) for name in columns]
            self._session.register("appended_rows", part.select(list(columns)))
            try:
                parts = {"to": to, "columns": chosen, "values": sql.joined(", ", values)}
                self.run(sql.compose("INSERT INTO $to ($columns) SELECT $values FROM appended_rows", **parts))
                written += self._count
            finally:
                self._session.unregister("appended_rows")
        return written

    def try_lock(self, key: int, *, of_transaction: bool = False) -> bool:
        """Whether no other connection of this process loads into the file; no other process has it open."""
        name = str(self.file)
        with _guard:
            if name in _writers and not self._writes:
                return False
            _writers.add(name)
            self._writes = True
        return True

    def unlock_writers(self) -> None:
        """Lets another connection load."""
        with _guard:
            if self._writes:
                _writers.discard(str(self.file))
            self._writes = False

    def drop_temporary(self) -> None:
        """Drops the temporary tables that are left."""
        query = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'temp'"
        for (name,) in self.execute(query):
            self.execute(f"DROP TABLE temp.{sql.identifier(name)}")

    def set_timeout(self, seconds: float | None) -> None:
        """Nothing: no server can stop answering."""

    def close(self) -> None:
        """Closes it; a transaction that is open is rolled back."""
        self.unlock_writers()
        self._session.close()


def connect(
    file: str, *, read_only: bool = False, wait: float = WAIT, pause: Callable[[float], None] = time.sleep
) -> DuckdbConnection:
    """A connection to ``file``, which is created where it is missing, unless ``read_only``.

    Waits ``wait`` seconds for another process that has the file open. Raises ConnectionFailedError.
    """
    path = Path(file)
    if read_only and not path.is_file():
        raise ConnectionFailedError(f"There is no DuckDB file {file}. `prepare` creates it.")
    if not path.parent.is_dir():
        raise ConnectionFailedError(f"The DuckDB file {file} cannot be created: there is no folder {path.parent}.")
    duckdb = _driver()
    seconds = _PAUSE_TO_READ if read_only else _PAUSE_TO_WRITE
    tries = max(1, round(wait / seconds))
    for attempt in range(tries):
        try:
            session = duckdb.connect(str(path), read_only=read_only)
            break
        except duckdb.IOException as error:
            is_locked = "lock" in str(error).lower()
            if is_locked and attempt + 1 < tries:
                pause(seconds)
                continue
            raise ConnectionFailedError(_problem(file, str(error), wait, is_locked=is_locked)) from error
        except duckdb.Error as error:
            raise ConnectionFailedError(_problem(file, str(error), wait, is_locked=False)) from error
    for setting in _SETTINGS:
        session.execute(setting)
    return DuckdbConnection(path, session)


def is_refusal(error: Exception) -> bool:
    """Whether ``error`` is one of DuckDB's own."""
    return type(error).__module__.partition(".")[0] in ("duckdb", "_duckdb")


def refused(error: Exception) -> DatabaseError:
    """An error of DuckDB in the form of pg8000's, without values of rows."""
    kind = type(error).__name__
    said = str(error).split("\n")[0]
    if kind in _OF_VALUES:
        said = re.sub(r"'[^']*'|\"[^\"]*\"", '"..."', said)
    return DatabaseError({"M": said, "C": _UNDEFINED.get(kind, "")})


def _problem(file: str, said: str, wait: float, *, is_locked: bool) -> str:
    if is_locked:
        return (
            f"Another process has the DuckDB file {file} open, and had it for {wait:.0f} s. One process writes to it, "
            "and no other reads it meanwhile: close the program that has it open (a notebook, `duckdb` on a terminal), "
            "or read a copy of the file."
        )
    return f"The DuckDB file {file} cannot be opened: {said.splitlines()[0]}."


def _driver() -> Any:
    """The package ``duckdb``, from the folder that the environment names where the interpreter has none."""
    try:
        return importlib.import_module(_DRIVER)
    except ImportError:
        folder = os.environ.get(DRIVER_VARIABLE)
        if not folder:
            raise ConnectionFailedError(
                "The warehouse is a DuckDB file, and the package duckdb is not installed here. Install it: "
                'pip install "lambda-script[duckdb]"'
            ) from None
    sys.path.append(folder)  # last: nothing else of that folder comes before the function's own packages
    try:
        return importlib.import_module(_DRIVER)
    except ImportError as error:
        raise ConnectionFailedError(f"The package duckdb in {folder} cannot be imported: {error}.") from error
    finally:
        sys.path.remove(folder)


def _parts(table: str) -> tuple[str, str]:
    """Schema and name of a quoted table."""
    schema, name = re.fullmatch(r'"((?:[^"]|"")+)"\."((?:[^"]|"")+)"', table).groups()  # type: ignore[union-attr]
    return schema.replace('""', '"'), name.replace('""', '"')


def _value(name: str, given: pa.DataType, wanted: str) -> sql.Fragment:
    """A column of Arrow as a value of the type of DuckDB ``wanted``."""
    column = sql.identifier(name)
    if wanted == BLOB and str(given) == "string":  # as PostgreSQL writes it: \\x and hexadecimal digits
        return sql.compose("unhex(substr($column, 3))", column=column)
    if wanted == TEXT and str(given) == "string":
        return column
    return sql.compose("CAST($column AS $type)", column=column, type=sql.Fragment(wanted))
