"""A warehouse that notes what load asks of it, in order, and answers what a test says; and a lake of few rows."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pyarrow as pa

from lambda_toolkit.pipeline.lambdas.load.warehouse.interface import FirstRows, LedgerEntry, Staging
from lambda_toolkit.pipeline.lambdas.load.warehouse.read_ahead import ReadAhead
from lambda_toolkit.pipeline.lambdas.shared.errors import NotPreparedError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import DataFile, ProcessedManifest, ProcessedTable, to_json
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import batch_folder, revision_key
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import CALENDAR, Declarations, WarehouseTable
from tests.support.sample_star import DECLARED
from tests.support.written_lake import BEGINNING, WrittenLake

Rows = Iterable[pa.Table]
PRODUCT, ORDER = "dim_product", "fact_order"
DATE = dataclasses.replace(DECLARED.warehouse[PRODUCT], name="dim_date", kind=CALENDAR)
DECLARATIONS = dataclasses.replace(DECLARED, warehouse={"dim_date": DATE, **DECLARED.warehouse})
PRODUCTS, ORDERS = DECLARATIONS.warehouse[PRODUCT], DECLARATIONS.warehouse[ORDER]


class ListedLake(WrittenLake):
    """A lake whose files have one column, ``id``."""

    def files(self, table: str, *parts: list[int], folder: str = "x") -> tuple[DataFile, ...]:
        """Files with these rows."""
        return tuple(
            DataFile(self._store(f"{batch_folder(table, 1)}{folder}{n}", pa.table({"id": part})), len(part))
            for n, part in enumerate(parts)
        )

    def of(self, name: str, *parts: list[int], deleted: list[int] | None = None) -> ProcessedTable:
        """What a batch has of a table: its rows in as many files, the keys that it deletes, and unfit ones."""
        rows = self.files(name, *parts)
        removed = self.files(name, deleted, folder="deleted")[0] if deleted else None
        return ProcessedTable(sum(file.rows for file in rows), rows[0].key if rows else None, removed, more=rows[1:])

    def batch(self, number: int, revision: int = 1, **tables: ProcessedTable) -> ProcessedManifest:
        """Writes the manifest of a batch's revision."""
        at = (BEGINNING + timedelta(minutes=number)).isoformat()
        manifest = ProcessedManifest(number, f"m{number}", at, tables, revision=revision)
        assert self.put_if_absent(revision_key(number, revision), to_json(manifest))
        return manifest


def loaded(number: int) -> LedgerEntry:
    """What the ledger has once that batch is loaded."""
    return LedgerEntry(number, (BEGINNING + timedelta(minutes=number)).isoformat(), "2026-02-01T00:00:00Z")


def some_times(count: int) -> Callable[[], bool]:
    """Whether there is time: as often as ``count``."""
    answers = iter([True] * count)
    return lambda: next(answers, False)


def ids(rows: Rows) -> list[Any]:
    """What the first column of ``rows`` has."""
    return [value for part in rows for value in part.column(0).to_pylist()]


@dataclass
class RecordedWarehouse:
    """A Warehouse, and the WarehouseBatch of each of its transactions."""

    last: LedgerEntry = field(default_factory=LedgerEntry)
    is_prepared: bool = True
    is_busy: bool = False
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    answers: dict[tuple[str, str], Any] = field(default_factory=lambda: defaultdict(int))
    """By the name of the method and of the table; of a list the next one, which is raised where it is an error."""
    ways: dict[str, str] = field(default_factory=dict)
    revisions: dict[int, int] = field(default_factory=dict)

    def of(self, method: str) -> list[tuple[Any, ...]]:
        """The calls of a method, without its name."""
        return [call[1:] for call in self.calls if call[0] == method]

    def _note(self, method: str, table: WarehouseTable | str, *more: Any) -> Any:
        name = table if isinstance(table, str) else table.name
        self.calls.append((method, name, *more) if name else (method, *more))
        answer = self.answers[method, name]
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else 0
        if isinstance(answer, Exception):
            raise answer
        return answer

    # The warehouse.

    def check_prepared(self) -> None:
        if not self.is_prepared:
            raise NotPreparedError("not prepared")

    def acquire_lock(self) -> bool:
        return not self.is_busy

    def last_loaded(self) -> LedgerEntry:
        return self.last

    def applied_revisions(self) -> Mapping[int, int]:
        return self.revisions

    def differences(self, declarations: Declarations) -> list[str]:
        return []

    def discard_leftovers(self) -> None:
        self.calls.append(("discard_leftovers",))

    @contextmanager
    def beside(self, firsts: Iterable[FirstRows]) -> Iterator[Mapping[str, str]]:
        self.calls.append(("beside", *((first.table.name, first.rows, ids(first.read(["id"]))) for first in firsts)))
        yield self.ways

    @contextmanager
    def begin(
        self,
        manifest: ProcessedManifest,
        last_loaded: int,
        reads: ReadAhead,
        tries_rows_of: frozenset[str] = frozenset(),
    ) -> Iterator[RecordedWarehouse]:
        self.calls.append(("begin", manifest.batch, last_loaded, *sorted(tries_rows_of)))
        before = self.last
        try:
            yield self
        except BaseException:
            self.last = before
            self.calls.append(("rollback",))
            raise
        self.calls.append(("commit",))

    # Its transaction.

    def fill(self, table: WarehouseTable, read: Callable[[Sequence[str]], Rows], rows: int) -> int | None:
        answer = self._note("fill", table, rows, ids(read(["id"])))
        return answer or None

    def stage(self, table: WarehouseTable, rows: Rows) -> Staging:
        self._note("stage", table, ids(rows))
        return Staging(f"staged {table.name}")

    def reject_refused(self, table: WarehouseTable, staging: Staging) -> int:
        return int(self._note("reject_refused", table, staging.name))

    def discard_refused(self) -> None:
        self._note("discard_refused", "")

    def drop_unchanged(self, table: WarehouseTable, staging: Staging) -> Staging:
        self._note("drop_unchanged", table, staging.name)
        return Staging(f"fresh {table.name}")

    def defer_unresolved(self, table: WarehouseTable, staging: Staging) -> int:
        return int(self._note("defer_unresolved", table, staging.name))

    def apply(self, table: WarehouseTable, staging: Staging) -> int:
        return int(self._note("apply", table, staging.name))

    def supersede(self, table: WarehouseTable, staging: Staging) -> None:
        self._note("supersede", table, staging.name)

    def delete(self, table: WarehouseTable, keys: Rows) -> None:
        self._note("delete", table, ids(keys))

    def discard_rejected(self, table: WarehouseTable, keys: Rows) -> None:
        self._note("discard_rejected", table, ids(keys))

    def write_resolved(self, table: WarehouseTable) -> int:
        return int(self._note("write_resolved", table))

    def count_pending(self, table: WarehouseTable) -> int:
        return int(self._note("count_pending", table))

    def stage_changed_keys(self, table: WarehouseTable, rows: Rows, deleted: Rows | None) -> Staging | None:
        answer = self._note("stage_changed_keys", table, ids(rows), None if deleted is None else ids(deleted))
        return Staging(f"changed {table.name}") if answer else None

    def rebuild_history(self, table: WarehouseTable, keys: Staging, from_batch: int) -> int:
        return int(self._note("rebuild_history", table, keys.name, from_batch))

    def record(self, manifest: ProcessedManifest, written: Mapping[str, int]) -> None:
        self._note("record", "", dict(written))
        self.last = LedgerEntry(manifest.batch, manifest.extracted_at, "2026-02-01T00:00:00Z")

    def record_revision(
        self, declarations: Declarations, manifest: ProcessedManifest, written: Mapping[str, int]
    ) -> None:
        self._note("record_revision", "", manifest.batch, manifest.revision, dict(written))
