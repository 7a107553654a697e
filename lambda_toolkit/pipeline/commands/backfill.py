"""``backfill``: transforms batches by the declared engine; and what a first load takes by each way of doing it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import click

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.commands.shared.options import DONE, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import duration
from lambda_toolkit.pipeline.errors import UsageError

MOST_ROWS = 10**12  # of a table that is planned; PostgreSQL has room for 32 TB of one


@click.command("backfill")
@click.option("--plan", "only_plan", is_flag=True, help="Say what it would take, and do nothing.")
@click.option(
    "--batch", "batches", type=click.IntRange(min=1), multiple=True, help="A batch; more than one may be named."
)
@click.option("--again", is_flag=True, help="Reprocess batches that are transformed already.")
@click.option("--rows", multiple=True, metavar="TABLE=ROWS", help="Plan as if a source table had so many rows.")
@click.option("--source-cores", type=click.FloatRange(0.25), default=4, show_default=True, help="Of the source.")
@click.option("--warehouse-cores", type=click.FloatRange(0.25), default=4, show_default=True, help="Of the warehouse.")
@with_request
def command(
    request: Request,
    only_plan: bool,
    batches: Sequence[int],
    again: bool,
    rows: Sequence[str],
    source_cores: float,
    warehouse_cores: float,
) -> int:
    """Transform batches by the engine that [backfill] declares: those named, or all that are not transformed yet.

    Success is that the lake has their manifests, whatever the engine says of its job. Batches that are reprocessed with
    another outcome get a new revision, which `replay` applies to the warehouse.

    With --plan: what a first load takes, by one function, or by readers with an engine: minutes, dollars, load of the
    source. Rows and sizes are those of the source's statistics, rates were measured, prices are AWS's list prices: the
    output says what is assumed. No table is read, and nothing is changed.
    """
    if not only_plan:
        if rows:
            raise UsageError("--rows is for --plan.")
        return _transform(request, sorted(set(batches)), again=again)
    if batches or again:
        raise UsageError("--plan is about a first load: it takes no --batch and no --again.")
    document = plan(request.target(), _rows(rows), source_cores, warehouse_cores)
    _show(request, document)
    request.screen.document(document)
    return DONE


def plan(target: Target, rows: dict[str, int], source_cores: float, warehouse_cores: float) -> dict[str, Any]:
    """What a first load of ``target`` takes, as JSON values; ``rows``: of source tables, in place of the source's."""
    from lambda_script import price_list
    from lambda_toolkit.pipeline.client.sources.sizes import source_sizes
    from lambda_toolkit.pipeline.cost.backfill import Setting
    from lambda_toolkit.pipeline.cost.backfill_plan import backfill_plan
    from lambda_toolkit.pipeline.cost.rates import rates

    pipeline = target.pipeline
    found = source_sizes(target, rows)
    specs = {name: each.spec for name, each in pipeline.functions.items()}
    setting = Setting(
        readers=pipeline.readers,
        memory={name: spec.memory for name, spec in specs.items()},
        timeout={name: float(spec.timeout) for name, spec in specs.items()},
        is_arm=bool("extract" in specs and specs["extract"].architecture == "arm64"),
        workers=pipeline.workers,
        connections=pipeline.load_connections,
        free_connections=found.free_connections,
        source_cores=source_cores,
        warehouse_cores=warehouse_cores,
        own_cores=float(os.cpu_count() or 1),
    )
    return backfill_plan(found.tables, setting, pipeline.reader_rows, rates(), price_list(pipeline.region), found.notes)


def _transform(request: Request, batches: list[int], *, again: bool) -> int:
    """Has the batches transformed, and shows the revision of each."""
    from lambda_toolkit.pipeline.spark.backfill import LAMBDA, transform_by_functions, transform_by_job, untransformed

    if again and not batches:
        raise UsageError("--again needs the batches to reprocess: backfill --batch 1 --batch 2 --again")
    target = request.target()
    engine = target.pipeline.backfill.engine
    todo = batches or untransformed(target)
    if not todo:
        request.screen.say("Every batch in the lake is transformed.")
    act = transform_by_functions if engine == LAMBDA else transform_by_job
    done = act(target, todo, again=again) if todo else {}
    for batch, revision in done.items():
        request.screen.say(f"Batch {batch} is transformed, by {engine}: revision {revision}.")
    request.screen.document({"engine": engine, "batches": [{"batch": b, "revision": r} for b, r in done.items()]})
    return DONE


def _rows(given: Sequence[str]) -> dict[str, int]:
    """``TABLE=ROWS`` of each. Raises UsageError."""
    found = {}
    for text in given:
        name, equals, number = text.partition("=")
        digits = number.replace("_", "").replace(",", "")
        if not equals or not name or not digits.isdecimal() or int(digits) > MOST_ROWS:
            raise UsageError(
                f"--rows takes TABLE=ROWS, such as sales_order=1000000000, at most {MOST_ROWS:,}, not {text!r}."
            )
        found[name] = int(digits)
    return found


def _show(request: Request, document: dict[str, Any]) -> None:
    screen = request.screen
    screen.table(
        f"What {request.target().pipeline.name} would read",
        ["table", "rows", "bytes a row", "GB on disk", "pages"],
        [
            [each["name"], each["rows"], round(each["row_bytes"]), f"{each['bytes'] / 1e9:.2f}", each["pages"]]
            for each in document["tables"]
        ],
        right=("rows", "bytes a row", "GB on disk", "pages"),
    )
    screen.table(
        f"A first load, in {document['region']}",
        ["way", "readers", "reading", "transform", "load", "together", "source busy", "requests", "US dollars"],
        [_row(each) for each in document["ways"]],
        right=("readers", "reading", "transform", "load", "together", "source busy", "requests", "US dollars"),
    )
    for each in document["ways"]:
        if each["problem"]:
            screen.say(f"{each['engine']} cannot be done: {each['problem']}.")
    screen.say(f"Take {document['take']}. {document['why']}", bold=True)
    for line in document["declare"]:
        screen.say(f"  {line}")
    simulated = document["simulated"]
    if simulated:
        screen.say(
            f"Reading of {simulated['table']} in {simulated['ranges']:,} ranges, simulated {simulated['runs']} times "
            f"with slow and failed ranges: {duration(simulated['median'])}, and 19 of 20 times under "
            f"{duration(simulated['likely'])}."
        )
    for text in document["assumptions"]:
        screen.say(f"- {text}", dim=True)
    prices = document["prices"]
    what = "estimated from those of us-east-1" if prices["estimated"] else "AWS's list prices"
    screen.say(f"- rates measured {document['measured']}; prices: {what}, read {prices['read']}", dim=True)


def _row(way: dict[str, Any]) -> list[object]:
    from lambda_toolkit.pipeline.cost.statement import dollars

    steps = [duration(way[step]) for step in ("reading", "transform", "load", "total")]
    amount = dollars(Decimal(way["amount"]))
    name = f"{way['engine']}, not possible" if way["problem"] else way["engine"]
    return [name, way["readers"] or "", *steps, f"{way['source_busy']:.0%}", way["requests"], amount]
