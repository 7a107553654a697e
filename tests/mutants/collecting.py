"""A pytest plugin that records which lines each test runs: ``-p tests.mutants.collecting``, in a copy.

Threads are followed. So are the Python processes that a test starts, unless it takes their PYTHONPATH away: in them
``sitecustomize`` is the one that this module writes. What a fixture of a module, a package or a session runs counts
for all tests that use the fixture, and so does the time that it takes. What functions a test file calls while it is
imported (parameters are often made so) counts for all of its tests.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

from tests.mutants import reach
from tests.mutants.mutant import digest

_PROCESS = (
    "import os\nif os.environ.get('COVERAGE_PROCESS_START'):\n    import coverage\n    coverage.process_startup()\n"
)
_SETTINGS = """
[run]
include = {root}/lambda_script.py
    {root}/lambda_toolkit/*
    {root}/lambdas/*
data_file = {data}
parallel = true
concurrency = thread
sigterm = true
context = ${{PYTEST_CURRENT_TEST-}}
"""


def pytest_configure(config: pytest.Config) -> None:
    """Begin to record."""
    collector = _Collector(Path(config.rootpath), Path(os.environ["MUTANTS_STORE"]))
    config.pluginmanager.register(collector, "mutants-reach")
    config.add_cleanup(lambda: shutil.rmtree(collector.folder, ignore_errors=True))


class _Collector:
    def __init__(self, root: Path, store: Path) -> None:
        self._root = root
        self._store = store
        self.folder = Path(tempfile.mkdtemp(prefix="mutants-reach-"))
        settings = self.folder / "coveragerc"
        self._data = self.folder / "data"
        settings.write_text(_SETTINGS.format(root=root, data=self._data / "process"), encoding="utf-8")
        self._data.mkdir()
        (self.folder / "sitecustomize.py").write_text(_PROCESS, encoding="utf-8")
        os.environ["COVERAGE_PROCESS_START"] = str(settings)
        os.environ["PYTHONPATH"] = os.pathsep.join([str(self.folder), str(root)])
        self._coverage = self._new()
        self._coverage.start()
        self._tests: dict[str, tuple[float, float]] = {}
        self._failed: set[str] = set()
        self._made: dict[str, float] = defaultdict(float)
        self._fixtures: dict[str, set[str]] = defaultdict(set)
        self._shared: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._imported: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._current = ""

    def _new(self) -> coverage.Coverage:
        include = [f"{self._root}/{name}" for name in ("lambda_script.py", "lambda_toolkit/*", "lambdas/*")]
        return coverage.Coverage(data_file=None, include=include, config_file=False, concurrency="thread")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        """Records one test; after the last of its file, the file."""
        self._current = item.nodeid
        self._coverage.switch_context(item.nodeid)
        names = getattr(item, "fixturenames", ())
        for name in names:
            self._fixtures[name].add(item.nodeid)
        before = sum(self._made.values())
        began, used = time.monotonic(), _processor()
        try:
            return (yield)
        finally:
            # A worker makes the fixtures for each mutant: their time counts for every test that may be the first.
            shared = sum(self._made[name] for name in names) - (sum(self._made.values()) - before)
            taken = time.monotonic() - began + shared
            self._tests[item.nodeid] = (round(_processor() - used, 3), round(taken, 3))
            if nextitem is None or nextitem.path != item.path:
                self._finish(item.path.relative_to(self._root).as_posix())

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[Any]:
        """Records what a shared fixture runs as its own."""
        if fixturedef.scope == "function":
            return (yield)
        self._coverage.switch_context(f"fixture {fixturedef.argname}")
        began = time.monotonic()
        try:
            return (yield)
        finally:
            self._made[fixturedef.argname] += time.monotonic() - began
            self._coverage.switch_context(self._current)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Iterator[Any]:
        """Records what the import of a test file runs."""
        if isinstance(collector, pytest.Module):
            self._coverage.switch_context(f"import {collector.path.relative_to(self._root).as_posix()}")
        try:
            return (yield)
        finally:
            self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that does not pass proves nothing about a mutant."""
        if not report.passed:
            self._failed.add(report.nodeid)

    def _finish(self, file: str) -> None:
        self._coverage.stop()
        reached: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        parts = [self._coverage.get_data(), *self._of_processes()]
        for data in parts:
            for measured in data.measured_files():
                source = Path(measured).relative_to(self._root).as_posix()
                for line, contexts in data.contexts_by_lineno(measured).items():
                    for context in contexts:
                        for test in self._tests_of(context, source, line):
                            reached[source][test].add(line)
        for (source, importing), lines in self._imported.items():
            if importing == file:
                called = lines & reach.function_lines((self._root / source).read_text(encoding="utf-8"))
                for test in self._tests if called else ():
                    reached[source][test] |= called
        for (source, fixture), lines in self._shared.items():  # made by an earlier file's test
            for test in self._fixtures[fixture] & set(self._tests):
                reached[source][test] |= lines
        texts = {source: (self._root / source).read_text(encoding="utf-8") for source in reached}
        passed = {test: taken for test, taken in self._tests.items() if test not in self._failed}
        reach.SOURCES, reach.REACH = self._store / "sources", self._store / "reach"
        record = {
            "file": file,
            "digest": digest((self._root / file).read_text(encoding="utf-8")),
            "tests": passed,
            "sources": {source: digest(text) for source, text in texts.items()},
            "reached": {
                source: {test: reach.ranges(lines) for test, lines in by_test.items() if test in passed}
                for source, by_test in reached.items()
            },
        }
        reach.keep(record, texts)
        print(f"\n{json.dumps({'collected': file, 'tests': len(passed), 'failed': len(self._failed)})}", flush=True)
        self._tests, self._failed, self._fixtures = {}, set(), defaultdict(set)
        self._coverage = self._new()
        self._coverage.start()

    def _tests_of(self, context: str, source: str, line: int) -> set[str]:
        if context.startswith("fixture "):
            name = context.removeprefix("fixture ")
            self._shared[source, name].add(line)
            return self._fixtures[name]
        if context.startswith("import "):
            self._imported[source, context.removeprefix("import ")].add(line)
            return set()
        return {context} if context else set()

    def _of_processes(self) -> list[coverage.CoverageData]:
        """What processes wrote that tests started; the context is "file::test (call)"."""
        found = []
        for part in self._data.glob("process.*"):
            data = coverage.CoverageData(str(part))
            try:
                data.read()
            except coverage.CoverageException:
                continue
            found.append(_ByTest(data))
            part.unlink()
        return found  # type: ignore[return-value]


def _processor() -> float:
    """The seconds of the processor that this process and those that it waited for have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class _ByTest:
    """The data of a process, with the test in place of ``PYTEST_CURRENT_TEST``."""

    def __init__(self, data: coverage.CoverageData) -> None:
        self._files = {file: data.contexts_by_lineno(file) for file in data.measured_files()}

    def measured_files(self) -> list[str]:
        return list(self._files)

    def contexts_by_lineno(self, file: str) -> dict[int, list[str]]:
        return {
            line: [context.rsplit(" (", 1)[0] for context in contexts] for line, contexts in self._files[file].items()
        }
