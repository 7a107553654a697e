"""A process is identified by its id and start time, and is stopped with its children."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lambda_toolkit.pipeline.local_stack.process import (
    Identity,
    free_port,
    group_of,
    identify,
    is_alive,
    stop,
    stop_group,
    wait_until,
)

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def started(program: str) -> tuple[subprocess.Popen[str], str, Identity]:
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    process.stdout.close()
    identity = identify(process.pid)
    assert identity is not None
    return process, said, identity


@pytest.fixture
def family() -> Iterator[tuple[subprocess.Popen[str], Identity, int]]:
    process, said, identity = started(PARENT)
    yield process, identity, int(said)
    stop_group(identity)
    process.wait()


def test_a_later_process_with_the_same_id_is_another() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert is_alive(me)
    assert not is_alive(Identity(me.pid, me.started - 10))
    assert not stop(Identity(me.pid, me.started - 10))
    assert group_of(Identity(me.pid, me.started - 10)) == []


def test_ended_process_is_not_alive_and_not_stopped() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    ended = Identity(process.pid, 0.0)
    assert not is_alive(ended)
    assert not stop(ended)
    assert not stop_group(ended)


def test_a_group_is_stopped_as_a_whole(family: tuple[subprocess.Popen[str], Identity, int]) -> None:
    _, leader, child = family

    assert {member.pid for member in group_of(leader)} == {leader.pid, child}
    assert stop_group(leader)
    assert identify(child) is None
    assert not stop_group(leader)


def test_what_a_dead_leader_left_behind_is_stopped(family: tuple[subprocess.Popen[str], Identity, int]) -> None:
    process, leader, child = family
    process.kill()
    process.wait()

    assert [member.pid for member in group_of(leader)] == [child]
    assert stop_group(leader)
    assert identify(child) is None


def test_one_that_does_not_listen_is_killed() -> None:
    process, _, identity = started(STUBBORN)

    assert stop(identity, signal.SIGTERM, timeout=0.3)
    assert not is_alive(identity)
    process.wait()


def test_waiting_ends_when_it_is_time() -> None:
    assert wait_until(lambda: True, timeout=0)
    assert not wait_until(lambda: False, timeout=0.01, poll=0.001)


def test_free_port_is_the_preferred_one_unless_in_use() -> None:
    port = free_port()
    assert port in range(20_000, 32_768), "no connection is given it before a server listens"
    assert 1024 < port < 65536
    assert free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert free_port(port) != port
