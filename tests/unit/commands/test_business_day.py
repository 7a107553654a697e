"""``local run``: a change is awaited until it is in the warehouse, and what it says of the day."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.client.observing import logs
from lambda_toolkit.pipeline.client.observing.follow import Waiting
from lambda_toolkit.pipeline.commands.local import business_day
from lambda_toolkit.pipeline.commands.local.business_day import ArrivalWatch
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import BatchListing
from lambda_toolkit.pipeline.local_stack.independent_check import Check, TableCheck

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
AGREES, DIFFERS = Check((TableCheck("a", 1, 1, None, 0, ()),), ()), Check((TableCheck("a", 1, 2, None, 1, ()),), ())


class Time:
    """A clock that only sleep moves."""

    now = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Warehouse:
    """Its ledger has the next of ``batches`` at each look, and the last one from then on."""

    def __init__(self, *batches: int) -> None:
        self.batches, self.opened = list(batches), 0

    def connect(self) -> Any:
        self.opened += 1
        return SimpleNamespace(run=self.run, close=self.close)

    def run(self, sql: str) -> list[list[int]]:
        assert "pipeline.ledger" in sql
        return [[self.batches.pop(0) if self.batches[1:] else self.batches[0]]]

    def close(self) -> None:
        self.opened -= 1


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A watch of a lake in which batches 4 and 5 are new; what the functions log is in ``messages``."""
    messages: list[dict[str, str]] = []
    lake = {"ingestion of it": (4, 5), "processed of it": (4,)}

    def after(aws: str, bucket: str, number: int) -> tuple[BatchListing, ...]:
        assert aws == "aws"
        return tuple(BatchListing(batch, NOON) for batch in lake[bucket] if batch > number)

    def logged(aws: str, pipeline: str, function: str, since: int) -> list[dict[str, str]]:
        assert (aws, pipeline, since) == ("aws", "pipeline", 1_500_250)
        return messages if function == "load" else []

    monkeypatch.setattr(business_day, "batches_after", after)
    monkeypatch.setattr(logs, "of_function", logged)
    monkeypatch.setattr(logs, "error_in", lambda message: message.removeprefix("error ") if "error" in message else "")
    follower: Any = SimpleNamespace(aws="aws", pipeline="pipeline", bucket=lambda name: f"{name} of it")

    def make(warehouse: Any, clock: Time, *, of_stack: bool = False) -> ArrivalWatch:
        stack: Any = SimpleNamespace(warehouse=warehouse)
        waiting = Waiting(lambda: clock.now, clock.sleep)
        return ArrivalWatch(stack, follower, Screen(), None if of_stack else warehouse, waiting, 1500.25)

    return SimpleNamespace(make=make, messages=messages)


@pytest.mark.parametrize("of_stack", [True, False])
def test_change_is_awaited_until_all_of_it_is_loaded(watched: Any, capsys: Any, of_stack: bool) -> None:
    warehouse, clock = Warehouse(3, 4, 5, 6), Time()
    assert watched.make(warehouse, clock, of_stack=of_stack).await_arrival(3) == 5
    assert warehouse.opened == 0
    assert clock.now == pytest.approx(1000.6)  # two looks found less
    assert capsys.readouterr().err.splitlines() == [
        "extract: batch 4 is written (by its schedule)",
        "extract: batch 5 is written (by its schedule)",
        "transform: batch 4 is written (by the manifest's S3 event)",
        "load: batch 5 is in the warehouse (by its schedule)",
    ]


def test_change_that_does_not_arrive_is_awaited_two_minutes(watched: Any) -> None:
    clock = Time()
    with pytest.raises(CommandError) as failed:
        watched.make(Warehouse(9), clock).await_arrival(5)  # nothing is extracted after 5
    assert str(failed.value) == (
        "The change did not reach the warehouse. No function logged an error; see .local/emulator.log."
    )
    assert 1120 < clock.now < 1121


def test_error_of_a_function_ends_the_wait(watched: Any) -> None:
    clock = Time()
    watched.messages += [{"message": text} for text in ("error one", "fine", "error two", "error one")]
    with pytest.raises(CommandError) as failed:
        watched.make(Warehouse(3), clock).await_arrival(3)
    assert str(failed.value) == "The change did not reach the warehouse. load: one\nload: two"
    assert clock.now == 1000
    assert watched.make(Warehouse(5), clock).await_arrival(3) == 5  # it arrived all the same
