"""botocore's clients, created on first use, one at a time."""

from __future__ import annotations

import atexit
import functools
import gc
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lambda_toolkit.aws.retries import ApiError, hint
from lambda_toolkit.errors import AwsError

if TYPE_CHECKING:
    import boto3
    import botocore.session

_TIMEOUT = 60  # seconds without a byte of the answer: no call that reads or changes settings takes as long
_INVOKE_TIMEOUT = 930  # seconds: a function may run for 900 before it answers a synchronous invocation
_INVOKE = ("lambda", "invoke")
# Gateways drop idle connections after minutes (AWS's NAT gateway after 350 s), and a long invocation is silent. Without
# these, the first probe is sent after two hours, which is Linux's default. macOS calls the first one TCP_KEEPALIVE.
_PROBES = (("TCP_KEEPIDLE", 60), ("TCP_KEEPALIVE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4))  # seconds, count

_FREEZES = threading.Event()
"""Set once the program has frozen objects itself, as servers do before they fork."""


class Clients:
    """The clients of one region, each with a pool of at most ``connections``. They never retry: :class:`Aws` does.

    Without a ``session``, clients come from botocore and not from boto3: they are the same classes, and importing boto3
    takes longer than all reads of an unchanged deploy.
    """

    def __init__(
        self,
        region: str | None,
        session: boto3.Session | botocore.session.Session | None,
        connections: int,
        endpoint_url: str | None = None,
    ) -> None:
        self._region = region
        self._session = session
        self._connections = connections
        self._endpoint_url = endpoint_url
        self._clients: dict[tuple[str, bool], Any] = {}
        self._lock = threading.Lock()  # sessions are not thread-safe: one client is created at a time

    def get(self, service: str, operation: str = "") -> Any:
        """The client for ``service``. Raises AwsError where none can be created: no region, no such profile.

        Lambda's operation ``invoke`` has a client of its own, which waits as long as a function may run.
        """
        key = (service, (service, operation) == _INVOKE)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._create(*key)
            return self._clients[key]

    def _create(self, service: str, waits: bool) -> Any:
        with _garbage_collection_paused():
            import botocore.session
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError

            from lambda_toolkit.aws import service_models

            try:
                if self._session is None:
                    self._session = botocore.session.Session()
                    data_path = self._session.get_config_variable("data_path")
                    self._session.register_component("data_loader", service_models.loader(data_path))
                    _end_without_collection()
                config = Config(
                    retries={"total_max_attempts": 1},
                    max_pool_connections=self._connections,
                    tcp_keepalive=True,
                    connect_timeout=10,
                    read_timeout=_INVOKE_TIMEOUT if waits else _TIMEOUT,
                )
                if isinstance(self._session, botocore.session.Session):
                    create, configured = self._session.create_client, self._session.get_config_variable("region")
                else:
                    create, configured = self._session.client, self._session.region_name
                # boto3 reads AWS_DEFAULT_REGION only; Lambda, the AWS CLI and all other SDKs use AWS_REGION
                region = self._region or configured or os.environ.get("AWS_REGION")
                client = create(service, region_name=region, config=config, endpoint_url=self._endpoint_url)
            except (BotoCoreError, ValueError) as error:
                failure = ApiError(service, "client", type(error).__name__, str(error))
                reason = str(error).rstrip(".")
                raise AwsError(
                    f"Cannot talk to AWS: {reason}.{hint(failure, '')}", code=failure.code, operation=service
                ) from error
            if waits:
                _probe_idle_connections(client)
            return client


def _probe_idle_connections(client: Any) -> None:
    """Let the connections of ``client`` probe the other end while they are idle, where this platform can.

    botocore has no setting for it: only for keep-alive itself, with the times of the operating system.
    """
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    options = getattr(session, "_socket_options", None)
    if isinstance(options, list):
        options += [
            (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _PROBES if hasattr(socket, name)
        ]


@functools.cache
def _end_without_collection() -> None:
    """Lets the process end without a search for garbage, which would visit all models and free none."""
    atexit.register(gc.freeze)


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Pause the garbage collector: loading a service's model creates some hundred thousand long-lived objects.

    They become old without a visit: freezing moves all objects out of the young generations, and the reverse moves them
    into the oldest. In a program that froze objects itself these stay frozen, and the models are visited once.
    https://docs.python.org/3/library/gc.html#gc.freeze
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not _FREEZES.is_set():
                if gc.get_freeze_count():  # which counts them one by one: once is enough
                    _FREEZES.set()
                else:
                    gc.freeze()
                    gc.unfreeze()
            gc.enable()
