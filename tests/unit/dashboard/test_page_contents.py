"""What the sections of the pages are given to show, value by value."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_toolkit.pipeline.dashboard.pages import deployment, health, pipeline, warehouse
from lambda_toolkit.pipeline.dashboard.pages.model import (
    BAD,
    GOOD,
    UNKNOWN,
    WARNING,
    WORKING,
    Problem,
    Reading,
    Section,
    View,
)
from tests.unit.dashboard.documents import BATCHES, HISTORY, STATUS, TABLES, promised, question, status, view

DASH = "\N{EN DASH}"
FRESH = STATUS["freshness"]


def of(sections: tuple[Section, ...]) -> dict[str, Section]:
    return {section.id: section for section in sections}


# ------------------------------------------------------------------------------------------------------------- requests


@pytest.mark.parametrize(
    ("page", "parameters", "names"),
    [
        (health, {}, [("status",), ("batches",), ("tables",), ("messages",)]),
        (deployment, {}, [("status",), ("plan",), ("cost",)]),
        (pipeline, {}, [("status",), ("batches",), ("tables",)]),
        (pipeline, {"batch": "7"}, [("status",), ("batches",), ("tables",), ("batch", "7")]),
        (pipeline, {"batch": "-7"}, [("status",), ("batches",), ("tables",)]),
        (pipeline, {"batch": "²"}, [("status",), ("batches",), ("tables",)]),
        (pipeline, {"batch": "٣"}, [("status",), ("batches",), ("tables",)]),
        (warehouse, {}, [("status",), ("questions",), ("history", "", ""), ("tables",)]),
        (warehouse, {"table": "t", "key": " 7 "}, [("status",), ("questions",), ("history", "t", "7"), ("tables",)]),
    ],
)
def test_page_asks_for_its_documents(page, parameters, names):
    assert list(page.requests(parameters)) == names


def test_sections_are_in_their_order_and_width():
    shown = {"messages": {"messages": []}, "tables": TABLES, "history": HISTORY, "plan": {}, "cost": {}}
    questions = {"file": "f", "questions": [{**question({}), "number": n, "question": f"Q{n}"} for n in range(1, 7)]}
    one = view(questions=questions, batch={**BATCHES, "lines": []}, **shown)
    one = View(one.readings, one.now, one.command, {"batch": "3"})
    found = {
        page.__name__.rpartition(".")[2]: [(each.id, each.title, each.macro, each.width) for each in page.sections(one)]
        for page in (health, pipeline, warehouse, deployment)
    }
    assert found == {
        "health": [
            ("verdict", "Health", "verdict", "full"),
            ("problems", "What to do", "problems", "full"),
            ("alarms", "Alarms", "alarms", "half"),
            ("steps", "Steps", "steps", "half"),
            ("messages", "Messages", "messages", "full"),
        ],
        "pipeline": [
            ("flow", "On their way", "flow", "full"),
            ("batch", "Batch 3", "batch", "full"),
            ("latency", "From source to warehouse", "chart", "half"),
            ("durations", "Where the time goes", "chart", "half"),
            ("batches", "Batches", "batches", "full"),
            ("tables", "Rows and versions", "tables", "full"),
        ],
        "warehouse": [
            *((f"question-{n}", f"Q{n}", "question", "half") for n in (1, 2, 3, 4)),
            ("history", "How a row evolved", "history", "full"),
            *((f"question-{n}", f"Q{n}", "question", "half") for n in (5, 6)),
            ("tables", "Rows and versions", "tables", "full"),
        ],
        "deployment": [
            ("functions", "Functions", "functions", "full"),
            ("drift", "Drift", "drift", "full"),
            ("cost", "What a month costs", "cost", "half"),
            ("recipients", "Who is alerted", "recipients", "half"),
        ],
    }


def test_problem_of_a_document_is_that_of_its_sections():
    failed = {name: Reading(None, f"no {name}") for name in ("status", "batches", "tables", "questions", "history")}
    failed |= {name: Reading(None, f"no {name}") for name in ("plan", "cost", "batch")}
    one = View(failed, view().now, view().command, {"batch": "3"})
    found = {page: {each.id: each.problem for each in page.sections(one)} for page in (pipeline, warehouse, deployment)}
    assert found[pipeline] == {
        "flow": "no status",
        "batch": "no batch",
        "latency": "no batches",
        "durations": "no batches",
        "batches": "no batches",
        "tables": "no tables",
    }
    assert found[warehouse] == {"questions": "no questions", "history": "no history", "tables": "no tables"}
    expected = {"functions": "no status", "drift": "no plan", "cost": "no cost", "recipients": "no status"}
    assert found[deployment] == expected


# --------------------------------------------------------------------------------------------------------------- health


def test_checks_say_what_is_whole_raised_and_waiting():
    raised = [{**STATUS["alarms"][0], "state": "ALARM"}, *STATUS["alarms"][1:]]
    ahead = {**STATUS["batches"], "extracted": 5}
    found = {
        "well": health.checks(view()),
        "open": health.checks(view(status=status(open={"rejected": 1200, "pending": 3}, batches=ahead, alarms=[]))),
        "bad": health.checks(view(status=status(differences=["x"], alarms=raised), tables=TABLES)),
        "none": health.checks(view(status=status(freshness={**FRESH, "loaded_unknown": True}))),
        "empty": health.checks(view(status=status(batches=dict.fromkeys(ahead)))),
        "first": health.checks(
            view(status=status(batches={**ahead, "loaded": None}, open={"rejected": 1, "pending": 1}))
        ),
    }
    whole, alarms = Problem(GOOD, "Whole", "no row is missing"), Problem(GOOD, "Alarms", "all quiet")
    assert found == {
        "well": (whole, alarms, Problem(GOOD, "Waiting", "no batch")),
        "open": (
            Problem(WARNING, "Whole", "1,200 rejected, 3 pending"),
            Problem(WARNING, "Alarms", "none is declared"),
            Problem(GOOD, "Waiting", "2 batches"),
        ),
        "bad": (
            Problem(BAD, "Whole", "2 differences from the declaration"),
            Problem(BAD, "Alarms", "1 of 4 raised"),
            Problem(GOOD, "Waiting", "no batch"),
        ),
        "none": (Problem(UNKNOWN, "Whole", "not known"), alarms, Problem(UNKNOWN, "Waiting", "not known")),
        "empty": (whole, alarms, Problem(GOOD, "Waiting", "no batch")),
        "first": (
            Problem(WARNING, "Whole", "1 rejected, 1 pending"),
            alarms,
            Problem(GOOD, "Waiting", "5 batches"),
        ),
    }
    assert health.checks(view(status="down")) == ()


def test_alarms_are_listed_with_the_raised_ones_first():
    given = [
        {"name": name, "state": state, "since": "2026-03-04 11:00:00Z", "reason": "r"}
        for name, state in (("a", "OK"), ("b", "INSUFFICIENT_DATA"), ("c", "ALARM"), ("d", "OK"))
    ]
    shown = of(health.sections(view(status=status(alarms=given))))["alarms"].shown["alarms"]
    assert shown == [
        {"name": "c", "state": BAD, "word": "raised", "since": "11:00:00", "reason": "r"},
        {"name": "a", "state": GOOD, "word": "quiet", "since": "11:00:00", "reason": "r"},
        {"name": "b", "state": UNKNOWN, "word": "no data yet", "since": "11:00:00", "reason": "r"},
        {"name": "d", "state": GOOD, "word": "quiet", "since": "11:00:00", "reason": "r"},
    ]


def test_steps_have_their_last_batch_and_its_age():
    coming = {**STATUS["batches"], "loaded": 2, "transformed": None, "extracted": 99}
    assert health.steps(view(status=status(batches=coming))) == [
        {"step": "extracted", "batch": "99", "at": DASH, "ago": ""},
        {"step": "transformed", "batch": "none", "at": DASH, "ago": ""},
        {"step": "loaded", "batch": "2", "at": "11:22:30", "ago": "38 min ago"},
    ]
    assert [step["at"] for step in health.steps(view())] == ["11:30:00", "11:30:06", "11:32:30"]


def test_problems_are_sorted_with_the_worst_first():
    found = health.problems(
        view(
            status=status(
                open={"rejected": 1, "pending": 0},
                differences=["x is missing"],
                failed_events=None,
                subscriptions=[
                    {"address": "a", "state": "not confirmed"},
                    {"address": "b", "state": "not subscribed"},
                    {"address": "c", "state": "confirmed"},
                ],
            ),
            batches="no answer",
        )
    )
    assert [(each.state, each.title, each.detail, each.since) for each in found] == [
        (BAD, "The warehouse differs from its declaration", "x is missing", ""),
        (UNKNOWN, "The batches cannot be read", "no answer", ""),
        (WARNING, "Rows are kept out of the warehouse", "1 rejected row, 0 pending", ""),
        (
            WARNING,
            "a gets no alerts: not confirmed",
            "AWS sent it a link to confirm the subscription, and waits for that. Is it in the spam folder?",
            "",
        ),
        (WARNING, "b gets no alerts: not subscribed", "It is declared, and not subscribed.", ""),
    ]


def test_unknown_freshness_names_its_tables_together():
    document = promised("unknown", None)
    first = document["freshness"]["promise"]["tables"][0]
    tables = [
        {**first, "table": "a", "problem": "locked."},
        {**first, "table": "b", "problem": None},
        {**first, "table": "c", "problem": "locked."},
        {**first, "table": "d", "state": "late", "seconds_behind": 2000.0, "changed": False},
        {**first, "table": "e", "state": "fresh"},
    ]
    document["freshness"]["promise"] |= {"tables": tables, "checked_at": "2026-03-04T11:00:00.000Z"}
    helps = ("lambda-script logs freshness",)
    assert health.problems(view(status=document)) == (
        Problem(BAD, "d is late", "33 min 20 s behind, promised within 30 min", commands=helps),
        Problem(UNKNOWN, "Freshness of a, c is not known", "locked.", commands=helps),
        Problem(UNKNOWN, "Freshness of b is not known", "It was not checked since 11:00:00.", commands=helps),
    )
    document["freshness"]["promise"]["problem"] = "No way."
    assert health.problems(view(status=document)) == (
        Problem(UNKNOWN, "Freshness is not known", "No way.", commands=helps),
    )
    assert health.verdict(view(status=document)).sentence == "No way."
    missing = [{**STATUS["functions"][0], "version": None}]
    assert len(health.problems(view(status={**document, "functions": missing}))) == 1, "it is not deployed"


def test_silent_warehouse_names_its_log():
    unknown = {**FRESH, "loaded_unknown": True, "summary": "No answer."}
    [found] = health.problems(view(status=status(freshness=unknown)))
    commands = ("lambda-script logs load --since 1h",)
    assert found == Problem(UNKNOWN, "The warehouse does not answer", "No answer.", commands=commands)


@pytest.mark.parametrize(("behind", "word"), [(1800.0, "Fresh"), (1800.1, "Late")])
def test_promise_is_kept_to_its_last_second(behind, word):
    assert health.verdict(view(status=status(freshness={**FRESH, "lag_seconds": behind}))).word == word


def test_warehouse_without_a_promise_is_never_late():
    nothing = {**FRESH, "fresh_within_seconds": None, "lag_seconds": 90_000.0, "promise": None}
    found = health.verdict(view(status=status(freshness=nothing)))
    assert (found.word, found.sentence) == ("Fresh", "1 d 1 h behind")


# ------------------------------------------------------------------------------------------------- pipeline and deploy


def test_row_of_a_batch_has_every_value():
    newest = {**BATCHES["batches"][0], "still_waiting": 1000}
    shown = of(pipeline.sections(view({"batch": "3"}, batches={**BATCHES, "batches": [newest]})))["batches"].shown
    assert shown["batches"] == [
        {
            "batch": 3,
            "state": WARNING,
            "word": "loaded",
            "extracted_at": "11:30:00",
            "transformed_at": "11:30:06",
            "loaded_at": "11:32:30",
            "rows": "21",
            "versions": "21",
            "kept": "1,000",
            "total": "2 min 30 s",
            "latency": "3 min 10 s",
            "chosen": True,
        }
    ]


def test_tables_have_rows_versions_and_what_is_not_exact():
    first, missing = TABLES["tables"]
    given = [
        first,
        {**first, "exact": False, "present": None},
        {**first, "versioned": False, "present": None},
        {**first, "present": 0, "rows": 0},
        {**missing, "versioned": True},
    ]
    shown = pipeline.tables(view(tables={"tables": given}))
    assert [(each["present"], each["versions"]) for each in shown] == [
        ("16,028", "16,067"),
        ("about 16,067", "about 16,067"),
        ("16,067", ""),
        ("0", "0"),
        ("missing", ""),
    ]
    assert shown[0] == {**shown[0], "table": "fact_payment", "kind": "fact", "problem": ""}
    assert shown[-1]["problem"] == "The warehouse has no table dim_staff."


def test_promise_at_its_limit_is_kept_by_a_batch():
    def state(seconds: float) -> Any:
        batch = {**BATCHES["batches"][0], "latency": {**BATCHES["batches"][0]["latency"], "p99": seconds}}
        rows = of(pipeline.sections(view(batches={**BATCHES, "batches": [batch]})))["batches"].shown["batches"]
        return rows[0]["state"], rows[0]["word"]

    assert [state(1800.0), state(1800.5)] == [(GOOD, "loaded"), (BAD, "late")]
    bare = View({"batches": Reading(BATCHES)}, view().now, view().command)
    assert pipeline._row(bare, BATCHES["batches"][0])["state"] == GOOD, "nothing is promised"
    assert pipeline._row(bare, {**BATCHES["batches"][0], "loaded_at": None, "latency": None})["state"] == WORKING


def test_latency_of_the_lines_is_never_below_the_axis():
    quick = {"median": 0.2, "p99": 0.9, "worst": 0.95, "at_most": True}
    batches = [{**batch, "latency": quick} for batch in BATCHES["batches"]]
    bare = View({"batches": Reading({**BATCHES, "batches": batches})}, view().now, view().command)
    chart = of(pipeline.sections(bare))["latency"].shown["chart"]
    assert chart.rows == tuple((str(number), "1 s", "1 s") for number in (1, 2, 3))
    assert chart.description == (
        "From commit to commit in 3 batches: the slowest took 0.9 s (at most, as the source keeps no times of commits)."
    )
    assert (chart.title, chart.columns) == ("Latency", ("batch", "slowest of 100", "half of them"))


def test_only_the_last_batches_are_drawn_and_listed():
    batches = [{**BATCHES["batches"][0], "batch": number} for number in range(30, 0, -1)]
    shown = of(pipeline.sections(view(batches={**BATCHES, "batches": batches})))
    assert [row[0] for row in shown["durations"].shown["chart"].rows] == [f"batch {n}" for n in range(30, 22, -1)]
    assert [row["batch"] for row in shown["batches"].shown["batches"]] == list(range(30, 10, -1))
    assert shown["durations"].shown["chart"].columns == ("batch", "extract", "transform", "load")


def test_plan_is_drift_with_its_signs():
    changes = [{"action": action, "name": action} for action in ("create", "update", "delete", "other")]
    found = deployment.drift(view(plan={"changes": changes, "notes": ["look"]}))
    assert [change["sign"] for change in found["changes"]] == ["+", "~", "-", ""]
    assert (found["known"], found["state"], found["notes"]) == (True, WARNING, ["look"])
    assert found["commands"] == ["lambda-script plan", "lambda-script"]
    same = deployment.drift(view(plan={"changes": []}))
    assert (same["known"], same["state"], same["commands"]) == (True, GOOD, ["lambda-script plan"])
    unread = deployment.drift(view(plan="down"))
    assert (unread["known"], unread["state"], unread["changes"], unread["notes"]) == (False, UNKNOWN, [], [])
