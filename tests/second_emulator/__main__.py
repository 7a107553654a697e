"""``python -m tests.second_emulator``: the toolkit's tests on moto's own server. Arguments go to pytest."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.second_emulator import server


def main(arguments: list[str]) -> int:
    """Run the tests; returns pytest's exit code."""
    with tempfile.TemporaryDirectory() as folder, server.running(Path(folder) / "server.log") as url:
        command = [sys.executable, "-m", "pytest", "-q", "-rs", *(arguments or ["tests/aws"])]
        return subprocess.run(command, env={**os.environ, server.VARIABLE: url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
