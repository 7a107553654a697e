"""The list of mutations is resumable: what was caught counts as long as neither the code nor its tests changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests import mutations
from tests.mutations import Mutation

MUTATION = Mutation("a name", "code.py", "a < b", "a <= b", "test_code.py::test_one -k edge")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mutations, "REPOSITORY", tmp_path)
    monkeypatch.setattr(mutations, "RESULTS", tmp_path / "caught.jsonl")
    for name in ("code.py", "test_code.py"):
        (tmp_path / name).write_text("a < b\n", encoding="utf-8")
    line = {"state": mutations._state(MUTATION), "name": MUTATION.name, "caught": "test_one"}
    mutations.RESULTS.write_text(f"{json.dumps(line)}\n{json.dumps(line)[:20]}", encoding="utf-8")
    return tmp_path


def test_caught_mutation_is_not_tried_again(repository: Path) -> None:
    assert mutations._known([MUTATION]) == {"a name": "test_one"}


@pytest.mark.parametrize("changed", ["code.py", "test_code.py"])
def test_mutation_of_changed_texts_is_tried_again(repository: Path, changed: str) -> None:
    (repository / changed).write_text("a < b  # now\n", encoding="utf-8")
    assert mutations._known([MUTATION]) == {}


def test_mutation_of_another_text_is_tried_again(repository: Path) -> None:
    assert mutations._known([replace(MUTATION, new="True")]) == {}
