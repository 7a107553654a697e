"""A function's reserved concurrency: how many invocations run at most at a time, which the account keeps free for it.

It belongs to the function with all its versions, has no tags, and is deleted with the function.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.spec.model import UNRESERVED, FunctionSpec, Kind

KIND = Kind.CONCURRENCY
DEPLOYER_ACTIONS = DeployerActions(
    "Concurrency", "lambda", ("DeleteFunctionConcurrency", "GetFunctionConcurrency", "PutFunctionConcurrency")
)
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
