"""Secrets Manager secrets. Values are compared and written here, and never shown.

A value that is managed elsewhere is left alone: one that is rotated, that another service of AWS owns, or whose current
version no deploy wrote. The ids of the versions that a deploy writes begin with the toolkit's name.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.errors import MASK, Advice, Hint, ToolkitError
from lambda_toolkit.resources.planning import tags
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.spec.model import Kind, SecretSpec
from lambda_toolkit.spec.ownership import as_list, as_mapping, desired_tags, is_owned, require_owned

KIND = Kind.SECRET
_OURS = "lambda-script-"  # what the ids of our versions begin with
_CURRENT = "AWSCURRENT"
_CHANGED = "was changed since it was deployed"


def plan(reads: Reads, spec: SecretSpec) -> list[Change]:
    """The change that brings the secret to ``spec``. Raises OwnershipError.

    Where the secret does not exist and no value is given, the change fails, and names the variable to set.
    """
    aws = reads.aws
    live = _described(reads, spec.name)
    if live is None and spec.optional and spec.value is None:
        return []
    if live is None:
        return [_creation(spec, desired_tags(spec.tags))]
    live_tags = as_mapping(live.get("Tags"))
    require_owned(KIND, spec.name, live_tags, adopt=spec.adopt, declared=spec.tags)
    tag_change = tags.compare(live_tags, spec.tags)
    is_deleted = bool(live.get("DeletedDate"))
    value = spec.value
    is_written_here = value is not None and _manager(live, spec) is None
    is_replaced = is_deleted or (spec.overwrite and _is_changed(live))  # written even where it is the same, to be ours
    value_differs = is_written_here and (is_replaced or _stored(aws, spec.name) != value)
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
            executor_aws.call(
                "secretsmanager",
                "put_secret_value",
                SecretId=spec.name,
                SecretString=value,
                ClientRequestToken=_new_version(),
            )
        tag_change.apply(executor_aws, "secretsmanager", spec.name)

    return [Change(KIND, spec.name, "update", details, differences=found, apply=update)]


def notes(reads: Reads, spec: SecretSpec) -> tuple[str, ...]:
    """What a plan says about the secret: that its declared value is not written, and why. Raises AwsError."""
    live = _described(reads, spec.name) if spec.value is not None or spec.optional else None
    if live is None and spec.optional and spec.value is None:
        how = f": set {spec.environment} for a deploy that stores one" if spec.environment else ""
        return (f"secret {spec.name}, which is optional, has no value{how}",)
    manager = _manager(live, spec) if live and spec.value is not None else None
    if manager is None:
        return ()
    source = f"the value of {spec.environment}" if spec.environment else "the declared value"
    return (f"secret {spec.name} {manager}: its value is left as it is, and {source} is not used",)


def advice(reads: Reads, spec: SecretSpec) -> tuple[Advice, ...]:
    """How to write the declared value all the same, where it may be. Raises AwsError."""
    live = _described(reads, spec.name) if spec.value is not None else None
    if live is None or _manager(live, spec) != _CHANGED:
        return ()
    return (Advice(Hint.OVERWRITE_SECRET, (spec.name,)),)


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
            ClientRequestToken=_new_version(),
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


def _described(reads: Reads, name: str) -> dict[str, Any] | None:
    return reads.once(("secret", name), lambda: reads.aws.find("secretsmanager", "describe_secret", SecretId=name))


def _new_version() -> str:
    """The id of a version that a deploy writes; a repeated call with it writes nothing a second time."""
    return f"{_OURS}{uuid.uuid4().hex}"


def _manager(live: Mapping[str, Any], spec: SecretSpec) -> str | None:
    """Who else manages the value of the secret, in words; ``None`` where deploys do."""
    if live.get("OwningService"):
        return f"is managed by {live['OwningService']}"
    if live.get("RotationEnabled"):
        return "is rotated"
    is_being_adopted = not is_owned(as_mapping(live.get("Tags")))
    return None if spec.overwrite or is_being_adopted or not _is_changed(live) else _CHANGED


def _is_changed(live: Mapping[str, Any]) -> bool:
    """Whether the secret has a current value that no deploy wrote.

    The earlier versions do not tell: AWS lists those with a staging label only, which ours lose after two changes.
    """
    staged = live.get("VersionIdsToStages") or {}
    return any(_CURRENT in stages and not version.startswith(_OURS) for version, stages in staged.items())
