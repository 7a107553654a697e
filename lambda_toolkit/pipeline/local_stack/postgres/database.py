"""Where a database of the local stack is. The driver is imported to connect: most commands only read where it is."""

from __future__ import annotations

import socket
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lambda_toolkit.pipeline.local_stack.errors import LocalError

if TYPE_CHECKING:
    import pg8000.native

CONNECT_TIMEOUT = 10.0  # seconds, of a server on this machine


@dataclass(frozen=True)
class Database:
    """Where a database is, and one user with its password."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """postgresql://user:password@host:port/database."""
        user, password, database = (quote(part, safe="") for part in (self.user, self.password, self.database))
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{database}"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, including the password."""
        return asdict(self)

    def connect(self) -> pg8000.native.Connection:
        """Open a connection. Raises LocalError, without the password, where that fails.

        The server must answer to the connection within CONNECT_TIMEOUT; a statement may take as long as it takes.
        """
        import pg8000.native

        from lambda_toolkit.pipeline.local_stack.postgres.sql_script import message_of

        try:
            connected = socket.create_connection((self.host, self.port), timeout=CONNECT_TIMEOUT)
        except OSError as error:
            raise self._failure(error.strerror or error) from error
        try:
            connection = pg8000.native.Connection(
                self.user, sock=connected, database=self.database, password=self.password
            )
        except (pg8000.native.InterfaceError, pg8000.native.DatabaseError, OSError) as error:
            connected.close()
            raise self._failure(message_of(error)) from error
        connected.settimeout(None)
        return connection

    def _failure(self, reason: object) -> LocalError:
        return LocalError(
            f"Cannot connect to database {self.database} at {self.host}:{self.port} as {self.user}: {reason}"
        )
