"""moto's own server, unchanged, as a second emulator of AWS: a process of its own, reached over HTTP on loopback."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.repository import REPOSITORY

VARIABLE = "SECOND_EMULATOR"  # its URL, where the tests run on it
# What `moto.server` imports. The rest of moto's extra is for services that the toolkit does not use.
REQUIREMENTS = (f"moto=={version('moto')}", "flask>=3,<4", "flask-cors>=5,<7", "pyyaml>=6,<7", "pyparsing>=3,<4")
_ENVIRONMENT = REPOSITORY / ".venv" / "second-emulator"
_START = 60.0  # seconds


@contextmanager
def running(log: Path) -> Iterator[str]:
    """The URL of a server that runs during the block, on a free port of 127.0.0.1. It writes to ``log``."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_python(), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=output, stderr=output
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _await(process, url, log)
        _post(f"{url}/moto-api/config", {"lambda": {"use_docker": False}})
        yield url
    finally:
        process.terminate()
        process.wait()


def reset(url: str) -> None:
    """Let the server forget everything."""
    _post(f"{url}/moto-api/reset", {})


def _python() -> Path:
    """The Python of the server's own environment, made on first use: its requirements are not this project's."""
    python = _ENVIRONMENT / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(_ENVIRONMENT)], check=True)
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), *REQUIREMENTS], check=True)
    return python


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + _START
    while time.monotonic() < until and process.poll() is None:
        try:
            reset(url)
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"moto's server did not start:\n{log.read_text(errors='replace')}")


def _post(url: str, document: dict[str, Any]) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    try:
        connection.request("POST", parts.path, json.dumps(document), {"Content-Type": "application/json"})
        connection.getresponse().read()
    finally:
        connection.close()


def url() -> str | None:
    """The URL of the second emulator, where the tests run on it."""
    return os.environ.get(VARIABLE)
