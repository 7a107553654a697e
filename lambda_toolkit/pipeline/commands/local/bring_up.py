"""Starts the local stack, seeds the source, prepares the warehouse and deploys, with the same code as on AWS."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from lambda_toolkit.pipeline.client.sources.catalogs import SOURCE
from lambda_toolkit.pipeline.client.sources.mirror import Follow, refreshed
from lambda_toolkit.pipeline.client.sources.source import check_source
from lambda_toolkit.pipeline.client.target import DIRECTORY, LOCAL_STAGE, Target, local_target, means_local
from lambda_toolkit.pipeline.client.warehouses.warehouse import prepare
from lambda_toolkit.pipeline.commands.deploy import apply
from lambda_toolkit.pipeline.commands.local.source_url import OPTION, external_source
from lambda_toolkit.pipeline.commands.shared.options import Request
from lambda_toolkit.pipeline.commands.shared.screen import Screen, counted
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.installed import suggested

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.local_stack.description import Stack

P = ParamSpec("P")
T = TypeVar("T")

TOTESYS_SCHEMA = Path("config/totesys.sql")
MOST_ORDERS = 10_000_000  # that local_stack.totesys.generator generates; not imported from it, since it needs Arrow
REPORTED_ROWS = 100_000  # a table with as many takes seconds: it is reported when it is filled
OWN_SCHEMA = Path("config/source.sql")  # of a source that is not totesys, which nothing here can fill


@dataclass(frozen=True)
class Seeding:
    """What the source is filled with: the files of a directory, ``orders`` generated ones, or nothing."""

    directory: Path | None = None
    orders: int | None = None
    empty: bool = False

    def __post_init__(self) -> None:
        """Raise UsageError for options that contradict each other."""
        if sum((self.directory is not None, self.orders is not None, self.empty)) > 1:
            raise UsageError("--seed, --orders and --empty exclude each other: give one.")


def seeding_options(command: Callable[P, T]) -> Callable[P, T]:
    """Add ``--seed`` and ``--orders``: what the source is filled with."""
    command = click.option(
        "--orders",
        type=click.IntRange(1, MOST_ORDERS),
        metavar="N",
        help=f"Fill it with N generated orders (default 16000, at most {MOST_ORDERS}).",
    )(command)
    directory = click.Path(path_type=Path, exists=True, file_okay=False)
    text = "Fill the source from one Parquet or CSV file per table in this directory."
    return click.option("--seed", type=directory, help=text)(command)


def require_totesys(request: Request) -> None:
    """Raise UsageError where the source is another: activity is simulated in the tables of totesys only."""
    if (request.root / TOTESYS_SCHEMA).is_file() or not request.config.is_file():
        return
    own = request.root / OWN_SCHEMA
    if own.is_file():
        raise UsageError(
            f"This simulates activity in totesys, and {own} describes another source. Change that with psql "
            f"({suggested('local env')}), then: {suggested('run')}"
        )
    raise UsageError(
        f"This simulates activity in totesys, which is not the source of {request.config}. "
        f"To read a database of yours: {suggested(f'local run {OPTION} URL')}"
    )


def say_next(request: Request, stack: Stack, *commands: str) -> None:
    """The ``commands`` that one goes on with, each as it is typed for this stack."""
    request.screen.say("Next:")
    stage = "" if request.stage or means_local(request.root, None, os.environ) else f" --stage {LOCAL_STAGE}"
    for name in commands:
        if name != "local simulate" or not (stack.external or (request.root / OWN_SCHEMA).is_file()):
            request.screen.say(f"    {suggested(name)}{'' if name.startswith('local ') else stage}")


def bring_up(
    request: Request, seeding: Seeding, *, source_url: str | None = None, clock_speed: float = 1
) -> tuple[Stack, Target]:
    """Start the stack, seed the source, prepare the warehouse and deploy. Returns the stack and its target.

    With ``source_url`` the pipeline reads that database, which must be there, and nothing is seeded.

    Raises CommandError or LocalError where a step fails.
    """
    from lambda_toolkit.pipeline.local_stack import stack as embedded
    from lambda_toolkit.pipeline.local_stack.totesys import seed

    screen = request.screen
    declared = load(request.config, LOCAL_STAGE)
    schema, external = _schema(request, seeding, source_url), None
    if source_url is not None:
        with screen.waiting("Connecting to the source ..."):
            external = external_source(source_url, declared.secrets.get(SOURCE))
    if seeding.directory is not None:
        seed.files_in(seeding.directory)  # errors are reported before anything is started
    stack = embedded.up(
        request.root,
        source_schema=schema,
        external=external,
        warehouse_file=declared.warehouse_file,
        region=declared.region,
        clock_speed=clock_speed,
        on_progress=screen.progress,
    )
    if stack.external:
        if seeding != Seeding():
            embedded.simulated_source(stack)  # raises: nothing is written to it
        screen.progress(f"The source is {stack.external.place}: it is read, and never written to")
    elif schema == request.root / TOTESYS_SCHEMA and not seeding.empty:
        fill(stack, seeding, screen)
    target = local_target(request.config, stack, {}, request.stage)
    mirror = refreshed(target, Follow.EVERYTHING)
    target = mirror.target
    for line in mirror.lines:
        screen.progress(line)
    if stack.external and (problems := check_source(target, target.aws()).problems):
        raise CommandError("\n".join(problems))
    with screen.waiting("Preparing the warehouse ..."):
        prepared = prepare(target, alter=True)
    done = len(prepared["created"]) + len(prepared["replaced"]) + len(prepared["altered"])
    screen.progress(f"Prepared the warehouse: {counted(done, 'object')}" if done else "The warehouse is prepared")
    for difference in prepared["differences"]:
        screen.progress(f"The warehouse differs from its declaration: {difference}", color="red")
    report = apply(screen, target)
    if report is not None and not report.ok:
        raise CommandError("The deployment to the local stack failed; see the errors above.")
    return stack, target


def _schema(request: Request, seeding: Seeding, source_url: str | None) -> Path | None:
    """The file that describes the source which the stack starts; None where the pipeline reads another database.

    Raises UsageError for a seed of a source that is not totesys, and where there is neither a file nor a database.
    """
    from lambda_toolkit.pipeline.local_stack.postgres.external_source import recall

    own = request.root / OWN_SCHEMA
    if source_url is not None:
        if seeding != Seeding():
            raise UsageError(f"--seed, --orders and --empty are for a source that the stack starts, not for {OPTION}.")
        return None
    if own.is_file():
        if seeding.directory is not None or seeding.orders is not None:
            raise UsageError(
                f"--seed and --orders fill totesys, and {own} describes another source. "
                "Start it empty, and fill it with: psql"
            )
        return own
    totesys = request.root / TOTESYS_SCHEMA
    if not totesys.is_file() and recall(request.root / DIRECTORY) is None:
        raise UsageError(
            f"There is no source: {own} would describe one that the stack starts. To read a database of yours: "
            f"{suggested(f'local up {OPTION} URL')}"
        )
    return totesys


def fill(stack: Stack, seeding: Seeding, screen: Screen) -> None:
    """Fill the source as ``seeding`` says. A source that has data is not changed.

    Raises CommandError where it has data and a seed was given: two seeds do not mix.
    """
    from lambda_toolkit.pipeline.local_stack.stack import simulated_source
    from lambda_toolkit.pipeline.local_stack.totesys import seed
    from lambda_toolkit.pipeline.local_stack.totesys.generator import DEFAULT_ORDERS

    source = simulated_source(stack)
    if not seed.is_empty(source):
        if seeding.directory is not None or seeding.orders is not None:
            raise CommandError(
                f"The source has data of an earlier start. Delete it with: {suggested('local down --wipe')}"
            )
        screen.progress("The source keeps the data of its earlier start")
        return

    def report(table: str, copied: int) -> None:
        if copied >= REPORTED_ROWS:
            screen.progress(f"Filled {table}: {counted(copied, 'row')}")

    orders = DEFAULT_ORDERS if seeding.orders is None else seeding.orders
    with screen.waiting("Filling the source ..." + (f" {orders:,} orders" if orders >= REPORTED_ROWS else "")):
        rows = (
            seed.from_directory(source, seeding.directory, on_table=report)
            if seeding.directory is not None
            else seed.generated(source, orders=orders, on_table=report)
        )
    screen.progress(f"Filled the source: {counted(sum(rows.values()), 'row')} in {len(rows)} tables")
