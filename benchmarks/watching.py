"""How long it takes from the save of a file until its code is live: `watch`, `cdk watch` and `sam sync --watch`.

A handler is written again and again while the tool watches, on an emulated AWS that is started for it. Live is when the
function has the new code, seen from outside by reading it every 10 ms: with this toolkit that of its alias, after the
check of the version; with the others, which have no alias, its latest code. The last version is invoked, and must
return what was saved last.

Run: python -m benchmarks.watching [--saves N] [--only NAME ...] [--into docs/benchmarks.md]
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from benchmarks.measuring import Account
from benchmarks.peers.cdk import Cdk
from benchmarks.peers.peer import Command, Peer, Project, Site, site_environment
from benchmarks.peers.sam import Sam
from benchmarks.peers.toolkit import Toolkit
from benchmarks.report import machine_now, markdown_table, replace_between, show_table
from benchmarks.scene import emulated, installed

REPOSITORY = Path(__file__).parents[1]
SCRIPT = """from lambda_script import Lambda_script

Lambda_script("functions/watched/handler.py", function_name_template="watched", schedule="rate(5 minutes)").deploy()
"""
PROJECT = Project(("watched",))
[FUNCTION] = PROJECT.functions
FIRST, LONGEST = 600.0, 120.0  # seconds for the first deploy, and for one save
_BUCKET = "bench-sam-artifacts"
_COLUMNS = ("command", "version", "from save to live")


class NotLiveError(Exception):
    """The tool did not make live what was saved. The text says after how long, and the last that it printed."""


@dataclass(frozen=True)
class Watcher:
    """A tool's command that deploys after each save, until it is interrupted."""

    name: str
    peer: type[Peer]
    command: Command
    qualifier: str = "$LATEST"
    prepare: Callable[[Path], object] = lambda folder: None
    """What it needs beside the project as the peer writes it."""


def _script(folder: Path) -> None:
    (folder / "app.py").write_text(SCRIPT, encoding="utf-8")


def _watched_files(folder: Path) -> None:
    settings = json.loads((folder / "cdk.json").read_text(encoding="utf-8"))
    watched = {"watch": {"include": ["functions/**"], "exclude": ["cdk.out/**"]}}
    (folder / "cdk.json").write_text(json.dumps({**settings, **watched}), encoding="utf-8")


WATCHERS = (
    Watcher(
        "lambda-script watch", Toolkit, [sys.executable, REPOSITORY / "deploy.py", "watch", "app.py"], "live", _script
    ),
    Watcher("cdk watch", Cdk, ["cdk", "watch", "--hotswap-fallback", "--no-logs"], prepare=_watched_files),
    Watcher(
        "sam sync --watch",
        Sam,
        [
            *("sam", "sync", "--watch", "--template", "template.json", "--stack-name", "bench"),
            *(
                "--s3-bucket",
                _BUCKET,
                "--no-dependency-layer",
                "--capabilities",
                "CAPABILITY_IAM",
                "CAPABILITY_AUTO_EXPAND",
            ),
        ],
    ),
)


def main() -> None:
    """Measure, print, and write the table where it is asked for. A tool that fails is named, and the others go on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=15)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="tools whose name holds one of these")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the table into its place in this document")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: nothing is left running
    chosen = [each for each in WATCHERS if not asked.only or any(part in each.name for part in asked.only)]
    rows = [row for watcher in chosen for row in _rows(watcher, asked.saves)]
    heading = f"one function, from save to live, {machine_now(asked.saves)}"
    show_table(heading, _COLUMNS, rows, [])
    if asked.into:
        replace_between(asked.into, "watching", f"{heading}\n\n{markdown_table(_COLUMNS, rows)}")


def _rows(watcher: Watcher, saves: int) -> list[list[str]]:
    """The row of a tool; none where it cannot be installed here."""
    peers, versions = installed([watcher.peer], [])
    rows = []
    for peer in peers:
        print(f"{watcher.name}: {saves} saves", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as directory, emulated() as account:
            try:
                said = _shown(measured(watcher, peer, Path(directory), account, saves))
            except NotLiveError as error:
                said = f"did not run: {error}"
        rows.append([watcher.name, versions[peer.name], said])
    return rows


def _shown(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def measured(watcher: Watcher, peer: Peer, directory: Path, account: Account, saves: int) -> list[float]:
    """The seconds of each save."""
    folder = directory / "project"
    folder.mkdir()
    endpoint = f"http://127.0.0.1:{account.port}"
    environment = site_environment(directory / "home", endpoint, account.region, account.keys, peer)
    site = Site(folder, environment, peer.answers)
    peer.write(site, PROJECT)
    watcher.prepare(folder)
    for command in peer.prepare(site, PROJECT):
        site.run(command)
    lambda_ = boto3.client(
        "lambda",
        region_name=account.region,
        endpoint_url=endpoint,
        aws_access_key_id=account.keys[0],
        aws_secret_access_key=account.keys[1],
    )
    live = Live(lambda_, {"FunctionName": FUNCTION, "Qualifier": watcher.qualifier})
    log = directory / "watch.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in watcher.command],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        )
    if process.stdin:
        process.stdin.write(peer.answers.encode())
        process.stdin.flush()
    try:
        live.await_change("", FIRST)
        live.await_rest()
        return [_save(folder, live, number) for number in range(2, saves + 2)]
    except NotLiveError as error:
        lines = log.read_text(encoding="utf-8").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
        raise NotLiveError(f"{error}: {last[:120]}") from error
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
        print(log.read_text(encoding="utf-8"), file=sys.stderr)


def _save(folder: Path, live: Live, number: int) -> float:
    before = live.hash()
    begun = time.monotonic()
    PROJECT.edit_handler(folder, FUNCTION, number)
    live.await_change(before, LONGEST)
    seconds = time.monotonic() - begun
    assert live.invoke()["revision"] == number
    live.await_rest()
    return seconds


@dataclass(frozen=True)
class Live:
    """The function, as callers see it."""

    client: Any
    named: Mapping[str, str]

    def hash(self) -> str:
        """That of its code; empty where there is no function."""
        try:
            found = self.client.get_function_configuration(**self.named)
        except self.client.exceptions.ResourceNotFoundException:
            return ""
        return str(found["CodeSha256"])

    def invoke(self) -> Any:
        """What it returns."""
        return json.load(self.client.invoke(**self.named)["Payload"])

    def await_change(self, before: str, seconds: float) -> None:
        """Wait until the hash is another."""
        begun = time.monotonic()
        while self.hash() == before:
            if time.monotonic() - begun > seconds:
                raise NotLiveError(f"not live after {seconds:.0f} s")
            time.sleep(0.01)

    def await_rest(self) -> None:
        """Give the tool time to finish: to save during a deploy would measure that one, too."""
        time.sleep(5.0)


if __name__ == "__main__":
    main()
