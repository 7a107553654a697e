"""Commands where the machine is in the way: each ends in a sentence and the right exit code, never in a traceback."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ASCII = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "COLUMNS": "20"}


def no_space() -> None:
    """As on a full disk, in the process that is about to start: no file gets a byte."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@dataclass(frozen=True)
class Case:
    """A command in an environment, and how it must end."""

    command: str
    code: int
    says: str
    config: bytes | None = None
    environment: dict[str, str | None] = field(default_factory=dict)
    before: Callable[[], None] | None = None


SHIPPED = (ROOT / "config" / "pipeline.toml").read_bytes()
CASES = {
    "no home": Case("status", 1, "Unable to locate credentials", SHIPPED, {"HOME": None, "XDG_CACHE_HOME": None}),
    "a terminal of 20 columns without UTF-8": Case("plan", 1, "must be", b'[pipeline]\nname = ["\xce\xa9"]\n', ASCII),
    "a full disk, init": Case("init", 1, "cannot be written", None, {}, no_space),
    "a full disk, deploy": Case("deploy", 1, "Error: ", SHIPPED, {}, no_space),
    "a file that is no text": Case("plan", 1, "is not valid TOML", b"\xff\xfe\x00"),
    "a list instead of a table": Case("plan", 1, "buckets", b"buckets = [1]\n"),
    "a proxy that is no URL": Case("status", 1, "Error: ", SHIPPED, {"HTTPS_PROXY": "::no proxy::"}),
    "a folder for temporary files that is not there": Case(
        "plan", 1, "Error: ", SHIPPED, {"TMPDIR": "/nowhere", "TMP": "/nowhere", "TEMP": "/nowhere"}
    ),
    "an address of AWS that is no URL": Case("status", 1, "Error: ", SHIPPED, {"AWS_ENDPOINT_URL": "nonsense"}),
    "a region that is none": Case("status", 1, "Error: ", SHIPPED, {"AWS_REGION": "Ω /../"}),
}


def started(case: Case, folder: Path, **how: object) -> subprocess.Popen[str]:
    """The command, in a folder of its own, with no credentials and no network beyond this machine."""
    if case.config is not None:
        (folder / "config").mkdir()
        (folder / "config" / "pipeline.toml").write_bytes(case.config)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    none = str(folder / "none")
    environment |= {"AWS_SHARED_CREDENTIALS_FILE": none, "AWS_CONFIG_FILE": none, "AWS_EC2_METADATA_DISABLED": "true"}
    environment |= {name: value for name, value in case.environment.items() if value is not None}
    for name in (name for name, value in case.environment.items() if value is None):
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, str(ROOT / "deploy.py"), *case.command.split()],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=how.get("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=case.before,
    )


@pytest.mark.parametrize("name", CASES)
def test_command_ends_in_a_sentence(name, tmp_path):
    case = CASES[name]
    process = started(case, tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == case.code
    shown = " ".join((out + err).split())
    assert "Traceback" not in shown and "Exception ignored" not in shown
    assert case.says in shown
    assert err.count("Error:") <= 1, "one sentence"


@pytest.mark.parametrize("command", ["init", "plan --help"])
def test_closed_pipe_ends_a_command_quietly(command, tmp_path):
    reads, writes = os.pipe()
    os.close(reads)
    process = started(Case(command, 1, ""), tmp_path, stdout=writes)
    os.close(writes)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "")


def test_ctrl_c_while_aws_does_not_answer(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": address}
        process = started(Case("status", 130, "", SHIPPED, keys), tmp_path)
        silent.settimeout(30)
        connection, _ = silent.accept()
        with connection:
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Stopped" in err
