"""What would have to be removed from AWS, found by reading only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import Task, run_parallel, task
from lambda_toolkit.changes import Change, Plan
from lambda_toolkit.errors import Advice, Hint
from lambda_toolkit.resources import bucket, function, layer, registry, secret, topic
from lambda_toolkit.resources.attachment import Context
from lambda_toolkit.resources.reads import Reads
from lambda_toolkit.spec.model import Deployment, Kind


@dataclass(frozen=True)
class Removal:
    """What is to be removed."""

    changes: Sequence[Change] = ()
    """The changes that remove it."""
    layers: Sequence[str] = ()
    """The names of layers that may be unused afterwards."""
    notes: Sequence[str] = ()
    """What is kept, in words."""
    keeps_data: bool = False
    """Whether data is kept that could be removed as well."""


def make_destroy_plan(aws: Aws, deployment: Deployment, delete_data: bool = False) -> Plan:
    """The changes that remove what was created for ``deployment``.

    Buckets with their objects, and secrets, are removed only with ``delete_data``. Reads only. What the toolkit did not
    create is kept, and ``notes`` lists it, as well as data that is kept. Raises AwsError.
    """
    reads, deployment = Reads(aws), deployment.tagged()
    names = {spec.name for spec in deployment.functions}
    removals = run_parallel([task(plan_function_removal, Context(reads, spec)) for spec in deployment.functions])
    changes = [change for removal in removals for change in removal.changes]
    changes += layer.plan_removal(reads, [name for removal in removals for name in removal.layers], names)
    # What uses a resource is removed first: alarms before their topic, functions before their buckets and secrets.
    alarms = frozenset(change.key for change in changes if change.kind == Kind.ALARM)
    users = frozenset(change.key for change in changes if change.kind in (Kind.FUNCTION, Kind.S3_NOTIFICATION))
    shared: list[Task[Sequence[Change]]] = [task(topic.plan_removal, reads, item, alarms) for item in deployment.topics]
    if delete_data:
        shared += [task(bucket.plan_removal, reads, item, users) for item in deployment.buckets]
        shared += [task(secret.plan_removal, reads, item, users) for item in deployment.secrets]
    changes += [change for found in run_parallel(shared) for change in found]
    notes = [note for removal in removals for note in removal.notes]
    if not delete_data:
        notes += [f"bucket {item.name} and its objects are kept" for item in deployment.buckets]
        notes += [f"secret {item.name} is kept" for item in deployment.secrets]
    keeps_data = not delete_data and bool(deployment.buckets or deployment.secrets)
    return Plan(tuple(changes), tuple(notes), (Advice(Hint.DELETE_DATA),) if keeps_data else ())


def plan_function_removal(context: Context, *, keep_log: bool = False) -> Removal:
    """What removes one function: its attachments first, then the function, then what it needed to run.

    Raises AwsError.
    """
    name, live = context.spec.name, context.live()
    if live is not None and not live.is_ours(name):
        return Removal(notes=[f"function {name} is not managed by this toolkit and is left unchanged"])
    kept = {Kind.LOG_GROUP} if keep_log else set()
    changes = [
        change
        for attachment in registry.ATTACHMENTS
        if attachment.KIND not in kept
        for change in attachment.plan_removal(context)
    ]
    if live is None:
        return Removal(changes)
    before = frozenset(change.key for change in changes if context.function_key not in change.after)
    layers = [layer.layer_name(arn) for arn in live.layers]
    return Removal([*changes, *function.plan_removal(name, before)], layers)
