"""The batches in the buckets, as commands list them, and the timeline that is made of them and of the ledger."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambda_script import AwsError
from lambda_toolkit.pipeline.client import lake
from lambda_toolkit.pipeline.client.observing import batches
from lambda_toolkit.pipeline.client.observing.batches import Batch, Stored, TimelineReader
from lambda_toolkit.pipeline.client.warehouses.ledger import LoadedBatch
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from tests.support.answering_aws import AnsweringAws

PIPELINE = load(DEFAULT_PATH)
INGESTION, PROCESSED = (PIPELINE.bucket_name(name, AnsweringAws.account_id) for name in ("ingestion", "processed"))
AT = datetime(2026, 1, 2, 3, tzinfo=UTC)


def stored(bucket: str, number: int) -> Stored:
    """Batch ``number`` was extracted in minute ``number``, and written 5 s later, or transformed 9 s later."""
    extracted = AT + timedelta(minutes=number)
    manifest = {"extracted_at": extracted.isoformat(), "bucket": bucket}
    return Stored(extracted + timedelta(seconds=5 if bucket == INGESTION else 9), manifest)


def aws_with(**numbers: int) -> Any:
    """AWS whose buckets have the batches from 1 to ``numbers``."""
    having = {PIPELINE.bucket_name(name, AnsweringAws.account_id): range(1, n + 1) for name, n in numbers.items()}

    def listed(Bucket: str, Prefix: str = "", StartAfter: str = "", MaxKeys: int = 0) -> Any:  # noqa: N803
        if Bucket not in having:
            raise AwsError("none", code="NoSuchBucket")
        keys = {manifest_key(number): stored(Bucket, number).written for number in having[Bucket]}
        return {"Contents": [{"Key": key, "LastModified": at} for key, at in keys.items() if key > StartAfter]}

    def read(Bucket: str, Key: str) -> Any:  # noqa: N803
        found = [number for number in having.get(Bucket, ()) if manifest_key(number) == Key]
        return {"Body": io.BytesIO(json.dumps(stored(Bucket, found[0]).manifest).encode())} if found else None

    return AnsweringAws(list_objects_v2=listed, get_object=read)


def test_batches_of_a_bucket_are_listed_in_part_or_not_at_all() -> None:
    aws = aws_with(ingestion=5, processed=0)
    listed = lake.batches_after(aws, INGESTION, 2)
    assert [(each.number, each.written) for each in listed] == [(n, stored(INGESTION, n).written) for n in (3, 4, 5)]
    assert [each.number for each in lake.batches_after(aws, INGESTION, 2, 4)] == [3, 4]
    assert lake.batches_after(aws, PROCESSED, 0) == lake.batches_after(aws, "none", 0) == ()
    assert [lake.last_batch(aws, name) for name in (INGESTION, PROCESSED, "none")] == [5, None, None]
    assert {service for service, _, _ in aws.asked} == {"s3"}


def test_bucket_exists_where_it_can_be_listed() -> None:
    aws = aws_with(processed=0)
    assert [lake.has_bucket(aws, name) for name in (PROCESSED, INGESTION)] == [True, False]
    assert aws.asked[0] == ("s3", "list_objects_v2", {"Bucket": PROCESSED, "MaxKeys": 1})


def test_manifest_is_that_of_the_batch_or_none() -> None:
    aws = aws_with(ingestion=5, processed=0)
    assert lake.last_manifest(aws, INGESTION) == lake.manifest(aws, INGESTION, 5) == stored(INGESTION, 5).manifest
    assert lake.find_manifest(aws, INGESTION, 4) == stored(INGESTION, 4).manifest
    assert aws.asked[-1] == ("s3", "get_object", {"Bucket": INGESTION, "Key": manifest_key(4)})
    assert lake.last_manifest(aws, PROCESSED) is lake.last_manifest(aws, "none") is None
    assert lake.find_manifest(aws, INGESTION, 6) is None


@pytest.mark.parametrize("read", [lake.has_bucket, lake.last_batch, lambda aws, name: lake.batches_after(aws, name, 0)])
def test_bucket_that_may_not_be_listed_is_an_error(read: Callable[[Any, str], object]) -> None:
    for error in (AwsError("no", code="AccessDenied"), ZeroDivisionError()):
        aws: Any = AnsweringAws(list_objects_v2=error)
        with pytest.raises(type(error)):
            read(aws, INGESTION)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the ledger says, or an error; then what it was asked."""
    found: dict[str, Any] = {"entries": {}, "asked": []}

    def loaded(warehouse: Any, first: int, last: int) -> Any:
        found["asked"].append((warehouse, first, last))
        if isinstance(found["entries"], Exception):
            raise found["entries"]
        return found["entries"]

    monkeypatch.setattr(batches.ledger, "loaded", loaded)
    return found


def test_timeline_has_the_last_batches_and_each_as_it_is(ledger: Any) -> None:
    """Of the batch before the first one, its time alone is read: from then on, changes were waiting."""
    aws, entry = aws_with(ingestion=5, processed=4), LoadedBatch(4, AT, AT, {})
    ledger["entries"] = {4: entry}
    reader = TimelineReader(aws, PIPELINE, "warehouse")  # type: ignore[arg-type]
    fifth = Batch(5, stored(INGESTION, 5), before=AT + timedelta(minutes=4))
    fourth = Batch(4, stored(INGESTION, 4), stored(PROCESSED, 4), entry, AT + timedelta(minutes=3))
    found = reader.read(2)
    assert (found.batches, found.problem) == ((fifth, fourth), None)
    assert ledger["asked"] == [("warehouse", 4, 5)]
    read = {(given["Bucket"], given["Key"]) for _, operation, given in aws.asked if operation == "get_object"}
    assert read == {*((INGESTION, manifest_key(n)) for n in (3, 4, 5)), (PROCESSED, manifest_key(4))}
    aws.answers["get_object"] = AssertionError("what never changes is read once")
    assert reader.read(2).batches == (fifth, fourth) and reader.one(4).batches == (fourth,)


@pytest.mark.parametrize(
    ("read", "numbers", "asked"),
    [
        (lambda reader: reader.one(3), [3], (3, 3)),
        (lambda reader: reader.one(1), [1], (1, 1)),
        (lambda reader: reader.one(26), [], (26, 26)),
        (lambda reader: reader.read(), list(range(25, 5, -1)), (6, 25)),
        (lambda reader: reader.read(30), list(range(25, 0, -1)), (1, 25)),
        (lambda reader: reader.read(25), list(range(25, 0, -1)), (1, 25)),
    ],
)
def test_timeline_is_of_one_batch_or_of_the_last_ones(ledger: Any, read: Any, numbers: Any, asked: Any) -> None:
    timeline = read(TimelineReader(aws_with(ingestion=25, processed=25), PIPELINE, "warehouse"))  # type: ignore[arg-type]
    assert [batch.number for batch in timeline.batches] == numbers
    assert [batch.before for batch in timeline.batches] == [
        None if number == 1 else AT + timedelta(minutes=number - 1) for number in numbers
    ]
    assert ledger["asked"] == [("warehouse", *asked)]


def test_timeline_without_a_warehouse_says_why(ledger: Any) -> None:
    ledger["entries"] = ConnectionFailedError("no way.")
    reader = TimelineReader(aws_with(ingestion=1, processed=1), PIPELINE, None)  # type: ignore[arg-type]
    found = reader.read()
    assert ([batch.state for batch in found.batches], found.problem) == (["transformed"], "no way.")
    ledger["entries"] = {}
    assert TimelineReader(aws_with(), PIPELINE, None).read() == batches.Timeline()  # type: ignore[arg-type]
    ledger["entries"] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        reader.read()
