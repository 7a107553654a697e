"""The account that the credentials belong to, found without a call of its own where there is a function; its ARNs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from lambda_toolkit.errors import AwsError

ACCESS_DENIED = ("AccessDenied", "AccessDeniedException")
_PAGE = 50  # the most functions that one call of ListFunctions returns


class Account:
    """The account of one client. Its id is in the ARN of any function, so the list that a plan needs shows it.

    Thread-safe. ``call`` is :meth:`Aws.call`.
    """

    def __init__(self, call: Callable[..., dict[str, Any]]) -> None:
        self._call = call
        self._id = ""
        self._functions: dict[str, Any] | None = None  # the response that showed the id, for the first plan
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        """The twelve digits: from the ARN of the first function, else from STS. Read once. Raises AwsError."""
        with self._lock:
            if not self._id:
                self._functions = self._list_functions()
                self._id = self._id_in(self._functions)
            return self._id

    def take_functions(self) -> dict[str, Any]:
        """The first page of ListFunctions: the one in which :attr:`id` was found, otherwise one read now.

        That one is returned once, so that no plan uses what was read for an earlier plan. Empty where the credentials
        may not list functions. Raises AwsError.
        """
        with self._lock:
            page = self._functions if self._functions is not None else self._list_functions()
            self._functions = None
            self._id = self._id or self._id_in(page)
            return page

    def _list_functions(self) -> dict[str, Any]:
        try:
            return self._call("lambda", "list_functions", MaxItems=_PAGE)
        except AwsError as error:
            if error.code in ACCESS_DENIED:
                return {}
            raise

    def _id_in(self, page: dict[str, Any]) -> str:
        functions = page.get("Functions")
        arn = functions[0]["FunctionArn"] if functions else self._call("sts", "get_caller_identity")["Arn"]
        return str(arn).split(":")[4]


class ArnFormat(Protocol):
    """Builds ARNs: :class:`Aws` for the account of its credentials, :class:`Place` for one that is only named."""

    def arn(self, service: str, resource: str) -> str:
        """The ARN of ``resource``: in the region and account, save for IAM (no region) and S3 (neither)."""


@dataclass(frozen=True)
class Place:
    """An account and region to deploy to."""

    account: str
    """Twelve digits."""
    region: str
    """Such as ``eu-west-2``."""
    partition: str = "aws"
    """``aws``, ``aws-cn`` or ``aws-us-gov``."""

    def arn(self, service: str, resource: str) -> str:
        """As :meth:`ArnFormat.arn`."""
        region = "" if service in ("iam", "s3") else self.region
        account = "" if service == "s3" else self.account
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"
