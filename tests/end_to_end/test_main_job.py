"""``local run``: what ``make run`` shows a newcomer, with fewer orders."""

from __future__ import annotations

import psutil
import pytest

from tests.support.command_line import CommandLine, copy_of_the_repository


@pytest.fixture
def line(tmp_path):
    return CommandLine(copy_of_the_repository(tmp_path))


def processes_of(root) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(root) in words and "pytest" not in words:
            found.append(words)
    return found


def test_local_run_ends_in_agreement_and_leaves_nothing_behind(line):
    """The main job ends in agreement and leaves nothing behind."""
    document = line.document("local", "run", "--orders", "150")
    assert document["agrees"]
    assert document["batches"] >= 2
    tables = {table["table"]: table for table in document["after_business_day"]["tables"]}
    assert len(tables) == 11
    assert all(table["differences"] == 0 for table in tables.values())
    assert tables["fact_payment"]["versions"] > tables["fact_payment"]["warehouse_rows"], "the history is there"
    assert processes_of(line.root) == []
    assert not (line.root / ".local").exists()


def test_down_without_a_stack_is_no_error(line):
    assert line("local", "down").stdout == "It was not up.\n"


def test_commands_about_a_stack_that_is_not_up_say_so(line):
    for arguments in (["local", "env"], ["status", "--stage", "local"], ["local", "simulate"]):
        result = line(*arguments)
        assert result.exit_code == 1
        assert "local up" in result.stderr


def test_seed_without_a_table_is_refused_before_the_start(line, tmp_path):
    """A seed that lacks a table is refused before anything starts."""
    (tmp_path / "seed").mkdir()
    result = line("local", "up", "--seed", str(tmp_path / "seed"))
    assert result.exit_code == 1
    assert "holds no .parquet and no .csv file for: " in result.stderr
    assert not (line.root / ".local").exists()


def test_seeds_exclude_each_other(line):
    result = line("local", "up", "--orders", "5", "--empty")
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr
    assert processes_of(line.root) == []
