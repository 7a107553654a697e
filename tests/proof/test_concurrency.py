"""Concurrent runs, each in a thread with its own connection: one counts, the others leave nothing."""

from __future__ import annotations

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from lambda_toolkit.pipeline.lambdas.extract.extraction import extract
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connected
from lambda_toolkit.pipeline.lambdas.transform.batch import replay, transform
from tests.proof import steps
from tests.proof.changes import KEYS, Delete, Insert, Update
from tests.proof.comparison import compare_lake, compare_warehouse
from tests.proof.databases import PASSWORD, READER
from tests.proof.steps import Do, Extract, Load, Transform

RUNS = 5
CHANGES = (
    Do(Update("payment", None, "paid", "true")),
    Do(Update("address", 1, "phone", "77")),
    Do(Insert("sales_order", 3)),
    Do(Delete("payment", 2)),
)


@pytest.fixture
def shop(world):
    """A world with one batch in the warehouse, and changes that no run has seen."""
    world.reset()
    world.perform([Extract(), Transform(), Load(), *CHANGES])
    yield world
    world.forget()


def concurrently(number, call):
    """What ``number`` calls return that begin together."""
    barrier = threading.Barrier(number)

    def begin(which):
        barrier.wait()
        return call(which)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(begin, range(number)))


def test_extract_five_concurrent_runs_commit_one_batch(shop):
    observed = shop.source.observe()
    reader = shop.databases.credentials("source", user=READER, password=PASSWORD)

    def run(_):
        with connected(reader) as connection:
            return extract(
                PostgresSource(connection), Lake(shop.client, shop.buckets[0]), shop.declarations, uuid.uuid4().hex
            )

    results = concurrently(RUNS, run)
    assert sorted(result.batch for result in results if result.batch) == [2]
    shop.look(2, *observed)
    shop.settle()
    assert len(shop.looks) == 2
    compare_warehouse(shop)
    compare_lake(shop)


def test_concurrent_extracts_lose_and_repeat_nothing(shop):
    """The threads race for many batches; the writer stops before they do, so that the last batch is of the end."""
    reader = shop.databases.credentials("source", user=READER, password=PASSWORD)
    stop = threading.Event()

    def work(which):
        if which == 0:
            for number in range(60):
                shop.step(Do(Update("sales_order", 1 + number % 2, "units_sold", str(number)), how=steps.SAVEPOINT))
            stop.set()
            return []
        committed = []
        with connected(reader) as connection:
            while True:
                last = stop.is_set()
                lake = Lake(shop.client, shop.buckets[0])
                done = extract(PostgresSource(connection), lake, shop.declarations, uuid.uuid4().hex)
                committed += [done.batch] if done.batch else []
                if last:
                    return committed

    committed = sorted(batch for batches in concurrently(RUNS, work) for batch in batches)
    assert committed == list(range(2, 2 + len(committed)))
    for batch in committed:
        shop.transform_batch(batch)
    load(PostgresWarehouse(shop.loader), Lake(shop.client, shop.buckets[1]), shop.declarations)
    shop.loader.run("SELECT pg_advisory_unlock_all()")
    rows = shop.warehouse.rows("SELECT sales_order_id, units_sold FROM fact_sales_order ORDER BY sales_record_id")
    for order in (1, 2):
        units = [units for key, units in rows if key == order]
        assert units[0] == 1000
        assert units[1:] == sorted(set(units[1:])), "a version twice, or older after newer"
        assert units[-1] == 59 - order % 2, "the last change is not there"


def test_load_five_concurrent_runs_write_once(shop):
    shop.perform([Extract(), Transform(), Do(Update("payment", 1, "paid", "false")), Extract(), Transform()])
    warehouse = shop.databases.credentials("warehouse")

    def run(_):
        with connected(warehouse) as connection:
            return load(PostgresWarehouse(connection), Lake(shop.client, shop.buckets[1]), shop.declarations)

    results = concurrently(RUNS, run)
    assert sorted(batch for result in results for batch in result.loaded) == [2, 3]
    assert all(result.loaded in ([], [2, 3]) for result in results)
    shop.step(Load())
    compare_warehouse(shop)


def test_same_event_in_twenty_threads_writes_each_object_once(shop):
    """Transform fed the same event twenty times concurrently writes each object once."""
    shop.step(Extract())
    lakes = [Lake(shop.client, bucket) for bucket in shop.buckets]
    results = concurrently(20, lambda which: (replay if which % 2 else transform)(*lakes, shop.declarations, 2))
    assert sum(result.created for result in results) == 1
    assert all(result.manifest == results[0].manifest for result in results)
    named = json.loads(shop.read(shop.buckets[1], manifest_key(2)))["tables"]
    files = {entry["key"] for entry in named.values() if entry["key"]}
    found = {entry["Key"] for entry in shop.client.list_object_versions(Bucket=shop.buckets[1])["Versions"]}
    assert {key for key in found if key.startswith("data/") and "batch=000000000002" in key} >= files
    assert len(named) < len(KEYS)
    shop.step(Load())
    compare_warehouse(shop)
    compare_lake(shop)
