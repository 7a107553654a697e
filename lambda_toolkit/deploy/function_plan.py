"""What would have to change for one function and what is its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import Task, task
from lambda_toolkit.changes import Change
from lambda_toolkit.packaging.bytecode import can_compile_for
from lambda_toolkit.packaging.function_zip import Package, build, bytecode_note
from lambda_toolkit.packaging.layer_zip import Layer, LayerSpec, build_layer, cached_layer, layer_of
from lambda_toolkit.resources import (
    alarm,
    alias,
    bucket,
    event_rule,
    function,
    invoke_permission,
    layer,
    log_group,
    role,
    s3_notification,
    tags,
)
from lambda_toolkit.resources.function import LiveFunction
from lambda_toolkit.spec import quotas
from lambda_toolkit.spec.model import BucketSpec, FunctionSpec, LifecycleRule
from lambda_toolkit.spec.ownership import APPLICATION_TAG, STAGE_TAG

_LARGEST_SHOWN = 10
# Lambda copies what it is given; afterwards nobody needs it
_ARTIFACTS_GO = (LifecycleRule("artifacts", abort_uploads_days=1, noncurrent_days=1, expire_days=1),)


class FunctionPlanner:
    """Plans one function. What several of its parts need to know is read once."""

    def __init__(
        self, aws: Aws, spec: FunctionSpec, prefix: str, *, listed: bool, many: bool, seen_to: s3_notification.SeenTo
    ) -> None:
        self._aws = aws
        self._read = partial(function.read_listed, aws, spec) if listed else partial(function.read, aws, spec.name)
        self._prefix = prefix
        self._many = many
        self._seen_to = seen_to
        self.spec = spec
        self.package: Package = build(spec)
        self._layer: LayerSpec | None = layer_of(spec)

    def tasks(self) -> list[Task[Sequence[Change]]]:
        """The independent parts, to be run in parallel."""
        aws, spec, prefix = self._aws, self.spec, self._prefix
        return [
            self._plan_function,
            task(role.plan, aws, spec, function_is_ours=self._is_ours, listed=self._many),
            task(log_group.plan, aws, spec, prefix, function_is_ours=self._is_ours),
            task(event_rule.plan, aws, spec, prefix),
            task(s3_notification.plan, aws, spec, function_is_ours=self._is_ours, seen_to=self._seen_to),
            task(alarm.plan, aws, spec, prefix),
        ]

    def shared_reads(self) -> dict[object, Task[object]]:
        """The lists that this function's parts look into, and others' too, by what is the same for all of them."""
        aws, spec, prefix = self._aws, self.spec, self._prefix
        application, stage = spec.tags.get(APPLICATION_TAG, ""), spec.tags.get(STAGE_TAG, "")
        reads: dict[object, Task[object]] = {"functions": aws.listed_functions}
        if self._many:
            reads["roles"] = task(role.read_listed, aws)
        if spec.schedule is not None:
            reads["rules", prefix] = task(event_rule.read_rules, aws, prefix)
        reads["log groups", prefix] = task(log_group.read_groups, aws, prefix)
        if spec.alarms is not None:
            reads["alarms", prefix] = task(alarm.read_alarms, aws, prefix)
        if application:
            reads["tags", application, stage] = task(tags.read_tagged, aws, application, stage)
        return reads

    def own_reads(self) -> list[Task[object]]:
        """What the parts ask for late though it depends on no earlier answer, save that there is something to ask."""
        aws, spec = self._aws, self.spec
        invoked = spec.schedule or spec.s3_triggers
        reads: list[Task[object]] = [task(invoke_permission.read, aws, spec.name)] if invoked else []
        reads.append(self._read_alias)
        if spec.schedule:
            reads.append(task(event_rule.read_target, aws, spec.name, self._prefix))
        return reads

    def _read_alias(self) -> None:
        if any(item["FunctionName"] == self.spec.name for item in self._aws.listed_functions()):
            alias.read(self._aws, self.spec.name)

    def _live(self) -> LiveFunction | None:
        return self._aws.cached(("function", self.spec.name), self._read)

    def _is_ours(self) -> bool:
        return function.is_ours(self._live(), self.spec.name)

    def _plan_function(self) -> list[Change]:
        live = self._live()
        if self._layer is None:
            self._check_sizes(None)
            bucket_changes = self._place_artifacts(None)
            return [*bucket_changes, *function.plan(self._aws, self.spec, self.package, live, None, None)]
        wanted, arn = self._newest_layer(self._layer)
        built = None if arn else self._aws.cached(("built layer", wanted.name), lambda: build_layer(wanted))
        changes: list[Change] = []
        self._check_sizes(built or cached_layer(wanted))
        bucket_changes = self._place_artifacts(built)
        if built is not None:
            changes += layer.plan(wanted, built, self.spec.artifact_bucket)
        self._layer = wanted
        return [
            *bucket_changes,
            *changes,
            *function.plan(self._aws, self.spec, self.package, live, wanted.name, arn),
        ]

    def _newest_layer(self, wanted: LayerSpec) -> tuple[LayerSpec, str | None]:
        """The layer to use and its version on AWS: one with bytecode wherever it is there or can be made."""
        arn = self._layer_arn(wanted)
        if arn is None and not can_compile_for(wanted.runtime):
            wanted = replace(wanted, bytecode=False)
            arn = self._layer_arn(wanted)
        return wanted, arn

    def _layer_arn(self, wanted: LayerSpec) -> str | None:
        return self._aws.cached(("layer", wanted.name), lambda: layer.version_arn(self._aws, wanted.name))

    def _place_artifacts(self, built: Layer | None) -> list[Change]:
        """What is too large to be sent in a call goes through a bucket: the toolkit's own, where none is named."""
        sizes = (len(self.package.content), built.zipped if built else 0)
        if self.spec.artifact_bucket or max(sizes) <= quotas.DIRECT_UPLOAD:
            return []
        own = quotas.artifact_bucket(self._aws.account_id, self._aws.region)
        self.spec = replace(self.spec, artifact_bucket=own)
        return self._aws.cached(
            ("artifact bucket", own), lambda: bucket.plan(self._aws, BucketSpec(own, lifecycle=_ARTIFACTS_GO))
        )

    def _check_sizes(self, built: Layer | None) -> None:
        parts = [*self.package.sizes.items(), *(built.largest if built else ())]
        largest = sorted(parts, key=lambda part: -part[1])[:_LARGEST_SHOWN]
        unzipped = self.package.unzipped + (built.unzipped if built else 0)
        quotas.check_sizes(self.spec, unzipped, largest)

    def notes(self, changes: Iterable[Change]) -> list[str]:
        """What people should know of the package, and of its bytecode where it is sent."""
        sent = {change.key for change in changes if change.action != "delete"}
        concerned = (function.KIND, self.spec.name) in sent or (
            self._layer is not None and (layer.KIND, self._layer.name) in sent
        )
        missing = bytecode_note(self.spec) if concerned else None
        return [*self.package.notes, *([missing] if missing else [])]

    def layers_before(self) -> set[str]:
        """The layers that the function uses until now."""
        live = self._live()
        if live is None or not function.is_ours(live, self.spec.name):
            return set()
        return {layer.layer_name(arn) for arn in live.layers}

    def layers_after(self) -> set[str]:
        """The layers that it will use."""
        return {self._layer.name} if self._layer else set()
