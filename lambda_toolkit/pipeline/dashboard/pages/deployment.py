"""The page Deploy: what is deployed, and what a deploy would change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambda_toolkit.pipeline.dashboard import formats
from lambda_toolkit.pipeline.dashboard.formats import clock, counted
from lambda_toolkit.pipeline.dashboard.pages.model import BAD, GOOD, UNKNOWN, WARNING, PageKind, Section, View
from lambda_toolkit.pipeline.dashboard.readings import Request

_SIGNS = {"create": "+", "update": "~", "delete": "-"}


def requests(parameters: Mapping[str, str]) -> tuple[Request, ...]:
    """The documents of this page."""
    return (("status",), ("plan",))


def sections(view: View) -> tuple[Section, ...]:
    """The functions, the drift, who gets messages."""
    problem = view.problem("status")
    return (
        Section("functions", "Functions", "functions", {"functions": _functions(view)}, problem=problem),
        Section("drift", "Drift", "drift", drift(view), problem=view.problem("plan")),
        Section("recipients", "Who is alerted", "recipients", {"recipients": _recipients(view)}, problem=problem),
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
            }
        )
    return found


def _recipients(view: View) -> list[dict[str, str]]:
    return [
        {**each, "ok": GOOD if each["state"] == "confirmed" else WARNING}
        for each in view.document("status").get("subscriptions", ())
    ]


DEPLOY = PageKind("deploy", "Deploy", requests, sections)
