"""The page about logs and metrics is compared with what the functions write."""

from __future__ import annotations

from pathlib import Path

from lambda_toolkit.pipeline.lambdas.shared.metrics import METRICS

PAGE = Path(__file__).parents[3] / "docs/observability.md"
BEGIN, END = "<!-- metrics -->\n", "<!-- end of metrics -->\n"


def test_the_page_lists_every_metric() -> None:
    listed = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert listed == table()


def table() -> str:
    """The table of metrics, as Markdown."""
    head = ["| metric | unit | statistic | put by | what it is |", "|---|---|---|---|---|"]
    rows = [
        f"| `{each.name}` | {each.unit} | {each.statistic} | {', '.join(each.functions)} | {each.meaning} |"
        for each in METRICS
    ]
    return "\n".join([*head, *rows, ""])
