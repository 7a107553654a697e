"""The table of times, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from tests.drill.trial import Times

_HEAD = ("broken", "alarm", "rises", "email", "Slack", "repaired", "over", "email", "Slack")


def table(rows: Iterable[Times]) -> str:
    """One line for each row: seconds after the breach, and, for what is over, after the repair."""
    lines = [_line(_HEAD), _line(["---", "---", *["--:"] * (len(_HEAD) - 2)])]
    for row in rows:
        begun = (row.raised, row.begun.email, row.begun.slack, row.repaired)
        times = (f"{max(value, 0):.1f}" for value in (*begun, row.over, row.ended.email, row.ended.slack))
        lines.append(_line([row.cause, f"`{row.alarm}`" if row.alarm else "none", *times]))
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
