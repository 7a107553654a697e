"""A schedule that fires once, on the emulated AWS: in its zone, with its input, deleted then, and not made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import pytest

from lambda_script import Lambda_script, Schedule
from lambda_toolkit.aws.client import Aws, Clock
from lambda_toolkit.pipeline.local_stack.running import EMULATOR
from tests.support.account import eventually
from tests.support.command_line import CommandLine
from tests.support.emulator_clock import ScheduleClock

ZONE = "America/New_York"
SOON = 90  # seconds: no other schedule of the stack fires by then


@pytest.fixture
def clock(cli: CommandLine) -> Iterator[ScheduleClock]:
    """That of the schedules, and of the toolkit."""
    made = ScheduleClock(cli.stack.directory / EMULATOR)
    yield made
    made.let_go()


@pytest.fixture
def script(cli: CommandLine, clock: ScheduleClock, tmp_path: Path) -> Callable[[], Lambda_script]:
    """A function that starts once, ninety seconds from now by the clock."""
    stack = cli.stack
    session = boto3.Session(stack.access_key_id, stack.secret_access_key, None, stack.region)
    aws = Aws(session=session, endpoint_url=stack.aws_endpoint_url, clock=Clock(wall=clock.wall))
    source = tmp_path / "once.py"
    source.write_text("def lambda_handler(event, context):\n    print('got', event)\n", encoding="utf-8")
    local = datetime.fromtimestamp(clock.at + SOON, ZoneInfo(ZONE))
    schedule = Schedule(f"at({local:%Y-%m-%dT%H:%M:%S})", ZONE, input={"to": "new"})
    return lambda: Lambda_script(source, tmp_path / "once.zip", "once", schedule, aws=aws)


def test_single_time_starts_the_function_once_and_is_deleted(script, cli, clock, aws: Callable[..., Any]) -> None:
    scheduler, logs = aws(cli, "scheduler"), aws(cli, "logs")

    def schedules() -> list[str]:
        return [item["Name"] for item in scheduler.list_schedules(GroupName="once-dev")["Schedules"]]

    def starts() -> int:
        events = logs.filter_log_events(logGroupName="/aws/lambda/once")["events"]
        return sum("got {'to': 'new'}" in item["message"] for item in events)

    script().deploy()
    assert not script().plan()
    clock.pass_until(clock.at + SOON - 1)
    assert schedules() == ["once.schedule"]
    clock.pass_until(clock.at + 1)
    assert eventually(lambda: not schedules())
    assert eventually(starts)
    assert not script().plan(), "its time is past: it is not made again"
    assert script().destroy(delete_data=True).ok
    assert starts_left(scheduler) == []


def starts_left(scheduler: Any) -> list[str]:
    """The groups of the function that are left."""
    return [item["Name"] for item in scheduler.list_schedule_groups()["ScheduleGroups"] if "once" in item["Name"]]
