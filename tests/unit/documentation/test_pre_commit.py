"""The pre-commit hooks run what `make lint` runs, and `make help` lists every target."""

from __future__ import annotations

import os
import re
import subprocess

from tests.support.structure import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_hooks_run_the_commands_of_lint() -> None:
    recipe = re.sub(r"\s*\\\n\s*", " ", MAKEFILE.split("\nlint:")[1].split("\nformat:")[0])
    commands = {command.removesuffix(" .") for command in re.findall(r"^\t\$\(BIN\)/(.+)$", recipe, re.MULTILINE)}
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    entries = re.findall(r"entry: \.venv/bin/(.+)$", hooks, re.MULTILINE)
    assert {entry.removesuffix(" --force-exclude") for entry in entries} == commands
    assert len(commands) == 6


def test_help_lists_every_target() -> None:
    command = ["make", "--no-print-directory", "help"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of a make above
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    declared = MAKEFILE.split(".PHONY: ")[1].split("\n.DEFAULT_GOAL")[0].replace("\\\n", " ").split()
    assert [line.split()[0] for line in shown.splitlines()] == declared


def test_workflows_give_secrets_to_the_step_that_needs_them() -> None:
    """zizmor, in `make lint`, has rules for pins, permissions and credentials; this is what it has none for."""
    workflows = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / ".github/workflows").glob("*.yml")}
    named = " ".join(name for name in MAKEFILE.split() if name.startswith(".github/workflows/"))
    for name, text in workflows.items():
        assert f".github/workflows/{name}" in named, "make lint checks it against GitHub's schema"
        assert "persist-credentials: false" in text
        assert re.search(r"^permissions: \{\}$", text, re.MULTILINE), "each job names its own"
        jobs = text.partition("\njobs:\n")[2]
        before_steps = re.sub(r"(?ms)^    steps:.*?(?=^  \S|\Z)", "", jobs)
        assert "secrets." not in before_steps, "a secret is for one step"
    assert [name for name, text in workflows.items() if "id-token: write" in text] == ["deploy.yml"]
    deploy = workflows["deploy.yml"]
    assert deploy.index("pip install") < deploy.index("secrets.AWS_ACCESS_KEY_ID }}"), "what it installs sees none"
    assert "pip-audit" not in MAKEFILE.split("\ntest:")[1].split("\n\n")[0]
    assert [name for name, text in workflows.items() if "make audit" in text] == ["audit.yml"]
