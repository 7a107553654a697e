"""The schedule group of an application and stage: its tags show who owns the schedules in it, as those have none.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-group.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lambda_toolkit.aws.account import ACCESS_DENIED, ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Key
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning import tags
from lambda_toolkit.resources.planning.attachment import Context
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.resources.schedules import event_rule, handover
from lambda_toolkit.resources.schedules.handover import Old
from lambda_toolkit.spec.model import Deployment, FunctionSpec, Kind
from lambda_toolkit.spec.ownership import (
    APPLICATION_TAG,
    SCOPE,
    STAGE_TAG,
    as_list,
    as_mapping,
    desired_tags,
    is_owned,
    require_owned,
)
from lambda_toolkit.spec.schedules.schedule import group_name, owner_name, schedule_name

KIND = Kind.SCHEDULE_GROUP
_EXISTS = "ConflictException"
Removals = tuple[list[Change], list[str]]
"""Changes that remove, and what is kept, in words."""


def name_of(spec: FunctionSpec) -> str:
    """The name of the group with the schedules of ``spec``."""
    return group_name(spec.name, spec.tags)


def arn_of(arns: ArnFormat, group: str) -> str:
    """The ARN of a group."""
    return arns.arn("scheduler", f"schedule-group/{group}")


def schedules(reads: Reads, group: str) -> Sequence[str] | None:
    """The names of the schedules in a group, by one list for all functions; ``None`` without the group.

    The list lags behind. Raises AwsError.
    """
    return reads.once(("schedules", group), lambda: _listed(reads.aws, group))


def live(reads: Reads, group: str, name: str) -> Mapping[str, Any] | None:
    """A schedule as GetSchedule returns it; ``None`` where it, or its group, does not exist. Raises AwsError."""
    if schedules(reads, group) is None:
        return None
    return reads.once(
        ("schedule", group, name), lambda: reads.aws.find("scheduler", "get_schedule", GroupName=group, Name=name)
    )


def of_function(reads: Reads, spec: FunctionSpec) -> list[str]:
    """The names of the function's schedules in the group, where the toolkit created that. Raises AwsError."""
    group = name_of(spec)
    start = f"{owner_name(spec.name)}."
    own = [name for name in schedules(reads, group) or () if name.startswith(start)]
    return own if own and is_owned(_tags(reads, group, spec), None, _scope(spec)) else []


def leftovers(context: Context) -> list[str]:
    """The names of the function's schedules that ``context.spec`` does not declare any more. Raises AwsError.

    Where a function has a rule alone, the list is read only if there may be schedules: the list by tags, which a plan
    reads in any case, has the group; or it may lag behind, as a function that exists gets a rule, or shall have none.
    """
    spec, reads = context.spec, context.reads
    if spec.schedules is None:
        return []
    if not spec.schedules:
        tagged = _is_tagged(reads, spec)
        if not tagged and (event_rule.exists(context) or not context.function_is_ours()):
            return []
        if not tagged:
            return _unless_denied(lambda: of_function(reads, spec))
    declared = {schedule_name(spec.name, item) for item in spec.schedules}
    return [name for name in of_function(reads, spec) if name not in declared]


def undeclared(context: Context) -> list[str]:
    """The names of the function's schedules where none is declared, nor that there shall be none. Raises AwsError."""
    spec, reads = context.spec, context.reads
    return of_function(reads, spec) if spec.schedules is None and _is_tagged(reads, spec) else []


def in_removal(context: Context) -> list[str]:
    """The names of the function's schedules, for its removal. None where the credentials may not list them."""
    return _unless_denied(lambda: of_function(context.reads, context.spec))


def exists(reads: Reads, spec: FunctionSpec) -> bool:
    """Whether there is a group of the application and stage. Not where the credentials may not look."""
    return bool(_unless_denied(lambda: [""] if schedules(reads, name_of(spec)) is not None else []))


def plan(context: Context) -> list[Change]:
    """The change that creates the group, or sets its tags. The same for all functions in it. Raises OwnershipError."""
    spec, group = context.spec, name_of(context.spec)
    scope = _scope(spec)
    if schedules(context.reads, group) is None:
        return [Change(KIND, group, "create", apply=lambda executor_aws: _create(executor_aws, group, scope))]
    live = _tags(context.reads, group, spec)
    require_owned(KIND, group, live, adopt=spec.adopt, declared=scope)
    change = tags.compare(live, scope)
    if not change:
        return []

    def update(executor_aws: Aws) -> None:
        change.apply(executor_aws, "scheduler", arn_of(executor_aws, group))

    return [Change(KIND, group, "update", differences=change.differences, apply=update)]


def plan_orphans(reads: Reads, deployment: Deployment, tagged: Collection[str], changes: Sequence[Change]) -> Removals:
    """What is in the group of ``deployment`` and belongs to no declared function, and the group itself, once empty.

    ``tagged`` are the ARNs that the list by tags has, ``changes`` the other removals.
    """
    spec = FunctionSpec("", Path(), tags={APPLICATION_TAG: deployment.application, STAGE_TAG: deployment.stage})
    group = name_of(spec)
    if arn_of(reads, group) not in tagged:
        return [], []
    declared = {owner_name(item.name): item for item in deployment.functions}
    removed = {change.name for change in changes if change.kind == Kind.SCHEDULE}
    found: list[Change] = []
    for name in schedules(reads, group) or ():
        owner = declared.get(name.partition(".")[0])
        if owner is None and name not in removed and _is_own(reads.aws, group, name):
            found.append(removal(group, name))
        elif owner and name not in {schedule_name(owner.name, item) for item in owner.schedules or ()}:
            removed.add(name)  # by the plan of the function
    if any(item.schedules for item in deployment.functions):
        return found, []
    changes_of_group, notes = _plan_removal(reads, spec, removed | {change.name for change in found})
    return [*found, *changes_of_group], notes


def plan_removals(reads: Reads, functions: Collection[FunctionSpec], changes: Sequence[Change]) -> Removals:
    """The removal of the groups of ``functions``, once ``changes`` have removed all in them; and what is kept.

    A group with schedules of others is kept: with it, AWS would delete them.
    """
    removed = {change.name for change in changes if change.kind == Kind.SCHEDULE}
    found: list[Change] = []
    notes: list[str] = []
    for spec in {name_of(item): item for item in functions}.values():
        if exists(reads, spec):
            more, kept = _plan_removal(reads, spec, removed)
            found, notes = [*found, *more], [*notes, *kept]
    return found, notes


def replacements(spec: FunctionSpec) -> frozenset[Key]:
    """The changes that replace what ``spec`` does not declare any more: of its rule, or of its schedules."""
    rule = {(Kind.EVENT_RULE, event_rule.rule_name(spec.name))} if spec.schedule else set()
    return frozenset({*rule, *((Kind.SCHEDULE, schedule_name(spec.name, item)) for item in spec.schedules or ())})


def hand_over(aws: Aws, spec: FunctionSpec, name: str, live: Mapping[str, Any]) -> None:
    """Return once the schedule ``name``, which is ``live``, may be removed. Raises ToolkitError; see :mod:`.handover`.

    What replaces it was read back when it was written, save for a rule.
    """
    if spec.schedule:
        event_rule.require_ready(aws, spec)
    handover.wait(aws, f"schedule {name}", Old.of_schedule(live))


def removal(group: str, name: str, after: frozenset[Key] = frozenset(), details: tuple[str, ...] = ()) -> Change:
    """The change that deletes one schedule."""

    def delete(executor_aws: Aws) -> None:
        executor_aws.find("scheduler", "delete_schedule", GroupName=group, Name=name)

    return Change(Kind.SCHEDULE, name, "delete", details, after, apply=delete)


def description(function: str) -> str:
    """The description of a schedule of ``function``, by which it is recognized where the function is unknown."""
    return f"Starts the Lambda function {function}"


def _is_own(aws: Aws, group: str, name: str) -> bool:
    live = aws.find("scheduler", "get_schedule", GroupName=group, Name=name) or {}
    start, function = description(""), str(live.get("Description", ""))
    return function.startswith(start) and name.startswith(f"{owner_name(function.removeprefix(start))}.")


def _plan_removal(reads: Reads, spec: FunctionSpec, removed: Collection[str]) -> Removals:
    group = name_of(spec)
    if not is_owned(_tags(reads, group, spec), None, _scope(spec)):
        return [], []
    others = sorted(set(schedules(reads, group) or ()) - set(removed))
    if others:
        return [], [f"schedule group {group} is kept: it has schedules of others: {', '.join(others)}"]
    return [_removal(group, frozenset((Kind.SCHEDULE, name) for name in removed))], []


def _unless_denied(read: Callable[[], list[str]]) -> list[str]:
    """What ``read`` returns; nothing where it is denied: who never had a group needs no right to look for one."""
    try:
        return read()
    except AwsError as error:
        if error.code in ACCESS_DENIED:
            return []
        raise


def _is_tagged(reads: Reads, spec: FunctionSpec) -> bool:
    """Whether the list by tags has the group. It lags behind; where it cannot be read, nothing is known."""
    scope = _scope(spec)
    found = reads.tagged(scope[APPLICATION_TAG], scope.get(STAGE_TAG, "")) if APPLICATION_TAG in scope else None
    return arn_of(reads, name_of(spec)) in (found or ())


def _removal(group: str, after: frozenset[Key]) -> Change:
    def delete(executor_aws: Aws) -> None:
        left = _listed(executor_aws, group)  # another deploy may have added one by now
        found = (executor_aws.find("scheduler", "get_schedule", GroupName=group, Name=name) for name in left or ())
        remaining = [item["Name"] for item in found if item]
        if remaining:
            raise AwsError(f"schedule group {group} now has the schedules {', '.join(remaining)}, so it is kept.")
        executor_aws.find("scheduler", "delete_schedule_group", Name=group)

    return Change(KIND, group, "delete", after=after, apply=delete)


def _listed(aws: Aws, group: str) -> list[str] | None:
    try:
        found = aws.list_all("scheduler", "list_schedules", "Schedules", GroupName=group)
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise
    if not found and aws.find("scheduler", "get_schedule_group", Name=group) is None:
        return None  # of a group that does not exist, emulators list nothing without an error
    return [str(item["Name"]) for item in found]


def _create(aws: Aws, group: str, scope: Mapping[str, str]) -> None:
    """Create it. One that exists although no read showed it is the toolkit's, or an error."""
    try:
        aws.call("scheduler", "create_schedule_group", Name=group, Tags=as_list(desired_tags(scope)))
    except AwsError as error:
        if error.code != _EXISTS:
            raise
        require_owned(KIND, group, _read_tags(aws, arn_of(aws, group)), adopt=False, declared=scope)


def _tags(reads: Reads, group: str, spec: FunctionSpec) -> Mapping[str, str]:
    arn = arn_of(reads, group)
    return reads.once(("tags", arn), lambda: reads.tags(arn, _scope(spec), None, lambda: _read_tags(reads.aws, arn)))


def _read_tags(aws: Aws, arn: str) -> dict[str, str]:
    answer = aws.find("scheduler", "list_tags_for_resource", ResourceArn=arn)
    return as_mapping(answer.get("Tags")) if answer else {}


def _scope(spec: FunctionSpec) -> dict[str, str]:
    """The tags of the group: those of application and stage alone, as functions with different tags share it."""
    return {key: spec.tags[key] for key in SCOPE if spec.tags.get(key)}
