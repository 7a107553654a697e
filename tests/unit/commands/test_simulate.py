"""How ``local run`` reports a business day that failed to arrive, and one that arrived."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lambda_toolkit.pipeline.client.observing import logs
from lambda_toolkit.pipeline.commands.local.business_day import ArrivalWatch, show_check
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.local_stack.independent_check import Check, TableCheck

DIFFERS = Check((TableCheck("dim_staff", 2, 1, None, 1, ("staff_id 2 is missing",)),), ("fact_payment.paid -> dim_x",))


@pytest.fixture
def day() -> ArrivalWatch:
    return ArrivalWatch(stack=None, follower=None, screen=Screen())  # type: ignore[arg-type]


def test_failed_arrival_is_reported_with_the_differences(day, monkeypatch, capsys):
    arrivals = iter([2])

    def arrive(self: ArrivalWatch, after: int) -> int:
        for batch in arrivals:
            return batch
        raise CommandError("load: no table dim_staff")

    monkeypatch.setattr(ArrivalWatch, "await_arrival", arrive)
    assert day.check_until_agreed(lambda: DIFFERS, 1) == (DIFFERS, 2)
    assert "load: no table dim_staff" in capsys.readouterr().err


def test_day_in_several_batches_is_followed_until_it_agrees(day, monkeypatch):
    """A day that is cut into several batches is followed until it agrees."""
    agrees = Check((), ())
    checks = iter([DIFFERS, DIFFERS, agrees])
    monkeypatch.setattr(ArrivalWatch, "await_arrival", lambda self, after: after + 1)
    assert day.check_until_agreed(lambda: next(checks), 1) == (agrees, 4)


def test_every_difference_is_shown(capsys):
    show_check(Screen(), DIFFERS, "Compared")
    shown = capsys.readouterr().out
    assert "! dim_staff: staff_id 2 is missing" in shown
    assert "! the foreign key fact_payment.paid -> dim_x is not enforced" in shown


def test_functions_that_carry_no_change_do_not_end_the_wait(monkeypatch):
    """What the notifier or the look at freshness logs is a message of its own, not the end of a day."""
    names = {"extract": "broken", "transform": "", "load": "", "notifier": "timed out", "freshness": "timed out"}
    follower = SimpleNamespace(aws=None, pipeline=SimpleNamespace(functions=names, function_name=str))
    monkeypatch.setattr(logs, "of_function", lambda aws, pipeline, name, since: [{"message": names[name]}])
    monkeypatch.setattr(logs, "error_in", lambda message: message)
    day = ArrivalWatch(stack=None, follower=follower, screen=Screen())  # type: ignore[arg-type]
    assert day.errors() == ["extract: broken"]
