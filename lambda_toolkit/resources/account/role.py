"""A function's execution role: assumed by Lambda, and allowed what is declared and what attachments need.

Where ``spec.role`` names a role of others, nothing of IAM is read or written.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference
from lambda_toolkit.resources.networks import interfaces, network
from lambda_toolkit.resources.networks.interfaces import Interfaces
from lambda_toolkit.resources.planning import polling, tags
from lambda_toolkit.resources.planning.attachment import Attachment, Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.live import ROLE_POLICY, LiveRole
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.resources.planning.tags import TagChange
from lambda_toolkit.spec.model import ACTIVE, FunctionSpec, Kind
from lambda_toolkit.spec.ownership import as_list, as_mapping, derived_name, desired_tags, is_owned, require_owned
from lambda_toolkit.spec.schedules.schedule import schedule_role_name

KIND = Kind.ROLE
_TRACING, _KEY = "LambdaScriptTracing", "LambdaScriptKey"  # the ids of statements that settings of the function need
DEPLOYER_ACTIONS = DeployerActions(
    "Roles",
    "iam",
    (
        "CreateRole",
        "DeleteRole",
        "DeleteRolePolicy",
        "DetachRolePolicy",
        "GetRole",
        "GetRolePolicy",
        "ListAttachedRolePolicies",
        "ListRolePolicies",
        "PutRolePolicy",
        "TagRole",
        "UntagRole",
        "UpdateAssumeRolePolicy",
    ),
    lists=("ListRoles",),
)
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
"""The trust policy that lets Lambda assume an execution role."""
_RECREATED = (
    "its function had one before: if that now fails with KMSAccessDeniedException, delete the function {function} and "
    "deploy again"
)
_NEW = ("NoSuchEntity",)  # eventual consistency: a new role is not known everywhere yet


@dataclass(frozen=True)
class _Comparison:
    """How a role differs from the declaration."""

    allowed: tuple[Difference, ...]
    """The differences of the inline policy."""
    trusted: tuple[Difference, ...]
    """The differences of the trust policy."""
    bounded: tuple[Difference, ...]
    """The difference of the permissions boundary."""
    tag_change: TagChange
    """The tags to set and to remove."""
    policy: Mapping[str, Any]
    """The inline policy to write."""

    @property
    def found(self) -> tuple[Difference, ...]:
        """All differences."""
        return (*self.bounded, *self.allowed, *self.trusted, *self.tag_change.differences)


def role_name(function: str) -> str:
    """The name of the role of ``function``."""
    return derived_name(function, "role")


def role_arn(arns: ArnFormat, spec: FunctionSpec) -> str:
    """The ARN of the role of ``spec``: the given one, or the one that the toolkit creates."""
    return spec.role or own_role_arn(arns, spec.name)


def own_role_arn(arns: ArnFormat, function: str) -> str:
    """The ARN of the role that the toolkit creates for ``function``."""
    return arns.arn("iam", f"role/{role_name(function)}")


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """The roles that the toolkit creates, if it does: the function's, and that of its schedules."""
    own = [] if spec.role else [own_role_arn(arns, spec.name)]
    of_schedules = bool(spec.schedules) and not spec.schedule_role
    return [*own, *([arns.arn("iam", f"role/{schedule_role_name(spec.name)}")] if of_schedules else [])]


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """What its settings need: to write traces, and to use the key of its environment variables.

    What the function itself needs is declared as ``permissions``.
    https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
    """
    needed: list[Statement] = []
    if spec.tracing == ACTIVE:
        actions = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]  # they know no resources
        needed.append({"Sid": _TRACING, "Effect": "Allow", "Action": actions, "Resource": ["*"]})
    if spec.kms_key:
        needed.append({"Sid": _KEY, "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": [spec.kms_key]})
    return needed


def prefetch(context: Context) -> Prefetch:
    """The list of roles, where roles are listed."""
    if context.spec.role:
        return Prefetch({})
    return Prefetch(context.reads.prefetch_roles())


def plan(context: Context) -> list[Change]:
    """The change that brings the role to ``context.spec``. Raises OwnershipError.

    A function that lost its role and gets one of the same name may no longer decrypt its environment variables: the
    grant on their KMS key was for the former role. The change says what to do then.
    """
    spec, name = context.spec, role_name(context.spec.name)
    if spec.role:
        return []

    def is_as_declared(live: LiveRole) -> bool:
        return is_owned(live.tags, spec.name, spec.tags) and not _compare(context, live).found

    live = context.reads.role(name, is_as_declared)
    if live is None:
        return [_creation(context)]
    require_owned(KIND, name, live.tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
    compared = _compare(context, live)
    if not compared.found:
        return []

    def update(executor_aws: Aws) -> None:
        if compared.bounded:  # before the rest: the deployer may be allowed to write bounded roles alone
            put_boundary(executor_aws, name, spec.permissions_boundary)
        if compared.trusted:
            trust = json.dumps(TRUST)
            executor_aws.call("iam", "update_assume_role_policy", RoleName=name, PolicyDocument=trust)
        if compared.allowed:
            put_policy(executor_aws, name, compared.policy)
        compared.tag_change.apply(executor_aws, "iam", name)

    return [Change(KIND, name, "update", differences=compared.found, apply=update)]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """None: every function has a role."""
    return []


def plan_removal(context: Context) -> list[Change]:
    """The change that deletes the role, if the toolkit created it.

    It comes after the function, and after Lambda has deleted the network interfaces that it made with the role: where
    that takes too long, the role stays, with its statements, and that is an error. Where the function now has a role of
    others, it comes before: once the function with its versions does not exist, nothing shows that there was another
    role, and IAM is not asked.
    """
    name, given = role_name(context.spec.name), _has_given_role(context)
    if given and not _was_created(context):
        return []
    live = context.aws.find("iam", "get_role", RoleName=name)
    if live is None or not is_owned(as_mapping(live["Role"].get("Tags")), context.spec.name):
        return []

    made = None if given else _interfaces(context)

    def delete_after_interfaces(executor_aws: Aws) -> None:
        if made is not None:
            interfaces.wait_until_deleted(executor_aws, made)
        delete(executor_aws, name)

    after = frozenset() if given else frozenset({context.function_key})
    return [Change(KIND, name, "delete", after=after, apply=delete_after_interfaces)]


def create(aws: Aws, name: str, spec: FunctionSpec, trust: Mapping[str, Any], what: str) -> None:
    """Create the role ``name`` for the function of ``spec``, described as ``what``. Raises AwsError."""
    bounded: dict[str, Any] = {"PermissionsBoundary": spec.permissions_boundary} if spec.permissions_boundary else {}
    aws.create(
        "iam",
        "create_role",
        exists=("EntityAlreadyExists",),
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps(trust),
        Description=what,
        Tags=as_list(desired_tags(spec.tags, spec.name)),
        **bounded,
    )


def delete(aws: Aws, name: str) -> None:
    """Delete the role ``name`` with its policies, where it exists. Raises AwsError."""
    for policy in aws.list_existing("iam", "list_role_policies", "PolicyNames", RoleName=name):
        aws.find("iam", "delete_role_policy", RoleName=name, PolicyName=policy)
    for policy in aws.list_existing("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name):
        aws.find("iam", "detach_role_policy", RoleName=name, PolicyArn=policy["PolicyArn"])
    # Eventual consistency: for DeleteRole, a policy that was just detached may still be attached.
    aws.find("iam", "delete_role", also_retry=("DeleteConflict",), RoleName=name)


def _interfaces(context: Context) -> Interfaces | None:
    """The network interfaces that Lambda made with the role; of a deleted function, as its statements show."""
    made = interfaces.used(context)
    if made is None or made.pairs:
        return made
    name = role_name(context.spec.name)
    stored = context.aws.find("iam", "get_role_policy", RoleName=name, PolicyName=ROLE_POLICY)
    sids = {item.get("Sid") for item in parsed(stored["PolicyDocument"])} if stored else set()
    return made if network.SIDS & sids else None


def _has_given_role(context: Context) -> bool:
    """Whether the role is of others: as declared, or, of a function that is no longer declared, as on AWS."""
    live = context.live()
    used = None if live is None else live.configuration.get("Role")
    return bool(context.spec.role) or (used is not None and used != own_role_arn(context.reads, context.spec.name))


def _was_created(context: Context) -> bool:
    """Whether a version of the function has the role that the toolkit creates."""
    if context.live() is None:
        return False
    versions = context.aws.list_existing(
        "lambda", "list_versions_by_function", "Versions", FunctionName=context.spec.name
    )
    return any(item.get("Role") == own_role_arn(context.reads, context.spec.name) for item in versions)


def policy_document(spec: FunctionSpec, arns: ArnFormat, attachments: Sequence[Attachment]) -> dict[str, Any]:
    """What the role must allow: what attachments need, and the declared ``permissions``."""
    needed = (item for attachment in attachments for item in attachment.role_statements(spec, arns))
    statements = [dict(statement) for statement in (*needed, *(spec.permissions or ()))]
    return {"Version": "2012-10-17", "Statement": statements}


def _policy(context: Context) -> dict[str, Any]:
    return policy_document(context.spec, context.reads, context.attachments)


def _compare(context: Context, live: LiveRole) -> _Comparison:
    policy, boundary = _policy(context), context.spec.permissions_boundary
    kept = network.kept_statements(context, parsed(live.policy))
    policy = {**policy, "Statement": [*policy["Statement"], *kept]}
    if live.policy and context.spec.permissions is None:
        declared: dict[str, Any] = {_TRACING: context.spec.tracing, _KEY: context.spec.kms_key}
        declared |= dict.fromkeys(network.SIDS, context.spec.vpc)
        managed = {sid for sid, value in declared.items() if value is not None}
        managed |= polling.managed_statements(context.spec)
        policy = _keeping_others(live.policy, policy, managed)
    return _Comparison(
        differences({"policy": statements(live.policy)}, {"policy": statements(policy)}),
        differences({"trust": statements(live.trust)}, {"trust": statements(TRUST)}),
        () if boundary is None else differences({"boundary": live.boundary}, {"boundary": boundary}),
        tags.compare(live.tags, context.spec.tags, context.spec.name),
        policy,
    )


def _creation(context: Context) -> Change:
    spec, name, policy = context.spec, role_name(context.spec.name), _policy(context)

    def create_with_policy(executor_aws: Aws) -> None:
        create(executor_aws, name, spec, TRUST, f"What the Lambda function {spec.name} may do")
        put_policy(executor_aws, name, policy)

    statements = len(policy["Statement"])
    details: tuple[str, ...] = (f"{statements} statement{'s' * (statements != 1)}",)
    if spec.environment and context.function_is_ours():
        details += (_RECREATED.format(function=spec.name),)
    return Change(KIND, name, "create", details, apply=create_with_policy)


def put_boundary(aws: Aws, role: str, boundary: str | None) -> None:
    """Set the permissions boundary of ``role``; an empty one is removed. Raises AwsError."""
    if boundary:
        aws.call("iam", "put_role_permissions_boundary", also_retry=_NEW, RoleName=role, PermissionsBoundary=boundary)
    else:
        aws.find("iam", "delete_role_permissions_boundary", RoleName=role)


def put_policy(aws: Aws, role: str, policy: Mapping[str, Any]) -> None:
    """Write the toolkit's inline policy of ``role``. Raises AwsError."""
    document = json.dumps(policy)
    aws.call("iam", "put_role_policy", also_retry=_NEW, RoleName=role, PolicyName=ROLE_POLICY, PolicyDocument=document)


def statements(stored: Any) -> dict[str, str]:
    """A policy in the form in which two are compared: by resource, what is allowed or denied there, sorted.

    ``stored`` is as botocore returns it: parsed, or still JSON. A single action may be a string or a list. Statements
    without a resource, as in a trust policy, are under ``*``.
    """
    found: dict[str, list[str]] = {}
    for resource, rule in map(_rule, parsed(stored)):
        found.setdefault(resource, []).append(rule)
    return {resource: "; ".join(sorted(rules)) for resource, rules in found.items()}


def _rule(statement: Mapping[str, Any]) -> tuple[str, str]:
    """The resources of a statement, and what is allowed or denied there."""
    rest = {key: value for key, value in statement.items() if key not in ("Effect", "Action", "Resource")}
    resource = ", ".join(sorted(_listed(statement.get("Resource", "*"))))
    actions = ", ".join(sorted(_listed(statement.get("Action", ()))))
    more = f" {json.dumps(rest, sort_keys=True)}" if rest else ""
    return resource, f"{statement.get('Effect')} {actions}{more}"


def parsed(stored: Any) -> list[dict[str, Any]]:
    """The statements of a policy, as botocore returns it: parsed, or still JSON."""
    document = json.loads(stored) if isinstance(stored, str) else stored or {}
    return _listed(document.get("Statement"))


def _keeping_others(stored: Any, own: dict[str, Any], managed: Collection[str]) -> dict[str, Any]:
    """The stored policy with the statements of ``own`` that it lacks: undeclared permissions are not managed.

    Without its statements of the ids ``managed`` that ``own`` does not have.
    """
    document = json.loads(stored) if isinstance(stored, str) else stored
    kept = [item for item in _listed(document.get("Statement")) if item.get("Sid") not in managed]
    known = set(map(_rule, kept))
    lacking = [item for item in own["Statement"] if _rule(item) not in known]
    return {**document, "Statement": [*lacking, *kept]}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
