"""The page Pipeline, value by value: what is drawn of which batches, and everything about one of them."""

from __future__ import annotations

import re
from typing import Any

from lambda_toolkit.pipeline.dashboard.pages import pipeline
from lambda_toolkit.pipeline.dashboard.pages.model import GOOD, Section, View
from lambda_toolkit.pipeline.dashboard.readings import Reading
from tests.unit.dashboard.documents import BATCHES, NOW, text, view

DASH = "\N{EN DASH}"
NEWEST, MIDDLE, OLDEST = BATCHES["batches"]
COMING = {**NEWEST, "batch": 4, "state": "extracted", "loaded_at": None, "versions": 5}


def shown(*batches: dict[str, Any], **more: Any) -> dict[str, Section]:
    """The sections of a page with these batches, the newest first."""
    return {each.id: each for each in pipeline.sections(view(batches={**BATCHES, "batches": list(batches), **more}))}


def latency(batch: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {**batch, "latency": {**batch["latency"], **changed}}


def test_batch_that_is_not_loaded_is_listed_and_not_drawn() -> None:
    found = shown(COMING, NEWEST, OLDEST)
    assert [row[0] for row in found["durations"].shown["chart"].rows] == ["batch 3", "batch 1"]
    assert [row[0] for row in found["latency"].shown["chart"].rows] == ["1", "3"]
    rows = found["batches"].shown["batches"]
    assert [(row["batch"], row["versions"]) for row in rows] == [(4, DASH), (3, "21"), (1, "7")]
    found = shown(COMING)
    assert found["durations"].shown["chart"] is found["latency"].shown["chart"] is None
    said = text("pipeline", view(batches={**BATCHES, "batches": []}))
    assert "No batch is loaded yet." in said and "There is none yet." in said


def test_what_batches_lack_is_said_beside_what_they_have() -> None:
    """The document of a pipeline whose warehouse does not answer has batches, and the reason."""
    found = shown(NEWEST, problem="No answer.")
    with_reason = {name: each.problem for name, each in found.items()}
    drawn = dict.fromkeys(("latency", "durations", "batches"), "No answer.")
    assert with_reason == {"flow": None, **drawn, "tables": None}


def test_latency_says_the_worst_and_the_bound_of_the_newest() -> None:
    batches = [latency(NEWEST, worst=100.0, at_most=True), latency(MIDDLE, worst=250.0), latency(OLDEST, worst=90.0)]
    chart = shown(*batches)["latency"].shown["chart"]
    start = "From commit to commit in 3 batches: the slowest took 4 min 10 s"
    bound = " (at most, as the source keeps no times of commits)"
    assert chart.description == f"{start}{bound}; the promise is 30 min."
    exact = shown(latency(NEWEST, worst=250.0), latency(OLDEST, at_most=True), MIDDLE)["latency"].shown["chart"]
    assert exact.description == f"{start}; the promise is 30 min."


def test_latency_has_an_axis_of_whole_units() -> None:
    chart = shown(latency(NEWEST, p99=40 * 86_400.0))["latency"].shown["chart"]
    numbers = re.findall(r"<text[^>]*>([^<]+)</text>", chart.wide.partition('"axis x')[0])
    assert numbers == ["1 s", "10 s", "1 min", "10 min", "30 min", "1 h", "6 h", "1 d", "7 d", "30 d"]


def test_step_that_took_no_time_has_a_bar_of_none() -> None:
    first = {**OLDEST, "seconds": {"extract": None, "transform": 4.0, "load": None, "total": None}}
    found = shown(NEWEST, first)
    chart = found["durations"].shown["chart"]
    assert chart.rows == (("batch 3", "2 s", "4 s", "2 min 24 s"), ("batch 1", "0 s", "4 s", "0 s"))
    assert chart.title == "Durations"
    said = "How long the steps of the last 2 batches took, from the end of the step before."
    assert chart.description == said
    assert found["batches"].shown["batches"][1]["total"] == DASH


def test_one_batch_has_everything_about_it() -> None:
    line = {"timestamp": 1772622001004, "function": "load", "level": "INFO", "message": "m", "runtime": False}
    tables = {"payment": {"rows": 1200, "deleted": 0}, "staff": {"rows": 0, "deleted": 1001}}
    batch = {**NEWEST, "tables": tables, "written": {"fact_payment": 2100}}
    document = {"batches": [batch, OLDEST], "lines": [line, {**line, "runtime": True}]}
    of = View({"batch": Reading(document)}, NOW, lambda command: command, {"batch": "3"})
    found = {each.id: each for each in pipeline.sections(of)}["batch"].shown
    assert (found["row"]["batch"], found["row"]["state"], found["row"]["chosen"]) == (3, GOOD, True)
    del found["row"]
    assert found == {
        "found": True,
        "committed": "3 transactions of the source, committed from 11:03:00 to 11:03:59",
        "changed": [("payment", "1,200", ""), ("staff", "0", "1,001")],
        "written": [("fact_payment", "2,100")],
        "lines": [{**line, "time": "11:00:01.004"}],
    }
    of = View({"batch": Reading({**document, "batches": [{**batch, "commits": None}]})}, NOW, str, {})
    assert pipeline._one(of)["committed"] == "" and pipeline._one(of)["row"]["chosen"] is False
    unread = View({"batch": Reading(None, "down")}, NOW, str, {"batch": "3"})
    assert pipeline._one(unread) == {"found": False}
