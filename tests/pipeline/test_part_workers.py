"""Workers that die, are slow, come twice, or answer something else: the batch of transform alone, or none."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import processed_manifest, to_json
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.transform.batch import alone, replay, transform
from lambda_toolkit.pipeline.lambdas.transform.handler import _engine
from tests.proof.crashes import CrashCounter, CrashError, CrashingClient
from tests.proof.steps import Crash
from tests.support.failing_workers import answers, fails, twice
from tests.support.part_workers import ThreadWorkers, by_workers


class Bucket:
    """The batch of ``pipeline``, transformed into processed buckets of their own; ``alone``: the expected manifest."""

    def __init__(self, pipeline):
        self.pipeline, self._number = pipeline, 0
        self.alone = to_json(transform(pipeline.ingestion, self.next(), pipeline.declarations, 1).manifest)

    def next(self):
        """An empty processed bucket."""
        self._number += 1
        client, name = self.pipeline.processed._client, f"processed-of-parts-{self._number}"
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        return Lake(client, name)

    def transform(self, change=lambda request, really: really(request), declarations=None, **options):
        """One transform with workers: its bucket, its workers, and why parts were not taken from these."""
        lake, refused = self.next(), []
        of_workers = declarations or self.pipeline.declarations
        workers = ThreadWorkers(self.pipeline.ingestion, lake, of_workers, change)
        engine = by_workers(workers, refused, **options)
        done = transform(self.pipeline.ingestion, lake, self.pipeline.declarations, 1, engine=engine)
        assert done.created
        assert lake.get(manifest_key(1)) == self.alone
        return lake, workers, refused


@pytest.fixture
def bucket(parted):
    return Bucket(parted)


def test_batch_by_workers_is_that_of_transform_alone(bucket):
    """The parts of the large table are done by workers, and the manifest is the same, byte for byte."""
    lake, workers, refused = bucket.transform()
    assert refused == []
    assert sorted((part.table, part.number) for part in workers.requests) == [("fact_payment", n) for n in range(5)]
    pipeline = bucket.pipeline
    again = replay(pipeline.ingestion, lake, pipeline.declarations, 1, engine=by_workers(workers))
    assert again.created is False
    assert len(workers.requests) == 10


def test_workers_do_nothing_below_the_threshold(bucket):
    """A batch whose tables are a part each is transformed as before: no worker is asked."""
    pipeline = bucket.pipeline
    pipeline.declarations = replace(pipeline.declarations, part_rows=1_000_000)
    workers = ThreadWorkers(pipeline.ingestion, pipeline.processed, pipeline.declarations)
    done = transform(pipeline.ingestion, pipeline.processed, pipeline.declarations, 1, engine=by_workers(workers))
    whole = transform(pipeline.ingestion, bucket.next(), pipeline.declarations, 1)
    assert workers.requests == []
    assert to_json(done.manifest) == to_json(whole.manifest)


def lost(request, really):
    """A worker of which the file is not where it says."""
    found = really(request)
    key = found.rows.key.replace(found.rows.digest[:8], "0" * 8)
    return replace(found, rows=replace(found.rows, key=key, digest="0" * 64))


UNUSABLE = {
    "all die": (fails(1000), "failed 3 times: ConnectionResetError"),
    "another part": (answers(number=99), "was answered with part 99"),
    "another table": (answers(table="dim_design"), "of dim_design"),
    "rows missing": (answers(read=1), "was read with 1 rows, of"),
    "rows lost": (answers(rows=None), "rows after"),
    "no rejects": (answers(rejected=None), "rows after"),
    "file missing": (lost, "has no file"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_transform_does_itself_what_workers_did_not(bucket, name):
    """What a worker did not do, or cannot be shown to have done, is done again: the same manifest, from one writer."""
    change, why = UNUSABLE[name]
    _, _, refused = bucket.transform(change)
    assert len(refused) >= 4
    assert all(why in reason for reason in refused)


def test_file_of_others_is_not_listed(bucket):
    """A worker that names a file which is there, of another table."""
    other = processed_manifest(bucket.alone, "").tables["dim_staff"].key
    _, _, refused = bucket.transform(lambda part, really: replace(found := really(part), rows=_named(found, other)))
    assert len(refused) >= 4
    assert all("has no file" in reason for reason in refused)


def _named(found, key):
    return found.rows and replace(found.rows, key=key, digest=key.rpartition("/")[2].partition(".")[0])


def test_part_is_tried_again_where_its_worker_died(bucket):
    """Of three tries one must succeed; and a part that two workers transform is the same twice."""
    failing = fails(2)
    _, workers, refused = bucket.transform(lambda part, really: twice(part, lambda asked: failing(asked, really)))
    assert refused == []
    assert len(workers.requests) == 7


def test_workers_of_another_release_are_not_believed(bucket):
    """A worker with another declaration refuses; so a deploy in between leaves no batch of two declarations."""
    other = replace(bucket.pipeline.declarations, part_rows=99)
    _, _, refused = bucket.transform(declarations=other)
    assert len(refused) == 5
    assert all("another release" in reason for reason in refused)


def test_late_worker_does_not_hold_up_or_change_a_batch(bucket):
    """A worker that is too slow is not waited for; what it stores later are the files that the manifest names."""
    released, now = threading.Event(), [0.0]

    def change(request, really):
        if request.number == 2:
            released.wait(60)
        now[0] += 10
        return really(request)

    lake, workers, refused = bucket.transform(change, seconds=35, clock=lambda: now[0])
    assert refused == ["2 took too long"]
    before = [found.key for found in lake.listing("")]
    released.set()
    workers.wait()
    assert [found.key for found in lake.listing("")] == before
    assert lake.get(manifest_key(1)) == bucket.alone


def test_dead_coordinator_leaves_no_manifest(bucket):
    """Killed at each of its own writes, transform leaves a batch that is not there; the next event completes it."""
    pipeline, deaths = bucket.pipeline, 0
    for crash in range(1, 40):
        lake = bucket.next()
        workers = ThreadWorkers(pipeline.ingestion, lake, pipeline.declarations)
        mortal = Lake(
            CrashingClient(lake._client, CrashCounter(Crash(at=crash, after=crash % 2 == 0, sql=False), sql=False)),
            lake.bucket,
        )
        try:
            transform(pipeline.ingestion, mortal, pipeline.declarations, 1, engine=by_workers(workers))
        except CrashError:
            deaths += 1
        else:
            break
        workers.wait()
        done = transform(pipeline.ingestion, lake, pipeline.declarations, 1, engine=by_workers(workers))
        assert to_json(done.manifest) == bucket.alone == lake.get(manifest_key(1))
    assert deaths > 3


def test_workers_are_this_version_where_they_are_declared(monkeypatch):
    """No alias: it may point to another release before the last part is done. Without a declaration there are none."""
    context = SimpleNamespace(function_name="totes-test-transform", function_version="7")
    monkeypatch.delenv("TRANSFORM_WORKERS", raising=False)
    assert _engine(context) is alone
    monkeypatch.setenv("TRANSFORM_WORKERS", "8")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    found = _engine(context)
    assert found.fan_out.most == 8
    assert found.fan_out.workers._function._function == "totes-test-transform:7"
    assert _engine(SimpleNamespace(function_name="local")) is alone
