"""One embedded stack for all tests here: a real PostgreSQL, the emulated AWS, the real packages, the real triggers."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import deploy
from lambda_toolkit.pipeline.local_stack import stack as embedded
from lambda_toolkit.pipeline.local_stack.databases import Database
from lambda_toolkit.pipeline.local_stack.description import Stack

REPOSITORY = Path(__file__).parents[2]
ORDERS = "400"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "end_to_end" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("embedded_stack"))


@dataclass(frozen=True)
class CommandLine:
    """``python deploy.py ...`` in a copy of the repository's configuration and functions."""

    root: Path

    def __call__(self, *arguments: str, env: dict[str, str] | None = None, input: str | None = None) -> Result:
        config = ["--config", str(self.root / "config" / "pipeline.toml")]
        return CliRunner().invoke(deploy.main, [*arguments, *config], env=env, input=input)

    def document(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The JSON document that the command prints, which is all that it prints."""
        result = self(*arguments, "--json")
        assert result.exit_code == code, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    @property
    def stack(self) -> Stack:
        return embedded.load_stack(self.root)


def copy_of_the_repository(directory: Path) -> Path:
    """Copy the configuration and the functions; the copied configuration names the copied source, which tests edit."""
    for name in ("config", "lambdas"):
        shutil.copytree(REPOSITORY / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    config = directory / "config" / "pipeline.toml"
    own = r'[functions.\1]\nsource = "lambdas/\1"\ninclude = ["lambdas/shared"]\n'
    config.write_text(re.sub(r"\[functions\.(\w+)\]\n", own, config.read_text(encoding="utf-8")), encoding="utf-8")
    return directory


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Commands point this process at the stack; the next test must not notice, nor any of them the developer's keys."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("AWS_", "SOURCE_", "WAREHOUSE_"))]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line, with a stack that is up, seeded with 400 orders and deployed to; nothing was extracted yet.

    Its schedules do not fire during a test: their clock is slowed down.
    """
    before = dict(os.environ)
    line = CommandLine(copy_of_the_repository(tmp_path_factory.mktemp("embedded")))
    try:
        result = line("local", "up", "--orders", ORDERS)
        assert result.exit_code == 0, result.output
        embedded.set_clock_speed(line.stack, 0.001)
        os.environ.clear()
        os.environ.update(before)
        yield line
    finally:
        embedded.down(line.root, wipe=True)
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def filled(cli: CommandLine) -> CommandLine:
    """The same, once the first batch is in the warehouse."""
    result = cli("run")
    assert result.exit_code == 0, result.output
    return cli


@pytest.fixture
def sql() -> Callable[..., list[list[Any]]]:
    """Runs one statement in a database of the stack."""

    def run(database: Database, statement: str, **values: Any) -> list[list[Any]]:
        connection = database.connect()
        try:
            return list(connection.run(statement, **values) or [])
        finally:
            connection.close()

    return run


@pytest.fixture
def aws() -> Callable[[CommandLine, str], Any]:
    """A plain boto3 client of the stack's AWS."""
    import boto3

    def client(line: CommandLine, service: str) -> Any:
        stack = line.stack
        return boto3.client(
            service,
            endpoint_url=stack.aws_endpoint_url,
            region_name=stack.region,
            aws_access_key_id=stack.access_key_id,
            aws_secret_access_key=stack.secret_access_key,
        )

    return client
