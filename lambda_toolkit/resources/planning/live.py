"""Functions and roles as AWS has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lambda_toolkit.aws.account import ACCESS_DENIED
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import AwsError
from lambda_toolkit.spec.ownership import as_mapping, is_owned

ROLE_POLICY = "lambda_script"
"""The name of the role's inline policy that the toolkit writes."""
_LISTED_ROLES = 100  # in one call: some 200 kB of policies


@dataclass(frozen=True)
class LiveFunction:
    """A function on AWS."""

    configuration: dict[str, Any] = field(repr=False)
    """``Configuration`` of GetFunction, for $LATEST."""
    tags: dict[str, str]
    """Its tags."""

    @property
    def architecture(self) -> str:
        """``x86_64`` or ``arm64``."""
        return str((self.configuration.get("Architectures") or ["x86_64"])[0])

    @property
    def layers(self) -> list[str]:
        """The ARNs of the layer versions that it uses, in order."""
        return [str(layer["Arn"]) for layer in self.configuration.get("Layers") or ()]

    def is_ours(self, name: str) -> bool:
        """Whether the toolkit created it, as the function ``name``."""
        return is_owned(self.tags, name)


@dataclass(frozen=True)
class LiveRole:
    """A role on AWS. Its documents are parsed, or still JSON, as botocore returns them."""

    tags: Mapping[str, str]
    """Its tags."""
    trust: Any
    """The trust policy (``AssumeRolePolicyDocument``)."""
    policy: Any
    """The toolkit's own inline policy; ``None`` where it does not exist."""
    boundary: str = ""
    """The ARN of its permissions boundary; empty where it has none."""


def read_function(aws: Aws, name: str) -> LiveFunction | None:
    """The function ``name``; ``None`` where it does not exist. Raises AwsError."""
    answer = aws.find("lambda", "get_function", FunctionName=name)
    if answer is None:
        return None
    if answer.get("TagsError"):  # Lambda omits the tags, as if there were none, where the caller may not see them
        reason = answer["TagsError"].get("Message") or answer["TagsError"].get("ErrorCode")
        raise AwsError(
            f"lambda:GetFunction {name}: its tags, which show its owner, cannot be read: {reason}. "
            "The credentials in use need lambda:ListTags.",
            code="AccessDeniedException",
            operation="lambda:ListTags",
        )
    return LiveFunction(answer["Configuration"], dict(answer.get("Tags") or {}))


def read_role(aws: Aws, name: str) -> LiveRole | None:
    """The role ``name``; ``None`` where it does not exist. Raises AwsError."""
    live = aws.find("iam", "get_role", RoleName=name)
    if live is None:
        return None
    stored = aws.find("iam", "get_role_policy", RoleName=name, PolicyName=ROLE_POLICY)
    role = live["Role"]
    policy = stored["PolicyDocument"] if stored else None
    return LiveRole(as_mapping(role.get("Tags")), role.get("AssumeRolePolicyDocument"), policy, _boundary(role))


def list_roles(aws: Aws) -> Mapping[str, LiveRole]:
    """The first hundred roles of the account by name, with their policies, in one call. Raises AwsError.

    Empty where the caller's credentials do not allow ``iam:GetAccountAuthorizationDetails``.
    """
    try:
        answer = aws.call("iam", "get_account_authorization_details", Filter=["Role"], MaxItems=_LISTED_ROLES)
    except AwsError as error:
        if error.code in ACCESS_DENIED:
            return {}
        raise
    return {str(role["RoleName"]): _as_live(role) for role in answer.get("RoleDetailList") or ()}


def _as_live(role: Mapping[str, Any]) -> LiveRole:
    policies = {item["PolicyName"]: item["PolicyDocument"] for item in role.get("RolePolicyList") or ()}
    policy = policies.get(ROLE_POLICY)
    return LiveRole(as_mapping(role.get("Tags")), role.get("AssumeRolePolicyDocument"), policy, _boundary(role))


def _boundary(role: Mapping[str, Any]) -> str:
    return str((role.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn", ""))
