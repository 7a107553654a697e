"""Processes that outlive the command that started them, known by id and start time, so that no other one is killed."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep

import psutil

LOOPBACK = "127.0.0.1"
_SAME_START = 0.05  # seconds: psutil derives a start time from clock ticks of 10 ms
_POLL = 0.05  # seconds
_PORTS = range(20_000, 32_768)  # Linux gives those above to connections: net.ipv4.ip_local_port_range
_TRIES = 20


@dataclass(frozen=True)
class Identity:
    """A process id and when that process started (seconds since 1970): ids are used again, the pair is not."""

    pid: int
    started: float


def identify(pid: int) -> Identity | None:
    """The identity of the process that has this id now; None when there is none.

    One that ended and was not waited for counts as none. If this process is its parent it is waited for now: to others,
    PostgreSQL's lock file for one, it would go on being there.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            return None
        return Identity(pid, process.create_time())
    except psutil.NoSuchProcess:
        return None


def is_alive(identity: Identity) -> bool:
    """Whether this very process, and not a later one with its id, still runs."""
    now = identify(identity.pid)
    return now is not None and abs(now.started - identity.started) <= _SAME_START


def group_of(leader: Identity) -> list[Identity]:
    """The live processes of the group that ``leader`` made, itself included while it lives.

    A group outlives its leader, and meanwhile the system gives its id to no other process. A later process with the
    leader's id is therefore proof that the group has ended.
    """
    now = identify(leader.pid)
    if now is not None and not is_alive(leader):
        return []
    members = []
    for process in psutil.process_iter():
        try:
            in_group = os.getpgid(process.pid) == leader.pid
        except ProcessLookupError:
            continue
        found = identify(process.pid) if in_group else None
        if found is not None and found.started >= leader.started - _SAME_START:
            members.append(found)
    return members


def stop(identity: Identity, first: signal.Signals = signal.SIGTERM, timeout: float = 10.0) -> bool:
    """Ask one process to end, and kill it after ``timeout`` seconds. Returns False when it did not run any more."""
    if not is_alive(identity):
        return False
    _send(identity, first)
    if not wait_until(lambda: not is_alive(identity), timeout):
        _send(identity, signal.SIGKILL)
        wait_until(lambda: not is_alive(identity), timeout)
    return True


def stop_group(leader: Identity, first: signal.Signals = signal.SIGTERM, timeout: float = 10.0) -> bool:
    """Ask the leader of a process group to end, then end what is left of the group. False if none ran."""
    members = group_of(leader)
    if not members:
        return False
    stop(leader, first, timeout)
    for member in group_of(leader):
        _send(member, signal.SIGKILL)
    wait_until(lambda: not group_of(leader), timeout)
    return True


def wait_until(condition: Callable[[], bool], timeout: float, poll: float = _POLL) -> bool:
    """Whether ``condition`` came true within ``timeout`` seconds."""
    deadline = monotonic() + timeout
    while not condition():
        if monotonic() >= deadline:
            return False
        sleep(poll)
    return True


def free_port(preferred: int = 0) -> int:
    """A port of the loopback interface that no process listens on now: the preferred one if it is free, else any.

    Below those that systems give to connections: one of these could be taken before a server listens on it.
    """
    others = (secrets.choice(_PORTS) for _ in range(_TRIES))
    for wanted in (*([preferred] if preferred else []), *others, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # old connections do not take a port
            try:
                probe.bind((LOOPBACK, wanted))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
    raise OSError(f"No port of {LOOPBACK} is free.")


def _send(identity: Identity, number: signal.Signals) -> None:
    if not is_alive(identity):
        return
    try:
        os.kill(identity.pid, number)
    except ProcessLookupError:
        return  # it ended in between: that is what was wanted
