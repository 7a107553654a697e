"""Servers of a test's own, whose disks can be copied: a copy may follow the first as its standby."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection, Credentials, connect
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server


@dataclasses.dataclass
class Cluster:
    """A server of these tests, in a directory of its own, which can be copied."""

    directory: Path

    def start(self) -> Connection:
        """Starts it, and connects to it as its owner."""
        return connect(self.credentials())

    def credentials(self) -> Credentials:
        """Its owner's; it is started where it does not run."""
        server = postgres_server.start(self.directory)
        return Credentials(server.host, server.port, "postgres", server.superuser, server.password)

    @property
    def home(self) -> Path:
        """Where its files are."""
        found = postgres_server._find_home(self.directory)
        assert found is not None
        return found

    def copy(self, directory: Path) -> Cluster:
        """The copy of its disk, below ``directory``; it must be stopped."""
        home = self.home.parent / f"{self.home.name}-{directory.name}"
        subprocess.run(["/bin/cp", "-a", self.home, home], check=True)
        directory.mkdir()
        (directory / "home").symlink_to(home)
        return Cluster(directory)


class connected:  # noqa: N801  # used like a function
    """A connection to a cluster, which runs only meanwhile."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __enter__(self) -> Connection:
        self._connection = self._cluster.start()
        return self._connection

    def __exit__(self, *failure: object) -> None:
        self._connection.close()
        postgres_server.stop(self._cluster.directory)


def follow(standby: Cluster, primary: Cluster, settings: str = "") -> None:
    """Makes ``standby``, a stopped copy of ``primary``, which runs, a hot standby of it, with more ``settings``."""
    server = postgres_server.find(primary.directory)
    assert server is not None
    data = standby.home / "data"
    (data / "standby.signal").touch()
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write(
            f"primary_conninfo = 'host={server.host} port={server.port} user={server.superuser}"
            f" password={server.password}'\n{settings}"
        )
    shutil.chown(data / "standby.signal", *owner(data))


def connect_again(cluster: Cluster) -> Connection:
    """Another connection to a cluster that runs."""
    return cluster.start()


def owner(path: Path) -> tuple[int, int]:
    """User and group of a file."""
    status = path.stat()
    return status.st_uid, status.st_gid
