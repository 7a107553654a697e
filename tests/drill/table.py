"""The table of times, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from tests.drill.trial import Times

_HEAD = ("broken", "alarm", "alarm rises", "message", "repaired", "over", "message")


def table(rows: Iterable[Times]) -> str:
    """One line for each row: seconds after the breach, and, for what is over, after the repair."""
    lines = [_line(_HEAD), _line(["---", "---", *["--:"] * (len(_HEAD) - 2)])]
    for row in rows:
        over = "" if row.over_message is None else f"{row.over_message:.1f}"
        times = (f"{value:.1f}" for value in (row.raised, row.message, row.repaired, row.over))
        lines.append(_line([row.cause, f"`{row.alarm}`", *times, over]))
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
