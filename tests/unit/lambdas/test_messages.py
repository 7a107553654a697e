"""Messages as JSON: every type that a field may have, what is refused in which words, and every action's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.messages import events, freshness_events, part_events, read_events
from lambda_toolkit.pipeline.lambdas.shared.messages.message import Message, Minimum


@dataclass(frozen=True)
class Inner(Message):
    """A message within one."""

    number: Annotated[int, Minimum(1)]


@dataclass(frozen=True)
class Outer(Message):
    """A field of each type."""

    text: str = ""
    whole: int = 0
    amount: float = 0.0
    flag: bool = False
    nothing: None = None
    one: Inner = field(default_factory=lambda: Inner(1))
    many: tuple[Inner, ...] = ()
    named: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    deep: tuple[Mapping[str, float], ...] = ()
    either: int | tuple[str, ...] | None = None
    several: tuple[bool | None, ...] = ()
    limited: tuple[Annotated[int, Minimum(2)], ...] = ()
    nested: Mapping[str, Mapping[str, Inner]] = field(default_factory=dict)
    twice: Annotated[int, Minimum(1), Minimum(3)] = 3


VALUES: dict[str, Any] = {
    "text": "a",
    "whole": -1,
    "amount": 1,
    "flag": True,
    "nothing": None,
    "one": {"number": 1},
    "many": [{"number": 2}, {"number": 3}],
    "named": {"a": [1], "b": []},
    "deep": [{"x": 1.5}],
    "either": ["a", "b"],
    "several": [True, None],
    "limited": [2, 3],
    "nested": {"a": {"b": {"number": 4}}},
    "twice": 3,
}


def test_each_type_comes_back_as_it_was() -> None:
    found = Outer.from_json(VALUES)
    assert found == Outer(
        *("a", -1, 1, True, None, Inner(1), (Inner(2), Inner(3))),
        *({"a": (1,), "b": ()}, ({"x": 1.5},), ("a", "b"), (True, None), (2, 3)),
        {"a": {"b": Inner(4)}},
    )
    assert found.to_json() == VALUES
    assert Outer.from_json({}) == Outer()
    assert [Outer.from_json({"either": value}).either for value in (None, 7, ())] == [None, 7, ()]


REFUSED: list[tuple[str, Any, str]] = [
    ("text", 1, "`text` must be a string, not 1"),
    ("text", None, "`text` must be a string, not None"),
    ("whole", True, "`whole` must be an integer, not True"),
    ("whole", 1.0, "`whole` must be an integer, not 1.0"),
    ("amount", "1", "`amount` must be a number, not '1'"),
    ("amount", True, "`amount` must be a number, not True"),
    ("flag", 1, "`flag` must be true or false, not 1"),
    ("nothing", 0, "`nothing` must be null, not 0"),
    ("one", [], "`one` must be an object, not []"),
    ("one", {"number": 0}, "`one`: `number` must be an integer of at least 1, not 0"),
    ("one", {}, "`one` lacks the key `number`: it must be an integer of at least 1"),
    ("many", {}, "`many` must be a list of objects, not {}"),
    ("many", "ab", "`many` must be a list of objects, not 'ab'"),
    ("many", [1], "`many` must be a list of objects, not [1]"),
    ("named", [], "`named` must be an object with values that are lists of integers, not []"),
    ("named", {1: []}, "`named` must be an object with values that are lists of integers, not {1: []}"),
    ("named", {"a": ["1"]}, "`named` must be an object with values that are lists of integers"),
    ("deep", [{"x": "y"}], "`deep` must be a list of objects with values that are numbers"),
    ("either", "ab", "`either` must be an integer or a list of strings or null, not 'ab'"),
    ("several", ["x"], "`several` must be a list of booleans or nulls, not ['x']"),
    ("limited", [2, 1], "`limited` must be a list of integers of at least 2, not [2, 1]"),
    ("twice", 2, "`twice` must be an integer of at least 1 of at least 3, not 2"),
    ("nested", {"a": 1}, "`nested` must be an object with values that are objects with values that are objects"),
]


@pytest.mark.parametrize(("name", "value", "says"), REFUSED)
def test_value_of_another_type_is_refused_in_words(name: str, value: Any, says: str) -> None:
    for of, subject in (("", "Outer"), ("The result", "The result")):
        with pytest.raises(PipelineError) as caught:
            Outer.from_json({name: value}, of)
        expected = f"{subject}: {says}"
        assert str(caught.value).startswith(expected) and str(caught.value).endswith(".")


SNAPSHOT: dict[str, Any] = {"name": "00000003-1", "visible": "700:700:", "source": {"timeline": 1, "database": "d"}}
EVENTS: list[tuple[str, Any, dict[str, Any], events.Request]] = [
    ("extract", events.extract_request, {}, events.ExtractRequest()),
    ("extract", events.extract_request, {"full": True}, events.ExtractRequest(full=True)),
    (
        "extract",
        events.extract_request,
        {"full": ["a"], "accept_types": ["a.b"]},
        events.ExtractRequest(("a",), ("a.b",)),
    ),
    ("transform", events.transform_request, {"batch": 7}, events.TransformRequest(7)),
    ("replay", events.transform_request, {"batch": 7}, events.TransformReplayRequest(7)),
    ("sweep", events.transform_request, {}, events.SweepRequest()),
    ("load", events.load_request, {}, events.LoadRequest()),
    ("report", events.load_request, {}, events.ReportRequest()),
    ("rejected", events.load_request, {}, events.RejectedRequest()),
    ("replay", events.load_request, {"batches": [1, 2]}, events.LoadReplayRequest((1, 2))),
    ("rebuild", events.load_request, {"schema": "s"}, events.RebuildRequest("s")),
    ("compare", events.load_request, {"schema": "s"}, events.CompareRequest("s")),
    ("freshness", freshness_events.freshness_request, {}, freshness_events.FreshnessRequest()),
]


@pytest.mark.parametrize(("action", "read", "fields", "request_"), EVENTS)
def test_event_of_an_action_is_written_as_documented(
    action: str, read: Any, fields: dict[str, Any], request_: events.Request
) -> None:
    """People and commands of other releases send it."""
    assert read({"action": action, **fields}) == request_
    sent = request_.to_json()
    assert {name: sent[name] for name in ("action", *fields)} == {"action": action, **fields}
    with pytest.raises(PipelineError, match="unknown key `more`"):
        read({"action": action, **fields, "more": 1})


def test_requests_between_functions_are_written_whole() -> None:
    part = {"batch": 7, "table": "dim", "number": 0, "parts": 3, "fingerprint": "1f"}
    assert part_events.PartRequest(7, "dim", 0, 3, "1f").to_json() == {"action": "part", **part}
    assert part_events.PartRequest.from_json(part) == part_events.PartRequest(7, "dim", 0, 3, "1f")
    read = {"table": "sale", "batch": 7, "run": "ab", "number": 1, "snapshot": SNAPSHOT}
    bare = read_events.ReadRequest.from_json(read)
    assert bare.to_json() == {"action": "read", **read, "first": None, "end": None, "full": True}
    ranged = {**read, "first": "(1,1)", "end": "(9,1)", "full": False}
    assert read_events.ReadRequest.from_json(ranged).to_json() == {"action": "read", **ranged}


def test_results_without_anything_have_their_defaults() -> None:
    """A reader of an older release's answer finds what that did not know."""
    read = read_events.ReadResult.from_json({"number": 1})
    assert read.to_json() == {
        "number": 1,
        "refused": None,
        "visible": "",
        "rows": 0,
        "sums": {},
        "changes": None,
        "in_flight": None,
        "transactions": [],
        "step": 1,
    }
    part = part_events.PartResult.from_json({"table": "dim", "number": 1})
    assert part.stored == ()
    assert part.to_json() == {
        "table": "dim",
        "number": 1,
        "refused": None,
        "read": 0,
        "unchanged": 0,
        "unmatched": 0,
        "rows": None,
        "rejected": None,
        "deleted": None,
        "unfit": None,
        "dates": [],
        "bytes": 0,
        "milliseconds": 0.0,
    }
    found = freshness_events.FreshnessResult.from_json({"at": "now", "tables": [{"table": "a", "state": "changed"}]})
    [table] = found.tables
    assert (found.batch, found.seconds_behind, found.seconds_overdue, found.problem) == (None, 0.0, 0.0, None)
    assert (table.fresh_at, table.seconds_behind, table.fresh_within, table.problem) == (None, 0.0, None, None)
    assert events.OpenCounts.from_json({}) == events.OpenCounts(0, 0)
    assert events.LoadResult.from_json({}).to_json() == {
        "loaded": [],
        "last_batch": None,
        "extracted_at": None,
        "loaded_at": None,
        "missing_batch": None,
        "appended": {},
        "pending": {},
        "open": {"rejected": 0, "pending": 0},
        "busy": False,
        "differences": [],
    }
    assert events.CompareResult.from_json({}).to_json() == {
        "equal": False,
        "last_batches": [None, None],
        "rows": 0,
        "renumbered": 0,
        "replayed": False,
        "tables": [],
        "busy": False,
    }
    assert events.RebuildResult.from_json({}).to_json() == {
        "last_batch": None,
        "loaded": [],
        "replayed": [],
        "missing_batch": None,
        "done": False,
        "busy": False,
    }
    assert events.SweepResult.from_json({}) == events.SweepResult((), {}, {}, 0)
    assert events.CheckResult().to_json() == {"checked": True}


def test_files_of_a_part_are_those_that_there_are() -> None:
    rows, removed = part_events.StoredPart("a", 1, "1f"), part_events.StoredPart("b", 2, "2e")
    rejects = part_events.StoredRejects("c", 3, "3d", 2)
    unfit = part_events.StoredPart("d", 4, "4c")
    found = part_events.PartResult("dim", 0, rows=rows, rejected=rejects, deleted=removed, unfit=unfit, bytes=5)
    assert found.stored == (rows, rejects, removed, unfit)
    assert found == part_events.PartResult(
        *("dim", 0), rows=rows, rejected=rejects, deleted=removed, unfit=unfit, bytes=9, milliseconds=1.0
    ), "the same part, which took another time"
    assert found != part_events.PartResult("dim", 0, rows=rows, rejected=rejects, deleted=removed)
    assert part_events.StoredRejects.from_json({"key": "c", "rows": 3, "digest": "3d"}).source_rows == 0


def test_source_of_an_event_says_that_a_schedule_sent_it() -> None:
    readers = {
        events.extract_request: events.ExtractRequest(),
        events.transform_request: events.SweepRequest(),
        events.load_request: events.LoadRequest(),
        freshness_events.freshness_request: freshness_events.FreshnessRequest(),
    }
    for read, request in readers.items():
        for source in ("aws.events", "aws.scheduler"):
            assert read({"source": source, "action": "none"}) == request
        with pytest.raises(PipelineError):
            read({"source": "aws.s3"})


READERS = {
    "extract": events.extract_request,
    "transform": events.transform_request,
    "load": events.load_request,
    "freshness": freshness_events.freshness_request,
}


@pytest.mark.parametrize("name", READERS)
def test_refused_event_names_the_function_and_its_actions(name: str) -> None:
    for event, kind in (([1], "list"), (None, "NoneType"), ("x", "str")):
        with pytest.raises(PipelineError) as caught:
            READERS[name](event)
        assert str(caught.value) == f"The event of {name} must be a JSON object, not {kind}."
    actions = ", ".join([*dict.fromkeys(action for action, read, *_ in EVENTS if read is READERS[name]), "check"])
    with pytest.raises(PipelineError) as unknown:
        READERS[name]({"action": "none"})
    assert str(unknown.value) == f"{name} has the actions {actions}, not 'none'."
    with pytest.raises(PipelineError) as without:
        READERS[name]({"more": 1})
    assert str(without.value) == f'The event of {name} must be {{"action": name, ...}}; the actions are {actions}.'
