"""Readers that die, are slow, come twice, or read something else: a whole batch or none, and always progress."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import threading
import time
import uuid

import pytest

from lambda_toolkit.pipeline.lambdas.extract.extraction import extract, extract_with_readers
from lambda_toolkit.pipeline.lambdas.extract.readers.fan_out import ALONE
from lambda_toolkit.pipeline.lambdas.extract.source import shared_snapshot
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.extract.source.shared_snapshot import SnapshotLostError
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import files_of
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import run_of
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import SESSION, connect, connected
from lambda_toolkit.pipeline.local_stack.process import free_port
from tests.support.failing_workers import answers, fails, twice
from tests.support.lake_contents import manifest
from tests.support.large_table import LIMITS, check_one_batch, grow, present, rows_of, step
from tests.support.pipeline import READER_PASSWORD
from tests.support.readers import ChangedReaders, ThreadReaders, quick


def test_range_is_read_again_where_its_reader_failed(pipeline, readers):
    """Of three tries one must succeed; and a range that two readers read is the same twice."""
    grow(pipeline)
    failing = fails(2)

    def read(request, really):
        return twice(request, lambda asked: failing(asked, really))

    done = step(pipeline, quick(ChangedReaders(readers, read)))
    assert "ranges" in done.readers["payment"]
    check_one_batch(pipeline, present(pipeline))


def other(**changed):
    """A reader of another snapshot, or another server, than it was asked for."""

    def read(request, really):
        source = {**request.snapshot.source, **changed.get("source", {})}
        snapshot = dataclasses.replace(request.snapshot, **{**changed, "source": source})
        return really(dataclasses.replace(request, snapshot=snapshot))

    return read


def short(request, really):
    """A reader whose range ends before it should."""
    return really(dataclasses.replace(request, end=request.first or "(0,1)"))


UNUSABLE = {
    "all die": (fails(1000), "failed 3 times: ConnectionResetError"),
    "another server": (other(source={"system_identifier": "1"}), "system_identifier differ"),
    "another database": (other(source={"database_oid": 1}), "database_oid differ"),
    "another moment": (other(visible="1:1:"), "its transactions differ"),
    "snapshot unknown": (other(name="00000003-0000001B-1"), "refuses the snapshot"),
    "answers another moment": (answers(visible="1:1:"), "in another snapshot"),
    "answers another range": (answers(number=0), "in another snapshot"),
    "rows missing": (short, "and the source has 609"),
    "values differ": (answers(sums={}), "another sum than the source's"),
}


def test_extract_reads_alone_what_readers_could_not(pipeline, readers):
    """Nothing of what readers read is in a batch unless all of it is: extract reads the table in ranges of its own."""
    grow(pipeline)
    client, problems = pipeline.ingestion._client, []
    for name, (read, why) in UNUSABLE.items():
        bucket = name.replace(" ", "-")
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        readers.lake = pipeline.ingestion = Lake(client, bucket)
        done = step(pipeline, quick(ChangedReaders(readers, read)))
        first = manifest(pipeline.ingestion, 1)
        if not (done.readers["payment"].startswith(ALONE) and why in done.readers["payment"]):
            problems.append(f"{name}: {done.readers}")
        assert set(done.incomplete) == {"payment"}
        assert first.tables["payment"].more_changes == ()
        assert {run_of(key)[1] for key in files_of(first)} == {first.run[:8]}  # a sweep finds the files of others
    assert problems == []
    while step(pipeline, quick(ChangedReaders(readers, read))).incomplete:
        pass
    rows = [row for batch in range(1, pipeline.ingestion.last_batch() + 1) for row in rows_of(pipeline, batch)]
    assert sorted(row["payment_id"] for row in rows) == sorted(present(pipeline))


def test_late_reader_does_not_hold_up_or_change_a_batch(pipeline, readers):
    """A reader that is too slow is not waited for; what it answers later is part of nothing."""
    grow(pipeline)
    ended, released, late, now = threading.Event(), threading.Event(), [], [0.0]

    def read(request, really):
        if request.number == 2:
            released.wait(60)
            late.append(really(request))
            ended.set()
            return late[0]
        now[0] += 10
        return really(request)

    done = step(pipeline, quick(ChangedReaders(readers, read), seconds=35, clock=lambda: now[0]))
    assert "took too long" in done.readers["payment"]
    before = pipeline.ingestion.get("manifests/batch-000000000001.json")
    released.set()
    assert ended.wait(60)
    assert "refuses the snapshot" in late[0].refused  # extract's transaction has ended
    assert pipeline.ingestion.get("manifests/batch-000000000001.json") == before


def test_no_batch_where_the_shared_snapshot_is_lost(pipeline, readers, credentials):
    """Extract's transaction ends while readers read: nothing is committed, and extract begins again, and alone."""
    grow(pipeline)
    source = dataclasses.replace(credentials[0], user="reader", password=READER_PASSWORD)
    ended, lost, connections = [], [], []

    def read(request, really):
        found = really(request)
        if not ended:
            ended.append(request.number)
            pipeline.admin.run("SELECT pg_terminate_backend(:pid)", pid=connections[0])
        return found

    @contextlib.contextmanager
    def session():
        with connected(source) as connection:
            connections.append(connection.rows("SELECT pg_backend_pid()")[0][0])
            yield PostgresSource(connection)

    def run(connection, fan_out):
        if len(connections) == 2:
            assert pipeline.ingestion.last_batch() is None
            assert fan_out is None
        lake, declarations = pipeline.ingestion, pipeline.declarations
        return extract(connection, lake, declarations, uuid.uuid4().hex, limits=LIMITS, fan_out=fan_out)

    done = extract_with_readers(session, run, quick(ChangedReaders(readers, read)), lost.append)
    assert done.batch == 1
    assert done.incomplete
    assert "is lost" in lost[0]


def test_readers_may_take_longer_than_a_session_may_be_idle(pipeline, readers, monkeypatch):
    """Extract keeps its transaction from being ended as idle while readers, one after the other, take their time."""
    grow(pipeline)
    monkeypatch.setitem(SESSION, "idle_in_transaction_session_timeout", "1500ms")

    def read(request, really):
        time.sleep(2)
        return really(request)

    slow = ChangedReaders(readers, read)
    assert "ranges" in step(pipeline, quick(slow, most=2, range_rows=400)).readers["payment"]
    check_one_batch(pipeline, present(pipeline))
    with pytest.raises(SnapshotLostError, match="idle-in-transaction"):
        step(pipeline, quick(slow, most=2, range_rows=400, heartbeat=60), full=frozenset({"payment"}))


def test_readers_are_bounded_by_the_connections_left(pipeline, readers):
    """No more than half of the connections that the source has left are taken: for fewer than two, extract reads."""
    grow(pipeline)
    running, most = [], []

    def read(request, really):
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        found = really(request)
        running.pop()
        return found

    try:
        pipeline.admin.run("ALTER ROLE reader CONNECTION LIMIT 4")
        assert "no connections left" in step(pipeline, quick(readers)).readers["payment"]
        readers.close()
        pipeline.admin.run("ALTER ROLE reader CONNECTION LIMIT 6")
        done = step(pipeline, quick(ChangedReaders(readers, read)), full=frozenset({"payment"}))
        assert "2 at a time" in done.readers["payment"]
        assert max(most) == 2
    finally:
        pipeline.admin.run("ALTER ROLE reader CONNECTION LIMIT -1")


def test_exclusive_lock_in_the_queue_does_not_stop_a_batch(pipeline, readers, monkeypatch):
    """Who waits to alter the table is before a reader in the queue, and behind extract: extract reads alone."""
    grow(pipeline)
    monkeypatch.setitem(shared_snapshot._OWN_LIMITS, "lock_timeout", "100ms")
    other_session, waits = pipeline.new_session(), []

    def read(request, really):
        if not waits:
            waits.append(threading.Thread(target=other_session.run, args=("TRUNCATE payment",)))
            waits[0].start()
            blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not pipeline.admin.rows(blocked)[0][0]:
                time.sleep(0.01)
        return really(request)

    before = present(pipeline)
    done = step(pipeline, quick(ChangedReaders(readers, read), most=2))
    assert "failed 3 times" in done.readers["payment"]
    waits[0].join(20)
    assert {row["payment_id"] for row in rows_of(pipeline, 1)} < set(before)


@contextlib.contextmanager
def pooled(credentials, directory, size):
    """A pgbouncer that gives each transaction one of ``size`` connections, and credentials for it."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed: make pgbouncer")
    directory.chmod(0o777)
    port = free_port()
    users, settings = directory / "users.txt", directory / "pgbouncer.ini"
    password = credentials.password.replace('"', '""')
    users.write_text(f'"{credentials.user}" "{password}"\n', encoding="utf-8")
    settings.write_text(
        f"[databases]\n* = host={credentials.host} port={credentials.port}\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = plain\nauth_file = {users}\nunix_socket_dir =\n"
        f"pool_mode = transaction\ndefault_pool_size = {size}\nquery_wait_timeout = 2\n",
        encoding="utf-8",
    )
    own = ["--user", "nobody"] if os.geteuid() == 0 else []
    for path in (users, settings):
        path.chmod(0o644)
    process = subprocess.Popen(
        [program, "--quiet", *own, settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        pooler = dataclasses.replace(credentials, host="127.0.0.1", port=port, sslmode="disable")
        wait_for(lambda: connect(pooler).close())
        yield pooler
    finally:
        process.terminate()
        process.wait(10)


def wait_for(action):
    for _ in range(200):
        with contextlib.suppress(PipelineError):
            return action()
        time.sleep(0.05)
    return action()


@pytest.mark.parametrize(("size", "together"), [(8, True), (1, False)])
def test_pooler_with_too_few_connections_ends_in_ranges(pipeline, credentials, tmp_path, size, together):
    """Through a real pooler, in transaction mode, readers share the snapshot; where it has one connection, none can."""
    grow(pipeline)
    source = dataclasses.replace(credentials[0], user="reader", password=READER_PASSWORD)
    # What every session of ours sets is not there in the next transaction: readers must not depend on it.
    pipeline.admin.run("ALTER ROLE reader SET DateStyle = 'SQL, DMY'; ALTER ROLE reader SET extra_float_digits = 0")
    try:
        with pooled(source, tmp_path, size) as pooler, connected(pooler) as connection:
            readers = ThreadReaders(lambda: connect(pooler), pipeline.declarations)
            readers.lake, pipeline.reader = pipeline.ingestion, connection
            done = step(pipeline, quick(readers, attempts=1))
            assert done.readers["payment"].startswith(ALONE) != together
            assert bool(done.incomplete) != together
            while step(pipeline, quick(readers, attempts=1)).incomplete:
                pass
            readers.close()
    finally:
        pipeline.admin.run("ALTER ROLE reader RESET ALL")
    rows = [row for batch in range(1, pipeline.ingestion.last_batch() + 1) for row in rows_of(pipeline, batch)]
    assert {row["payment_id"]: row["payment_amount"] for row in rows} == present(pipeline)
    assert len(rows) == len(present(pipeline))
    assert {row["payment_date"] for row in rows} <= {"2024-01-07"}
