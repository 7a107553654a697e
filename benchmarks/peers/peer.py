"""What every tool is given, and what is asked of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lambda_toolkit.packaging.uv import find_uv, uv_environment

REPOSITORY = Path(__file__).parents[2]
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
_HANDLER = '''"""Says which revision it is."""

REVISION = {revision}


def lambda_handler(event, context):
    return {{"function": "{function}", "revision": REVISION}}
'''

Command = Sequence[str | Path]


class UnavailableError(Exception):
    """The tool cannot be installed or run here. The text says why."""


@dataclass(frozen=True)
class Project:
    """What is deployed: functions of one small file each, each with a schedule. ``timeout`` is in seconds."""

    functions: tuple[str, ...]
    rate: int = 5  # minutes
    memory: int = 128  # MB
    timeout: int = 60

    @classmethod
    def of(cls, count: int) -> Project:
        """So many functions, named by their number."""
        return cls(tuple(f"bench_f{number:02}" for number in range(1, count + 1)))

    @property
    def schedule(self) -> str:
        """As EventBridge writes it."""
        return f"rate({self.rate} minutes)"

    def handler(self, function: str, revision: int = 1) -> str:
        """The source of one function."""
        return _HANDLER.format(function=function, revision=revision)

    def write_handlers(self, directory: Path) -> None:
        """One folder for each function, with its ``handler.py``."""
        for function in self.functions:
            self.edit_handler(directory, function, 1)

    def edit_handler(self, directory: Path, function: str, revision: int) -> None:
        """Another revision of one function."""
        file = directory / "functions" / function / "handler.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.handler(function, revision), encoding="utf-8")


@dataclass(frozen=True)
class Site:
    """Where one tool works: its project's directory, and the environment that its commands run in."""

    directory: Path
    environment: Mapping[str, str]
    answers: str = ""

    def run(self, command: Command) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.directory,
            env=dict(self.environment),
            input=self.answers,
            capture_output=True,
            text=True,
            check=False,
        )


class Peer(ABC):
    """One tool. Commands run in the project's directory; several in one step are run one after the other."""

    name: str
    quick_name: str | None = None  # its shortest way to change one function's code, where it has one
    answers = ""  # the answers to its prompts

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    @abstractmethod
    def install(self) -> str:
        """Make it ready to run and return its version. Raises UnavailableError."""

    @abstractmethod
    def write(self, site: Site, project: Project) -> None:
        """Write its project."""

    def expected(self, project: Project) -> tuple[int, int]:
        """How many Lambdas and how many rules with a target there are at least, once it has deployed."""
        return len(project.functions), len(project.functions)

    def prepare(self, site: Site, project: Project) -> Sequence[Command]:
        """What has to be there before the first deploy and is made once for an account. It is not measured."""
        return ()

    @abstractmethod
    def first(self, project: Project) -> Sequence[Command]:
        """The first deploy."""

    def again(self, project: Project) -> Sequence[Command]:
        """Every later deploy."""
        return self.first(project)

    def quick(self, project: Project, function: str) -> Sequence[Command]:
        """Its shortest way to change the code of ``function``."""
        return ()

    def edit(self, site: Site, project: Project, function: str, revision: int) -> None:
        """Change the code of one function."""
        project.edit_handler(site.directory, function, revision)

    @property
    def variables(self) -> Mapping[str, str]:
        """What its commands need in their environment beside the account's keys."""
        return {}

    @property
    def path(self) -> Sequence[Path]:
        """Where its commands are found."""
        return ()


class PythonPeer(Peer):
    """A tool from PyPI, in a virtual environment of its own."""

    requirements: Sequence[str]

    @property
    def home(self) -> Path:
        """The environment."""
        return self.cache / "-".join(self.requirements[0].split("=="))

    @property
    def path(self) -> Sequence[Path]:
        """Its executables."""
        return [self.home / "bin"]

    def install(self) -> str:
        """Install it unless it is there."""
        if not (self.home / ".ready").exists():
            shutil.rmtree(self.home, ignore_errors=True)
            _install([_uv(), "venv", "--quiet", "--seed", "--python", _base_python(), self.home])
            python = self.home / "bin" / "python"
            _install([_uv(), "pip", "install", "--quiet", "--python", python, *self.requirements])
            (self.home / ".ready").touch()
        return self.requirements[0].partition("==")[2]


class NodePeer(Peer):
    """A tool from npm, in a folder of its own."""

    packages: Sequence[str]

    @property
    def home(self) -> Path:
        """The folder that holds ``node_modules``."""
        return self.cache / self.packages[0].replace("@", "-")

    @property
    def path(self) -> Sequence[Path]:
        """Its executables."""
        return [self.home / "node_modules" / ".bin"]

    def install(self) -> str:
        """Install it unless it is there."""
        if shutil.which("npm") is None:
            raise UnavailableError("npm is not installed")
        if not (self.home / ".ready").exists():
            self.home.mkdir(parents=True, exist_ok=True)
            quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
            _install(["npm", "install", "--prefix", self.home, *quiet, *self.packages])
            (self.home / ".ready").touch()
        return self.packages[0].rpartition("@")[2]


def _install(command: Command) -> None:
    done = subprocess.run(
        [str(part) for part in command], env=uv_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise UnavailableError(f"it cannot be installed: {lines[-1]}")


def _uv() -> str:
    found = find_uv()
    if found is None:
        raise UnavailableError("uv is not installed")
    return found


def _base_python() -> str:
    base = Path(sys.base_prefix, "bin", RUNTIME)
    return str(base if base.exists() else sys.executable)


def site_environment(home: Path, endpoint: str, region: str, keys: tuple[str, str], peer: Peer) -> dict[str, str]:
    """What every tool's commands see: the account, and nothing of the person who measures."""
    folders = [*map(str, peer.path), "/usr/local/bin", "/usr/bin", "/bin"]
    node = shutil.which("node")
    if node:
        folders.insert(len(peer.path), str(Path(node).parent))
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.pathsep.join(folders),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "CI": "true",
        "AWS_ACCESS_KEY_ID": keys[0],
        "AWS_SECRET_ACCESS_KEY": keys[1],
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        **peer.variables,
    }
