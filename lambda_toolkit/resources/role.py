"""A function's role: assumed by Lambda, and allowed what the function declares and no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.client import ACCESS_DENIED, Aws
from lambda_toolkit.changes import Change, Difference
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources import tags
from lambda_toolkit.resources.diff import differences
from lambda_toolkit.resources.log_group import group_name
from lambda_toolkit.resources.tags import TagChange
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.ownership import as_list, as_mapping, derived_name, desired_tags, is_owned, require_owned

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
MANY = 8  # functions whose roles are sooner read in one large list of all roles than one by one
_LISTED = 100  # roles that are asked for in one call: some 200 kB of policies


@dataclass(frozen=True)
class LiveRole:
    """A role as AWS has it: its policies parsed, or still text. ``policy`` is the toolkit's own, where it is there."""

    tags: Mapping[str, str]
    trust: Any
    policy: Any


@dataclass(frozen=True)
class _Comparison:
    """How a role differs from what is declared. ``policy`` is the one to write."""

    allowed: tuple[Difference, ...]
    trusted: tuple[Difference, ...]
    tag_change: TagChange
    policy: Mapping[str, Any]

    @property
    def found(self) -> tuple[Difference, ...]:
        return (*self.allowed, *self.trusted, *self.tag_change.differences)


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


def read(aws: Aws, name: str) -> LiveRole | None:
    """The role ``name``, or ``None`` where there is none. Raises AwsError."""
    live = aws.find("iam", "get_role", RoleName=name)
    if live is None:
        return None
    stored = aws.find("iam", "get_role_policy", RoleName=name, PolicyName=_POLICY)
    role = live["Role"]
    return LiveRole(
        as_mapping(role.get("Tags")), role.get("AssumeRolePolicyDocument"), stored["PolicyDocument"] if stored else None
    )


def read_listed(aws: Aws) -> Mapping[str, LiveRole]:
    """The first hundred roles of the account by their names, with their policies, as one call gives them; read once.

    Of an account with more only the first: whoever looks for one that is not there asks for it by its name. Empty
    where the credentials in use may not ask (``iam:GetAccountAuthorizationDetails``).
    """

    def ask() -> Mapping[str, LiveRole]:
        try:
            answer = aws.call("iam", "get_account_authorization_details", Filter=["Role"], MaxItems=_LISTED)
        except AwsError as error:
            if error.code in ACCESS_DENIED:
                return {}
            raise
        return {str(role["RoleName"]): _as_live(role) for role in answer.get("RoleDetailList") or ()}

    return aws.cached("listed roles", ask)


def _as_live(role: Mapping[str, Any]) -> LiveRole:
    policies = {item["PolicyName"]: item["PolicyDocument"] for item in role.get("RolePolicyList") or ()}
    return LiveRole(as_mapping(role.get("Tags")), role.get("AssumeRolePolicyDocument"), policies.get(_POLICY))


def plan(aws: Aws, spec: FunctionSpec, *, function_is_ours: Callable[[], bool], listed: bool = False) -> list[Change]:
    """The change that gives ``spec`` its role. Raises OwnershipError.

    With ``listed``, a role that the list of all roles shows as declared is not asked itself.

    A function that lost its role and gets one of the same name may find its environment variables closed: Lambda let
    the old role use their key, and takes the new one for the same. The change says what to do then; only then is
    ``function_is_ours`` asked.
    """
    name = role_name(spec.name)
    if listed:
        known = read_listed(aws).get(name)
        if known is not None and is_owned(known.tags, spec.name, spec.tags) and not _compare(aws, spec, known).found:
            return []
    live = read(aws, name)
    if live is None:
        return [_creation(aws, spec, function_is_ours)]
    require_owned(KIND, name, live.tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
    compared = _compare(aws, spec, live)
    if not compared.found:
        return []

    def update(aws: Aws) -> None:
        if compared.trusted:
            aws.call("iam", "update_assume_role_policy", RoleName=name, PolicyDocument=json.dumps(_TRUST))
        if compared.allowed:
            _put_policy(aws, name, compared.policy)
        compared.tag_change.apply(aws, "iam", name)

    return [Change(KIND, name, "update", differences=compared.found, apply=update)]


def _compare(aws: Aws, spec: FunctionSpec, live: LiveRole) -> _Comparison:
    policy = policy_document(aws, spec)
    if live.policy and spec.permissions is None:
        policy = _keeping_others(live.policy, policy)
    return _Comparison(
        differences({"policy": statements(live.policy)}, {"policy": statements(policy)}),
        differences({"trust": statements(live.trust)}, {"trust": statements(_TRUST)}),
        tags.compare(live.tags, spec.tags, spec.name),
        policy,
    )


def _creation(aws: Aws, spec: FunctionSpec, function_is_ours: Callable[[], bool]) -> Change:
    name, policy = role_name(spec.name), policy_document(aws, spec)

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
    return Change(KIND, name, "create", details, apply=create)


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
        aws.find("iam", "delete_role", also_retry=("DeleteConflict",), RoleName=name)

    return [Change(KIND, name, "delete", after=frozenset({("function", function)}), apply=delete)]


def _put_policy(aws: Aws, role: str, policy: Mapping[str, Any]) -> None:
    aws.call(
        "iam",
        "put_role_policy",
        also_retry=_NEW,
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
