"""The role with which EventBridge Scheduler invokes a function: its alias ``live``, for schedules of one group alone.

Where ``spec.schedule_role`` names a role of others, nothing of IAM is read or written.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html#setting-up-execution-role
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.resources.account import role
from lambda_toolkit.resources.planning import alias, tags
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.live import LiveRole
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.resources.schedules import schedule_group
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.ownership import is_owned, require_owned
from lambda_toolkit.spec.schedules.schedule import schedule_name, schedule_role_name

KIND = Kind.SCHEDULE_ROLE
DEPLOYER_ACTIONS = DeployerActions("ScheduleRoles", "iam", ())  # those on roles are in the statement of the other roles
_SERVICE = "scheduler.amazonaws.com"


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """None of its own: see :func:`role.deployer_resources`."""
    return ()


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """None: the function needs nothing of it."""
    return ()


def prefetch(context: Context) -> Prefetch:
    """The role, where the toolkit creates it."""
    spec = context.spec
    if not spec.schedules or spec.schedule_role:
        return Prefetch({})
    return Prefetch(context.reads.prefetch_roles(), [lambda: _read(context)])


def plan(context: Context) -> list[Change]:
    """The change that brings the role to ``context.spec``. Raises OwnershipError.

    It is removed before the last schedules, by which alone a later plan would find it; and once another role is given.
    """
    spec, name = context.spec, schedule_role_name(context.spec.name)
    if not spec.schedules:
        return _plan_before_schedules(context)
    if spec.schedule_role:
        own = context.reads.arn("iam", f"role/{name}")
        group = schedule_group.name_of(spec)
        names = [schedule_name(spec.name, item) for item in spec.schedules]
        live_schedules = [schedule_group.live(context.reads, group, item) or {} for item in names]
        uses_own = any((item.get("Target") or {}).get("RoleArn") == own for item in live_schedules)
        return _plan_removal(context, schedule_group.replacements(spec)) if uses_own else []
    trust, policy = trust_policy(spec, context.reads), invoke_policy(spec, context.reads)
    live = _read(context)
    if live is None:
        return [_creation(spec, trust, policy)]
    require_owned(KIND, name, live.tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
    bounded = _compare_boundary(live, spec)
    trusted = differences({"trust": role.statements(live.trust)}, {"trust": role.statements(trust)})
    allowed = differences({"policy": role.statements(live.policy)}, {"policy": role.statements(policy)})
    tag_change = tags.compare(live.tags, spec.tags, spec.name)
    found = (*bounded, *allowed, *trusted, *tag_change.differences)
    if not found:
        return []

    def update(executor_aws: Aws) -> None:
        if bounded:
            role.put_boundary(executor_aws, name, spec.permissions_boundary)
        if trusted:
            document = json.dumps(trust)
            executor_aws.call("iam", "update_assume_role_policy", RoleName=name, PolicyDocument=document)
        if allowed:
            role.put_policy(executor_aws, name, policy)
        tag_change.apply(executor_aws, "iam", name)

    return [Change(KIND, name, "update", differences=found, apply=update)]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """The removal of a role that no schedule uses, because none is declared, or because another role is given."""
    spec = context.spec
    if schedule_group.undeclared(context):
        return _plan_removal(context, frozenset())
    is_used = spec.schedules is None or (spec.schedules and not spec.schedule_role)
    if is_used or f"role/{schedule_role_name(spec.name)}" not in tagged:
        return []
    return _plan_removal(context, schedule_group.replacements(spec), _handing_over(context))


def plan_removal(context: Context) -> list[Change]:
    """The change that deletes the role, if the toolkit created it. Without a group, there is none."""
    return _plan_removal(context, frozenset()) if schedule_group.exists(context.reads, context.spec) else []


def role_arn(arns: ArnFormat, spec: FunctionSpec) -> str:
    """The ARN of the role of ``spec``'s schedules: the given one, or the one that the toolkit creates."""
    return spec.schedule_role or arns.arn("iam", f"role/{schedule_role_name(spec.name)}")


def trust_policy(spec: FunctionSpec, arns: ArnFormat) -> dict[str, Any]:
    """Who may assume the role: Scheduler, for the schedules of the group. A single schedule must not be named there.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
    """
    group = schedule_group.arn_of(arns, schedule_group.name_of(spec))
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": _SERVICE},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": group.split(":")[4], "aws:SourceArn": group}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def invoke_policy(spec: FunctionSpec, arns: ArnFormat) -> dict[str, Any]:
    """What the role may do: invoke the alias, and send to the dead-letter queues that are declared."""
    queues = sorted({item.dead_letter_queue for item in spec.schedules or () if item.dead_letter_queue})
    invoke = {"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": [alias.arn(arns, spec.name)]}
    send = {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": queues}
    return {"Version": "2012-10-17", "Statement": [invoke, *([send] if queues else [])]}


def _read(context: Context) -> LiveRole | None:
    spec, reads = context.spec, context.reads

    def is_as_declared(live: LiveRole) -> bool:
        documents = ((live.trust, trust_policy(spec, reads)), (live.policy, invoke_policy(spec, reads)))
        same = all(role.statements(stored) == role.statements(wanted) for stored, wanted in documents)
        return same and is_owned(live.tags, spec.name, spec.tags) and not _compare_boundary(live, spec)

    return reads.role(schedule_role_name(spec.name), is_as_declared)


def _compare_boundary(live: LiveRole, spec: FunctionSpec) -> tuple[Difference, ...]:
    boundary = spec.permissions_boundary
    return () if boundary is None else differences({"boundary": live.boundary}, {"boundary": boundary})


def _creation(spec: FunctionSpec, trust: Mapping[str, Any], policy: Mapping[str, Any]) -> Change:
    name = schedule_role_name(spec.name)
    what = f"Lets EventBridge Scheduler invoke the Lambda function {spec.name}"

    def create(executor_aws: Aws) -> None:
        role.create(executor_aws, name, spec, trust, what)
        role.put_policy(executor_aws, name, policy)

    return Change(KIND, name, "create", apply=create)


def _plan_before_schedules(context: Context) -> list[Change]:
    """The removal of the role, once what replaces the schedules does their work."""
    if not _left(context) or context.spec.schedule_role:
        return []
    return _plan_removal(context, schedule_group.replacements(context.spec), _handing_over(context))


def _left(context: Context) -> Mapping[str, Mapping[str, Any]]:
    """The schedules that are not declared any more, by name. Until they are removed, they need the role."""
    group = schedule_group.name_of(context.spec)
    found = {name: schedule_group.live(context.reads, group, name) for name in schedule_group.leftovers(context)}
    return {name: live for name, live in found.items() if live is not None}


def _handing_over(context: Context) -> Callable[[Aws], None]:
    """What waits until these schedules have started their last firing; nothing where nothing replaces them."""
    spec = context.spec
    left = _left(context) if schedule_group.replacements(spec) else {}

    def hand_over(executor_aws: Aws) -> None:
        for name, live in left.items():
            schedule_group.hand_over(executor_aws, spec, name, live)

    return hand_over


def _plan_removal(
    context: Context, after: frozenset[Key], first: Callable[[Aws], None] = lambda _: None
) -> list[Change]:
    function, name = context.spec.name, schedule_role_name(context.spec.name)
    live = context.reads.role(name, lambda _: False)
    if live is None or not is_owned(live.tags, function):
        return []

    def delete(executor_aws: Aws) -> None:
        first(executor_aws)
        role.delete(executor_aws, name)

    return [Change(KIND, name, "delete", after=after, apply=delete)]
