"""A real server that outlives its command, for root and for an ordinary user."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pg8000.native
import pytest

from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server as postgres
from lambda_toolkit.pipeline.local_stack.postgres.postgres_server import Server
from lambda_toolkit.pipeline.local_stack.process import free_port, identify, is_alive, wait_until

ROOT = Path(__file__).parents[2]
LIFE = """
import sys
from pathlib import Path
from local import postgres
directory = Path(sys.argv[1])
server = postgres.start(directory)
assert postgres.start(directory) == server
assert postgres.stop(directory) and not postgres.stop(directory)
postgres.remove(directory)
print("lived")
"""

EXPECTED = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "50",
    "TimeZone": "UTC",
    "log_timezone": "UTC",
    "track_commit_timestamp": "on",
    **dict.fromkeys(("fsync", "full_page_writes", "synchronous_commit"), "off"),
}


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "server"
    postgres.remove(tmp_path / "server")


def connect(server: Server, password: str | None = None) -> pg8000.native.Connection:
    return pg8000.native.Connection(
        server.superuser, host=server.host, port=server.port, password=password or server.password, database="postgres"
    )


def test_data_survives_stop_and_start(directory: Path) -> None:
    first = postgres.start(directory)
    connection = connect(first)
    connection.run("CREATE TABLE kept AS SELECT 1 AS one")
    found = dict(connection.run("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)", names=[*EXPECTED]))
    assert found == EXPECTED
    made = connection.run("SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale FROM pg_database LIMIT 1")
    assert made == [["UTF8", "b", "C.UTF-8"]], "the same on every machine"
    connection.close()
    assert postgres.start(directory) == first
    assert postgres.stop(directory)
    assert not is_alive(first.identity)
    assert not postgres.stop(directory)
    assert postgres.has_data(directory)

    second = postgres.start(directory, port=free_port(), settings={"max_connections": "7"})

    assert connect(second).run("SELECT one, current_setting('max_connections') FROM kept") == [[1, "7"]]
    postgres.remove(directory)
    assert not directory.exists()
    assert postgres.find(directory) is None


def test_it_listens_on_loopback_alone_and_asks_for_the_password(postgres_server: Server) -> None:
    connection = connect(postgres_server)

    assert connection.run("SHOW listen_addresses") == [["127.0.0.1"]]
    assert connection.run("SHOW unix_socket_directories") == [[""]]
    rules = connection.run("SELECT DISTINCT auth_method FROM pg_hba_file_rules")
    connection.close()
    assert rules == [["scram-sha-256"]]
    with pytest.raises(pg8000.native.DatabaseError, match="password authentication failed"):
        connect(postgres_server, password="wrong")
    assert postgres_server.password not in repr(postgres_server)


def test_its_secrets_are_its_owners_alone(postgres_server: Server) -> None:
    home = postgres._find_home(postgres_server.directory)
    assert home is not None
    for name in ("superuser", "server.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert not (home / "initdb-password").exists()


def test_a_killed_server_is_started_again(directory: Path) -> None:
    killed = postgres.start(directory)
    os.kill(killed.pid, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(killed.identity), 5)
    assert postgres.find(directory) is None

    again = postgres.start(directory)

    assert again.pid != killed.pid
    assert connect(again).run("SELECT 1") == [[1]]


def test_a_server_without_a_record_is_found_by_its_own(directory: Path) -> None:
    unrecorded = postgres.start(directory)
    home = postgres._find_home(directory)
    assert home is not None
    (home / "server.json").unlink()

    assert postgres.stop(directory)
    assert not is_alive(unrecorded.identity)


def test_pid_file_left_by_a_crash_kills_no_process(directory: Path) -> None:
    postgres.start(directory)
    postgres.stop(directory)
    home = postgres._find_home(directory)
    me = identify(os.getpid())
    assert home is not None and me is not None
    (home / "data" / "postmaster.pid").write_text(f"{me.pid}\n{home / 'data'}\n1\n", encoding="utf-8")

    assert not postgres.stop(directory)


def test_failed_start_shows_the_end_of_the_log_and_cleans_up(directory: Path) -> None:
    """A start that fails shows the end of the log and leaves nothing."""
    with pytest.raises(LocalError, match="no_such_setting"):
        postgres.start(directory, settings={"no_such_setting": "1"})

    assert postgres.find(directory) is None


def test_a_port_that_is_taken(directory: Path, postgres_server: Server) -> None:
    with pytest.raises(LocalError, match="Address already in use|could not bind"):
        postgres.start(directory, port=postgres_server.port)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a choice of users")
def test_an_ordinary_user_needs_no_root() -> None:
    account = pwd.getpwnam("nobody")
    directory = Path(tempfile.mkdtemp(prefix="ordinary-", dir="/tmp"))
    os.chown(directory, account.pw_uid, account.pw_gid)
    try:
        result = subprocess.run(
            [sys.executable, "-B", "-c", LIFE, directory / "server"],
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
    except PermissionError:
        pytest.skip("this Python is in a directory that an ordinary user cannot read")
    finally:
        shutil.rmtree(directory)

    assert result.stdout == "lived\n", result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's server needs no other place")
def test_root_stores_data_elsewhere_if_the_account_has_no_access(tmp_path: Path) -> None:
    """Root keeps the data elsewhere where the account cannot go."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    directory = closed / "server"

    server = postgres.start(directory)
    home = (directory / "home").readlink()
    alive = connect(server).run("SELECT 1")
    postgres.remove(directory)

    assert alive == [[1]]
    assert str(home).startswith("/var/tmp/")
    assert not home.exists()
    assert not directory.exists()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
