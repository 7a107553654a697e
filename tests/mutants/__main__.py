"""The command: ``python -m tests.mutants``; ``make mutants MODULE=... SAMPLE=... SEED=...`` calls it."""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.mutants import reach, score, trial
from tests.mutants.mutant import MUTATED, ROOT, Mutant, digest, source_files
from tests.mutants.python_operators import mutants

SUITES = ("tests/unit", "tests/aws", "tests/pipeline", "tests/local_stack", "tests/end_to_end")
"""The tests that are fast enough to run for each mutant."""
NOT_USED = ("tests/unit/documentation", "tests/unit/benchmarks", "tests/unit/mutants")
"""Tests of texts and of the structure of the code: no behaviour."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 when a mutant survived that matters, 130 after Ctrl-C."""
    asked = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        if not (asked.list or asked.as_collected):
            _collect(asked.suites, asked.fresh)
        files = source_files(within=[module.rstrip("/") for module in asked.modules])
        asked.texts = {file: (ROOT / file).read_text(encoding="utf-8") for file in files}
        selected = _selected(asked)
        if asked.list:
            for mutant in selected:
                print(mutant.id, f"line {mutant.line}:", mutant.shown(), f"[{mutant.reason}]" if mutant.reason else "")
            return 0
        return _try(asked, selected)
    except KeyboardInterrupt:
        print("\nInterrupted. What was tried is kept; the same command goes on from here.")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", default=MUTATED, help="files or folders; all unless given")
    parser.add_argument("--sample", type=int, help="how many mutants, chosen by --seed; all unless given")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of the processor for the tests of a mutant")
    parser.add_argument("--operator", default="", help="only operators that begin so, for example 'sql'")
    parser.add_argument("--suites", nargs="*", default=SUITES, help="folders or files of tests")
    parser.add_argument("--again", action="store_true", help="try again those that survived")
    parser.add_argument("--fresh", action="store_true", help="collect again which tests reach which lines")
    parser.add_argument("--as-collected", action="store_true", help="do not collect for tests that have changed")
    parser.add_argument("--all", action="store_true", help="also the mutants that do not matter by the rule")
    parser.add_argument("--write", action="store_true", help="write results.txt, which is committed")
    parser.add_argument("--list", action="store_true", help="only show the mutants")
    return parser


def _collect(suites: Iterable[str], fresh: bool) -> None:
    files = sorted(
        file.relative_to(ROOT).as_posix()
        for suite in suites
        for file in ([ROOT / suite] if (ROOT / suite).is_file() else (ROOT / suite).rglob("test_*.py"))
        if not file.relative_to(ROOT).as_posix().startswith(NOT_USED)
    )
    missing = files if fresh else reach.outdated(files)
    if not missing:
        return
    print(f"Collecting which lines the tests of {len(missing)} files reach.", flush=True)
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as name:
        copy = Path(name)
        copy.chmod(0o755)
        trial.copy_repository(copy)
        command = [sys.executable, "-m", "pytest", "-p", "tests.mutants.collecting", "-p", "no:cacheprovider", "-q"]
        environment = {**os.environ, "PYTHONPATH": str(copy), "MUTANTS_STORE": str(reach.STORE)}
        environment["HISTORIES_AS_FOUND"] = "1"
        subprocess.run([*command, "--tb=line", *missing], cwd=copy, env=environment, check=False)


def _every(asked: argparse.Namespace) -> list[Mutant]:
    return [mutant for file, text in asked.texts.items() for mutant in mutants(file, text)]


def _selected(asked: argparse.Namespace) -> list[Mutant]:
    found = [
        mutant
        for mutant in _every(asked)
        if (asked.all or mutant.reason is None) and mutant.operator.startswith(asked.operator)
    ]
    if asked.sample is None:
        return found
    return sorted(found, key=lambda mutant: hashlib.sha256(f"{asked.seed} {mutant.id}".encode()).digest())[
        : asked.sample
    ]


def _try(asked: argparse.Namespace, selected: list[Mutant]) -> int:
    states = {mutant.file: digest(asked.texts[mutant.file]) for mutant in selected}
    results = trial.known_results()
    known = {
        mutant.id: result
        for mutant in selected
        if (result := results.get(mutant.id)) is not None
        and (result.state, result.old, result.new) == (states[mutant.file], mutant.old, mutant.new)
        and not (asked.again and result.outcome not in trial.CAUGHT)
    }
    remaining = [mutant for mutant in selected if mutant.id not in known]
    outcomes = Counter(result.outcome for result in known.values())
    survivors = [result for result in known.values() if result.outcome not in trial.CAUGHT]
    print(f"{len(selected)} mutants, {len(remaining)} to try.", flush=True)
    began = time.monotonic()

    def report(result: trial.Result) -> None:
        outcomes[result.outcome] += 1
        if result.outcome not in trial.CAUGHT:
            survivors.append(result)
        done = outcomes.total()
        print(
            f"{done:5}/{len(selected)} {result.outcome:9} {result.seconds:5.1f} s  {result.id}"
            + ("" if result.outcome == "caught" else f"\n      {' '.join(result.old.split())} -> {result.new}"),
            flush=True,
        )

    if remaining:
        trial.Trials(reach.load(), asked.texts, asked.budget, report).run(remaining, asked.workers)
    if asked.write:
        _write(asked, selected)
    print(f"\n{dict(outcomes)}; {time.monotonic() - began:.0f} s")
    for result in survivors:
        print(f"SURVIVED ({result.outcome}, {result.tests} of {result.reaching} tests) {result.id}")
        print(f"    {' '.join(result.old.split())} -> {' '.join(result.new.split())}")
    return 1 if survivors else 0


def _write(asked: argparse.Namespace, selected: list[Mutant]) -> None:
    results = trial.known_results()
    tried = [(mutant, results[mutant.id]) for mutant in selected if mutant.id in results]
    total = Counter(score.group_of(mutant.file) for mutant in _every(asked) if mutant.reason is None)
    drawn = Counter(score.group_of(mutant.file) for mutant, _ in tried)
    samples = [score.Sample(group, number, total[group], asked.seed) for group, number in drawn.items()]
    score.write_results(samples, [score.Line(result.outcome, mutant.id, mutant.shown()) for mutant, result in tried])


if __name__ == "__main__":
    sys.exit(main())
