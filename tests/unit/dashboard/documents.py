"""Documents as the commands give them, of a pipeline that is well, and pages made of them."""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from lambda_toolkit.pipeline.dashboard import rendering, server
from lambda_toolkit.pipeline.dashboard.pages import health
from lambda_toolkit.pipeline.dashboard.pages.model import Page, View
from lambda_toolkit.pipeline.dashboard.readings import Reading

NOW = datetime(2026, 3, 4, 12, 0, 42, tzinfo=UTC)
STATUS: dict[str, Any] = {
    "pipeline": "totes",
    "stage": "dev",
    "region": "eu-west-2",
    "functions": [
        {
            "name": f"totes-dev-{name}",
            "state": "Active",
            "version": "3",
            "runtime": "python3.13",
            "schedule": "rate(5 minutes)",
            "last_deployed": "2026-03-01 08:00:00Z",
        }
        for name in ("extract", "transform", "load")
    ],
    "batches": {"extracted": 3, "transformed": 3, "loaded": 3},
    "freshness": {
        "fresh": True,
        "lag_seconds": 42.0,
        "fresh_within_seconds": 1800.0,
        "loaded_unknown": False,
        "summary": "Fresh. All is there.",
    },
    "failed_events": {"count": 0, "oldest_at": None, "functions": []},
    "open": {"rejected": 0, "pending": 0},
    "differences": [],
    "alarms": [
        {"name": f"totes-dev-{name}", "state": "OK", "since": "2026-03-01 08:00:00Z", "reason": "quiet"}
        for name in ("extract-errors", "load-errors", "load-rejected", "transform-silent")
    ],
    "subscriptions": [{"address": "owner@example.com", "state": "confirmed"}],
}
BATCHES: dict[str, Any] = {
    "format": 1,
    "pipeline": "totes",
    "stage": "dev",
    "at": "2026-03-04T12:00:42.000Z",
    "problem": None,
    "latency": {"median": 151.0, "p99": 190.0, "worst": 190.0, "at_most": False},
    "batches": [
        {
            "batch": number,
            "mode": "changes",
            "state": "loaded",
            "revision": 1,
            "extracted_at": f"2026-03-04T11:{number}0:00.000Z",
            "transformed_at": f"2026-03-04T11:{number}0:06.000Z",
            "loaded_at": f"2026-03-04T11:{number}2:30.000Z",
            "rows": 6 * number,
            "deleted": number,
            "versions": 7 * number,
            "rejected": 0,
            "still_rejected": 0,
            "still_waiting": 0,
            "tables": {"payment": {"rows": 6 * number, "deleted": number}},
            "written": {"fact_payment": 7 * number},
            "seconds": {"extract": 2.0, "transform": 4.0, "load": 144.0, "total": 150.0},
            "commits": {
                "transactions": 3,
                "first": f"2026-03-04T11:0{number}:00.000Z",
                "last": f"2026-03-04T11:0{number}:59.000Z",
            },
            "latency": {"median": 151.0, "p99": 160.0 + 10 * number, "worst": 190.0, "at_most": False},
        }
        for number in (3, 2, 1)
    ],
}


def view(parameters: dict[str, str] | None = None, **documents: Any) -> View:
    """A view of the documents above, some of them replaced; one that is a text could not be read, for that reason."""
    found = {"status": deepcopy(STATUS), "batches": deepcopy(BATCHES), **documents}
    readings = {
        name: Reading(None, document) if isinstance(document, str) else Reading(document)
        for name, document in found.items()
    }
    return View(readings, NOW, lambda command: f"lambda-script {command}".strip(), parameters or {})


def status(**changed: Any) -> dict[str, Any]:
    """The document of ``status`` with other values."""
    return {**deepcopy(STATUS), **changed}


FRAME = rendering.Frame("totes", "dev", "/key/", server.KINDS)
UNREACHABLE = "The warehouse cannot be reached: connection refused."
HISTORY = {
    "tables": ["fact_sales_order", "fact_payment"],
    "table": "fact_payment",
    "key": "7",
    "key_columns": ["payment_id"],
    "last_changed": [{"key": "7", "versions": 2}],
    "columns": ["payment_id", "paid", "amount"],
    "versions": [
        {
            "record": 7,
            "valid_from": "2026-03-04T10:00:00+00:00",
            "valid_to": "2026-03-04T11:00:00+00:00",
            "values": {"payment_id": 7, "paid": False, "amount": "12.50"},
            "changed": [],
        },
        {
            "record": 19,
            "valid_from": "2026-03-04T11:00:00+00:00",
            "valid_to": None,
            "values": {"payment_id": 7, "paid": True, "amount": "12.50"},
            "changed": ["paid"],
        },
    ],
}
TABLES = {
    "tables": [
        {
            "table": "fact_payment",
            "kind": "fact",
            "versioned": True,
            "rows": 16_067,
            "present": 16_028,
            "exact": True,
            "problem": None,
        },
        {
            "table": "dim_staff",
            "kind": "dimension",
            "versioned": False,
            "rows": None,
            "present": None,
            "exact": False,
            "problem": "The warehouse has no table dim_staff.",
        },
    ]
}


def question(columns: dict[str, str], *rows: list[Any], error: str | None = None) -> dict[str, Any]:
    return {
        "number": 1,
        "question": "What did we sell?",
        "sql": "SELECT 1 < 2;",
        "columns": [{"name": name, "type": kind} for name, kind in columns.items()],
        "rows": list(rows),
        "more": 0,
        "error": error,
    }


def promised(state: str, behind: float | None) -> dict[str, Any]:
    """The document of ``status`` where the function freshness compares the source."""
    table = {"table": "payment", "state": state, "changed": True, "seconds_behind": behind, "fresh_within": 1800.0}
    table |= {"fresh_at": None, "problem": "it was not compared yet" if behind is None else None}
    promise = {"state": state, "checked_at": None, "tables": [table], "problem": None}
    known = {"seconds_behind": behind, "fresh_at": "2026-03-04T11:59:00.000Z" if behind else None}
    return status(freshness={**STATUS["freshness"], "promise": promise, **known})


def html(name: str, of: View) -> str:
    """The page, rendered."""
    kind = next(kind for kind in server.KINDS if kind.name == name)
    page = Page(kind.name, kind.title, health.verdict(of), kind.sections(of))
    return rendering.document(page, FRAME, of.parameters, "12:00:00")


def text(name: str, of: View) -> str:
    """The words of a page, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", html(name, of)).split())
