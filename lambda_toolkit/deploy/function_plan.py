"""What would have to change for one function, its layer and the bucket of its artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lambda_toolkit.changes import Artifact, Change
from lambda_toolkit.errors import raise_all
from lambda_toolkit.packaging.bytecode import can_compile_for
from lambda_toolkit.packaging.function_zip import Package, build, bytecode_note
from lambda_toolkit.packaging.import_advice import check_imports
from lambda_toolkit.packaging.layer_zip import Layer, LayerSpec, build_layer, cached_layer, layer_of
from lambda_toolkit.resources.account import bucket
from lambda_toolkit.resources.functions import function, layer, used_layers
from lambda_toolkit.resources.functions.used_layers import RequiredLayer
from lambda_toolkit.resources.planning.attachment import Context
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.spec.bucket import BucketSpec, LifecycleRule
from lambda_toolkit.spec.limits import quotas
from lambda_toolkit.spec.model import FunctionSpec, Kind

_LARGEST_SHOWN = 10
# Lambda copies code and layers when they are deployed: afterwards the objects are not needed
_ARTIFACT_EXPIRY = (LifecycleRule("artifacts", abort_uploads_days=1, noncurrent_days=1, expire_days=1),)


@dataclass(frozen=True)
class FunctionPlan:
    """The plan of one function without its attachments."""

    changes: tuple[Change, ...] = ()
    """Of the function, its old versions, its layer and the toolkit's own bucket for artifacts."""
    notes: tuple[str, ...] = ()
    """Warnings about the package."""
    artifact: Artifact | None = None
    """The copy of the package to leave on disk."""
    layers_before: frozenset[str] = frozenset()
    """The names of the layers that the function uses on AWS."""
    layers_after: frozenset[str] = frozenset()
    """The names of the layers that it uses after the plan."""


@dataclass(frozen=True)
class _PlannedLayer:
    """The layer that a function needs."""

    spec: LayerSpec
    """Its recipe: requirements, runtime, platform."""
    arn: str | None
    """The ARN of its version; ``None`` where it must be published."""
    built: Layer | None
    """The layer to publish; ``None`` where it is published already."""


def plan_function(context: Context) -> FunctionPlan:
    """Build the package, and the layer where AWS lacks it, and compare. Raises ToolkitError.

    Raises LimitError before anything is written where package and layer are too large, and PackageError where the
    function could not start as an import of it finds nothing.
    """
    spec, live = context.spec, context.live()
    package = build(spec)
    needed = _plan_layer(context.reads, spec)
    built = needed.built if needed else None
    known = built or (cached_layer(needed.spec) if needed else None)
    problems = check_imports(spec, package, needed.spec if needed else None, known)
    raise_all(problems.errors)
    layer_notes = used_layers.check(context.reads, spec)
    _check_sizes(spec, package, known)
    artifact_bucket, changes = _plan_artifacts(context.reads, spec, package, built)
    context = replace(context, spec=replace(spec, artifact_bucket=artifact_bucket))
    if needed and built:
        changes += layer.plan(needed.spec, built, artifact_bucket)
    required = RequiredLayer(needed.spec.name, needed.arn) if needed else None
    changes += function.plan(context, package, required)
    is_ours = live is not None and live.is_ours(spec.name)
    return FunctionPlan(
        changes=tuple(changes),
        notes=(*_notes(spec, package, changes), *problems.notes, *layer_notes),
        artifact=Artifact(spec.zip_path, package.content) if spec.zip_path else None,
        layers_before=frozenset(layer.layer_name(arn) for arn in live.layers) if live and is_ours else frozenset(),
        layers_after=frozenset({required.name} if required else ()),
    )


def _plan_layer(reads: Reads, spec: FunctionSpec) -> _PlannedLayer | None:
    """The layer of the requirements: with bytecode wherever AWS has that, or it can be compiled here."""
    wanted = layer_of(spec)
    if wanted is None:
        return None
    arn = _layer_arn(reads, wanted)
    if arn is None and not can_compile_for(wanted.runtime):
        wanted = replace(wanted, bytecode=False)
        arn = _layer_arn(reads, wanted)
    missing = wanted
    built = None if arn else reads.once(("built layer", missing.name), lambda: build_layer(missing))
    return _PlannedLayer(wanted, arn, built)


def _layer_arn(reads: Reads, wanted: LayerSpec) -> str | None:
    return reads.once(("layer", wanted.name), lambda: layer.version_arn(reads.aws, wanted.name))


def _plan_artifacts(
    reads: Reads, spec: FunctionSpec, package: Package, built: Layer | None
) -> tuple[str | None, list[Change]]:
    """The bucket for what is too large to be sent in a call, and its changes: the toolkit's own, unless declared."""
    sizes = (len(package.content), built.zipped if built else 0)
    if spec.artifact_bucket or max(sizes) <= quotas.DIRECT_UPLOAD:
        return spec.artifact_bucket, []
    own = quotas.artifact_bucket(reads.account_id, reads.aws.region)
    wanted = BucketSpec(own, lifecycle=_ARTIFACT_EXPIRY)
    return own, list(reads.once(("artifact bucket", own), lambda: bucket.plan(reads, wanted)))


def _check_sizes(spec: FunctionSpec, package: Package, built: Layer | None) -> None:
    parts = [*package.sizes.items(), *(built.largest if built else ())]
    largest = sorted(parts, key=lambda part: -part[1])[:_LARGEST_SHOWN]
    quotas.check_sizes(spec, package.unzipped + (built.unzipped if built else 0), largest)


def _notes(spec: FunctionSpec, package: Package, changes: Sequence[Change]) -> tuple[str, ...]:
    """Warnings about the package, and about its bytecode where code or layer are uploaded."""
    is_sent = any(change.kind in (Kind.FUNCTION, Kind.LAYER) and change.action != "delete" for change in changes)
    missing = bytecode_note(spec) if is_sent else None
    return (*package.notes, *([missing] if missing else []))
