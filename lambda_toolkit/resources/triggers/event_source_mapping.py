"""Event source mappings: Lambda polls a queue or a stream, and invokes the alias ``live`` with batches.

A mapping has tags, which show that it is the toolkit's, and settings of which those that a trigger has are managed.
One list of the region's mappings serves all functions of a plan; what declares none costs no call, as what is left of
an earlier declaration is in the list of tags.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import Task, task
from lambda_toolkit.aws.retries import UPDATE_FACTOR
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.errors import AwsError, OwnershipError, TriggerError
from lambda_toolkit.resources.account.role import role_name
from lambda_toolkit.resources.planning import alias, polling, tags
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.destinations import missing_destination
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.resources.triggers import event_source, mapping_settings
from lambda_toolkit.resources.triggers.event_source import Source, Trigger
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.ownership import desired_tags, is_owned, require_owned
from lambda_toolkit.spec.triggers.queue import QueueTrigger
from lambda_toolkit.spec.triggers.stream import StreamTrigger

KIND = Kind.EVENT_SOURCE_MAPPING
DEPLOYER_ACTIONS = DeployerActions(
    "EventSourceMappingTags", "lambda", ("ListTags", "TagResource", "UntagResource"), lists=("ListEventSourceMappings",)
)
FUNCTION_ACTIONS = (
    "CreateEventSourceMapping",
    "DeleteEventSourceMapping",
    "GetEventSourceMapping",
    "UpdateEventSourceMapping",
)
"""Actions of who deploys that IAM limits by the function, not by the mapping."""
_MAPPINGS = "event source mappings"
_TAGGED = "event-source-mapping:"
_ENABLED, _DISABLED, _DELETING = "Enabled", "Disabled", "Deleting"
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new alias is not known everywhere yet
_EXISTS = "ResourceConflictException"
_PROBLEM = "PROBLEM"  # how the result begins of a mapping that Lambda cannot poll or deliver for

Mapped = Mapping[str, Any]
"""A mapping as Lambda returns it."""


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """Any mapping, where triggers are declared: Lambda gives their ids."""
    return [arns.arn("lambda", f"{_TAGGED}*")] if is_declared(spec) else []


def is_declared(spec: FunctionSpec) -> bool:
    """Whether ``spec`` manages mappings."""
    return spec.queue_triggers is not None or spec.stream_triggers is not None


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """The right to poll: Lambda does it with the function's role."""
    return list(polling.statements(spec, arns))


def destinations(spec: FunctionSpec) -> Sequence[str]:
    """The ARNs of where the records of streams go that failed."""
    return [trigger.on_failure for trigger in spec.stream_triggers or () if trigger.on_failure]


def prefetch(context: Context) -> Prefetch:
    """The list of mappings, and the queues and streams, where triggers are declared."""
    reads = context.reads
    if not is_declared(context.spec):
        return Prefetch({})
    looks: list[Task[object]] = [task(event_source.read, reads, trigger) for trigger in _triggers(context.spec)]
    return Prefetch({_MAPPINGS: task(_all, context)}, looks)


def plan(context: Context) -> list[Change]:
    """The changes, one per queue or stream, that bring the mappings to ``context.spec``.

    Raises OwnershipError for a mapping that the toolkit did not create, TriggerError for a source of another region and
    for a queue that Lambda would reject.
    """
    spec = context.spec
    if not is_declared(spec):
        return []
    live = [item for item in _of_function(context) if _is_managed(spec, item)]
    sources = [event_source.read(context.reads, trigger) for trigger in _triggers(spec)]
    named = {source.arn for source in sources}
    unwanted = [item for item in live if item["EventSourceArn"] not in named and _is_ours(context, item)]
    return [
        *(change for source in sources for change in _plan_source(context, source, live)),
        *(_removal(context, item, names=[source.name for source in sources]) for item in unwanted),
    ]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """The removal of mappings that have the function's tag and whose triggers are no longer declared."""
    spec = context.spec
    ids = [item.removeprefix(_TAGGED) for item in sorted(tagged) if item.startswith(_TAGGED)]
    if is_declared(spec):  # one of the two kinds: the list is read anyway
        found = [item for item in _of_function(context) if item["UUID"] in ids]
    else:
        answers = (context.aws.find("lambda", "get_event_source_mapping", UUID=uuid) for uuid in ids)
        found = [item for item in answers if item is not None and _is_present(item)]
    return [_removal(context, item) for item in found if not _is_managed(spec, item) and _is_ours(context, item)]


def plan_removal(context: Context) -> list[Change]:
    """The changes that delete the mappings that the toolkit created. Lambda keeps them without the function."""
    return [_removal(context, item) for item in _of_function(context) if _is_ours(context, item)]


def notes(context: Context) -> list[str]:
    """What deserves attention in the declared triggers: a sentence each, without the period."""
    spec = context.spec
    if not is_declared(spec):
        return []
    found: list[str] = []
    for trigger in _triggers(spec):
        source = event_source.read(context.reads, trigger)
        own = next((item for item in _of_function(context) if item["EventSourceArn"] == source.arn), None)
        if own is not None:
            found += _own_notes(spec, source, own)
        found += event_source.queue_notes(source, spec)
    return found


def _own_notes(spec: FunctionSpec, source: Source, own: Mapped) -> Iterator[str]:
    result, position = str(own.get("LastProcessingResult")), own.get("StartingPosition")
    if result.startswith(_PROBLEM):
        yield f"{source.name}: Lambda's last attempt to poll it for {spec.name}, or to deliver: {result.rstrip('.')}"
    if not source.exists:
        yield event_source.absence(source, spec.name).rstrip(".")
    trigger = source.trigger
    if isinstance(trigger, StreamTrigger) and position not in (None, trigger.starting_position):
        yield (
            f"{source.name}: {spec.name} began to read it at {position}; starting_position {trigger.starting_position} "
            "would have an effect on a new trigger only"
        )


def _triggers(spec: FunctionSpec) -> list[QueueTrigger | StreamTrigger]:
    return [*(spec.queue_triggers or ()), *(spec.stream_triggers or ())]


def _is_managed(spec: FunctionSpec, item: Mapped) -> bool:
    """Whether ``spec`` says which sources of this kind there are."""
    declared = spec.queue_triggers if item["EventSourceArn"].split(":")[2] == "sqs" else spec.stream_triggers
    return declared is not None


def _is_present(item: Mapped) -> bool:
    return item.get("State") != _DELETING


def _all(context: Context) -> list[Mapped]:
    """The mappings of the region, also those of functions that do not exist any more."""
    listed = context.reads.once(
        _MAPPINGS, lambda: context.aws.list_all("lambda", "list_event_source_mappings", "EventSourceMappings")
    )
    return [item for item in listed if item.get("EventSourceArn") and item.get("FunctionArn")]


def _of_function(context: Context) -> list[Mapped]:
    """The mappings that invoke the function, one of its versions, or its alias."""
    name = alias.arn(context.reads, context.spec.name).rpartition(":")[0]
    return [item for item in _all(context) if _is_present(item) and _is_of(item, name)]


def _is_of(item: Mapped, function_arn: str) -> bool:
    return item["FunctionArn"] == function_arn or str(item["FunctionArn"]).startswith(f"{function_arn}:")


def _arn(arns: ArnFormat, item: Mapped) -> str:
    return arns.arn("lambda", f"{_TAGGED}{item['UUID']}")


def _live_tags(context: Context, item: Mapped) -> Mapping[str, str]:
    arn = _arn(context.reads, item)
    return context.reads.tags(arn, context.spec.tags, context.spec.name, lambda: _tags(context.aws, arn))


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    answer = aws.find("lambda", "list_tags", Resource=arn)
    return dict(answer.get("Tags") or {}) if answer else {}


def _is_ours(context: Context, item: Mapped) -> bool:
    return is_owned(_live_tags(context, item), context.spec.name, context.spec.tags)


def _plan_source(context: Context, source: Source, live: Sequence[Mapped]) -> list[Change]:
    spec, function = context.spec, alias.arn(context.reads, context.spec.name)
    _require_same_region(spec.name, source.arn, function)
    found = [item for item in live if item["EventSourceArn"] == source.arn]
    own = next((item for item in found if item["FunctionArn"] == function), None)
    beside = [item for item in found if item is not own]
    if own is None:  # made by hand for the function itself, or moved there: it becomes the alias's and keeps its place
        own = next((item for item in beside if spec.adopt or _is_ours(context, item)), None)
        beside = [item for item in beside if item is not own]
    if beside and not (spec.adopt or all(_is_ours(context, item) for item in beside)):
        raise OwnershipError(
            f"The {source.name} triggers `{spec.name}` beside its alias `{alias.LIVE}` (event source mapping "
            f"{beside[0]['UUID']}), which this tool did not do: both would handle its messages or records. Remove that "
            "mapping, or adopt it, which makes it the alias's."
        )
    changes = [_removal(context, item, names=[source.name]) for item in beside]
    planned = _creation(context, source) if own is None else _update(context, source, own)
    if planned is not None and (problem := event_source.queue_problem(source, spec)):
        raise TriggerError(problem)
    return [*([planned] if planned else []), *changes]


def _after(context: Context, source: Source) -> frozenset[Key]:
    """The alias, and the role, by which Lambda polls; a destination may be a topic or a bucket of the deployment."""
    spec, keys = context.spec, {context.function_key}
    if not spec.role:
        keys.add((Kind.ROLE, role_name(spec.name)))
    if isinstance(source.trigger, StreamTrigger) and source.trigger.on_failure:
        destination = source.trigger.on_failure.rpartition(":")[2]
        keys |= {(Kind.TOPIC, destination), (Kind.BUCKET, destination)}
    return frozenset(keys)


def _name(context: Context, item: Mapped) -> str:
    return f"{context.spec.name} on {polling.source_name(item['EventSourceArn'])}"


def _creation(context: Context, source: Source) -> Change:
    spec, trigger = context.spec, source.trigger

    def create(executor_aws: Aws) -> None:
        found = event_source.read_now(executor_aws, executor_aws, trigger)
        if not found.exists:
            raise AwsError(event_source.absence(found, spec.name), code=_NEW[0])
        function = alias.arn(executor_aws, spec.name)
        _wait_for_deletions(executor_aws, function, found)
        wanted = {"FunctionName": function, "EventSourceArn": found.arn, **mapping_settings.creation(trigger)}
        labels = desired_tags(spec.tags, spec.name)
        made: Mapped | None
        try:
            made = executor_aws.create(
                "lambda", "create_event_source_mapping", exists=(_EXISTS,), also_retry=_NEW, **wanted, Tags=labels
            )
        except AwsError as error:
            if error.code != _EXISTS or "already exists" not in str(error):
                raise
            made = None  # the plan's list did not show it yet
        if made is None:
            made = executor_aws.wait_until(
                lambda: _own(executor_aws, function, found.arn), f"The mapping of {found.name} to {spec.name} is listed"
            )
            live_tags = _tags(executor_aws, _arn(executor_aws, made))
            require_owned(KIND, made["UUID"], live_tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
            found_now = mapping_settings.compare(made, trigger)
            made = _write(executor_aws, function, made, trigger, found_now) if found_now else made
        _wait_for_state(executor_aws, made, trigger)

    details = mapping_settings.shown(trigger)
    missing: frozenset[Key] = frozenset(() if source.exists else (source.key,))
    missing |= _missing(context, trigger, mapping_settings.compare({}, trigger))
    name = f"{spec.name} on {source.name}"
    return Change(KIND, name, "create", details, _after(context, source), missing=missing, apply=create)


def _update(context: Context, source: Source, own: Mapped) -> Change | None:
    spec, trigger = context.spec, source.trigger
    live_tags = _live_tags(context, own)
    require_owned(KIND, own["UUID"], live_tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
    tag_change = tags.compare(live_tags, spec.tags, spec.name)
    function = alias.arn(context.reads, spec.name)
    settings = mapping_settings.compare(own, trigger)
    if own["FunctionArn"] != function:
        settings = (Difference("function", own["FunctionArn"], function), *settings)
    if not settings and not tag_change:
        return None

    def update(executor_aws: Aws) -> None:
        tag_change.apply(executor_aws, "lambda", _arn(executor_aws, own))
        if settings:
            _wait_for_state(executor_aws, _write(executor_aws, function, own, trigger, settings), trigger)

    differences = (*settings, *tag_change.differences)
    missing = _missing(context, trigger, settings)
    after = _after(context, source)
    return Change(KIND, _name(context, own), "update", (), after, differences, missing=missing, apply=update)


def _missing(context: Context, trigger: Trigger, found: Sequence[Difference]) -> frozenset[Key]:
    """The destination of failed records, where it does not exist."""
    arn = trigger.on_failure if isinstance(trigger, StreamTrigger) else None
    return missing_destination(context, arn, found, "on_failure")


def _removal(context: Context, item: Mapped, names: Collection[str] = ()) -> Change:
    """The deletion of a mapping. Its name has the id where a source of ``names`` has a change, too."""
    uuid, name = item["UUID"], _name(context, item)
    if polling.source_name(item["EventSourceArn"]) in names:
        name = f"{name} ({uuid})"

    def delete(executor_aws: Aws) -> None:
        executor_aws.find("lambda", "delete_event_source_mapping", UUID=uuid)

        def is_deleted() -> bool | None:
            return executor_aws.find("lambda", "get_event_source_mapping", UUID=uuid) is None or None

        executor_aws.wait_until(is_deleted, f"The event source mapping {name} is deleted", factor=UPDATE_FACTOR)

    return Change(KIND, name, "delete", apply=delete)


def _write(aws: Aws, function: str, own: Mapped, trigger: event_source.Trigger, found: Sequence[Difference]) -> Mapped:
    """The mapping as Lambda returns it: ``Updating``."""
    settings = mapping_settings.update(trigger, {item.attribute for item in found})
    return aws.call("lambda", "update_event_source_mapping", UUID=own["UUID"], FunctionName=function, **settings)


def _own(aws: Aws, function: str, source: str) -> Mapped | None:
    """The mapping of ``source`` to ``function`` as it is now; ``None`` where none is listed."""
    listed = aws.list_all("lambda", "list_event_source_mappings", "EventSourceMappings", EventSourceArn=source)
    return next((item for item in listed if item.get("FunctionArn") == function), None)


def _wait_for_deletions(aws: Aws, function: str, source: Source) -> None:
    """Until Lambda has deleted a former mapping: until then it refuses a new one."""

    def is_free() -> bool | None:
        found = _own(aws, function, source.arn)
        return found is None or _is_present(found) or None

    aws.wait_until(is_free, f"The former mapping of {source.name} is deleted", factor=UPDATE_FACTOR)


def _wait_for_state(aws: Aws, made: Mapped, trigger: event_source.Trigger) -> None:
    """Until Lambda polls, or does not any more: before, what arrives may invoke nothing."""
    wanted = _ENABLED if trigger.enabled else _DISABLED
    if made.get("State") == wanted:
        return

    def is_reached() -> bool | None:
        live = aws.find("lambda", "get_event_source_mapping", UUID=made["UUID"])
        return (live or {}).get("State") == wanted or None

    aws.wait_until(is_reached, f"The event source mapping {made['UUID']} is {wanted}", factor=UPDATE_FACTOR)


def _require_same_region(function: str, source: str, here: str) -> None:
    region, own = source.split(":")[3], here.split(":")[3]
    if region != own:
        raise TriggerError(
            f"The {polling.source_name(source)} of a trigger of `{function}` is in {region}, and the function is in "
            f"{own}. Lambda polls sources of the function's own region."
        )
