"""``local run``: the main job, from nothing to a filled and checked warehouse, and back to nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lambda_toolkit.pipeline.client.observing.follow import Follower
from lambda_toolkit.pipeline.client.target import DIRECTORY
from lambda_toolkit.pipeline.commands.local.bring_up import (
    Seeding,
    bring_up,
    require_totesys,
    say_next,
    seeding_options,
)
from lambda_toolkit.pipeline.commands.local.business_day import (
    ArrivalWatch,
    document,
    show_check,
    show_history,
    summary_of,
)
from lambda_toolkit.pipeline.commands.local.own_database import read_once
from lambda_toolkit.pipeline.commands.local.source_url import OPTION, source_url_option
from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import suggested

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.local_stack.description import Stack

CLOCK_SPEED = 15  # the factor by which schedules are faster: one minute in four seconds


@click.command("run")
@seeding_options
@source_url_option
@click.option("--keep", is_flag=True, help="Leave the stack running at the end, schedules at their ordinary speed.")
@with_request
def command(request: Request, seed: Path | None, orders: int | None, source_url: str | None, keep: bool) -> int:
    """The main job: up, run, a simulated business day, run again, check, show, down.

    Every function is started by its real trigger: EventBridge rules and the manifest's S3 event. Schedules run 15 times
    faster, one minute in four seconds. The exit code is 0 only where every value in the warehouse agrees with the
    source.

    With --source-url the pipeline reads a database of yours, once, or until it is quiet; there is no business day. Each
    table is compared with SQL on that database.
    """
    from lambda_toolkit.pipeline.local_stack.postgres.external_source import recall
    from lambda_toolkit.pipeline.local_stack.running import running_stack
    from lambda_toolkit.pipeline.local_stack.stack import down, has_kept_data, set_disposable

    if source_url is None:
        require_totesys(request)
    if running_stack(request.root):
        raise CommandError(f"The local stack is up already. Stop it first: {suggested('local down --wipe')}")
    if has_kept_data(request.root):
        again = f"local up {OPTION} URL" if recall(request.root / DIRECTORY) else "local up"
        raise CommandError(
            f"There is data that `local down` kept, and the main job begins with nothing. Go on with it: "
            f"{suggested(again)}. Delete it: {suggested('local down --wipe')}"
        )
    down(request.root, wipe=True)
    set_disposable(request.root, not keep)
    try:
        seeding = Seeding(seed, orders)
        code, stack = _main_job(request, seeding) if source_url is None else read_once(request, seeding, source_url)
    except BaseException:
        if not keep:
            down(request.root, on_progress=request.screen.progress)
        raise
    if keep:
        request.screen.say("The stack keeps running.")
        say_next(request, stack, "status", "local simulate", "local down")
    else:
        down(request.root, wipe=code == DONE, on_progress=request.screen.progress)
    return code


def _main_job(request: Request, seeding: Seeding) -> tuple[int, Stack]:
    from lambda_toolkit.pipeline.local_stack.independent_check import check
    from lambda_toolkit.pipeline.local_stack.stack import set_clock_speed, simulated_source
    from lambda_toolkit.pipeline.local_stack.totesys.business_day import business_day
    from lambda_toolkit.pipeline.local_stack.warehouse_file import warehouse_in

    begun, screen = time.monotonic(), request.screen
    stack, target = bring_up(request, seeding, clock_speed=CLOCK_SPEED)
    warehouse = warehouse_in(stack, target)
    watch = ArrivalWatch(stack, Follower(target.aws(), target.pipeline, screen.progress), screen, warehouse)

    with screen.waiting("Waiting for the schedules and the S3 event ..."):
        last = watch.await_arrival(0)
    seeded = check(stack.source, warehouse)
    show_check(screen, seeded, "The first run: source and warehouse")

    happened = business_day(simulated_source(stack)).as_dict()
    screen.progress(summary_of(happened))
    with screen.waiting("Waiting for the changes to arrive ..."):
        final, last = watch.check_until_agreed(lambda: check(stack.source, warehouse), last)
    show_check(screen, final, "After the business day: source and warehouse")
    show_history(screen, warehouse)
    set_clock_speed(stack, 1)

    seconds = time.monotonic() - begun
    agrees = seeded.agrees and final.agrees
    rows = sum(table.warehouse_rows for table in final.tables)
    differences = sum(table.differences for table in final.tables)
    screen.say(
        f"{'Source and warehouse agree' if agrees else 'Source and warehouse DIFFER'}: "
        f"{counted(rows, 'row')} in {counted(len(final.tables), 'table')}, {counted(differences, 'difference')}, "
        f"{counted(last, 'batch', 'es')}, {seconds:.0f} s.",
        color="green" if agrees else "red",
        bold=True,
    )
    screen.document(document(seeded, happened, final, last, seconds))
    return DONE if agrees else FAILED, stack
