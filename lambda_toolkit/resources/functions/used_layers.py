"""The layers that a function uses: versions that exist already, by their ARNs, and the layer of its requirements.

Ready ones are read, and never written. The layer of the requirements comes after them: where two have a file of one
name, Lambda takes that of the last one. https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.account import ACCESS_DENIED
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Difference
from lambda_toolkit.errors import AwsError, PackageError
from lambda_toolkit.packaging.layer_zip import LAYER_PREFIX
from lambda_toolkit.resources.functions.layer import layer_name, required_arn
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.spec.model import FunctionSpec


@dataclass(frozen=True)
class RequiredLayer:
    """The layer that the function uses."""

    name: str
    """Its name."""
    arn: str | None
    """The ARN of its version; ``None`` while it is not published."""


def names(spec: FunctionSpec, layer: RequiredLayer | None) -> list[str]:
    """The ready layers by their ARNs; ours by its name: the ARN of one that is not published yet is not known."""
    return [*spec.layers, *([layer.name] if layer else ())]


def shown(used: Sequence[str]) -> list[str]:
    """The ARNs ``used`` as :func:`names` has them: of a ready layer, another version is another layer."""
    return [name if (name := layer_name(arn)).startswith(LAYER_PREFIX) else arn for arn in used]


def arns(aws: Aws, spec: FunctionSpec, layer: RequiredLayer | None) -> list[str]:
    """What Lambda takes as ``Layers``. Raises AwsError where the layer of the requirements is not listed soon."""
    return [*spec.layers, *([layer.arn or required_arn(aws, layer.name)] if layer else ())]


def difference(used: Sequence[str], spec: FunctionSpec, layer: RequiredLayer | None) -> tuple[Difference, ...]:
    """How the layers that are ``used``, ARNs, differ from the declared ones."""
    if list(used) == [*spec.layers, *([layer.arn or layer.name] if layer else ())]:
        return ()
    return (Difference("layers", shown(used), names(spec, layer)),)


def check(reads: Reads, spec: FunctionSpec) -> list[str]:
    """What is odd about the ready layers of ``spec``, as sentences without the final period.

    Each is read once in a plan. Raises PackageError for one that does not exist, and AwsError. One that may not be
    read is a note: a deploy, which then may not use it either, says so.
    """
    return [note for arn in spec.layers for note in _notes(reads, spec, arn)]


def _notes(reads: Reads, spec: FunctionSpec, arn: str) -> Iterator[str]:
    try:
        found = reads.once(("ready layer", arn), lambda: _read(reads, arn))
    except AwsError as error:
        if error.code not in ACCESS_DENIED:
            raise
        yield f"layer {arn} of {spec.name} cannot be read: it needs lambda:GetLayerVersion, also for the deploy"
        return
    if found is None:
        raise PackageError(f"The layer {arn} of `{spec.name}` does not exist. Is its version still there?")
    for what, declared, fits in (
        ("Python", spec.runtime, found.get("CompatibleRuntimes") or ()),
        ("architecture", spec.architecture, found.get("CompatibleArchitectures") or ()),
    ):
        if fits and declared not in fits:
            yield f"layer {arn} of {spec.name} is made for {what} {', '.join(fits)}, and the function has {declared}"


def _read(reads: Reads, arn: str) -> Mapping[str, Any] | None:
    layer, _, version = arn.rpartition(":")
    found: Mapping[str, Any] | None = reads.aws.find(
        "lambda", "get_layer_version", LayerName=layer, VersionNumber=int(version)
    )
    return found
