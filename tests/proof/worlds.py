"""Worlds in which histories happen: a :class:`Simulation`, opened, with another S3 or with a second warehouse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import moto

from tests.proof.databases import schema
from tests.proof.simulation import Simulation
from tests.proof.twin import Twin


@contextlib.contextmanager
def opened(server: Any) -> Iterator[Simulation]:
    """A world on ``server``, with an S3 of its own in memory."""
    world = Simulation(server)
    try:
        yield world
    finally:
        world.close()


@contextlib.contextmanager
def with_twin(world: Simulation, directory: Path) -> Iterator[Simulation]:
    """The same world with a second warehouse, a DuckDB file in ``directory``, into which each run of load loads."""
    world.twin = Twin(directory, schema(), world.declarations)
    try:
        yield world
    finally:
        world.twin = None


@contextlib.contextmanager
def on_moto(world: Simulation) -> Iterator[Simulation]:
    """The same world with moto's S3: slower, and closer to the real one."""
    with moto.mock_aws():
        quick, world.client = (
            world.client,
            boto3.client("s3", region_name="eu-west-2", aws_access_key_id="test", aws_secret_access_key="test"),
        )
        try:
            yield world
        finally:
            world.client = quick
