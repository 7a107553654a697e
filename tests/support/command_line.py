"""The command line, run in a copy of the repository's configuration and functions."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

import deploy
from lambda_toolkit.pipeline.local_stack.description import Stack
from lambda_toolkit.pipeline.local_stack.running import load_stack
from tests.support.remembered import remember
from tests.support.repository import REPOSITORY

remember()


@dataclass(frozen=True)
class CommandLine:
    """``python deploy.py ...`` in a copy of the repository's configuration and functions."""

    root: Path
    file: str = "pipeline.toml"

    def __call__(self, *arguments: str, env: dict[str, str] | None = None, input: str | None = None) -> Result:
        config = ["--config", str(self.root / "config" / self.file)]
        return CliRunner().invoke(deploy.main, [*arguments, *config], env=env, input=input)

    def document(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The JSON document that the command prints, which is all that it prints."""
        result = self(*arguments, "--json")
        assert result.exit_code == code, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def state(self) -> dict[str, Any]:
        """The document of ``status``, whether or not something is wrong."""
        result = self("status", "--json")
        assert result.exit_code in (0, 1), result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    @property
    def stack(self) -> Stack:
        return load_stack(self.root)


def copy_of_the_repository(directory: Path) -> Path:
    """Copy the configuration and the functions; the copied configuration names the copied source, which tests edit."""
    for name in ("config", "lambdas"):
        shutil.copytree(REPOSITORY / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    config = directory / "config" / "pipeline.toml"
    own = r'[functions.\1]\nsource = "lambdas/\1"\ninclude = ["lambdas/shared"]\n'
    config.write_text(re.sub(r"\[functions\.(\w+)\]\n", own, config.read_text(encoding="utf-8")), encoding="utf-8")
    return directory
