"""Clients and connections that end a function at a chosen point, or act for another process there."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from tests.proof.steps import Crash

IN_TRANSACTION = b"T"  # as PostgreSQL reports it when it is ready for the next statement


class CrashError(BaseException):
    """The process has died: a function must not catch this, and others close what it had opened."""


class CrashCounter:
    """Dies at the effect that ``crash`` names. ``meanwhile`` is called once, before the first effect."""

    def __init__(self, crash: Crash | None, *, sql: bool, meanwhile: Callable[[], object] | None = None) -> None:
        self._left = crash.at if crash is not None and crash.sql == sql else 0
        self._after = crash is not None and crash.after
        self._meanwhile = meanwhile
        self.died = False

    def effect(self, act: Callable[[], Any]) -> Any:
        """``act``, unless this is where the process dies."""
        if self.died:
            raise CrashError
        if self._meanwhile is not None:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()
        self._left -= 1
        if self._left == 0 and not self._after:
            self.died = True
            raise CrashError
        result = act()
        if self._left == 0:
            self.died = True
            raise CrashError
        return result


class CrashingClient:
    """An S3 client whose puts are counted."""

    def __init__(self, client: Any, countdown: CrashCounter) -> None:
        self._client, self._countdown = client, countdown

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_object(self, **request: Any) -> Any:
        return self._countdown.effect(lambda: self._client.put_object(**request))


class ReadingClient:
    """An S3 client whose reads are counted, and refused while ``connection`` is in a transaction."""

    def __init__(self, client: Any, countdown: CrashCounter, connection: Connection) -> None:
        self._client, self._countdown, self._connection = client, countdown, connection

    def __getattr__(self, name: str) -> Any:
        assert self._connection._transaction_status != IN_TRANSACTION, f"{name} while a transaction waits"
        return getattr(self._client, name)

    def get_object(self, **request: Any) -> Any:
        return self._countdown.effect(lambda: self.__getattr__("get_object")(**request))


class CrashingConnection(Connection):
    """A connection whose statements are counted. When it dies the server hears of it by the closed socket."""

    countdown: CrashCounter | None = None

    def run(self, statement: str, stream: Any = None, types: Any = None, **parameters: Any) -> Any:
        act = lambda: super(CrashingConnection, self).run(statement, stream=stream, types=types, **parameters)  # noqa: E731
        if self.countdown is None:
            return act()
        try:
            return self.countdown.effect(act)
        except CrashError:
            if self._usock is not None:  # else a COPY that ended early has closed the connection
                with contextlib.suppress(OSError):
                    self._usock.shutdown(socket.SHUT_RDWR)
            raise
