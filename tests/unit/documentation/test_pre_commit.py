"""The pre-commit hooks run what `make lint` runs, and `make help` lists every target."""

from __future__ import annotations

import os
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
    command = ["make", "--no-print-directory", "help"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of a make above
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    declared = MAKEFILE.split(".PHONY: ")[1].split("\n.DEFAULT_GOAL")[0].replace("\\\n", " ").split()
    assert [line.split()[0] for line in shown.splitlines()] == declared
