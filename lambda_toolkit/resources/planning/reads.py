"""The reads of a plan: each resource once, in bulk where that is faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import ReadCache, Task, task
from lambda_toolkit.resources.planning import alias, invoke_permission, live, tags
from lambda_toolkit.resources.planning.alias import LiveAlias
from lambda_toolkit.resources.planning.live import LiveFunction, LiveRole
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.ownership import APPLICATION_TAG, STAGE_TAG, listing_prefix

BULK_ROLES = 8
"""From so many functions on, one list of all roles is faster than two calls for each."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Listing:
    """A call that lists resources by the beginning of their names."""

    service: str
    """As in boto3: ``events``."""
    operation: str
    """As in boto3: ``list_rules``."""
    items: str
    """Where the answer has the items: ``Rules``."""
    parameter: str
    """The parameter for the beginning of the names: ``NamePrefix``."""
    name: str
    """The item's field with its name: ``Name``."""
    start: str = ""
    """What the names have before the name of the function: ``/aws/lambda/``."""


@dataclass(frozen=True)
class Prefetch:
    """Reads to start early: the plan needs them whatever the other reads return."""

    shared: Mapping[object, Task[object]]
    """Lists for several functions, by a key that is the same for all of them."""
    own: Sequence[Task[object]] = ()
    """Reads for one function, in the order in which they can start."""


class Reads:
    """The reads of one plan, cached for that plan alone: every result and every error.

    Only this class decides between a list and a read of the resource itself. Several functions are read with a few
    lists: twenty unchanged functions take 65 calls instead of some 200, about a second at 80 ms a call. Lists are
    eventually consistent, so an entry counts only where it is as declared; otherwise, and where it is missing, the
    resource itself is read. Thread-safe.
    """

    def __init__(self, aws: Aws, functions: Sequence[FunctionSpec] = (), *, application: str = "") -> None:
        """``functions`` are those of the plan. Without an ``application``, their tags cannot be listed."""
        self.aws = aws
        self._names = [spec.name for spec in functions]
        self._lists_functions = len(functions) > 1 and bool(application)
        self._lists_roles = self._lists_functions and sum(not spec.role for spec in functions) >= BULK_ROLES
        self._known = ReadCache()

    def once(self, key: object, read: Callable[[], _T]) -> _T:
        """The result of the first ``read`` for ``key``, for all threads. Raises what that read raised."""
        return self._known.get(key, read)

    @property
    def account_id(self) -> str:
        """The account's twelve digits. Raises AwsError."""
        return self.once("account", self._account)

    def arn(self, service: str, resource: str) -> str:
        """As :meth:`Aws.arn`. Raises AwsError."""
        if service != "s3":
            self.account_id  # noqa: B018 - read once for all threads, also where that fails
        return self.aws.arn(service, resource)

    def function(self, spec: FunctionSpec) -> LiveFunction | None:
        """The function of ``spec``; ``None`` where it does not exist. Raises AwsError."""
        return self.once(("function", spec.name), lambda: self._function(spec))

    def is_listed(self, function: str) -> bool:
        """Whether ``function`` is among the first functions of the region, and so certainly exists."""
        return any(item["FunctionName"] == function for item in self._first_functions())

    def all_functions(self) -> Sequence[Mapping[str, Any]]:
        """The configurations of all functions of the region. Raises AwsError."""
        page = self._page()
        if page and not page.get("NextMarker"):
            return list(page.get("Functions") or ())
        return self.once("all functions", lambda: self.aws.list_all("lambda", "list_functions", "Functions"))

    def alias(self, function: str) -> LiveAlias | None:
        """The alias ``live`` of ``function``; ``None`` where it does not exist. Raises AwsError."""
        return self.once(("alias", function), lambda: alias.read(self.aws, function))

    def grants(self, function: str) -> dict[str, str]:
        """Our invoke permissions of ``function``: by statement id, the allowed source's ARN. Raises AwsError."""
        return self.once(("grants", function), lambda: invoke_permission.read(self.aws, function))

    def role(self, name: str, is_as_declared: Callable[[LiveRole], bool]) -> LiveRole | None:
        """The role ``name``; ``None`` where it does not exist. An entry of the list counts if ``is_as_declared``."""
        listed = self._roles().get(name) if self._lists_roles else None
        if listed is not None and is_as_declared(listed):
            return listed
        return self.once(("role", name), lambda: live.read_role(self.aws, name))

    def tags(
        self, arn: str, declared: Mapping[str, str], function: str | None, read: Callable[[], dict[str, str]]
    ) -> Mapping[str, str]:
        """The tags of ``arn``: from the list by tags where they are as ``declared``, otherwise by ``read``."""
        application = declared.get(APPLICATION_TAG)
        if application:
            listed = (self.tagged(application, declared.get(STAGE_TAG, "")) or {}).get(arn)
            if listed is not None and not tags.compare(listed, declared, function):
                return listed
        return read()

    def tagged(self, application: str, stage: str) -> Mapping[str, Mapping[str, str]] | None:
        """By ARN, the tags of what the toolkit created for this application and stage: see tags.read_tagged."""
        return self.once(("tagged", application, stage), lambda: tags.read_tagged(self.aws, application, stage))

    def listed(self, listing: Listing, function: str) -> Sequence[Mapping[str, Any]]:
        """The resources whose names begin with that of ``function``, and others that begin alike. Raises AwsError."""
        return self.once((listing, self._prefix(function)), lambda: self._list(listing, function))

    def named(self, listing: Listing, function: str, name: str) -> Mapping[str, Any] | None:
        """The resource ``name``, which belongs to ``function``; ``None`` where it does not exist. Raises AwsError."""
        return next((item for item in self.listed(listing, function) if item[listing.name] == name), None)

    def prefetch_listed(self, listing: Listing, function: str) -> Mapping[object, Task[object]]:
        """:meth:`listed` as a shared read to start early."""
        return {(listing, self._prefix(function)): task(self.listed, listing, function)}

    def prefetch_functions(self, spec: FunctionSpec) -> Mapping[object, Task[object]]:
        """The list of functions, and that of tags, as shared reads to start early."""
        reads: dict[object, Task[object]] = {"functions": self._page}
        application, stage = spec.tags.get(APPLICATION_TAG, ""), spec.tags.get(STAGE_TAG, "")
        if application:
            reads["tagged", application, stage] = task(self.tagged, application, stage)
        return reads

    def prefetch_roles(self) -> Mapping[object, Task[object]]:
        """The list of roles as a shared read to start early, where roles are listed."""
        return {"roles": self._roles} if self._lists_roles else {}

    def _account(self) -> str:
        self._page()  # shows the account
        return self.aws.account_id

    def _page(self) -> Mapping[str, Any]:
        return self.once("functions", self.aws.account.take_functions)

    def _first_functions(self) -> Sequence[dict[str, Any]]:
        """The first fifty functions of the region. One that is not among them is read by its name."""
        return list(self._page().get("Functions") or ())

    def _function(self, spec: FunctionSpec) -> LiveFunction | None:
        listed = None
        if self._lists_functions:
            listed = next((item for item in self._first_functions() if item["FunctionName"] == spec.name), None)
        if listed is None or "Error" in (listed.get("Environment") or {}):
            return live.read_function(self.aws, spec.name)
        arn = self.arn("lambda", f"function:{spec.name}")

        def read() -> dict[str, str]:
            return dict(self.aws.call("lambda", "list_tags", Resource=arn)["Tags"])

        return LiveFunction(listed, dict(self.tags(arn, spec.tags, spec.name, read)))

    def _roles(self) -> Mapping[str, LiveRole]:
        return self.once("roles", lambda: live.list_roles(self.aws))

    def _prefix(self, function: str) -> str:
        return listing_prefix(self._names, function) if function in self._names else function

    def _list(self, listing: Listing, function: str) -> list[dict[str, Any]]:
        prefix = {listing.parameter: listing.start + self._prefix(function)}
        return self.aws.list_all(listing.service, listing.operation, listing.items, **prefix)
