"""The timeline of batches: when each was extracted, transformed and loaded, what it has, and how long that took.

A batch's manifests say what it has, and never change: they are read once. The ledger says when it was loaded. The
command ``batches`` and the dashboard show the same document.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client.lake import batches_after, last_batch, manifest
from lambda_toolkit.pipeline.client.observing import latency
from lambda_toolkit.pipeline.client.observing.latency import Latency
from lambda_toolkit.pipeline.client.warehouses import ledger
from lambda_toolkit.pipeline.client.warehouses.ledger import LoadedBatch
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws
    from lambda_toolkit.pipeline.client.warehouses.reader import ReadsWarehouse
    from lambda_toolkit.pipeline.config.model import Pipeline

FORMAT = 1
SHOWN = 20  # batches
_THREADS = 8  # that read manifests
FULL = "full"


@dataclass(frozen=True)
class Stored:
    """A batch in one of the buckets."""

    written: datetime
    """When S3 stored its manifest, to the second."""
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class Batch:
    """One batch, as far as it has come."""

    number: int
    extracted: Stored
    transformed: Stored | None = None
    """Its first revision."""
    loaded: LoadedBatch | None = None
    before: datetime | None = None
    """When the batch before it was extracted; None where there is none."""

    @property
    def state(self) -> str:
        """``loaded``, ``transformed`` or ``extracted``: what was done last."""
        return "loaded" if self.loaded else "transformed" if self.transformed else "extracted"

    @property
    def extracted_at(self) -> datetime:
        """The time of its snapshot."""
        return datetime.fromisoformat(self.extracted.manifest["extracted_at"])

    @property
    def latency(self) -> Latency | None:
        """From commit to commit; None where it is not loaded, or has every row, however old."""
        found = self.extracted.manifest
        before = None if found["mode"] == FULL or any(t["backfill"] for t in found["tables"].values()) else self.before
        return latency.of_batch(found.get("commits"), before, self.loaded.loaded_at if self.loaded else None)

    def to_json(self) -> dict[str, Any]:
        """The batch as JSON values: see ``docs/storage.md``."""
        found, processed, loaded = self.extracted.manifest, self.transformed, self.loaded
        tables = {
            name: {"rows": _changed_rows(files), "deleted": _rows(files["deleted"])}
            for name, files in found["tables"].items()
            if files["changes"] or files["deleted"]
        }
        written = {name: count for name, count in (loaded.written if loaded else {}).items() if count}
        rejected = processed.manifest.get("rejected") or {} if processed else {}
        commits = found.get("commits")
        return {
            "batch": self.number,
            "mode": found["mode"],
            "state": self.state,
            "extracted_at": iso(self.extracted_at),
            "transformed_at": iso(processed.written) if processed else None,
            "loaded_at": iso(loaded.loaded_at) if loaded else None,
            "revision": loaded.revision if loaded else 1,
            "rows": sum(table["rows"] for table in tables.values()),
            "deleted": sum(table["deleted"] for table in tables.values()),
            "versions": sum(written.values()),
            "rejected": sum(file["source_rows"] for file in rejected.values()),
            "still_rejected": loaded.rejected if loaded else 0,
            "still_waiting": loaded.pending if loaded else 0,
            "tables": tables,
            "written": written,
            "seconds": self._seconds(),
            "commits": {
                "transactions": commits["transactions"],
                "first": iso(datetime.fromisoformat(commits["times"][0])),
                "last": iso(datetime.fromisoformat(commits["times"][-1])),
            }
            if commits
            else None,
            "latency": self.latency.to_json() if self.latency else None,
        }

    def _seconds(self) -> dict[str, float | None]:
        """How long each step took, the time in which it waited for its start included. S3's times are whole seconds."""
        steps = [self.extracted_at, self.extracted.written]
        steps += [self.transformed.written] if self.transformed else []
        steps += [self.loaded.loaded_at] if self.transformed and self.loaded else []
        found = [_between(*pair) for pair in pairwise(steps)]
        extract, transform, load = (*found, None, None)[:3]
        total = _between(self.extracted_at, self.loaded.loaded_at) if self.loaded else None
        return {"extract": extract, "transform": transform, "load": load, "total": total}


@dataclass(frozen=True)
class Timeline:
    """The last batches, the newest first."""

    batches: tuple[Batch, ...] = ()
    problem: str | None = None
    """Why the warehouse could not be read: it is not known then which of them are loaded."""

    def to_json(self, pipeline: Pipeline, now: datetime) -> dict[str, Any]:
        """The document of ``batches``."""
        together = latency.of_batches(batch.latency for batch in self.batches)
        return {
            "format": FORMAT,
            "pipeline": pipeline.name,
            "stage": pipeline.stage,
            "at": iso(now),
            "problem": self.problem,
            "latency": together.to_json() if together else None,
            "batches": [batch.to_json() for batch in self.batches],
        }


@dataclass
class TimelineReader:
    """Reads timelines of one pipeline. What never changes is read once: give it a long life where it is asked often."""

    aws: Aws
    pipeline: Pipeline
    warehouse: ReadsWarehouse
    _manifests: dict[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)

    def read(self, count: int = SHOWN) -> Timeline:
        """The last ``count`` batches. Raises AwsError."""
        ingestion = self.pipeline.bucket_name("ingestion", self.aws.account_id)
        last = last_batch(self.aws, ingestion) or 0
        return self._read(max(last - count, 0), last)

    def one(self, number: int) -> Timeline:
        """The batch ``number``; no batch where there is none. Raises AwsError."""
        return self._read(number - 1, number)

    def _read(self, after: int, last: int) -> Timeline:
        """The batches after ``after``, up to ``last``."""
        from lambda_toolkit.aws.parallel import readers

        ingestion, processed = (
            self.pipeline.bucket_name(name, self.aws.account_id) for name in ("ingestion", "processed")
        )
        problem, entries = None, {}
        with readers(_THREADS) as pool:
            loaded = pool.submit(ledger.loaded, self.warehouse, after + 1, last)
            extracted = self._stored(pool, ingestion, max(after - 1, 0), last)
            transformed = self._stored(pool, processed, after, last)
            try:
                entries = loaded.result()
            except PipelineError as error:
                problem = str(error)
        times = {number: datetime.fromisoformat(of.manifest["extracted_at"]) for number, of in extracted.items()}
        made = (
            Batch(number, extracted[number], transformed.get(number), entries.get(number), times.get(number - 1))
            for number in sorted(extracted, reverse=True)
            if number > after
        )
        return Timeline(tuple(made), problem)

    def _stored(self, pool: Executor, bucket: str, after: int, last: int) -> dict[int, Stored]:
        """The batches after ``after``, up to ``last``, by number."""
        listed = batches_after(self.aws, bucket, after, last)
        manifests = pool.map(lambda found: self._manifest(bucket, found.number), listed)
        return {found.number: Stored(found.written, of) for found, of in zip(listed, manifests, strict=True)}

    def _manifest(self, bucket: str, number: int) -> Mapping[str, Any]:
        known = self._manifests.get((bucket, number))
        if known is None:
            known = self._manifests[bucket, number] = manifest(self.aws, bucket, number)
        return known


def iso(time: datetime) -> str:
    """ISO 8601, UTC, to the millisecond: ``2026-01-02T03:04:05.678Z``."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _between(start: datetime, end: datetime) -> float:
    return round(max((end - start).total_seconds(), 0.0), 3)


def _changed_rows(files: Mapping[str, Any]) -> int:
    return sum(map(_rows, (files["changes"], *files.get("more_changes", ()))))


def _rows(file: Mapping[str, Any] | None) -> int:
    return int(file["rows"]) if file else 0
