"""The least privileges that a deployment needs: IAM actions, each on the exact names that it declares. Pure.

What each action's resource is: https://docs.aws.amazon.com/service-authorization/latest/reference/.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.account import Place
from lambda_toolkit.packaging.layer_zip import LAYER_PREFIX
from lambda_toolkit.resources import registry
from lambda_toolkit.resources.account import catalog, role
from lambda_toolkit.resources.account.role import policy_document, role_arn
from lambda_toolkit.resources.planning import destinations, polling
from lambda_toolkit.resources.planning.attachment import Attachment, DeployerActions
from lambda_toolkit.resources.planning.reads import BULK_ROLES
from lambda_toolkit.resources.schedules import schedule_role
from lambda_toolkit.resources.triggers import event_source_mapping
from lambda_toolkit.spec.limits.quotas import artifact_bucket
from lambda_toolkit.spec.model import Deployment, FunctionSpec

LONGEST = 6144  # characters of a managed policy, white space not counted
LONGEST_INLINE = 10_240  # and of all inline policies of a role
GITHUB = "token.actions.githubusercontent.com"

_LISTS = (  # actions that know no resources, or would need all of them
    "lambda:ListFunctions",
    "lambda:ListLayerVersions",
    "lambda:ListLayers",
    "sns:Unsubscribe",
    "tag:GetResources",
)
_FUNCTION = (
    "AddPermission",
    "CreateAlias",
    "CreateFunction",
    "DeleteFunction",
    "GetAlias",
    "GetFunction",
    "GetFunctionConfiguration",
    "GetPolicy",
    "InvokeFunction",
    "ListAliases",
    "ListTags",
    "ListVersionsByFunction",
    "PublishVersion",
    "RemovePermission",
    "TagResource",
    "UntagResource",
    "UpdateAlias",
    "UpdateFunctionCode",
    "UpdateFunctionConfiguration",
)
_LAYER = ("DeleteLayerVersion", "GetLayerVersion", "PublishLayerVersion")
_TOPIC = (
    "CreateTopic",
    "DeleteTopic",
    "GetTopicAttributes",
    "ListSubscriptionsByTopic",
    "ListTagsForResource",
    "Subscribe",
    "TagResource",
    "UntagResource",
)
_FUNCTION_KEY = ("CreateGrant", "Decrypt", "Encrypt")
_DASHBOARD = ("DeleteDashboards", "GetDashboard", "PutDashboard")
_IN_CATALOG = (("database", ""), ("table", "/*"), ("userDefinedFunction", "/*"))
_TOPIC_KEY = ("SetTopicAttributes",)
_SECRET = (
    "CreateSecret",
    "DescribeSecret",
    "GetSecretValue",
    "PutSecretValue",
    "RestoreSecret",
    "TagResource",
    "UntagResource",
)
_BUCKET = (
    "CreateBucket",
    "DeleteBucket",  # undoes the creation of one that could not be tagged; S3 refuses to delete one with objects
    "DeleteBucketPolicy",
    "GetBucketPolicy",
    "GetBucketPublicAccessBlock",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetEncryptionConfiguration",
    "GetLifecycleConfiguration",
    "PutBucketPolicy",
    "PutBucketPublicAccessBlock",
    "PutBucketTagging",
    "TagResource",
    "PutBucketVersioning",
    "PutEncryptionConfiguration",
    "PutLifecycleConfiguration",
)
_EMPTYING = ("ListBucketMultipartUploads", "ListBucketVersions")
_DELETE_OBJECTS = ("AbortMultipartUpload", "DeleteObject", "DeleteObjectVersion")
_ARTIFACT = ("GetObject", "PutObject")
_BOUNDED = (  # actions on roles that the condition iam:PermissionsBoundary limits
    "iam:CreateRole",
    "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy",
    "iam:PutRolePermissionsBoundary",
    "iam:PutRolePolicy",
)
_SOURCES = {  # by service: what a plan reads of queues, streams and tables
    "sqs": ("Queues", "sqs", ("GetQueueAttributes", "GetQueueUrl")),
    "kinesis": ("Streams", "kinesis", ("DescribeStreamSummary",)),
    "dynamodb": ("Tables", "dynamodb", ("DescribeTable",)),
}
_DESTINATIONS = {  # by service: what a plan reads of where failed events go
    "sqs": ("FailedToQueues", "sqs", ("GetQueueUrl",)),
    "sns": ("FailedToTopics", "sns", ("GetTopicAttributes",)),
    "s3": ("FailedToBuckets", "s3", ("ListBucket",)),
    "events": ("FailedToBuses", "events", ("DescribeEventBus",)),
    "lambda": ("FailedToFunctions", "lambda", ("GetFunction",)),
}
_READING = ("Describe", "Get", "List")  # how the actions begin that change nothing
_CONFIDENTIAL = ("s3:GetObject", "secretsmanager:GetSecretValue")  # and what plan does not read where no value is given


def deployer_policy(deployment: Deployment, place: Place, *, delete_data: bool = False) -> dict[str, Any]:
    """The policy for deploy, plan, rollback and destroy of ``deployment``; with ``delete_data``, also of its data."""
    functions = deployment.functions
    names = [spec.name for spec in functions]
    buckets = [spec.name for spec in deployment.buckets]
    artifacts = {
        spec.artifact_bucket or artifact_bucket(place.account, place.region) for spec in functions if spec.requirements
    }
    own_artifacts = {artifact_bucket(place.account, place.region)} & artifacts
    own_roles = sum(not spec.role for spec in functions)
    secrets = [place.arn("secretsmanager", f"secret:{spec.name}") for spec in deployment.secrets]
    of_topics = _TOPIC + (_TOPIC_KEY if any(spec.kms_key is not None for spec in deployment.topics) else ())
    statements = (
        _allow("Lists", [*_lists(own_roles, deployment), *_lists_where_declared(functions, place)], ["*"]),
        _on("Functions", "lambda", _FUNCTION, _and_below(place.arn("lambda", f"function:{name}") for name in names)),
        _on("FunctionKeys", "kms", _FUNCTION_KEY, sorted({spec.kms_key for spec in functions if spec.kms_key})),
        _on("Layers", "lambda", _LAYER if artifacts else (), [place.arn("lambda", f"layer:{LAYER_PREFIX}*")]),
        _on("ReadyLayers", "lambda", ("GetLayerVersion",), sorted({arn for spec in functions for arn in spec.layers})),
        *(_of_attachment(attachment, functions, place, delete_data=delete_data) for attachment in registry.ATTACHMENTS),
        *_mapping_statements(functions, place),
        *_destination_statements(functions, buckets),
        *_boundary_statements(functions, place),
        {
            **_on("PassRole", "iam", ("PassRole",), list(dict.fromkeys(role_arn(place, spec) for spec in functions))),
            "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        },
        *_scheduler_role_statements(functions, place),
        _on(
            "Topics",
            "sns",
            of_topics,
            [place.arn("sns", spec.name) for spec in deployment.topics],
        ),
        _on("Dashboards", "cloudwatch", _DASHBOARD, _dashboards(deployment, place)),
        _on("Catalogs", "glue", catalog.DEPLOYER_ACTIONS, _catalogs(deployment, place)),
        _on(
            "Secrets",
            "secretsmanager",
            _SECRET + (("DeleteSecret",) if delete_data else ()),
            # A secret's ARN ends with six characters that AWS adds; one that does not exist yet has none
            [arn + ending for arn in secrets for ending in ("", "-??????")],
        ),
        _on("Buckets", "s3", _BUCKET + (_EMPTYING if delete_data else ()), _s3(place, [*buckets, *own_artifacts])),
        _on("Artifacts", "s3", _ARTIFACT, _s3(place, artifacts, "/*")),
        _on("Data", "s3", _DELETE_OBJECTS if delete_data else (), _s3(place, buckets, "/*")),
    )
    return {"Version": "2012-10-17", "Statement": [item for item in statements if item["Action"] and item["Resource"]]}


def execution_policy(spec: FunctionSpec, place: Place) -> dict[str, Any]:
    """What the execution role of ``spec`` must allow, for whoever writes a role that is given."""
    return policy_document(spec, place, registry.ATTACHMENTS)


def read_only(policy: Mapping[str, Any]) -> dict[str, Any]:
    """What ``plan`` needs of a :func:`deployer_policy`, where no URL is given: no write, and no value of a secret."""
    statements = [
        {**item, "Action": [action for action in item["Action"] if _reads(action)]} for item in policy["Statement"]
    ]
    return {**policy, "Statement": [item for item in statements if item["Action"]]}


def _reads(action: str) -> bool:
    return action.partition(":")[2].startswith(_READING) and action not in _CONFIDENTIAL


def _lists(own_roles: int, deployment: Deployment) -> list[str]:
    """The actions that know no resources, for so many roles that the toolkit creates; with a canary, also for its
    expected calls; with dashboards, also for the undeclared ones.
    """
    needs = [item for item in _needs() if own_roles or item.service != "iam"]
    own = [f"{item.service}:{action}" for item in needs for action in item.lists]
    bulk = ["iam:GetAccountAuthorizationDetails"] if own_roles >= BULK_ROLES else []
    expected = ["cloudwatch:GetMetricStatistics"] if any(spec.canary for spec in deployment.functions) else []
    return [*_LISTS, *own, *bulk, *expected, *(["cloudwatch:ListDashboards"] if deployment.dashboards else [])]


def _lists_where_declared(functions: Sequence[FunctionSpec], place: Place) -> Iterator[str]:
    """The actions that know no resources, of the attachments that a function declares."""
    for attachment in registry.ATTACHMENTS:
        needs = attachment.DEPLOYER_ACTIONS
        if needs.lists_where_declared and any(attachment.deployer_resources(spec, place) for spec in functions):
            yield from (f"{needs.service}:{action}" for action in needs.lists_where_declared)


def _mapping_statements(functions: Iterable[FunctionSpec], place: Place) -> Iterator[dict[str, Any]]:
    """For event source mappings: Lambda gives their ids, and IAM limits them by the function that they invoke.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
    """
    mapped = [spec for spec in functions if event_source_mapping.is_declared(spec)]
    names = _and_below(place.arn("lambda", f"function:{spec.name}") for spec in mapped)
    actions = event_source_mapping.FUNCTION_ACTIONS if mapped else ()
    yield {
        **_on("EventSourceMappings", "lambda", actions, ["*"]),
        "Condition": {"ArnLike": {"lambda:FunctionArn": names}},
    }
    for service, resources in polling.deployer_needs(mapped, place).items():
        yield _on(*_SOURCES[service], resources)


def _destination_statements(functions: Iterable[FunctionSpec], buckets: Collection[str]) -> Iterator[dict[str, Any]]:
    """For the destinations of failed events that a plan looks for, without the deployment's own ``buckets``."""
    named = (arn for spec in functions for of in registry.DESTINATIONS for arn in of(spec))
    for service, resources in destinations.by_service(named).items():
        others = [arn for arn in resources if service != "s3" or arn.rpartition(":")[2] not in buckets]
        yield _on(*_DESTINATIONS[service], others)


def _boundary_statements(functions: Iterable[FunctionSpec], place: Place) -> Iterator[dict[str, Any]]:
    """For the roles whose permissions boundary is declared, or declared empty."""
    for sid, action, is_set in (("Boundaries", "Put", True), ("NoBoundaries", "Delete", False)):
        roles = [
            arn
            for spec in functions
            if spec.permissions_boundary is not None and bool(spec.permissions_boundary) == is_set
            for arn in role.deployer_resources(spec, place)
        ]
        yield _on(sid, "iam", (f"{action}RolePermissionsBoundary",), roles)


def _scheduler_role_statements(functions: Iterable[FunctionSpec], place: Place) -> Iterator[dict[str, Any]]:
    """For the roles with which EventBridge Scheduler invokes functions."""
    roles = list(dict.fromkeys(schedule_role.role_arn(place, spec) for spec in functions if spec.schedules))
    statement = _on("PassScheduleRole", "iam", ("PassRole",), roles)
    yield {**statement, "Condition": {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}}


def bounded(policy: Mapping[str, Any], boundaries: Collection[str]) -> dict[str, Any]:
    """``policy`` limited to roles with one of the permissions ``boundaries``: who has it cannot give itself more.

    IAM knows the condition for these actions, and no role can then be created or get a policy without the boundary:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html.
    """
    condition = {"StringEquals": {"iam:PermissionsBoundary": sorted(boundaries)}}
    statements: list[dict[str, Any]] = []
    for item in policy["Statement"]:
        limited = [action for action in item["Action"] if action in _BOUNDED]
        if not limited:
            statements.append(item)
            continue
        rest = [action for action in item["Action"] if action not in _BOUNDED]
        if rest:
            statements.append({**item, "Action": rest})
        statements.append({**item, "Sid": f"{item['Sid']}WithBoundary", "Action": limited, "Condition": condition})
    return {**policy, "Statement": statements}


def _needs() -> list[DeployerActions]:
    return [attachment.DEPLOYER_ACTIONS for attachment in registry.ATTACHMENTS]


def _of_attachment(
    attachment: Attachment, functions: Iterable[FunctionSpec], place: Place, *, delete_data: bool
) -> dict[str, Any]:
    needs = attachment.DEPLOYER_ACTIONS
    resources = dict.fromkeys(arn for spec in functions for arn in attachment.deployer_resources(spec, place))
    return _on(needs.sid, needs.service, needs.actions + (needs.with_data if delete_data else ()), list(resources))


def github_trust(
    repository: str, place: Place, *, environment: str | None = None, branch: str = "main"
) -> dict[str, Any]:
    """The trust policy of the deployer's role: for the jobs of one GitHub repository in one environment or branch.

    ``repository`` is OWNER/REPO; OWNER@ID/REPO@ID for one that was created, renamed or transferred after 15 July 2026.

    https://docs.github.com/actions/security-for-github-actions/security-hardening-your-deployments
    """
    subject = f"environment:{environment}" if environment else f"ref:refs/heads/{branch}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": place.arn("iam", f"oidc-provider/{GITHUB}")},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{GITHUB}:aud": "sts.amazonaws.com",
                        f"{GITHUB}:sub": f"repo:{repository}:{subject}",
                    }
                },
            }
        ],
    }


def length(policy: Mapping[str, Any]) -> int:
    """The length of a policy in characters, as IAM counts it: without white space."""
    import json

    return len(json.dumps(policy, separators=(",", ":")))


def _on(sid: str, service: str, actions: Iterable[str], resources: Sequence[str]) -> dict[str, Any]:
    return _allow(sid, [f"{service}:{action}" for action in actions], resources)


def _allow(sid: str, actions: Iterable[str], resources: Sequence[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": list(resources)}


def _and_below(arns: Iterable[str]) -> list[str]:
    """Each ARN, and those below it: a function's versions and aliases."""
    return [arn + ending for arn in arns for ending in ("", ":*")]


def _dashboards(deployment: Deployment, place: Place) -> list[str]:
    """A dashboard's ARN has no region."""
    start = f"arn:{place.partition}:cloudwatch::{place.account}:dashboard/"
    return [start + item.name for item in deployment.dashboards]


def _catalogs(deployment: Deployment, place: Place) -> list[str]:
    """Glue asks for the catalog, the database, and what is in it; for its functions too where one is deleted.

    https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html
    """
    names = [item.name for item in deployment.catalogs]
    below = [f"{kind}/{name}{rest}" for name in names for kind, rest in _IN_CATALOG]
    return [place.arn("glue", resource) for resource in (["catalog", *below] if names else [])]


def _s3(place: Place, buckets: Iterable[str], ending: str = "") -> list[str]:
    return [place.arn("s3", bucket + ending) for bucket in sorted(set(buckets))]
