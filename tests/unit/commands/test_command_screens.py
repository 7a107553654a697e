"""What commands show of a document: every cell, as a person reads it."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.commands import backfill, batches, cost
from lambda_toolkit.pipeline.commands.local import business_day, own_database
from lambda_toolkit.pipeline.commands.shared.screen import Screen, counted, duration
from lambda_toolkit.pipeline.local_stack.independent_check import Check, TableCheck
from lambda_toolkit.pipeline.local_stack.source_comparison import Comparison

BATCH: dict[str, Any] = {
    "batch": 1002,
    "mode": "changes",
    "state": "loaded",
    "extracted_at": "2026-01-02T03:04:05.678Z",
    "transformed_at": "2026-01-02T03:04:17.000Z",
    "loaded_at": "2026-01-02T03:05:00.000Z",
    "rows": 1500,
    "deleted": 12,
    "versions": 1498,
    "rejected": 5,
    "still_rejected": 1,
    "still_waiting": 3,
    "tables": {"staff": {"rows": 1, "deleted": 2}, "payment": {"rows": 1499, "deleted": 10}},
    "written": {"fact_payment": 1497, "dim_staff": 1},
    "seconds": {"extract": 2.31, "transform": 9.96, "load": 43.4, "total": 55.6},
    "commits": {"transactions": 1, "first": "2026-01-02T03:03:00.000Z", "last": "2026-01-02T03:03:30.000Z"},
    "latency": {"median": 61.0, "p99": 121.0, "worst": 122.0, "at_most": False},
}
EXTRACTED: dict[str, Any] = {
    **BATCH,
    "batch": 1003,
    "state": "extracted",
    "transformed_at": None,
    "loaded_at": None,
    "rejected": 0,
    "still_rejected": 0,
    "still_waiting": 0,
    "seconds": {"extract": None, "transform": None, "load": None, "total": None},
    "commits": None,
    "latency": None,
}
BOUND = {"median": 3.14, "p99": 7199.0, "worst": 7200.0, "at_most": True}


def lines(text: str) -> list[str]:
    """The lines, with those of a table as its cells and without its rules."""
    shown = (line.replace("┃", "│").rstrip() for line in text.splitlines())
    return [line for line in shown if not line or line[0] not in "┏┡└├"]


def document(agrees: bool) -> Comparison:
    """A comparison of two tables."""
    same = TableCheck("dim_staff", 2, 2, None, 0, ())
    other = TableCheck("fact_payment", 2001, 2000, 2500, 0 if agrees else 1, () if agrees else ("payment_id 7",))
    return Comparison((same, other), ("staff.photo, of type bytea",))


def request(as_json: bool = False) -> Any:
    return SimpleNamespace(
        screen=Screen(as_json=as_json), target=lambda: SimpleNamespace(pipeline=SimpleNamespace(name="totes"))
    )


COST: dict[str, Any] = {
    "region": "eu-west-2",
    "lines": [
        {"service": "S3", "item": "storage", "quantity": "0.5000", "price": "0.024", "amount": "0.0120"},
        {"service": "Lambda", "item": "time", "quantity": "12345.6", "price": "0.0000166667", "amount": "0.2057"},
        {"service": "SNS", "item": "emails", "quantity": "9.9996", "price": "0.00002", "amount": "0.0002"},
        {"service": "KMS", "item": "keys", "quantity": "2.0000", "price": "1", "amount": "1234.5"},
    ],
    "total": "1234.7179",
    "total_beyond_free": "1234.0000",
    "so_far": "7.5",
    "dominates": {"KMS": "99%", "Lambda": "1%"},
    "savings": [{"change": "memory 512", "amount": "1.5"}],
    "assumptions": ["batches: assumed"],
    "prices": {"estimated": False, "read": "2026-01-01"},
    "measured": {"load": {"runs": 1200}, "extract": {"runs": 34}},
}
for _line, _rest in zip(COST["lines"], ("0.01", "0", "0.0002", "1233.99"), strict=True):
    _line["amount_beyond_free"] = _rest
PLAN: dict[str, Any] = {
    "region": "eu-west-2",
    "tables": [{"name": "sales", "rows": 2_000_000, "row_bytes": 99.6, "bytes": 2.5e9, "pages": 300_000}],
    "ways": [
        {"engine": "one", "readers": None, "problem": "it takes 3 h", "source_busy": 0.256, "amount": "0.001"},
        {"engine": "glue", "readers": 8, "problem": None, "source_busy": 1.0, "amount": "12.5"},
    ],
    "take": "glue",
    "why": "It is quickest.",
    "declare": ["[backfill]", 'engine = "glue"'],
    "simulated": {"table": "sales", "ranges": 4000, "runs": 40, "median": 130.0, "likely": 200.0},
    "assumptions": ["4 cores"],
    "prices": {"estimated": True, "read": "2026-01-01"},
    "measured": "2026-02-02",
}
for _way in PLAN["ways"]:
    _way |= {"reading": 60.0, "transform": 121.0, "load": 7201.0, "total": 1.25, "requests": 1500}


def test_batches_are_a_line_each(capsys) -> None:
    found = [EXTRACTED, {**BATCH, "latency": BOUND}]
    batches._show(Screen(), {"batches": found, "latency": BOUND})
    assert lines(capsys.readouterr().out)[:5] == [
        "The last 2 batches",
        "│ batch │ extracted      │  rows │ versions │ open │    e/t/l, s │     latency │",
        "│  1003 │ 01-02 03:04:05 │ 1,512 │    1,498 │    0 │       -/-/- │ (extracted) │",
        "│  1002 │ 01-02 03:04:05 │ 1,512 │    1,498 │    4 │ 2.3/10.0/43 │    <120 min │",
        "From commit to commit: at most 3.1 s (median), 120 min (99 %), 2 h (worst).",
    ]


def test_single_batch_has_no_bound_and_may_have_no_latency(capsys) -> None:
    batches._show(Screen(), {"batches": [{**BATCH, "latency": None}], "latency": None})
    batches._show(Screen(), {"batches": [{**BATCH, "seconds": {**BATCH["seconds"], "load": 10.0}}], "latency": None})
    batches._show(Screen(), {"batches": [], "latency": None})
    shown = lines(capsys.readouterr().out)
    assert [line for line in shown if line[0] in "│TN" and "Times" not in line] == [
        "The last batch",
        "│ batch │ extracted      │  rows │ versions │ open │    e/t/l, s │ latency │",
        "│  1002 │ 01-02 03:04:05 │ 1,512 │    1,498 │    4 │ 2.3/10.0/43 │         │",
        "The last batch",
        "│ batch │ extracted      │  rows │ versions │ open │    e/t/l, s │ latency │",
        "│  1002 │ 01-02 03:04:05 │ 1,512 │    1,498 │    4 │ 2.3/10.0/10 │   2 min │",
        "Nothing was extracted yet: python deploy.py run",
    ]
    assert not any("From commit" in line for line in shown)


def test_one_batch_is_shown_by_table(capsys) -> None:
    batches._show_one(Screen(), BATCH)
    assert lines(capsys.readouterr().out) == [
        "Batch 1002 is loaded.",
        "  extracted    2026-01-02T03:04:05.678Z  (2.3 s until extract was done)",
        "  transformed  2026-01-02T03:04:17.000Z  (10 s until transform was done)",
        "  loaded       2026-01-02T03:05:00.000Z  (43 s until load was done)",
        "  committed    2026-01-02T03:03:00.000Z to 2026-01-02T03:03:30.000Z, 1 transaction",
        "  latency      2 min of the slowest of 100 transactions",
        "  open         1 rejected row, 3 waiting (5 were rejected at first)",
        "Changed in the source",
        "│ table   │  rows │ deleted │",
        "│ payment │ 1,499 │      10 │",
        "│ staff   │     1 │       2 │",
        "Written to the warehouse",
        "│ table        │  rows │",
        "│ dim_staff    │     1 │",
        "│ fact_payment │ 1,497 │",
    ]


def test_batch_that_is_only_extracted_says_no_more(capsys) -> None:
    batches._show_one(Screen(), {**EXTRACTED, "tables": {}, "written": {}})
    assert lines(capsys.readouterr().out) == [
        "Batch 1003 is extracted.",
        "  extracted    2026-01-02T03:04:05.678Z",
        "  open         0 rejected rows, 0 waiting (0 were rejected at first)",
        "Changed in the source",
        "│ table │ rows │ deleted │",
        "Written to the warehouse",
        "│ table │ rows │",
    ]


@pytest.mark.parametrize("agrees", [True, False])
def test_own_database_is_shown_beside_the_warehouse(capsys, agrees) -> None:
    own_database._show(Screen(), document(agrees), 1 if agrees else 2, 12.6)
    end = "2,002 rows in 2 tables, 0 differences, 1 batch, 13 s."
    last = "Rows that were rejected or wait for others are missing. Which, with --keep: python deploy.py rejected"
    assert lines(capsys.readouterr().out) == [
        "Source and warehouse",
        "│ table        │ source │ warehouse │ all versions │ differences │",
        "│ dim_staff    │      2 │         2 │              │           0 │",
        f"│ fact_payment │  2,001 │     2,000 │        2,500 │           {0 if agrees else 1} │",
        *([] if agrees else ["! fact_payment: payment_id 7"]),
        "Not compared: staff.photo, of type bytea.",
        f"Source and warehouse agree: {end}"
        if agrees
        else "Source and warehouse DIFFER: 2,002 rows in 2 tables, 1 difference, 2 batches, 13 s.",
        *([] if agrees else [last]),
    ]


def test_comparison_as_json_has_every_table(capsys) -> None:
    own_database._show(Screen(as_json=True), document(False), 2, 12.64)
    assert json.loads(capsys.readouterr().out) == {
        "agrees": False,
        "seconds": 12.6,
        "batches": 2,
        "tables": [
            {**dataclasses.asdict(document(False).tables[0]), "examples": []},
            {
                "table": "fact_payment",
                "source_rows": 2001,
                "warehouse_rows": 2000,
                "versions": 2500,
                "differences": 1,
                "examples": ["payment_id 7"],
            },
        ],
        "not_compared": ["staff.photo, of type bytea"],
    }


def test_main_job_as_json_agrees_only_if_both_checks_do() -> None:
    good, bad = Check((), ()), Check((), ("fact_payment.currency_id",))
    found = {
        (seeded.agrees, final.agrees): business_day.document(seeded, {"sales": 1}, final, 3, 61.26)
        for seeded in (good, bad)
        for final in (good, bad)
    }
    assert {key: each["agrees"] for key, each in found.items()} == {key: all(key) for key in found}
    assert found[True, False] == {
        "agrees": False,
        "seconds": 61.3,
        "batches": 3,
        "after_seed": {"tables": (), "unenforced": (), "agrees": True},
        "business_day": {"sales": 1},
        "after_business_day": {"tables": (), "unenforced": ("fact_payment.currency_id",), "agrees": False},
    }


def test_day_is_summed_up_by_kind() -> None:
    names = ("sales", "purchases", "corrected_sales", "corrected_purchases", "moved_designs", "paid")
    names += ("moved_departments", "corrected_addresses", "deleted_sales", "deleted_purchases")
    day = {name: 2**place for place, name in enumerate(names)}
    assert business_day.summary_of(day) == (
        "Simulated activity: 3 new orders, 32 payments paid, 28 corrections without a new last_updated, "
        "64 department moved, 128 address corrected, 768 orders deleted"
    )


class History:
    """A warehouse whose answer is given, and which counts how often it was closed."""

    def __init__(self, *rows: list[Any]) -> None:
        self.rows, self.closed = rows, 0

    def connect(self) -> Any:
        return SimpleNamespace(run=lambda query: list(self.rows), close=self.close)

    def close(self) -> None:
        self.closed += 1


def test_history_of_an_order_is_shown_unless_there_is_none(capsys) -> None:
    first = [11, 7, "2026-01-02 03:04:05", 3, 4, "2026-02-01", 5]
    warehouse: Any = History(first, [1012, 7, "2026-01-02 03:04:05", 3, 4, "2026-02-02", 6])
    business_day.show_history(Screen(), warehouse)
    assert lines(capsys.readouterr().out) == [
        "Order 7, every version: the source has the last one only",
        "│ record │ last_updated        │ staff │ design │ deliver by │ location │",
        "│ 11     │ 2026-01-02 03:04:05 │ 3     │ 4      │ 2026-02-01 │ 5        │",
        "│ 1,012  │ 2026-01-02 03:04:05 │ 3     │ 4      │ 2026-02-02 │ 6        │",
    ]
    nothing: Any = History()
    business_day.show_history(Screen(), nothing)
    assert (capsys.readouterr().out, warehouse.closed, nothing.closed) == ("", 1, 1)


def test_cost_is_an_item_on_each_line(capsys) -> None:
    cost._show(request(), COST)
    assert lines(capsys.readouterr().out) == [
        "A month of totes in eu-west-2, US dollars",
        "│ item        │ quantity │        price │    amount │ free tier │",
        "│ S3 storage  │    0.500 │        0.024 │     $0.01 │     $0.01 │",
        "│ Lambda time │   12,346 │ 0.0000166667 │     $0.21 │     $0.00 │",
        "│ SNS emails  │   10.000 │      0.00002 │    <$0.01 │    <$0.01 │",
        "│ KMS keys    │        2 │            1 │ $1,234.50 │ $1,233.99 │",
        "│ total       │          │              │ $1,234.72 │ $1,234.00 │",
        "Most of it: KMS 99%, Lambda 1%.",
        "This month until now: about $7.50.",
        "One change would save, each for itself:",
        "    $1.50  memory 512",
        "- batches: assumed",
        "- prices: AWS's list prices, read 2026-01-01",
        "- durations: 1,234 runs of the last week",
    ]


def test_cost_without_measurements_says_less(capsys) -> None:
    prices = {"estimated": True, "read": "2026-01-01"}
    nothing = {"so_far": None, "savings": [], "assumptions": [], "measured": {}, "prices": prices, "lines": []}
    cost._show(request(), {**COST, **nothing})
    assert lines(capsys.readouterr().out)[3:] == [
        "Most of it: KMS 99%, Lambda 1%.",
        "- prices: estimated from those of us-east-1, read 2026-01-01",
    ]


@pytest.mark.parametrize(
    ("value", "shown"), [("9.9994", "9.999"), ("10", "10"), ("10.4", "10"), ("9", "9"), ("0.0004", "0.000")]
)
def test_quantity_has_three_places_below_ten(value, shown) -> None:
    assert cost._quantity(cost.Decimal(value)) == shown


def test_plan_of_a_first_load_has_a_line_for_each_way(capsys) -> None:
    backfill._show(request(), PLAN)
    assert lines(capsys.readouterr().out) == [
        "What totes would read",
        "│ table │      rows │ bytes a row │ GB on disk │   pages │",
        "│ sales │ 2,000,000 │         100 │       2.50 │ 300,000 │",
        "A first load, in eu-west-2",
        "│ way               │ readers │ reading │ transform │ load │ together │ source busy │ requests │ US dollars │",
        "│ one, not possible │         │    60 s │     2 min │  2 h │    1.2 s │         26% │    1,500 │     <$0.01 │",
        "│ glue              │       8 │    60 s │     2 min │  2 h │    1.2 s │        100% │    1,500 │     $12.50 │",
        "one cannot be done: it takes 3 h.",
        "Take glue. It is quickest.",
        "  [backfill]",
        '  engine = "glue"',
        "Reading of sales in 4,000 ranges, simulated 40 times with slow and failed ranges: 2 min, and 19 of 20 times "
        "under 3 min.",
        "- 4 cores",
        "- rates measured 2026-02-02; prices: estimated from those of us-east-1, read 2026-01-01",
    ]
    assert "simulated" not in shown_without(capsys, simulated=None)
    assert "AWS's list prices, read" in shown_without(capsys, prices={"estimated": False, "read": "2026-01-01"})


def shown_without(capsys, **changed: Any) -> str:
    backfill._show(request(), {**PLAN, **changed})
    return str(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.95, "10 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (167_401, "47 h"),
        (172_799, "48 h"),
        (172_800, "2 days"),
        (86_400 * 1234.5 + 1, "1,235 days"),
    ],
)
def test_duration_is_short_and_as_exact_as_useful(seconds, shown) -> None:
    assert duration(seconds) == shown


def test_one_thing_is_singular_and_thousands_are_parted() -> None:
    assert [counted(number, "batch", "es") for number in (0, 1, 2000)] == ["0 batches", "1 batch", "2,000 batches"]
    assert counted(2, "row") == "2 rows"


def test_screen_is_silent_where_json_is_asked_for(capsys) -> None:
    screen = Screen(as_json=True)
    screen.say("a")
    screen.table("t", ["x"], [[1]])
    screen.pairs("p", [("a", "b")])
    screen.error("why")
    screen.line({"a": 1})
    shown = capsys.readouterr()
    assert shown.out == '{\n  "error": "why"\n}\n{"a": 1}\n'
    assert shown.err == "Error: why\n"


def test_screen_shows_no_json_to_people(capsys) -> None:
    screen = Screen()
    screen.document({"a": 1})
    screen.line({"a": 1})
    screen.pairs("Written", [("fact_payment", "2 rows"), ("dim", "1 row")])
    screen.table("", ["a", "b"], [[True, None], ["x" * 148, 1234]], right=["b"])
    shown = lines(capsys.readouterr().out)
    assert shown[:4] == ["Written:", "  fact_payment  2 rows", "  dim           1 row", ""]
    assert shown[5:] == [f"│ True{' ' * 144} │       │", f"│ {'x' * 148} │ 1,234 │"], "nothing is cut in a file"
