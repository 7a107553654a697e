"""Runs over listings that show less than the bucket has: complete, or an error, never success without the changes."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import LakeError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import ingestion_manifest, to_json
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake

CHANGE = "UPDATE staff SET last_name = 'y' WHERE staff_id = 1"


class Listing:
    """An S3 client whose listings another function answers, with the client's own ``list_objects_v2``."""

    def __init__(self, client: Any, answer: Any) -> None:
        self._client, self._answer = client, answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def list_objects_v2(self, **request: Any) -> Any:
        return self._answer(self._client.list_objects_v2, request)


def empty_first(list_objects, request):
    """The first page of every listing has no key."""
    if "ContinuationToken" in request:
        return list_objects(**{name: value for name, value in request.items() if name != "ContinuationToken"})
    return {"IsTruncated": True, "NextContinuationToken": "first"}


def single(list_objects, request):
    """Every page has one key, whatever was asked for."""
    return list_objects(**{**request, "MaxKeys": 1})


def older(list_objects, request):
    """The newest manifest is never listed."""
    answer = list_objects(**request)
    return {**answer, "Contents": answer.get("Contents", [])[:-1]}


@pytest.mark.parametrize("answer", [empty_first, single])
def test_short_pages_hide_no_change(pipeline, answer):
    """Pages without keys, and with one: every change becomes the next batch, is transformed and loaded."""
    client = pipeline.ingestion._client
    pipeline.ingestion, pipeline.processed = (
        Lake(Listing(client, answer), lake.bucket) for lake in (pipeline.ingestion, pipeline.processed)
    )
    for number in (1, 2, 3):
        extracted, loaded = pipeline.run()
        assert (extracted.batch, loaded.loaded) == (number, [number])
        pipeline.admin.run("UPDATE staff SET last_name = last_name || 'x' WHERE staff_id = 1")


def test_unlisted_manifest_fails_the_run(pipeline):
    """Extract does not succeed for ever with "nothing changed" where S3 does not list the last batch."""
    pipeline.extract()
    pipeline.admin.run(CHANGE)
    assert pipeline.extract().batch == 2
    pipeline.admin.run(CHANGE.replace("'y'", "'z'"))
    complete = pipeline.ingestion
    pipeline.ingestion = Lake(Listing(complete._client, older), complete.bucket)
    with pytest.raises(LakeError, match=r"batch-000000000002.json exists, but S3 does not list it"):
        pipeline.extract()
    pipeline.ingestion = complete
    assert pipeline.extract().batch == 3


def test_lost_race_against_an_unlisted_batch_raises(pipeline):
    """A manifest that is there when it is stored, and is not listed, was not written by a run that was quicker."""
    pipeline.extract()
    pipeline.admin.run(CHANGE)
    complete = pipeline.ingestion
    first = ingestion_manifest(complete.get(manifest_key(1)), manifest_key(1))

    class Behind(Lake):
        """The other run's manifest comes into being during this one, and is never listed."""

        def put_if_absent(self, key: str, content: bytes) -> bool:
            assert complete.put_if_absent(key, to_json(first))
            return super().put_if_absent(key, content)

    pipeline.ingestion = Behind(Listing(complete._client, older), complete.bucket)
    pipeline.ingestion.last_batch = lambda: 1
    with pytest.raises(LakeError, match="does not list it"):
        pipeline.extract()


def test_batch_committed_after_the_listing_is_continued(pipeline):
    """A run whose listing is older than another run's commit continues from that commit."""
    pipeline.extract()
    pipeline.admin.run(CHANGE)
    assert pipeline.extract().batch == 2
    pipeline.admin.run(CHANGE.replace("'y'", "'z'"))
    lake, found = pipeline.ingestion, [1, 2]
    lake.last_batch = lambda: found.pop(0)
    assert pipeline.extract().batch == 3
