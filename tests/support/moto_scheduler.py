"""moto's EventBridge Scheduler, made to do what AWS documents: groups that must exist, roles that must be assumable,
expressions and zones that are checked, updates that replace everything.

https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import available_timezones

import pytest
from moto.core.exceptions import JsonRESTError
from moto.core.resource_tagging import TaggedResource, iter_taggable_backends
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from moto.resourcegroupstaggingapi import models as tagging
from moto.scheduler.exceptions import ScheduleGroupNotFound, ValidationException
from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule, scheduler_backends
from moto.scheduler.responses import EventBridgeSchedulerResponse

SERVICE = "scheduler.amazonaws.com"
_ZONES = available_timezones()
_GROUP = re.compile(r"arn:aws:scheduler:[^:]*:(\d{12}):schedule-group/([^/]+)")
_EXPRESSION = re.compile(
    r"rate\([1-9][0-9]* (minutes?|hours?|days?)\)|cron\(\S+( \S+){5}\)|at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)"
)


class _ConflictError(JsonRESTError):
    code = 409

    def __init__(self, message: str) -> None:
        super().__init__("ConflictException", message)


def behave_like_scheduler(patch: pytest.MonkeyPatch) -> None:
    backend = EventBridgeSchedulerBackend
    create, update, listed = backend.create_schedule, backend.update_schedule, backend.list_schedules
    respond = EventBridgeSchedulerResponse.update_schedule
    create_group, delete_group = backend.create_schedule_group, backend.delete_schedule_group
    tags_of, tag = backend.list_tags_for_resource, backend.tag_resource

    def create_schedule(self: EventBridgeSchedulerBackend, **given: Any) -> Schedule:
        check(self, given)
        if given["name"] in self.schedule_groups[given["group_name"] or "default"].schedules:
            raise _ConflictError(f"Schedule {given['name']} already exists.")
        schedule = create(self, **given)
        schedule.action_after_completion = given["action_after_completion"] or "NONE"
        return schedule

    def update_schedule(self: EventBridgeSchedulerBackend, **given: Any) -> Schedule:
        """What is not given gets its default."""
        self.get_schedule(given["group_name"], given["name"])
        check(self, given)
        return update(self, **{**given, "state": given["state"] or "ENABLED"})

    def respond_to_update(self: EventBridgeSchedulerResponse) -> str:
        """moto reads no action of an update."""
        answer = respond(self)
        name = self.uri.split("?")[0].split("/")[-1]
        schedule = self.scheduler_backend.get_schedule(self._get_param("GroupName"), name)
        schedule.action_after_completion = self._get_param("ActionAfterCompletion") or "NONE"
        return answer

    def list_schedules(self: EventBridgeSchedulerBackend, group_names: Any, *rest: Any, **more: Any) -> Any:
        for name in group_names or ():
            self.get_schedule_group(name)
        return listed(self, group_names, *rest, **more)

    def create_schedule_group(self: EventBridgeSchedulerBackend, name: str, tags: Any) -> Any:
        if name in self.schedule_groups:
            raise _ConflictError(f"Schedule group {name} already exists.")
        return create_group(self, name, tags)

    def delete_schedule_group(self: EventBridgeSchedulerBackend, name: str) -> None:
        if name == "default":
            raise ValidationException("The default schedule group cannot be deleted.")
        arn = self.get_schedule_group(name).arn
        delete_group(self, name)
        self.tagger.delete_all_tags_for_resource(arn)

    def require_group(self: EventBridgeSchedulerBackend, arn: str) -> None:
        match = _GROUP.fullmatch(arn)
        if match is None or match[2] not in self.schedule_groups:
            raise ScheduleGroupNotFound(arn)

    def list_tags(self: EventBridgeSchedulerBackend, resource_arn: str) -> Any:
        require_group(self, resource_arn)
        return tags_of(self, resource_arn)

    def tag_resource(self: EventBridgeSchedulerBackend, resource_arn: str, tags: Any) -> None:
        require_group(self, resource_arn)
        tag(self, resource_arn, tags)

    patch.setattr(backend, "create_schedule", create_schedule)
    patch.setattr(backend, "update_schedule", update_schedule)
    patch.setattr(EventBridgeSchedulerResponse, "update_schedule", respond_to_update)
    patch.setattr(backend, "list_schedules", list_schedules)
    patch.setattr(backend, "create_schedule_group", create_schedule_group)
    patch.setattr(backend, "delete_schedule_group", delete_schedule_group)
    patch.setattr(backend, "list_tags_for_resource", list_tags)
    patch.setattr(backend, "tag_resource", tag_resource)
    found = iter_taggable_backends

    def with_groups(account_id: str, region_name: str) -> Iterator[Any]:
        yield from found(account_id, region_name)
        yield _Groups(scheduler_backends[account_id][region_name])

    patch.setattr(tagging, "iter_taggable_backends", with_groups)


def check(backend: EventBridgeSchedulerBackend, given: dict[str, Any]) -> None:
    """Raise as AWS does for what it does not take."""
    group = backend.get_schedule_group(given["group_name"])
    if not _EXPRESSION.fullmatch(given["schedule_expression"]):
        raise ValidationException(f"Invalid Schedule Expression {given['schedule_expression']}.")
    zone = given["schedule_expression_timezone"] or "UTC"
    if zone not in _ZONES:
        raise ValidationException(f"The time zone {zone} is invalid.")
    window = given["flexible_time_window"]
    if (window["Mode"] == "FLEXIBLE") != ("MaximumWindowInMinutes" in window):
        raise ValidationException("A flexible window, and only that, has MaximumWindowInMinutes.")
    start = given["start_date"]
    if start is not None and float(start) < datetime.now(UTC).timestamp() - 300:
        raise ValidationException("The StartDate you specify cannot be earlier than 5 minutes ago.")
    target = given["target"]
    if not may_assume(backend.account_id, target["RoleArn"], group.arn):
        raise ValidationException(
            "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
        )


def may_assume(account: str, role_arn: str, group: str) -> bool:
    """Whether the role's trust policy lets Scheduler assume it for schedules of ``group``."""
    try:
        role = iam_backends[account]["aws"].get_role(role_arn.rpartition("/")[2])
    except NotFoundException:
        return False
    for statement in json.loads(role.assume_role_policy_document)["Statement"]:
        wanted = statement.get("Condition", {}).get("StringEquals", {})
        known = {"aws:SourceAccount": account, "aws:SourceArn": group}
        if statement["Principal"].get("Service") == SERVICE and wanted.items() <= known.items():
            return True
    return False


@dataclass(frozen=True)
class _Groups:
    """The schedule groups, for the list of resources by tags, which does not have them in moto."""

    backend: EventBridgeSchedulerBackend

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        for group in list(self.backend.schedule_groups.values()):
            labels = self.backend.tagger.get_tag_dict_for_resource(group.arn)
            yield TaggedResource(group.arn, labels, "scheduler:schedule-group")

    def owns_arn(self, arn: str) -> bool:
        return False
