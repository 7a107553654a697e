"""The document of ``cost``: a bill, what dominates it, what changes would save, and what was assumed. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from lambda_script import PriceList
from lambda_toolkit.pipeline.cost.month import ZERO, Line, Month, bill
from lambda_toolkit.pipeline.cost.what_if import CENT, savings
from lambda_toolkit.pipeline.cost.workload import ASSUMED, COLD_SHARE, MONTHS_STORED, Declared, Workload, month

FORMAT = 1
_DOMINATES = 3  # services that are named


def statement(declared: Declared, workload: Workload, prices: PriceList, so_far: Month | None) -> dict[str, Any]:
    """What a month of ``declared`` costs, as JSON values; amounts are decimal texts in US dollars."""
    lines = bill(month(declared, workload), prices)
    whole = sum((line.amount for line in lines), ZERO)
    return {
        "format": FORMAT,
        "region": prices.region,
        "currency": "USD",
        "lines": [_line(line) for line in lines],
        "total": _text(whole),
        "total_beyond_free": _text(sum((line.amount_beyond_free for line in lines), ZERO)),
        "so_far": None if so_far is None else _text(sum((line.amount for line in bill(so_far, prices)), ZERO)),
        "dominates": _dominates(lines, whole),
        "savings": [
            {"change": saving.change, "amount": _text(saving.amount)} for saving in savings(declared, workload, prices)
        ],
        "measured": {
            name: {"runs": each.runs, "mean_seconds": float(each.seconds), "memory_used_mb": each.memory_used}
            for name, each in workload.measured.items()
        },
        "assumptions": _assumptions(declared, workload),
        "prices": {
            "estimated": prices.is_estimated,
            "read": prices.read.isoformat(),
            "pages": sorted({price.page for price in prices.prices.values()}),
        },
    }


def dollars(amount: Decimal) -> str:
    """``$1,234.50``; ``<$0.01`` for what is more than nothing and less than half a cent."""
    if ZERO < amount < CENT / 2:
        return "<$0.01"
    return f"${amount:,.2f}"


def _line(line: Line) -> dict[str, str]:
    return {
        "service": line.service,
        "item": line.item,
        "quantity": _text(line.quantity),
        "unit": line.unit,
        "price": f"{line.price.normalize():f}",
        "free": _text(line.free),
        "amount": _text(line.amount),
        "amount_beyond_free": _text(line.amount_beyond_free),
    }


def _text(amount: Decimal) -> str:
    return f"{round(amount, 4):f}"


def _dominates(lines: tuple[Line, ...], whole: Decimal) -> dict[str, str]:
    """The services that cost most, each with its share."""
    by_service: dict[str, Decimal] = {}
    for line in lines:
        by_service[line.service] = by_service.get(line.service, ZERO) + line.amount
    largest = sorted(by_service.items(), key=lambda item: -item[1])[:_DOMINATES]
    return {service: f"{amount / whole:.0%}" for service, amount in largest} if whole else {}


def _assumptions(declared: Declared, workload: Workload) -> list[str]:
    unmeasured = [each.name for each in declared.functions if each.name not in workload.measured]
    said = []
    if unmeasured:
        said.append(f"durations of {', '.join(unmeasured)}: assumed, with INIT in {COLD_SHARE:.0%} of the starts")
    about = "assumed" if workload.batches == ASSUMED.batches else "measured"
    said.append(f"batches: {workload.batches:,.0f} a month, {about}")
    if workload.stored_gb is None:
        said.append(f"storage: what {MONTHS_STORED} months of them leave, assumed")
    said.append("the free tier is the account's: what else runs in it uses it, too")
    said.append("not in it: the databases, traffic to databases outside of AWS, tax")
    return said
