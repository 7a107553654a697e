"""The programs that the functions are measured beside, how often they are, and what a profile says of a function."""

import pytest

from benchmarks import rounds
from benchmarks.data_peers import CONVERTERS, LOADERS, READERS
from benchmarks.profiled import KEY_FILES, OTHER, PARQUET, activities, shortened
from benchmarks.rounds import Contestant, Sample, measure, spread

PROGRAMS = {program.name: program for program in (*READERS, *CONVERTERS, *LOADERS)}
KEYS, PARTS = "lambdas/extract/capture/key_files.py", "pyarrow/parquet/core.py"


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_is_python(name) -> None:
    compile(PROGRAMS[name].text, name, "exec")


def test_an_environment_has_one_set_of_requirements() -> None:
    """It is found by the first of them: two sets that begin with the same would share what was installed first."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for program in PROGRAMS.values():
        found.setdefault(program.requirements[0], set()).add(tuple(program.requirements))
    assert {first: sets for first, sets in found.items() if len(sets) > 1} == {}
    assert all("==" in each for sets in found.values() for requirements in sets for each in requirements)


def test_what_takes_long_has_fewer_samples(monkeypatch) -> None:
    monkeypatch.setattr(rounds, "_sample", lambda *_: Sample(1.0, 1.0, 1.0, 1))
    found = measure([Contestant("quick", ()), Contestant("slow", (), most=2)], 3, 1)
    assert {name: len(samples) for name, samples in found.items()} == {"quick": 3, "slow": 2}


def test_small_times_are_shown_in_milliseconds() -> None:
    assert spread([0.0124, 0.0151, 0.2]) == "0.015 (0.012 to 0.200)"
    assert spread([0.154, 1.0, 0.099]) == "0.15 (0.10 to 1.00)"


def test_statements_that_differ_in_numbers_are_one() -> None:
    assert (
        shortened("SELECT  1\n FROM t LIMIT 250") == shortened("SELECT 2 FROM t LIMIT 7") == "SELECT n FROM t LIMIT n"
    )
    assert shortened(f"COPY ({'a' * 200}) TO STDOUT").startswith("COPY (aaa")
    assert shortened(f"COPY ({'a' * 200}) TO STDOUT").endswith("aaa) TO STDOUT")


def test_time_of_key_files_is_not_that_of_the_rows() -> None:
    """What is written in C counts as the function that calls it, also where that is called for another file."""
    stats = {
        (PARTS, 1, "write_table"): (3, 3, 0.5, 0.5, {}),
        (KEYS, 2, "write"): (1, 1, 0.0, 0.125, {}),
        ("lambdas/shared/postgres/copy_rows.py", 3, "whole_rows"): (1, 1, 0.25, 0.25, {}),
        ("elsewhere.py", 4, "whole_rows"): (1, 1, 1.0, 1.0, {}),
    }
    apart = "taking the server's messages apart, one for each row"
    assert activities(stats) == {PARQUET: 0.375, KEY_FILES: 0.125, apart: 0.25, OTHER: 1.0}
