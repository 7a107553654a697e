"""The tests that are skipped on the second emulator exist, each once."""

from __future__ import annotations

import re

from tests.second_emulator.differences import CANNOT, reason
from tests.support.repository import REPOSITORY


def test_skipped_tests_exist() -> None:
    defined = {
        name
        for file in (REPOSITORY / "tests" / "aws").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    named = [test for tests in CANNOT.values() for test in tests]
    assert {test.partition("[")[0] for test in named} <= defined
    assert len(named) == len(set(named))
    assert reason("test_with_its_data") == f"moto's server {next(iter(CANNOT))}"
    assert reason("test_what_was_lost_of_a_release_is_made_again[version]")
    assert reason("test_what_was_lost_of_a_release_is_made_again[alias]") is None
