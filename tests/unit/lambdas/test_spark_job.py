"""The job that Glue starts: its arguments, its batches one after the other, and what it leaves in the bucket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import LakeError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import to_json
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key, revision_key
from lambda_toolkit.pipeline.lambdas.transform import spark
from tests.support.written_batch import DOCUMENT, WrittenBatch, sales_and_shops

ASKED = ("--ingestion", "ingestion", "--processed", "processed", "--tables", "job/tables.json")


class Session:
    """A SparkSession whose tasks run here, two parts in each, the last task first."""

    def range(self, first: int, end: int, step: int, partitions: int) -> Session:
        assert (first, step, partitions) == (0, 1, end)
        self._numbers = list(range(end))
        return self

    def mapInArrow(self, task: Callable[[Any], Iterator[pa.RecordBatch]], schema: str) -> Session:  # noqa: N802
        assert schema == spark.RESULT
        self._task = task
        return self

    def collect(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for at in reversed(range(0, len(self._numbers), 2)):
            given = pa.RecordBatch.from_pydict({"id": pa.array(self._numbers[at : at + 2], pa.int64())})
            for found in self._task(iter([given])):
                assert [str(field.type) for field in found.schema] == ["int64", "string", "string"]
                rows += found.to_pylist()
        return rows


@pytest.fixture
def batch(monkeypatch: pytest.MonkeyPatch) -> WrittenBatch:
    """Batches 4 and 5, the tables in the processed bucket, and boto3 that finds both buckets."""
    found = WrittenBatch()
    sales_and_shops(found)
    found.commit()
    second = replace(found.manifest, batch=5, extracted_at="2024-03-02T00:00:00+00:00")
    found.ingestion.put_if_absent(manifest_key(5), to_json(second))
    condition = found.declarations.warehouse["fact_sale"].where
    assert condition is not None
    warehouse = DOCUMENT["warehouse"]
    packaged = {**warehouse, "fact_sale": {**warehouse["fact_sale"], "where": condition.to_json()}}
    tables = {"format": 1, "part_rows": 3, **DOCUMENT, "warehouse": packaged}
    found.processed.put_if_absent("job/tables.json", json.dumps(tables).encode())
    monkeypatch.setattr(spark, "client", lambda service: {"s3": found.ingestion._client}[service])
    return found


def test_job_transforms_batches_in_the_order_asked(batch: WrittenBatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Arguments of others are ignored, as Glue adds its own. Without receipts, none is stored."""
    done = spark.main(Session(), [*ASKED, "--batches", "5,4", "--JOB_NAME", "nightly"])
    assert [(one.manifest.batch, one.manifest.tables["fact_sale"].rows, one.created) for one in done] == [
        *((5, 5, True), (4, 5, True)),
    ]
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said == [{"batch": number, "revision": 1, "created": True} for number in (5, 4)]
    assert {key.key.split("/")[0] for key in batch.processed.listing("")} == {
        *("data", "deleted", "rejected", "manifests", "job"),
    }


def test_job_transforms_again_what_it_is_asked_to(batch: WrittenBatch) -> None:
    """A receipt says of each batch what became of it; without ``yes`` a batch that is there stays."""
    spark.main(Session(), [*ASKED, "--batches", "4", "--receipts", "receipts/1/"])
    first = batch.processed.get(manifest_key(4))
    manifest = json.loads(first)
    del manifest["tables"]["dim_day"]
    batch.processed._client.put_object(Bucket="processed", Key=manifest_key(4), Body=json.dumps(manifest).encode())
    for again, revision, created in (("no", 1, False), ("yes", 2, True), ("yes", 2, False)):
        receipts = f"receipts/{again}-{created}/"
        spark.main(Session(), [*ASKED, "--batches", "4", "--again", again, "--receipts", receipts])
        receipt = json.loads(batch.processed.get(f"{receipts}4.json"))
        assert receipt == {"batch": 4, "revision": revision, "created": created}
    assert json.loads(batch.processed.get("receipts/1/4.json"))["created"] is True
    assert json.loads(batch.processed.get(revision_key(4, 2)))["tables"] == json.loads(first)["tables"]


def test_batches_before_one_that_fails_stay(batch: WrittenBatch) -> None:
    with pytest.raises(LakeError, match=r"batch-000000000009.json does not exist"):
        spark.main(Session(), [*ASKED, "--batches", "4,9,5"])
    assert batch.processed.exists(manifest_key(4)) and not batch.processed.exists(manifest_key(5))


@pytest.mark.parametrize("name", ["--ingestion", "--processed", "--tables", "--batches"])
def test_job_without_a_needed_argument_is_refused(
    batch: WrittenBatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    arguments = [*ASKED, "--batches", "4"]
    at = arguments.index(name)
    with pytest.raises(SystemExit):
        spark.main(Session(), arguments[:at] + arguments[at + 2 :])
    assert f"the following arguments are required: {name}" in capsys.readouterr().err
