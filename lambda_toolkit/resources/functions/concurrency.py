"""A function's reserved concurrency: how many invocations run at most at a time, which the account keeps free for it.

It belongs to the function with all its versions, has no tags, and is deleted with the function.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.account import ACCESS_DENIED, ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.spec.model import UNRESERVED, FunctionSpec, Kind

KIND = Kind.CONCURRENCY
DEPLOYER_ACTIONS = DeployerActions(
    "Concurrency",
    "lambda",
    ("DeleteFunctionConcurrency", "GetFunctionConcurrency", "PutFunctionConcurrency"),
    lists_where_declared=("GetAccountSettings",),
)
_KEPT = 100  # Lambda lets the functions that reserve nothing have that many: see above
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new function is not known everywhere yet


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """The function, where its concurrency is declared."""
    return [] if spec.concurrency is None else [arns.arn("lambda", f"function:{spec.name}")]


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """None: Lambda counts."""
    return ()


def prefetch(context: Context) -> Prefetch:
    """The concurrency of a function that exists, where it is declared."""
    if context.spec.concurrency is None or not context.reads.is_listed(context.spec.name):
        return Prefetch({})
    return Prefetch({}, [lambda: _read(context)])


def plan(context: Context) -> list[Change]:
    """The change that brings it to ``context.spec``, with what it excludes."""
    spec, wanted = context.spec, context.spec.concurrency
    if wanted is None:
        return []
    live = _read(context) if context.live() is not None else UNRESERVED
    found = differences({"concurrency": live}, {"concurrency": wanted})
    if not found:
        return []

    def put(executor_aws: Aws) -> None:
        if wanted == UNRESERVED:
            executor_aws.find("lambda", "delete_function_concurrency", FunctionName=spec.name)
            return
        executor_aws.call(
            "lambda",
            "put_function_concurrency",
            also_retry=_NEW,
            FunctionName=spec.name,
            ReservedConcurrentExecutions=wanted,
        )

    after = frozenset({context.function_key})
    if wanted == UNRESERVED:
        return [Change(KIND, spec.name, "delete", after=after, differences=found, apply=put)]
    return [Change(KIND, spec.name, "update", _blocked(wanted), after, found, apply=put)]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """None: nothing shows who reserved what is no longer declared, so it stays."""
    return []


def plan_removal(context: Context) -> list[Change]:
    """None: it is deleted with the function."""
    return []


def notes(contexts: Sequence[Context]) -> Iterator[str]:
    """What Lambda refuses, as a sentence without the final period: reservations that leave too little to the others.

    The account is asked only where the plan reserves more than is reserved now. Raises AwsError.
    """
    added = {context.spec.name: _added(context) for context in contexts if context.spec.concurrency is not None}
    growing = sorted(name for name, number in added.items() if number > 0)
    if not growing:
        return
    functions = ", ".join(growing)
    try:
        limit = _account_limit(contexts[0])
    except AwsError as error:
        if error.code not in ACCESS_DENIED:
            raise
        yield (
            f"whether the account has the concurrency that is reserved for {functions} is not known: the plan needs "
            "lambda:GetAccountSettings for that"
        )
        return
    allowed = max(int(limit["UnreservedConcurrentExecutions"]) - _KEPT, 0)
    more = sum(added.values())
    if more > allowed:
        yield (
            f"Lambda will refuse the concurrency of {functions}: it is {more} more than is reserved now, and the "
            f"account can reserve {allowed} more, as {_KEPT} of its {limit['ConcurrentExecutions']} stay for functions "
            "without a reservation. Reserve less, or ask AWS for a higher quota of concurrent executions"
        )


def _added(context: Context) -> int:
    """How many more the plan reserves than are reserved now; less than 0: how many fewer."""
    wanted = context.spec.concurrency
    live = _read(context) if context.live() is not None else UNRESERVED
    return (wanted if isinstance(wanted, int) else 0) - (live if isinstance(live, int) else 0)


def _account_limit(context: Context) -> Mapping[str, Any]:
    answer = context.reads.once("account settings", lambda: context.aws.call("lambda", "get_account_settings"))
    limit: Mapping[str, Any] = answer["AccountLimit"]
    return limit


def _blocked(wanted: int | str) -> tuple[str, ...]:
    """What the reservation excludes, in words."""
    if wanted == UNRESERVED:
        return ()
    if wanted == 0:
        return ("no invocation at all: schedules, triggers, checks of new versions and commands are throttled",)
    meanwhile = "another event, the check of a new version, or a command such as status or query"
    return (f"while {wanted} run{'s' * (wanted == 1)}, {meanwhile}, is throttled",)


def _read(context: Context) -> int | str:
    """The reserved concurrency; ``unreserved`` where there is none."""
    name = context.spec.name
    answer = context.reads.once(
        ("concurrency", name),
        lambda: context.aws.find("lambda", "get_function_concurrency", FunctionName=name),
    )
    reserved = (answer or {}).get("ReservedConcurrentExecutions")
    return UNRESERVED if reserved is None else int(reserved)
