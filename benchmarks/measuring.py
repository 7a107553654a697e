"""Rounds of deploys: each tool in turn on an empty account, so that what the machine does meanwhile meets them all."""

from __future__ import annotations

import http.client
import os
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.peers.peer import Command, Peer, Project, Site, site_environment
from benchmarks.proxy import Proxy, Tally
from lambda_toolkit.pipeline.local_stack.process import LOOPBACK

FIRST, UNCHANGED, CHANGED = "first", "nothing changed", "one changed"
STEPS = (FIRST, UNCHANGED, CHANGED)
_SHOWN = 400  # characters of what a failed command said


@dataclass(frozen=True)
class Account:
    """The emulated account and its administrator's keys."""

    port: int
    region: str
    keys: tuple[str, str]

    def empty(self) -> None:
        """Reset it to its unused state."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=60)
        request = AWSRequest("POST", f"http://{LOOPBACK}:{self.port}/_ministack/reset")
        SigV4Auth(Credentials(*self.keys), "reset", self.region).add_auth(request)  # for the administrator alone
        try:
            connection.request("POST", "/_ministack/reset", headers=dict(request.headers))
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise RuntimeError(f"the emulator cannot be emptied: {answer.status} {answer.reason}")
        finally:
            connection.close()

    def client(self, service: str) -> Any:
        """A client past the proxy: what looks at the results is not counted."""
        return boto3.client(
            service,
            endpoint_url=f"http://{LOOPBACK}:{self.port}",
            region_name=self.region,
            aws_access_key_id=self.keys[0],
            aws_secret_access_key=self.keys[1],
        )

    def is_deployed(self, lambdas: int, schedules: int) -> bool:
        """So many Lambdas are there, and so many rules with a target."""
        functions = self.client("lambda").list_functions()["Functions"]
        events = self.client("events")
        rules = events.list_rules()["Rules"]
        aimed = [rule for rule in rules if events.list_targets_by_rule(Rule=rule["Name"])["Targets"]]
        return len(functions) >= lambdas and len(aimed) >= schedules


@dataclass(frozen=True)
class Timing:
    """One step of one round. ``operations`` counts the calls by name.

    ``processor`` is the tool's own seconds of it, user and system: what it costs whatever else the machine does.
    """

    seconds: float
    processor: float
    calls: int
    writes: int
    operations: Mapping[str, int]


@dataclass(frozen=True)
class Measurement:
    """One step of one tool over all rounds. ``failure`` is what it said where it did not deploy."""

    tool: str
    version: str
    step: str
    timings: Sequence[Timing]
    failure: str = ""

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(timing.seconds for timing in self.timings)

    @property
    def processor(self) -> float:
        """The median."""
        return statistics.median(timing.processor for timing in self.timings)

    @property
    def calls(self) -> int:
        """The median: some tools ask a different number of times until a stack is ready."""
        return round(statistics.median(timing.calls for timing in self.timings))

    @property
    def writes(self) -> int:
        """The median."""
        return round(statistics.median(timing.writes for timing in self.timings))


@contextmanager
def prepared(account: Account, proxy: Proxy, peer: Peer, project: Project) -> Iterator[Site]:
    """An empty account, and the tool's project in a temporary directory, ready for the first deploy."""
    with tempfile.TemporaryDirectory(prefix="project-") as directory:
        home = Path(directory) / "project"
        home.mkdir()
        environment = site_environment(Path(directory) / "home", proxy.url, account.region, account.keys, peer)
        site = Site(home, environment, peer.answers)
        account.empty()
        peer.write(site, project)
        for command in peer.prepare(site, project):
            done = site.run(command)
            if done.returncode:
                raise RuntimeError(f"{command}: {said(done)}")
        yield site


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The end of what a command said."""
    return (done.stdout + done.stderr).strip()[-_SHOWN:]


@dataclass
class Rounds:
    """All rounds of all tools on one account."""

    account: Account
    proxy: Proxy
    project: Project
    _timings: dict[tuple[str, str, str], list[Timing]] = field(default_factory=dict)
    _failures: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def measure(self, peer: Peer) -> None:
        """One round of one tool: first deploy, nothing changed, one function changed; then its quick way, if any."""
        changed = self.project.functions[0]
        with prepared(self.account, self.proxy, peer, self.project) as site:

            def deployed() -> bool:
                return self.account.is_deployed(*peer.expected(self.project))

            if not self._step(peer, peer.name, FIRST, site, peer.first(self.project), deployed):
                return
            self._step(peer, peer.name, UNCHANGED, site, peer.again(self.project), deployed)
            before = self._code(changed)
            peer.edit(site, self.project, changed, 2)
            self._step(peer, peer.name, CHANGED, site, peer.again(self.project), lambda: self._code(changed) != before)
            quick = peer.quick(self.project, changed)
            if quick and peer.quick_name:
                middle = self._code(changed)
                peer.edit(site, self.project, changed, 3)
                self._step(peer, peer.quick_name, CHANGED, site, quick, lambda: self._code(changed) != middle)

    def measurements(self, versions: Mapping[str, str]) -> list[Measurement]:
        """What was measured, in the order in which it first was."""
        keys = dict.fromkeys((*self._timings, *self._failures))
        return [
            Measurement(tool, versions[peer], step, self._timings.get(key, []), self._failures.get(key, ""))
            for key in keys
            for peer, tool, step in [key]
        ]

    def _step(
        self, peer: Peer, tool: str, step: str, site: Site, commands: Sequence[Command], worked: Callable[[], bool]
    ) -> bool:
        """Run and time one step. False, with what was said, where the tool failed or AWS is not as it should be."""
        key = (peer.name, tool, step)
        with self.proxy.counted() as tally:
            begun, used = time.perf_counter(), _processor()
            for command in commands:
                done = site.run(command)
                if done.returncode:
                    self._failures[key] = said(done)
                    return False
            seconds, used = time.perf_counter() - begun, _processor() - used
        if not worked():
            self._failures[key] = "it reported success, but AWS is not as declared"
            return False
        self._timings.setdefault(key, []).append(_timing(seconds, used, tally))
        return True

    def _code(self, function: str) -> str:
        """The hash of a function's code: of the only one, where all are one."""
        found = self.account.client("lambda").list_functions()["Functions"]
        own = [item for item in found if item["FunctionName"].endswith(function)] or found
        return str(own[0]["CodeSha256"])


def _timing(seconds: float, processor: float, tally: Tally) -> Timing:
    return Timing(seconds, processor, tally.calls, len(tally.writes), dict(Counter(map(str, tally.operations))))


def _processor() -> float:
    """The seconds that commands which have ended took of the processor."""
    times = os.times()
    return times.children_user + times.children_system
