"""The committed results and their score: ``python -m tests.mutants.score`` writes the tables of docs/mutants.md.

``results.txt`` has a line for each mutant of the sample, ``survivors.toml`` says of each that survived why, or what is
missing. ``make mutants WRITE=1`` writes it.
"""

from __future__ import annotations

import argparse
import math
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
VERDICTS = (EQUIVALENT, "not tested")
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
    """Why a mutant survived. ``verdict``: "equivalent" (it does the same as the code in every case) or "not tested"."""

    id: str
    change: str
    verdict: str
    reason: str


def read_results(text: str) -> tuple[str, list[Line]]:
    """The comment at the beginning, and the lines."""
    comment = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return "\n".join(comment), [Line(*fields) for fields in lines]


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


def table(lines: Iterable[Line], survivors: Mapping[str, Survivor]) -> str:
    """The score by part of the code, in Markdown."""
    parts: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        verdict = survivors[line.id].verdict if line.id in survivors else "not tested"
        parts[line.part]["caught" if line.outcome in CAUGHT else verdict] += 1
    total: Counter[str] = sum(parts.values(), Counter())
    rows = ["| code | mutants | caught | equivalent | survived | score |", "|---|---|---|---|---|---|"]
    for name, counts in [*sorted(parts.items()), ("all", total)]:
        tested = counts["caught"] + counts["not tested"]
        share = f"{100 * counts['caught'] / tested:.1f} %" if tested else ""
        rows.append(
            f"| {f'`{name}`' if name != 'all' else '**all**'} | {counts.total()} | {counts['caught']} "
            f"| {counts[EQUIVALENT]} | {counts['not tested']} | {share} |"
        )
    tested = total["caught"] + total["not tested"]
    low, high = interval(total["caught"], tested)
    raw = 100 * total["caught"] / max(1, total.total())
    rows.append("")
    rows.append(
        f"Of {tested} mutants that are not equivalent, {total['caught']} were caught: the share for all of the code is "
        f"between {100 * low:.1f} % and {100 * high:.1f} % (95 % confidence). "
        f"With the equivalent ones counted as survivors it is {raw:.1f} %."
    )
    return "\n".join(rows)


def page(text: str, comment: str, shown: str) -> str:
    """The page with ``shown`` between its marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{comment}\n\n{shown}\n{END}{after}"


def rendered() -> str:
    """The page as it should be."""
    comment, lines = read_results(RESULTS.read_text(encoding="utf-8"))
    survivors = read_survivors(SURVIVORS.read_text(encoding="utf-8"))
    return page(PAGE.read_text(encoding="utf-8"), comment, table(lines, survivors))


def write_results(comment: Sequence[str], lines: Iterable[Line]) -> None:
    """Replace ``results.txt``."""
    text = [*(f"# {line}" for line in comment)]
    text += sorted(f"{line.outcome}\t{line.id}\t{line.change}" for line in lines)
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
