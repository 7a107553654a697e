"""What a reader does: one range of one table, read in a snapshot that extract has exported, and stored."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from ...shared.errors import SourceError
from ...shared.lake.manifest import ingestion_manifest
from ...shared.lake.object_keys import manifest_key
from ...shared.lake.parquet import READ_ROWS, ParquetPart
from ...shared.lake.store import Lake
from ...shared.messages.read_events import ReadRequest, ReadResult, StoredPart
from ...shared.model.declarations import Declarations
from ..capture.change_file import ChangeFile
from ..limits import DEFAULT_LIMITS, Budget
from ..row_set import ALL, StoredBetween, WrittenSince, intersection
from ..source.interface import Source
from ..source.shared_snapshot import SnapshotRefusedError, Sums
from ..table_plan import CaptureRun, TablePlan


def read_range(source: Source, lake: Lake, declarations: Declarations, request: ReadRequest) -> ReadResult:
    """Reads the range that ``request`` names, and stores its files, which no batch has yet.

    The names of the files end in digests of their content: a range that is read twice, even at the same time, has the
    same files twice, and none is ever another than its reader has reported. Raises SourceError for a table that is not
    declared or that is compared by content.
    """
    try:
        with source.imported(request.snapshot) as snapshot:
            table = declarations.source.get(request.table)
            if table is None:
                raise SourceError(f"A range of the table {request.table} is asked for, which is not declared here.")
            before = None
            if request.batch > 1:
                key = manifest_key(request.batch - 1)
                before = ingestion_manifest(lake.get(key), key)
            info = snapshot.describe([table])[table.name]
            since = WrittenSince((before.source if before else snapshot.position()).snapshot_xmin)
            previous = before.tables.get(table.name) if before else None
            plan = TablePlan(table, info, previous, request.full, since)
            if plan.by_content or (previous is None and not request.full):
                raise SourceError(f"The table {request.table} cannot be read in ranges of its storage.")
            rows = intersection(ALL if request.full else since, StoredBetween(request.first, request.end))
            run = CaptureRun(snapshot, lake, Budget(DEFAULT_LIMITS), datetime.now(UTC), request.batch, request.run)
            with _RangeFile(run, plan, request.number) as file:
                snapshot.changed(info, rows, file.read_chunk)
                changes, in_flight = file.stored()
            snapshot.check(request.snapshot)
            return ReadResult(
                request.number,
                visible=request.snapshot.visible,
                rows=file.sums.rows,
                sums=file.sums.sums,
                changes=changes,
                in_flight=in_flight,
                transactions=tuple(run.transactions.ids),
                step=run.transactions.step,
            )
    except SnapshotRefusedError as error:
        return ReadResult(request.number, refused=str(error))


class _RangeFile(ChangeFile):
    """The changes of one range. Its row groups do not depend on how the rows arrived: the same rows, the same bytes."""

    def __init__(self, run: CaptureRun, plan: TablePlan, number: int) -> None:
        super().__init__(run, plan)
        self._prefix, self._number = run.prefix(plan.name), number
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self.sums = Sums(plan.info)

    def read_chunk(self, rows: pa.Table) -> None:
        """Adds what the source returned."""
        self.sums.add(rows)
        self.add(rows, keep_keys=False)

    def _write(self, rows: pa.Table) -> None:
        self._waiting.append(rows)
        self._rows += rows.num_rows
        while self._rows >= READ_ROWS:
            self._flush()

    def _flush(self) -> None:
        """Writes one row group."""
        rows = pa.concat_tables(self._waiting)
        self._part.write(rows.slice(0, READ_ROWS).combine_chunks())
        self._waiting = [rows.slice(READ_ROWS)]
        self._rows = self._waiting[0].num_rows

    def stored(self) -> tuple[StoredPart | None, StoredPart | None]:
        """Stores the changes, and (key, xmin) of the rows that will be reread."""
        if self._rows:
            self._flush()
        changes = self._stored(self._part, "changes")
        versions = self.in_flight()
        if versions is None or not versions.num_rows:
            return changes, None
        with ParquetPart(versions.schema) as part:
            part.write(versions.combine_chunks())
            return changes, self._stored(part, "rereads")

    def _stored(self, part: ParquetPart, kind: str) -> StoredPart | None:
        if not part.rows:
            return None
        digest = part.finish()
        key = f"{self._prefix}.{kind}_{self._number:05d}_{digest[:8]}.parquet"
        self._run.lake.upload(key, part.file)
        return StoredPart(key, part.rows, digest)
