"""What Lambda does with events that are handed to it: how often and how long it tries, and where those that fail go.

EventBridge, S3 and SNS invoke a function in this way. What is declared is written together with what is not, which
stays; nothing of it has tags: it belongs to the alias, and is deleted with the function.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Key
from lambda_toolkit.resources.account.role import role_name
from lambda_toolkit.resources.planning import alias
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.destinations import missing_destination
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.spec.model import FunctionSpec, Kind

KIND = Kind.ASYNC_INVOCATION
DEPLOYER_ACTIONS = DeployerActions(
    "AsyncInvocation", "lambda", ("GetFunctionEventInvokeConfig", "PutFunctionEventInvokeConfig")
)
_RETRIES, _AGE, _FAILURE = "retries", "max_event_age", "on_failure"
_DEFAULTS = {_RETRIES: 2, _AGE: 21_600, _FAILURE: ""}  # Lambda's, where nothing was set: attempts, seconds
_ACTIONS = {  # what the role needs on the destination, by its service
    "events": ("events:PutEvents",),
    "lambda": ("lambda:InvokeFunction",),
    "s3": ("s3:PutObject",),
    "sns": ("sns:Publish",),
    "sqs": ("sqs:SendMessage",),
}
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new alias is not known everywhere yet


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """The function's alias, where something is declared."""
    return [arns.arn("lambda", f"function:{spec.name}"), alias.arn(arns, spec.name)] if _declared(spec) else []


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """The right to send failed events to their destination: Lambda does it with the function's role."""
    if not spec.on_failure:
        return ()
    service = spec.on_failure.split(":")[2]
    statements: list[Statement] = []
    if service == "s3":  # Lambda checks that the bucket exists
        statements.append({"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": spec.on_failure})
    resource = f"{spec.on_failure}/*" if service == "s3" else spec.on_failure
    return [*statements, {"Effect": "Allow", "Action": list(_ACTIONS[service]), "Resource": resource}]


def destinations(spec: FunctionSpec) -> Sequence[str]:
    """The ARN of where failed events go; none where it is not declared."""
    return [spec.on_failure] if spec.on_failure else []


def prefetch(context: Context) -> Prefetch:
    """The configuration of a function that exists, where something is declared."""
    if not _declared(context.spec) or not context.reads.is_listed(context.spec.name):
        return Prefetch({})
    return Prefetch({}, [lambda: _read(context)])


def plan(context: Context) -> list[Change]:
    """The change that brings it to ``context.spec``. None where the function has Lambda's defaults and they suffice."""
    spec, wanted = context.spec, _declared(context.spec)
    live = _read(context) if wanted and context.live() is not None else {}
    known = {**_DEFAULTS, **_of_live(live)}
    found = differences(known, wanted)
    if not found:
        return []
    merged = {**known, **wanted}

    def put(executor_aws: Aws) -> None:
        destinations = {name: item for name, item in (live.get("DestinationConfig") or {}).items() if item}
        destinations["OnFailure"] = {"Destination": merged[_FAILURE]} if merged[_FAILURE] else {}
        executor_aws.call(
            "lambda",
            "put_function_event_invoke_config",
            also_retry=_NEW,
            FunctionName=spec.name,
            Qualifier=alias.LIVE,
            MaximumRetryAttempts=merged[_RETRIES],
            MaximumEventAgeInSeconds=merged[_AGE],
            DestinationConfig={name: item for name, item in destinations.items() if item},
        )

    keys: set[Key] = {context.function_key}
    if not spec.role:
        keys.add((Kind.ROLE, role_name(spec.name)))
    if spec.on_failure:  # it may be a topic or a bucket of the same deployment
        destination = spec.on_failure.rpartition(":")[2]
        keys |= {(Kind.TOPIC, destination), (Kind.BUCKET, destination)}
    return [
        Change(
            KIND,
            spec.name,
            "update" if live else "create",
            after=frozenset(keys),
            differences=found,
            missing=missing_destination(context, spec.on_failure, found, _FAILURE),
            apply=put,
        )
    ]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """None: nothing shows who wrote what is no longer declared, so it stays."""
    return []


def plan_removal(context: Context) -> list[Change]:
    """None: it is deleted with the function."""
    return []


def _declared(spec: FunctionSpec) -> dict[str, Any]:
    wanted = {_RETRIES: spec.retries, _AGE: spec.max_event_age, _FAILURE: spec.on_failure}
    return {name: value for name, value in wanted.items() if value is not None}


def _of_live(live: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        _RETRIES: live.get("MaximumRetryAttempts"),
        _AGE: live.get("MaximumEventAgeInSeconds"),
        _FAILURE: ((live.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _read(context: Context) -> Mapping[str, Any]:
    """The configuration of the alias ``live``; empty where it has none."""
    name = context.spec.name
    answer = context.reads.once(
        ("async invocation", name),
        lambda: context.aws.find("lambda", "get_function_event_invoke_config", FunctionName=name, Qualifier=alias.LIVE),
    )
    return answer or {}
