"""Charts as SVG, drawn by matplotlib in an environment of its own, readable on a light page and on a dark one.

A page that shows an SVG by <img> cannot give it a colour: the file itself asks which the reader prefers.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.loading_beside import python_with

LIBRARY = ("matplotlib==3.10.8",)
_INK = "#24292f"  # replaced by the colour of the reader's page
_STYLE = (
    f"<style>svg {{ color: {_INK}; }} @media (prefers-color-scheme: dark) {{ svg {{ color: #e6edf3; }} }}"
    " text { font-family: sans-serif; }</style>"
)
_DRAW = """
import json, sys
import matplotlib
matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter
chart, ink, file = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "chart", "text.color": ink, "axes.labelcolor": ink,
    "axes.edgecolor": ink, "xtick.color": ink, "ytick.color": ink, "font.size": 11})
figure, axes = plt.subplots(figsize=(8, 4.2))
for (name, points), colour in zip(chart["lines"].items(), ("#2f81f7", "#d29922", "#3fb950", "#db61a2", "#a371f7")):
    axes.plot(*zip(*points), marker="o", markersize=5, linewidth=2, color=colour, label=name)
if chart["logarithmic"]:
    axes.set_xscale("log")
    axes.set_xticks(sorted({x for points in chart["lines"].values() for x, _ in points}))
    axes.minorticks_off()
axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1e6:g} M" if x >= 1e6 else f"{x:,.0f}"))
axes.set(xlabel=chart["x"], ylabel=chart["y"])
axes.set_ylim(bottom=0)
axes.grid(alpha=0.2, color=ink)
for side in ("top", "right"):
    axes.spines[side].set_visible(False)
axes.legend(frameon=False)
figure.tight_layout()
figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
"""


@dataclass(frozen=True)
class Chart:
    """Lines over one axis."""

    x: str
    """What the horizontal axis has."""
    y: str
    """What the vertical axis has, with its unit."""
    lines: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    """Name of a line -> its points."""
    logarithmic: bool = False
    """Whether the horizontal axis is."""


def drawn(charts: Mapping[str, Chart], document: Path) -> str:
    """Writes each chart beside ``document``, in a folder of its name; returns the Markdown that shows them.

    Raises CalledProcessError where the library fails.
    """
    shown = ""
    for name, chart in charts.items():
        file = document.with_suffix("") / f"{name}.svg"
        _draw(chart, file)
        shown += f"\n![{chart.y} over {chart.x}]({document.stem}/{file.name})\n"
    return shown


def _draw(chart: Chart, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [python_with(LIBRARY), "-c", _DRAW, json.dumps(asdict(chart)), _INK, file]
    subprocess.run([str(part) for part in command], check=True)
    svg = file.read_text(encoding="utf-8").replace(_INK, "currentColor")
    head, tag, rest = svg.partition("<defs>")
    lines = f"{head}{_STYLE}\n {tag}{rest}".splitlines()
    file.write_text("".join(f"{line.rstrip()}\n" for line in lines), encoding="utf-8")
