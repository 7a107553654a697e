"""The committed results and their score: ``python -m tests.mutants.score`` writes the tables of docs/mutants.md.

``results.txt`` has a line for each mutant of the sample, ``survivors.toml`` says of each that survived why, or what is
missing. ``make mutants WRITE=1`` writes it.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import ROOT

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.txt"
SURVIVORS = FOLDER / "survivors.toml"
PAGE = ROOT / "docs" / "mutants.md"
BEGIN, END = "<!-- score: begin -->", "<!-- score: end -->"
CAUGHT = ("caught", "endless")
EQUIVALENT = "equivalent"
NOT_TESTED = "not tested"
VERDICTS = (EQUIVALENT, NOT_TESTED, "tested since")
_Z = 1.96  # 95 % of a normal distribution are within so many standard deviations


@dataclass(frozen=True)
class Line:
    """A mutant of the sample and what became of it."""

    outcome: str
    id: str
    change: str

    @property
    def part(self) -> str:
        """The folder that the score is given for: two levels, the files of the toolkit's first level together."""
        file = self.id.split("::", 1)[0]
        folders = file.split("/")[:-1]
        return "/".join(folders[:2]) or file


@dataclass(frozen=True)
class Survivor:
    """Why a mutant survived.

    ``verdict``: "equivalent" (it does the same as the code in every case), "not tested", or "tested since", which
    counts as a survivor until the next sample: a test that was written for this mutant says nothing about the others.
    """

    id: str
    change: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class Sample:
    """What was drawn from a group of the code."""

    group: str
    drawn: int
    total: int
    """How many mutants of the group matter."""
    seed: str

    def __str__(self) -> str:
        return f"{self.group}: {self.drawn} of {self.total} mutants, seed {self.seed}"


def group_of(file: str) -> str:
    """The group of the code that a sample is drawn from."""
    if file.startswith("lambdas/"):
        return "functions"
    return "pipeline's commands" if file.startswith("lambda_toolkit/pipeline/") else "toolkit"


def read_results(text: str) -> tuple[dict[str, Sample], list[Line]]:
    """The samples by their groups, and the lines."""
    samples = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"# (.+): (\d+) of (\d+) mutants, seed (.+)", line):
            samples[match[1]] = Sample(match[1], int(match[2]), int(match[3]), match[4])
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return samples, [Line(*fields) for fields in lines]


def read_survivors(text: str) -> dict[str, Survivor]:
    """The survivors with their reasons, by id. Raises ValueError for an unknown verdict and an id used twice."""
    found: dict[str, Survivor] = {}
    for entry in tomllib.loads(text).get("survivor", []):
        survivor = Survivor(**entry)
        if survivor.verdict not in VERDICTS or not survivor.reason or survivor.id in found:
            raise ValueError(f"{survivor.id}: an unknown verdict, no reason, or there twice")
        found[survivor.id] = survivor
    return found


def interval(caught: int, total: int) -> tuple[float, float]:
    """The interval of Wilson that holds the true share with a confidence of 95 %."""
    if not total:
        return 0.0, 1.0
    share, z2 = caught / total, _Z**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def table(samples: Mapping[str, Sample], lines: Iterable[Line], survivors: Mapping[str, Survivor]) -> str:
    """The score by group and by part of the code, in Markdown."""
    parts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for line in lines:
        is_equivalent = line.id in survivors and survivors[line.id].verdict == EQUIVALENT
        kind = "caught" if line.outcome in CAUGHT else EQUIVALENT if is_equivalent else NOT_TESTED
        parts[group_of(line.id)][line.part][kind] += 1
    rows = ["| code | mutants | caught | equivalent | survived | score |", "|---|---|---|---|---|---|"]
    sentences, weighted, raw_weighted, all_mutants, variance = [], 0.0, 0.0, 0, 0.0
    for group, sample in sorted(samples.items()):
        total: Counter[str] = sum(parts[group].values(), Counter())
        rows.append(_row(f"**{group}**", total))
        rows += [_row(f"`{name}`", counts) for name, counts in sorted(parts[group].items())]
        tested, raw = total["caught"] + total[NOT_TESTED], total["caught"] / max(1, total.total())
        share = total["caught"] / max(1, tested)
        low, high = interval(total["caught"], tested)
        sentences.append(
            f"- {sample}: {100 * share:.1f} % caught, between {100 * low:.1f} % and {100 * high:.1f} % of all (95 % "
            f"confidence); {100 * raw:.1f} % when those that are equivalent count as survivors."
        )
        weighted += share * sample.total
        raw_weighted += raw * sample.total
        variance += sample.total**2 * share * (1 - share) / max(1, tested)
        all_mutants += sample.total
    if all_mutants:
        spread = 100 * _Z * math.sqrt(variance) / all_mutants
        sentences.append(
            f"- All groups by their sizes: **{100 * weighted / all_mutants:.1f} %** (± {spread:.1f}) of {all_mutants} "
            f"mutants; {100 * raw_weighted / all_mutants:.1f} % with the equivalent ones as survivors."
        )
    return "\n".join([*rows, "", *sentences])


def _row(name: str, counts: Counter[str]) -> str:
    tested = counts["caught"] + counts[NOT_TESTED]
    share = f"{100 * counts['caught'] / tested:.1f} %" if tested else ""
    return (
        f"| {name} | {counts.total()} | {counts['caught']} | {counts[EQUIVALENT]} | {counts['not tested']} | {share} |"
    )


def page(text: str, shown: str) -> str:
    """The page with ``shown`` between its marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{shown}\n{END}{after}"


def rendered() -> str:
    """The page as it should be."""
    samples, lines = read_results(RESULTS.read_text(encoding="utf-8"))
    survivors = read_survivors(SURVIVORS.read_text(encoding="utf-8"))
    return page(PAGE.read_text(encoding="utf-8"), table(samples, lines, survivors))


def write_results(samples: Iterable[Sample], lines: Iterable[Line]) -> None:
    """Replace in ``results.txt`` what it has of the groups of ``samples``."""
    new = {sample.group: sample for sample in samples}
    known, others = read_results(RESULTS.read_text(encoding="utf-8"))
    kept = [line for line in others if group_of(line.id) not in new]
    text = [f"# {sample}" for _, sample in sorted({**known, **new}.items())]
    text += sorted(f"{line.outcome}\t{line.id}\t{line.change}" for line in (*kept, *lines))
    RESULTS.write_text("\n".join(text) + "\n", encoding="utf-8")


def main() -> int:
    """Write the page; exit status 1 when a survivor has no reason."""
    argparse.ArgumentParser(prog="python -m tests.mutants.score", description=__doc__).parse_args()
    _, lines = read_results(RESULTS.read_text(encoding="utf-8"))
    survivors = read_survivors(SURVIVORS.read_text(encoding="utf-8"))
    PAGE.write_text(rendered(), encoding="utf-8")
    unexplained = [line for line in lines if line.outcome not in CAUGHT and line.id not in survivors]
    for line in unexplained:
        print(f"No reason: {line.id}\n    {line.change}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
