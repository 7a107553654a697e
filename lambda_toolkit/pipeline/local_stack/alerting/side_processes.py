"""What runs beside the emulator, each in a process: its alarm evaluator, and the receiver of messages for Slack."""

from __future__ import annotations

import os
import subprocess  # nosec B404
import sys
from pathlib import Path

from lambda_toolkit.pipeline.local_stack import private_files
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator
from lambda_toolkit.pipeline.local_stack.description import STACK_FILE
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.process import Identity, identify, is_alive, wait_until
from lambda_toolkit.pipeline.local_stack.running import EVALUATOR, PARTS, SLACK

READY = {EVALUATOR: "The alarm evaluator is ready", SLACK: "The webhook is ready"}
"""The modules, and the line that each logs."""
TIMEOUT = 30.0  # seconds


def launch(part: str, directory: Path) -> Identity:
    """Start the module called ``part`` as a process of its own. Raises LocalError."""
    with private_files.open_log(_log(part, directory), "wb") as log:
        process = subprocess.Popen(  # nosec B603
            [sys.executable, "-m", f"lambda_toolkit.pipeline.local_stack.alerting.{part}", directory / STACK_FILE],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[4],
            env={name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            umask=private_files.UMASK,
            start_new_session=True,
        )
    identity = identify(process.pid)
    process.returncode = 0  # it outlives this command on purpose
    if identity is None:
        raise LocalError(f"{_named(part)} ended right after its start. {emulator.end_of(_log(part, directory))}")
    return identity


def await_ready(part: str, process: Identity, directory: Path) -> None:
    """Wait until the process of ``part`` has logged that it is ready. Raises LocalError."""
    log = _log(part, directory)

    def is_ready() -> bool:
        if not is_alive(process):
            raise LocalError(f"{_named(part)} ended while starting. {emulator.end_of(log)}")
        return READY[part] in log.read_text(encoding="utf-8", errors="replace")

    if not wait_until(is_ready, TIMEOUT):
        raise LocalError(f"{_named(part)} was not ready within {TIMEOUT:.0f} s. {emulator.end_of(log)}")


def _log(part: str, directory: Path) -> Path:
    return directory / f"{part.replace('_', '-')}.log"


def _named(part: str) -> str:
    name = PARTS[part]
    return name[0].upper() + name[1:]
