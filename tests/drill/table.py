"""The table of times, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from tests.drill.trial import Times

_HEAD = ("broken", "alarm", "rises", "email", "Slack", "repaired", "over", "email", "Slack")


def head() -> list[str]:
    """The names of the columns, and what is below them."""
    return [_line(_HEAD), _line(["---", "---", *["--:"] * (len(_HEAD) - 2)])]


def line(row: Times) -> str:
    """Seconds after the breach, and, for what is over, after the repair."""
    begun = (row.raised, row.begun.email, row.begun.slack, row.repaired)
    times = (f"{max(value, 0):.1f}" for value in (*begun, row.over, row.ended.email, row.ended.slack))
    return _line([row.cause, f"`{row.alarm}`" if row.alarm else "none", *times])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
