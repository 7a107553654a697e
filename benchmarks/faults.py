"""What deploy tools do when AWS is as it is: a new role not yet known, calls throttled, one call denied half way.

The faults are made by the proxy in front of the emulated AWS, alike for every tool. After each, the tool's next command
is run with AWS in order again. Run: python -m benchmarks.faults [--only NAME ...] [--into FILE]
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.deploy import PEERS
from benchmarks.measuring import Account, prepared, said
from benchmarks.operations import Operation
from benchmarks.peers.peer import Command, Peer, Project, Site
from benchmarks.proxy import Fault, Proxy, Refusal
from benchmarks.report import markdown_table, replace_between, show_table
from benchmarks.scene import emulated, installed

_ROLE_LAG = 8.0  # seconds from a role's creation until Lambda may assume it
_THROTTLED = 0.3  # share of the calls
_CLOUDFORMATIONS = "CDK", "SAM", "serverless"  # they make roles inside CloudFormation, which waits for them
_LAG, _THROTTLING, _DENIAL = f"role unknown for {_ROLE_LAG:.0f} s", "30 % throttled", "denied half way"
_LONGEST_REASON = 110  # characters


@dataclass(frozen=True)
class Outcome:
    """What became of one tool under one fault."""

    text: str
    reason: str = ""


def main() -> int:
    """Provoke and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="tools whose name holds one of these")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the table into its place in this document")
    arguments = parser.parse_args()
    peers, versions = installed(PEERS, arguments.only)
    rows, reasons = [], []
    with emulated() as account, Proxy(account.port) as proxy:
        trial = _Trial(account, proxy, Project.of(3))
        for peer in peers:
            print(peer.name, file=sys.stderr, flush=True)
            outcomes = trial.of(peer)
            rows.append([peer.name, versions[peer.name], *(outcome.text for outcome in outcomes.values())])
            reasons += [f"{peer.name}, {fault}: {o.reason}" for fault, o in outcomes.items() if o.reason]
    columns = ["tool", "version", _LAG, _THROTTLING, _DENIAL]
    show_table("AWS as it is", columns, rows, reasons)
    if arguments.into:
        notes = "".join(f"- {reason}\n" for reason in reasons)
        replace_between(arguments.into, "faults", f"{markdown_table(columns, rows)}\n{notes}")
    return 0


@dataclass(frozen=True)
class _Trial:
    """One tool after the other, each fault on an empty account."""

    account: Account
    proxy: Proxy
    project: Project

    def of(self, peer: Peer) -> Mapping[str, Outcome]:
        """What it does under each fault."""
        is_formation = peer.name.startswith(_CLOUDFORMATIONS)
        writes = self._writes(peer)
        return {
            _LAG: Outcome("CloudFormation's matter") if is_formation else self._under(peer, _role_lag()),
            _THROTTLING: self._under(peer, _throttled(random.Random(7))),  # noqa: S311  (the same for every tool)
            _DENIAL: self._under(peer, _denied(writes // 2)),
        }

    def _writes(self, peer: Peer) -> int:
        """How many writes its first deploy makes, where nothing is in the way."""
        with prepared(self.account, self.proxy, peer, self.project) as site, self.proxy.counted() as tally:
            _run(site, peer.first(self.project))
        return len(tally.writes)

    def _under(self, peer: Peer, fault: Fault) -> Outcome:
        with prepared(self.account, self.proxy, peer, self.project) as site:
            begun = time.perf_counter()
            self.proxy.fault = fault
            try:
                reason = _run(site, peer.first(self.project))
            finally:
                self.proxy.fault = lambda operation: None
            seconds = time.perf_counter() - begun
            if reason is None and self._is_deployed(peer):
                return Outcome(f"deployed, {seconds:.1f} s")
            first = "failed" if reason is not None else "reported success, but is not deployed"
            again = _run(site, peer.first(self.project))
            if again is None and self._is_deployed(peer):
                return Outcome(f"{first}; the same command repaired it", _shortened(reason))
            other = _run(site, peer.again(self.project)) if peer.again(self.project) != peer.first(self.project) else ""
            if other is None and self._is_deployed(peer):
                return Outcome(f"{first}; its update command repaired it", _shortened(reason))
            return Outcome(f"{first}, and again without the fault", _shortened(again or reason))

    def _is_deployed(self, peer: Peer) -> bool:
        return self.account.is_deployed(*peer.expected(self.project))


def _run(site: Site, commands: Sequence[Command]) -> str | None:
    """``None`` where all commands ended well; otherwise the end of what the one that did not said."""
    for command in commands:
        done = site.run(command)
        if done.returncode:
            return said(done)
    return None


def _role_lag() -> Fault:
    """CreateFunction as Lambda answers it while it does not know the role."""
    made: list[float] = []

    def fault(operation: Operation) -> Refusal | None:
        if operation.name == "CreateRole":
            made.append(time.monotonic())
        if operation.name == "CreateFunction" and made and time.monotonic() - made[-1] < _ROLE_LAG:
            message = "The role defined for the function cannot be assumed by Lambda."
            return Refusal("InvalidParameterValueException", message)
        return None

    return fault


def _throttled(chance: random.Random) -> Fault:
    """Three calls in ten, as each service throttles."""

    def fault(operation: Operation) -> Refusal | None:
        if chance.random() >= _THROTTLED:
            return None
        if operation.service == "s3":
            return Refusal("SlowDown", "Please reduce your request rate.", 503)
        if operation.service == "lambda":
            return Refusal("TooManyRequestsException", "Rate exceeded", 429)
        return Refusal(
            "Throttling" if operation.service in ("iam", "cloudformation") else "ThrottlingException", "Rate exceeded"
        )

    return fault


def _denied(number: int) -> Callable[[Operation], Refusal | None]:
    """The write of that number."""
    count, lock = [0], threading.Lock()

    def fault(operation: Operation) -> Refusal | None:
        with lock:
            count[0] += operation.is_write
            is_it = operation.is_write and count[0] == number
        return Refusal("AccessDenied", f"not authorized to perform: {operation}", 403) if is_it else None

    return fault


def _shortened(reason: str | None) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in (reason or "").splitlines() if line.strip()]
    return (lines[-1] if lines else "")[:_LONGEST_REASON]


if __name__ == "__main__":
    sys.exit(main())
