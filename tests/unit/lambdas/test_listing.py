"""The listings of a bucket: complete whatever a page has, in few requests whatever else is in the bucket."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.shared.errors import LakeError
from lambda_toolkit.pipeline.lambdas.shared.lake import listing
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import (
    DATA,
    batch_of,
    manifest_key,
    next_batch,
    revision_key,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.transform.sweep import missed_batches, sweep_ingestion
from tests.support.memory_s3 import MemoryS3

LAST = 10**12 - 1  # the highest number that a key can have
FOREIGN = (  # keys that others leave: before, between and after the manifests, and beside the revisions
    "manifests/",
    "manifests/!first",
    "manifests/_SUCCESS",
    "manifests/batch-",
    "manifests/batch-0",
    "manifests/batch-000000000003",
    "manifests/batch-000000000003.jso",
    "manifests/batch-000000000003.json.bak",
    "manifests/batch-000000000003.json/",
    "manifests/batch-0000000000031.json",
    "manifests/batch-00000000000x.json",
    "manifests/batch-999999999999.json~",
    "manifests/batch-~",
    "manifests/~last",
    "manifests/ü😀",
    "manifests",
    "manifests0",
    "revisions/",
    "revisions/_SUCCESS",
    "revisions/batch-000000000003-",
    "revisions/batch-000000000003-0002.json.bak",
    "revisions/batch-000000000003-00",
    "revisions/~",
)


def bucket(keys, seed: int | None = None) -> tuple[Lake, MemoryS3]:
    """A lake with these objects; with a ``seed``, S3 answers with short and empty pages."""
    client = MemoryS3()
    client.create_bucket("lake")
    for key in keys:
        client.put_object("lake", key, b"{}")
    client.short_pages = None if seed is None else random.Random(seed)  # noqa: S311
    return Lake(client, "lake"), client


numbers = st.sets(st.one_of(st.integers(1, 40), st.integers(1, LAST)), max_size=30)


@settings(max_examples=150, deadline=None)
@given(
    numbers,
    st.sets(st.tuples(st.integers(1, 9), st.integers(2, 10_001)), max_size=12),
    st.sets(st.sampled_from(FOREIGN)),
    st.sampled_from([1, 2, 3, 1000]),
    st.integers(0, 50),
    st.one_of(st.none(), st.integers(0, 10**6)),
)
def test_listings_are_complete_over_any_pages(found, revised, foreign, page, after, seed):
    """Every method says what the bucket has, with pages of any length, empty ones, and objects of others anywhere."""
    keys = {*map(manifest_key, found), *(revision_key(*pair) for pair in revised), *foreign}
    keys |= {f"{DATA}t{number % 3}/batch={number:012d}/x.parquet" for number in found} | {f"{DATA}_SUCCESS"}
    lake, client = bucket(keys, seed)
    client.page = page
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "PAGE", page)
        assert lake.last_batch() == max(found, default=None)
        assert [entry.number for entry in lake.batches_after(after)] == sorted(n for n in found if n > after)
        bounded = [entry.number for entry in lake.batches_after(after, after + 9)]
        assert bounded == sorted(n for n in found if after < n <= after + 9)
        newest = {batch: max(r for b, r in revised if b == batch) for batch, _ in revised}
        assert lake.newest_revisions(3) == {b: revision_key(b, r) for b, r in newest.items() if b > 3}
        for batch in range(1, 10):
            assert lake.newest_revision(batch) == revision_key(batch, newest.get(batch, 1))
        assert [entry.key for entry in lake.listing("")] == sorted(keys)
        assert [entry.key for entry in lake.listing("revisions/", "revisions/b")] == sorted(
            key for key in keys if key.startswith("revisions/") and key > "revisions/b"
        )
        assert lake.folders(DATA) == sorted({f"{DATA}t{number % 3}/" for number in found})


@given(st.one_of(st.sampled_from(FOREIGN), st.text("0123456789-./jsonbtch~", max_size=20).map("manifests/b".__add__)))
def test_next_batch_is_the_first_after_any_key(key):
    number = next_batch(key)
    assert number is None or manifest_key(number) > key
    assert manifest_key(LAST if number is None else max(0, number - 1)) <= key or number == 0


def requests(client: MemoryS3, act) -> int:
    before = client.listings
    act()
    return client.listings - before


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2000, 12_345, 40_000])
def test_the_last_of_many_batches_is_found_in_few_requests(count):
    lake, client = bucket(map(manifest_key, range(1, count + 1)))
    assert lake.last_batch() == (count or None)
    assert client.listings <= 2 * max(count // 1000, 1).bit_length() + 3


@pytest.mark.parametrize("many", [1_100, 5_000])
@pytest.mark.parametrize(
    "name",
    [
        "manifests/!{}",
        "manifests/_inventory/{}.csv",
        "manifests/batch-000000000005.json.{}",
        "manifests/batch-000000000005-{}",
        "manifests/batch-000000000007.json/{}",
        "manifests/x{}",
        "manifests-old/{}",
        "revisions/_log/{}",
        "revisions/zz{}",
    ],
)
def test_foreign_objects_cost_no_requests_by_their_number(name, many):
    """Before, between or behind the manifests and revisions, however many: a request more at most for each listing."""
    keys = {*map(manifest_key, range(1, 8)), revision_key(3, 2)}
    lake, client = bucket(keys | {name.format(number) for number in range(many)})
    assert requests(client, lambda: lake.last_batch() == 7) <= 2
    assert lake.last_batch() == 7
    assert requests(client, lambda: list(lake.batches_after(0))) <= 2
    assert requests(client, lambda: list(lake.batches_after(6))) <= 2
    assert lake.newest_revisions(0) == {3: revision_key(3, 2)}
    assert requests(client, lambda: lake.newest_revisions(0)) <= 2
    assert requests(client, lambda: lake.newest_revision(3)) == 1


def test_copies_named_like_batches_cost_a_page_per_thousand():
    """Where each may hide a manifest, every one has to be listed: once."""
    copies = [f"{manifest_key(number)}.bak" for number in range(1, 6_001)]
    for batches in (7, 1500, 6_000):
        lake, client = bucket([*copies, *map(manifest_key, range(1, batches + 1))])
        assert lake.last_batch() == batches
        assert client.listings <= 6 + 2 * 3 + 6


def test_a_far_number_does_not_make_the_search_long():
    """A manifest with a number far above the others, as a typing error or another tool leaves it."""
    lake, client = bucket([*map(manifest_key, range(1, 2001)), manifest_key(LAST)])
    assert lake.last_batch() == LAST
    assert client.listings <= 2 * 30 + 3
    now = datetime.now(UTC) + timedelta(days=3)
    assert requests(client, lambda: list(missed_batches(lake, lake, now))) < 100
    assert requests(client, lambda: sweep_ingestion(lake, now)) < 200


class Unusual:
    """An S3 whose pages are these, one after the other, and then the last one again."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = list(pages)

    def list_objects_v2(self, **_: Any) -> dict[str, Any]:
        return self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]


def entries(*keys: str) -> dict[str, Any]:
    return {"Contents": [{"Key": key, "LastModified": None} for key in keys]}


def test_pages_that_leave_the_end_open_are_an_error():
    """No way to go on, always the same way to go on, keys in no order: never taken for the end."""
    cut = {"IsTruncated": True}
    stuck = {"IsTruncated": True, "NextContinuationToken": "t"}
    for page, message in (
        (cut, "no way to go on"),
        (stuck, "no way to go on"),
        (entries(manifest_key(2), manifest_key(1)), "not the order"),
        (entries(manifest_key(2), manifest_key(2)), "not the order"),
        ({**entries(manifest_key(1)), **cut}, "not the order"),  # the same page for ever
    ):
        lake = Lake(Unusual(page), "lake")
        for read in (lake.last_batch, lambda lake=lake: list(lake.batches_after(0))):
            with pytest.raises(LakeError, match=message):
                read()
    with pytest.raises(LakeError, match="no way to go on"):
        Lake(Unusual({**cut, "CommonPrefixes": [{"Prefix": "data/a/"}]}), "lake").folders("data/")


def test_keys_beyond_the_prefix_are_ignored():
    lake = Lake(Unusual(entries("manifestr", manifest_key(1), "manifestz", "zz")), "lake")
    assert [batch_of(entry.key) for entry in lake.listing("manifests/")] == [1]
    assert lake.last_batch() == 1


def test_a_manifest_written_between_two_pages_is_listed():
    """What is committed while a listing goes on appears on a later page."""
    lake, client = bucket(map(manifest_key, range(1, 1001)))
    found = lake.batches_after(0)
    next(found)
    client.put_object("lake", manifest_key(1001), b"{}")
    assert [entry.number for entry in found][-1] == 1000  # that page was the last
    assert [entry.number for entry in lake.batches_after(1000)] == [1001]
