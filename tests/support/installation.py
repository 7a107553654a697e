"""The distributions of this repository, built from a copy of it, and installed into empty environments."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement

from lambda_toolkit.packaging.uv import find_uv, uv_environment
from tests.support.repository import REPOSITORY

DISTRIBUTED = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "lambda_script.py", "lambda_toolkit", "lambdas")
OLDEST, NEWEST = (3, 11), (3, 14)  # the Pythons that setup.py names
OWN = (sys.version_info.major, sys.version_info.minor)


class NotBuiltError(Exception):
    """The distributions cannot be built on this machine, as what builds them is not in uv's cache."""


def copy_what_is_distributed(folder: Path) -> Path:
    """Copy the files that are distributed, with the symbolic link among them, into ``folder``, and return it."""
    for name in DISTRIBUTED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def build_distributions(source: Path, into: Path) -> list[Path]:
    """The wheel and the sdist of which it was built, made without a network of ``source``. Raises NotBuiltError."""
    command = [str(find_uv()), "build", "--out-dir", str(into), "--offline", "--quiet", str(source)]
    done = subprocess.run(command, env=uv_environment(), capture_output=True, text=True)
    if done.returncode and ("offline" in done.stderr or "network" in done.stderr):
        raise NotBuiltError(f"uv's cache does not contain setuptools: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return sorted(path for path in into.iterdir() if path.name.startswith("lambda_script"))


def metadata(wheel: Path) -> Message:
    """The core metadata of a wheel."""
    with ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def pythons() -> dict[tuple[int, int], str]:
    """The Pythons of this machine that the package is for: by version, the path of one of each. Ours is one."""
    command = [str(find_uv()), "python", "list", "--only-installed", "--output-format", "json", "--offline"]
    listed = json.loads(subprocess.run(command, env=uv_environment(), capture_output=True, check=True).stdout)
    found = {(one["version_parts"]["major"], one["version_parts"]["minor"]): one["path"] for one in listed}
    return {version: path for version, path in found.items() if OLDEST <= version <= NEWEST} | {OWN: sys.executable}


def install(built: Path, extra: str, folder: Path, python: str = sys.executable, *, offline: bool = True) -> Path:
    """An environment in ``folder`` with a distribution, the requirements of ``extra``, and nothing else.

    ``offline``: the requirements are those of the environment that runs the tests; else they are installed.
    """
    uv = str(find_uv())
    subprocess.run([uv, "venv", "--quiet", "--python", python, str(folder)], check=True, env=uv_environment())
    command = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    if not offline:
        subprocess.run([*command, f"{built}[{extra}]"], check=True, env=uv_environment())
        return folder
    subprocess.run([*command, "--offline", "--no-deps", str(built)], check=True, env=uv_environment())
    [site] = folder.glob("lib/python*/site-packages")
    requirements = site.parent / "requirements"
    requirements.mkdir()
    [installed] = Distribution.discover(name="lambda-script", path=[str(site)])
    for name in {top for each in _closure(installed, extra) for top in _top_level(each)}:
        (requirements / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    (site / "requirements.pth").write_text(f"{requirements}\n", encoding="utf-8")
    return folder


def _closure(root: Distribution, extra: str) -> list[Distribution]:
    """The distributions that ``root`` with ``extra`` requires, with what those require, as they are installed here."""
    found: dict[str, Distribution] = {}
    asked = [(root, extra)]
    while asked:
        one, extras = asked.pop()
        for line in one.requires or []:
            needed = Requirement(line)
            if needed.name not in found and (needed.marker is None or needed.marker.evaluate({"extra": extras})):
                found[needed.name] = distribution(needed.name)
                asked += [(found[needed.name], each) for each in (needed.extras or {""})]
    return list(found.values())


def _top_level(installed: Distribution) -> Iterator[str]:
    for file in installed.files or []:
        if file.parts[0] not in ("..", "__pycache__"):
            yield file.parts[0]
