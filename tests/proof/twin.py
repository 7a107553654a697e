"""A second warehouse, in a DuckDB file: what a history leaves there is compared with PostgreSQL, row for row."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.lambdas.load.compare import compare
from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.rebuild import rebuild
from lambda_toolkit.pipeline.lambdas.load.warehouse.duckdb import DuckdbWarehouse
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import DuckdbConnection, connect
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.lambdas.shared.postgres_text import float_text, real_text
from lambda_toolkit.pipeline.warehouse.duckdb_preparation import prepare
from lambda_toolkit.pipeline.warehouse.views import view_names
from tests.proof.crashes import IN_TRANSACTION, CrashCounter, CrashError, ReadingClient
from tests.proof.databases import BESIDE
from tests.proof.steps import Crash

_WRITTEN: dict[str, Callable[[Any], str]] = {  # of types whose texts are not PostgreSQL's: as PostgreSQL writes them
    "FLOAT": real_text,
    "DOUBLE": float_text,
    "BLOB": lambda value: f"\\x{value.hex()}",
}
_CONTROL = {
    "ledger": ("batch", "source_manifest", "extracted_at"),
    "version_range": ("table_name", "first_record", "last_record", "batch"),
    "deletion": ("table_name", "key", "batch", "undeleted_batch"),
    "pending_row": ("table_name", "key", "batch", "deleted_batch"),
    "rejected_value": ("table_name", "key", "batch", "column_name", "value", "reason"),
    "revision": ("batch", "revision"),
}


class CrashingFile(DuckdbConnection):
    """A connection whose statements are counted. When it dies the file is closed, without a COMMIT."""

    countdown: CrashCounter | None = None
    _transaction_status = b"I"

    def execute(self, text: str, parameters: dict[str, Any] | None = None) -> Any:
        act = lambda: super(CrashingFile, self).execute(text, parameters)  # noqa: E731
        try:
            done = act() if self.countdown is None else self.countdown.effect(act)
        except CrashError:
            self.close()
            raise
        begins, ends = text.lstrip().startswith("BEGIN"), text.startswith(("COMMIT", "ROLLBACK"))
        self._transaction_status = IN_TRANSACTION if begins else b"I" if ends else self._transaction_status
        return done


class Twin:
    """The warehouse in a file: each history begins with a copy of one that is prepared."""

    def __init__(self, directory: Path, schema: str, declarations: Declarations) -> None:
        self._template, self._file = directory / "template.duckdb", directory / "warehouse.duckdb"
        self._declarations = declarations
        connection = connect(str(self._template))
        for place in (LIVE, BESIDE):
            prepare(connection, schema, declarations, place)
        connection.close()

    def reset(self) -> None:
        """Nothing is loaded."""
        for left in self._file.parent.glob(f"{self._file.name}*"):
            left.unlink()
        shutil.copyfile(self._template, self._file)

    def load(self, client: Any, bucket: str, crash: Crash | None) -> bool:
        """A run of load; whether it died."""
        connection = self._open()
        connection.countdown = CrashCounter(crash, sql=True)
        lake = Lake(ReadingClient(client, CrashCounter(crash, sql=False), connection), bucket)
        try:
            loaded = load(DuckdbWarehouse(connection), lake, self._declarations)
        except CrashError:
            return True
        finally:
            connection.close()
        assert not loaded.busy
        return False

    def rebuild(self, client: Any, bucket: str) -> None:
        """Fills the warehouse beside the live one in the same file, and compares the two."""
        connection = self._open()
        try:
            lake = Lake(client, bucket)
            rebuilt = rebuild(DuckdbWarehouse(connection, BESIDE), lake, self._declarations, lambda: True)
            assert rebuilt.done or rebuilt.missing_batch is not None
            found = compare(connection, self._declarations, LIVE, BESIDE)
            assert found.equal, f"the rebuilt warehouse in the file is another: {found}"
        finally:
            connection.close()

    def compare(self, warehouse: Connection) -> int:
        """Raises AssertionError where the file has other rows than ``warehouse``; returns how many rows are equal."""
        connection, rows = connect(str(self._file), read_only=True), 0
        try:
            for table in self._declarations.warehouse.values():
                for name in (table.name, *view_names(table)):
                    rows += _same(warehouse, connection, "public", name)
            for name, columns in _CONTROL.items():
                rows += _same(warehouse, connection, "pipeline", name, columns)
            query = "SELECT batch, rows_written::text FROM pipeline.ledger ORDER BY 1"
            written = [[(batch, json.loads(text)) for batch, text in of.rows(query)] for of in (warehouse, connection)]
            assert written[0] == written[1], "the ledgers have other numbers of rows"
        finally:
            connection.close()
        return rows

    def _open(self) -> CrashingFile:
        connection = connect(str(self._file))
        connection.__class__ = CrashingFile
        return connection  # type: ignore[return-value]


def _same(warehouse: Connection, file: DuckdbConnection, schema: str, name: str, columns: tuple[str, ...] = ()) -> int:
    types = file.column_types(f'"{schema}"."{name}"')
    chosen = columns or tuple(types)
    texts = ", ".join(f'"{column}"::text' for column in chosen)
    expected = warehouse.rows(f'SELECT {texts} FROM "{schema}"."{name}"')
    values = ", ".join(f'"{c}"' if types[c] in _WRITTEN else f'"{c}"::text' for c in chosen)
    found = file.run(f'SELECT {values} FROM "{schema}"."{name}"')
    written = [_WRITTEN.get(types[column], str) for column in chosen]
    shown = [[None if value is None else of(value) for of, value in zip(written, row, strict=True)] for row in found]
    one, other = sorted(expected, key=repr), sorted(shown, key=repr)
    if one != other:
        only = [
            [dict(zip(chosen, row, strict=True)) for row in a if row not in b][:3]
            for a, b in ((one, other), (other, one))
        ]
        raise AssertionError(f"{name}: PostgreSQL alone has {only[0]}, and the file alone {only[1]}")
    return len(one)
