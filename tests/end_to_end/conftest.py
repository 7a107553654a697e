"""One local stack for all tests here: a real PostgreSQL, the emulated AWS, the real packages, the real triggers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.pipeline.local_stack import stack as embedded
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from tests.support import emulator_clock
from tests.support.command_line import CommandLine, copy_of_the_repository

ORDERS = "400"


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "end_to_end" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("embedded_stack"))


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Commands point this process at the stack; the next test must not notice, nor any of them the developer's keys."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("AWS_", "SOURCE_", "WAREHOUSE_"))]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


def _still(set_clock_speed: Callable[[Path, float], None]) -> Callable[[Path, float], None]:
    """``set_clock_speed`` for a stack whose schedules are still where a user's would fire.

    `local up` sets the speed of a user, also where it refuses what follows: schedules would fire in the next tests.
    """
    return lambda directory, speed: set_clock_speed(directory, emulator_clock.STILL if speed == 1 else speed)


@pytest.fixture(scope="package")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line, with a stack that is up, seeded with 400 orders and deployed to; nothing was extracted yet.

    Its schedules do not fire during a test: their clock is slowed down, and a test may hold it (emulator_clock).
    """
    before = dict(os.environ)
    line = CommandLine(copy_of_the_repository(tmp_path_factory.mktemp("embedded")))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(emulator, "set_clock_speed", _still(emulator.set_clock_speed))
            with pytest.MonkeyPatch.context() as starting:
                starting.setattr(emulator, "LAUNCHER", Path(emulator_clock.__file__))
                result = line("local", "up", "--orders", ORDERS)
            assert result.exit_code == 0, result.output
            os.environ.clear()
            os.environ.update(before)
            yield line
    finally:
        embedded.down(line.root, wipe=True)
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="package")
def filled(cli: CommandLine) -> CommandLine:
    """The same, once the first batch is in the warehouse."""
    for arguments in (("run",), ("invoke", "freshness")):  # no schedule fires meanwhile
        result = cli(*arguments)
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
