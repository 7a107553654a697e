"""Finds the local stack that is up. Commands that only use it import neither a driver nor what starts it: ``stack``."""

from __future__ import annotations

from pathlib import Path

from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.local_stack.description import DIRECTORY, STACK_FILE, Stack, read_stack
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.process import is_alive

EMULATOR = "emulator"
POSTGRES = "postgres"
EVALUATOR = "alarm_evaluator"
SLACK = "slack_receiver"
PARTS = {
    EMULATOR: "the emulated AWS",
    POSTGRES: "PostgreSQL",
    EVALUATOR: "the alarm evaluator",
    SLACK: "the receiver of messages for Slack",
}
"""The processes of a stack, and what messages call them."""


def running_stack(root: Path) -> Stack | None:
    """The stack below ``root``, or None unless every part of it is alive."""
    path = root.resolve() / DIRECTORY / STACK_FILE
    if not path.is_file():
        return None
    stack = read_stack(path)
    return stack if all(is_alive(process) for process in stack.processes.values()) else None


def load_stack(root: Path) -> Stack:
    """The stack below ``root``. Raises LocalError, with what to do, when it is not up or a part of it has ended."""
    stack = running_stack(root)
    if stack is not None:
        return stack
    ended = _ended_parts(root)
    if ended:
        raise LocalError(
            f"The local stack is incomplete: {' and '.join(ended)} ended unexpectedly. "
            f"Start it again with: {suggested('local up')}"
        )
    raise LocalError(f"The local stack is not up. Start it with: {suggested('local up')}")


def _ended_parts(root: Path) -> list[str]:
    """The parts that ended although the stack was not stopped."""
    path = root.resolve() / DIRECTORY / STACK_FILE
    if not path.is_file():
        return []
    parts = read_stack(path).processes.items()
    return [PARTS[name] for name, process in parts if not is_alive(process)]
