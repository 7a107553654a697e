"""Recursive loop detection of a function: whether Lambda stops one that starts itself again and again.

Lambda counts how often one event went through the function and a queue, a topic or a bucket, and stops it at the 16th
time, unless that is allowed. It belongs to the function with all its versions, has no tags, and is deleted with it.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.spec.model import ALLOW_LOOPS, TERMINATE_LOOPS, FunctionSpec, Kind

KIND = Kind.RECURSION
DEPLOYER_ACTIONS = DeployerActions(
    "RecursiveLoops", "lambda", ("GetFunctionRecursionConfig", "PutFunctionRecursionConfig")
)
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new function is not known everywhere yet


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """The function, where it is declared."""
    return [] if spec.recursive_loop is None else [arns.arn("lambda", f"function:{spec.name}")]


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """None: Lambda detects loops."""
    return ()


def prefetch(context: Context) -> Prefetch:
    """The setting of a function that exists, where it is declared."""
    if context.spec.recursive_loop is None or not context.reads.is_listed(context.spec.name):
        return Prefetch({})
    return Prefetch({}, [lambda: _read(context)])


def plan(context: Context) -> list[Change]:
    """The change that brings it to ``context.spec``. None where Lambda's default is declared for a new function."""
    spec = context.spec
    if spec.recursive_loop is None:
        return []
    wanted = spec.recursive_loop or TERMINATE_LOOPS
    live = _read(context) if context.live() is not None else TERMINATE_LOOPS
    found = differences({"recursive_loop": live}, {"recursive_loop": wanted})
    if not found:
        return []

    def put(executor_aws: Aws) -> None:
        executor_aws.call(
            "lambda", "put_function_recursion_config", also_retry=_NEW, FunctionName=spec.name, RecursiveLoop=wanted
        )

    details = ("it may start itself without end, and each run is paid for",) if wanted == ALLOW_LOOPS else ()
    return [Change(KIND, spec.name, "update", details, frozenset({context.function_key}), found, apply=put)]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """None: nothing shows who set what is no longer declared, so it stays."""
    return []


def plan_removal(context: Context) -> list[Change]:
    """None: it is deleted with the function."""
    return []


def _read(context: Context) -> str:
    name = context.spec.name
    answer = context.reads.once(
        ("recursion", name), lambda: context.aws.find("lambda", "get_function_recursion_config", FunctionName=name)
    )
    return str((answer or {}).get("RecursiveLoop") or TERMINATE_LOOPS)
