"""Batches converted again, batches whose event was lost, and the scheduled run as Lambda opens it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import LakeError, PipelineError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import processed_manifest, to_json
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key, revision_key
from lambda_toolkit.pipeline.lambdas.transform import batch as transformation
from lambda_toolkit.pipeline.lambdas.transform import handler
from lambda_toolkit.pipeline.lambdas.transform.columns.convert import _FUNCTIONS
from lambda_toolkit.pipeline.lambdas.transform.handler import lambda_handler
from lambda_toolkit.pipeline.lambdas.transform.sweep import Swept, missed_batches
from tests.support.function_logs import json_lines


def context(seconds=600.0):
    return SimpleNamespace(
        function_name="transform", aws_request_id="r", get_remaining_time_in_millis=lambda: seconds * 1000
    )


@pytest.fixture
def corrected(pipeline, monkeypatch):
    """A batch with a currency that the code of then did not know, and the code of now does."""
    pipeline.admin.run("UPDATE currency SET currency_code = 'QQQ' WHERE currency_id = 2")
    pipeline.extract()
    first = pipeline.transform(1)
    assert first.manifest.rejected["dim_currency"].rows == 1
    monkeypatch.setitem(_FUNCTIONS, "currency_name", lambda column, *_: column)
    return pipeline


def everything(lake):
    return {file.key: lake.get(file.key) for file in lake.listing("")}


def test_replay_by_fixed_code_adds_a_revision(corrected):
    """A replay by corrected code is the next revision and touches no earlier one."""
    before = everything(corrected.processed)
    done = corrected.replay(1)
    assert (done.created, done.manifest.revision, dict(done.manifest.rejected)) == (True, 2, {})
    after = everything(corrected.processed)
    assert {key: after[key] for key in before} == before
    assert processed_manifest(after[revision_key(1, 2)], "m") == done.manifest
    assert not corrected.replay(1).created
    assert everything(corrected.processed) == after
    assert corrected.transform(1).manifest == done.manifest, "an event that comes late finds the newest"
    assert corrected.load().appended["dim_currency"] == 3


def test_concurrent_replays_write_one_revision(corrected, monkeypatch):
    """Of two replays concurrently one writes and the other finds it."""
    put = corrected.processed.put_if_absent
    others = []

    def put_after_another(key, content):
        if key.startswith("revisions/") and not others:
            others.append(None)
            others.append(corrected.replay(1))
        return put(key, content)

    monkeypatch.setattr(corrected.processed, "put_if_absent", put_after_another)
    mine = corrected.replay(1)
    assert (mine.created, others[1].created, mine.manifest) == (False, True, others[1].manifest)
    assert corrected.processed.revisions(1) == [manifest_key(1), revision_key(1, 2)]


def test_a_replay_that_others_never_let_through_says_so(corrected, monkeypatch):
    def put_another(key, content):
        found = processed_manifest(content, key)
        client = corrected.processed._client
        client.put_object(
            Bucket="processed", Key=key, Body=to_json(dataclasses.replace(found, source_manifest=f"other {key}"))
        )
        return False

    monkeypatch.setattr(corrected.processed, "put_if_absent", put_another)
    mine = dataclasses.replace(corrected.transform(1).manifest, source_manifest="mine")
    monkeypatch.setattr(transformation.BatchTransform, "write", lambda self: mine)
    with pytest.raises(LakeError, match="replayed by others"):
        corrected.replay(1)


def test_file_deleted_by_a_sweep_before_commit_is_stored_again(corrected, monkeypatch):
    """A file that a sweep took just before it was named is stored again."""
    first = corrected.replay(1).manifest
    deleted_key = first.tables["dim_currency"].key
    client = corrected.processed._client
    client.delete_object(Bucket="processed", Key=revision_key(1, 2))
    put = corrected.processed.put_if_absent

    def sweep_then_put(key, content):
        client.delete_object(Bucket="processed", Key=deleted_key)
        return put(key, content)

    monkeypatch.setattr(corrected.processed, "put_if_absent", sweep_then_put)
    assert corrected.replay(1).manifest == first
    assert corrected.processed.exists(deleted_key)


def test_handler_replays(deployed):
    deployed.admin.run("UPDATE payment SET payment_date = 'x' WHERE payment_id < 3")
    deployed.extract()
    expected = {"batch": 1, "revision": 1, "rejected": {"fact_payment": 2}}
    assert lambda_handler({"action": "replay", "batch": 1}, context()) == {**expected, "changed": True}
    assert lambda_handler({"action": "replay", "batch": 1}, context()) == {**expected, "changed": False}


def test_missed_batches_are_found_when_they_are_old_enough(pipeline):
    for phone in ("1", "2", "3", "4"):
        pipeline.admin.run("UPDATE address SET phone = :phone", phone=phone)
        pipeline.extract()
    pipeline.transform(2)
    now = datetime.now(UTC)
    assert list(missed_batches(pipeline.ingestion, pipeline.processed, now)) == []
    assert list(missed_batches(pipeline.ingestion, pipeline.processed, now + timedelta(minutes=6))) == [1, 3, 4]
    pipeline.transform(3)
    assert list(missed_batches(pipeline.ingestion, pipeline.processed, now + timedelta(minutes=6))) == [1, 4]


@pytest.mark.parametrize("event", [{"source": "aws.events", "detail-type": "Scheduled Event"}, {"action": "sweep"}])
def test_scheduled_run_transforms_missed_batches_in_order(deployed, log, monkeypatch, event):
    """The scheduled run takes what was missed in order and warns once."""
    for phone in ("1", "2"):
        deployed.admin.run("UPDATE address SET phone = :phone", phone=phone)
        deployed.extract()
    assert lambda_handler(event, context())["batches"] == []
    monkeypatch.setattr("lambda_toolkit.pipeline.lambdas.transform.sweep.EVENT_TIMEOUT", timedelta(seconds=-1))
    assert lambda_handler(event, context(30))["batches"] == [], "too little time"
    assert lambda_handler(event, context())["batches"] == [1, 2]
    assert lambda_handler(event, context())["batches"] == []
    warned = [line["batch"] for line in json_lines(log.getvalue()) if line["level"] == "WARN"]
    assert warned == [1, 2]
    assert deployed.load().loaded == [1, 2]


@pytest.mark.parametrize(
    ("days", "age"), [("", timedelta(days=2)), ("0.05", timedelta(hours=1.2)), ("7", timedelta(days=7))]
)
def test_the_age_of_orphans_is_the_one_that_is_set(deployed, monkeypatch, days, age):
    monkeypatch.setenv("SWEEP_AFTER_DAYS", days)
    asked = []
    for name in ("sweep_ingestion", "sweep_processed"):
        monkeypatch.setattr(handler, name, lambda lake, now, of: asked.append((lake.bucket, of)) or Swept())
    assert lambda_handler({"action": "sweep"}, context())["swept"] == 0
    assert asked == [("ingestion", age), ("processed", age)]


@pytest.mark.parametrize("days", ["0", "0.01", "-3", "two", "nan", "1e99"])
def test_an_age_at_which_a_run_may_be_under_way_is_refused(deployed, monkeypatch, days):
    monkeypatch.setenv("SWEEP_AFTER_DAYS", days)
    with pytest.raises(PipelineError, match="SWEEP_AFTER_DAYS"):
        lambda_handler({"action": "sweep"}, context())
