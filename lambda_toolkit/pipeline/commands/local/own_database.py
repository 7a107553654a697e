"""``local run --source-url``: a database of the user's, read until it is quiet, and compared with the warehouse."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from lambda_toolkit.pipeline.client.observing.follow import Follower
from lambda_toolkit.pipeline.client.sources.catalogs import SOURCE
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.client.warehouses.warehouse_secret import warehouse_credentials
from lambda_toolkit.pipeline.commands.local.bring_up import Seeding, bring_up
from lambda_toolkit.pipeline.commands.local.business_day import show_check
from lambda_toolkit.pipeline.commands.run import run
from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request
from lambda_toolkit.pipeline.commands.shared.screen import Screen, counted
from lambda_toolkit.pipeline.config.aws.deployment import tables_json
from lambda_toolkit.pipeline.config.database_url import secret_value, with_authorities
from lambda_toolkit.pipeline.installed import suggested

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.local_stack.description import Stack
    from lambda_toolkit.pipeline.local_stack.source_comparison import Comparison

CLOCK_SPEED = 0.001  # of the schedules: the functions are invoked here, one after the other
ROUNDS = 5  # of reading and comparing, while the source changes meanwhile


def read_once(request: Request, seeding: Seeding, source_url: str) -> tuple[int, Stack]:
    """Bring the stack up, read the source until the warehouse agrees or nothing changes any more, and show both.

    Returns the exit code, 0 where all that was compared agrees, and the stack. Raises CommandError and LocalError.
    """
    from lambda_toolkit.pipeline.local_stack.stack import set_clock_speed

    begun, screen = time.monotonic(), request.screen
    stack, target = bring_up(request, seeding, source_url=source_url, clock_speed=CLOCK_SPEED)
    follower = Follower(target.aws(), target.pipeline, screen.progress)
    batch = run(follower)["last_batch"]
    comparison = compare_once(target, screen)
    for _ in range(ROUNDS):
        if comparison.agrees:
            break
        before, batch = batch, run(follower)["last_batch"]
        if batch == before:
            break  # nothing changed since it was compared
        comparison = compare_once(target, screen)
    set_clock_speed(stack, 1)
    _show(screen, comparison, batch or 0, time.monotonic() - begun)
    return DONE if comparison.agrees else FAILED, stack


def compare_once(target: Target, screen: Screen) -> Comparison:
    """The warehouse of ``target`` beside its source, as both are now. Raises CommandError and PipelineError."""
    from lambda_toolkit.pipeline.lambdas.shared.database import connected
    from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import DuckdbConnection
    from lambda_toolkit.pipeline.lambdas.shared.model import declarations
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
    from lambda_toolkit.pipeline.local_stack.source_comparison import compare
    from lambda_toolkit.pipeline.local_stack.warehouse_file import add_macros

    secret = target.pipeline.secrets[SOURCE]
    text = with_authorities(secret, secret_value(secret, target.environ).text or "")
    source = postgres.Credentials.from_json(text, f"the environment variable {secret.environment}")
    declared = declarations.parse(json.loads(tables_json(target.pipeline)))
    with (
        screen.waiting("Comparing the warehouse with the source ..."),
        postgres.connected(source) as expected,
        connected(warehouse_credentials(target), read_only=True) as found,
    ):
        if isinstance(found, DuckdbConnection):
            add_macros(found)
        return compare(declared, target.pipeline.tables["warehouse"], expected, found)


def _show(screen: Screen, comparison: Comparison, batches: int, seconds: float) -> None:
    from lambda_toolkit.pipeline.local_stack.independent_check import Check

    tables = comparison.tables
    show_check(screen, Check(tables, ()), "Source and warehouse")
    for text in comparison.not_compared:
        screen.say(f"Not compared: {text}.", dim=True)
    rows, differences = sum(table.warehouse_rows for table in tables), sum(table.differences for table in tables)
    screen.say(
        f"{'Source and warehouse agree' if comparison.agrees else 'Source and warehouse DIFFER'}: "
        f"{counted(rows, 'row')} in {counted(len(tables), 'table')}, {counted(differences, 'difference')}, "
        f"{counted(batches, 'batch', 'es')}, {seconds:.0f} s.",
        color="green" if comparison.agrees else "red",
        bold=True,
    )
    if not comparison.agrees:
        screen.say(
            f"Rows that were rejected or wait for others are missing. Which, with --keep: {suggested('rejected')}"
        )
    screen.document(
        {
            "agrees": comparison.agrees,
            "seconds": round(seconds, 1),
            "batches": batches,
            "tables": [asdict(table) for table in tables],
            "not_compared": list(comparison.not_compared),
        }
    )
