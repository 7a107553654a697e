"""What every comparison starts from: the tools, installed, and an emulated AWS with nothing in it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring import Account
from benchmarks.peers.peer import Peer, UnavailableError
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator
from lambda_toolkit.pipeline.local_stack.aws_emulator.emulator import Credentials
from lambda_toolkit.pipeline.local_stack.process import free_port

REGION = "eu-west-2"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lambda_script" / "benchmarks"
_KEYS = Credentials("AKIABENCHMARK0000000", "measuring")
_SAM_TRANSFORM = ("aws-sam-translator==1.115.0",)  # what AWS runs when it is sent a template of SAM
_STILL = 0.0001  # the speed of the emulator's schedules: none shall fire while deploys are measured


def installed(kinds: Sequence[type[Peer]], only: Sequence[str]) -> tuple[list[Peer], dict[str, str]]:
    """The tools that can be run here, and their versions. The others are named on stderr."""
    CACHE.mkdir(parents=True, exist_ok=True)
    peers: list[Peer] = []
    versions: dict[str, str] = {}
    for kind in kinds:
        peer = kind(CACHE)
        if only and not any(part.lower() in peer.name.lower() for part in only):
            continue
        try:
            versions[peer.name] = peer.install()
        except UnavailableError as error:
            print(f"{peer.name} is skipped: {error}", file=sys.stderr)
        else:
            peers.append(peer)
    return peers, versions


@contextmanager
def emulated() -> Iterator[Account]:
    """An empty emulated AWS, deleted afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="benchmark-"))
    home, log = directory / "emulator", directory / "emulator.log"
    emulator.set_clock_speed(home, _STILL)
    try:
        aws = emulator.launch(
            home,
            credentials=_KEYS,
            region=REGION,
            mail_sink=directory / "mail-sink",
            log=log,
            port=free_port(),
            on_progress=lambda text: print(text, file=sys.stderr),
            also=_SAM_TRANSFORM,
        )
        try:
            emulator.await_ready(aws, log)
            yield Account(aws.port, REGION, (_KEYS.access_key_id, _KEYS.secret_access_key))
        finally:
            emulator.stop(home, aws.process)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
