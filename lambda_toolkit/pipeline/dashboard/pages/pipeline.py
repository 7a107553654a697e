"""The page Pipeline: the batches on their way, how long each took, and everything about one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lambda_toolkit.pipeline.dashboard import charts, formats
from lambda_toolkit.pipeline.dashboard.formats import clock, counted, duration, number
from lambda_toolkit.pipeline.dashboard.pages import health
from lambda_toolkit.pipeline.dashboard.pages.model import BAD, GOOD, WARNING, WORKING, PageKind, Section, View
from lambda_toolkit.pipeline.dashboard.readings import Request

_TICKS = (1, 10, 60, 600, 1800, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400)  # seconds, on the axis of latencies
_NO_BATCH = "No batch is loaded yet."
_NO_LATENCY = "Not known yet: a first batch has every row, however old. It is shown from the next batch on."
_IN_CHART = 8  # batches
_IN_TABLE = 20


def requests(parameters: Mapping[str, str]) -> tuple[Request, ...]:
    """The documents of this page: with ``batch``, also what there is about it."""
    batch = parameters.get("batch", "")
    return (
        ("status",),
        ("batches",),
        ("tables",),
        *([("batch", batch)] if batch.isascii() and batch.isdecimal() else []),
    )


def sections(view: View) -> tuple[Section, ...]:
    """The steps, one batch where it is chosen, the latency, the durations, all batches, all tables."""
    document = view.document("batches")
    problem = view.problem("batches") or document.get("problem")
    newest = list(document.get("batches", ()))
    loaded = [batch for batch in reversed(newest) if batch["loaded_at"]]
    one = (
        [Section("batch", f"Batch {view.parameters['batch']}", "batch", _one(view), problem=view.problem("batch"))]
        if "batch" in view.readings
        else []
    )
    return (
        Section("flow", "On their way", "flow", {"steps": health.steps(view)}, problem=view.problem("status")),
        *one,
        Section(
            "latency",
            "From source to warehouse",
            "chart",
            {"chart": _latency(view, loaded)},
            "half",
            problem,
            _NO_LATENCY,
        ),
        Section("durations", "Where the time goes", "chart", {"chart": _durations(loaded)}, "half", problem, _NO_BATCH),
        Section(
            "batches",
            "Batches",
            "batches",
            {"batches": [_row(view, batch) for batch in newest[:_IN_TABLE]]},
            problem=problem,
        ),
        Section("tables", "Rows and versions", "tables", {"tables": tables(view)}, problem=view.problem("tables")),
    )


def promise(view: View) -> float | None:
    """Within how many seconds a change is promised to be in the warehouse; None where nothing is promised."""
    found: float | None = view.document("status").get("freshness", {}).get("fresh_within_seconds")
    return found


def tables(view: View) -> list[dict[str, str]]:
    """Each table of the warehouse with its rows."""
    found = []
    for table in view.document("tables").get("tables", ()):
        about = "" if table["exact"] else "about "
        rows = "missing" if table["rows"] is None else f"{about}{number(table['rows'])}"
        found.append(
            {
                "table": table["table"],
                "kind": table["kind"],
                "present": number(table["present"]) if table["present"] is not None else rows,
                "versions": rows if table["versioned"] and table["rows"] is not None else "",
                "problem": table["problem"] or "",
            }
        )
    return found


def _latency(view: View, batches: Sequence[Mapping[str, Any]]) -> charts.Chart | None:
    """How long the changes of each batch took from commit to commit, and the promise."""
    known = [batch for batch in batches if batch["latency"]]
    if not known:
        return None
    named = (("slowest of 100", "p99"), ("half of them", "median"))
    series = [charts.Series(name, [max(batch["latency"][of], _TICKS[0]) for batch in known]) for name, of in named]
    within, worst = promise(view), max(batch["latency"]["worst"] for batch in known)
    bound = " (at most, as the source keeps no times of commits)" if known[-1]["latency"]["at_most"] else ""
    text = f"From commit to commit in {counted(len(known), 'batch', 'es')}: the slowest took {duration(worst)}{bound}"
    if within:
        series.append(charts.Series("promise", [within] * len(known)))
        text += f"; the promise is {duration(within)}"
    labels = [str(batch["batch"]) for batch in known]
    return charts.line("Latency", f"{text}.", labels, series, duration, of="batch", ticks=_TICKS)


def _durations(loaded: Sequence[Mapping[str, Any]]) -> charts.Chart | None:
    """How long each step of the last batches took, the time in which it waited for its start included."""
    if not loaded:
        return None
    shown = loaded[-_IN_CHART:][::-1]
    steps = ("extract", "transform", "load")
    series = [charts.Series(step, [batch["seconds"][step] or 0.0 for batch in shown]) for step in steps]
    labels = [f"batch {batch['batch']}" for batch in shown]
    text = f"How long the steps of the last {counted(len(shown), 'batch', 'es')} took, from the end of the step before."
    return charts.horizontal_bars("Durations", text, labels, series, duration, of="batch")


def _row(view: View, batch: Mapping[str, Any]) -> dict[str, Any]:
    took, within = batch["latency"], promise(view)
    late = took is not None and within is not None and took["p99"] > within
    kept = batch["still_rejected"] + batch["still_waiting"]
    state = BAD if late else WARNING if kept else GOOD if batch["loaded_at"] else WORKING
    return {
        "batch": batch["batch"],
        "state": state,
        "word": "late" if late else batch["state"],
        **{f"{step}_at": clock(batch[f"{step}_at"], view.now) for step in health.STEPS},
        "rows": number(batch["rows"] + batch["deleted"]),
        "versions": number(batch["versions"]) if batch["loaded_at"] else formats.UNKNOWN,
        "kept": number(kept) if kept else "",
        "total": duration(batch["seconds"]["total"]),
        "latency": f"{'< ' if took['at_most'] else ''}{duration(took['p99'])}" if took else formats.UNKNOWN,
        "chosen": view.parameters.get("batch") == str(batch["batch"]),
    }


def _one(view: View) -> dict[str, Any]:
    document = view.document("batch")
    if not document:
        return {"found": False}
    batch = document["batches"][0]
    lines = [{**line, "time": _time_of(line["timestamp"])} for line in document["lines"]]
    commits = batch["commits"]
    committed = (
        f"{counted(commits['transactions'], 'transaction')} of the source, committed from "
        f"{clock(commits['first'], view.now)} to {clock(commits['last'], view.now)}"
        if commits
        else ""
    )
    changed = [
        (table, number(count["rows"]), number(count["deleted"]) if count["deleted"] else "")
        for table, count in batch["tables"].items()
    ]
    return {
        "found": True,
        "row": _row(view, batch),
        "committed": committed,
        "changed": changed,
        "written": [(table, number(rows)) for table, rows in batch["written"].items()],
        "lines": [line for line in lines if not line["runtime"]],
    }


def _time_of(milliseconds: int) -> str:
    found = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    return f"{found:%H:%M:%S}.{milliseconds % 1000:03}"


PIPELINE = PageKind("pipeline", "Pipeline", requests, sections)
