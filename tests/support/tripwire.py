"""A server that must not be connected to, and the environment of a shell that points at it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Tripwire:
    """Accepts connections to a port of this machine, and counts them."""

    port: int
    connections: list[str] = field(default_factory=list)

    @property
    def shell(self) -> dict[str, str]:
        """The variables of a person who works with production in the same shell."""
        url = f"postgresql://production:secret@127.0.0.1:{self.port}/production?sslmode=disable"
        libpq = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "production", "PGPASSWORD": "secret"}
        return {
            **libpq,
            "PGHOSTADDR": "127.0.0.1",
            "PGDATABASE": "production",
            "DATABASE_URL": url,
            "SOURCE_DATABASE_URL": url,
            "WAREHOUSE_DATABASE_URL": url,
        }


@contextmanager
def tripwire() -> Iterator[Tripwire]:
    """A tripwire while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        wire = Tripwire(server.getsockname()[1])

        def watch() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                wire.connections.append(str(address))
                connection.close()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        yield wire
        server.shutdown(socket.SHUT_RDWR)
    watcher.join()
