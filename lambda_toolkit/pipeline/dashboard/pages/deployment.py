"""The page Deploy: what is deployed, and what a deploy would change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambda_toolkit.pipeline.dashboard import formats
from lambda_toolkit.pipeline.dashboard.formats import clock, counted
from lambda_toolkit.pipeline.dashboard.pages.model import BAD, GOOD, UNKNOWN, WARNING, PageKind, Section, View
from lambda_toolkit.pipeline.dashboard.readings import Request

_NO_ADDRESS = "No address is declared, or nothing is deployed."
_SIGNS = {"create": "+", "update": "~", "delete": "-"}


def requests(parameters: Mapping[str, str]) -> tuple[Request, ...]:
    """The documents of this page."""
    return (("status",), ("plan",), ("cost",))


def sections(view: View) -> tuple[Section, ...]:
    """The functions, the drift, what a month costs, who gets messages."""
    problem, recipients = view.problem("status"), {"recipients": _recipients(view)}
    return (
        Section("functions", "Functions", "functions", {"functions": _functions(view)}, problem=problem),
        Section("drift", "Drift", "drift", drift(view), problem=view.problem("plan")),
        Section("cost", "What a month costs", "cost", _cost(view), "half", view.problem("cost")),
        Section("recipients", "Who is alerted", "recipients", recipients, "half", problem, _NO_ADDRESS),
    )


def drift(view: View) -> dict[str, Any]:
    """The changes that a deploy would make, as the plan says them."""
    document = view.document("plan")
    changes = [{**change, "sign": _SIGNS.get(change["action"], "")} for change in document.get("changes", ())]
    known = "changes" in document
    return {
        "known": known,
        "state": WARNING if changes else GOOD if known else UNKNOWN,
        "summary": f"A deploy would make {counted(len(changes), 'change')}."
        if changes
        else "Nothing would change: what is deployed is what is declared.",
        "changes": changes,
        "notes": list(document.get("notes", ())),
        "commands": [view.command("plan"), view.command("")] if changes else [view.command("plan")],
    }


def _cost(view: View) -> dict[str, Any]:
    """What ``cost`` says, in dollars of the United States."""
    document = view.document("cost")
    if not document:
        return {}
    so_far = document["so_far"]
    return {
        "total": _dollars(document["total"]),
        "beyond_free": _dollars(document["total_beyond_free"]),
        "so_far": _dollars(so_far) if so_far is not None else "",
        "services": list(document["dominates"].items()),
        "savings": [(saving["change"], _dollars(saving["amount"])) for saving in document["savings"]],
        "note": document["assumptions"][0] if document["assumptions"] else "",
        "commands": [view.command("cost")],
    }


def _dollars(amount: str) -> str:
    return f"${float(amount):,.2f}"


def _functions(view: View) -> list[dict[str, Any]]:
    found = []
    for function in view.document("status").get("functions", ()):
        deployed = function["version"] is not None
        found.append(
            {
                **function,
                "word": function["state"].lower(),
                "ok": GOOD if function["state"] == "Active" else BAD,
                "released": clock(function["last_deployed"], view.now) if deployed else formats.UNKNOWN,
                "ran": clock(function.get("last_run"), view.now),
                "failed": bool(function.get("last_failed")),
                "next": clock(function.get("next_run"), view.now),
            }
        )
    return found


def _recipients(view: View) -> list[dict[str, str]]:
    return [
        {**each, "ok": GOOD if each["state"] == "confirmed" else WARNING}
        for each in view.document("status").get("subscriptions", ())
    ]


DEPLOY = PageKind("deploy", "Deploy", requests, sections)
