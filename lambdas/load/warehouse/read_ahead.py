"""What the transaction of a batch needs of the lake, read before the transaction begins.

PostgreSQL ends a session that is idle in a transaction (``idle_in_transaction_session_timeout``), and what a
transaction has locked stays locked while it waits for S3. The files of the batch are known. Whose history is needed
shows only in the transaction: then it is rolled back, the history is read, and it is tried again.
"""

from __future__ import annotations

import itertools
import struct
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.errors import WarehouseError
from ...shared.lake.manifest import DataFile, ProcessedManifest, processed_manifest
from ...shared.lake.object_keys import manifest_key
from ...shared.lake.parquet import batches, spool
from ...shared.lake.store import Lake
from ...shared.model.declarations import WarehouseTable
from ...shared.postgres_text import key_texts, postgres_text

T = TypeVar("T")

AHEAD = 128 * 1024 * 1024  # bytes of a batch's files read ahead; /tmp also needs room for the largest one
THREADS = 16  # manifests and small files read concurrently
SMALL = 20_000  # rows of a file that is read concurrently; a larger one is streamed alone
_MOST_ATTEMPTS = 100  # each reads something that the one before lacked
_LENGTH = struct.Struct("!Q")


@dataclass(frozen=True)
class NeededHistory:
    """The rows and deletions of some keys that a transaction needs, of the batches ``first`` to ``last``."""

    table: WarehouseTable
    keys: tuple[str, ...]
    """As one text each, sorted."""
    first: int
    last: int
    batches: tuple[int, ...]
    """Those from ``first`` to ``last`` that have files of the table in the revision that was loaded, by the ledger."""


class MissingHistoryError(Exception):
    """A transaction needs history that was not read before it began: ``ReadAhead.attempt`` reads it and repeats."""

    def __init__(self, needed: Iterable[NeededHistory]) -> None:
        super().__init__("a transaction needs history that was not read before it began")
        self.needed = tuple(needed)


class ReadAhead:
    """The files of one batch and the history that its transaction needs, in temporary files, as a context manager."""

    def __init__(self, lake: Lake, files: Iterable[str]) -> None:
        """Downloads the objects ``files``, up to AHEAD bytes; the rest is streamed from the lake when it is used."""
        self._lake = lake
        self._files: dict[str, IO[bytes]] = {}
        self._history: dict[tuple[str, int, int, tuple[str, ...]], _History] = {}
        size = 0
        for key in files:
            if size >= AHEAD:
                break
            self._files[key] = file = tempfile.TemporaryFile()  # noqa: SIM115  # closed with all others
            self._lake.download(key, file)
            size += file.tell()

    def iter_tables(self, key: str, columns: Collection[str] | None = None) -> Iterator[pa.Table]:
        """The rows of the Parquet object ``key``, in order, in pieces. Raises LakeError if it is missing.

        ``columns``: those to read; None: all.
        """
        chosen = None if columns is None else list(columns)
        file = self._files.get(key)
        if file is None:
            return self._lake.iter_tables(key, chosen)
        file.seek(0)
        return batches(file, chosen)

    def iter_files(self, files: Iterable[DataFile], columns: Collection[str] | None = None) -> Iterator[pa.Table]:
        """The rows of all ``files``, one after the other, as ``iter_tables`` has those of one."""
        for file in files:
            yield from self.iter_tables(file.key, columns)

    def attempt(self, transaction: Callable[[], T]) -> T:
        """What ``transaction`` returns, repeated after each MissingHistoryError, once the history is read.

        Raises WarehouseError where that does not end: then another session writes to the warehouse.
        """
        for _ in range(_MOST_ATTEMPTS):
            try:
                return transaction()
            except MissingHistoryError as missing:
                for needed in missing.needed:
                    self._read(needed)
        raise WarehouseError(
            f"The pending rows changed {_MOST_ATTEMPTS} times while their history was read from the lake: another "
            "program writes to the control tables. Nothing was written; the next run tries again."
        )

    def history(self, needed: NeededHistory) -> _History:
        """The history that was read. Raises MissingHistoryError unless it is that of exactly these keys and batches."""
        found = self._history.get(_identity(needed))
        if found is None:
            raise MissingHistoryError([needed])
        return found

    def _read(self, needed: NeededHistory) -> None:
        """Reads the newest revisions of the batches that have files of the table, and keeps the rows of the keys.

        Requests: one for the list of revisions; and for each such batch one for its manifest, one for its rows, and one
        for its deletions where it has any. A batch that has a second revision counts, whatever the ledger says.
        """
        table, wanted = needed.table, pa.array(needed.keys, pa.string())
        revised = self._lake.newest_revisions(needed.first - 1)
        numbers = sorted({*needed.batches, *(batch for batch in revised if batch <= needed.last)})
        manifests = [found for found in self._manifests(numbers, revised) if table.name in found.tables]
        rows = [(m.batch, file.key, file.rows) for m in manifests for file in m.tables[table.name].data_files]
        deletions = [(m.batch, file.key, file.rows) for m in manifests for file in m.tables[table.name].deleted_files]
        history = self._history[_identity(needed)] = _History()
        for files, pieces in ((rows, history.rows), (deletions, history.deletions)):
            for batch, found in _rows_of(self._lake, files, table, wanted):
                pieces.add(batch, found)

    def _manifests(self, numbers: Iterable[int], revised: dict[int, str]) -> Iterator[ProcessedManifest]:
        """The manifests of these batches in order, each in its newest revision."""

        def read(batch: int) -> ProcessedManifest:
            key = revised.get(batch) or manifest_key(batch)
            return processed_manifest(self._lake.get(key), key)

        with ThreadPoolExecutor(THREADS) as pool:
            for some in _groups(numbers):
                yield from pool.map(read, some)

    def __enter__(self) -> Self:
        """The object itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Deletes the temporary files."""
        for file in self._files.values():
            file.close()
        for history in self._history.values():
            history.rows.close()
            history.deletions.close()


class _Pieces:
    """Arrow tables in a temporary file, each with its batch."""

    def __init__(self) -> None:
        self._file = spool()
        self.close = self._file.close

    def add(self, batch: int, rows: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows)
        content = sink.getvalue()
        self._file.write(_LENGTH.pack(batch) + _LENGTH.pack(content.size))
        self._file.write(content)

    def __iter__(self) -> Iterator[tuple[int, pa.Table]]:
        self._file.seek(0)
        while head := self._file.read(2 * _LENGTH.size):
            (batch,), (size,) = _LENGTH.unpack_from(head), _LENGTH.unpack_from(head, _LENGTH.size)
            yield batch, pa.ipc.open_stream(self._file.read(size)).read_all()


class _History:
    """Batch and rows, in the order of the batches; of deletions, only the key is read."""

    def __init__(self) -> None:
        self.rows, self.deletions = _Pieces(), _Pieces()


def _identity(needed: NeededHistory) -> tuple[str, int, int, tuple[str, ...]]:
    return needed.table.name, needed.first, needed.last, needed.keys


def _rows_of(
    lake: Lake, files: Iterable[tuple[int, str, int]], table: WarehouseTable, wanted: pa.Array
) -> Iterator[tuple[int, pa.Table]]:
    """The rows of the files whose key is in ``wanted``, each piece with its batch.

    ``files``: batch, object key and number of rows of each. ``wanted``: keys as PostgreSQL writes them.
    """
    types = [table.types[key].type if key in table.types else "" for key in table.keys]

    def chosen(name: str) -> Iterator[pa.Table]:
        for part in lake.iter_tables(name):
            columns = [postgres_text(part[key], kind) for key, kind in zip(table.keys, types, strict=True)]
            found = part.filter(pc.is_in(key_texts(columns), value_set=wanted))
            if found.num_rows:
                yield found

    with ThreadPoolExecutor(THREADS) as pool:
        for large, group in itertools.groupby(files, key=lambda file: file[2] > SMALL):
            if large:
                yield from ((batch, part) for batch, name, _ in group for part in chosen(name))
                continue
            for some in _groups(group):
                parts = pool.map(lambda file: list(chosen(file[1])), some)
                yield from ((file[0], part) for file, found in zip(some, parts, strict=True) for part in found)


def _groups(values: Iterable[T]) -> Iterator[tuple[T, ...]]:
    """The values in tuples of at most THREADS: what is read concurrently stays bounded."""
    iterator = iter(values)
    while group := tuple(itertools.islice(iterator, THREADS)):
        yield group
