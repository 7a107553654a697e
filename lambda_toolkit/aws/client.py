"""All calls to AWS go through :class:`Aws`: one region's clients, with one retry policy.

botocore's own retries are off: every wait happens here, with one clock and one time limit.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lambda_toolkit.aws.account import Account, Place
from lambda_toolkit.aws.botocore_clients import Clients
from lambda_toolkit.aws.error_messages import Request, api_error_of, as_aws_error, cause_of
from lambda_toolkit.aws.retries import NOT_FOUND, Retry, is_unanswered, retry_policy
from lambda_toolkit.errors import AwsError

if TYPE_CHECKING:
    import boto3
    import botocore.session

_T = TypeVar("_T")
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_GROWTH = 1.5
_JITTER = 0.5  # the random share of a pause
_AFTER_INTERRUPT = 5.0  # seconds for which calls are still repeated, such as the one that ends a canary
_FAST_POLLING, _FAST_PAUSE = 1.0, 0.1  # seconds: most updates of a function finish within the first second
READERS = 10  # more are throttled; with 20 functions at 80 ms a call, 8 take 1.2 s, 10 take 1.1 s and 16 take 0.9 s
WRITERS = 8  # more are throttled: Lambda's and IAM's control planes take few writes a second
_CONNECTIONS = READERS + WRITERS  # concurrent calls of all threads, and the size of each service's connection pool


@dataclass(frozen=True)
class Clock:
    """Where the toolkit reads the time, sleeps, and draws random numbers."""

    now: Callable[[], float] = time.monotonic
    """Seconds from an arbitrary origin; never runs backwards."""
    sleep: Callable[[float], None] = time.sleep
    """Blocks for that many seconds."""
    random: Callable[[], float] = random.random
    """A number from 0 to 1."""
    wall: Callable[[], float] = time.time
    """Seconds since 1970, UTC."""
    interrupted: threading.Event = field(default_factory=threading.Event)
    """Set when the program is interrupted: waits of minutes check it and end early."""

    def pause(self, seconds: float) -> None:
        """Sleep a random time, ``seconds`` / 2 to ``seconds``, so that callers throttled together part."""
        self.sleep(seconds * (1 - _JITTER * (1 - self.random())))


class Aws:
    """AWS in one region. Credentials, profile and ``AWS_ENDPOINT_URL`` come from the environment, as with boto3.

    With a ``session``, its credentials are used; with an ``endpoint_url``, every service is called there.
    ``retry_seconds`` limits how long a call is repeated, and how long :meth:`wait_until` polls. Thread-safe.
    """

    def __init__(
        self,
        region: str | None = None,
        *,
        session: boto3.Session | botocore.session.Session | None = None,
        endpoint_url: str | None = None,
        clock: Clock | None = None,
        retry_seconds: float = 60.0,
    ) -> None:
        self.clock = clock or Clock()
        self._retry_seconds = retry_seconds
        self._clients = Clients(region, session, _CONNECTIONS, endpoint_url)
        self._free = threading.BoundedSemaphore(_CONNECTIONS)  # nested thread pools alone set no limit
        self.account = Account(self.call)

    @property
    def region(self) -> str:
        """The region, such as ``eu-west-2``. Raises AwsError where none is configured."""
        return str(self.client("lambda").meta.region_name)

    @property
    def account_id(self) -> str:
        """The twelve digits of the account (:attr:`Account.id`). Raises AwsError."""
        return self.account.id

    @property
    def partition(self) -> str:
        """The partition: ``aws``, or for example ``aws-cn``."""
        return str(self.client("lambda").meta.partition)

    def arn(self, service: str, resource: str) -> str:
        """The ARN of ``resource`` in this region and account; IAM's have no region, S3's neither."""
        account = "" if service == "s3" else self.account_id  # not read where the ARN does not have it
        return Place(account, self.region, self.partition).arn(service, resource)

    def client(self, service: str) -> Any:
        """The boto3 client for ``service``, created on first use. It does not retry: :meth:`call` does."""
        return self._clients.get(service)

    def call(
        self, service: str, operation: str, /, *, also_retry: tuple[str, ...] = (), **parameters: Any
    ) -> dict[str, Any]:
        """The response. Retries transient errors and the codes in ``also_retry``. Raises AwsError."""
        client = self._clients.get(service, operation)

        def send() -> dict[str, Any]:
            return cast("dict[str, Any]", getattr(client, operation)(**parameters))

        return self._repeat(Request(client, service, operation, parameters, also_retry), send)

    def find(
        self, service: str, operation: str, /, *, also_retry: tuple[str, ...] = (), **parameters: Any
    ) -> dict[str, Any] | None:
        """The response, or ``None`` where the resource does not exist. Retries and raises as :meth:`call` does."""
        try:
            return self.call(service, operation, also_retry=also_retry, **parameters)
        except AwsError as error:
            if error.code in NOT_FOUND:
                return None
            raise

    def create(
        self,
        service: str,
        operation: str,
        /,
        *,
        exists: tuple[str, ...],
        also_retry: tuple[str, ...] = (),
        **parameters: Any,
    ) -> dict[str, Any] | None:
        """The response; ``None`` where an attempt of this same call that AWS did not answer had created the resource.

        ``exists`` are the codes by which AWS says that it exists. Without an unanswered attempt they are an error: it
        has another owner. Retries and raises as :meth:`call` does.
        """
        try:
            return self.call(service, operation, also_retry=also_retry, **parameters)
        except AwsError as error:
            if error.unanswered and error.code in exists:
                return None
            raise

    def list_existing(self, service: str, operation: str, key: str, /, **parameters: Any) -> list[Any]:
        """As :meth:`list_all`; none where the resource that holds the items does not exist."""
        try:
            return self.list_all(service, operation, key, **parameters)
        except AwsError as error:
            if error.code in NOT_FOUND:
                return []
            raise

    def list_all(self, service: str, operation: str, key: str, /, **parameters: Any) -> list[Any]:
        """The items under ``key`` of all pages. Retries and raises as :meth:`call` does."""
        client = self.client(service)
        if not client.can_paginate(operation):
            return list(self.call(service, operation, **parameters).get(key) or ())

        def send() -> list[Any]:
            pages = client.get_paginator(operation).paginate(**parameters)
            return [item for page in pages for item in page.get(key) or ()]

        return self._repeat(Request(client, service, operation, parameters), send)

    def _repeat(self, request: Request, send: Callable[[], _T]) -> _T:
        """The result of ``send``, repeated with growing pauses while its errors are transient.

        An interrupted program makes further attempts for a few seconds only.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        started, pause, unanswered = self.clock.now(), _FIRST_PAUSE, 0
        while True:
            try:
                with self._free:
                    return send()
            except (ClientError, BotoCoreError) as error:
                failure = api_error_of(request, error)
                retry = (
                    Retry("not yet visible", self._retry_seconds)
                    if failure.code in request.also_retry
                    else retry_policy(failure, self._retry_seconds)
                )
                waited = self.clock.now() - started
                is_over = retry is None or self._is_over(retry, waited + pause, unanswered)
                unanswered += is_unanswered(failure)
                if is_over:
                    raised = as_aws_error(request, failure, retry, waited, unanswered=bool(unanswered))
                    raise raised from cause_of(request, error)
            self.clock.pause(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)

    def _is_over(self, retry: Retry, waited: float, unanswered: int) -> bool:
        """Whether no further attempt is made, which would begin after ``waited`` seconds."""
        if self.clock.interrupted.is_set():
            return waited > min(retry.seconds, _AFTER_INTERRUPT)
        return waited > retry.seconds and not (retry.once and not unanswered)

    def wait_until(self, read: Callable[[], _T | None], what: str, *, factor: float = 1.0) -> _T:
        """Poll until ``read`` returns a value other than ``None``.

        Raises AwsError after ``retry_seconds``, or ``factor`` times as long.
        """
        started, pause = self.clock.now(), _FAST_PAUSE
        while True:
            value = read()
            if value is not None:
                return value
            waited = self.clock.now() - started
            if waited + pause > self._retry_seconds * factor:
                raise AwsError(f"{what}: not true after {waited:.0f} s. Check it on AWS, then try again.")
            if self.clock.interrupted.is_set():
                raise AwsError(f"{what}: interrupted while waiting.")
            self.clock.pause(pause)
            if waited >= _FAST_POLLING:
                pause = min(max(pause * _GROWTH, _FIRST_PAUSE), _LONGEST_PAUSE)
