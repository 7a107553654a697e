"""What would have to change on AWS, found by reading only. ``deploy`` makes exactly these changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import Task, run_parallel, task
from lambda_toolkit.changes import Artifact, Change, Key, Plan
from lambda_toolkit.deploy.destroy import Removal, make_destroy_plan
from lambda_toolkit.deploy.function_plan import FunctionPlanner
from lambda_toolkit.deploy.prune import plan_dropped
from lambda_toolkit.errors import Advice, Hint, ToolkitError, raise_all
from lambda_toolkit.resources import alarm, bucket, function, layer, role, s3_notification, secret, topic
from lambda_toolkit.spec import quotas
from lambda_toolkit.spec.model import Deployment, FunctionSpec
from lambda_toolkit.spec.ownership import listing_prefix

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
    deployment = deployment.tagged()
    functions = _chosen(deployment.functions, only)
    _check(functions, deployment)
    aws = aws.snapshot()
    names = [spec.name for spec in functions]
    listed = len(names) > 1 and bool(deployment.application)  # else each would be asked for its tags anyway
    many = listed and len(names) >= role.MANY
    prunes = prune and only is None and bool(deployment.application)
    managed = {spec.name for spec in functions if spec.s3_triggers is not None}

    def dropped() -> Removal:
        return aws.cached("dropped", task(plan_dropped, aws, deployment, delete_data) if prunes else Removal)

    def sees_to(name: str, bucket: str) -> bool:
        gone = (s3_notification.KIND, s3_notification.change_name(name, bucket))
        return bool(name) and (name in managed or gone in {change.key for change in dropped().changes})

    planners = [
        FunctionPlanner(aws, spec, listing_prefix(names, spec.name), listed=listed, many=many, seen_to=sees_to)
        for spec in functions
    ]
    tasks: list[Task[Sequence[Change]]] = [task for planner in planners for task in planner.tasks()]
    if only is None:
        tasks += [task(bucket.plan, aws, item) for item in deployment.buckets]
        tasks += [task(topic.plan, aws, item) for item in deployment.topics]
        tasks += [task(secret.plan, aws, item) for item in deployment.secrets]
    tasks.append(lambda: dropped().changes)  # looked for at the same time as everything else
    changes = [change for found in run_parallel(tasks, prefetch=_reads_ahead(planners)) for change in found]
    changes = _checked_after(changes, functions)
    changes += _plan_dropped_layers(aws, planners, dropped())
    artifacts = tuple(Artifact(p.spec.zip_path, p.package.content) for p in planners if p.spec.zip_path)
    packaging = dict.fromkeys(note for planner in planners for note in planner.notes(changes))
    notes = (*dropped().notes, *packaging)
    advice = (Advice(Hint.DELETE_DATA),) if dropped().keeps_data else ()
    return Plan(tuple({change.key: change for change in changes}.values()), notes, advice, artifacts)


def _reads_ahead(planners: Sequence[FunctionPlanner]) -> list[Task[object]]:
    """What the plan will ask for, in the order in which it can be asked: first the lists, then one by one."""
    shared = {key: read for planner in planners for key, read in planner.shared_reads().items()}
    steps = zip_longest(*(planner.own_reads() for planner in planners))
    return [*shared.values(), *(read for step in steps for read in step if read is not None)]


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


def _plan_dropped_layers(aws: Aws, planners: Sequence[FunctionPlanner], dropped: Removal) -> list[Change]:
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
        *(task(quotas.check_function, spec) for spec in functions),
        *(task(quotas.check_bucket, item) for item in deployment.buckets),
        task(s3_notification.check_declared, deployment.functions),
    ):
        try:
            check()
        except ToolkitError as error:
            problems.append(error)
    raise_all(problems)
