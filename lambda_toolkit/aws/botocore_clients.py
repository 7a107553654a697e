"""botocore's clients, created on first use, one at a time."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lambda_toolkit.aws.retries import ApiError, hint
from lambda_toolkit.errors import AwsError

if TYPE_CHECKING:
    import boto3
    import botocore.session

_INVOKE_TIMEOUT = 930  # seconds: a function may run for 900 before it answers a synchronous invocation


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
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()  # sessions are not thread-safe: one client is created at a time

    def get(self, service: str) -> Any:
        """The client for ``service``. Raises AwsError where none can be created: no region, no such profile."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._create(service)
            return self._clients[service]

    def _create(self, service: str) -> Any:
        with _garbage_collection_paused():
            import botocore.session
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError

            try:
                if self._session is None:
                    self._session = botocore.session.Session()
                config = Config(
                    retries={"total_max_attempts": 1},
                    max_pool_connections=self._connections,
                    tcp_keepalive=True,  # gateways drop idle connections after minutes, and a long invocation is silent
                    connect_timeout=10,
                    read_timeout=_INVOKE_TIMEOUT if service == "lambda" else 60,
                )
                if isinstance(self._session, botocore.session.Session):
                    create, configured = self._session.create_client, self._session.get_config_variable("region")
                else:
                    create, configured = self._session.client, self._session.region_name
                # boto3 reads AWS_DEFAULT_REGION only; Lambda, the AWS CLI and all other SDKs use AWS_REGION
                region = self._region or configured or os.environ.get("AWS_REGION")
                return create(service, region_name=region, config=config, endpoint_url=self._endpoint_url)
            except (BotoCoreError, ValueError) as error:
                failure = ApiError(service, "client", type(error).__name__, str(error))
                reason = str(error).rstrip(".")
                raise AwsError(
                    f"Cannot talk to AWS: {reason}.{hint(failure, '')}", code=failure.code, operation=service
                ) from error


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Pause the garbage collector: loading a service's model creates some hundred thousand long-lived objects."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
