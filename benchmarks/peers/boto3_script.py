"""The plain boto3 script, ``sequential.py``: what one writes without a tool."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.peer import RUNTIME, Command, Peer, Project, Site

SCRIPT = Path(__file__).with_name("sequential.py")


class Boto3Script(Peer):
    """One call after the other, with boto3's own waiters."""

    name = "boto3, sequential with waiters"

    def install(self) -> str:
        """Nothing to install: boto3 is here."""
        return f"boto3 {version('boto3')}"

    def write(self, site: Site, project: Project) -> None:
        """The handlers, and what the program has to know."""
        project.write_handlers(site.directory)
        facts = {
            "functions": project.functions,
            "schedule": project.schedule,
            "memory": project.memory,
            "timeout": project.timeout,
            "runtime": RUNTIME,
        }
        (site.directory / "project.json").write_text(json.dumps(facts), encoding="utf-8")

    def first(self, project: Project) -> Sequence[Command]:
        """The one command that there is."""
        return [[sys.executable, SCRIPT]]
