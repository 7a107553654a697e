"""What each page shows of which documents, and that every template shows it."""

from __future__ import annotations

import re

import pytest
from jinja2 import UndefinedError

from lambda_toolkit.pipeline.dashboard import rendering, server
from lambda_toolkit.pipeline.dashboard.pages import deployment, health, pipeline, warehouse
from lambda_toolkit.pipeline.dashboard.pages.model import BAD, GOOD, WARNING, WORKING, Page, Section
from tests.unit.dashboard.documents import (
    BATCHES,
    FRAME,
    HISTORY,
    NOW,
    STATUS,
    TABLES,
    UNREACHABLE,
    html,
    question,
    status,
    text,
    view,
)

# ------------------------------------------------------------------------------------------------------------ pipeline


def test_latency_is_drawn_against_the_promise():
    found = {section.id: section for section in pipeline.sections(view(tables=TABLES))}
    chart = found["latency"].shown["chart"]
    slowest = ("2 min 50 s", "3 min", "3 min 10 s")
    assert chart.rows == tuple((str(at + 1), slow, "2 min 31 s", "30 min") for at, slow in enumerate(slowest))
    assert chart.legend == ("slowest of 100", "half of them", "promise")
    assert "the slowest took 3 min 10 s; the promise is 30 min" in chart.description
    durations = found["durations"].shown["chart"]
    assert durations.rows[0] == ("batch 3", "2 s", "4 s", "2 min 24 s")
    assert "<script" not in chart.wide and "style=" not in chart.wide, "refused by the policy of the page"


def test_latency_that_is_not_known_is_not_drawn():
    first = {**BATCHES, "batches": [{**BATCHES["batches"][2], "latency": None, "commits": None}]}
    shown = text("pipeline", view(batches=first, tables=TABLES))
    assert "Not known yet: a first batch has every row" in shown and "2 min 24 s" in shown


def test_batches_are_shown_newest_first_with_their_rows():
    newest, middle, oldest = BATCHES["batches"]
    late = {**oldest, "latency": {**oldest["latency"], "p99": 2400.0, "at_most": True}}
    kept = {**middle, "still_rejected": 2, "still_waiting": 1}
    nothing = {"transformed_at": None, "loaded_at": None, "latency": None, "written": {}, "versions": 0}
    seconds = {**newest["seconds"], "transform": None, "load": None, "total": None}
    coming = {**newest, "batch": 4, "state": "extracted", **nothing, "seconds": seconds}
    of = view(batches={**BATCHES, "batches": [coming, newest, kept, late]}, tables=TABLES)
    rows = next(section for section in pipeline.sections(of) if section.id == "batches").shown["batches"]
    shown = [(row["batch"], row["state"], row["word"], row["rows"], row["kept"], row["latency"]) for row in rows]
    assert shown == [
        (4, WORKING, "extracted", "21", "", "\N{EN DASH}"),
        (3, GOOD, "loaded", "21", "", "3 min 10 s"),
        (2, WARNING, "loaded", "14", "3", "3 min"),
        (1, BAD, "late", "7", "", "< 40 min"),
    ]
    assert "16,028" in text("pipeline", of) and "16,067" in text("pipeline", of) and "missing" in text("pipeline", of)


def test_batches_are_shown_where_the_warehouse_does_not_answer():
    unknown = [{**batch, "state": "transformed", "loaded_at": None, "latency": None} for batch in BATCHES["batches"]]
    shown = text("pipeline", view(batches={**BATCHES, "problem": UNREACHABLE, "batches": unknown}, tables=TABLES))
    assert UNREACHABLE in shown and "transformed 11:30:00" in shown


def test_one_batch_has_its_rows_and_log_lines():
    line = {"timestamp": 1772622001234, "function": "load", "level": "ERROR", "message": "<b>no</b>", "runtime": False}
    ends = {**line, "runtime": True, "message": "END RequestId"}
    one = {**BATCHES, "batches": [BATCHES["batches"][0]], "lines": [line, ends]}
    of = view({"batch": "3"}, batch=one, tables=TABLES)
    shown = html("pipeline", of)
    assert "&lt;b&gt;no&lt;/b&gt;" in shown and "11:00:01.234" in shown and "END RequestId" not in shown
    assert "fact_payment <strong>21</strong>" in shown and "deleted <strong>3</strong>" in shown
    assert "3 transactions of the source, committed from 11:03:00 to 11:03:59" in text("pipeline", of)
    assert "There is no batch 9." in text("pipeline", view({"batch": "9"}, batch="There is no batch 9.", tables=TABLES))


# ----------------------------------------------------------------------------------------------------------- warehouse


def test_versions_are_side_by_side_with_changes_marked():
    found = warehouse.history(view(history=HISTORY))
    assert [head["record"] for head in found["heads"]] == ["7", "19"]
    assert [(row["column"], [cell["text"] for cell in row["cells"]]) for row in found["rows"]] == [
        ("paid", ["no", "yes"]),
        ("payment_id", ["7", "7"]),
        ("amount", ["12.50", "12.50"]),
    ]
    assert [cell["changed"] for cell in found["rows"][0]["cells"]] == [False, True]
    shown = html("warehouse", view(history=HISTORY, tables=TABLES, questions={"file": None, "questions": []}))
    assert shown.count("<mark>") == 1 and "(changed)" in shown and "docs/questions.sql" in shown


def test_deleted_row_says_when():
    first, second = HISTORY["versions"]
    ends = [f"2026-03-04T11:{minute}:00+00:00" for minute in (10, 20, 59)]
    ended = [{**version, "valid_to": end} for version, end in zip((first, second, first), ends, strict=True)]
    assert warehouse.history(view(history={**HISTORY, "versions": ended}))["deleted"] == "11:59:00"


@pytest.mark.parametrize(
    ("asked", "labels", "series"),
    [
        (
            question(
                {"day": "date32[day]", "currency_code": "string", "revenue": "decimal128(38, 2)"},
                ["2026-03-02", "GBP", "5.00"],
                ["2026-03-01", "USD", "2.00"],
                ["2026-03-01", "GBP", "3.00"],
            ),
            ["2026-03-01", "2026-03-02"],
            {"GBP": ("3", "5"), "USD": ("2", "\N{EN DASH}")},
        ),
        (
            question({"first_name": "string", "orders": "int64", "average": "double"}, ["Ada", 9, 1.5], ["Bo", 3, 2.5]),
            ["Ada", "Bo"],
            {"orders": ("9", "3")},
        ),
        (question({"order_id": "int32", "versions": "int64"}, [7, 3], [2, 2]), ["7", "2"], {"versions": ("3", "2")}),
        (
            question(
                {"kind": "string", "payments": "int64", "due": "int32", "paid": "int32"}, ["a", 1, 2, 3], ["b", 4, 5, 6]
            ),
            ["a", "b"],
            {"due": ("2", "5"), "paid": ("3", "6")},
        ),
    ],
)
def test_answer_is_drawn_by_types_and_order(asked, labels, series):
    chart = warehouse.chart_of(asked)
    assert chart and [row[0] for row in chart.rows] == labels
    assert dict(zip(chart.columns[1:], zip(*(row[1:] for row in chart.rows), strict=True), strict=True)) == series


@pytest.mark.parametrize(
    "asked",
    [
        question({"name": "string", "city": "string"}, ["a", "b"], ["c", "d"]),
        question({"year": "int32", "quarter": "int32", "units": "int64"}, [2025, 4, 7], [2026, 1, 9]),
        question({"name": "string", "orders": "int64"}, ["a", 1]),
        question({"name": "string", "orders": "int64"}),
    ],
)
def test_answer_without_a_picture_is_a_table(asked):
    assert warehouse.chart_of(asked) is None
    shown = text("warehouse", view(history=HISTORY, tables=TABLES, questions={"file": "x", "questions": [asked]}))
    assert "2,025" not in shown and "SELECT 1 &lt; 2;" in shown


def test_cost_and_drift_are_shown_with_their_commands():
    cost = {
        "total": "9.6775",
        "total_beyond_free": "3.7704",
        "so_far": None,
        "dominates": {"CloudWatch": "41%"},
        "savings": [{"change": "arm64 instead of x86_64", "amount": "0.3854"}],
        "assumptions": ["AWS was not asked"],
    }
    difference = {"attribute": "memory", "live": None, "desired": "1024"}
    change = {"action": "update", "kind": "function", "name": "x", "differences": [difference], "details": []}
    shown = text("deploy", view(plan={"changes": [change], "notes": ["look"]}, cost=cost))
    assert "$9.68" in shown and "$3.77" in shown and "arm64 instead of x86_64 $0.39" in shown
    assert "A deploy would make 1 change." in shown and "memory : absent \N{RIGHTWARDS ARROW} 1024" in shown
    assert "lambda-script plan lambda-script" in shown and "lambda-script cost" in shown
    same = text("deploy", view(plan={"changes": [], "notes": []}, cost="The prices of x are not known."))
    assert "Nothing would change" in same and "The prices of x are not known." in same


def test_question_without_an_answer_says_why():
    asked = question({}, error="The warehouse refuses the query: relation is missing.")
    shown = text("warehouse", view(history=HISTORY, tables=TABLES, questions={"file": "x", "questions": [asked]}))
    assert "relation is missing" in shown and "fact_payment" in shown


# ------------------------------------------------------------------------------------------------------------ all pages


@pytest.mark.parametrize("kind", server.KINDS, ids=lambda kind: kind.name)
def test_page_without_any_document_says_why(kind):
    """Where nothing can be read, each section says so once, and nothing raises."""
    asked = {request[0]: UNREACHABLE for request in kind.requests({"batch": "1"})}
    shown = text(kind.name, view({"batch": "1"}, **asked))
    assert UNREACHABLE in shown and "Unknown" in shown


@pytest.mark.parametrize("name", [kind.name for kind in server.KINDS])
def test_values_are_never_markup(name):
    """Names and values of a source are whatever its users wrote."""
    evil = "<script>alert(1)</script>"
    functions = [{**STATUS["functions"][0], "name": evil, "runtime": evil}]
    history = {**HISTORY, "table": evil, "key": evil, "last_changed": [{"key": evil, "versions": 2}]}
    answer = question({evil: "string", "n": "int64"}, [evil, 2], [f"{evil}2", 1])
    plan = {
        "changes": [{"action": "update", "kind": evil, "name": evil, "differences": [], "details": [evil]}],
        "notes": [evil],
    }
    shown = html(
        name,
        view(
            {"key": evil, "batch": "1"},
            status=status(functions=functions, differences=[evil]),
            history=history,
            questions={"file": evil, "questions": [{**answer, "question": evil}]},
            tables={"tables": [{**TABLES["tables"][0], "table": evil}]},
            plan=plan,
            cost=evil,
            batch={**BATCHES, "batches": [{**BATCHES["batches"][0], "written": {evil: 1}}], "lines": []},
        ),
    )
    assert "alert(1)" in shown and evil not in shown


@pytest.mark.parametrize(
    ("kind", "own", "parameters", "query"),
    [
        (server.KINDS[0], "", {}, ""),
        (server.KINDS[1], "pipeline", {"batch": "3"}, "batch=3&amp;"),
        (server.KINDS[2], "warehouse", {"table": "t", "key": "a&b"}, "table=t&amp;key=a%26b&amp;"),
    ],
)
def test_page_links_to_itself_and_to_the_others(kind, own, parameters, query):
    """As JSON, and as the events that keep it new: both with the parameters of its address."""
    found = html(kind.name, view(parameters, history=HISTORY, tables=TABLES, questions={}, batch="x"))
    events = f"page={kind.name}&amp;{query}".removesuffix("&amp;")
    assert f'<body data-events="/key/events?{events}">' in found
    assert f'<a href="/key/{own}?{query}format=json">This page as JSON</a>' in found
    links = re.findall(r'<a href="([^"]*)"( aria-current="page")?>([^<]*)</a></li>', found.partition("</nav>")[0])
    assert [(link, title) for link, _, title in links] == [
        *(
            ("/key/", "Health"),
            ("/key/pipeline", "Pipeline"),
            ("/key/warehouse", "Warehouse"),
            ("/key/deploy", "Deploy"),
        ),
    ]
    assert [link for link, current, _ in links if current] == [f"/key/{own}"]
    assert re.findall(r'<span class="stage">(\w+)</span>', found) == ["dev"] and "12:00:00" in found


def test_address_of_a_page_stays():
    """Who keeps an address finds the page again, and programs its documents."""
    kinds = (health.HEALTH, pipeline.PIPELINE, warehouse.WAREHOUSE, deployment.DEPLOY)
    assert kinds == server.KINDS
    titles = {"health": "Health", "pipeline": "Pipeline", "warehouse": "Warehouse", "deploy": "Deploy"}
    assert {kind.name: kind.title for kind in kinds} == titles


def test_empty_section_says_why_and_has_a_digest():
    """What it says, its title and its problem are in the digest: each of them is a change of the page."""
    kind = server.KINDS[1]
    verdict = health.verdict(view())

    def section(**changed: object) -> rendering.Fragment:
        given = {"id": "i", "title": "T", "macro": "tables", "shown": {"tables": []}, **changed}
        page = Page(kind.name, kind.title, verdict, (Section(**given),))
        return rendering.fragments(page, FRAME)[1]

    plain, empty, problem = section(), section(nothing="None <yet>."), section(problem="Down.", nothing="None yet.")
    filled = section(shown={"tables": pipeline.tables(view(tables=TABLES))}, nothing="None yet.")
    for each in (plain, empty, problem, filled):
        assert each.id == "i" and f'data-digest="{each.digest}"' in each.html
    said = [" ".join(re.sub(r"<[^>]+>", " ", each.html).split()) for each in (plain, empty, problem, filled)]
    assert said[:3] == ["T", "T None &lt;yet&gt;.", "T ? Not read Down."] and "fact_payment" in said[3]
    assert len({each.digest for each in (plain, empty, problem, filled, section(title="U"))}) == 5


def test_template_with_an_unknown_name_fails():
    with pytest.raises(UndefinedError):
        rendering._templates().from_string("{{ nothing }}").render()


def test_same_documents_give_the_same_fragments():
    """Else a page that is open would replace what did not change."""
    kind = server.KINDS[1]

    def digests() -> list[tuple[str, str]]:
        of = view(tables=TABLES)
        page = Page(kind.name, kind.title, health.verdict(of), kind.sections(of))
        return [(each.id, each.digest) for each in rendering.fragments(page, FRAME)]

    assert digests() == digests() and len({digest for _, digest in digests()}) == len(digests())
    assert NOW.tzinfo is not None
