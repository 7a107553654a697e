"""The parts of a batch transformed by Spark: one task for each, which stores its files and returns their names.

Spark moves no row: it starts tasks, starts them again where one is lost, and brings the results to the driver, which
writes the manifest. A task that runs twice, retried or by speculation, stores the same files. The session is given by
who has pyspark: nothing of it is imported here. For Spark 3.5 and 4.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..shared.errors import LakeError
from ..shared.lake.manifest import ingestion_manifest
from ..shared.lake.object_keys import manifest_key
from ..shared.lake.store import Lake
from ..shared.messages.part_events import PartRequest, PartResult
from ..shared.model import declarations
from ..shared.runtime import client
from .batch import Transformed, replay, transform
from .parts import PartTransform
from .workers import problem_of

RESULT = "number long, result string, arrow string"
"""The columns that a task returns, as Spark declares them."""

Lakes = Callable[[], tuple[Lake, Lake]]
"""Opens the ingestion and the processed bucket, in the driver and again in each task."""


@dataclass(frozen=True)
class Buckets:
    """The lakes by the names of their buckets, through boto3."""

    ingestion: str
    processed: str

    def __call__(self) -> tuple[Lake, Lake]:
        """As Lakes has it."""
        return Lake(client("s3"), self.ingestion), Lake(client("s3"), self.processed)


@dataclass(frozen=True)
class OnSpark:
    """The engine that has every part of a batch transformed by a task of ``session``, a SparkSession."""

    session: Any
    lakes: Lakes
    tables: str
    """The content of ``tables.json``."""
    report: Callable[[str], object] = print

    def __call__(self, parts: PartTransform) -> list[PartResult]:
        """As ``Engine`` has it. Raises LakeError where a task did not do its part, and what Spark raises."""
        requests = parts.parts
        task = functools.partial(run_tasks, [request.to_json() for request in requests], self.tables, self.lakes)
        frame = self.session.range(0, len(requests), 1, len(requests)).mapInArrow(task, RESULT)
        found: dict[int, PartResult] = {}
        for row in frame.collect():
            part, result = requests[row["number"]], PartResult.from_json(json.loads(row["result"]))
            why = problem_of(parts, part, result)
            if why is not None:
                raise LakeError(
                    f"Part {part.number} of {part.table}, batch {part.batch}, {why}. No manifest is written."
                )
            if row["arrow"] != pa.__version__:
                self.report(f"A task has pyarrow {row['arrow']}, and the driver {pa.__version__}: files may differ.")
            found[row["number"]] = result
        if len(found) != len(requests):
            raise LakeError(f"Spark returned {len(found)} of {len(requests)} parts. No manifest is written.")
        return [found[number] for number in range(len(requests))]


def run_tasks(
    requests: Sequence[dict[str, Any]], tables: str, lakes: Lakes, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """What ``mapInArrow`` calls in a task: transforms the parts whose numbers are in ``batches``."""
    for batch in batches:
        for number in batch.column(0).to_pylist():
            event = requests[number]
            request = PartRequest.from_json({key: value for key, value in event.items() if key != "action"})
            result = json.dumps(_result(request, tables, lakes).to_json())
            yield pa.RecordBatch.from_arrays(
                [pa.array([number], pa.int64()), pa.array([result]), pa.array([pa.__version__])],
                ["number", "result", "arrow"],
            )


def _result(request: PartRequest, tables: str, lakes: Lakes) -> PartResult:
    ingestion, processed = lakes()
    key = manifest_key(request.batch)
    source = ingestion_manifest(ingestion.get(key), key)
    return PartTransform(source, ingestion, processed, declared(tables)).result(request)


@functools.lru_cache(maxsize=1)
def declared(tables: str) -> declarations.Declarations:
    """The declarations in the content of ``tables.json``. Raises DeclarationError as ``declarations.load`` does."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / declarations.TABLES_FILE).write_text(tables, encoding="utf-8")
        return declarations.load(Path(folder))


def main(session: Any, arguments: Sequence[str]) -> list[Transformed]:
    """The job: transforms the batches that ``arguments`` name, one after the other, each with its manifest last.

    Raises what ``transform`` raises: the batches before it stay.
    """
    parser = argparse.ArgumentParser(description="Transforms batches of the lake by Spark.")
    parser.add_argument("--ingestion", required=True, help="the ingestion bucket")
    parser.add_argument("--processed", required=True, help="the processed bucket")
    parser.add_argument("--tables", required=True, help="the key of tables.json, in the processed bucket")
    parser.add_argument("--batches", required=True, help="numbers of batches, with commas")
    parser.add_argument("--again", default="no", help="yes: reprocess them, which writes revisions where they differ")
    parser.add_argument("--receipts", default="", help="begins the keys of a receipt for each batch")
    asked, _ = parser.parse_known_args(arguments)  # Glue adds arguments of its own
    lakes = Buckets(asked.ingestion, asked.processed)
    ingestion, processed = lakes()
    tables = processed.get(asked.tables).decode()
    engine = OnSpark(session, lakes, tables)
    act = replay if asked.again == "yes" else transform
    done = []
    for batch in map(int, asked.batches.split(",")):
        result = act(ingestion, processed, declared(tables), batch, engine=engine)
        said = json.dumps({"batch": batch, "revision": result.manifest.revision, "created": result.created})
        if asked.receipts:  # by which whoever started the job sees that a batch was reprocessed, also to the same
            processed.put_if_absent(f"{asked.receipts}{batch}.json", said.encode())
        print(said)
        done.append(result)
    return done
