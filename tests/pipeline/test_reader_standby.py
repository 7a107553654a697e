"""Readers of a real hot standby: they share its snapshot, or extract reads alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from lambda_toolkit.pipeline.lambdas.extract.extraction import Extracted, Request, extract_all, extract_with_readers
from lambda_toolkit.pipeline.lambdas.extract.limits import Limits
from lambda_toolkit.pipeline.lambdas.extract.readers.fan_out import ALONE, FanOut
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connected as session
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server
from lambda_toolkit.pipeline.local_stack.process import wait_until
from tests.support.clusters import Cluster, connect_again, connected, follow
from tests.support.lake_contents import manifest
from tests.support.readers import ChangedReaders, ThreadReaders, quick

DECLARED = parse(
    {
        "source": {"item": {"key": "id"}},
        "warehouse": {"dim_item": {"kind": "dimension", "from": "item", "key": "id", "columns": {"id": "id"}}},
    }
)
ROWS, LIMITS = 600, Limits(rows=150)
CANCELS = "max_standby_streaming_delay = 0\n"  # a read that is in the way of replication ends
CONFLICTS = "SELECT sum(confl_snapshot) > 0 FROM pg_stat_database_conflicts"


def test_standby_is_read_in_one_snapshot_or_alone(tmp_path, buckets):
    """Its own readers share its snapshot, those of the primary cannot, and where it cancels the snapshot none do."""
    lake, _ = buckets
    first = Cluster(tmp_path / "primary")
    try:
        with connected(first) as admin:
            admin.run("CREATE TABLE item (id int PRIMARY KEY, v text)")
            admin.run(
                "INSERT INTO item SELECT n, repeat('a', 90) FROM generate_series(1, CAST(:n AS int)) AS n", n=ROWS
            )
        standby = first.copy(tmp_path / "standby")
        with connected(first) as primary:
            follow(standby, first, CANCELS)
            with connected(standby):
                check_shared(standby, lake)
                check_primary(first, standby, fresh(lake, "primary"))
                check_cancelled(primary, standby, fresh(lake, "cancelled"))
    finally:
        for directory in tmp_path.iterdir():
            postgres_server.remove(directory)


def check_shared(standby: Cluster, lake: Lake) -> None:
    said, lost = read(standby, lake, readers_of(standby, lake))
    assert "ranges" in said[0]["item"]
    assert (lost, lake.last_batch()) == ([], 1)
    assert everything(lake) == Counter(range(1, ROWS + 1))


def check_primary(first: Cluster, standby: Cluster, lake: Lake) -> None:
    """A pooler may send a reader to another server, where the snapshot is not, or one of the same name."""
    said, lost = read(standby, lake, readers_of(first, lake))
    assert said[0]["item"].startswith(f"{ALONE}a reader could not share the snapshot")
    assert lost == []
    assert everything(lake) == Counter(range(1, ROWS + 1))


def check_cancelled(primary, standby: Cluster, lake: Lake) -> None:
    """VACUUM on the primary removes rows that the shared snapshot sees: the standby ends the sessions that have it."""
    readers = readers_of(standby, lake)

    def cancelled(request, really):
        if not readers.requests:
            primary.run("DELETE FROM item WHERE id <= 50")
            primary.run("VACUUM item")
            with closing(connect_again(standby)) as other:
                assert wait_until(lambda: other.rows(CONFLICTS)[0][0], 30)
        return really(request)

    said, lost = read(standby, lake, ChangedReaders(readers, cancelled))
    assert len(lost) == 1
    assert "is lost" in lost[0]
    assert not any(said)
    assert everything(lake) == Counter(range(51, ROWS + 1))


def readers_of(cluster: Cluster, lake: Lake) -> ThreadReaders:
    found = ThreadReaders(lambda: connect_again(cluster), DECLARED)
    found.lake = lake
    return found


def read(
    standby: Cluster, lake: Lake, readers: ThreadReaders | ChangedReaders
) -> tuple[list[Mapping[str, str]], list[str]]:
    """What all runs of extract, until nothing remains, say of readers; and why a snapshot was lost."""
    said: list[Mapping[str, str]] = []
    lost: list[str] = []

    @contextmanager
    def source() -> Iterator[PostgresSource]:
        with session(standby.credentials()) as connection:
            yield PostgresSource(connection)

    def run(of: PostgresSource, fan_out: FanOut | None) -> Extracted:
        return extract_all(of, lake, DECLARED, Request(), LIMITS, lambda done: said.append(done.readers), fan_out)

    extract_with_readers(source, run, quick(readers), lost.append)
    return said, lost


def everything(lake: Lake) -> Counter[int]:
    """How often each key is in the batches."""
    found: Counter[int] = Counter()
    for batch in range(1, (lake.last_batch() or 0) + 1):
        for file in manifest(lake, batch).tables["item"].change_files:
            found.update(lake.table(file.key).column("id").to_pylist())
    return found


def fresh(lake: Lake, name: str) -> Lake:
    """An empty lake beside ``lake``."""
    lake._client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    return Lake(lake._client, name)
