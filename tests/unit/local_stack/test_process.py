"""A process is identified by its id and start time, and is stopped with its children."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from lambda_toolkit.pipeline.local_stack import process as processes
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
    assert stop(ended) is stop_group(ended) is False


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
    assert wait_until(lambda: True, timeout=0) is True
    assert not wait_until(lambda: False, timeout=0.01, poll=0.001)


def test_free_port_is_the_preferred_one_unless_in_use() -> None:
    port = free_port()
    assert port in range(20_000, 32_768), "no connection is given it before a server listens"
    assert 1024 < port < 65536
    assert free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert free_port(port) != port


def test_members_of_a_group_began_after_its_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the clock ticked in between. What ends while it is looked at is none."""
    leader = Identity(10, 100.0)
    started = {10: 100.04, 11: 100.0, 12: 99.96, 13: 99.9, 14: 100.0, 16: 105.0}
    groups = {10: 10, 12: 10, 13: 10, 14: 13, 15: 10, 16: 10}

    def group(pid: int) -> int:
        if pid not in groups:
            raise ProcessLookupError
        return groups[pid]

    monkeypatch.setattr(os, "getpgid", group)
    monkeypatch.setattr(processes, "identify", lambda pid: Identity(pid, started[pid]) if pid in started else None)
    monkeypatch.setattr(psutil, "process_iter", lambda: [SimpleNamespace(pid=pid) for pid in range(10, 17)])
    assert [member.pid for member in group_of(leader)] == [10, 12, 16]
    started[10] = 100.06
    assert group_of(leader) == [], "a later process has its id"
    del started[10]
    assert [member.pid for member in group_of(leader)] == [12, 16]


def test_condition_is_looked_at_until_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    slept: list[float] = []
    monkeypatch.setattr(processes, "monotonic", lambda: clock[0])
    monkeypatch.setattr(
        processes, "sleep", lambda seconds: slept.append(seconds) or clock.append(clock.pop() + seconds)
    )
    assert wait_until(lambda: clock[0] >= 102.0, 3.0, 0.5) is True
    assert slept == [0.5] * 4
    assert wait_until(lambda: False, 1.0, 0.5) is False
    assert slept == [0.5] * 6


def test_signal_is_sent_to_this_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was asked for first; one that ends meanwhile is sent none, and is no error."""
    sent: list[Any] = []
    alive = {Identity(pid, 1.0) for pid in (10, 11, 12)}

    def kill(pid: int, number: int) -> None:
        sent.append((pid, number))
        alive.discard(Identity(pid, 1.0))
        if pid != 10:
            raise ProcessLookupError if pid == 11 else PermissionError

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(processes, "is_alive", lambda identity: identity in alive)
    for pid, number in ((10, signal.SIGINT), (11, signal.SIGQUIT)):
        assert stop(Identity(pid, 1.0), number) is True
        assert stop(Identity(pid, 1.0), number) is False
    assert sent == [(10, signal.SIGINT), (11, signal.SIGQUIT)]
    processes._send(Identity(10, 1.0), signal.SIGKILL)
    assert len(sent) == 2
    with pytest.raises(PermissionError):
        stop(Identity(12, 1.0))


def test_child_that_ended_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    assert wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, 20)
    assert identify(child.pid) is None
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)
    child.returncode = 0
    zombie = SimpleNamespace(status=lambda: psutil.STATUS_ZOMBIE)
    monkeypatch.setattr(psutil, "Process", lambda pid: zombie)
    assert identify(child.pid) is None, "the child of another process is not waited for"


def test_port_is_free_where_no_process_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(processes, "_PORTS", [taken])
        assert taken != free_port() > 1024, "if all of its own are taken, the system chooses"
        client = socket.create_connection(("127.0.0.1", taken))
        server.accept()[0].close()
    client.close()
    assert free_port(taken) == taken, "an old connection takes none"

    class Taken(socket.socket):
        def bind(self, address: Any) -> None:
            assert address[0] == "127.0.0.1"
            raise OSError

    monkeypatch.setattr(socket, "socket", Taken)
    with pytest.raises(OSError, match=r"No port of 127\.0\.0\.1 is free\."):
        free_port()
