"""``rejected`` and ``replay`` with a fake AWS: the requests that the functions get, and how results are shown."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

import deploy
import lambda_toolkit.pipeline.client.replay
import lambda_toolkit.pipeline.commands.rejected
import lambda_toolkit.pipeline.commands.replay
from lambda_toolkit.pipeline.client.replay import Replay
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.messages.events import (
    LoadReplayRequest,
    LoadReplayResult,
    OpenCounts,
    RejectedResult,
    TransformReplayResult,
)
from tests.support.fake_functions import FakeAws, follower
from tests.unit.commands.test_command_screens import lines

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


def test_replay_gives_load_what_one_call_takes_and_adds_up(monkeypatch):
    """Load is given 200 batches at a time, then what it left of them; what it did is summed over all calls."""
    asked: list[tuple[int, ...]] = []
    results = iter(
        [
            LoadReplayResult((), {"a": 1}, not_loaded=(1,), left=(199, 200), open=OpenCounts(9, 9)),
            LoadReplayResult((), {"a": 2, "b": 5}, not_loaded=(200,), open=OpenCounts(8, 8)),
            LoadReplayResult((), {"b": 7}, not_loaded=(202,), open=OpenCounts(1, 2)),
        ]
    )

    def call(aws: Any, function: str, request: Any, result_type: Any) -> Any:
        assert function == f"totes-dev-{'load' if result_type is LoadReplayResult else 'transform'}"
        if result_type is LoadReplayResult:
            asked.append(request.batches)
            return next(results)
        number = request.batch
        rejected = {1: {"a": 1, "b": 1999}, 2: {}}.get(number, {})
        return TransformReplayResult(number, revision=3, rejected=rejected, changed=number < 3)

    monkeypatch.setattr(lambda_toolkit.pipeline.client.replay, "call", call)
    said: list[str] = []
    document = Replay(replace(follower(FakeAws()), report=said.append)).replay(list(range(1, 203)))
    assert asked == [tuple(range(1, 201)), (199, 200), (201, 202)]
    assert (document["written"], document["not_loaded"]) == ({"a": 3, "b": 12}, [1, 200, 202])
    assert (document["open"], len(document["batches"])) == ({"rejected": 1, "pending": 2}, 202)
    assert document["batches"][0] == {"batch": 1, "revision": 3, "rejected": {"a": 1, "b": 1999}, "changed": True}
    assert said[:3] == [
        "transform: batch 1 differs now: revision 3, 2,000 rejected",
        "transform: batch 2 differs now: revision 3",
        "transform: batch 3 is unchanged",
    ]


def test_load_that_is_busy_is_asked_every_five_seconds():
    aws, said = FakeAws({"load": [BUSY, BUSY, applied(3)]}), list[str]()
    replay = Replay(replace(follower(aws), report=said.append))
    begun = replay.follower.waiting.clock()
    assert replay.call_load(LoadReplayRequest((3,)), LoadReplayResult).replayed == (3,)
    assert replay.follower.waiting.clock() - begun == 10
    assert said == ["load: another load is running; waiting for it ..."]


def test_load_that_stays_busy_is_reported():
    following = follower(FakeAws({"load": [BUSY]}))
    with pytest.raises(CommandError, match="Another load has been running for 900 s"):
        Replay(following).call_load(LoadReplayRequest((3,)), LoadReplayResult)
    assert following.waiting.clock() == 905, "it was asked once more when the time was over"


def test_batches_to_replay_are_those_with_rejected_rows():
    answer = {"counts": {"rejected": 9, "pending": 0}, "batches": [3, 7]}
    assert Replay(follower(FakeAws({"load": [answer]}))).rejected() == [3, 7]


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


@pytest.fixture
def shown(monkeypatch):
    """What ``rejected`` prints for an answer of load, and for batches that are not loaded."""

    def call(result: RejectedResult, not_loaded: list[int], *options: str) -> str:
        monkeypatch.setattr(lambda_toolkit.pipeline.commands.rejected, "call", lambda *_: result)
        monkeypatch.setattr(lambda_toolkit.pipeline.commands.rejected, "_not_loaded", lambda *_: not_loaded)
        # By the group: a command that is called alone would have no -h, then and later.
        arguments = ["rejected", "--stage", "dev", *options]
        done = CliRunner().invoke(deploy.main, arguments, env={"AWS_DEFAULT_REGION": "eu-west-2"})
        assert done.exit_code == 0, done.output
        return done.stdout

    return call


def test_what_is_open_is_shown_as_people_read_it(shown):
    """Rows are counted, of which one may have two items; those that are shown are not counted again."""
    entry = {"batch": 3, "table": "fact_payment", "key": "7", "column": "payment_date", "value": "2022-13-45"}
    pending = {"batch": 4, "table": "fact_payment", "key": "8", "column": "currency_id", "value": "9"}
    answer = {
        "counts": {"rejected": 1200, "pending": 1},
        "batches": [3],
        "rejected": [{**entry, "reason": "is no date"}, {**entry, "value": None, "reason": "must not be NULL"}],
        "pending": [{**pending, "reason": "not in dim_currency yet"}],
    }
    assert lines(shown(RejectedResult.from_json(answer), [])) == [
        "Rejected",
        "│ batch │ table        │ key │ column       │ value      │ reason           │",
        "│ 3     │ fact_payment │ 7   │ payment_date │ 2022-13-45 │ is no date       │",
        "│ 3     │ fact_payment │ 7   │ payment_date │ NULL       │ must not be NULL │",
        "... and 1,199 rows more",
        "Pending, until the row that they reference is loaded",
        "│ batch │ table        │ key │ column      │ value │ reason                  │",
        "│ 4     │ fact_payment │ 8   │ currency_id │ 9     │ not in dim_currency yet │",
        "Outstanding: 1,200 rejected rows, 1 pending. After fixing and deploying the cause: python deploy.py replay"
        " --stage dev",
    ]
    document = json.loads(shown(RejectedResult.from_json(answer), [5], "--json"))
    assert (document["counts"], document["pending"][0]["key"], document["not_loaded"]) == (answer["counts"], "8", [5])


SEE = "which of their rows will be outstanding is not known. See: python deploy.py status --stage dev"


@pytest.mark.parametrize(
    ("result", "not_loaded", "says"),
    [
        (
            RejectedResult(last_batch=7),
            *([], "No row is outstanding: all that was extracted is in the warehouse, up to batch 7."),
        ),
        (RejectedResult(), [], "Nothing was extracted yet: python deploy.py run --stage dev"),
        (RejectedResult(OpenCounts(0, 2), last_batch=7), [], "Outstanding: 0 rejected rows, 2 pending."),
        (
            RejectedResult(),
            *(
                [1, 2],
                "No row of the batches in the warehouse is outstanding. 2 extracted batches not loaded yet, from",
            ),
        ),
        (
            RejectedResult(OpenCounts(1, 0), last_batch=7),
            [8],
            f"Outstanding: 1 rejected row, 0 pending. 1 extracted batch not loaded yet, from batch 8: {SEE} After",
        ),
    ],
)
def test_batches_that_are_not_loaded_are_no_success(shown, result, not_loaded, says):
    """Of a batch that is not loaded nothing is known: what waits in the lake may be rejected."""
    said = shown(result, not_loaded)
    assert said == f"{says}\n" if says.endswith((".", "dev")) else said.startswith(f"{says} ")
