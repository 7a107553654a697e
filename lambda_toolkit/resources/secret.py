"""Secrets Manager secrets. Values are compared and written here, and never shown."""

from __future__ import annotations

from collections.abc import Callable

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.errors import MASK, ToolkitError
from lambda_toolkit.resources import tags
from lambda_toolkit.resources.reads import Reads
from lambda_toolkit.spec.model import Kind, SecretSpec
from lambda_toolkit.spec.ownership import as_list, as_mapping, desired_tags, is_owned, require_owned

KIND = Kind.SECRET


def plan(reads: Reads, spec: SecretSpec) -> list[Change]:
    """The change that brings the secret to ``spec``. Raises OwnershipError.

    Where the secret does not exist and no value is given, the change fails, and names the variable to set.
    """
    aws = reads.aws
    live = aws.find("secretsmanager", "describe_secret", SecretId=spec.name)
    if live is None:
        return [_creation(spec, desired_tags(spec.tags))]
    live_tags = as_mapping(live.get("Tags"))
    require_owned(KIND, spec.name, live_tags, adopt=spec.adopt, declared=spec.tags)
    tag_change = tags.compare(live_tags, spec.tags)
    is_deleted = bool(live.get("DeletedDate"))
    value = spec.value
    value_differs = value is not None and (is_deleted or _stored(aws, spec.name) != value)
    found = (
        *([Difference("value", MASK, MASK, secret=True)] if value_differs else []),
        *tag_change.differences,
    )
    details = ("is restored from deletion",) if is_deleted else ()
    if not found and not details:
        return []

    def update(executor_aws: Aws) -> None:
        if is_deleted:
            executor_aws.call("secretsmanager", "restore_secret", SecretId=spec.name)
        if value_differs:
            executor_aws.call("secretsmanager", "put_secret_value", SecretId=spec.name, SecretString=value)
        tag_change.apply(executor_aws, "secretsmanager", spec.name)

    return [Change(KIND, spec.name, "update", details, differences=found, apply=update)]


def plan_removal(reads: Reads, spec: SecretSpec, after: frozenset[Key]) -> list[Change]:
    """The change that deletes the secret without a recovery window, if the toolkit created it, after ``after``."""
    aws = reads.aws
    live = aws.find("secretsmanager", "describe_secret", SecretId=spec.name)
    if live is None or not is_owned(as_mapping(live.get("Tags")), declared=spec.tags):
        return []

    def delete(executor_aws: Aws) -> None:
        executor_aws.find("secretsmanager", "delete_secret", SecretId=spec.name, ForceDeleteWithoutRecovery=True)

    return [Change(KIND, spec.name, "delete", ("without recovery",), after=after, apply=delete)]


def _creation(spec: SecretSpec, labels: dict[str, str]) -> Change:
    if spec.value is None:
        return Change(KIND, spec.name, "create", (f"has no value: set {spec.environment}",), apply=_without_value(spec))

    def create(executor_aws: Aws) -> None:
        executor_aws.create(
            "secretsmanager",
            "create_secret",
            exists=("ResourceExistsException",),
            Name=spec.name,
            SecretString=spec.value,
            Tags=as_list(labels),
        )

    return Change(
        KIND, spec.name, "create", (f"value from {spec.environment}",) if spec.environment else (), apply=create
    )


def _without_value(spec: SecretSpec) -> Callable[[Aws], None]:
    def fail(_: Aws) -> None:
        raise ToolkitError(
            f"There is no secret {spec.name} on AWS, and the environment variable {spec.environment} is not set. "
            "Set it and deploy again."
        )

    return fail


def _stored(aws: Aws, name: str) -> str | None:
    answer = aws.find("secretsmanager", "get_secret_value", SecretId=name)
    return answer.get("SecretString") if answer else None
