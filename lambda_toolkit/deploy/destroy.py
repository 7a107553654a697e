"""What would have to be removed from AWS, found by reading only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import Task, run_parallel, task
from lambda_toolkit.changes import Change, Key, Plan
from lambda_toolkit.errors import Advice, Hint
from lambda_toolkit.resources import (
    alarm,
    bucket,
    event_rule,
    function,
    layer,
    log_group,
    role,
    s3_notification,
    secret,
    topic,
)
from lambda_toolkit.spec.model import Deployment


@dataclass(frozen=True)
class Removal:
    """What is to be removed, the layers that it leaves behind, and what is kept, in words."""

    changes: Sequence[Change] = ()
    layers: Sequence[str] = ()
    notes: Sequence[str] = ()
    keeps_data: bool = False


def make_destroy_plan(aws: Aws, deployment: Deployment, delete_data: bool = False) -> Plan:
    """The changes that remove what was made for ``deployment``.

    Buckets with their objects, and secrets, are removed only with ``delete_data``. Reads only. What the toolkit did not
    make stays, and ``notes`` names it, as it names the data that is kept. Raises AwsError.
    """
    aws, deployment = aws.snapshot(), deployment.tagged()
    names = [spec.name for spec in deployment.functions]
    removals = run_parallel(
        [
            task(plan_function, aws, spec.name, buckets={item.bucket for item in spec.s3_triggers or ()})
            for spec in deployment.functions
        ]
    )
    changes = [change for removal in removals for change in removal.changes]
    layers = [name for removal in removals for name in removal.layers]
    changes += layer.plan_removal(aws, layers, set(names))
    # Nobody shall miss what is removed: alarms their topic, functions their buckets and secrets.
    alarms = frozenset(change.key for change in changes if change.kind == alarm.KIND)
    users = frozenset(change.key for change in changes if change.kind in (function.KIND, s3_notification.KIND))
    shared: list[Task[Sequence[Change]]] = [task(topic.plan_removal, aws, item, alarms) for item in deployment.topics]
    if delete_data:
        shared += [task(bucket.plan_removal, aws, item, users) for item in deployment.buckets]
        shared += [task(secret.plan_removal, aws, item, users) for item in deployment.secrets]
    changes += [change for found in run_parallel(shared) for change in found]
    notes = [note for removal in removals for note in removal.notes]
    if not delete_data:
        notes += [f"bucket {item.name} and its objects are kept" for item in deployment.buckets]
        notes += [f"secret {item.name} is kept" for item in deployment.secrets]
    keeps_data = not delete_data and bool(deployment.buckets or deployment.secrets)
    return Plan(tuple(changes), tuple(notes), (Advice(Hint.DELETE_DATA),) if keeps_data else ())


def plan_function(aws: Aws, name: str, *, keep_log: bool = False, buckets: Iterable[str] = ()) -> Removal:
    """What removes one function: attachments first, then the function, then what it needed to run. Raises AwsError.

    ``buckets`` are looked into for triggers of a function that is gone already.
    """
    live = function.read(aws, name)
    if live is not None and not function.is_ours(live, name):
        return Removal(notes=[f"function {name} was not made by this toolkit and is left alone"])
    attachments = [
        *event_rule.plan_removal(aws, name, frozenset()),
        *s3_notification.plan_removal(aws, name, buckets),
        *alarm.plan_removal(aws, name),
    ]
    after: frozenset[Key] = frozenset(change.key for change in attachments)
    own = function.plan_removal(name, after) if live else []
    rest = [*role.plan_removal(aws, name), *([] if keep_log else log_group.plan_removal(aws, name))]
    layers = [layer.layer_name(arn) for arn in live.layers] if live else []
    return Removal([*attachments, *own, *rest], layers)
