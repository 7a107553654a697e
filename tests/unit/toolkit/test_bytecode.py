"""Bytecode: which Python compiles it, in which process, and what becomes of a module that cannot be compiled."""

from __future__ import annotations

import io
import json
import marshal
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging import bytecode, compiler, interpreters
from lambda_toolkit.packaging.archive import Entry
from lambda_toolkit.packaging.bytecode import with_bytecode
from lambda_toolkit.spec.model import THIS_RUNTIME

TAG = THIS_RUNTIME.removeprefix("python").replace(".", "")
LATIN = "# -*- coding: latin-1 -*-\nNAME = 'é'\n".encode("latin-1")
BROKEN = b"x = 1\ny = (\n"


def program(path: Path, text: str) -> Path:
    """A shell script in place of uv or of a Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def code_of(pyc: bytes) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(marshal.loads(pyc[16:]), names)  # noqa: S102, S302
    return names


@pytest.fixture(params=["in this process", "in another"])
def interpreter(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This Python, by its own path and by that of a program that starts it."""
    path = Path(sys.executable)
    if request.param == "in another":
        path = program(tmp_path / "python", f'test "$1 $2" = "-S -B" && exec "{sys.executable}" "$@"')
    monkeypatch.setattr(bytecode, "find_interpreter", lambda runtime: path)
    return path


def test_each_module_has_its_bytecode_beside_it(interpreter: Path) -> None:
    given = {"a.py": Entry(b"A = 1\n"), "deep/b.py": Entry(LATIN), "data.json": Entry(b"{}"), "c.pyc": Entry(b"")}
    found = with_bytecode(given, "/var/task", THIS_RUNTIME, strict=True)
    assert [name for name in found if name not in given] == [
        f"__pycache__/a.cpython-{TAG}.pyc",
        f"deep/__pycache__/b.cpython-{TAG}.pyc",
    ]
    assert {name: found[name] for name in given} == given
    content = found[f"deep/__pycache__/b.cpython-{TAG}.pyc"].content
    assert code_of(content)["NAME"] == "é"
    assert marshal.loads(content[16:]).co_filename == "/var/task/deep/b.py"  # noqa: S302


def test_module_that_does_not_compile(interpreter: Path) -> None:
    """In a function it is an error; in a layer it has no bytecode, as Lambda compiles it where it is imported."""
    given = {"a.py": Entry(b"A = 2\n"), "broken.py": Entry(BROKEN), "empty.py": Entry(b"\0")}
    found = with_bytecode(given, "/opt/python", THIS_RUNTIME, strict=False)
    assert [name for name in found if name not in given] == [f"__pycache__/a.cpython-{TAG}.pyc"]
    with pytest.raises(PackageError, match=rf"^broken\.py, line 2: .* Python{TAG[0]}\.{TAG[1:]} cannot compile it"):
        with_bytecode({"broken.py": Entry(BROKEN)}, "/opt/python", THIS_RUNTIME, strict=True)
    with pytest.raises(PackageError, match=r"^empty\.py: .*null bytes"):
        with_bytecode({"empty.py": Entry(b"\0")}, "/opt/python", THIS_RUNTIME, strict=True)


def test_package_without_modules_starts_no_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "find_interpreter", lambda runtime: tmp_path / "none")
    given = {"data.json": Entry(b"{}")}
    assert with_bytecode(given, "/var/task", THIS_RUNTIME, strict=True) == given


def test_module_is_compiled_once_for_all_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    real = compiler.compile_module
    monkeypatch.setattr(compiler, "compile_module", lambda path, source: compiled.append(path) or real(path, source))
    shared = {"shared_once.py": Entry(b"ONCE = 1\n")}
    for _ in range(2):
        with_bytecode(shared, "/var/task", THIS_RUNTIME, strict=True)
    with_bytecode({**shared, "more.py": Entry(b"ONCE = 2\n")}, "/var/task", THIS_RUNTIME, strict=True)
    with_bytecode(shared, "/opt/python", THIS_RUNTIME, strict=True)
    assert compiled == ["/var/task/shared_once.py", "/var/task/more.py", "/opt/python/shared_once.py"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("echo it is broken >&2; exit 3", "cannot compile the modules of the package: it is broken"),
        (r"printf 'in \377 Latin' >&2; exit 3", "the package: in \ufffd Latin"),
        ("exit 3", "exit status 3"),
        ("echo no JSON", "cannot compile the modules"),
        (None, "No such file"),
    ],
)
def test_python_that_cannot_compile_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, says: str
) -> None:
    path = program(tmp_path / "python", text) if text else tmp_path / "none"
    monkeypatch.setattr(bytecode, "find_interpreter", lambda runtime: path)
    with pytest.raises(PackageError) as refused:
        with_bytecode({"a.py": Entry(b"B = 1\n")}, "/var/task", THIS_RUNTIME, strict=True)
    assert says in str(refused.value)


def test_compiler_is_a_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [["/a.py", LATIN.decode("latin-1")], ["/b.py", BROKEN.decode()], ["/c.py", "\0"]]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(asked).encode())))
    compiler.main()
    one, broken, empty = json.loads(capsys.readouterr().out)
    assert code_of(one["pyc"].encode("latin-1"))["NAME"] == "é"
    assert (set(broken), broken["line"]) == ({"error", "line"}, 2)
    assert (set(empty), empty["line"]) == ({"error", "line"}, None)


def test_only_cpython_of_the_version_compiles(tmp_path: Path) -> None:
    assert interpreters.is_cpython(Path(sys.executable), THIS_RUNTIME.removeprefix("python")) is True
    isolated = 'test "$1 $2 $3" = "-I -S -c" && echo cpython 3 13'
    assert interpreters.is_cpython(program(tmp_path / "python", isolated), "3.13") is True, "nothing of a user's runs"
    answers = {"cpython 3 13": True, "cpython 3 12": False, "pypy 3 13": False, "cpython 3 13 1": False, "": False}
    for said, right in answers.items():
        assert interpreters.is_cpython(program(tmp_path / "python", f"echo {said}"), "3.13") is right, said
    assert interpreters.is_cpython(program(tmp_path / "python", "echo cpython 3 13; exit 1"), "3.13") is False
    assert interpreters.is_cpython(tmp_path / "none", "3.13") is False


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any Python but this one, with a cache and a pyenv below its folder."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("LAMBDA_SCRIPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(interpreters, "find_uv", lambda: None)
    return tmp_path


def find(runtime: str) -> Path | None:
    return interpreters.find_interpreter.__wrapped__(runtime)  # not from the cache


def test_python_is_found_in_the_order_of_its_places(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def python(path: str) -> Path:
        return program(machine / path, "echo cpython 3 19")

    assert find(THIS_RUNTIME) == Path(sys.executable)
    assert find("python3.19") is None
    managed = python("managed/python3.19")
    monkeypatch.setattr(interpreters, "find_uv", lambda: str(machine / "uv"))
    program(machine / "uv", f'test "$*" = "python find --managed-python 3.19" && echo {managed}')
    assert find("python3.19") == managed
    python("cache/python/cpython-3.19.1-linux/bin/python3.19")
    cached = python("cache/python/cpython-3.19.2-linux/bin/python3.19")
    assert find("python3.19") == cached
    python("pyenv/versions/3.19.1/bin/python3.19")
    pyenv = python("pyenv/versions/3.19.2/bin/python3.19")
    assert find("python3.19") == pyenv
    on_path = python("bin/python3.19")
    assert find("python3.19") == on_path
    program(on_path, "echo cpython 3 18")
    assert find("python3.19") == pyenv, "one of another version is passed over"


UV = """
case "$2" in
  install) echo "$UV_PYTHON_INSTALL_DIR $UV_HTTP_RETRIES $PWD $*" >> {log}; {install} ;;
  *) exit 1 ;;
esac
"""


def test_python_is_downloaded_into_the_cache(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, log = machine / "cache" / "python", machine / "log"
    monkeypatch.setattr(interpreters, "find_uv", lambda: str(machine / "uv"))
    monkeypatch.setenv("HOME", str(machine))
    monkeypatch.setenv("PATH", f"{machine / 'bin'}:/usr/bin:/bin")
    program(machine / "uv", UV.format(log=log, install="exit 1"))
    assert find("python3.19") is None
    assert log.read_text(encoding="utf-8") == f"{own} 1 {machine} python install --no-bin 3.19\n"
    failed = own / "3.19.failed"
    python = own / "cpython-3.19.0-linux" / "bin" / "python3.19"
    program(machine / "python", "echo cpython 3 19")
    install = f"mkdir -p {python.parent}; cp {machine / 'python'} {python}"
    program(machine / "uv", UV.format(log=log, install=install))
    day = 24 * 3600
    os.utime(failed, (0, time.time() - day + 60))
    assert find("python3.19") is None, "a failed download is not repeated for a day"
    os.utime(failed, (0, time.time() - day - 60))
    assert find("python3.19") == python


def test_cache_that_cannot_be_written_downloads_nothing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "cache").write_text("a file", encoding="utf-8")
    monkeypatch.setattr(interpreters, "find_uv", lambda: str(program(machine / "uv", "exit 1")))
    assert find("python3.19") is None
