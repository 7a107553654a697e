"""The one door to AWS: clients, retries, settling.

botocore's own retries are off, so that all waiting is here, by one clock and one budget.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lambda_toolkit.clock import Clock
from lambda_toolkit.errors import AwsError
from lambda_toolkit.settling import NOT_THERE, Refusal, Wait, hint, wait_for

if TYPE_CHECKING:
    import boto3

_T = TypeVar("_T")
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_GROWTH = 1.5
THREADS = 16
_SUBJECTS = ("FunctionName", "RoleName", "Bucket", "AlarmName", "LayerName", "logGroupName", "SecretId", "TopicArn")
_SUBJECTS_OF_LISTS = ("AlarmNames", "AlarmNamePrefix", "Rule", "Name", "NamePrefix", "ResourceARN", "Resource", "Names")


class Aws:
    """AWS in one region, as boto3 finds it: credentials, profile and ``AWS_ENDPOINT_URL`` come from the environment.

    Safe to share between threads. ``patience`` is how many seconds a call may be repeated while AWS settles.
    """

    def __init__(
        self,
        region: str | None = None,
        *,
        session: boto3.Session | None = None,
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

    @property
    def region(self) -> str:
        """The region, such as ``eu-west-2``. Raises AwsError where none is named anywhere."""
        return str(self.client("lambda").meta.region_name)

    @property
    def account_id(self) -> str:
        """The account's twelve digits. Asks AWS once."""
        return self._caller_arn().split(":")[4]

    @property
    def partition(self) -> str:
        """``aws``, or another partition such as ``aws-cn``."""
        return self._caller_arn().split(":")[1]

    def _caller_arn(self) -> str:
        return self.once("caller", lambda: str(self.call("sts", "get_caller_identity")["Arn"]))

    def arn(self, service: str, resource: str) -> str:
        """The ARN of ``resource``: in this region and account, save for IAM (no region) and S3 (neither)."""
        region = "" if service in ("iam", "s3") else self.region
        account = "" if service == "s3" else self.account_id
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"

    def client(self, service: str) -> Any:
        """The boto3 client for ``service``, made when first asked for."""
        with self._making:
            if service not in self._clients:
                self._clients[service] = self._make_client(service)
            return self._clients[service]

    def _make_client(self, service: str) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        try:
            if self._session is None:
                self._session = boto3.Session(region_name=self._wanted_region)
            config = Config(retries={"total_max_attempts": 1}, max_pool_connections=THREADS, connect_timeout=10)
            region = self._wanted_region or self._session.region_name
            return self._session.client(service, region_name=region, config=config)
        except (BotoCoreError, ValueError) as error:
            refusal = Refusal(service, "client", type(error).__name__, str(error))
            raise AwsError(
                f"Cannot talk to AWS ({service}): {error}.{hint(refusal, '')}", code=refusal.code, operation=service
            ) from error

    def call(
        self, service: str, operation: str, /, *, also_wait_for: tuple[str, ...] = (), **parameters: Any
    ) -> dict[str, Any]:
        """AWS's answer. Waits while AWS settles or throttles, and for the codes of ``also_wait_for``. Raises
        AwsError.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client(service)
        started, pause = self.clock.now(), _FIRST_PAUSE
        while True:
            try:
                return cast("dict[str, Any]", getattr(client, operation)(**parameters))
            except (ClientError, BotoCoreError) as error:
                refusal = _refusal(service, operation, error)
                wait = (
                    Wait("not yet there", self._patience)
                    if refusal.code in also_wait_for
                    else wait_for(refusal, self._patience)
                )
                waited = self.clock.now() - started
                if wait is None or waited + pause > wait.seconds:
                    raise _as_aws_error(client, refusal, parameters, wait, waited) from _without_values(service, error)
            self.clock.sleep(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)

    def find(self, service: str, operation: str, /, **parameters: Any) -> dict[str, Any] | None:
        """AWS's answer, or ``None`` where what was asked for is not there."""
        try:
            return self.call(service, operation, **parameters)
        except AwsError as error:
            if error.code in NOT_THERE:
                return None
            raise

    def list(self, service: str, operation: str, key: str, /, **parameters: Any) -> list[Any]:
        """The items under ``key`` of every page."""
        items: list[Any] = []
        client = self.client(service)
        tokens = _page_tokens(client, operation)
        while True:
            page = self.call(service, operation, **parameters)
            items.extend(page.get(key) or ())
            following = {parameter: page[answer] for parameter, answer in tokens.items() if page.get(answer)}
            if not following:
                return items
            parameters.update(following)

    def once(self, key: object, read: Callable[[], _T]) -> _T:
        """What ``read`` returned the first time it was asked for under ``key``; other threads wait for that one."""
        with self._making:
            future = self._known.get(key)
            mine = future is None
            if future is None:
                future = self._known[key] = Future()
        if mine:
            try:
                future.set_result(read())
            except BaseException as error:
                with self._making:
                    del self._known[key]
                future.set_exception(error)
        return cast("_T", future.result())

    def snapshot(self) -> Aws:
        """The same door for the length of one plan: what is read :meth:`once` through it is forgotten with it."""
        _ = self.account_id  # every ARN needs it: asked for here, so that no plan asks again
        view = copy.copy(self)
        view._known = dict(self._known)
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
            self.clock.sleep(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _page_tokens(client: Any, operation: str) -> dict[str, str]:
    """Which parameter of ``operation`` takes which part of its answer to get the next page; empty where there is one
    page.
    """
    if not client.can_paginate(operation):
        return {}
    paginator = client.get_paginator(operation)
    answers = [getattr(token, "expression", token) for token in paginator._output_token]
    return {
        parameter: str(answer).split("||")[0].strip()
        for parameter, answer in zip(paginator._input_token, answers, strict=True)
    }


def _refusal(service: str, operation: str, error: Exception) -> Refusal:
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        text = "a parameter has the wrong type" if type(error).__name__ == "ParamValidationError" else str(error)
        return Refusal(service, operation, type(error).__name__, text)
    detail = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return Refusal(service, operation, str(detail.get("Code", "")), str(detail.get("Message", "")), int(status))


def _without_values(service: str, error: Exception) -> Exception | None:
    """``error`` as the cause, save where botocore may have put a secret into its text."""
    return None if service == "secretsmanager" else error


def _as_aws_error(
    client: Any, refusal: Refusal, parameters: Mapping[str, Any], wait: Wait | None, waited: float
) -> AwsError:
    operation = client.meta.method_to_api_mapping.get(refusal.operation, refusal.operation)
    permission = f"{refusal.service}:{operation}"
    subject = next((str(parameters[key]) for key in (*_SUBJECTS, *_SUBJECTS_OF_LISTS) if parameters.get(key)), "")
    after = f" (for {waited:.0f} s: {wait.reason})" if wait and waited >= 1 else ""
    said = (refusal.message or "no reason given").rstrip(".")
    text = f"{permission}{f' {subject}' if subject else ''}: {said} ({refusal.code}){after}.{hint(refusal, permission)}"
    return AwsError(text, code=refusal.code, operation=permission)
