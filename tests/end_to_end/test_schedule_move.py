"""A pipeline with rules and without a network, moved to Scheduler and into a VPC by one deploy, and back by another.

Business goes on meanwhile. The schedules' time passes only where the test or a deploy that waits lets it
(``tests/support/emulator_clock.py``), so each deploy begins ten seconds before a firing.
"""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambda_toolkit.aws import client as toolkit
from lambda_toolkit.aws.client import Clock
from lambda_toolkit.pipeline.client import target
from lambda_toolkit.pipeline.local_stack.aws_emulator.emulator_launcher import SCHEDULE_TICK
from lambda_toolkit.pipeline.local_stack.independent_check import check
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.running import EMULATOR
from lambda_toolkit.pipeline.local_stack.totesys.business_day import simulate
from tests.support.account import eventually
from tests.support.command_line import CommandLine
from tests.support.emulator_clock import ScheduleClock

EVERY = 300  # seconds between two firings, in UTC and in London alike
FUNCTIONS = ("extract", "transform", "load", "notifier", "freshness")
BY_SCHEDULE_ALONE = ("extract", "load", "freshness")  # nothing else invokes their alias
BOTH = 2  # runs of a firing that the rule and the schedule start
SLOW = 120.0  # seconds for runs that began, on a busy machine


@pytest.fixture
def clock(filled: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScheduleClock]:
    """That of the schedules, and of what waits for them in a deploy."""
    made = ScheduleClock(filled.stack.directory / EMULATOR)
    monkeypatch.setattr(toolkit, "Clock", lambda: Clock(sleep=made.sleep, wall=made.wall))
    yield made
    made.let_go()


@pytest.fixture
def pipelines(filled: CommandLine, aws: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[CommandLine, ...]]:
    """The same pipeline with rules alone, with schedules in a VPC, and with rules out of it again."""
    monkeypatch.setattr(target, "without_network", lambda declared: declared)  # deployed to the stack as to AWS
    ec2 = aws(filled, "ec2")
    subnets = [item["SubnetId"] for item in ec2.describe_subnets()["Subnets"]][:2]
    groups = [item["GroupId"] for item in ec2.describe_security_groups()["SecurityGroups"]][:1]
    text = (filled.root / "config" / "pipeline.toml").read_text(encoding="utf-8")
    ruled, changed = re.subn(r'(\w+)\.schedule = "rate\(1 minute\)"\n', r'\1.schedule = "*/5 * * * *"\n', text)
    zoned = re.sub(r'((\w+)\.schedule = "\*/5 .*"\n)', r'\1\2.timezone = "Europe/London"\n', ruled)
    assert changed == len(FUNCTIONS)
    made = {
        "ruled.toml": ruled,
        "zoned.toml": f"{zoned}\n[vpc]\nsubnets = {subnets}\nsecurity_groups = {groups}\n",
        "back.toml": f"{ruled}\n[vpc]\n",
    }
    for name, content in made.items():
        (filled.root / "config" / name).write_text(content, encoding="utf-8")
    yield tuple(dataclasses.replace(filled, file=name) for name in made)
    result = filled("deploy", "--delete-data")  # the log of the function access, too
    assert result.exit_code == 0, result.output
    for name in made:
        (filled.root / "config" / name).unlink()


@contextmanager
def business(source: Database) -> Iterator[dict[str, int]]:
    """The events that happen in the block, by name: two a second."""
    stopping, events = threading.Event(), dict[str, int]()
    failures: list[BaseException] = []

    def wait(seconds: float) -> None:
        if stopping.wait(seconds):
            raise StopIteration

    def count(event: str) -> None:
        events[event] = events.get(event, 0) + 1

    def happen() -> None:
        try:
            simulate(source, rate=120, minutes=60, seed=7, on_event=count, wait=wait)
        except StopIteration:
            pass
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=happen)
    thread.start()
    try:
        yield events
    finally:
        stopping.set()
        thread.join()
    assert not failures, failures


@pytest.fixture
def started(filled: CommandLine, aws: Any) -> Callable[[], dict[str, int]]:
    """How often the alias of each function was started and has ended: by its schedule, or by an event."""
    cloudwatch = aws(filled, "cloudwatch")

    def count(function: str) -> int:
        now, name = datetime.now(UTC), f"totes-local-{function}"
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="Invocations",
            Dimensions=[{"Name": "FunctionName", "Value": name}, {"Name": "Resource", "Value": f"{name}:live"}],
            StartTime=now - timedelta(hours=6),
            EndTime=now + timedelta(hours=6),
            Period=12 * 3600,
            Statistics=["Sum"],
        )["Datapoints"]
        return int(sum(point["Sum"] for point in points))

    return lambda: {function: count(function) for function in FUNCTIONS}


def networks(line: CommandLine, aws: Any) -> set[int]:
    """How many subnets each function has, at its alias."""
    functions = aws(line, "lambda")
    found = [
        functions.get_function_configuration(FunctionName=f"totes-local-{name}", Qualifier="live") for name in FUNCTIONS
    ]
    return {len((item.get("VpcConfig") or {}).get("SubnetIds") or ()) for item in found}


def test_pipeline_moves_to_scheduler_and_vpc_and_back(filled, pipelines, clock, started, aws) -> None:
    """Each firing starts each function, at most twice; each change of the business arrives."""
    ruled, zoned, back = pipelines
    events, scheduler = aws(filled, "events"), aws(filled, "scheduler")
    first = (clock.at // EVERY + 2) * EVERY
    seen: dict[str, dict[str, int]] = {}

    def deploy(line: CommandLine) -> None:
        result = line("deploy")
        assert result.exit_code == 0, result.output
        assert line.document("plan")["changes"] == []
        time.sleep(2 * SCHEDULE_TICK)  # ministack counts from when it first looks at a rule: before time passes again

    def starts(name: str, act: Callable[[], None], times: int = 1) -> None:
        """Do ``act``, in which one firing falls, and count the runs that it starts, once so many ended."""
        before = started()
        act()

        def ran() -> bool:
            seen[name] = {function: after - before[function] for function, after in started().items()}
            return all(seen[name][function] >= times for function in BY_SCHEDULE_ALONE) and all(seen[name].values())

        eventually(ran, SLOW)

    def deploy_before(firing: float, line: CommandLine) -> None:
        clock.pass_until(firing - 10)
        clock.gather(len(FUNCTIONS))
        deploy(line)
        assert firing + 60 <= clock.at < firing + EVERY / 2, "it waited until the firing was certain"

    deploy(ruled)
    with business(filled.stack.source_admin) as happened:
        starts("rules", lambda: clock.pass_until(first))
        starts("to schedules", lambda: deploy_before(first + EVERY, zoned), BOTH)
        assert networks(filled, aws) == {2}
        assert {item["Name"] for item in scheduler.list_schedules(GroupName="totes-local")["Schedules"]} == {
            f"totes-local-{function}.schedule" for function in FUNCTIONS
        }
        assert not events.list_rules(NamePrefix="totes-local")["Rules"]
        starts("schedules", lambda: clock.pass_until(first + 2 * EVERY))
        assert zoned.state()["freshness"]["promise"]["problem"] is None, "asked by the function inside the network"
        starts("to rules", lambda: deploy_before(first + 3 * EVERY, back), BOTH)
        assert networks(filled, aws) == {0}
        assert not scheduler.list_schedule_groups(NamePrefix="totes")["ScheduleGroups"]
    assert sum(happened.values()) > 20 and len(happened) > 4
    starts("rules again", lambda: clock.pass_until(first + 4 * EVERY))
    starts("the last batch is loaded", lambda: clock.pass_until(first + 5 * EVERY))
    for name, counts in seen.items():  # one run more would be among those of the next firing
        expected = BOTH if name.startswith("to ") else 1
        assert {counts[function] for function in BY_SCHEDULE_ALONE} == {expected}, seen
    result = check(filled.stack.source, filled.stack.warehouse)
    assert result.agrees, result.as_dict()
    numbers = [batch["batch"] for batch in back.document("batches")["batches"]]
    assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1)), "each batch once"
