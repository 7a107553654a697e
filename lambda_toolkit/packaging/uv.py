"""Run uv, which installs requirements for another platform, explain its errors, and cache what it built."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess  # nosec B404  # uv is run from a list of arguments
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lambda_toolkit.errors import PackageError

_SHOWN_LINES = 12
_NAME = r"([A-Za-z0-9][A-Za-z0-9._-]*)"
_OTHER_PLATFORM = re.compile(
    rf"Wheels are available for `{_NAME}` \((\S+)\) on the following platforms?: ([^:]*?)(?= hint:|$)"
)
_OTHER_PYTHON = re.compile(
    rf"You require (CPython [\d.]+)[^:]*?wheels for `{_NAME}` \((\S+)\) with the following "
    r"Python (?:ABI|version|implementation) tags?: ([^:]*?)(?= hint:|$)"
)


def find_uv() -> str | None:
    """The path of uv: the package installed beside this Python, or one on the PATH; ``None`` where there is none."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")


def uv_environment() -> dict[str, str]:
    """The environment for uv: this process's, with the system's certificates trusted, as a proxy may need them."""
    environment = dict(os.environ)
    trusted = ssl.get_default_verify_paths()
    if trusted.cafile or trusted.capath:
        environment.setdefault("UV_SYSTEM_CERTS", "1")
    return environment


def install(requirements: Path, target: Path, *, version: str | None, platform: str | None, what: str) -> None:
    """Install the requirements file into ``target``, from wheels only.

    ``version`` and ``platform``, in uv's names, are the runtime's; ``None`` means this machine's. Raises PackageError,
    whose message begins with ``what``, where uv fails.
    """
    uv = find_uv()
    if uv is None:
        raise PackageError("uv is needed to install requirements. Try: pip install uv")
    command = [uv, "pip", "install", "--quiet", "--color", "never", "--target", str(target)]
    command += ["--only-binary", ":all:", "--link-mode", "copy", "--python", sys.executable]
    if version and platform:
        command += ["--python-version", version, "--python-platform", platform]
    if "--hash" in requirements.read_text(encoding="utf-8"):
        command.append("--require-hashes")  # of every file: a lock without one is no lock
    done = subprocess.run(
        [*command, "-r", str(requirements)], env=uv_environment(), capture_output=True, text=True, check=False
    )  # nosec B603
    if done.returncode:
        raise PackageError(f"{what}\n{explained(done.stderr)}")


def lock_requirements(requirements: Sequence[str], *, python: str) -> str:
    """The newest versions that ``requirements`` permit, with those that they need in turn, as a requirements file.

    Each has the hashes of all its files; the versions are the same for all platforms, from the version ``python`` on.
    Raises PackageError where uv finds none.
    """
    uv = find_uv()
    if uv is None:
        raise PackageError("uv is needed to lock requirements. Try: pip install uv")
    command = [uv, "pip", "compile", "--quiet", "--color", "never", "--universal", "--generate-hashes", "--no-header"]
    command += ["--no-annotate", "--only-binary", ":all:", "--python-version", python, "-"]
    given = "".join(f"{line}\n" for line in requirements)
    done = subprocess.run(command, env=uv_environment(), input=given, capture_output=True, text=True, check=False)  # nosec B603
    if done.returncode:
        raise PackageError(f"The requirements {shown(requirements)} cannot be locked:\n{explained(done.stderr)}")
    return done.stdout


def explained(output: str) -> str:
    """uv's error ``output`` in words: which requirement fails, and what to try. Else its last lines, masked."""
    text = re.sub(r"\s+", " ", output)
    reasons = list(dict.fromkeys(_reasons(text)))
    return "\n".join(reasons or [_masked(line) for line in output.strip().splitlines()[-_SHOWN_LINES:]])


def shown(requirements: Sequence[str]) -> str:
    """Requirements for messages: without options, hashes and the credentials in URLs."""
    lines = (re.sub(r"\s*--hash[= ]\S+", "", line) for line in requirements if not line.startswith("-"))
    return ", ".join(_masked(line) for line in lines)


def _masked(text: str) -> str:
    return re.sub(r"(\w+://)[^/@\s]+@", r"\1***@", text)


def _reasons(text: str) -> Iterator[str]:
    for found in re.finditer(rf"Wheels are required for `{_NAME}`", text):
        yield (
            f"- {found[1]} is published as source only: it has no wheel. Try another version or another "
            f"package, or build a wheel (pip wheel {found[1]}) and write `{found[1]} @ file:///path/to/it.whl`."
        )
    for found in _OTHER_PLATFORM.finditer(text):
        yield (
            f"- {found[1]} {found[2].removeprefix('v')} has no wheel for this architecture and its C library; it has "
            f"some for {_first(found[3])}. Try another version of it, or the other architecture (x86_64, arm64), or a "
            "newer runtime."
        )
    for found in _OTHER_PYTHON.finditer(text):
        yield (
            f"- {found[2]} {found[3].removeprefix('v')} has no wheel for {found[1]}; it has some for "
            f"{_first(found[4])}. Try another version of it, or another runtime."
        )
    for found in re.finditer(rf"(?:Because |and ){_NAME} was not found in ", text):
        yield f"- {found[1]} is not in the package index. Check its name."
    for found in re.finditer(
        rf"Because only {_NAME}((?:[<>=!~]=?[^ ]+)?) is available and (.+?) require[sd]? (\S+),", text
    ):
        yield f"- {found[4]} is required, and only {found[1]}{found[2]} is available for this platform."


def _first(tags: str) -> str:
    """The first few of a list of wheel tags."""
    names = re.findall(r"`([^`]+)`", tags)
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """``LAMBDA_SCRIPT_CACHE``, or ``lambda_script`` in the user's cache folder (``XDG_CACHE_HOME``, ``~/.cache``)."""
    if environ.get("LAMBDA_SCRIPT_CACHE"):
        return Path(environ["LAMBDA_SCRIPT_CACHE"])
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lambda_script"
