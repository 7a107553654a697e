"""The page Warehouse: the answers to the project's questions, how one row evolved, and the tables."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lambda_toolkit.pipeline.dashboard import charts
from lambda_toolkit.pipeline.dashboard.formats import clock, counted, number, short_number
from lambda_toolkit.pipeline.dashboard.pages import pipeline
from lambda_toolkit.pipeline.dashboard.pages.model import PageKind, Section, View
from lambda_toolkit.pipeline.dashboard.readings import Request

_ROWS = 8  # of an answer, before the others
_BARS, _STACKED, _DAYS, _LINES = 8, 2, 30, 4  # in a chart
_NAMES_SOMETHING = re.compile(r"(^|_)(id|key|year|number|code)$", re.IGNORECASE)


def requests(parameters: Mapping[str, str]) -> tuple[Request, ...]:
    """The documents of this page: ``table`` and ``key`` choose the row whose versions it shows."""
    chosen = ("history", parameters.get("table", ""), parameters.get("key", "").strip())
    return (("status",), ("questions",), chosen, ("tables",))


def sections(view: View) -> tuple[Section, ...]:
    """The row that was chosen, or changed last, each question, and the tables."""
    document, problem = view.document("questions"), view.problem("questions")
    answers = [
        Section(f"question-{each['number']}", each["question"], "question", _answer(each), "half", problem)
        for each in document.get("questions", ())
    ]
    if not answers:
        answers = [Section("questions", "Questions", "no_questions", {"file": document.get("file")}, problem=problem)]
    evolved = Section("history", "How a row evolved", "history", history(view), problem=view.problem("history"))
    counts = Section(
        "tables", "Rows and versions", "tables", {"tables": pipeline.tables(view)}, problem=view.problem("tables")
    )
    first, rest = answers[:4], answers[4:]
    return (*first, evolved, *rest, counts)


def history(view: View) -> dict[str, Any]:
    """The versions of the chosen row side by side: a column for each version, a row for each column of the table."""
    document = view.document("history")
    versions = list(document.get("versions", ()))
    chosen = document.get("table") or view.parameters.get("table", "")
    deleted = bool(versions) and versions[-1]["valid_to"] is not None
    heads = [
        {
            "number": index + 1,
            "record": number(version["record"]),
            "from": clock(version["valid_from"], view.now),
            "to": clock(version["valid_to"], view.now) if version["valid_to"] else "",
            "is_last": index == len(versions) - 1,
        }
        for index, version in enumerate(versions)
    ]
    changed = {name for version in versions for name in version["changed"]}
    rows = [
        {
            "column": name,
            "changed": name in changed,
            "cells": [
                {"text": _as_is(version["values"][name]), "changed": name in version["changed"]} for version in versions
            ],
        }
        for name in document.get("columns", ())
    ]
    return {
        "tables": list(document.get("tables", ())),
        "table": chosen,
        "key": document.get("key", view.parameters.get("key", "")),
        "key_columns": ", ".join(document.get("key_columns", ())),
        "last_changed": [
            {"key": each["key"], "versions": counted(each["versions"], "version")}
            for each in document.get("last_changed", ())
        ],
        "heads": heads,
        "rows": sorted(rows, key=lambda row: not row["changed"]),
        "changed": len(changed),
        "deleted": clock(versions[-1]["valid_to"], view.now) if deleted else "",
    }


def _answer(question: Mapping[str, Any]) -> dict[str, Any]:
    columns, rows = question["columns"], question["rows"]
    right = [_is_number(column) for column in columns]
    cells = [[_shown(column, value) for column, value in zip(columns, row, strict=True)] for row in rows]
    return {
        "number": question["number"],
        "error": question["error"],
        "sql": question["sql"],
        "columns": list(zip([column["name"].replace("_", " ") for column in columns], right, strict=True)),
        "right": right,
        "rows": cells[:_ROWS],
        "more": cells[_ROWS:],
        "not_shown": question["more"],
        "chart": chart_of(question),
    }


def chart_of(question: Mapping[str, Any]) -> charts.Chart | None:
    """The picture of an answer, by the types and the order of its columns; None where a table says more.

    Days, and perhaps a text that names a line each: lines of the last number. A text first: bars of the number by which
    the rows are sorted, largest first, or else of the last numbers that have one type, stacked.
    """
    columns, rows = question["columns"], question["rows"]
    numbers = [index for index, column in enumerate(columns) if _is_number(column)]
    if len(rows) < 2 or not numbers:
        return None
    kind = columns[0]["type"]
    if kind.startswith("date"):
        return _over_days(question, numbers[-1])
    named = kind == "string"
    falling = [index for index in numbers if index and _is_falling([row[index] for row in rows])]
    if not named and (not falling or _is_falling([row[0] for row in reversed(rows)])):
        return None  # rows in the order of their first column are sorted by no other
    last = columns[numbers[-1]]["type"]
    measures = falling[-1:] or [index for index in numbers if columns[index]["type"] == last][-_STACKED:]
    texts = [index for index, column in enumerate(columns) if column["type"] == "string"] if named else [0]
    shown = rows[:_BARS]
    labels = [_label([row[index] for index in texts[:2]]) for row in shown]
    names = [columns[index]["name"].replace("_", " ") for index in measures]
    series = [
        charts.Series(name, [_float(row[index]) for row in shown]) for name, index in zip(names, measures, strict=True)
    ]
    first, end = (f"{labels[at]} {number(shown[at][measures[0]])}" for at in (0, -1))
    text = f"{' and '.join(names).capitalize()}, from {first} to {end}."
    return charts.horizontal_bars(question["question"], text, labels, series, short_number, of=columns[0]["name"])


def _over_days(question: Mapping[str, Any], measure: int) -> charts.Chart | None:
    columns, rows = question["columns"], question["rows"]
    by = 1 if columns[1]["type"] == "string" else None
    lines = list(dict.fromkeys(str(row[by]) for row in rows))[:_LINES] if by else [columns[measure]["name"]]
    days = sorted({str(row[0]) for row in rows if row[0] is not None})[-_DAYS:]
    if not days:
        return None
    values = {(str(row[0]), str(row[by]) if by else lines[0]): _float(row[measure]) for row in rows}
    series = [charts.Series(line, [values.get((day, line)) for day in days]) for line in lines]
    name = columns[measure]["name"].replace("_", " ")
    of_lines = f", for {', '.join(lines)}" if by else ""
    text = f"{name.capitalize()} on each day from {days[0]} to {days[-1]}{of_lines}."
    return charts.line(question["question"], text, days, series, short_number, of=columns[0]["name"])


def _label(values: Sequence[Any]) -> str:
    return " ".join(str(value) for value in values)


def _is_number(column: Mapping[str, Any]) -> bool:
    return str(column["type"]).startswith(("int", "uint", "decimal", "double", "float"))


def _is_falling(values: Sequence[Any]) -> bool:
    found = [_float(value) for value in values]
    known = [value for value in found if value is not None]
    return len(known) == len(found) and known == sorted(known, reverse=True) and known[0] > known[-1]


def _float(value: Any) -> float | None:
    """The number; None of NULL, and of NaN and infinity, which no chart can show."""
    found = None if value is None else float(value)
    return found if found is not None and math.isfinite(found) else None


def _as_is(value: Any) -> str:
    """A value of a row, where numbers are keys as often as not."""
    return number(value) if value is None or isinstance(value, bool) else str(value)


def _shown(column: Mapping[str, Any], value: Any) -> str:
    """The value of an answer: with commas, unless the name of the column says that the number names something."""
    is_name = _NAMES_SOMETHING.search(column["name"]) and not isinstance(value, float)
    return str(value) if is_name and value is not None else number(value) if _is_number(column) else _cell(value)


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, int | float | None) else str(value)


WAREHOUSE = PageKind("warehouse", "Warehouse", requests, sections)
