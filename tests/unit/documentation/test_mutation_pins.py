"""Each mutation names text that its file has once, and tests that exist: otherwise it proves nothing."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mutation_fits_the_present_code(mutation: Mutation) -> None:
    for file, old in ((mutation.file, mutation.old), *((file, old) for file, old, _ in mutation.more)):
        assert (ROOT / file).read_text(encoding="utf-8").count(old) == 1, f"{file} has it not once: {old}"
    named = [word.partition("::")[0] for word in shlex.split(mutation.tests) if word.startswith("tests/")]
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
