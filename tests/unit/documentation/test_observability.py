"""The page about logs and metrics is compared with what the functions write."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from lambda_toolkit.pipeline.lambdas.shared.metrics import METRICS
from lambda_toolkit.spec.prices import price_list

PAGE = Path(__file__).parents[3] / "docs/observability.md"
PRICE, FREE = Decimal("0.30"), 10  # US dollars a month; metrics in an account
BEGIN, END = "<!-- metrics -->\n", "<!-- end of metrics -->\n"


def test_the_page_lists_every_metric() -> None:
    listed = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert listed == table()


def test_the_page_has_the_price_of_all_metrics() -> None:
    assert price() in PAGE.read_text(encoding="utf-8")


def test_the_price_is_that_of_the_bill() -> None:
    found = price_list("eu-west-2").prices["metrics"]
    assert (found.amount, found.free) == (PRICE, FREE)


def table() -> str:
    """The table of metrics, as Markdown."""
    head = ["| metric | unit | statistic | put by | a month | what it is |", "|---|---|---|---|---|---|"]
    rows = [
        f"| `{each.name}` | {each.unit} | {each.statistic} | {', '.join(each.functions)} "
        f"| ${PRICE * len(each.functions):.2f} | {each.meaning} |"
        for each in METRICS
    ]
    return "\n".join([*head, *rows, ""])


def price() -> str:
    """What all of them cost together."""
    number = sum(len(metric.functions) for metric in METRICS)
    return (
        f"All {number} of a pipeline with all of its functions are ${PRICE * number:.2f} a month, or "
        f"${PRICE * (number - FREE):.2f} where nothing else in the account uses the free ones."
    )
