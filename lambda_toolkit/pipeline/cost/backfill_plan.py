"""The document of ``backfill --plan``: each way with its minutes and dollars, which to take, and why. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from lambda_script import PriceList
from lambda_toolkit.pipeline.cost.backfill import (
    ALONE,
    BATCH_ROWS,
    FILLED_ROWS,
    LAMBDA,
    Estimate,
    Setting,
    TableSize,
    best,
    connections_of,
    estimates,
    load_seconds,
    reading_rates,
    suggested_readers,
    workers_of,
)
from lambda_toolkit.pipeline.cost.rates import Rates
from lambda_toolkit.pipeline.cost.reading import MILLION, Machines, Mishaps, simulated
from lambda_toolkit.pipeline.cost.statement import dollars

FORMAT = 1
RUNS = 40  # simulated
MOST_SIMULATED = 5_000  # ranges: what has more takes longer than extract waits for readers
_LIKELY = 0.95  # of the simulated runs are quicker
_GROWTH = 1.1  # of a table, until it is read


def backfill_plan(
    tables: Sequence[TableSize],
    setting: Setting,
    reader_rows: int,
    rates: Rates,
    prices: PriceList,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """What a first load of ``tables`` takes by each way, as JSON values; amounts are decimal texts in US dollars.

    ``reader_rows``: as declared; a larger table needs another.
    """
    found = estimates(tables, setting, rates, prices)
    chosen = best(found)
    return {
        "format": FORMAT,
        "region": prices.region,
        "tables": [table.__dict__ for table in sorted(tables, key=lambda table: -table.rows)],
        "ways": [_way(each, setting) for each in found],
        "take": chosen.engine,
        "why": _why(chosen, found),
        "declare": _declare(chosen, tables, setting, rates, reader_rows),
        "simulated": _simulated(tables, setting, rates),
        "assumptions": [*notes, *_assumptions(setting, rates)],
        "rates": {name: {"seconds": seconds, "by": rates.by[name]} for name, seconds in rates.seconds.items()},
        "measured": rates.measured.isoformat(),
        "prices": {"estimated": prices.is_estimated, "read": prices.read.isoformat()},
    }


def _way(found: Estimate, setting: Setting) -> dict[str, Any]:
    busy = found.source_cpu / (found.reading * setting.source_cores)
    return {
        "engine": found.engine,
        "readers": found.readers,
        "reading": round(found.reading, 1),
        "transform": round(found.transform, 1),
        "load": round(found.load, 1),
        "total": round(found.total, 1),
        "source_cpu": round(found.source_cpu, 1),
        "source_busy": round(min(busy, 1.0), 3),
        "requests": found.requests,
        "amount": f"{found.dollars:.4f}",
        "slowest": found.slowest,
        "problem": found.problem,
    }


def _why(chosen: Estimate, found: Sequence[Estimate]) -> str:
    """A sentence."""
    others = [each for each in found if each.engine != chosen.engine]
    steps = {"reading": chosen.reading, "transform": chosen.transform, "load": chosen.load}
    longest = max(steps, key=lambda step: steps[step])
    share = f"{longest} takes {steps[longest] / sum(steps.values()):.0%} of its work"
    if not others:
        return "No table is larger than a batch: there is nothing to divide."
    if others[0].problem:  # all engines have the same: it is about readers
        return f"It is the only way that can be done: {others[0].problem}."
    quickest = min(others, key=lambda each: each.total)
    if chosen.engine == ALONE:
        saved = chosen.total - quickest.total
        much = f"{_span(saved)}, which is little" if saved > 0 else "nothing"
        return f"Readers would save {much}: {share}, while others are read."
    alone = found[0]
    sentence = f"It saves {_span(alone.total - chosen.total)} of one function's {_span(alone.total)}; {share}"
    if chosen.engine == LAMBDA:
        cheapest = min((each for each in others if each.engine != ALONE), key=lambda each: each.total)
        sentence += f". Spark, which begins later, would take {_span(cheapest.total)} and {dollars(cheapest.dollars)}"
    return f"{sentence}."


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _declare(
    chosen: Estimate, tables: Sequence[TableSize], setting: Setting, rates: Rates, reader_rows: int
) -> list[str]:
    """The lines of ``pipeline.toml`` by which the way that is chosen differs from what is declared."""
    if chosen.engine == ALONE:
        return []
    most = max(table.rows for table in tables if table.is_large)
    lines = [] if setting.readers > 1 else [f"[extract] readers = {chosen.readers}"]
    if most > reader_rows:
        lines.append(f"[extract] reader_rows = {math.ceil(most * _GROWTH / MILLION) * MILLION}")
    if setting.connections != connections_of(setting):
        lines.append(f"[load] connections = {connections_of(setting)}")
    if chosen.engine == LAMBDA and setting.workers < 2:
        lines.append(f"[transform] workers = {workers_of(tables, setting, rates)}")
    if chosen.engine != LAMBDA:
        lines.append(f'[backfill] engine = "{chosen.engine}"')
    return lines


def _simulated(tables: Sequence[TableSize], setting: Setting, rates: Rates) -> dict[str, Any] | None:
    """Reading of the largest table, in runs where ranges take longer than others, fail, and are read again."""
    large = max((table for table in tables if table.is_large), key=lambda table: table.rows, default=None)
    if large is None:
        return None
    readers = setting.readers if setting.readers > 1 else suggested_readers(tables, setting, rates)
    ranges = max(readers, math.ceil(large.rows / BATCH_ROWS))
    if ranges > MOST_SIMULATED:
        return None
    machines = Machines(readers, setting.cores("extract"), setting.source_cores)
    chance = random.Random(16)  # noqa: S311  # nosec B311  # the same every time
    of = reading_rates(large, rates)
    runs = sorted(simulated(large.rows / MILLION, ranges, of, machines, chance, Mishaps()) for _ in range(RUNS))
    counting = large.rows / MILLION * rates.seconds["count"] * rates.width(large.row_bytes)
    return {
        "table": large.name,
        "ranges": ranges,
        "runs": RUNS,
        "median": round(runs[RUNS // 2] + counting, 1),
        "likely": round(runs[int(RUNS * _LIKELY)] + counting, 1),
    }


def _assumptions(setting: Setting, rates: Rates) -> list[str]:
    over = "one connection" if connections_of(setting) < 2 else f"{connections_of(setting)} connections"
    filled, staged = (MILLION / load_seconds(MILLION, setting, rates, is_first=first) for first in (True, False))
    free = "are not known" if setting.free_connections is None else f"{setting.free_connections} are free"
    return [
        f"the source has {setting.source_cores:g} processors, the warehouse {setting.warehouse_cores:g}, each as quick "
        "as those that the rates were measured on",
        f"connections of the source: {free}; readers take half of them at most",
        f"rows take as long as their bytes, beside {rates.row_bytes} of those that were measured",
        f"load writes {filled:,.0f} rows a second into an empty fact with nine foreign keys, over {over}, where a "
        f"batch has at most {FILLED_ROWS:,}; otherwise {staged:,.0f}",
        "Spark begins after 25 to 90 s",
        "not in it: the databases, what is stored, traffic to databases outside of AWS, tax",
    ]
