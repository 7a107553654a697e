"""The cache of imports: written where something is new, read once, and of no harm where it is damaged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lambda_toolkit.packaging.imports import import_statements, statements_cache
from lambda_toolkit.packaging.imports.import_statements import known, read


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_statements, "_known", {})
    monkeypatch.setattr(statements_cache, "_saved", set())


def forget() -> None:
    import_statements._known.clear()
    statements_cache._saved.clear()


SOURCE = b"try:\n    import a\nexcept ImportError:\n    from . import b\nx = globals()\n"


def test_imports_are_the_same_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cache"
    statements_cache.load(folder)
    first, second = read(SOURCE, (3, 12)), read(SOURCE, (3, 9))
    statements_cache.save(folder)
    [file] = folder.iterdir()
    assert file.name == "statements-1.json"
    digest = hashlib.sha256(SOURCE).hexdigest()
    assert set(json.loads(file.read_text(encoding="utf-8"))) == {f"{digest}-3.12", f"{digest}-3.9"}
    forget()
    statements_cache.load(folder)
    assert known() == {
        (hashlib.sha256(SOURCE).digest(), (3, 12)): first,
        (hashlib.sha256(SOURCE).digest(), (3, 9)): second,
    }


def test_file_is_written_only_where_more_is_known(tmp_path: Path) -> None:
    read(b"import a", (3, 12))
    statements_cache.save(tmp_path)
    file = tmp_path / "statements-1.json"
    file.write_text("{}", encoding="utf-8")
    statements_cache.save(tmp_path)
    assert file.read_text(encoding="utf-8") == "{}"
    read(b"import b", (3, 12))
    statements_cache.save(tmp_path)
    assert len(json.loads(file.read_text(encoding="utf-8"))) == 2
    forget()
    statements_cache.load(tmp_path)
    file.write_text("{}", encoding="utf-8")
    statements_cache.save(tmp_path)
    assert file.read_text(encoding="utf-8") == "{}", "what was read is not written again"


def test_newest_modules_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements_cache, "_MOST_KEPT", 2)
    for name in ("a", "b", "c"):
        read(f"import {name}".encode(), (3, 12))
    statements_cache.save(tmp_path)
    stored = json.loads((tmp_path / "statements-1.json").read_text(encoding="utf-8"))
    assert [value[0][0][0] for value in stored.values()] == ["b", "c"]


@pytest.mark.parametrize("text", ["", "[]", "{damaged", '{"x": 1}', '{"zz-3.12": [[], [], 0, 0]}', '{"00-3.12": 5}'])
def test_damaged_file_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "statements-1.json").write_text(text, encoding="utf-8")
    statements_cache.load(tmp_path)
    assert known() == {}
    read(b"import a", (3, 12))
    statements_cache.save(tmp_path)
    forget()
    statements_cache.load(tmp_path)
    assert len(known()) == 1


def test_cache_that_cannot_be_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    read(b"import a", (3, 12))
    statements_cache.save(tmp_path / "file")
    statements_cache.load(tmp_path / "file")
    assert len(known()) == 1


def test_file_is_read_once_by_a_process(tmp_path: Path) -> None:
    statements_cache.load(tmp_path)
    read(b"import a", (3, 12))
    statements_cache.save(tmp_path)
    import_statements._known.clear()
    statements_cache.load(tmp_path)
    assert known() == {}


def test_oldest_modules_are_forgotten_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_statements, "_MOST_KNOWN", 2)
    for number in range(2):
        read(f"import m{number}".encode(), (3, 12))
        read(f"import m{number}".encode(), (3, 12))
    assert len(known()) == 2
    read(b"import m2", (3, 12))
    assert len(known()) == 1
