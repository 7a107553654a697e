"""Tags: listed with the Resource Groups Tagging API, compared, and written with each service's own call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.account import ACCESS_DENIED
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Difference
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning.diff import tag_differences
from lambda_toolkit.spec.ownership import (
    APPLICATION_TAG,
    OWNER,
    OWNER_TAG,
    STAGE_TAG,
    as_list,
    as_mapping,
    desired_tags,
    missing_tags,
    unwanted_tags,
)

_PAGE = 100  # the most resources that one GetResources returns


@dataclass(frozen=True)
class _Calls:
    """How a service sets and removes tags: ``subject`` is the parameter that names the resource."""

    subject: str
    tags: str = "Tags"
    keys: str = "TagKeys"
    write: str = "tag_resource"
    remove: str = "untag_resource"
    as_mapping: bool = False


_CALLS = {
    "lambda": _Calls("Resource", as_mapping=True),
    "logs": _Calls("resourceArn", tags="tags", keys="tagKeys", as_mapping=True),
    "events": _Calls("ResourceARN"),
    "cloudwatch": _Calls("ResourceARN"),
    "scheduler": _Calls("ResourceArn"),
    "sns": _Calls("ResourceArn"),
    "secretsmanager": _Calls("SecretId"),
    "glue": _Calls("ResourceArn", tags="TagsToAdd", keys="TagsToRemove", as_mapping=True),
    "iam": _Calls("RoleName", write="tag_role", remove="untag_role"),
}


@dataclass(frozen=True)
class TagChange:
    """The tags to set and to remove so that a resource is tagged as declared. False where there are none."""

    missing: Mapping[str, str]
    """The tags to set."""
    unwanted: tuple[str, ...]
    """The keys of the tags to remove."""
    differences: tuple[Difference, ...]
    """Both, for people to read."""

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.differences)

    def apply(self, aws: Aws, service: str, subject: str) -> None:
        """Write the difference to the resource ``subject`` (an ARN or name) of ``service``. Raises AwsError."""
        calls = _CALLS[service]
        named: dict[str, Any] = {calls.subject: subject}
        if self.missing:
            tags: Any = dict(self.missing) if calls.as_mapping else as_list(self.missing)
            aws.call(service, calls.write, **named, **{calls.tags: tags})
        if self.unwanted:
            keys: dict[str, Any] = {calls.keys: list(self.unwanted)}
            aws.call(service, calls.remove, **named, **keys)


def compare(live: Mapping[str, str], declared: Mapping[str, str], function: str | None = None) -> TagChange:
    """The change from ``live`` tags to the ``declared`` ones and the toolkit's own. Undeclared tags are not managed."""
    missing = missing_tags(live, desired_tags(declared, function))
    unwanted = unwanted_tags(live, declared)
    removed = tuple(Difference(f"tags.{key}", live[key], None) for key in unwanted)
    return TagChange(missing, unwanted, (*tag_differences(live, missing), *removed))


def read_tagged(aws: Aws, application: str, stage: str) -> Mapping[str, Mapping[str, str]] | None:
    """By ARN, the tags of everything that the toolkit created for this application and stage, in one list.

    The list lags behind, so what is not in it, or differs there, must be read itself. Roles are never in it. ``None``
    where the caller's credentials do not allow ``tag:GetResources``. Raises AwsError.

    https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
    """
    wanted = {OWNER_TAG: OWNER, APPLICATION_TAG: application, STAGE_TAG: stage}
    try:
        found = aws.list_all(
            "resourcegroupstaggingapi",
            "get_resources",
            "ResourceTagMappingList",
            ResourcesPerPage=_PAGE,
            TagFilters=[{"Key": key, "Values": [value]} for key, value in wanted.items()],
        )
    except AwsError as error:
        if error.code in ACCESS_DENIED:
            return None
        raise
    return {str(item["ResourceARN"]): as_mapping(item.get("Tags")) for item in found}
