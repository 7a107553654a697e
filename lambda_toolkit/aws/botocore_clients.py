"""botocore's clients: made when first asked for, and never two at once."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lambda_toolkit.aws.retries import Refusal, hint
from lambda_toolkit.errors import AwsError

if TYPE_CHECKING:
    import boto3
    import botocore.session

_LONGEST_INVOCATION = 930  # seconds: a function may take 900 to answer the one who invokes it


class Clients:
    """The clients of one region, with at most ``connections`` at a time. They repeat nothing: :class:`Aws` does.

    Unless a ``session`` of boto3 is given, clients come from botocore itself: they are the same ones, and importing
    boto3 takes longer than all reads of an unchanged deploy.
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
        self._made: dict[str, Any] = {}
        self._making = threading.Lock()  # sessions are not safe to make clients in from two threads at once

    def get(self, service: str) -> Any:
        """The client for ``service``. Raises AwsError where none can be made: no region, no such profile."""
        with self._making:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    def _make(self, service: str) -> Any:
        with _uncollected():
            import botocore.session
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError

            try:
                if self._session is None:
                    self._session = botocore.session.Session()
                config = Config(
                    retries={"total_max_attempts": 1},
                    max_pool_connections=self._connections,
                    tcp_keepalive=True,  # gateways drop what is silent for minutes, as a long invocation is
                    connect_timeout=10,
                    read_timeout=_LONGEST_INVOCATION if service == "lambda" else 60,
                )
                if isinstance(self._session, botocore.session.Session):
                    make, known = self._session.create_client, self._session.get_config_variable("region")
                else:
                    make, known = self._session.client, self._session.region_name
                # boto3 knows AWS_DEFAULT_REGION alone; Lambda, AWS's command line and all other SDKs set AWS_REGION
                region = self._region or known or os.environ.get("AWS_REGION")
                return make(service, region_name=region, config=config, endpoint_url=self._endpoint_url)
            except (BotoCoreError, ValueError) as error:
                refusal = Refusal(service, "client", type(error).__name__, str(error))
                said = str(error).rstrip(".")
                raise AwsError(
                    f"Cannot talk to AWS: {said}.{hint(refusal, '')}", code=refusal.code, operation=service
                ) from error


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for garbage meanwhile: reading a service's model makes some hundred thousand objects, all to stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
