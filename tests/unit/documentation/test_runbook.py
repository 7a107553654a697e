"""The runbook has every alarm that is deployed, and what it says is what the drill does."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.command_line import COMMANDS
from tests.drill import runbook
from tests.drill.rows import ROWS
from tests.drill.table import head, line
from tests.drill.trial import Times
from tests.drill.watch import Arrived

ROOT = Path(__file__).parents[3]
TEXT = runbook.read()
COMMAND = re.compile(r"python deploy\.py(?: ([a-z-]+))?")


def declared(path: str) -> set[str]:
    """The alarms of each function of a configuration, by their names without application and stage."""
    functions = tomllib.loads((ROOT / path).read_text(encoding="utf-8"))["functions"]
    return {f"{name}-{alarm}" for name, function in functions.items() for alarm in function.get("alarms", ())}


@pytest.mark.parametrize("path", ["config/pipeline.toml", "lambda_toolkit/pipeline/config/starter/settings.toml"])
def test_every_alarm_has_its_section(path: str) -> None:
    assert sorted(runbook.alarms(TEXT)) == sorted(declared(path))


def test_every_cause_is_provoked_by_the_drill() -> None:
    assert list(runbook.causes(TEXT)) == [row.cause for row in ROWS]


def test_every_command_of_the_runbook_exists() -> None:
    commands = set(COMMAND.findall(TEXT))
    assert len(commands) > 3
    assert commands <= {"", *COMMANDS}


def test_cause_without_commands_is_refused() -> None:
    with pytest.raises(ValueError, match="'It broke' has no commands"):
        runbook.causes("## `load-errors`\n\n### It broke\n\nSo be it.\n")


def test_what_a_cause_says_is_read() -> None:
    look, fix = "```sh\nlook\n```", "```sh\nfix\n```"
    said, edit = "```text\nsaid … here\n```", "```diff\n-old\n+new\n```"
    text = f"## `a-b`\n{look}\n### It\n{said}\n{edit}\n{fix}\n## c\n"
    found = runbook.causes(text)["It"]
    assert (found.alarm, found.look, found.repair) == ("a-b", "look\n", "fix\n")
    assert (found.said, found.edits) == (("said", "here"), (("old", "new"),))


def test_times_replace_those_of_the_same_cause_alone() -> None:
    first, second = list(runbook.causes(TEXT))[:2]
    times = Times(first, "load-errors", 1.25, Arrived("", 2, 3), 30, 4, Arrived("", -5, 6))
    newest = {first: line(times), second: line(replace(times, cause=second))}
    written = runbook.with_times(TEXT, head(), newest)
    written = runbook.with_times(written, head(), {first: line(replace(times, raised=9))})
    assert f"| {first} | `load-errors` | 9.0 | 2.0 | 3.0 | 30.0 | 4.0 | 0.0 | 6.0 |\n{newest[second]}\n" in written
    assert runbook.causes(written) == runbook.causes(TEXT)


def test_every_row_of_the_table_is_a_cause() -> None:
    _, _, rest = TEXT.partition(runbook.TABLE_BEGINS)
    named = [text.split("|")[1].strip() for text in rest.partition(runbook.TABLE_ENDS)[0].strip().splitlines()[2:]]
    assert named == [cause for cause in runbook.causes(TEXT) if cause in named]
