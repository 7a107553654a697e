"""``rejected`` and ``replay`` with a fake AWS: the requests that the functions get, and how results are shown."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

import deploy
import lambda_toolkit.pipeline.commands.rejected
import lambda_toolkit.pipeline.commands.replay
from lambda_toolkit.pipeline.client.replay import Replay
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.messages.events import (
    LoadReplayRequest,
    LoadReplayResult,
    OpenCounts,
    RejectedResult,
)
from tests.support.fake_functions import FakeAws, follower

OPEN = {"rejected": 1, "pending": 0}
BUSY = {"busy": True}


def applied(*batches: int, left: tuple[int, ...] = (), **written: int) -> dict[str, Any]:
    return {"replayed": list(batches), "written": written, "not_loaded": [], "left": list(left), "open": OPEN}


def converted(batch: int, *, changed: bool = True) -> dict[str, Any]:
    return {"batch": batch, "revision": 2 if changed else 1, "rejected": {"dim_staff": 1}, "changed": changed}


def test_replay_transforms_each_batch_and_repeats_load():
    """Each batch is converted and load is asked until it has applied all."""
    aws = FakeAws(
        {
            "transform": [converted(3), converted(4, changed=False)],
            "load": [BUSY, applied(3, left=(4,), fact_payment=2), applied(4, fact_payment=1, dim_staff=1)],
        }
    )
    document = Replay(follower(aws)).replay([3, 4])
    assert [entry["changed"] for entry in document["batches"]] == [True, False]
    assert document["written"] == {"fact_payment": 3, "dim_staff": 1}
    assert document["open"] == OPEN


def test_load_that_stays_busy_is_reported():
    with pytest.raises(CommandError, match="Another load has been running for 900 s"):
        Replay(follower(FakeAws({"load": [BUSY]}))).call_load(LoadReplayRequest((3,)), LoadReplayResult)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--all"],
        ["--into", "check"],
        ["--no-compare"],
        ["3", "--all", "--into", "check"],
        ["--from", "3"],
        ["--to", "3"],
        ["--from", "4", "--to", "3"],
        ["2", "--from", "3", "--to", "4"],
        ["0"],
        ["--all", "--into", "public"],
        ["--all", "--into", "Check"],
        ["--all", "--into", "pg_check"],
        ["--all", "--into", "check_pipeline"],
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(arguments):
    assert CliRunner().invoke(lambda_toolkit.pipeline.commands.replay.command, arguments).exit_code == 2


def test_what_is_open_is_shown_as_people_read_it(monkeypatch):
    entry = {"batch": 3, "table": "fact_payment", "key": "7", "column": "payment_date", "value": "2022-13-45"}
    pending = {"batch": 4, "table": "fact_payment", "key": "8", "column": "currency_id", "value": "9"}
    answer = {
        "counts": {"rejected": 1200, "pending": 1},
        "batches": [3],
        "rejected": [{**entry, "reason": "is no date"}, {**entry, "value": None, "reason": "must not be NULL"}],
        "pending": [{**pending, "reason": "not in dim_currency yet"}],
    }
    monkeypatch.setattr(lambda_toolkit.pipeline.commands.rejected, "call", lambda *_: RejectedResult.from_json(answer))
    monkeypatch.setattr(lambda_toolkit.pipeline.commands.rejected, "_not_loaded", lambda *_: [])
    result = CliRunner().invoke(
        lambda_toolkit.pipeline.commands.rejected.command, ["--stage", "dev"], env={"AWS_DEFAULT_REGION": "eu-west-2"}
    )
    assert result.exit_code == 0, result.output
    for text in ("2022-13-45", "NULL", "... and 1,199 rows more", "not in dim_currency yet", "deploy.py replay"):
        assert text in result.stdout


@pytest.mark.parametrize(
    ("result", "not_loaded", "says"),
    [
        (RejectedResult(last_batch=7), [], "all that was extracted is in the warehouse, up to batch 7."),
        (RejectedResult(), [], "Nothing was extracted yet"),
        (RejectedResult(), [1, 2], "2 extracted batches not loaded yet, from batch 1"),
        (RejectedResult(last_batch=7), [8], "1 extracted batch not loaded yet, from batch 8"),
        (
            RejectedResult(OpenCounts(3, 1), last_batch=7),
            [8, 9, 10],
            "3 extracted batches not loaded yet, from batch 8",
        ),
    ],
)
def test_batches_that_are_not_loaded_are_no_success(monkeypatch, result, not_loaded, says):
    """Of a batch that is not loaded nothing is known: what waits in the lake may be rejected."""
    monkeypatch.setattr(lambda_toolkit.pipeline.commands.rejected, "call", lambda *_: result)
    monkeypatch.setattr(lambda_toolkit.pipeline.commands.rejected, "_not_loaded", lambda *_: not_loaded)
    # By the group: a command that is called alone would have no -h, then and later.
    arguments = ["rejected", "--stage", "dev"]
    shown = CliRunner().invoke(deploy.main, arguments, env={"AWS_DEFAULT_REGION": "eu-west-2"}).stdout
    assert says in shown
    assert ("all that" in shown) == (not not_loaded and result.last_batch is not None)
