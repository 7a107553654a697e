"""Layers of requirements. A layer's name contains the hash of its recipe: what has the name is what is declared."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Key
from lambda_toolkit.errors import AwsError
from lambda_toolkit.packaging.layer_zip import LAYER_PREFIX, Layer, LayerSpec
from lambda_toolkit.packaging.uv import shown
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.spec.limits.quotas import DIRECT_UPLOAD
from lambda_toolkit.spec.model import Kind

KIND = Kind.LAYER
_DAY = 86_400.0  # seconds
_LISTED_AFTER = 2.0  # seconds, after which a version that was published is listed


def version_arn(aws: Aws, name: str) -> str | None:
    """The ARN of the newest version of the layer ``name``; ``None`` where the layer does not exist."""
    answer = aws.find("lambda", "list_layer_versions", LayerName=name, MaxItems=1)
    versions = answer.get("LayerVersions", []) if answer else []
    return str(versions[0]["LayerVersionArn"]) if versions else None


def required_arn(aws: Aws, name: str) -> str:
    """As :func:`version_arn`, for a layer that was just published."""
    return aws.wait_until(lambda: version_arn(aws, name), f"Layer {name} is listed")


def plan(spec: LayerSpec, layer: Layer, artifact_bucket: str | None) -> list[Change]:
    """The change that publishes ``layer``. Called only where AWS has none of that name."""

    def create(executor_aws: Aws) -> None:
        content: dict[str, Any]
        if layer.zipped > DIRECT_UPLOAD:
            content = upload(executor_aws, artifact_bucket, f"{spec.name}.zip", layer.path.read_bytes())
        else:
            content = {"ZipFile": layer.path.read_bytes()}
        _publish(
            executor_aws,
            LayerName=spec.name,
            Description=f"lambda_script {spec.digest}",
            Content=content,
            CompatibleRuntimes=[spec.runtime],
            CompatibleArchitectures=[spec.architecture],
        )

    size = f"{layer.zipped / 1e6:.1f} MB zipped, {layer.unzipped / 1e6:.1f} MB unzipped"
    after: frozenset[Key] = frozenset({(Kind.BUCKET, artifact_bucket)} if artifact_bucket else ())
    return [Change(KIND, spec.name, "create", (shown(spec.requirements), size), after, apply=create)]


def _publish(aws: Aws, **parameters: Any) -> None:
    """Publish a version. Each call makes one, so an unanswered call is repeated only where none is listed."""
    try:
        aws.call("lambda", "publish_layer_version", **parameters)
    except AwsError as error:
        if not error.unanswered:
            raise
        aws.clock.pause(_LISTED_AFTER)
        if version_arn(aws, parameters["LayerName"]) is None:
            aws.call("lambda", "publish_layer_version", **parameters)


def plan_removal(
    reads: Reads, names: Iterable[str], functions: Collection[str], updated: Iterable[str] = ()
) -> list[Change]:
    """The changes that delete those of our layers ``names`` that no function outside ``functions`` uses.

    They wait for the functions in ``updated``, which then use other layers. A function that is deleted waits for them
    (:func:`before_deletions`): only the function tells which layers it used, and it runs without them until then.
    """
    ours = sorted({name for name in names if name.startswith(LAYER_PREFIX)})
    if not ours:
        return []
    used = {
        layer_name(layer["Arn"])
        for function in reads.all_functions()
        if function["FunctionName"] not in functions
        for layer in function.get("Layers") or ()
    }
    after = frozenset((Kind.FUNCTION, function) for function in updated)
    return [_removal(name, after) for name in ours if name not in used]


def before_deletions(changes: Iterable[Change], removals: Iterable[Change]) -> list[Change]:
    """``changes``, in which the deletion of a function waits for ``removals``, the deletions of layers."""
    first = frozenset(change.key for change in removals)
    return [
        replace(change, after=change.after | first)
        if (change.kind, change.action) == (Kind.FUNCTION, "delete")
        else change
        for change in changes
    ]


def orphaned(reads: Reads) -> list[str]:
    """The names of our layers that no function uses and that are older than a day.

    A layer has no tags, and a deployment may have failed between publishing and using it, or before deleting it. A
    younger one may belong to a running deployment. Where a layer is deleted just before it is used, the same command
    publishes it again; a function that uses a deleted version keeps it. Raises AwsError.

    https://docs.aws.amazon.com/lambda/latest/dg/creating-deleting-layers.html
    """
    aws = reads.aws
    layers = aws.list_all("lambda", "list_layers", "Layers")
    created = {str(item["LayerName"]): _created(item.get("LatestMatchingVersion") or {}) for item in layers}
    old = {name for name, at in created.items() if name.startswith(LAYER_PREFIX) and aws.clock.wall() - at > _DAY}
    if not old:
        return []
    used = {layer_name(layer["Arn"]) for function in reads.all_functions() for layer in function.get("Layers") or ()}
    return sorted(old - used)


def _created(version: Mapping[str, Any]) -> float:
    """When it was published, in seconds since 1970; infinity (new) where the date cannot be parsed."""
    try:
        return datetime.strptime(str(version.get("CreatedDate")), "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
    except ValueError:
        return math.inf


def _removal(name: str, after: frozenset[Key]) -> Change:
    def delete(executor_aws: Aws) -> None:
        for version in executor_aws.list_existing("lambda", "list_layer_versions", "LayerVersions", LayerName=name):
            executor_aws.find("lambda", "delete_layer_version", LayerName=name, VersionNumber=version["Version"])

    return Change(KIND, name, "delete", ("no function uses it",), after, apply=delete)


def layer_name(arn: str) -> str:
    """The name in a layer version's ARN."""
    return arn.split(":")[6]


def upload(aws: Aws, bucket: str | None, key: str, content: bytes) -> dict[str, str]:
    """Upload ``content``, which is too large to be sent in a call. Returns the parameters by which Lambda finds it."""
    if bucket is None:
        raise AwsError(f"{key} is too large to be sent directly: name an artifact_bucket.")
    aws.call("s3", "put_object", Bucket=bucket, Key=f"lambda_script/{key}", Body=content)
    return {"S3Bucket": bucket, "S3Key": f"lambda_script/{key}"}
