"""The interpreters that may compile for a runtime, in the order in which they are tried."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lambda_toolkit.packaging import interpreters


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(interpreters, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "python"


def add(folder: Path, *versions: str) -> list[Path]:
    made = [folder / version / "bin" / "python3.13" for version in versions]
    for path in made:
        path.parent.mkdir(parents=True)
        path.touch()
    return made


def test_newest_of_each_place_comes_first(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], Path | None]] = []

    def uv(arguments: list[str], own: Path | None) -> str:
        asked.append((arguments, own))
        return "/uv/python3.13" if own is None else ""

    monkeypatch.setattr("shutil.which", lambda name: f"/path/{name}")
    monkeypatch.setattr(interpreters, "_uv_python", uv)
    older, newer = add(tmp_path / "pyenv" / "versions", "3.13.1", "3.13.2")
    add(tmp_path / "pyenv" / "versions", "3.12.9")
    early, late = add(cache, "cpython-3.13.3-linux", "cpython-3.13.4-linux")
    found = list(interpreters._candidates("3.13", {"PYENV_ROOT": str(tmp_path / "pyenv")}))
    expected = [Path("/path/python3.13"), newer, older, late, early, Path("/uv/python3.13"), late, early]
    assert found == expected
    assert asked == [(["find", "--managed-python", "3.13"], None), (["install", "--no-bin", "3.13"], cache)]


def test_home_folder_has_pyenv_where_nothing_else_is_said(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(interpreters, "_uv_python", lambda *_, **__: None)
    for environ in ({}, {"PYENV_ROOT": ""}):
        assert list(interpreters._candidates("3.13", environ)) == []
    made = add(tmp_path / ".pyenv" / "versions", "3.13.1")
    assert list(interpreters._candidates("3.13", {})) == made


def test_failed_download_is_repeated_after_a_day(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []
    monkeypatch.setattr(interpreters, "_uv_python", lambda *_: tries.append(1))
    failed = cache / "3.13.failed"
    for age, tried in ((0, 1), (0, 1), (86300, 1), (86500, 2)):
        if age:
            os.utime(failed, (time.time() - age,) * 2)
        assert interpreters._download("3.13", cache) is False
        assert len(tries) == tried
    monkeypatch.setattr(interpreters, "_uv_python", lambda *_: "")
    assert interpreters._download("3.12", cache) is True
    assert not (cache / "3.12.failed").exists()
