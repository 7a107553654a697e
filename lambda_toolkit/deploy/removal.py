"""What destroy removes, and what a deployment removes because it is no longer declared. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lambda_toolkit.aws.account import ACCESS_DENIED
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import Task, run_parallel, task
from lambda_toolkit.changes import Change, Key, Plan
from lambda_toolkit.errors import Advice, AwsError, Hint
from lambda_toolkit.resources import registry
from lambda_toolkit.resources.account import bucket, catalog, role, secret, topic
from lambda_toolkit.resources.functions import function, layer
from lambda_toolkit.resources.monitoring import dashboard, log_group
from lambda_toolkit.resources.planning.attachment import Context, PlanScope
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.resources.schedules import schedule_group
from lambda_toolkit.spec.bucket import BucketSpec
from lambda_toolkit.spec.catalog import CatalogSpec
from lambda_toolkit.spec.model import Deployment, FunctionSpec, Kind, SecretSpec, TopicSpec
from lambda_toolkit.spec.ownership import APPLICATION_TAG, FUNCTION_TAG, OWNER, OWNER_TAG, STAGE_TAG, as_mapping
from lambda_toolkit.spec.schedules.schedule import schedule_role_name

_SUFFIX = 7  # characters that AWS puts after a secret's name in its ARN: a hyphen and six of its own
_USERS = (
    Kind.FUNCTION,
    Kind.ALARM,
    Kind.TOPIC_SUBSCRIPTION,
    Kind.EVENT_SOURCE_MAPPING,
)  # what is removed before what it uses
_KEPT = "is no longer declared and is kept with its content"


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

    Buckets with their objects, log groups and secrets are removed only with ``delete_data``. Reads only. What the
    toolkit did not create is kept, and ``notes`` lists it, as well as data that is kept. Raises AwsError.
    """
    reads, deployment = Reads(aws), deployment.tagged()
    names = {spec.name for spec in deployment.functions}
    scope = PlanScope(destroyed=frozenset(names))
    contexts = [Context(reads, spec, scope=scope) for spec in deployment.functions]
    removals = run_parallel([task(_destroyed, context, delete_data) for context in contexts])
    changes = [change for removal in removals for change in removal.changes]
    layers = layer.plan_removal(reads, [name for removal in removals for name in removal.layers], names)
    changes = [*layer.before_deletions(changes, layers), *layers]
    # What uses a resource is removed first: alarms and subscriptions before their topic, functions before their buckets
    # and secrets.
    of_topics = frozenset(change.key for change in changes if change.kind in (Kind.ALARM, Kind.TOPIC_SUBSCRIPTION))
    users = frozenset(change.key for change in changes if change.kind in (Kind.FUNCTION, Kind.S3_NOTIFICATION))
    shared: list[Task[Sequence[Change]]] = [
        task(topic.plan_removal, reads, item, of_topics) for item in deployment.topics
    ]
    shared += [task(dashboard.plan_removal, reads, item) for item in deployment.dashboards]
    shared += [task(catalog.plan_removal, reads, item) for item in deployment.catalogs]
    if delete_data:
        shared += [task(bucket.plan_removal, reads, item, users) for item in deployment.buckets]
        shared += [task(secret.plan_removal, reads, item, users) for item in deployment.secrets]
    changes += [change for found in run_parallel(shared) for change in found]
    groups, kept_groups = schedule_group.plan_removals(reads, deployment.functions, changes)
    changes += groups
    notes = [*(note for removal in removals for note in removal.notes), *kept_groups]
    if not delete_data:
        notes += [f"bucket {item.name} and its objects are kept" for item in deployment.buckets]
        notes += [f"secret {item.name} is kept" for item in deployment.secrets]
    keeps_data = any(removal.keeps_data for removal in removals)
    keeps_data |= not delete_data and bool(deployment.buckets or deployment.secrets)
    return Plan(tuple(changes), tuple(notes), (Advice(Hint.DELETE_DATA),) if keeps_data else ())


def _destroyed(context: Context, delete_data: bool) -> Removal:
    """The removal of a declared function; with a note where its log group is kept."""
    removal = plan_function_removal(context, keep_log=not delete_data)
    kept = [] if delete_data else [f"log group {change.name} is kept" for change in log_group.plan_removal(context)]
    return Removal(removal.changes, removal.layers, [*removal.notes, *kept], bool(kept))


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


def plan_undeclared(reads: Reads, deployment: Deployment, scope: PlanScope, delete_data: bool = False) -> Removal:
    """The changes that remove what carries the tags of ``deployment`` and is not declared in it, in ``scope``'s plan.

    The list by tags lags behind, so each resource is read itself before its removal is planned. Buckets, secrets and
    log groups are removed only with ``delete_data``; otherwise ``notes`` lists them. Raises AwsError.
    """
    tagged = reads.tagged(deployment.application, deployment.stage)
    if tagged is None:
        return Removal(notes=["what is no longer declared was not looked for: the credentials lack tag:GetResources"])
    declared = {spec.name: spec for spec in deployment.functions}
    of_functions: dict[str, list[str]] = {}
    for arn, labels in tagged.items():
        if FUNCTION_TAG in labels:
            of_functions.setdefault(labels[FUNCTION_TAG], []).append(arn)
    lists: list[Task[list[Any] | None]] = [
        task(_orphaned_roles, reads, deployment, declared),
        task(_orphaned_layers, reads, deployment),
    ]
    roles, orphaned_layers = run_parallel(lists)
    for name, arn in roles or ():
        of_functions.setdefault(name, []).append(arn)
    own = {APPLICATION_TAG: deployment.application, STAGE_TAG: deployment.stage}
    scope = replace(scope, destroyed=frozenset(of_functions) - declared.keys())

    def removed(name: str) -> Context:
        return Context(reads, FunctionSpec(name, Path(), tags=own), scope=scope)

    removals = run_parallel(
        [
            *(
                task(_plan_function, removed(name), arns, delete_data)
                for name, arns in sorted(of_functions.items())
                if name not in declared
            ),
            *(
                task(_plan_attachments, Context(reads, spec, scope=scope), of_functions.get(name, []))
                for name, spec in declared.items()
            ),
        ]
    )
    changes = [change for removal in removals for change in removal.changes]
    in_groups, kept_groups = schedule_group.plan_orphans(reads, deployment, tagged, changes)
    changes += in_groups
    users = frozenset(change.key for change in changes if change.kind in _USERS)
    shared = _plan_shared(reads, deployment, tagged, delete_data, users)
    notes = [*(note for removal in (*removals, shared) for note in removal.notes), *kept_groups]
    if roles is None:
        notes.append("roles without a function were not looked for: the credentials lack iam:ListRoles")
    if orphaned_layers is None:
        notes.append("unused layers were not looked for: the credentials lack lambda:ListLayers")
    layers = [*(name for removal in removals for name in removal.layers), *(orphaned_layers or ())]
    keeps_data = any(removal.keeps_data for removal in (*removals, shared))
    return Removal([*changes, *shared.changes], layers, notes, keeps_data)


def _plan_function(context: Context, arns: list[str], delete_data: bool) -> Removal:
    """A function that is no longer declared, and everything that belongs to it."""
    name = context.spec.name
    groups = [arn for arn in arns if arn.split(":")[2:3] == ["logs"]]
    notes = [] if delete_data else [f"log group {log_group.group_name(name)} {_KEPT}"] * bool(groups)
    if len(groups) == len(arns) and not delete_data:
        return Removal(notes=notes, keeps_data=bool(notes))
    removal = plan_function_removal(context, keep_log=not delete_data)
    return Removal(removal.changes, removal.layers, [*removal.notes, *notes], bool(notes))


def _plan_attachments(context: Context, arns: list[str]) -> Removal:
    """Attachments that a declared function has and does not declare."""
    tagged = {arn.split(":", 5)[5] for arn in arns if arn}
    return Removal([change for item in registry.ATTACHMENTS for change in item.plan_undeclared(context, tagged)])


def _plan_shared(
    reads: Reads,
    deployment: Deployment,
    tagged: Mapping[str, Mapping[str, str]],
    delete_data: bool,
    users: frozenset[Key],
) -> Removal:
    """Topics, buckets, secrets and catalogs that belong to no function and are no longer declared."""
    own = {APPLICATION_TAG: deployment.application, STAGE_TAG: deployment.stage}
    topics = {spec.name for spec in deployment.topics}
    buckets = {spec.name for spec in deployment.buckets}
    secrets = {spec.name for spec in deployment.secrets}
    catalogs = {spec.name for spec in deployment.catalogs}
    changes: list[Change] = []
    notes: list[str] = []
    unowned = {arn for arn, labels in tagged.items() if FUNCTION_TAG not in labels}
    for arn in sorted(unowned - set(deployment.secrets_of_others)):
        service, name = arn.split(":")[2], arn.split(":", 5)[5]
        if service == "sns" and name not in topics:
            changes += topic.plan_removal(reads, TopicSpec(name, tags=own), users)
        elif service == "glue" and (known := name.removeprefix("database/")) not in catalogs:
            changes += catalog.plan_removal(reads, CatalogSpec(known, tags=own))
        elif service == "s3" and name not in buckets:
            found = bucket.plan_removal(reads, BucketSpec(name, tags=own), users)
            changes, notes = _kept(changes, notes, found, delete_data)
        elif service == "secretsmanager" and (known := name.removeprefix("secret:")[:-_SUFFIX]) not in secrets:
            found = secret.plan_removal(reads, SecretSpec(known, tags=own), users)
            changes, notes = _kept(changes, notes, found, delete_data)
    keeps_data = bool(notes)
    # Looked for where one is declared, so that the others need neither the right to list them nor a call for it
    dashboards = dashboard.plan_undeclared(reads, deployment, own) if deployment.dashboards else ()
    if dashboards is None:
        notes.append(
            "undeclared dashboards were not looked for: the credentials lack cloudwatch:ListDashboards or GetDashboard"
        )
    return Removal([*changes, *(dashboards or ())], notes=notes, keeps_data=keeps_data)


def _kept(
    changes: list[Change], notes: list[str], found: list[Change], delete_data: bool
) -> tuple[list[Change], list[str]]:
    if delete_data:
        return [*changes, *found], notes
    return changes, [*notes, *(f"{change.kind} {change.name} {_KEPT}" for change in found)]


def _orphaned_layers(reads: Reads, deployment: Deployment) -> list[str] | None:
    """Our layers that no function uses; ``None`` where the caller's credentials do not allow listing them.

    Only for deployments with requirements: the others need no right to delete layers.
    """
    if not any(spec.requirements for spec in deployment.functions):
        return []
    try:
        return layer.orphaned(reads)
    except AwsError as error:
        if error.code in ACCESS_DENIED:
            return None
        raise


def _orphaned_roles(
    reads: Reads, deployment: Deployment, declared: Mapping[str, FunctionSpec]
) -> list[tuple[str, str]] | None:
    """Roles that no declared function uses, as functions and ARNs: roles are not in the list by tags.

    ``None`` where the caller's credentials do not allow listing roles. None where every function has a given role.
    """
    if declared and all(spec.role for spec in declared.values()):
        return []
    start = f"{deployment.application}-{deployment.stage}-"
    known = {role.role_name(name) for name in declared}
    known |= {schedule_role_name(spec.name) for spec in declared.values() if spec.schedules and not spec.schedule_role}
    try:
        names = [str(item["RoleName"]) for item in reads.aws.list_all("iam", "list_roles", "Roles", MaxItems=1000)]
    except AwsError as error:
        if error.code in ACCESS_DENIED:
            return None
        raise
    left = [name for name in names if name.startswith(start) and name.endswith("-role") and name not in known]
    wanted = {OWNER_TAG: OWNER, APPLICATION_TAG: deployment.application, STAGE_TAG: deployment.stage}
    answers = run_parallel([task(reads.aws.find, "iam", "get_role", RoleName=name) for name in left])
    found = ((as_mapping(answer["Role"].get("Tags")), str(answer["Role"]["Arn"])) for answer in answers if answer)
    return [
        (labels[FUNCTION_TAG], arn)
        for labels, arn in found
        if FUNCTION_TAG in labels and wanted.items() <= labels.items()
    ]
