"""The steps of the workflows that ``init`` writes, run by bash as GitHub's runners do, against a running pipeline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lambda_toolkit.pipeline.installed import STARTER
from lambda_toolkit.pipeline.local_stack.description import environment

JOBS = yaml.safe_load((STARTER / "deploy.yml").read_text(encoding="utf-8"))["jobs"]


@pytest.fixture
def step(filled, tmp_path):
    """Runs a step of a job with its variables; returns its exit code, what it printed, and the summary of the run."""

    def run(job: str, name: str, **inputs: str) -> tuple[int, str, str]:
        [found] = [step for step in JOBS[job]["steps"] if step.get("name") == name]
        assert set(inputs) <= set(found["env"]), "a variable that the step does not have"
        summary = tmp_path / "summary.md"
        summary.touch()
        stack = environment(filled.stack)
        given = dict.fromkeys(found["env"], "") | inputs
        kept = {name: given[name] or stack[name] for name in given if name.endswith("_DATABASE_URL")}
        credentials = {name: value for name, value in stack.items() if name.startswith(("AWS_", "LAMBDA_"))}
        runner = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "GITHUB_STEP_SUMMARY": str(summary),
        }
        done = subprocess.run(
            ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", found["run"]],
            cwd=filled.root,
            env={**runner, **credentials, **given, **kept},
            capture_output=True,
            text=True,
        )
        written = summary.read_text(encoding="utf-8")
        summary.unlink()
        return done.returncode, done.stdout + done.stderr, written

    return run


def test_the_summary_of_a_pull_request_is_the_plan(filled, step):
    code, shown, summary = step("plan", "Plan")
    assert code == 0, shown
    assert summary.startswith("### What a deploy would change\n~~~\n") and summary.endswith("~~~\n")
    assert "Nothing would change.\n" in summary and "Nothing would change.\n" in shown
    config = filled.root / "config" / "pipeline.toml"
    before = config.read_text(encoding="utf-8")
    try:
        config.write_text(before.replace("memory = 1024", 'memory = "much"'), encoding="utf-8")
        code, shown, summary = step("plan", "Plan")
        assert code == 1, "a plan that fails fails the check"
        assert "memory" in summary and summary.endswith("~~~\n")
    finally:
        config.write_text(before, encoding="utf-8")


def test_a_run_by_hand_deploys_one_function_or_rolls_it_back(filled, step):
    code, shown, _ = step("deploy", "Deploy")
    assert (code, shown.count("Nothing changed.")) == (0, 1), shown
    code, shown, _ = step("deploy", "Deploy", FUNCTION="extract")
    assert code == 0 and "Nothing changed." in shown, shown
    code, shown, _ = step("deploy", "Deploy", FUNCTION="--delete-data")
    assert code == 2 and "There is no function `--delete-data`" in shown
    version = filled.state()["functions"][0]["version"]
    code, shown, _ = step("deploy", "Roll back", FUNCTION="extract", VERSION=version)
    assert code == 0, shown
    assert step("deploy", "Roll back", FUNCTION="extract; touch injected", VERSION="$(touch injected)")[0] == 2
    assert not (filled.root / "injected").exists()
