"""The pipeline on the embedded stack: brought up, seeded, prepared and deployed with the same code as on AWS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commands.deploy import deploy
from commands.errors import CommandError
from commands.options import FAILED, Request
from commands.prepare import prepare
from commands.target import Target, local_target

if TYPE_CHECKING:
    from local.stack import Stack

SOURCE_SCHEMA = Path("config/totesys.sql")


@dataclass(frozen=True)
class Seeding:
    """What the source is filled with: the files of a directory, ``orders`` generated ones, or nothing."""

    directory: Path | None = None
    orders: int | None = None
    empty: bool = False

    def __post_init__(self) -> None:
        if sum((self.directory is not None, self.orders is not None, self.empty)) > 1:
            raise CommandError("--seed, --orders and --empty exclude each other: give one.")


def bring_up(request: Request, seeding: Seeding, *, clock_speed: int = 1) -> tuple[Stack, Target]:
    """Starts the stack, seeds the source, prepares the warehouse and deploys. Returns the stack and its target.

    Raises CommandError or LocalError for what does not come up.
    """
    from local import stack as embedded

    screen = request.screen
    stack = embedded.up(request.root, clock_speed=clock_speed, schema=request.root / SOURCE_SCHEMA, on_progress=screen.progress)
    seed(stack, seeding, request)
    target = local_target(request.config, stack, {})
    for name in prepare(target)["created"]:
        screen.progress(f"warehouse: created {name}")
    if deploy(_quiet(request), target) == FAILED:
        raise CommandError("The deployment to the embedded stack did not end well; what failed stands above.")
    return stack, target
