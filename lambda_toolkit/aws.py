"""The one door to AWS: clients, retries, settling.

botocore's own retries are off, so that all waiting is here, by one clock and one budget.
"""

from __future__ import annotations

import copy
import gc
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lambda_toolkit.clock import Clock
from lambda_toolkit.errors import AwsError
from lambda_toolkit.settling import NOT_THERE, Refusal, Wait, hint, wait_for

if TYPE_CHECKING:
    import boto3
    import botocore.session

_T = TypeVar("_T")
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_GROWTH = 1.5
_BRISK = 1.0  # seconds in which a state is asked for at an even pace: most changes of a function take no longer
READERS = 16  # reads are cheap, and 20 functions at 80 ms a call take 1.0 s with 16, 1.7 s with 8
WRITERS = 8  # more are throttled: Lambda's and IAM's control planes take few writes a second
_LISTED = 50  # functions that one call of ListFunctions gives
DENIED = ("AccessDenied", "AccessDeniedException")
_LONGEST_INVOCATION = 930  # seconds: a function may take 900 to answer the one who invokes it
_SUBJECTS = (  # the parameters that say what a call is about, the telling ones first
    "FunctionName",
    "RoleName",
    "Bucket",
    "AlarmName",
    "LayerName",
    "logGroupName",
    "SecretId",
    "TopicArn",
    "Rule",
    "Name",
    "AlarmNames",
    "AlarmNamePrefix",
    "NamePrefix",
    "ResourceARN",
    "Resource",
)


@dataclass(frozen=True)
class _Request:
    """One call, for its error message and its retries."""

    client: Any = field(repr=False)
    service: str
    operation: str
    parameters: Mapping[str, Any] = field(repr=False)
    also_wait_for: tuple[str, ...] = ()


class Aws:
    """AWS in one region, as boto3 finds it: credentials, profile and ``AWS_ENDPOINT_URL`` come from the environment.

    Unless a ``session`` of boto3 is given, clients come from botocore itself: they are the same ones, and importing
    boto3 takes longer than all reads of an unchanged deploy.

    Safe to share between threads. ``patience`` is how many seconds a call may be repeated while AWS settles.
    """

    def __init__(
        self,
        region: str | None = None,
        *,
        session: boto3.Session | botocore.session.Session | None = None,
        clock: Clock | None = None,
        patience: float = 60.0,
    ) -> None:
        self.clock = clock or Clock()
        self._patience = patience
        self._wanted_region = region
        self._session = session
        self._clients: dict[str, Any] = {}
        self._making = threading.RLock()  # boto3 sessions are not safe to make clients in from two threads at once
        self._locks: dict[str, threading.Lock] = {}
        self._known: dict[object, Future[Any]] = {}
        self._is_snapshot = False
        self._account: list[str] = []  # shared by all snapshots, as an account does not change
        self._telling = threading.Lock()
        self.stopping = threading.Event()  # set when the program is told to end: what waits long looks at it

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

        def ask() -> list[dict[str, Any]]:
            try:
                return list(self.call("lambda", "list_functions", MaxItems=_LISTED).get("Functions") or ())
            except AwsError as error:
                if error.code in DENIED:
                    return []
                raise

        return self.once("listed functions", ask)

    def arn(self, service: str, resource: str) -> str:
        """The ARN of ``resource``: in this region and account, save for IAM (no region) and S3 (neither)."""
        region = "" if service in ("iam", "s3") else self.region
        account = "" if service == "s3" else self.account_id
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"

    def client(self, service: str) -> Any:
        """The boto3 client for ``service``, made when first asked for. It repeats nothing: :meth:`call` does."""
        with self._making:
            if service not in self._clients:
                self._clients[service] = self._make_client(service)
            return self._clients[service]

    def _make_client(self, service: str) -> Any:
        with _uncollected():
            import botocore.session
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError

            try:
                if self._session is None:
                    self._session = botocore.session.Session()
                config = Config(
                    retries={"total_max_attempts": 1},
                    max_pool_connections=READERS + WRITERS,
                    tcp_keepalive=True,  # gateways drop what is silent for minutes, as a long invocation is
                    connect_timeout=10,
                    read_timeout=_LONGEST_INVOCATION if service == "lambda" else 60,
                )
                is_botocores = isinstance(self._session, botocore.session.Session)
                make = self._session.create_client if is_botocores else self._session.client
                return make(service, region_name=self._wanted_region, config=config)
            except (BotoCoreError, ValueError) as error:
                refusal = Refusal(service, "client", type(error).__name__, str(error))
                raise AwsError(
                    f"Cannot talk to AWS ({service}): {error}.{hint(refusal, '')}", code=refusal.code, operation=service
                ) from error

    def call(
        self, service: str, operation: str, /, *, also_wait_for: tuple[str, ...] = (), **parameters: Any
    ) -> dict[str, Any]:
        """AWS's answer. Waits while AWS settles, throttles, or answers a code of ``also_wait_for``. Raises AwsError."""
        client = self.client(service)

        def ask() -> dict[str, Any]:
            return cast("dict[str, Any]", getattr(client, operation)(**parameters))

        return self._repeat(_Request(client, service, operation, parameters, also_wait_for), ask)

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

        return self._repeat(_Request(client, service, operation, parameters), ask)

    def _repeat(self, request: _Request, ask: Callable[[], _T]) -> _T:
        """What ``ask`` returns, asked again while AWS's refusals are of the kind that passes."""
        from botocore.exceptions import BotoCoreError, ClientError

        started, pause = self.clock.now(), _FIRST_PAUSE
        while True:
            try:
                return ask()
            except (ClientError, BotoCoreError) as error:
                refusal = _refusal(request, error)
                wait = (
                    Wait("not yet there", self._patience)
                    if refusal.code in request.also_wait_for
                    else wait_for(refusal, self._patience)
                )
                waited = self.clock.now() - started
                if wait is None or waited + pause > wait.seconds:
                    # botocore's own text may hold the values that were sent: a secret's must not be shown as the cause
                    cause = None if request.service == "secretsmanager" else error
                    raise _as_aws_error(request, refusal, wait, waited) from cause
            self.clock.pause(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)

    def once(self, key: object, read: Callable[[], _T]) -> _T:
        """What ``read`` returned the first time it was asked for under ``key``; other threads wait for that one.

        In a :meth:`snapshot` what it raised is kept as well: waiting out the patience again would not help.
        """
        with self._making:
            future = self._known.get(key)
            mine = future is None
            if future is None:
                future = self._known[key] = Future()
        if mine:
            try:
                future.set_result(read())
            except BaseException as error:
                if not self._is_snapshot:
                    with self._making:
                        del self._known[key]
                future.set_exception(error)
        return cast("_T", future.result())

    def snapshot(self) -> Aws:
        """The same door for the length of one plan: what is read :meth:`once` through it is forgotten with it.

        What was read until now goes into it, and is forgotten here.
        """
        view = copy.copy(self)
        view._is_snapshot = True
        with self._making:
            view._known, self._known = self._known, {}
        return view

    def lock(self, name: str) -> threading.Lock:
        """The lock under ``name``: for what can only be read and written back as a whole."""
        with self._making:
            return self._locks.setdefault(name, threading.Lock())

    def settle(self, read: Callable[[], _T | None], what: str) -> _T:
        """The first answer of ``read`` that is not ``None``. Raises AwsError after the patience has run out."""
        started, pause = self.clock.now(), _FIRST_PAUSE
        while True:
            answer = read()
            if answer is not None:
                return answer
            waited = self.clock.now() - started
            if waited + pause > self._patience:
                raise AwsError(f"{what}: still not so after {waited:.0f} s. Look at it on AWS, then try again.")
            self.clock.pause(pause)
            if waited >= _BRISK:
                pause = min(pause * _GROWTH, _LONGEST_PAUSE)


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


def _refusal(request: _Request, error: Exception) -> Refusal:
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        text = "a parameter has the wrong type" if type(error).__name__ == "ParamValidationError" else str(error)
        return Refusal(request.service, request.operation, type(error).__name__, text)
    detail = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return Refusal(
        request.service, request.operation, str(detail.get("Code", "")), str(detail.get("Message", "")), int(status)
    )


def _as_aws_error(request: _Request, refusal: Refusal, wait: Wait | None, waited: float) -> AwsError:
    operation = request.client.meta.method_to_api_mapping.get(request.operation, request.operation)
    permission = f"{request.service}:{operation}"
    subject = next((str(request.parameters[key]) for key in _SUBJECTS if request.parameters.get(key)), "")
    after = f" (for {waited:.0f} s: {wait.reason})" if wait and waited >= 1 else ""
    said = (refusal.message or "no reason given").rstrip(".")
    text = f"{permission}{f' {subject}' if subject else ''}: {said} ({refusal.code}){after}.{hint(refusal, permission)}"
    return AwsError(text, code=refusal.code, operation=permission)
