"""How long a deploy of the pipeline takes, as a whole process, and how many calls to AWS it makes.

Starts an embedded stack of its own in a temporary directory, and stops it. Run: python -m benchmarks.deploying
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands.configuration import load
from commands.deployment import deployment
from lambda_toolkit.aws import Aws
from lambda_toolkit.execute import execute
from lambda_toolkit.plan import make_plan
from local import stack as embedded
from local.description import environment

REPOSITORY = Path(__file__).parents[1]
RUNS = 5
WRITES = ("Create", "Put", "Update", "Delete", "Add", "Remove", "Publish", "Subscribe", "Tag", "Attach", "Set")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for name in ("config", "lambdas"):
            shutil.copytree(REPOSITORY / name, root / name)
        stack = embedded.up(root)
        try:
            os.environ.update(environment(stack))
            print(f"{'deploy':<22}{'wall s, median of ' + str(RUNS):>24}{'calls':>8}{'writes':>8}")
            _measure("first", root, before=_destroy, runs=1)
            _measure("nothing changed", root, before=lambda root: None)
            _measure("one handler changed", root, before=_edit)
        finally:
            embedded.down(root, wipe=True)


def _measure(name: str, root: Path, before: object, runs: int = RUNS) -> None:
    seconds = []
    for _ in range(runs):
        before(root)  # type: ignore[operator]
        begun = time.perf_counter()
        _deploy(root)
        seconds.append(time.perf_counter() - begun)
    before(root)  # type: ignore[operator]
    calls = _calls(root)
    writes = [call for call in calls if call.startswith(WRITES)]
    print(f"{name:<22}{statistics.median(seconds):>24.2f}{len(calls):>8}{len(writes):>8}", flush=True)


def _deploy(root: Path, *arguments: str) -> None:
    config = str(root / "config" / "pipeline.toml")
    command = [sys.executable, "deploy.py", *(arguments or ("deploy",)), "--stage", "local", "--config", config]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)


def _destroy(root: Path) -> None:
    _deploy(root, "destroy", "--yes", "--delete-data")


def _edit(root: Path) -> None:
    handler = root / "lambdas" / "extract" / "handler.py"
    handler.write_text(handler.read_text() + f"\nEDITED = {time.time_ns()}\n")


def _calls(root: Path) -> list[str]:
    """The operations that one deploy calls, in this process."""
    with _counted() as calls:
        pipeline = load(root / "config" / "pipeline.toml", "local", os.environ)
        aws = Aws(region=pipeline.region)
        execute(aws, make_plan(aws, deployment(pipeline, aws.account_id, os.environ)))
    return calls


@contextmanager
def _counted() -> Iterator[list[str]]:
    from botocore.client import BaseClient

    calls: list[str] = []
    original = BaseClient._make_api_call

    def counted(self: BaseClient, operation_name: str, api_params: dict[str, object]) -> object:
        calls.append(operation_name)
        return original(self, operation_name, api_params)

    BaseClient._make_api_call = counted
    try:
        yield calls
    finally:
        BaseClient._make_api_call = original


if __name__ == "__main__":
    main()
