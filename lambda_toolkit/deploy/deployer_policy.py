"""The least that someone needs who deploys: IAM actions, each on the exact names that a deployment declares. Pure.

What each action's resource is: https://docs.aws.amazon.com/service-authorization/latest/reference/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.packaging.layer_zip import LAYER_PREFIX
from lambda_toolkit.resources.alarm import alarm_name
from lambda_toolkit.resources.event_rule import rule_name
from lambda_toolkit.resources.log_group import group_name
from lambda_toolkit.resources.role import MANY, role_name
from lambda_toolkit.spec.model import Deployment
from lambda_toolkit.spec.quotas import artifact_bucket

LONGEST = 6144  # characters of a managed policy, white space not counted
GITHUB = "token.actions.githubusercontent.com"

_LISTS = (  # they know no resources, or would have to be allowed all of them
    "cloudwatch:DescribeAlarms",
    "events:ListRules",
    "iam:ListRoles",
    "lambda:ListFunctions",
    "lambda:ListLayerVersions",
    "lambda:ListLayers",
    "logs:DescribeLogGroups",
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
_ROLE = (
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
)
_LOG_GROUP = ("CreateLogGroup", "ListTagsForResource", "PutRetentionPolicy", "TagResource", "UntagResource")
_RULE = (
    "DeleteRule",
    "DescribeRule",
    "ListTagsForResource",
    "ListTargetsByRule",
    "PutRule",
    "PutTargets",
    "RemoveTargets",
    "TagResource",
    "UntagResource",
)
_ALARM = ("DeleteAlarms", "ListTagsForResource", "PutMetricAlarm", "TagResource", "UntagResource")
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
_SECRET = (
    "CreateSecret",
    "DescribeSecret",
    "GetSecretValue",
    "PutSecretValue",
    "RestoreSecret",
    "TagResource",
    "UntagResource",
)
_NOTIFICATION = ("GetBucketNotification", "PutBucketNotification")
_BUCKET = (
    "CreateBucket",
    "DeleteBucket",  # takes back one that was made and could not be tagged; S3 keeps one that holds anything
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
    "PutBucketVersioning",
    "PutEncryptionConfiguration",
    "PutLifecycleConfiguration",
)
_EMPTYING = ("ListBucketMultipartUploads", "ListBucketVersions")
_OBJECTS_GO = ("AbortMultipartUpload", "DeleteObject", "DeleteObjectVersion")
_ARTIFACT = ("GetObject", "PutObject")


@dataclass(frozen=True)
class Place:
    """Where it is deployed to: ``partition`` is ``aws``, ``aws-cn`` or ``aws-us-gov``."""

    account: str
    region: str
    partition: str = "aws"

    def arn(self, service: str, resource: str) -> str:
        """An ARN of this account and region."""
        region = "" if service in ("iam", "s3") else self.region
        account = "" if service == "s3" else self.account
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"


def deployer_policy(deployment: Deployment, place: Place, *, delete_data: bool = False) -> dict[str, Any]:
    """What deploy, plan, rollback and destroy need for ``deployment``, and no more; ``delete_data``: with its data."""
    names = [spec.name for spec in deployment.functions]
    triggers = {trigger.bucket for spec in deployment.functions for trigger in spec.s3_triggers or ()}
    buckets = [spec.name for spec in deployment.buckets]
    artifacts = {
        spec.artifact_bucket or artifact_bucket(place.account, place.region) for spec in _with_layers(deployment)
    }
    own_artifacts = {artifact_bucket(place.account, place.region)} & artifacts
    logs = _LOG_GROUP + (("DeleteLogGroup",) if delete_data else ())
    roles = [place.arn("iam", f"role/{role_name(name)}") for name in names]
    secrets = [place.arn("secretsmanager", f"secret:{spec.name}") for spec in deployment.secrets]
    lists = _LISTS + (("iam:GetAccountAuthorizationDetails",) if len(names) >= MANY else ())
    statements = (
        _allow("Lists", lists, ["*"]),
        _on("Functions", "lambda", _FUNCTION, _and_below(place.arn("lambda", f"function:{name}") for name in names)),
        _on("Layers", "lambda", _LAYER if artifacts else (), [place.arn("lambda", f"layer:{LAYER_PREFIX}*")]),
        _on("Roles", "iam", _ROLE, roles),
        {
            **_on("PassRole", "iam", ("PassRole",), roles),
            "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        },
        _on("Logs", "logs", logs, _and_below(place.arn("logs", f"log-group:{group_name(name)}") for name in names)),
        _on("Schedules", "events", _RULE, [place.arn("events", f"rule/{rule_name(name)}") for name in names]),
        _on(
            "Alarms",
            "cloudwatch",
            _ALARM,
            [place.arn("cloudwatch", f"alarm:{alarm_name(name, '*')}") for name in names],
        ),
        _on("Topics", "sns", _TOPIC, [place.arn("sns", spec.name) for spec in deployment.topics]),
        _on(
            "Secrets",
            "secretsmanager",
            _SECRET + (("DeleteSecret",) if delete_data else ()),
            # AWS ends a secret's ARN with six characters of its own; one that is not there has none yet
            [arn + ending for arn in secrets for ending in ("", "-??????")],
        ),
        _on("Buckets", "s3", _BUCKET + (_EMPTYING if delete_data else ()), _s3(place, [*buckets, *own_artifacts])),
        _on("Triggers", "s3", _NOTIFICATION, _s3(place, triggers)),
        _on("Artifacts", "s3", _ARTIFACT, _s3(place, artifacts, "/*")),
        _on("Data", "s3", _OBJECTS_GO if delete_data else (), _s3(place, buckets, "/*")),
    )
    return {"Version": "2012-10-17", "Statement": [item for item in statements if item["Action"] and item["Resource"]]}


def github_trust(
    repository: str, place: Place, *, environment: str | None = None, branch: str = "main"
) -> dict[str, Any]:
    """Who may assume the deployer's role: the jobs of one GitHub repository in one environment, or of one branch.

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
    """The characters of a policy as IAM counts them: without white space, which no name in it holds."""
    import json

    return len(json.dumps(policy, separators=(",", ":")))


def _with_layers(deployment: Deployment) -> list[Any]:
    """The functions whose requirements become a layer, which may be too large to be sent directly."""
    return [spec for spec in deployment.functions if spec.requirements]


def _on(sid: str, service: str, actions: Iterable[str], resources: Sequence[str]) -> dict[str, Any]:
    return _allow(sid, [f"{service}:{action}" for action in actions], resources)


def _allow(sid: str, actions: Iterable[str], resources: Sequence[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": list(resources)}


def _and_below(arns: Iterable[str]) -> list[str]:
    """Each, and what is below it: versions and aliases of a function, streams of a log group."""
    return [arn + ending for arn in arns for ending in ("", ":*")]


def _s3(place: Place, buckets: Iterable[str], ending: str = "") -> list[str]:
    return [place.arn("s3", bucket + ending) for bucket in sorted(set(buckets))]
