"""The document of ``status``, whole; what of it is a trouble, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_script import AwsError
from lambda_toolkit.pipeline.client.observing import status
from lambda_toolkit.pipeline.client.observing.status import Seldom, StatusReader, Trouble
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH
from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
from lambda_toolkit.pipeline.lambdas.shared.messages.events import LoadResult, OpenCounts

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PIPELINE = load(DEFAULT_PATH)
NAMES = list(PIPELINE.functions)


def batches(*numbers: int, age: float = 60.5) -> list[Any]:
    times = [NOW - timedelta(seconds=age - at) for at in range(len(numbers))]
    return [SimpleNamespace(number=number, written=time) for number, time in zip(numbers, times, strict=True)]


class Follows:
    """A follower of a pipeline whose load says ``report``, or fails with it."""

    pipeline = PIPELINE

    def __init__(self, monkeypatch: Any, report: Any, *, ingestion: Any = (), processed: Any = ()) -> None:
        self.aws: Any = SimpleNamespace()
        self.report = report
        self.asked: list[Any] = []
        found = {"ingestion": ingestion, "processed": processed}
        monkeypatch.setattr(status, "has_bucket", lambda aws, bucket: found[bucket] is not None)

        def after(aws: Any, bucket: str, last: int) -> Any:
            self.asked.append((bucket, last))
            return found[bucket]

        monkeypatch.setattr(status, "batches_after", after)

    def bucket(self, name: str) -> str:
        return name

    def loaded(self) -> LoadResult:
        if isinstance(self.report, Exception):
            raise self.report
        return self.report


LOADED = LoadResult(last_batch=7, loaded_at="2026-01-02T03:00:00.123Z", open=OpenCounts(1, 2), differences=("x",))


def read(monkeypatch: pytest.MonkeyPatch, follows: Follows, deployed: bool = True) -> tuple[Any, Any]:
    found, fresh, _ = status._batches(follows, NOW, deployed)  # type: ignore[arg-type]
    return found, fresh


def test_batches_are_those_after_the_last_loaded_one(monkeypatch) -> None:
    follows = Follows(monkeypatch, LOADED, ingestion=batches(8, 9, 10), processed=batches(8))
    found, fresh = read(monkeypatch, follows)
    assert found == {"extracted": 10, "transformed": 8, "loaded": 7}
    assert follows.asked == [("ingestion", 7), ("processed", 7)]
    assert fresh == {
        "fresh": False,
        "lag_seconds": 60.5,
        "loaded_unknown": False,
        "summary": "Not loaded yet: 3 extracted batches, the oldest 60 s old.",
    }
    found, fresh = read(monkeypatch, Follows(monkeypatch, LOADED))
    assert found == dict.fromkeys(("extracted", "transformed", "loaded"), 7)
    summary = "All that was extracted is in the warehouse: batch 7 was loaded at 2026-01-02 03:00:00Z."
    assert fresh == {"fresh": True, "lag_seconds": 0.0, "loaded_unknown": False, "summary": summary}


def test_nothing_is_loaded_or_known_to_be(monkeypatch) -> None:
    nothing = dict.fromkeys(("extracted", "transformed", "loaded"))
    found, fresh = read(monkeypatch, Follows(monkeypatch, LoadResult()))
    assert (found, fresh["fresh"]) == (nothing, False)
    assert fresh["summary"] == "Nothing was extracted yet: python deploy.py run"
    failed = Follows(monkeypatch, CommandError("load failed."), ingestion=batches(1))
    found, fresh = read(monkeypatch, failed)
    assert found == {**nothing, "extracted": 1}
    assert fresh["summary"] == "The warehouse cannot be queried: load failed."
    assert (fresh["fresh"], fresh["loaded_unknown"], fresh["lag_seconds"]) == (False, True, 60.5)
    with pytest.raises(ZeroDivisionError):
        read(monkeypatch, Follows(monkeypatch, ZeroDivisionError()))


@pytest.mark.parametrize(
    ("ingestion", "processed", "last", "unknown", "summary"),
    [
        (None, None, (None, None), False, "Not deployed: python deploy.py"),
        ((), None, (None, None), False, "Not deployed; there is a bucket without a batch: python deploy.py"),
        ((), (), (None, None), False, "Not deployed; there are buckets without a batch: python deploy.py"),
        (
            batches(1, 2),
            batches(1),
            *((2, 1), True),
            "Not deployed, and the buckets have 2 batches extracted, 1 batch transformed. What of it the warehouse has "
            "is not known without load. To go on from there: python deploy.py",
        ),
        (
            batches(1),
            None,
            *((1, None), True),
            "Not deployed, and the buckets have 1 batch extracted, 0 batches transformed. What of it the warehouse has "
            "is not known without load. To go on from there: python deploy.py",
        ),
    ],
)
def test_buckets_stay_where_functions_are_not_there(monkeypatch, ingestion, processed, last, unknown, summary) -> None:
    follows = Follows(monkeypatch, LOADED, ingestion=ingestion, processed=processed)
    found, fresh = read(monkeypatch, follows, deployed=False)
    assert found == {"extracted": last[0], "transformed": last[1], "loaded": None}
    assert fresh == {"fresh": False, "lag_seconds": None, "loaded_unknown": unknown, "summary": summary}
    buckets = {"ingestion": ingestion, "processed": processed}
    assert follows.asked == [(name, 0) for name, listed in buckets.items() if listed is not None]


PROMISE = {"state": "fresh", "seconds_behind": 5.0, "fresh_at": "t", "fresh_within_seconds": 60.0, "tables": []}
PROMISE |= {"problem": None, "checked_at": "c"}


DRIFT: dict[str, Any] = {"changes": [], "problem": None}


def reader(monkeypatch: pytest.MonkeyPatch, *, deployed: Any = NAMES, **changed: Any) -> StatusReader:
    """A reader whose parts answer with what is given."""
    given: dict[str, Any] = {"alarms": [], "subscriptions": [], "promise": None, "starts": {}, "failed": None}
    given |= changed
    monkeypatch.setattr(status, "alarm_states", lambda aws, pipeline: given["alarms"])
    monkeypatch.setattr(status, "subscription_states", lambda aws, pipeline: given["subscriptions"])

    def state(aws: Any, pipeline: Any, name: str) -> dict[str, Any]:
        return {"name": f"totes-dev-{name}", "version": "3" if name in deployed else None}

    monkeypatch.setattr(status, "function_state", state)
    monkeypatch.setattr(status.failed_events, "state", lambda aws, pipeline: given["failed"])
    monkeypatch.setattr(status.failed_events, "made_good", lambda found, functions, pipeline: found["count"] == 1)
    monkeypatch.setattr(StatusReader, "_promise", lambda self, now: given["promise"])
    monkeypatch.setattr(StatusReader, "_last_starts", lambda self, now: given["starts"])
    follows: Any = Follows(monkeypatch, LOADED)
    return StatusReader(follows, drift=Seldom(lambda: DRIFT), cost=Seldom(lambda: "1.50"))


def test_document_has_everything(monkeypatch) -> None:
    starts = {NAMES[0]: {"last_run": "2026-01-02T03:02:00.000Z", "last_failed": True}}
    failed = {"count": 3, "functions": [{"count": 1}, {"count": 2}]}
    found = reader(monkeypatch, starts=starts, failed=failed, promise=PROMISE)
    monkeypatch.setattr(status, "troubles", lambda document: iter([Trouble("what", "command")]))
    document = found.read(NOW)
    functions = document.pop("functions")
    ran = {"last_run": "2026-01-02T03:02:00.000Z", "last_failed": True, "next_run": "2026-01-02T03:07:00.000Z"}
    assert functions[0] == {"name": f"totes-dev-{NAMES[0]}", "version": "3", **ran}
    assert functions[1]["last_run"] is None and functions[1]["last_failed"] is None
    summary = "Fresh. All that was extracted is in the warehouse: batch 7 was loaded at 2026-01-02 03:00:00Z."
    assert document == {
        "format": 1,
        "pipeline": "totes",
        "stage": "dev",
        "region": "eu-west-2",
        "at": "2026-01-02T03:04:05.000Z",
        "batches": {"extracted": 7, "transformed": 7, "loaded": 7},
        "freshness": {
            "fresh": True,
            "lag_seconds": 0.0,
            "loaded_unknown": False,
            "summary": summary,
            "promise": PROMISE,
            "seconds_behind": 5.0,
            "fresh_at": "t",
            "fresh_within_seconds": 60.0,
        },
        "failed_events": {
            "count": 3,
            "functions": [{"count": 1, "made_good": True}, {"count": 2, "made_good": False}],
        },
        "open": {"rejected": 1, "pending": 2},
        "differences": ["x"],
        "alarms": [],
        "subscriptions": [],
        "drift": DRIFT,
        "cost_so_far": "1.50",
        "troubles": [{"what": "what", "command": "command"}],
    }


def test_alarm_and_promise_make_it_not_fresh(monkeypatch) -> None:
    alarm = {"name": "totes-dev-load-errors", "state": "ALARM", "since": "s"}
    fresh = reader(monkeypatch, alarms=[alarm, {**alarm, "state": "OK"}]).read(NOW)["freshness"]
    assert fresh["fresh"] is False
    assert fresh["summary"].startswith("Not known to be fresh: in alarm is totes-dev-load-errors (since s). All that")
    both = [alarm, {**alarm, "name": "totes-dev-load-slow"}]
    summary = reader(monkeypatch, alarms=both).read(NOW)["freshness"]["summary"]
    assert "in alarm is totes-dev-load-errors (since s), totes-dev-load-slow (since s). All that" in summary
    for state, is_fresh in (("fresh", True), ("late", False), ("unknown", False)):
        fresh = reader(monkeypatch, promise={**PROMISE, "state": state}).read(NOW)["freshness"]
        assert (fresh["fresh"], fresh["summary"].startswith("Fresh. ")) == (is_fresh, is_fresh)
    fresh = reader(monkeypatch).read(NOW)["freshness"]
    nothing = dict.fromkeys(("promise", "seconds_behind", "fresh_at", "fresh_within_seconds"))
    assert fresh["fresh"] is True and {name: fresh[name] for name in nothing} == nothing


def test_undeployed_pipeline_is_not_compared(monkeypatch) -> None:
    for deployed in ((), NAMES[:1]):
        document = reader(monkeypatch, deployed=deployed).read(NOW)
        assert (document["drift"], document["cost_so_far"], document["freshness"]["fresh"]) == (None, None, False)
        missing = ", ".join(f"totes-dev-{name}" for name in NAMES if name not in deployed)
        assert document["troubles"][0]["what"] == f"Not deployed: {missing}."


# ------------------------------------------------------------------------------------------------------------- troubles

QUIET: dict[str, Any] = {
    "functions": [{"name": "totes-dev-load", "version": "3"}],
    "freshness": {"loaded_unknown": False, "promise": None, "summary": "s"},
    "alarms": [],
    "failed_events": None,
    "open": {"rejected": 0, "pending": 0},
    "differences": [],
    "drift": None,
    "subscriptions": [],
}
ALARM = {"state": "ALARM", "since": "s"}
FAILED = {"function": "f", "count": 1500, "oldest_at": "2026-01-02T03:04:05.678Z", "reason": "no.", "made_good": False}


@pytest.mark.parametrize(
    ("changed", "what", "command"),
    [
        ({"freshness": {**QUIET["freshness"], "loaded_unknown": True}}, "s", "logs load"),
        ({"alarms": [{**ALARM, "name": "totes-dev-load-x"}]}, "In alarm since s: totes-dev-load-x.", "logs load"),
        ({"alarms": [{**ALARM, "name": "other"}]}, "In alarm since s: other.", "logs"),
        (
            {"failed_events": {"functions": [FAILED, {**FAILED, "made_good": True}]}},
            *("1,500 failed events of f since 2026-01-02 03:04:05Z: no.", "replay --failed"),
        ),
        (
            {"open": {"rejected": 1, "pending": 3000}},
            *("Kept out of the warehouse: 1 rejected row, 3,000 pending.", "rejected"),
        ),
        ({"open": {"rejected": 0, "pending": 1}}, "Kept out of the warehouse: 0 rejected rows, 1 pending.", "rejected"),
        ({"differences": ["d"]}, "The warehouse differs from its declaration: d", "prepare"),
        ({"drift": {"changes": ["a", "b", "c"]}}, "AWS differs from the declaration: a, b, c.", "plan"),
        ({"drift": {"changes": list("abcd")}}, "AWS differs from the declaration: a, b, c, ....", "plan"),
    ],
)
def test_trouble_has_its_words_and_its_command(changed, what, command) -> None:
    found = list(status.troubles({**QUIET, **changed}))
    assert found == [Trouble(what, f"python deploy.py {command}")]
    assert list(status.troubles(QUIET)) == []


def table(name: str, state: str, behind: float, *, changed: bool = True, problem: str | None = None) -> dict[str, Any]:
    about = {"table": name, "state": state, "changed": changed, "problem": problem}
    return {**about, "seconds_behind": behind, "fresh_within": 600.0}


@pytest.mark.parametrize(
    ("promise", "expected"),
    [
        ({"problem": "p.", "tables": []}, [("Freshness is not known: p.", "logs freshness")]),
        (
            {"tables": [table("a", "late", 700), table("b", "late", 7200), table("c", "fresh", 5)]},
            [("Late: b and 1 more, 2 h behind, promised within 10 min.", "batches")],
        ),
        (
            {"tables": [table("a", "late", 7199, changed=False)]},
            [("Late: a, 120 min behind, promised within 10 min.", "logs freshness")],
        ),
        (
            {
                "state": "unknown",
                "tables": [table("a", "unknown", 1, problem="p."), table("b", "unknown", 1, problem="p.")],
            },
            [("Freshness of b is not known: p.", "logs freshness")],
        ),
        (
            {"tables": [table("a", "late", 7000), {**table("b", "late", 8000), "fresh_within": 7900.0}]},
            [("Late: a and 1 more, 117 min behind, promised within 10 min.", "batches")],
        ),
        (
            {"state": "unknown", "tables": [table("a", "unknown", 1)]},
            [("Freshness was not checked since c.", "logs freshness")],
        ),
        ({"state": "fresh", "tables": [table("a", "fresh", 1)]}, []),
    ],
)
def test_promise_that_is_not_kept_is_one_line(promise, expected) -> None:
    found = list(status._of_the_promise({"problem": None, "state": "late", "checked_at": "c", **promise}))
    assert found == [Trouble(what, f"python deploy.py {command}") for what, command in expected]


def test_what_is_missing_hides_what_follows_from_it() -> None:
    fresh = {"loaded_unknown": True, "promise": {"problem": "p", "tables": []}, "summary": "s"}
    functions = [{"name": "a", "version": None}, {"name": "b", "version": None}]
    found = list(status.troubles({**QUIET, "functions": functions, "freshness": fresh}))
    assert found == [Trouble("Not deployed: a, b.", "python deploy.py")]


# ---------------------------------------------------------------------------------------------------------- the reader


def test_promise_is_read_where_there_is_one(monkeypatch) -> None:
    follows: Any = SimpleNamespace(pipeline=PIPELINE, aws=None)
    due = {"staff": timedelta(minutes=5)}
    monkeypatch.setattr(status.freshness, "promises", lambda pipeline: due)
    monkeypatch.setattr(status.freshness, "checked", lambda warehouse: warehouse)
    monkeypatch.setattr(status.freshness, "document", lambda found, promised, now: {"found": found, "due": promised})
    assert StatusReader(follows)._promise(NOW) is None, "the warehouse is not looked at"
    assert StatusReader(follows, lambda: "w")._promise(NOW) == {"found": "w", "due": due, "problem": None}  # type: ignore[arg-type]

    def failing(error: Exception) -> Any:
        def make() -> Any:
            raise error

        return make

    for error in (ConnectionFailedError("no way."), CommandError("no way.")):
        found = StatusReader(follows, failing(error))._promise(NOW)
        assert found == {"found": {}, "due": due, "problem": "no way."}
    with pytest.raises(ZeroDivisionError):
        StatusReader(follows, failing(ZeroDivisionError()))._promise(NOW)
    due.clear()
    assert StatusReader(follows, lambda: "w")._promise(NOW) is None  # type: ignore[arg-type]


def test_starts_are_asked_once_a_minute_and_may_be_denied(monkeypatch) -> None:
    asked: list[Any] = []
    answer: list[Any] = [{"load": {}}]

    def last(aws: Any, pipeline: Any, now: datetime) -> Any:
        asked.append((aws, pipeline.name))
        if isinstance(answer[0], Exception):
            raise answer[0]
        return answer[0]

    monkeypatch.setattr(status, "last_starts", last)
    follows: Any = SimpleNamespace(pipeline=PIPELINE, aws="aws")
    found = StatusReader(follows)
    assert [found._last_starts(NOW + timedelta(seconds=each)) for each in (0, 59)] == [{"load": {}}] * 2
    assert asked == [("aws", "totes")]
    answer[0] = AwsError("no", code="AccessDeniedException")
    assert found._last_starts(NOW + timedelta(seconds=60)) == {}
    for error in (AwsError("no", code="Throttling"), ZeroDivisionError()):
        answer[0] = error
        with pytest.raises(type(error)):
            found._last_starts(NOW + timedelta(seconds=60))
