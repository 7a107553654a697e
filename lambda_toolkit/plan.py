"""What would have to change on AWS, found by reading only. ``deploy`` makes exactly these changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial

from lambda_toolkit import limits
from lambda_toolkit.aws import Aws
from lambda_toolkit.bytecode import can_compile_for
from lambda_toolkit.changes import Artifact, Change, Key, Plan
from lambda_toolkit.destroy import Removal, make_destroy_plan
from lambda_toolkit.errors import ToolkitError
from lambda_toolkit.gathering import Task, gather, raise_all, task
from lambda_toolkit.model import BucketSpec, Deployment, FunctionSpec, LifecycleRule
from lambda_toolkit.ownership import listing_prefix
from lambda_toolkit.package import Package, build, bytecode_note
from lambda_toolkit.prune import plan_dropped
from lambda_toolkit.requirements import Layer, LayerSpec, build_layer, layer_of
from lambda_toolkit.resources import alarm, bucket, function, layer, log_group, role, schedule, secret, topic, trigger
from lambda_toolkit.resources.function import LiveFunction

_LARGEST_SHOWN = 10
# Lambda copies what it is given; afterwards nobody needs it
_ARTIFACTS_GO = (LifecycleRule("artifacts", abort_uploads_days=1, noncurrent_days=1, expire_days=1),)

__all__ = ["Change", "Plan", "make_destroy_plan", "make_plan"]


def make_plan(
    aws: Aws,
    deployment: Deployment,
    only: Collection[str] | None = None,
    *,
    prune: bool = False,
    delete_data: bool = False,
) -> Plan:
    """The changes that bring AWS to ``deployment``; with ``only``, those of these functions and what is theirs alone.

    With ``prune``, and without ``only``, also those that remove what was made for this application and stage and is no
    longer declared; buckets, secrets and log groups among it only with ``delete_data``.

    Reads only, in parallel. Packages are built, and so are layers that AWS does not have, so that all limits are
    checked before anything is written. Raises ToolkitError; PlanError where there are several reasons.
    """
    deployment = deployment.labelled()
    functions = _chosen(deployment.functions, only)
    _check(functions, deployment)
    aws = aws.snapshot()
    names = [spec.name for spec in functions]
    listed = len(names) > 1 and bool(deployment.application)  # else each would be asked for its tags anyway
    planners = [_FunctionPlanner(aws, spec, listing_prefix(names, spec.name), listed=listed) for spec in functions]
    tasks: list[Task[Sequence[Change]]] = [task for planner in planners for task in planner.tasks()]
    if only is None:
        tasks += [task(bucket.plan, aws, item) for item in deployment.buckets]
        tasks += [task(topic.plan, aws, item) for item in deployment.topics]
        tasks += [task(secret.plan, aws, item) for item in deployment.secrets]
    if prune and only is None and deployment.application:
        # asked for at the same time as everything else, and taken below
        tasks.append(lambda: aws.once("dropped", task(plan_dropped, aws, deployment, delete_data)).changes)
    changes = [change for found in gather(tasks) for change in found]
    changes = _checked_after(changes, functions)
    dropped: Removal = aws.once("dropped", Removal)
    changes += _plan_dropped_layers(aws, planners, dropped)
    artifacts = tuple(Artifact(p.spec.zip_path, p.package.content) for p in planners if p.spec.zip_path)
    packaging = dict.fromkeys(note for planner in planners for note in planner.notes(changes))
    notes = (*dropped.notes, *packaging)
    return Plan(tuple({change.key: change for change in changes}.values()), notes, artifacts)


def _checked_after(changes: Sequence[Change], functions: Iterable[FunctionSpec]) -> list[Change]:
    """The changes, with those functions that are checked before they go live after all that the check may look at."""
    checked = {(function.KIND, spec.name): spec for spec in functions if spec.health_event is not None or spec.canary}
    shared = {
        change.key for change in changes if change.kind in (bucket.KIND, secret.KIND) and change.action != "delete"
    }
    return [
        replace(change, after=change.after | shared | _alarms(checked[change.key])) if change.key in checked else change
        for change in changes
    ]


def _alarms(spec: FunctionSpec) -> set[Key]:
    """The alarms that watch a canary."""
    return (
        {(alarm.KIND, alarm.alarm_name(spec.name, item.name)) for item in spec.alarms or ()} if spec.canary else set()
    )


class _FunctionPlanner:
    """Plans one function. What several of its parts need to know is read once."""

    def __init__(self, aws: Aws, spec: FunctionSpec, prefix: str, *, listed: bool) -> None:
        self._aws = aws
        self._read = partial(function.read_listed, aws, spec) if listed else partial(function.read, aws, spec.name)
        self._prefix = prefix
        self.spec = spec
        self.package: Package = build(spec)
        self._layer: LayerSpec | None = layer_of(spec)

    def tasks(self) -> list[Task[Sequence[Change]]]:
        """The independent parts, to be run in parallel."""
        aws, spec, prefix = self._aws, self.spec, self._prefix
        return [
            self._plan_function,
            task(role.plan, aws, spec, function_is_ours=self._is_ours),
            task(log_group.plan, aws, spec, prefix, function_is_ours=self._is_ours),
            task(schedule.plan, aws, spec, prefix),
            task(trigger.plan, aws, spec, function_is_ours=self._is_ours),
            task(alarm.plan, aws, spec, prefix),
        ]

    def _live(self) -> LiveFunction | None:
        return self._aws.once(("function", self.spec.name), self._read)

    def _is_ours(self) -> bool:
        return function.is_ours(self._live(), self.spec.name)

    def _plan_function(self) -> list[Change]:
        live = self._live()
        if self._layer is None:
            self._check_sizes(None)
            bucket_changes = self._place_artifacts(None)
            return [*bucket_changes, *function.plan(self._aws, self.spec, self.package, live, None, None)]
        wanted, arn = self._newest_layer(self._layer)
        built = None if arn else self._aws.once(("built layer", wanted.name), lambda: build_layer(wanted))
        changes: list[Change] = []
        if built is not None:
            self._check_sizes(built)
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
        return self._aws.once(("layer", wanted.name), lambda: layer.version_arn(self._aws, wanted.name))

    def _place_artifacts(self, built: Layer | None) -> list[Change]:
        """What is too large to be sent in a call goes through a bucket: the toolkit's own, where none is named."""
        sizes = (len(self.package.content), built.zipped if built else 0)
        if self.spec.artifact_bucket or max(sizes) <= limits.DIRECT_UPLOAD:
            return []
        own = limits.artifact_bucket(self._aws.account_id, self._aws.region)
        self.spec = replace(self.spec, artifact_bucket=own)
        return self._aws.once(
            ("artifact bucket", own), lambda: bucket.plan(self._aws, BucketSpec(own, lifecycle=_ARTIFACTS_GO))
        )

    def _check_sizes(self, built: Layer | None) -> None:
        parts = [*self.package.sizes.items(), *(built.largest if built else ())]
        largest = sorted(parts, key=lambda part: -part[1])[:_LARGEST_SHOWN]
        unzipped = self.package.unzipped + (built.unzipped if built else 0)
        limits.check_sizes(self.spec, unzipped, largest)

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


def _plan_dropped_layers(aws: Aws, planners: Sequence[_FunctionPlanner], dropped: Removal) -> list[Change]:
    """The removal of layers of ours that these functions use until now and no function will."""
    before = {name for planner in planners for name in planner.layers_before()} | set(dropped.layers)
    after = {name for planner in planners for name in planner.layers_after()}
    gone = {change.name for change in dropped.changes if change.kind == function.KIND}
    return layer.plan_removal(aws, before - after, {planner.spec.name for planner in planners} | gone)


def _chosen(functions: Sequence[FunctionSpec], only: Collection[str] | None) -> list[FunctionSpec]:
    names = [spec.name for spec in functions]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ToolkitError(f"Two functions are called `{name}`.")
    for name in only or ():
        if name not in names:
            raise ToolkitError(f"There is no function `{name}` to deploy. There are: {', '.join(names) or 'none'}.")
    return [spec for spec in functions if only is None or spec.name in only]


def _check(functions: Iterable[FunctionSpec], deployment: Deployment) -> None:
    problems: list[ToolkitError] = []
    for check in (
        *(task(limits.check_function, spec) for spec in functions),
        *(task(limits.check_bucket, item) for item in deployment.buckets),
        task(trigger.check_declared, deployment.functions),
    ):
        try:
            check()
        except ToolkitError as error:
            problems.append(error)
    raise_all(problems)
