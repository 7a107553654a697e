"""A stack for the tests of this directory."""

from collections.abc import Iterator

import pytest

from lambda_toolkit.pipeline.local_stack import stack as embedded
from lambda_toolkit.pipeline.local_stack.description import Stack
from tests.support.account import SCHEMA, Account

CLOCK_SPEED = 30  # rate(1 minute) fires every two seconds


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack, its schedules thirty times as fast."""
    root = tmp_path_factory.mktemp("stack")
    try:
        yield embedded.up(root, source_schema=SCHEMA, clock_speed=CLOCK_SPEED)
    finally:
        embedded.down(root, wipe=True)


@pytest.fixture(scope="package")
def account(stack: Stack) -> Account:
    return Account(stack)
