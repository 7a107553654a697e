"""Garbage collection deletes orphaned files and nothing else: every case that resembles an orphan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import (
    DataFile,
    IngestionManifest,
    KeyFile,
    ProcessedManifest,
    ProcessedTable,
    RejectedFile,
    SourceIdentity,
    TableFiles,
    to_json,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import (
    DATA,
    DELETED,
    REJECTED,
    batch_folder,
    manifest_key,
    revision_key,
    run_prefix,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.transform import sweep
from lambda_toolkit.pipeline.lambdas.transform.sweep import missed_batches, sweep_ingestion, sweep_processed

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OLD, YOUNG = NOW - timedelta(days=3), NOW - timedelta(days=1)
WINNER, LOSER = "a" * 32, "b" * 32


class Bucket:
    """A bucket whose objects were written when a test says so."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def put(self, key: str, written: datetime, content: bytes = b"data") -> str:
        assert self.lake.put_if_absent(key, content)
        objects = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets["lake"].keys
        objects[key].last_modified = written.replace(tzinfo=None)
        return key

    def keys(self) -> set[str]:
        return {file.key for file in self.lake.listing("")}

    def ingested(self, batch: int, written: datetime, run: str = WINNER, keys: KeyFile | None = None) -> list[str]:
        """A batch with a changes and a keys file; ``keys`` carries an earlier one forward instead."""
        changes = self.put(data(batch, run), written - MINUTE)
        own = keys or KeyFile(self.put(data(batch, run, "keys"), written - MINUTE), 1, "9")
        files = TableFiles({"id": "integer"}, ("id",), DataFile(changes, 1), None, None, (own,), None)
        source = SourceIdentity("1", 1, "totesys", 5, 700, 5, 5, 5)
        manifest = IngestionManifest(batch, None, run, "changes", written.isoformat(), source, {"staff": files})
        self.put(manifest_key(batch), written, to_json(manifest))
        return [changes, own.key]

    def processed(self, batch: int, written: datetime, *files: str, revision: int = 1) -> None:
        names = {f"t{number}": ProcessedTable(1, key) for number, key in enumerate(files)}
        manifest = ProcessedManifest(batch, manifest_key(batch), "2026", names, revision=revision)
        self.put(revision_key(batch, revision), written, to_json(manifest))


def data(batch: int, run: str, what: str = "changes") -> str:
    return f"{run_prefix('staff', batch, run)}.{what}.parquet"


def made(batch: int, digest: str, kind: str = DATA) -> str:
    return f"{batch_folder('dim_staff', batch, kind)}{digest * 8}.parquet"


@pytest.fixture
def bucket(lake):
    return Bucket(lake)


@pytest.fixture
def reads(bucket, monkeypatch):
    """The keys that are read while a test runs."""
    found: list[str] = []
    read = bucket.lake.get
    monkeypatch.setattr(bucket.lake, "get", lambda key: found.append(key) or read(key))
    return found


@pytest.mark.parametrize("began", [OLD - MINUTE, OLD - timedelta(days=4), OLD + timedelta(hours=1)])
def test_orphans_of_an_uncommitted_extract_are_deleted(bucket, began):
    """What a run without a batch left in the ingestion bucket is deleted."""
    winners = bucket.ingested(1, OLD)
    orphans = {bucket.put(data(1, LOSER, what), began) for what in ("changes", "keys")}
    assert set(sweep_ingestion(bucket.lake, NOW).deleted) == orphans
    assert bucket.keys() == {*winners, manifest_key(1)}
    assert sweep_ingestion(bucket.lake, NOW).deleted == ()


def test_only_the_manifest_of_a_batch_that_looks_wrong_is_read(bucket, reads):
    for batch in range(1, 6):
        bucket.ingested(batch, OLD + batch * MINUTE)
    bucket.put(data(3, LOSER), OLD)
    sweep_ingestion(bucket.lake, NOW)
    assert reads == [manifest_key(3)]


def test_recent_files_and_files_of_a_current_run_are_kept(bucket):
    """Young files and those of a run under way are never deleted."""
    bucket.ingested(1, OLD)
    bucket.put(data(1, LOSER), YOUNG)  # too young
    bucket.put(data(2, LOSER), NOW - MINUTE)  # under way: its manifest is not there yet
    bucket.put(data(2, WINNER), OLD)  # old, but without a manifest no record shows that it is an orphan
    before = bucket.keys()
    assert sweep_ingestion(bucket.lake, NOW).deleted == ()
    assert bucket.keys() == before


def test_what_later_manifests_carry_forward_is_never_deleted(bucket):
    first = bucket.ingested(1, OLD - timedelta(days=2))
    bucket.ingested(2, OLD, keys=KeyFile(first[1], 1, "9"))
    bucket.put(data(1, LOSER), OLD)
    bucket.put(data(2, LOSER), OLD)
    assert len(sweep_ingestion(bucket.lake, NOW).deleted) == 2
    assert bucket.lake.exists(first[1])


def test_key_named_by_a_manifest_is_kept_whatever_its_run(bucket):
    """A key that the manifest names is kept whatever run its name tells."""
    carried = bucket.put(data(1, LOSER, "keys"), OLD - MINUTE)
    bucket.ingested(1, OLD, keys=KeyFile(carried, 1, "9"))
    assert sweep_ingestion(bucket.lake, NOW).deleted == ()


def test_without_manifests_nothing_is_deleted(bucket):
    for batch in (1, 2):
        bucket.put(data(batch, WINNER), OLD)
        bucket.put(data(batch, LOSER), OLD)
        bucket.put(made(batch, "a"), OLD)
        bucket.put(made(batch, "b"), OLD)
    before = bucket.keys()
    sweep_ingestion(bucket.lake, NOW)
    sweep_processed(bucket.lake, NOW)
    assert bucket.keys() == before


def test_objects_of_others_are_left_alone(bucket):
    bucket.ingested(1, OLD)
    strangers = {
        bucket.put(key, OLD)
        for key in (
            f"{DATA}staff/notes.txt",
            f"{DATA}staff/batch=1/{LOSER[:8]}.changes.parquet",
            "staff/x.changes.parquet",
            f"{data(1, LOSER)}.bak",
            "top",
        )
    }
    bucket.put(data(1, LOSER), OLD)
    assert sweep_ingestion(bucket.lake, NOW).deleted == (data(1, LOSER),)
    assert strangers < bucket.keys()


def test_orphans_of_a_transform_are_deleted(bucket, reads):
    """What a transform left in the processed bucket is deleted."""
    named = [bucket.put(made(1, "a"), OLD - MINUTE), bucket.put(made(1, "c", REJECTED), OLD - MINUTE)]
    bucket.processed(1, OLD, *named)
    bucket.processed(2, OLD, bucket.put(made(2, "a"), OLD - MINUTE))
    orphans = {
        bucket.put(made(1, "b"), OLD - timedelta(hours=2)),
        bucket.put(made(1, "d", REJECTED), OLD - MINUTE),
        bucket.put(made(1, "e", DELETED), OLD - timedelta(hours=2)),
    }
    assert set(sweep_processed(bucket.lake, NOW).deleted) == orphans
    assert set(named) < bucket.keys()
    assert reads == [manifest_key(1)]


@pytest.mark.parametrize("written", [OLD - timedelta(hours=2), OLD + MINUTE])
def test_an_orphan_alone_in_its_folder_is_found_by_its_time(bucket, written):
    """The run that committed the batch has not written it: that was under way before, or is under way after it."""
    bucket.processed(1, OLD, bucket.put(made(1, "a"), OLD - MINUTE))
    orphan = bucket.put(made(1, "b", DELETED), written)
    assert sweep_processed(bucket.lake, NOW).deleted == (orphan,)


def test_only_revisions_of_a_batch_that_looks_wrong_are_read(bucket, reads):
    for batch in range(1, 5):
        bucket.processed(batch, OLD, bucket.put(made(batch, "a"), OLD - MINUTE))
    orphan = bucket.put(made(3, "b"), OLD - MINUTE)
    assert sweep_processed(bucket.lake, NOW).deleted == (orphan,)
    assert reads == [manifest_key(3)]


def test_the_files_of_every_revision_are_kept_and_young_ones_too(bucket):
    first, second, third = (bucket.put(made(1, digest), OLD - MINUTE) for digest in "abc")
    bucket.processed(1, OLD, first)
    bucket.processed(1, OLD + MINUTE, second, revision=2)
    report = RejectedFile(bucket.put(made(1, "d", REJECTED), OLD), 1, 1)
    last = ProcessedManifest(1, manifest_key(1), "2026", {}, {"dim_staff": report}, revision=3)
    bucket.put(revision_key(1, 3), YOUNG, to_json(last))
    under_way = bucket.put(made(1, "e"), NOW - MINUTE)
    assert sweep_processed(bucket.lake, NOW).deleted == (third,)
    assert {first, second, report.key, under_way} < bucket.keys()


def test_a_batch_that_is_young_itself_is_left_alone(bucket):
    bucket.put(made(1, "a"), OLD)
    bucket.processed(1, YOUNG, bucket.put(made(1, "b"), YOUNG))
    assert sweep_processed(bucket.lake, NOW).deleted == ()


def test_a_revision_that_comes_during_the_sweep_is_reported(bucket, monkeypatch):
    bucket.processed(1, OLD, bucket.put(made(1, "a"), OLD - MINUTE))
    orphan = bucket.put(made(1, "b"), OLD - MINUTE)
    delete = bucket.lake.delete

    def replay_then_delete(keys):
        bucket.processed(1, NOW, orphan, revision=2)
        delete(keys)

    monkeypatch.setattr(bucket.lake, "delete", replay_then_delete)
    assert sweep_processed(bucket.lake, NOW) == sweep.Swept((orphan,), (1,))


def test_the_age_is_a_setting(bucket):
    bucket.ingested(1, YOUNG)
    orphan = bucket.put(data(1, LOSER), YOUNG)
    assert sweep_ingestion(bucket.lake, NOW, timedelta(hours=12)).deleted == (orphan,)


def test_no_manifest_can_be_deleted(bucket):
    bucket.processed(1, OLD)
    for key in (manifest_key(1), revision_key(1, 2)):
        with pytest.raises(ValueError, match="manifest"):
            bucket.lake.delete([f"{DATA}dim_staff/x", key])
    assert bucket.lake.exists(manifest_key(1))


def test_long_lakes_are_listed_from_their_end(bucket, monkeypatch):
    monkeypatch.setattr(sweep, "_LISTED", 2)
    for batch in range(1, 8):
        bucket.ingested(batch, OLD - timedelta(days=7 - batch))
    orphans = {bucket.put(data(batch, LOSER), OLD) for batch in range(1, 8)}
    assert set(sweep_ingestion(bucket.lake, NOW).deleted) == orphans


def test_file_of_a_batch_that_is_not_there_is_kept(bucket):
    """Between two that are: no manifest says which run made it."""
    bucket.ingested(1, OLD)
    bucket.ingested(3, OLD)
    bucket.put(data(2, LOSER), OLD)
    bucket.put(made(2, "a"), OLD)
    assert sweep_ingestion(bucket.lake, NOW).deleted == ()
    assert sweep_processed(bucket.lake, NOW).deleted == ()


def test_orphans_alone_in_their_batch_are_found_by_their_time(bucket):
    """One of them was written after the commit, so that none is of the run that committed a batch without files."""
    source = SourceIdentity("1", 1, "totesys", 5, 700, 5, 5, 5)
    manifest = IngestionManifest(1, None, WINNER, "changes", OLD.isoformat(), source, {})
    bucket.put(manifest_key(1), OLD, to_json(manifest))
    early = bucket.put(data(1, LOSER), OLD - MINUTE)
    assert sweep_ingestion(bucket.lake, NOW).deleted == ()
    late = bucket.put(data(1, LOSER, "keys"), OLD + MINUTE)
    assert sweep_ingestion(bucket.lake, NOW).deleted == (early, late)


def test_file_of_the_run_that_committed_is_kept(bucket):
    """Whether the manifest lists it or not: that run may have stored it for nothing."""
    bucket.ingested(1, OLD)
    own = bucket.put(data(1, WINNER, "other"), OLD - MINUTE)
    left = bucket.put(data(1, LOSER), OLD - MINUTE)
    assert sweep_ingestion(bucket.lake, NOW).deleted == (left,)
    assert bucket.lake.exists(own)


@pytest.mark.parametrize(
    ("before", "found"), [(timedelta(0), []), (15 * MINUTE, []), (15 * MINUTE + timedelta(seconds=1), [1])]
)
def test_run_takes_no_longer_than_lambda_lets_it(bucket, reads, before, found):
    """A file that is older than the longest run when its batch is committed is looked at."""
    changes = bucket.put(data(1, WINNER), OLD - before)
    source = SourceIdentity("1", 1, "totesys", 5, 700, 5, 5, 5)
    files = TableFiles({"id": "integer"}, ("id",), DataFile(changes, 1))
    manifest = IngestionManifest(1, None, WINNER, "changes", OLD.isoformat(), source, {"staff": files})
    bucket.put(manifest_key(1), OLD, to_json(manifest))
    assert sweep_ingestion(bucket.lake, NOW).deleted == ()
    assert reads == [manifest_key(number) for number in found]


def test_batches_that_were_missed(bucket, lake, monkeypatch):
    """Those older than an event and its transform take, from so far below the last one that was transformed."""
    client = lake._client
    client.create_bucket(Bucket="processed")
    processed = Lake(client, "processed")
    for number in range(1, 7):
        bucket.put(manifest_key(number), NOW - 5 * MINUTE - timedelta(seconds=number < 6))
    assert list(missed_batches(lake, processed, NOW)) == [1, 2, 3, 4, 5], "the last one may be under way"
    monkeypatch.setattr(sweep, "LOOK_BACK", 0)
    assert list(missed_batches(lake, processed, NOW)) == [1, 2, 3, 4, 5]
    for number in (2, 4):
        processed.put_if_absent(manifest_key(number), b"{}")
    assert list(missed_batches(lake, processed, NOW)) == [5]
    monkeypatch.setattr(sweep, "LOOK_BACK", 3)
    assert list(missed_batches(lake, processed, NOW)) == [3, 5]
