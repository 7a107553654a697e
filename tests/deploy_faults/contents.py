"""What is on AWS, in a form in which two accounts can be compared: no dates, no revisions, no random parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from lambda_toolkit.resources.functions import version
from tests.support.moto_event_sources import READS

Client = Callable[[str], Any]


def differing(live: Any, expected: Any, path: str = "") -> list[str]:
    """Where ``live`` differs from ``expected``, as lines: keys, value and expected value."""
    if not isinstance(live, dict) or not isinstance(expected, dict):
        return [] if live == expected else [f"{path}: {live} instead of {expected}"]
    keys = sorted({*live, *expected}, key=str)
    return [
        line
        for key in keys
        for line in differing(live.get(key, "nothing"), expected.get(key, "nothing"), f"{path}/{key}")
    ]


def contents(client: Client) -> dict[str, Any]:
    """By kind, everything in the account of ``client``."""
    return {
        "functions": _functions(client("lambda")),
        "layers": _layers(client("lambda")),
        "roles": _roles(client("iam")),
        "log groups": {
            group["logGroupName"]: group.get("retentionInDays")
            for group in client("logs").describe_log_groups()["logGroups"]
        },
        "rules": _rules(client("events")),
        "schedules": _schedules(client("scheduler")),
        "mappings": _mappings(client("lambda")),
        "alarms": {
            alarm["AlarmName"]: (alarm["MetricName"], alarm["Threshold"])
            for alarm in client("cloudwatch").describe_alarms()["MetricAlarms"]
        },
        "buckets": _buckets(client("s3")),
        "topics": _topics(client("sns")),
        "secrets": _secrets(client("secretsmanager")),
    }


def _functions(client: Any) -> dict[str, Any]:
    found = {}
    for item in client.list_functions()["Functions"]:
        name = item["FunctionName"]
        versions = client.list_versions_by_function(FunctionName=name)["Versions"]
        policy: list[Any] = []
        with suppress(ClientError):
            policy = json.loads(client.get_policy(FunctionName=name, Qualifier="live")["Policy"])["Statement"]
        found[name] = {
            "latest": _configuration(item),
            "versions": _kept(versions),
            "aliases": {
                alias["Name"]: (alias["FunctionVersion"], _weights(alias), alias["Description"])
                for alias in client.list_aliases(FunctionName=name)["Aliases"]
            },
            "permissions": sorted(statement["Sid"] for statement in policy),
            "tags": client.list_tags(Resource=item["FunctionArn"])["Tags"],
            "url": _url(client, name),
            "concurrency": _concurrency(client, name),
        }
    return found


def _mappings(client: Any) -> dict[str, Any]:
    """By source and function, the event source mappings that are not being deleted, with their tags."""
    for _ in range(READS):  # time passes: a change that is under way ends
        client.list_event_source_mappings()
    return {
        f"{item['EventSourceArn']} {item['FunctionArn']}": {
            **{name: item.get(name) for name in ("State", "BatchSize", "FilterCriteria", "FunctionResponseTypes")},
            "tags": client.list_tags(Resource=item["EventSourceMappingArn"])["Tags"],
        }
        for item in client.list_event_source_mappings()["EventSourceMappings"]
        if item["State"] != "Deleting"
    }


def _url(client: Any, function: str) -> dict[str, Any]:
    """The settings of the function's URL; empty where it has none."""
    with suppress(ClientError):
        found = client.get_function_url_config(FunctionName=function, Qualifier="live")
        return {name: found.get(name) for name in ("AuthType", "Cors")}
    return {}


def _concurrency(client: Any, function: str) -> dict[str, Any]:
    """What is reserved, what is provisioned, and whether loops are allowed."""
    reserved = client.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions")
    loops = client.get_function_recursion_config(FunctionName=function)["RecursiveLoop"]
    provisioned = None
    with suppress(ClientError):
        found = client.get_provisioned_concurrency_config(FunctionName=function, Qualifier="live")
        provisioned = found["RequestedProvisionedConcurrentExecutions"]
    return {"reserved": reserved, "provisioned": provisioned, "loops": loops}


def _kept(versions: list[dict[str, Any]]) -> dict[str, Any]:
    """The newest versions, of which the toolkit keeps five. The next release at the latest deletes an older one."""
    published = {int(item["Version"]): item for item in versions if item["Version"] != "$LATEST"}
    return {str(number): _configuration(published[number]) for number in sorted(published)[-version.KEPT :]}


def _weights(alias: dict[str, Any]) -> dict[str, float]:
    return dict((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})


def _configuration(item: dict[str, Any]) -> dict[str, Any]:
    layers = [layer["Arn"].split(":")[6] for layer in item.get("Layers") or ()]
    kept = ("CodeSha256", "MemorySize", "Timeout", "Runtime", "Handler", "Role", "Environment")
    subnets = sorted((item.get("VpcConfig") or {}).get("SubnetIds") or ())
    return {**{key: item.get(key) for key in kept}, "Layers": layers, "Subnets": subnets}


def _layers(client: Any) -> dict[str, int]:
    """How many versions each layer has."""
    return {
        layer["LayerName"]: len(client.list_layer_versions(LayerName=layer["LayerName"])["LayerVersions"])
        for layer in client.list_layers()["Layers"]
    }


def _roles(client: Any) -> dict[str, Any]:
    return {
        role["RoleName"]: {
            name: client.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
            for name in client.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
        }
        for role in client.list_roles()["Roles"]
    }


def _rules(client: Any) -> dict[str, Any]:
    return {
        rule["Name"]: (
            rule.get("ScheduleExpression") or rule["EventPattern"],
            [target["Arn"] for target in client.list_targets_by_rule(Rule=rule["Name"])["Targets"]],
        )
        for rule in client.list_rules()["Rules"]
    }


def _schedules(client: Any) -> dict[str, Any]:
    """By group, its tags and its schedules."""
    found = {}
    for group in client.list_schedule_groups()["ScheduleGroups"]:
        name = group["Name"]
        tags = client.list_tags_for_resource(ResourceArn=group["Arn"])["Tags"]
        names = [item["Name"] for item in client.list_schedules(GroupName=name)["Schedules"]]
        read = {each: client.get_schedule(GroupName=name, Name=each) for each in names}
        found[name] = {
            "tags": sorted((tag["Key"], tag["Value"]) for tag in tags),
            **{
                each: tuple(
                    item[field]
                    for field in (
                        *("ScheduleExpression", "ScheduleExpressionTimezone", "Target", "State"),
                        "ActionAfterCompletion",
                    )
                )
                for each, item in read.items()
            },
        }
    return found


def _buckets(client: Any) -> dict[str, Any]:
    found = {}
    for item in client.list_buckets()["Buckets"]:
        name = item["Name"]
        entries = client.get_bucket_notification_configuration(Bucket=name).get("LambdaFunctionConfigurations", [])
        tags: list[Any] = []
        lifecycle: list[Any] = []
        with suppress(ClientError):
            tags = client.get_bucket_tagging(Bucket=name)["TagSet"]
        with suppress(ClientError):
            lifecycle = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        found[name] = {
            "notifications": sorted(entry["Id"] for entry in entries),
            "tags": sorted((tag["Key"], tag["Value"]) for tag in tags),
            "versioning": client.get_bucket_versioning(Bucket=name).get("Status"),
            "lifecycle": sorted(rule["ID"] for rule in lifecycle),
        }
    return found


def _topics(client: Any) -> dict[str, Any]:
    return {
        topic["TopicArn"]: sorted(
            item["Endpoint"] for item in client.list_subscriptions_by_topic(TopicArn=topic["TopicArn"])["Subscriptions"]
        )
        for topic in client.list_topics()["Topics"]
    }


def _secrets(client: Any) -> dict[str, Any]:
    return {
        item["Name"]: client.get_secret_value(SecretId=item["Name"])["SecretString"]
        for item in client.list_secrets()["SecretList"]
    }
