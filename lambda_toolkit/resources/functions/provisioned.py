"""Provisioned concurrency of a function's alias: environments that are initialized before an event comes.

It belongs to the alias ``live``, has no tags, and is deleted with it. Where the alias moves to another version, Lambda
makes the environments again for that version; a release waits for them. It cannot be set while the alias routes a share
of the calls to another version, so it is set after the release.

https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.retries import UPDATE_FACTOR
from lambda_toolkit.changes import Change, Difference
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning import alias
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.spec.model import FunctionSpec, Kind

KIND = Kind.PROVISIONED_CONCURRENCY
_ACTIONS = ("Delete", "Get", "Put")
DEPLOYER_ACTIONS = DeployerActions(
    "ProvisionedConcurrency", "lambda", tuple(f"{action}ProvisionedConcurrencyConfig" for action in _ACTIONS)
)
_ATTRIBUTE = "provisioned_concurrency"
_READY, _FAILED = "READY", "FAILED"
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new alias is not known everywhere yet


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """The function's alias, where its provisioned concurrency is declared."""
    return [] if spec.provisioned_concurrency is None else [alias.arn(arns, spec.name)]


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """None: Lambda initializes environments as it does for an event."""
    return ()


def prefetch(context: Context) -> Prefetch:
    """The configuration of a function that exists, where it is declared."""
    if context.spec.provisioned_concurrency is None or not context.reads.is_listed(context.spec.name):
        return Prefetch({})
    return Prefetch({}, [lambda: _known(context)])


def plan(context: Context) -> list[Change]:
    """The change that brings it to ``context.spec``, and repeats what Lambda could not do."""
    spec, wanted = context.spec, context.spec.provisioned_concurrency
    if wanted is None:
        return []
    live = _known(context) if context.live() is not None else {}
    found = differences({_ATTRIBUTE: _requested(live)}, {_ATTRIBUTE: wanted})
    if live.get("Status") == _FAILED and not found:
        found = (Difference(f"{_ATTRIBUTE}.status", _reason(live), "ready"),)
    if not found:
        return []
    after = frozenset({context.function_key, (Kind.CONCURRENCY, spec.name)})
    if not wanted:
        return [Change(KIND, spec.name, "delete", after=after, differences=found, apply=_deletion(spec.name))]

    def put(executor_aws: Aws) -> None:
        executor_aws.call(
            "lambda",
            "put_provisioned_concurrency_config",
            also_retry=_NEW,
            FunctionName=spec.name,
            Qualifier=alias.LIVE,
            ProvisionedConcurrentExecutions=wanted,
        )
        wait_until_ready(executor_aws, spec.name)

    details = (f"{wanted} x {spec.memory} MB are kept ready, and paid for, whether or not events come",)
    return [Change(KIND, spec.name, "update" if live else "create", details, after, found, apply=put)]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """None: nothing shows who provisioned what is no longer declared, so it stays."""
    return []


def plan_removal(context: Context) -> list[Change]:
    """None: it is deleted with the function."""
    return []


def wait_until_ready(aws: Aws, function: str) -> None:
    """Wait until the environments of the alias are ready, for 300 seconds at most. Does nothing where it has none.

    Raises AwsError with Lambda's reason where they could not be made.
    """

    def ended() -> Mapping[str, Any] | None:
        now = _read(aws, function)
        return now if not now or now.get("Status") in (_READY, _FAILED) else None

    state = aws.wait_until(ended, f"The provisioned concurrency of {function} is ready", factor=UPDATE_FACTOR)
    if state.get("Status") == _FAILED:
        raise AwsError(
            f"Lambda could not make the {_requested(state)} environments of {function}: {_reason(state)}. Events are "
            "handled without them. Deploy again when that is repaired.",
            code="Failed",
        )


def _deletion(function: str) -> Any:
    def delete(executor_aws: Aws) -> None:
        executor_aws.find(
            "lambda", "delete_provisioned_concurrency_config", FunctionName=function, Qualifier=alias.LIVE
        )

    return delete


def _requested(live: Mapping[str, Any]) -> int:
    return int(live.get("RequestedProvisionedConcurrentExecutions") or 0)


def _reason(live: Mapping[str, Any]) -> str:
    return str(live.get("StatusReason") or "no reason given").rstrip(".")


def _known(context: Context) -> Mapping[str, Any]:
    """The configuration as it was when it was read first."""
    name = context.spec.name
    return context.reads.once(("provisioned concurrency", name), lambda: _read(context.aws, name))


def _read(aws: Aws, function: str) -> Mapping[str, Any]:
    """The configuration of the alias ``live``; empty where it has none."""
    found = aws.find("lambda", "get_provisioned_concurrency_config", FunctionName=function, Qualifier=alias.LIVE)
    return found or {}
