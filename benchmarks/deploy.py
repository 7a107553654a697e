"""How long deploys take, with this toolkit and with others: wall time, calls to AWS and writes, in one run.

All deploy the same functions, each with a schedule, to one emulated AWS that is started for it and stopped afterwards,
through one proxy that counts. Tools are installed on first use into a cache outside the repository.

Run: python -m benchmarks.deploy, and see its --help
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from benchmarks.measuring import Measurement, Rounds
from benchmarks.peers.boto3_script import Boto3Script
from benchmarks.peers.cdk import Cdk
from benchmarks.peers.chalice import Chalice
from benchmarks.peers.peer import Peer, Project
from benchmarks.peers.sam import Sam
from benchmarks.peers.serverless import Serverless
from benchmarks.peers.toolkit import Pipeline, Toolkit, Totes, beside
from benchmarks.peers.zappa import Zappa
from benchmarks.proxy import Proxy
from benchmarks.report import as_markdown, machine, replace_between, show
from benchmarks.scene import emulated, installed

PEERS: Sequence[type[Peer]] = (Toolkit, Pipeline, Boto3Script, Cdk, Sam, Zappa, Serverless, Chalice)
OWN: Sequence[type[Peer]] = (Totes,)


def main() -> int:
    """Measure and print. Ctrl-C ends the measuring, and what was measured so far is shown."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    kinds = OWN if arguments.pipeline else PEERS
    if arguments.beside:
        kinds = [item for kind in (Toolkit, Pipeline) for item in (kind, beside(kind, arguments.beside.absolute()))]
    peers, versions = installed(kinds, arguments.only)
    project = Project(("totes-dev-extract",)) if arguments.pipeline else Project.of(arguments.functions)
    with emulated() as account, Proxy(account.port, delay=arguments.delay / 1000) as proxy:
        rounds = Rounds(account, proxy, project)
        with suppress(KeyboardInterrupt):
            for number in range(arguments.runs):
                for peer in peers:
                    print(f"round {number + 1} of {arguments.runs}: {peer.name}", file=sys.stderr, flush=True)
                    rounds.measure(peer)
    measurements = rounds.measurements(versions)
    what = "the whole pipeline" if arguments.pipeline else f"{arguments.functions} functions"
    heading = f"{what}, {arguments.delay:g} ms added to each call, {machine(measurements)}"
    show(heading, measurements)
    if arguments.json:
        arguments.json.write_text(_document(arguments, measurements), encoding="utf-8")
    if arguments.into:
        kind = "pipeline" if arguments.pipeline else "beside" if arguments.beside else arguments.functions
        marker = f"deploy {kind} {arguments.delay:g}"
        replace_between(arguments.into, marker, as_markdown(heading, measurements))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deploy", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    parser.add_argument("--functions", type=int, default=3, metavar="N")
    parser.add_argument("--delay", type=float, default=0.0, metavar="MS", help="added to each call to AWS")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="tools whose name holds one of these")
    parser.add_argument("--pipeline", action="store_true", help="the pipeline of this repository, and no other tool")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="another one of this repository; no other tool")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all single times too")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the table into its place in this document")
    return parser.parse_args()


def _document(arguments: argparse.Namespace, measurements: Sequence[Measurement]) -> str:
    facts = {"functions": arguments.functions, "delay_ms": arguments.delay, "runs": arguments.runs}
    return json.dumps({**facts, "measurements": [asdict(item) for item in measurements]}, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
