"""The one door to AWS: clients, retries, settling.

botocore's own retries are off, so that all waiting is here, by one clock and one budget.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lambda_toolkit.aws.botocore_clients import Clients
from lambda_toolkit.aws.clock import Clock
from lambda_toolkit.aws.error_messages import Request, as_aws_error, cause_of, refusal_of
from lambda_toolkit.aws.read_cache import Once
from lambda_toolkit.aws.retries import NOT_THERE, Wait, wait_for
from lambda_toolkit.errors import AwsError

if TYPE_CHECKING:
    import boto3
    import botocore.session

_T = TypeVar("_T")
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_GROWTH = 1.5
_BRISK, _BRISK_PAUSE = 1.0, 0.1  # seconds: most changes of a function take no longer, and are asked for often
READERS = 10  # more are throttled; with 20 functions at 80 ms a call, 8 take 1.2 s, 10 take 1.1 s and 16 take 0.9 s
WRITERS = 8  # more are throttled: Lambda's and IAM's control planes take few writes a second
_AT_ONCE = READERS + WRITERS  # calls under way, whoever makes them: there are as many connections to each service
_LISTED = 50  # functions that one call of ListFunctions gives
DENIED = ("AccessDenied", "AccessDeniedException")


class Aws:
    """AWS in one region, as boto3 finds it: credentials, profile and ``AWS_ENDPOINT_URL`` come from the environment.

    With a ``session``, credentials are the session's; with an ``endpoint_url``, every service is called there.

    Safe to share between threads. ``patience`` is how many seconds a call may be repeated while AWS settles.
    """

    def __init__(
        self,
        region: str | None = None,
        *,
        session: boto3.Session | botocore.session.Session | None = None,
        endpoint_url: str | None = None,
        clock: Clock | None = None,
        patience: float = 60.0,
    ) -> None:
        self.clock = clock or Clock()
        self._patience = patience
        self._clients = Clients(region, session, _AT_ONCE, endpoint_url)
        self._at_once = threading.BoundedSemaphore(_AT_ONCE)  # reads gather reads: the workers alone are no bound
        self._locking = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._known = Once()
        self._account: list[str] = []  # shared by all snapshots, as an account does not change
        self._telling = threading.Lock()
        self.interrupted = threading.Event()  # set when the program is interrupted: long waits check it

    @property
    def region(self) -> str:
        """The region, such as ``eu-west-2``. Raises AwsError where none is named anywhere."""
        return str(self.client("lambda").meta.region_name)

    @property
    def account_id(self) -> str:
        """The account's twelve digits: told by a function's ARN where there is one, else asked for; once."""
        with self._telling:
            if not self._account:
                functions = self.listed_functions()
                arn = str(functions[0]["FunctionArn"]) if functions else self._caller_arn()
                self._account.append(arn.split(":")[4])
            return self._account[0]

    @property
    def partition(self) -> str:
        """``aws``, or another partition such as ``aws-cn``."""
        return str(self.client("lambda").meta.partition)

    def _caller_arn(self) -> str:
        return str(self.call("sts", "get_caller_identity")["Arn"])

    def listed_functions(self) -> list[dict[str, Any]]:
        """The first functions of the region as one call lists them, with their configuration; read once.

        Of an account with thousands only the first: whoever looks for one that is not there asks for it by its name.
        Empty where the credentials in use may not list them.
        """

        try:
            return list(self._first_functions().get("Functions") or ())
        except AwsError as error:
            if error.code in DENIED:
                return []
            raise

    def all_functions(self) -> list[dict[str, Any]]:
        """All functions of the region, with their configuration; read once. Raises AwsError."""
        first = self._first_functions()
        if not first.get("NextMarker"):
            return list(first.get("Functions") or ())
        return self.once("all functions", lambda: self.list_all("lambda", "list_functions", "Functions"))

    def _first_functions(self) -> dict[str, Any]:
        return self.once("listed functions", lambda: self.call("lambda", "list_functions", MaxItems=_LISTED))

    def arn(self, service: str, resource: str) -> str:
        """The ARN of ``resource``: in this region and account, save for IAM (no region) and S3 (neither)."""
        region = "" if service in ("iam", "s3") else self.region
        account = "" if service == "s3" else self.account_id
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"

    def client(self, service: str) -> Any:
        """The boto3 client for ``service``, made when first asked for. It repeats nothing: :meth:`call` does."""
        return self._clients.get(service)

    def call(
        self, service: str, operation: str, /, *, also_wait_for: tuple[str, ...] = (), **parameters: Any
    ) -> dict[str, Any]:
        """AWS's answer. Waits while AWS settles, throttles, or answers a code of ``also_wait_for``. Raises AwsError."""
        client = self.client(service)

        def ask() -> dict[str, Any]:
            return cast("dict[str, Any]", getattr(client, operation)(**parameters))

        return self._repeat(Request(client, service, operation, parameters, also_wait_for), ask)

    def find(
        self, service: str, operation: str, /, *, also_wait_for: tuple[str, ...] = (), **parameters: Any
    ) -> dict[str, Any] | None:
        """AWS's answer, or ``None`` where what was asked for is not there. Waits as :meth:`call` does."""
        try:
            return self.call(service, operation, also_wait_for=also_wait_for, **parameters)
        except AwsError as error:
            if error.code in NOT_THERE:
                return None
            raise

    def list_all(self, service: str, operation: str, key: str, /, **parameters: Any) -> list[Any]:
        """The items under ``key`` of every page. Waits and raises as :meth:`call` does."""
        client = self.client(service)
        if not client.can_paginate(operation):
            return list(self.call(service, operation, **parameters).get(key) or ())

        def ask() -> list[Any]:
            pages = client.get_paginator(operation).paginate(**parameters)
            return [item for page in pages for item in page.get(key) or ()]

        return self._repeat(Request(client, service, operation, parameters), ask)

    def _repeat(self, request: Request, ask: Callable[[], _T]) -> _T:
        """What ``ask`` returns, asked again while AWS's refusals are of the kind that passes."""
        from botocore.exceptions import BotoCoreError, ClientError

        started, pause = self.clock.now(), _FIRST_PAUSE
        while True:
            try:
                with self._at_once:
                    return ask()
            except (ClientError, BotoCoreError) as error:
                refusal = refusal_of(request, error)
                wait = (
                    Wait("not yet there", self._patience)
                    if refusal.code in request.also_wait_for
                    else wait_for(refusal, self._patience)
                )
                waited = self.clock.now() - started
                if wait is None or waited + pause > wait.seconds:
                    raise as_aws_error(request, refusal, wait, waited) from cause_of(request, error)
            self.clock.pause(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)

    def once(self, key: object, read: Callable[[], _T]) -> _T:
        """What ``read`` returned the first time it was asked for under ``key``; other threads wait for that one.

        In a :meth:`snapshot` what it raised is kept as well: waiting out the patience again would not help.
        """
        return self._known.get(key, read)

    def snapshot(self) -> Aws:
        """The same door for the length of one plan: what is read :meth:`once` through it is forgotten with it.

        What was read until now goes into it, and is forgotten here.
        """
        view = copy.copy(self)
        view._known = self._known.move()
        return view

    def lock(self, name: str) -> threading.Lock:
        """The lock under ``name``: for what can only be read and written back as a whole."""
        with self._locking:
            return self._locks.setdefault(name, threading.Lock())

    def settle(self, read: Callable[[], _T | None], what: str) -> _T:
        """The first answer of ``read`` that is not ``None``. Raises AwsError after the patience has run out."""
        started, pause = self.clock.now(), _BRISK_PAUSE
        while True:
            answer = read()
            if answer is not None:
                return answer
            waited = self.clock.now() - started
            if waited + pause > self._patience:
                raise AwsError(f"{what}: still not so after {waited:.0f} s. Look at it on AWS, then try again.")
            self.clock.pause(pause)
            if waited >= _BRISK:
                pause = min(max(pause * _GROWTH, _FIRST_PAUSE), _LONGEST_PAUSE)
