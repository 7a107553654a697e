"""The emulator's own environment is made once for what it is made of, and kept where the user's cache is."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator_environment as environment
from lambda_toolkit.pipeline.local_stack.errors import LocalError

UV = """#!/bin/sh
echo "$@" >> "{log}"
echo "${{VIRTUAL_ENV-}}${{PYTHONPATH-}} ${{UV_NO_CACHE-}} $SEEN" >> "{log}"
if [ "$1" = venv ]; then mkdir -p "$6/bin"; touch "$6/bin/python"; fi
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new cache, and an installer that writes down what it was given."""
    installer = tmp_path / "uv"
    installer.write_text(UV.format(log=tmp_path / "log"), encoding="utf-8")
    installer.chmod(0o700)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(installer))
    monkeypatch.setenv(environment.CACHE_VARIABLE, str(tmp_path / "cache"))
    for name in ("VIRTUAL_ENV", "PYTHONPATH"):
        monkeypatch.setenv(name, "of this project")
    monkeypatch.delenv("UV_NO_CACHE", raising=False)
    monkeypatch.setenv("SEEN", "seen")
    return tmp_path / "cache"


def given(cache: Path) -> list[list[str]]:
    """The words that the installer was given, and what it saw; FOLDER is where it worked."""
    log = cache.with_name("log")
    text = log.read_text(encoding="utf-8") if log.is_file() else ""
    log.unlink(missing_ok=True)
    return [line.split() for line in re.sub(rf"{cache}/emulator-\w+", "FOLDER", text).splitlines()]


def test_environment_is_made_once_for_what_it_is_made_of(cache: Path, tmp_path: Path) -> None:
    said: list[str] = []
    python = environment.interpreter(tmp_path / "fallback", said.append)
    base = f"{sys.base_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    assert given(cache) == [
        ["venv", "--quiet", "--relocatable", "--python", base, "FOLDER", "--clear"],
        ["seen"],
        ["pip", "install", "--quiet", "--python", "FOLDER/bin/python", "ministack==1.5.33", "boto3"],
        ["seen"],
    ], "the variables of this project's environment are not the installer's"
    assert python.is_file() and python.parts[-2:] == ("bin", "python") and python.parents[2] == cache
    assert environment.interpreter(tmp_path / "fallback", said.append) == python and len(said) == 1
    assert given(cache) == []
    more = environment.interpreter(tmp_path / "fallback", also=("pyarrow==1",))
    assert more != python and more.is_file()
    assert given(cache)[2][-2:] == ["boto3", "pyarrow==1"]
    assert {path.name for path in cache.iterdir()} == {python.parents[1].name, more.parents[1].name}


def test_environment_without_its_interpreter_is_made_again(cache: Path, tmp_path: Path) -> None:
    """The interpreter that it was made with was removed: the link leads nowhere."""
    python = environment.interpreter(tmp_path / "fallback")
    python.unlink()
    python.symlink_to(tmp_path / "removed")
    (python.parents[1] / "left").touch()
    assert environment.interpreter(tmp_path / "fallback") == python
    assert python.is_file() and not (python.parents[1] / "left").exists()


def test_interpreter_without_a_base_is_this_one(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "removed"))
    environment.interpreter(tmp_path / "fallback")
    assert given(cache)[0][4] == sys.executable


@pytest.mark.parametrize("complete", [True, False])
def test_environment_of_a_quicker_process_is_as_good(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complete: bool
) -> None:
    python = environment.interpreter(tmp_path / "fallback")
    python.unlink()

    def install(arguments: list[str], target: Path | None) -> None:
        python.parent.mkdir(parents=True, exist_ok=True)
        (python if complete else python.with_name("pip")).touch()

    monkeypatch.setattr(environment, "_uv", install)
    if complete:
        assert environment.interpreter(tmp_path / "fallback") == python
    else:
        with pytest.raises(OSError, match="not empty"):
            environment.interpreter(tmp_path / "fallback")
    assert [*cache.iterdir()] == [python.parents[1]], "what was begun is removed"


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(sys, "version", "4.0"),
        lambda patch: patch.setattr(sys, "base_prefix", "/opt/python"),
        lambda patch: patch.setattr(sysconfig, "get_platform", lambda: "linux-other"),
        lambda patch: patch.setattr(environment, "REQUIREMENTS", ("ministack==2", "boto3")),
        lambda patch: patch.setattr(environment, "REQUIREMENTS", ("ministack==1.5.33",)),
    ],
)
def test_what_an_environment_is_made_of_names_it(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    before = environment._digest(environment.REQUIREMENTS)
    assert environment._digest(environment.REQUIREMENTS) == before and before.isalnum()
    change(monkeypatch)
    assert environment._digest(environment.REQUIREMENTS) != before


@pytest.mark.parametrize(
    ("variables", "directory"),
    [
        ({"LAMBDA_SCRIPT_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/lambda_script"),
        ({"LAMBDA_SCRIPT_CACHE": "", "XDG_CACHE_HOME": ""}, "/home/me/.cache/lambda_script"),
        ({}, "/home/me/.cache/lambda_script"),
    ],
)
def test_cache_is_where_the_user_has_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], directory: str
) -> None:
    for name in ("LAMBDA_SCRIPT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**variables, "HOME": "/home/me"}.items():
        monkeypatch.setenv(name, value)
    assert environment._cache_directory() == Path(directory)


def test_cache_is_a_folder_that_can_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, fallback = tmp_path / "a" / "b", tmp_path / "c" / "d"
    for _ in range(2):
        assert environment._writable(wanted, fallback) == wanted
    assert not fallback.parent.exists()
    (tmp_path / "file").touch()
    assert environment._writable(tmp_path / "file" / "below", wanted) == wanted
    asked: list[int] = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append(mode) or path != wanted)
    assert environment._writable(wanted, fallback) == fallback
    assert asked == [os.W_OK | os.X_OK] * 2
    with pytest.raises(LocalError, match=f"Neither {wanted} nor {wanted} can be written"):
        environment._writable(wanted, wanted)


def test_installer_has_no_cache_where_there_is_no_home(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    environment._uv(["pip", "list"], None)
    assert given(cache) == [["pip", "list"], ["1", "seen"]]
    with pytest.raises(LocalError, match="could not be installed: no such package\n"):
        cache.with_name("uv").write_text("#!/bin/sh\necho no such package >&2; exit 2", encoding="utf-8")
        environment._uv(["pip"], None)
