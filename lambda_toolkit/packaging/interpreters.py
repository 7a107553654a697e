"""Find the Python interpreter that compiles for a runtime: bytecode is valid for one minor version only."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess  # nosec B404  # interpreters are run from lists of arguments
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from lambda_toolkit.packaging.uv import cache_folder, find_uv, uv_environment
from lambda_toolkit.spec.model import THIS_RUNTIME

_PROBE = "import sys; print(sys.implementation.name, *sys.version_info[:2])"
_PROBE_TIMEOUT = 20  # seconds
_DOWNLOAD_TIMEOUT = 180  # seconds
_TRY_AGAIN_AFTER = 24 * 3600  # seconds


@functools.cache
def find_interpreter(runtime: str) -> Path | None:
    """A CPython of the minor version of ``runtime``; ``None`` where there is none and none can be downloaded.

    The running one, one on the PATH, pyenv's, uv's, in this order; then uv downloads one into the cache. A failed
    download is not repeated for a day. ``UV_PYTHON_DOWNLOADS=never`` forbids downloads.
    """
    if runtime == THIS_RUNTIME and sys.implementation.name == "cpython":
        return Path(sys.executable)
    version = runtime.removeprefix("python")
    return next((path for path in _candidates(version, os.environ) if is_cpython(path, version)), None)


def is_cpython(executable: Path, version: str) -> bool:
    """Whether ``executable`` runs and is CPython ``version`` (such as 3.13)."""
    try:
        done = subprocess.run(
            [str(executable), "-I", "-S", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT,
            check=False,
        )  # nosec B603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.split() == ["cpython", *version.split(".")]


def _candidates(version: str, environ: Mapping[str, str]) -> Iterator[Path]:
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    pyenv = Path(environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from sorted(pyenv.glob(f"{version}.*/bin/python{version}"), reverse=True)
    own = cache_folder() / "python"
    yield from sorted(own.glob(f"cpython-{version}.*/bin/python{version}"), reverse=True)
    found = _uv_python(["find", "--managed-python", version], own=None)
    if found:
        yield Path(found)
    if _download(version, own):
        yield from sorted(own.glob(f"cpython-{version}.*/bin/python{version}"), reverse=True)


def _download(version: str, own: Path) -> bool:
    failed = own / f"{version}.failed"
    try:
        if failed.exists() and time.time() - failed.stat().st_mtime < _TRY_AGAIN_AFTER:
            return False
        own.mkdir(parents=True, exist_ok=True)
        if _uv_python(["install", "--no-bin", version], own) is not None:
            return True
        failed.touch()
    except OSError:
        return False  # the cache is not writable
    return False


def _uv_python(arguments: list[str], own: Path | None) -> str | None:
    """The output of ``uv python``; ``None`` where it fails or uv is not installed."""
    uv = find_uv()
    if uv is None:
        return None
    environment = uv_environment()
    if own is not None:
        environment["UV_PYTHON_INSTALL_DIR"] = str(own)
        environment.setdefault("UV_HTTP_RETRIES", "1")
    try:
        done = subprocess.run(
            [uv, "python", *arguments],
            env=environment,
            cwd=Path.home(),  # outside any project: its .python-version or pyproject.toml would apply
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_TIMEOUT,
            check=False,
        )  # nosec B603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
