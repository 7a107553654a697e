"""The page Deploy, value by value: the functions, what a month costs, and who is alerted."""

from __future__ import annotations

from typing import Any

from lambda_toolkit.pipeline.dashboard.pages import deployment
from lambda_toolkit.pipeline.dashboard.pages.model import BAD, GOOD, WARNING
from tests.unit.dashboard.documents import STATUS, status, text, view

DASH = "\N{EN DASH}"


def shown(name: str, **documents: Any) -> Any:
    """What the section ``name`` is given to show."""
    return next(each.shown for each in deployment.sections(view(**documents)) if each.id == name)


def test_functions_have_their_state_and_their_runs() -> None:
    live = STATUS["functions"][0]
    ran = {**live, "last_run": "2026-03-04T11:55:00Z", "last_failed": True, "next_run": "2026-03-05T00:00:00Z"}
    none = {**live, "version": None, "state": "Not deployed", "last_deployed": "2026-03-01 08:00:00Z"}
    found = shown("functions", status=status(functions=[ran, none]))["functions"]
    more = {"word": "active", "ok": GOOD, "released": "2026-03-01 08:00"}
    assert found == [
        {**ran, **more, "ran": "11:55:00", "failed": True, "next": "2026-03-05 00:00"},
        {**none, "word": "not deployed", "ok": BAD, "released": DASH, "ran": DASH, "failed": False, "next": DASH},
    ]
    assert shown("functions", status="down") == {"functions": []}


def test_addresses_are_marked_until_they_are_confirmed() -> None:
    given = [{"address": name, "state": name} for name in ("confirmed", "not confirmed")]
    found = shown("recipients", status=status(subscriptions=given))["recipients"]
    assert found == [{**given[0], "ok": GOOD}, {**given[1], "ok": WARNING}]
    assert shown("recipients", status="down") == {"recipients": []}
    assert "No address is declared, or nothing is deployed." in text(
        "deploy", view(status=status(subscriptions=[]), cost="x")
    )


def test_cost_is_in_dollars_with_what_it_assumes() -> None:
    cost: dict[str, Any] = {
        "total": "1234.567",
        "total_beyond_free": "0.004",
        "so_far": "0.5",
        "dominates": {"CloudWatch": "41%", "S3": "9%"},
        "savings": [{"change": "arm64", "amount": "12"}],
        "assumptions": ["the first", "another"],
    }
    expected = {
        "total": "$1,234.57",
        "beyond_free": "$0.00",
        "so_far": "$0.50",
        "services": [("CloudWatch", "41%"), ("S3", "9%")],
        "savings": [("arm64", "$12.00")],
        "note": "the first",
        "commands": ["lambda-script cost"],
    }
    assert shown("cost", cost=cost) == expected
    assert shown("cost", cost={**cost, "so_far": None, "assumptions": []}) == {**expected, "so_far": "", "note": ""}
    assert shown("cost", cost="down") == {}


def test_change_that_is_planned_has_all_its_parts() -> None:
    change = {"action": "delete", "kind": "topic", "name": "t", "differences": [], "details": ["d"]}
    found = shown("drift", plan={"changes": [change] * 2})
    assert found["changes"] == [{**change, "sign": "-"}] * 2 and found["notes"] == []
    assert found["summary"] == "A deploy would make 2 changes."
    assert "- delete topic t d" in text("deploy", view(plan={"changes": [change]}, cost="x"))
