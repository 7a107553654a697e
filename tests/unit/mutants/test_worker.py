"""A worker tries mutants in a copy: caught, endless or survived; and leaves the copy as it was."""

from __future__ import annotations

import ast
import contextlib
import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.mutants.mutant import ROOT
from tests.mutants.reach import PassingTest
from tests.mutants.trial import Worker
from tests.mutants.worker import SERVER

CODE = "def double(a):\n    return a + a\n"
TESTS = """
import subprocess, sys
from code_under_test import double

def test_doubles():
    assert double(3) == 6

def test_starts_a_process():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    assert double(0) == 0

def test_breaks_before_it_begins(prepared):
    pass
"""
FIXTURE = """
import pytest
from code_under_test import double

@pytest.fixture
def prepared():
    assert double(1) < 3
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "tests" / "mutants", copy / "tests" / "mutants")
    (copy / "tests" / "__init__.py").touch()
    (copy / "tests" / "unit").mkdir()
    (copy / "tests" / "unit" / "test_it.py").write_text(TESTS, encoding="utf-8")
    (copy / "tests" / "unit" / "conftest.py").write_text(FIXTURE, encoding="utf-8")
    (copy / "code_under_test.py").write_text(CODE, encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def worker(copy: Path) -> Iterator[Worker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUTANTS_GRACE", "2")
        started = Worker(copy, "--bare")
    yield started
    started.close()


def chosen(*names: str) -> list[PassingTest]:
    return [PassingTest(f"tests/unit/test_it.py::test_{name}", 0.1, 0.1) for name in names]


@pytest.mark.parametrize(
    ("changed", "outcome", "by"),
    [
        (CODE, "survived", None),
        ("def double(a):\n    return a + a if a else 0\n", "survived", None),
        ("def double(a):\n    return a + 3\n", "caught", "starts_a_process"),
        ("def double(a):\n    return a * a\n", "caught", "doubles"),
        ("def double(a):\n    while a:\n        pass\n    return a\n", "endless", "doubles"),
        ("def double(a):\n    return a + a if a != 1 else 4\n", "caught", "breaks_before_it_begins"),
        ("def double(a):\n    raise KeyboardInterrupt\n", "caught", "starts_a_process"),
        ("raise ImportError('no')\n", "caught", None),
    ],
)
def test_worker_says_what_became_of_a_mutant(worker, copy, changed, outcome, by) -> None:
    tests = chosen("starts_a_process", "is_not_there_any_more", "doubles", "breaks_before_it_begins")
    answer = worker.run("code_under_test.py", changed, tests)
    assert answer["outcome"] == outcome, answer
    assert by is None or answer["by"] == f"tests/unit/test_it.py::test_{by}"
    assert (copy / "code_under_test.py").read_text(encoding="utf-8") == CODE
    left = [
        process for process in psutil.Process().children(recursive=True) if "time.sleep(600)" in command_of(process)
    ]
    _, alive = psutil.wait_procs(left, 10)  # one that was killed may take a moment to end
    assert alive == [], "what a test leaves behind is ended"


def test_its_server_is_started_by_a_module_that_exists() -> None:
    imports = [node for node in ast.walk(ast.parse(SERVER)) if isinstance(node, ast.ImportFrom)]
    own = [node for node in imports if str(node.module).startswith("lambda_toolkit")]
    assert own
    for node in own:
        for name in node.names:
            assert importlib.import_module(f"{node.module}.{name.name}").start


def command_of(process: psutil.Process) -> str:
    """Its command line; empty for a process that has ended, whether or not its parent has noticed."""
    with contextlib.suppress(psutil.NoSuchProcess):  # a zombie is one
        return " ".join(process.cmdline())
    return ""
