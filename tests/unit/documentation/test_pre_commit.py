"""The pre-commit hooks run what `make lint` runs, and `make help` lists every target."""

from __future__ import annotations

import re
import subprocess

from tests.support.structure import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_hooks_run_the_commands_of_lint() -> None:
    recipe = MAKEFILE.split("\nlint:")[1].split("\n\n")[0]
    commands = {command.removesuffix(" .") for command in re.findall(r"^\t\$\(BIN\)/(.+)$", recipe, re.MULTILINE)}
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    entries = re.findall(r"entry: \.venv/bin/(.+)$", hooks, re.MULTILINE)
    assert {entry.removesuffix(" --force-exclude") for entry in entries} == commands
    assert len(commands) == 4


def test_help_lists_every_target() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    declared = MAKEFILE.split(".PHONY: ")[1].split("\n.DEFAULT_GOAL")[0].replace("\\\n", " ").split()
    assert [line.split()[0] for line in shown.splitlines()] == declared
