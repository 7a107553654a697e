"""What would have to change on AWS, found by reading only. ``deploy`` makes exactly these changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import Task, run_parallel, task
from lambda_toolkit.changes import Change, Key, Plan
from lambda_toolkit.deploy.function_plan import FunctionPlan, plan_function
from lambda_toolkit.deploy.removal import Removal, make_destroy_plan, plan_undeclared
from lambda_toolkit.errors import Advice, Hint, ToolkitError, raise_all
from lambda_toolkit.resources import registry
from lambda_toolkit.resources.account import bucket, catalog, secret, topic
from lambda_toolkit.resources.functions import function, layer
from lambda_toolkit.resources.monitoring import alarm, dashboard
from lambda_toolkit.resources.planning.attachment import Context, PlanScope
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.resources.triggers import s3_notification
from lambda_toolkit.spec.catalog import check_catalog
from lambda_toolkit.spec.dashboard import check_dashboard
from lambda_toolkit.spec.limits import quotas
from lambda_toolkit.spec.model import Deployment, FunctionSpec, Kind

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

    With ``prune``, and without ``only``, also those that remove what was created for this application and stage and is
    no longer declared; buckets, secrets and log groups of it only with ``delete_data``.

    Reads only, in parallel. Packages are built, and so are layers that AWS does not have, so that all limits are
    checked before anything is written. Raises ToolkitError; PlanError where there are several reasons.
    """
    deployment = deployment.tagged()
    functions = _chosen(deployment.functions, only)
    _check(functions, deployment)
    reads = Reads(aws, functions, application=deployment.application)
    prunes = prune and only is None and bool(deployment.application)

    def undeclared() -> Removal:
        return reads.once(
            "undeclared", task(plan_undeclared, reads, deployment, scope, delete_data) if prunes else Removal
        )

    scope = PlanScope(
        with_triggers=frozenset(spec.name for spec in functions if spec.s3_triggers is not None),
        removed=lambda: {change.key for change in undeclared().changes},
    )
    contexts = [Context(reads, spec, registry.ATTACHMENTS, scope) for spec in functions]
    plans: list[Task[FunctionPlan]] = [task(plan_function, context) for context in contexts]
    parts = [task(attachment.plan, context) for context in contexts for attachment in registry.ATTACHMENTS]
    if only is None:
        parts += [task(bucket.plan, reads, item) for item in deployment.buckets]
        parts += [task(topic.plan, reads, item) for item in deployment.topics]
        parts += [task(secret.plan, reads, item) for item in deployment.secrets]
        parts += [task(dashboard.plan, reads, item) for item in deployment.dashboards]
        parts += [task(catalog.plan, reads, item) for item in deployment.catalogs]
    planned = run_parallel(
        [*plans, *(_as_function_plan(part) for part in parts), lambda: FunctionPlan(tuple(undeclared().changes))],
        prefetch=_prefetch(contexts),
    )
    changes = [change for part in planned for change in part.changes]
    changes = _checked_after(changes, functions)
    layers = _plan_unused_layers(reads, planned, functions, undeclared())
    changes = [*layer.before_deletions(changes, layers), *layers]
    artifacts = tuple(part.artifact for part in planned if part.artifact)
    notes = (*undeclared().notes, *dict.fromkeys(note for part in planned for note in part.notes))
    notes += tuple(f"function {spec.name}: {doubt}" for spec in functions for doubt in quotas.function_doubts(spec))
    notes += tuple(note for notes_of in registry.NOTES for note in notes_of(contexts))
    notes += deployment.notes
    notes += tuple(_missing_notes(changes))
    advice: tuple[Advice, ...] = (Advice(Hint.DELETE_DATA),) if undeclared().keeps_data else ()
    if only is None:
        notes += tuple(note for item in deployment.topics for note in topic.notes(reads, item))
        notes += tuple(note for item in deployment.secrets for note in secret.notes(reads, item))
        advice += tuple(remedy for item in deployment.secrets for remedy in secret.advice(reads, item))
    return Plan(tuple({change.key: change for change in changes}.values()), notes, advice, artifacts)


def _as_function_plan(part: Task[list[Change]]) -> Task[FunctionPlan]:
    return lambda: FunctionPlan(tuple(part()))


def _prefetch(contexts: Sequence[Context]) -> list[Task[object]]:
    """The reads that the plan will make in any case, in the order in which they can start: lists first."""
    wanted = [
        prefetch(context)
        for context in contexts
        for prefetch in (function.prefetch, *(attachment.prefetch for attachment in registry.ATTACHMENTS))
    ]
    shared = {key: read for reads in wanted for key, read in reads.shared.items()}
    steps = zip_longest(*(reads.own for reads in wanted))
    return [*shared.values(), *(read for step in steps for read in step if read is not None)]


def _missing_notes(changes: Sequence[Change]) -> Iterator[str]:
    """What changes need, does not exist, and is not created by the plan: a sentence each."""
    created = {change.key for change in changes if change.action == "create"}
    needed: dict[Key, list[Change]] = {}
    for change in changes:
        for key in change.missing - created:
            needed.setdefault(key, []).append(change)
    for (kind, name), users in sorted(needed.items()):
        named = ", ".join(f"{change.kind} {change.name}" for change in users)
        yield f"there is no {kind} {name} yet, and this plan does not create it: {named} needs it"


def _checked_after(changes: Sequence[Change], functions: Iterable[FunctionSpec]) -> list[Change]:
    """The changes; functions with a health event or canary wait for what their check may use: buckets, secrets, alarms.

    Without that, a new version would fail its check because what it needs is not there yet.
    """
    checked = {(Kind.FUNCTION, spec.name): spec for spec in functions if spec.health_event is not None or spec.canary}
    shared = {
        change.key for change in changes if change.kind in (Kind.BUCKET, Kind.SECRET) and change.action != "delete"
    }
    return [
        replace(change, after=change.after | shared | _alarms(checked[change.key])) if change.key in checked else change
        for change in changes
    ]


def _alarms(spec: FunctionSpec) -> set[Key]:
    """The alarms that watch a canary."""
    return (
        {(Kind.ALARM, alarm.alarm_name(spec.name, item.name)) for item in spec.alarms or ()} if spec.canary else set()
    )


def _plan_unused_layers(
    reads: Reads, planned: Sequence[FunctionPlan], functions: Iterable[FunctionSpec], undeclared: Removal
) -> list[Change]:
    """The removal of our layers that these functions use on AWS and no function uses after the plan."""
    before = {name for part in planned for name in part.layers_before} | set(undeclared.layers)
    after = {name for part in planned for name in part.layers_after}
    removed = {change.name for change in undeclared.changes if change.kind == Kind.FUNCTION}
    updated = {spec.name for spec in functions}
    return layer.plan_removal(reads, before - after, updated | removed, updated)


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
        *(task(check_dashboard, item) for item in deployment.dashboards),
        *(task(check_catalog, item) for item in deployment.catalogs),
        task(s3_notification.check_declared, deployment.functions),
    ):
        try:
            check()
        except ToolkitError as error:
            problems.append(error)
    raise_all(problems)
