"""Mutants in, outcomes out: workers in copies of the repository, results appended to a file as they come."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from tests.mutants.mutant import ROOT, Mutant, digest
from tests.mutants.reach import STORE, PassingTest, Reach

COPIED = ("lambdas", "lambda_toolkit", "tests", "config", "docs", "examples", "benchmarks")
COPIED += ("lambda_script.py", "deploy.py", "setup.py", "pyproject.toml", "Makefile", "README.md", "CHANGELOG.md")
COPIED += ("CONTRIBUTING.md", "LICENSE")
RESULTS = STORE / "results.jsonl"
UNREACHED = "unreached"
SURVIVED = ("survived", UNREACHED)
CAUGHT = ("caught", "endless")
FIRST = 3  # tests that are tried before the others


@dataclass(frozen=True)
class Result:
    """What became of a mutant: "caught", "endless" (caught by its time), "survived", or "unreached" by every test."""

    id: str
    state: str
    """The digest of the file that was mutated."""
    outcome: str
    by: str | None
    when: str | None
    tests: int
    """How many tests were to run."""
    reaching: int
    """How many tests reach it."""
    seconds: float
    old: str
    new: str


def copy_repository(to: Path) -> None:
    """Copy what tests need; ``.pyc`` files are not copied, links stay links."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            shutil.copy2(source, to / name)
    for link in ("lambda_script.egg-info", ".gitignore", ".github"):
        if (ROOT / link).exists():
            (to / link).symlink_to(ROOT / link)


class Worker:
    """A process of ``tests.mutants.worker`` in a copy of the repository."""

    def __init__(self, copy: Path, *options: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(copy), "MUTANTS_LOG": str(copy / "pytest.log")}
        environment["TMPDIR"] = str(copy / "tmp")
        (copy / "tmp").mkdir(exist_ok=True)
        (copy / "tmp").chmod(0o755)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.worker", *options],
            cwd=copy,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the parent, which ends this one in order
        )
        self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended with {self._process.wait()}")
        return dict(json.loads(line))

    def run(self, file: str, text: str, tests: Iterable[PassingTest]) -> dict[str, Any]:
        """The answer for one text of a file."""
        assert self._process.stdin
        request = {"file": file, "text": text, "tests": [[test.id, test.limit] for test in tests]}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Ends the process after what it is doing."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(300)


@contextmanager
def worker(texts: Mapping[str, str]) -> Iterator[Worker]:
    """A worker in a copy of its own, which has ``texts``, deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as name:
        copy = Path(name)
        copy.chmod(0o755)
        copy_repository(copy)
        for file, text in texts.items():
            (copy / file).write_text(text, encoding="utf-8")
        started = Worker(copy)
        try:
            yield started
        finally:
            started.close()


def chosen_tests(mutated: str, tests: list[PassingTest], budget: float, catchers: Counter[str]) -> list[PassingTest]:
    """The tests to run, in their order: first those that caught mutants of the file ``mutated``, or are called like it.

    Tests of one file are much alike: the fastest of each file comes first, then the second of each, and so on.
    ``budget``: seconds of the processor for all of them; the first is always taken.
    """
    fastest = sorted(tests, key=lambda test: (test.seconds / (1 + 4 * catchers[test.id]), test.id))
    number: Counter[str] = Counter()
    rounds = {}
    for test in fastest:
        file = test.id.split("::", 1)[0]
        rounds[test.id] = 0 if catchers[test.id] or _words(file) & _words(mutated) else number[file]
        number[file] += 1
    ordered = sorted(fastest, key=lambda test: rounds[test.id])
    taken, spent = [], 0.0
    for test in ordered:
        if taken and spent + test.seconds > budget:
            continue
        taken.append(test)
        spent += test.seconds
    return taken


def parts(tests: list[PassingTest]) -> list[list[PassingTest]]:
    """The first few and the rest: most mutants are caught by the first test, and pytest imports the files of all."""
    return [part for part in (tests[:FIRST], tests[FIRST:]) if part]


def _words(file: str) -> set[str]:
    return {word.rstrip("s") for word in Path(file).stem.split("_")} - {"test"}


def known_results() -> dict[str, Result]:
    """The last result of each mutant, by its id."""
    found: dict[str, Result] = {}
    if RESULTS.is_file():
        for line in RESULTS.read_text(encoding="utf-8").splitlines():
            try:
                result = Result(**json.loads(line))
            except ValueError:  # a line that was cut by an interruption
                continue
            found[result.id] = result
    return found


class Trials:
    """Tries mutants with several workers. ``texts``: the files as they were when the mutants were made."""

    def __init__(self, reach: Reach, texts: Mapping[str, str], budget: float, report: Callable[[Result], None]) -> None:
        self._reach = reach
        self._budget = budget
        self._report = report
        self._lock = threading.Lock()
        self._catchers: dict[str, Counter[str]] = {}
        for result in known_results().values():
            if result.outcome == "caught" and result.by:
                self._catchers.setdefault(result.id.split("::", 1)[0], Counter())[result.by] += 1
        self._texts = texts
        self._stopping = threading.Event()

    def run(self, mutants: Iterable[Mutant], workers: int) -> None:
        """Try each mutant; returns when all are done or after Ctrl-C, with what was running finished."""
        queue: Queue[Mutant] = Queue()
        for mutant in mutants:
            queue.put(mutant)
        # Not Thread.join: in Python 3.11, one that Ctrl-C interrupts takes the thread for ended from then on.
        ended: list[threading.Event] = []
        try:
            for _ in range(workers):
                ended.append(threading.Event())
                threading.Thread(target=self._work, args=(queue, ended[-1])).start()
            for event in ended:
                while not event.wait(0.5):
                    pass
        except KeyboardInterrupt:
            self._stopping.set()
            for event in ended:
                event.wait()
            raise

    def _work(self, queue: Queue[Mutant], ended: threading.Event) -> None:
        try:
            self._try_all(queue)
        finally:
            ended.set()

    def _try_all(self, queue: Queue[Mutant]) -> None:
        with worker(self._texts) as started:
            while not self._stopping.is_set():
                try:
                    mutant = queue.get_nowait()
                except Empty:
                    return
                result = self._try(started, mutant)
                with self._lock:
                    STORE.mkdir(parents=True, exist_ok=True)
                    with RESULTS.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(result)) + "\n")
                    self._report(result)

    def _try(self, started: Worker, mutant: Mutant) -> Result:
        text = self._texts[mutant.file]
        with self._lock:
            catchers = self._catchers.setdefault(mutant.file, Counter())
            reaching = self._reach.tests_of(mutant, text)
            tests = chosen_tests(mutant.file, reaching, self._budget, catchers)
        answer: dict[str, Any] = {"outcome": UNREACHED, "by": None, "when": None, "seconds": 0.0}
        for some in parts(tests):
            answer = started.run(mutant.file, mutant.apply(text), some)
            if answer["outcome"] == "endless" or (
                answer["outcome"] == "caught" and answer["when"] in ("setup", "teardown", "process")
            ):
                self._confirm(started, mutant, text, answer)
            if answer["outcome"] not in ("survived", "no tests"):
                break
        with self._lock:
            if answer["outcome"] == "caught":
                catchers[str(answer["by"])] += 1
        return Result(
            mutant.id,
            digest(text),
            answer["outcome"],
            answer["by"],
            answer["when"],
            len(tests),
            len(reaching),
            answer["seconds"],
            mutant.old,
            mutant.new,
        )

    def _confirm(self, started: Worker, mutant: Mutant, text: str, answer: dict[str, Any]) -> None:
        """A test that could not be set up has caught the mutant only if it can be without the mutant.

        One that did not end has caught it only if it ends without the mutant, on a machine that is as busy.
        """
        known = self._reach.tests.get(str(answer["by"]))
        limit = known.limit if known and answer["outcome"] == "endless" else 10.0
        again = started.run(mutant.file, text, [PassingTest(str(answer["by"]), 10.0, limit)])
        if again["outcome"] != "survived":
            answer["outcome"] = "undecided"
