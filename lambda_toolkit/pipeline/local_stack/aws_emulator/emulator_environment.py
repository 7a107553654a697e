"""The emulator's own Python environment: ministack, boto3 and what these two need, and nothing else.

The emulator runs functions with its own interpreter, and on AWS a function finds boto3 and what is in its package. With
an environment of its own, a dependency that a package lacks is missing here exactly as it is there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess  # nosec B404
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lambda_toolkit.packaging.uv import uv_environment
from lambda_toolkit.pipeline.local_stack.errors import LocalError

# Exact: emulator_launcher.py leans on private names of this version. boto3 follows the botocore that it pins.
REQUIREMENTS = ("ministack==1.5.33", "boto3")
CACHE_VARIABLE = "LAMBDA_SCRIPT_CACHE"


def interpreter(
    fallback: Path, on_progress: Callable[[str], None] = lambda message: None, also: Sequence[str] = ()
) -> Path:
    """The environment's Python, making the environment on first use; one of its own for each ``also`` to install.

    It is kept in the user's cache directory (``~/.cache/lambda_script``, or what LAMBDA_SCRIPT_CACHE names), so that a
    fresh clone need not install it again; in ``fallback`` when that cannot be written. Raises LocalError with the
    installer's words when it cannot be installed.
    """
    cache = _writable(_cache_directory(), fallback)
    requirements = (*REQUIREMENTS, *also)
    home = cache / f"emulator-{_digest(requirements)}"
    python = home / "bin" / "python"
    if python.exists():
        return python
    on_progress("Installing the emulated AWS, once")
    shutil.rmtree(home, ignore_errors=True)  # its base interpreter was removed: the link is broken
    building = Path(tempfile.mkdtemp(prefix="emulator-", dir=cache))
    try:
        base = str(Path(sys.base_prefix, "bin", f"python{sysconfig.get_python_version()}"))
        _uv(["venv", "--quiet", "--relocatable", "--python", base if Path(base).exists() else sys.executable], building)
        _uv(["pip", "install", "--quiet", "--python", str(building / "bin" / "python"), *requirements], None)
        try:
            building.rename(home)
        except OSError:
            if not python.exists():  # another process was quicker: then its environment is as good
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return python


def _digest(requirements: Sequence[str]) -> str:
    """Short name for what the environment is made of: the requirements and the interpreter."""
    made_of = [*requirements, sys.version, sys.base_prefix, sysconfig.get_platform()]
    return hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:12]


def _cache_directory() -> Path:
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lambda_script"


def _writable(wanted: Path, fallback: Path) -> Path:
    for directory in (wanted, fallback):
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(directory, os.W_OK | os.X_OK):
            return directory
    raise LocalError(f"Neither {wanted} nor {fallback} can be written: the emulator's environment has no place to be.")


def _uv(arguments: list[str], target: Path | None) -> None:
    """Run uv with the arguments, and the target directory last if one is given."""
    from uv import find_uv_bin

    command = [find_uv_bin(), *arguments, *([str(target), "--clear"] if target else [])]
    environment = {name: value for name, value in uv_environment().items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    if not os.access(Path.home(), os.W_OK):
        environment.setdefault("UV_NO_CACHE", "1")
    result = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)  # nosec B603
    if result.returncode != 0:
        raise LocalError(
            f"The emulator's environment ({', '.join(REQUIREMENTS)}) could not be installed: {result.stderr.strip()}\n"
            "It is installed once, with uv, from the package index: check the network connection and try again."
        )
