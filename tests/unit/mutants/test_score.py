"""Which tests are chosen for a mutant, and the score of the committed results."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.mutants import reach, score, trial
from tests.mutants.mutant import ROOT, digest
from tests.mutants.python_operators import mutants
from tests.mutants.reach import PassingTest, Reach
from tests.mutants.score import Line, Survivor

COMMANDS = "pipeline's commands"
FILE = "lambdas/some.py"
CODE = '''
_DELETE = """DELETE FROM t WHERE a = $a"""


def first(a):
    """Doc."""
    return run(_DELETE, a)


def second(a, b=1):
    return a
'''


def reach_of(**lines: int) -> Reach:
    """Each test reaches one line."""
    found = Reach({test: PassingTest(test, 1.0, 1.0) for test in lines})
    for test, line in lines.items():
        found.lines[FILE][line].add(test)
    for name, line in reach._used(CODE):
        found.uses[name].append((FILE, line))
    return found


def test_code_of_import_is_reached_by_what_uses_its_names() -> None:
    reached = reach_of(of_first=7, of_second=11)
    by_operator = {m.operator: [t.id for t in reached.tests_of(m, CODE)] for m in mutants(FILE, CODE)}
    assert by_operator["sql swap"] == ["of_first"]  # a template
    assert by_operator["arguments swapped"] == ["of_first"]
    assert by_operator["constant"] == ["of_second"]  # a default argument


def test_function_that_import_calls_is_reached_by_its_users() -> None:
    """A constant that a function makes: no test runs the function's lines, which run once for all of them."""
    code = f"{CODE}\n\ndef made(a):\n    return a + 1\n\n\nMADE = made(1)\n\n\ndef third():\n    return MADE\n"
    found = Reach({"of_third": PassingTest("of_third", 1.0, 1.0)})
    found.lines[FILE][code[: code.index("return MADE")].count("\n") + 1].add("of_third")
    for name, line in reach._used(code):
        found.uses[name].append((FILE, line))
    [changed] = [m for m in mutants(FILE, code) if m.scope == "made" and m.operator == "arithmetic"]
    assert [test.id for test in found.tests_of(changed, code)] == ["of_third"]


def test_lines_of_functions_are_those_of_their_bodies() -> None:
    assert reach.function_lines(CODE) == {6, 7, 11}


def test_lines_are_followed_when_code_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "SOURCES", tmp_path)
    (tmp_path / digest(CODE)).write_text(CODE, encoding="utf-8")
    assert reach.Code({FILE: CODE}).followed(FILE, digest(CODE)) is None
    shifted = reach.Code({FILE: f"import os\n{CODE.replace('return a', 'return b')}"}).followed(FILE, digest(CODE))
    assert shifted is not None
    assert (shifted[7], shifted[11]) == ((FILE, 8), (FILE, 12))
    start, end = CODE.index("def first"), CODE.index("def second")
    texts = {FILE: CODE[:start] + CODE[end:], "other.py": f"import os\n\n\n{CODE[start:end]}"}
    moved = reach.Code(texts).followed(FILE, digest(CODE))
    assert moved is not None
    assert (moved[7], moved[11]) == (("other.py", 6), (FILE, 6))


def test_line_numbers_are_stored_as_ranges() -> None:
    assert reach.ranges([7, 1, 3, 2]) == "1-3,7"
    assert list(reach._numbers("1-3,7")) == [1, 2, 3, 7]


def test_tests_that_caught_others_run_first_within_the_budget() -> None:
    tests = [PassingTest("fast", 1.0, 1.0), PassingTest("slow", 4.0, 4.0), PassingTest("never", 90.0, 90.0)]
    assert [t.id for t in trial.chosen_tests(FILE, tests, 60, Counter())] == ["fast", "slow"], "of a file each"
    assert [t.id for t in trial.chosen_tests(FILE, tests, 60, Counter({"slow": 2}))] == ["slow", "fast"]
    files = [PassingTest(f"{file}::{number}", number, number) for file in ("a", "b") for number in (1, 2)]
    assert [t.id for t in trial.chosen_tests(FILE, files, 60, Counter())] == ["a::1", "b::1", "a::2", "b::2"]
    named = PassingTest("tests/test_some_more.py::3", 3, 3)
    assert trial.chosen_tests(FILE, [*files, named], 60, Counter())[2] is named
    assert [t.id for t in trial.chosen_tests(FILE, [tests[2]], 60, Counter())] == ["never"]


def test_score_excludes_what_is_equivalent() -> None:
    lines = [Line("caught", f"lambdas/load/a.py::f::not::{n}", "") for n in range(8)]
    lines += [Line("survived", f"lambdas/load/a.py::f::not::{n}", "") for n in (8, 9)]
    same = Survivor(lines[8].id, "", score.EQUIVALENT, "the same")
    lines += [Line("caught", "lambda_toolkit/pipeline/commands/a.py::f::not::1", "")]
    samples = {name: score.Sample(name, 10, total, "1") for name, total in (("functions", 90), (COMMANDS, 10))}
    shown = score.table(samples, lines, {same.id: same})
    assert "| `lambdas/load` | 10 | 8 | 1 | 1 | 88.9 % |" in shown
    assert "80.0 % when those that are equivalent count as survivors" in shown
    assert "**90.0 %**" in shown, "8 of 9 weigh nine times 1 of 1"


def test_results_of_one_group_replace_its_own_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "RESULTS", tmp_path / "results.txt")
    score.RESULTS.write_text("", encoding="utf-8")
    functions, toolkit = score.Sample("functions", 1, 5, "1"), score.Sample("toolkit", 1, 7, "2")
    of_functions, of_toolkit = Line("caught", "lambdas/a.py::f::not::1", "a -> b"), Line("survived", "x.py::f", "b")
    score.write_results([functions], [Line("survived", "lambdas/old.py::f::not::1", "a -> b")])
    score.write_results([toolkit], [of_toolkit])
    score.write_results([functions], [of_functions])
    found = score.read_results(score.RESULTS.read_text(encoding="utf-8"))
    assert found == ({"functions": functions, "toolkit": toolkit}, [of_functions, of_toolkit])


def test_interval_of_wilson() -> None:
    low, high = score.interval(190, 200)
    assert (round(low, 3), round(high, 3)) == (0.910, 0.973)


def test_page_shows_the_committed_results() -> None:
    assert score.rendered() == score.PAGE.read_text(encoding="utf-8"), "run python -m tests.mutants.score"


def test_every_survivor_has_a_reason() -> None:
    _, lines = score.read_results(score.RESULTS.read_text(encoding="utf-8"))
    survivors = score.read_survivors(score.SURVIVORS.read_text(encoding="utf-8"))
    assert [line.id for line in lines if line.outcome not in score.CAUGHT and line.id not in survivors] == []


def test_files_of_survivors_exist() -> None:
    survivors = score.read_survivors(score.SURVIVORS.read_text(encoding="utf-8"))
    assert [s.id for s in survivors.values() if not (ROOT / s.id.split("::")[0]).is_file()] == []
