"""PostgreSQL servers that are stopped, started with ``pg_ctl`` and filled, as an administrator's are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from pg8000.native import literal

from lambda_toolkit.pipeline.local_stack.postgres import databases, postgres_server
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from tests.support.databases import database_of, run

VOLUME_SIZE = "192m"
SMALL_VOLUME = "small_volume"  # the tablespace on it
_SETTABLE = "context <> 'internal' AND name NOT IN ('data_directory', 'config_file', 'hba_file', 'ident_file')"


@dataclass(frozen=True)
class Server:
    """A server of the drill. ``pg_ctl -D`` starts it again as it was started first."""

    directory: Path
    data: str
    binaries: Path
    account: tuple[int, int]
    """The ids of the user and the group that it runs as."""
    administrator: Database

    def stop(self) -> None:
        """End its sessions and the server, as a shutdown of its machine does."""
        assert postgres_server.stop(self.directory), f"no server runs in {self.directory}"

    def superuser(self, database: str) -> Database:
        """One of its databases, for the superuser."""
        return replace(self.administrator, database=database)

    def run(self, statement: str, database: str = "postgres") -> list[list[object]]:
        """The rows of a statement, as its superuser."""
        return run(self.superuser(database), statement)


def controlled(directory: Path) -> Server:
    """The running server of ``directory``, with its settings kept for ``pg_ctl``."""
    server = postgres_server.find(directory)
    assert server is not None, f"no server runs in {directory}"
    admin = database_of(server, "postgres")
    data = str(run(admin, "SHOW data_directory")[0][0])
    settings = run(admin, f"SELECT name, setting FROM pg_settings WHERE source = 'command line' AND {_SETTABLE}")
    with Path(data, "postgresql.conf").open("a", encoding="utf-8") as kept:
        kept.writelines(f"{name} = {literal(str(value))}\n" for name, value in settings)
    process = psutil.Process(server.pid)
    return Server(
        directory,
        data,
        Path(process.exe()).parent,
        (process.uids().real, process.gids().real),
        admin,
    )


@contextmanager
def warehouse_server(directory: Path, passwords: Mapping[str, str]) -> Iterator[tuple[Server, Database]]:
    """A server with an empty warehouse, on a volume of its own where this user may mount one."""
    server = postgres_server.start(directory)
    try:
        _, _, warehouse = databases.prepare(server, None, passwords, print)
        with _small_volume(controlled(directory)) as moved:
            yield moved, warehouse
    finally:
        postgres_server.remove(directory)


@contextmanager
def _small_volume(server: Server) -> Iterator[Server]:
    if not may_mount():
        yield server
        return
    volume = Path(server.data).parent / "volume"
    volume.mkdir()
    options = f"size={VOLUME_SIZE},mode=0700,uid={server.account[0]},gid={server.account[1]}"
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", volume], check=True)
    try:
        server.run(f"CREATE TABLESPACE {SMALL_VOLUME} LOCATION {literal(str(volume))}")
        server.run(f"ALTER DATABASE {databases.WAREHOUSE} SET TABLESPACE {SMALL_VOLUME}")
        yield server
    finally:
        postgres_server.stop(server.directory)
        subprocess.run(["/bin/umount", "--lazy", volume], check=True)


def may_mount() -> bool:
    """Whether this user may mount a file system: a full disk is not tried otherwise."""
    return os.geteuid() == 0


def tools(directory: Path, server: Server) -> str:
    """A PATH that begins with PostgreSQL's programs, of the server's version, and with this Python's.

    ``pg_ctl`` refuses to run as root: for root it runs as the server's account, as an administrator would call it.
    Where there is no ``aws``, one that knows the operations alone is made.
    """
    directory.mkdir(exist_ok=True)
    if shutil.which("aws") is None:
        _make_program(directory / "aws", f"{sys.executable} -m tests.drill.aws_cli")
    if os.geteuid() == 0:
        user, group = server.account
        command = f"setpriv --reuid={user} --regid={group} --clear-groups {server.binaries / 'pg_ctl'}"
        _make_program(directory / "pg_ctl", f"env --chdir=/ {command}")
    own = [str(directory), str(Path(sys.executable).parent), str(server.binaries)]
    return os.pathsep.join([*own, os.environ.get("PATH", os.defpath)])


def _make_program(path: Path, command: str) -> None:
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
