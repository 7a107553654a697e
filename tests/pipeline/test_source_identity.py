"""Servers that are not simply there: a hot standby, a copy of a disk, transaction ids that begin again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.lambdas.extract.extraction import Extracted, extract
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.freshness.source import ComparedSource, server_of
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials, connect
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server
from lambda_toolkit.pipeline.local_stack.process import free_port, stop, wait_until
from tests.support.clusters import Cluster, connect_again, connected, follow, owner
from tests.support.lake_contents import keys, manifest

SMALL = {
    "source": {"item": {"key": "id"}},
    "warehouse": {"dim_item": {"kind": "dimension", "from": "item", "key": "id", "columns": {"id": "id"}}},
}
LAST_XID = 2**32 - 1


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the clusters of this module are; all are stopped and deleted at its end."""
    root = tmp_path_factory.mktemp("clusters")
    try:
        yield root
    finally:
        for directory in root.iterdir():
            postgres_server.remove(directory)


@pytest.fixture(scope="module")
def stopped(root: Path) -> Cluster:
    """A stopped server with a table that has neither created_at nor last_updated."""
    cluster = Cluster(root / "first")
    with connected(cluster) as admin:
        admin.run("CREATE TABLE item (id int PRIMARY KEY, v text)")
        admin.run("INSERT INTO item SELECT n, 'a' FROM generate_series(1, 9) AS n")
        admin.run("VACUUM FREEZE")
    return cluster


def run(connection: Connection, lake) -> Extracted:
    return extract(PostgresSource(connection), lake, parse(SMALL), uuid.uuid4().hex)


def sees_the_same_again(connection: Connection) -> bool:
    """Whether a snapshot of a server at which nothing happens says that it shows what it shows."""
    with PostgresSource(connection).snapshot(parse(SMALL).source.values()) as taken:
        return taken.shows_the_same(taken.position())


def test_standby_captures_subtransactions_and_its_promotion(root, stopped, buckets):
    """A standby tells what savepoints and exception blocks wrote and is noticed when promoted."""
    lake, _ = buckets
    standby = stopped.copy(root / "standby")
    with connected(stopped) as primary:
        follow(standby, stopped)

        def caught_up(reader: Connection) -> None:
            target = primary.rows("SELECT pg_current_wal_insert_lsn()::text")[0][0]
            query = "SELECT pg_last_wal_replay_lsn() >= CAST(:target AS pg_lsn)"
            assert wait_until(lambda: reader.rows(query, target=target)[0][0], 30)

        with connected(standby) as reader:
            caught_up(reader)
            assert sees_the_same_again(primary)
            check_moments(primary, reader)
            assert run(reader, lake).rows == {"item": 9}
            other = connect_again(stopped)
            primary.run("BEGIN; SAVEPOINT a; UPDATE item SET v = 'b' WHERE id = 1; RELEASE a; SAVEPOINT b")
            primary.run("UPDATE item SET v = 'no' WHERE id = 2")
            other.run(
                "DO $$ BEGIN FOR n IN 3..5 LOOP BEGIN UPDATE item SET v = 'c' WHERE id = n; PERFORM 1 / (n - 4);"
                " EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$"
            )
            caught_up(reader)
            assert run(reader, lake).rows == {"item": 2}
            assert keys(lake, 2, "item") == [3, 5]
            primary.run("ROLLBACK TO b; COMMIT; DELETE FROM item WHERE id = 9")
            caught_up(reader)
            done = run(reader, lake)
            assert (done.rows, done.deleted) == ({"item": 1}, {"item": 1})
            assert keys(lake, 3, "item") == [1]
            assert run(reader, lake).batch is None
            assert not sees_the_same_again(reader), "of a standby's snapshots nothing is concluded"
            other.close()
            reader.run("ALTER SYSTEM SET primary_conninfo = 'port=1'")
            reader.run("SELECT pg_reload_conf()")
            assert wait_until(lambda: not is_of_now(reader), 30), "it receives nothing"
            reader.run("SELECT pg_promote()")
            reader.run("UPDATE item SET v = 'd' WHERE id = 4")
            done = run(reader, lake)
            assert "promoted" in str(done.reason_for_full)
            assert done.rows == {"item": 8}
            assert ComparedSource(reader).position().server == server_of(manifest(lake, 4).source)


def is_of_now(server: Connection) -> bool:
    """Whether a comparison takes what the server shows to be of now, and not of the last commit that it replayed."""
    replayed = "SELECT pg_last_xact_replay_timestamp()"
    before, found, after = server.rows(replayed), ComparedSource(server).position(), server.rows(replayed)
    is_now = found.as_of is not None and found.as_of >= found.clock
    assert is_now or [[found.as_of]] in (before, after)
    return is_now


def check_moments(primary: Connection, standby: Connection) -> None:
    """A standby is of now where it has replayed all that it receives."""
    assert is_of_now(primary)
    assert wait_until(lambda: is_of_now(standby), 30)
    standby.run("SELECT pg_wal_replay_pause()")
    assert wait_until(lambda: standby.rows("SELECT pg_get_wal_replay_pause_state()") == [["paused"]], 30)
    primary.run("UPDATE item SET v = 'a' WHERE id = 9")
    assert wait_until(lambda: not is_of_now(standby), 30), "it has received more"
    standby.run("SELECT pg_wal_replay_resume()")
    assert wait_until(lambda: is_of_now(standby), 30), "it has replayed exactly what it has received"


def test_disk_copy_with_newer_ids_is_noticed_by_its_start_time(root, stopped, buckets):
    """A copy of the disk whose ids overtook those known is noticed by its start."""
    lake, _ = buckets
    copied = stopped.copy(root / "copied")
    with connected(stopped) as first:
        first.run("INSERT INTO item VALUES (100, 'only here')")
        run(first, lake)
    with connected(copied) as second:
        second.run("UPDATE item SET v = 'overtaken' WHERE id = 3")
        for _ in range(50):
            second.run("SELECT pg_current_xact_id()")
        done = run(second, lake)
        assert "restarted" in str(done.reason_for_full)
        assert done.deleted == {"item": 1}
        assert 3 in keys(lake, 2, "item")


def test_recovery_from_a_crash_is_noticed(root, stopped, buckets):
    """A killed backend makes the server forget shared memory, and with it commits that did not wait for the disk."""
    lake, _ = buckets
    crashing = stopped.copy(root / "crashing")
    with connected(crashing) as first:
        victim = connect_again(crashing)
        run(first, lake)
        started = manifest(lake, 1).source.started
        os.kill(victim.rows("SELECT pg_backend_pid()")[0][0], signal.SIGKILL)

        def answers() -> bool:
            with contextlib.suppress(Exception), connect_again(crashing) as connection:
                return bool(connection.rows("SELECT 1"))
            return False

        assert wait_until(answers, 30)
        with connect_again(crashing) as again:
            assert "recovered from a crash" in str(run(again, lake).reason_for_full)
            assert manifest(lake, 2).source.started == started
            assert run(again, lake).batch is None


def is_changed(source: Connection, lake: Lake) -> bool:
    """Whether a comparison finds rows that the last batch does not have."""
    batch = manifest(lake, lake.last_batch() or 0)
    in_flight = batch.tables["item"].in_flight
    known = lake.table(in_flight.key, ["xmin"])["xmin"].to_pylist() if in_flight else []
    return ComparedSource(source).has_changes(parse(SMALL).source["item"], batch.source.snapshot_xmin, known)


def test_nothing_is_lost_when_the_transaction_ids_begin_again(root, stopped, buckets):
    lake, _ = buckets
    wrapping = stopped.copy(root / "wrapping")
    with connected(wrapping) as writer:
        writer.run("VACUUM FREEZE")  # else what was written before would seem to be of the future
    reset = postgres_server._binaries(wrapping.home, postgres_server._account()) / "pg_resetwal"
    data = wrapping.home / "data"
    done = postgres_server._run(
        [reset, "-f", "-x", str(LAST_XID - 60), "-u", str(LAST_XID - 70), "-D", data], postgres_server._account()
    )
    assert done.returncode == 0, done.stderr
    (data / "pg_xact" / "0FFF").write_bytes(bytes(256 * 1024))
    shutil.chown(data / "pg_xact" / "0FFF", *owner(data))
    with connected(wrapping) as writer:
        run(writer, lake)
        older = connect_again(wrapping)
        older.run("BEGIN; UPDATE item SET v = 'older' WHERE id = 1")
        begun = int(writer.rows("SELECT pg_current_xact_id()::xid::text")[0][0])
        for n in range(200):
            writer.run("UPDATE item SET v = :v WHERE id = 2", v=str(n))
        now = int(writer.rows("SELECT pg_current_xact_id()::xid::text")[0][0])
        assert now < begun
        assert run(writer, lake).rows == {"item": 1}
        assert run(writer, lake).batch is None
        assert not is_changed(writer, lake)
        older.run("COMMIT")
        older.close()
        assert is_changed(writer, lake)
        done = run(writer, lake)
        assert (done.rows, done.reason_for_full) == ({"item": 1}, None)
        assert keys(lake, 3, "item") == [1]
        assert run(writer, lake).batch is None


OTHERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@pytest.mark.skipif(not OTHERS, reason="this machine has no other PostgreSQL")
def test_another_version_of_the_server_tells_the_same(root, buckets):
    lake, _ = buckets
    binaries, account = OTHERS[0].parent, postgres_server._account()
    home = Path(tempfile.mkdtemp(prefix="local-postgres-", dir=postgres_server.OUTSIDE))
    if account is not None:
        shutil.chown(home, account.pw_uid, account.pw_gid)
    made = postgres_server._run(
        [binaries / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust", "-N"], account
    )
    assert made.returncode == 0, made.stderr
    port = free_port()
    process = postgres_server._launch(home, binaries, account, {**postgres_server.SETTINGS, "port": str(port)})
    try:
        postgres_server._await_answer(process, port, "", home)
        with connect(Credentials("127.0.0.1", port, "postgres", "postgres", "")) as admin:
            admin.run("CREATE TABLE item (id int PRIMARY KEY, v text)")
            admin.run("INSERT INTO item SELECT n, 'a' FROM generate_series(1, 9) AS n")
            assert run(admin, lake).rows == {"item": 9}
            admin.run("BEGIN; SAVEPOINT a; UPDATE item SET v = 'b' WHERE id = 2; RELEASE a; COMMIT")
            admin.run("DELETE FROM item WHERE id = 3")
            done = run(admin, lake)
            assert (done.rows, done.deleted) == ({"item": 1}, {"item": 1})
            assert run(admin, lake).batch is None
    finally:
        stop(process, signal.SIGQUIT)
        shutil.rmtree(home)
