"""The driver and the tasks of a Spark job, with a session that runs tasks here: results are checked, not believed.

``make spark`` has the same with Spark itself.
"""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import LakeError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import to_json
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.messages.part_events import PartResult
from lambda_toolkit.pipeline.lambdas.transform.batch import transform
from lambda_toolkit.pipeline.lambdas.transform.spark import RESULT, OnSpark
from tests.support.large_table import PART_ROWS
from tests.support.repository import configuration

TABLES = json.dumps({"format": 1, "part_rows": PART_ROWS, **configuration()})


class Session:
    """What the driver needs of a SparkSession. Each task runs twice; ``change`` is called with the rows of all."""

    def __init__(self, change=lambda rows: rows):
        self._change = change

    def range(self, first, end, step, partitions):
        assert (first, step, partitions) == (0, 1, end), "a task for each part"
        self._numbers = range(end)
        return self

    def mapInArrow(self, task, schema):  # noqa: N802 - Spark's name
        assert schema == RESULT
        self._task = task
        return self

    def collect(self):
        return self._change([self._run(number) for number in self._numbers])

    def _run(self, number):
        batch = pa.RecordBatch.from_pydict({"id": [number]})
        first, again = (next(iter(self._task([batch]))).to_pylist()[0] for _ in range(2))
        results = [PartResult.from_json(json.loads(row["result"])) for row in (first, again)]
        assert results[0] == results[1], "a task that is tried again does something else"
        return again


def wrong_count(rows):
    """The last task says that it read a row more."""
    result = json.loads(rows[-1]["result"])
    rows[-1]["result"] = json.dumps({**result, "read": result["read"] + 1})
    return rows


@pytest.fixture
def run(parted):
    """Has the batch transformed by a session; returns what becomes of it, the bucket, and what was reported."""

    def act(session):
        said = []
        engine = OnSpark(session, lambda: (parted.ingestion, parted.processed), TABLES, said.append)
        return transform(parted.ingestion, parted.processed, parted.declarations, 1, engine=engine), said

    return act


def test_batch_of_spark_is_that_of_transform_alone(run, parted):
    done, said = run(Session())
    client, name = parted.processed._client, "processed-alone"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    alone = transform(parted.ingestion, Lake(client, name), parted.declarations, 1)
    assert done.created and said == []
    assert parted.processed.get(manifest_key(1)) == to_json(alone.manifest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (wrong_count, "was read with"),
        (lambda rows: rows[:-1], r"returned \d+ of \d+ parts"),
        (lambda rows: [], "returned 0 of"),
    ],
    ids=["rows too many", "a part is missing", "nothing"],
)
def test_job_of_which_a_task_did_less_writes_no_manifest(run, parted, change, message):
    with pytest.raises(LakeError, match=message):
        run(Session(change))
    assert parted.processed.get_optional(manifest_key(1)) is None


def test_other_pyarrow_of_a_task_is_reported(run):
    """Values are the same; the bytes of the files may be others."""
    _, said = run(Session(lambda rows: [{**row, "arrow": "1.0"} for row in rows[:1]] + rows[1:]))
    assert len(said) == 1 and "A task has pyarrow 1.0" in said[0]
