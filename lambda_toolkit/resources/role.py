"""A function's role: assumed by Lambda, and allowed what the function declares and no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lambda_toolkit.aws import Aws
from lambda_toolkit.changes import Change
from lambda_toolkit.model import FunctionSpec
from lambda_toolkit.ownership import (
    as_list,
    as_mapping,
    derived_name,
    desired_tags,
    is_owned,
    require_owned,
)
from lambda_toolkit.resources import tags
from lambda_toolkit.resources.difference import differences
from lambda_toolkit.resources.log_group import group_name

KIND = "role"
_POLICY = "lambda_script"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
_MADE_ANEW = (
    "its function had one before: if that now fails with KMSAccessDeniedException, delete the function {function} and "
    "deploy again"
)
_NEW = ("NoSuchEntity",)  # a role that was made a moment ago is not known everywhere


def role_name(function: str) -> str:
    """The name of the role of ``function``."""
    return derived_name(function, "role")


def role_arn(aws: Aws, function: str) -> str:
    """The ARN of the role of ``function``."""
    return aws.arn("iam", f"role/{role_name(function)}")


def policy_document(aws: Aws, spec: FunctionSpec) -> dict[str, Any]:
    """What the role may do: write the function's own log, and what ``spec.permissions`` says."""
    group = aws.arn("logs", f"log-group:{group_name(spec.name)}")
    own_log = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": [f"{group}:*"]}
    return {"Version": "2012-10-17", "Statement": [own_log, *({**statement} for statement in spec.permissions or ())]}


def plan(aws: Aws, spec: FunctionSpec, *, function_is_ours: Callable[[], bool]) -> list[Change]:
    """The change that gives ``spec`` its role. Raises OwnershipError.

    A function that lost its role and gets one of the same name may find its environment variables closed: Lambda let
    the old role use their key, and takes the new one for the same. The change says what to do then; only then is
    ``function_is_ours`` asked.
    """
    name = role_name(spec.name)
    policy = policy_document(aws, spec)
    live = aws.find("iam", "get_role", RoleName=name)
    if live is None:

        def create(aws: Aws) -> None:
            aws.call(
                "iam",
                "create_role",
                RoleName=name,
                AssumeRolePolicyDocument=json.dumps(_TRUST),
                Description=f"What the Lambda function {spec.name} may do",
                Tags=as_list(desired_tags(spec.tags, spec.name)),
            )
            _put_policy(aws, name, policy)

        details: tuple[str, ...] = (f"{len(policy['Statement'])} statements",)
        if spec.environment and function_is_ours():
            details += (_MADE_ANEW.format(function=spec.name),)
        return [Change(KIND, name, "create", details, apply=create)]

    live_tags = as_mapping(live["Role"].get("Tags"))
    require_owned(KIND, name, live_tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
    stored = aws.find("iam", "get_role_policy", RoleName=name, PolicyName=_POLICY)
    tag_change = tags.compare(live_tags, spec.tags, spec.name)
    if stored and spec.permissions is None:
        policy = _keeping_others(stored["PolicyDocument"], policy)
    allowed = differences(
        {"policy": statements(stored["PolicyDocument"] if stored else None)}, {"policy": statements(policy)}
    )
    trusted = differences(
        {"trust": statements(live["Role"].get("AssumeRolePolicyDocument"))}, {"trust": statements(_TRUST)}
    )
    found = (*allowed, *trusted, *tag_change.differences)
    if not found:
        return []

    def update(aws: Aws) -> None:
        if trusted:
            aws.call("iam", "update_assume_role_policy", RoleName=name, PolicyDocument=json.dumps(_TRUST))
        if allowed:
            _put_policy(aws, name, policy)
        tag_change.apply(aws, "iam", name)

    return [Change(KIND, name, "update", differences=found, apply=update)]


def plan_removal(aws: Aws, function: str) -> list[Change]:
    """The change that removes the role of ``function``, if the toolkit made it."""
    name = role_name(function)
    live = aws.find("iam", "get_role", RoleName=name)
    if live is None or not is_owned(as_mapping(live["Role"].get("Tags")), function):
        return []

    def delete(aws: Aws) -> None:
        for policy in aws.list_all("iam", "list_role_policies", "PolicyNames", RoleName=name):
            aws.find("iam", "delete_role_policy", RoleName=name, PolicyName=policy)
        for attached in aws.list_all("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name):
            aws.find("iam", "detach_role_policy", RoleName=name, PolicyArn=attached["PolicyArn"])
        # What was taken off it a moment ago may still be there for those who answer this call.
        aws.find("iam", "delete_role", also_wait_for=("DeleteConflict",), RoleName=name)

    return [Change(KIND, name, "delete", after=frozenset({("function", function)}), apply=delete)]


def _put_policy(aws: Aws, role: str, policy: dict[str, Any]) -> None:
    aws.call(
        "iam",
        "put_role_policy",
        also_wait_for=_NEW,
        RoleName=role,
        PolicyName=_POLICY,
        PolicyDocument=json.dumps(policy),
    )


def statements(stored: Any) -> dict[str, str]:
    """A policy in the shape in which two are compared: by resource, what is allowed or denied there, sorted.

    ``stored`` is as AWS gives it back: parsed by botocore, or still text. One action may stand there as a text or as a
    list; ``*`` stands for a policy whose statements name no resource.
    """
    document = json.loads(stored) if isinstance(stored, str) else stored or {}
    found: dict[str, list[str]] = {}
    for statement in _listed(document.get("Statement")):
        rest = {key: value for key, value in statement.items() if key not in ("Effect", "Action", "Resource")}
        resource = ", ".join(sorted(_listed(statement.get("Resource", "*"))))
        actions = ", ".join(sorted(_listed(statement.get("Action", ()))))
        more = f" {json.dumps(rest, sort_keys=True)}" if rest else ""
        found.setdefault(resource, []).append(f"{statement.get('Effect')} {actions}{more}")
    return {resource: "; ".join(sorted(said)) for resource, said in found.items()}


def _keeping_others(stored: Any, own: dict[str, Any]) -> dict[str, Any]:
    """The stored policy with what it lacks of ``own``: where no permissions are declared, those on AWS stay."""
    document = json.loads(stored) if isinstance(stored, str) else stored
    kept = _listed(document.get("Statement"))
    known = statements(document)
    lacking = [item for item in own["Statement"] if not statements({"Statement": [item]}).items() <= known.items()]
    return {**document, "Statement": [*lacking, *kept]}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
