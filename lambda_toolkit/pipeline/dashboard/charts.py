"""Charts as SVG, drawn by pygal on the server. Their colours and letters are the stylesheet's, light and dark.

Each is drawn twice, wide and narrow, since letters would shrink with a scaled picture; the stylesheet shows one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree  # nosec B405  # for what pygal made; nothing is parsed

import pygal
from markupsafe import Markup
from pygal.style import Style

from lambda_toolkit.pipeline.dashboard.formats import UNKNOWN

WIDE, NARROW = (560, 240), (320, 220)
_BARS = 26  # pixels of a horizontal bar with the space around it
_AXIS = 34  # pixels of the labels below
_NAMES = {WIDE[0]: 22, NARROW[0]: 13}  # characters of a bar's name
_LETTERS = 14  # pixels, by which pygal leaves room: the letters are smaller
_LETTER = 8  # pixels of one in a label


@dataclass(frozen=True)
class Series:
    """A name, and a value for each label; None where there is none."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Chart:
    """A drawn chart, with the same numbers as a table for those who do not see it."""

    title: str
    description: str
    """What it shows, in one sentence: the text alternative of the picture."""
    wide: Markup
    narrow: Markup
    legend: tuple[str, ...]
    """The names of its series, in the order of their colours; empty for one series."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The numbers as texts, one row per label."""


def line(
    title: str,
    description: str,
    labels: Sequence[str],
    series: Sequence[Series],
    shown: Callable[[float], str],
    *,
    of: str,
    ticks: Sequence[float] | None = None,
) -> Chart:
    """Lines over ``labels``, which are ``of`` something. With ``ticks`` the y axis is logarithmic, and has these."""

    def draw(size: tuple[int, int]) -> Markup:
        axis = _logarithmic(ticks, series) if ticks else {}
        chart = pygal.Line(**_options(size, shown), dots_size=3, **axis)
        return _drawn(chart, labels, series, description, size)

    return _chart(title, description, labels, series, shown, of, draw)


def bars(
    title: str,
    description: str,
    labels: Sequence[str],
    series: Sequence[Series],
    shown: Callable[[float], str],
    *,
    of: str,
) -> Chart:
    """Stacked columns over ``labels``."""

    def draw(size: tuple[int, int]) -> Markup:
        return _drawn(pygal.StackedBar(**_options(size, shown)), labels, series, description, size)

    return _chart(title, description, labels, series, shown, of, draw)


def horizontal_bars(
    title: str,
    description: str,
    labels: Sequence[str],
    series: Sequence[Series],
    shown: Callable[[float], str],
    *,
    of: str,
) -> Chart:
    """Stacked bars, one per label, the first at the top."""

    def draw(size: tuple[int, int]) -> Markup:
        fitted = (size[0], _BARS * len(labels) + _AXIS)
        chart = pygal.HorizontalStackedBar(**_options(fitted, shown))
        upward = [Series(each.name, each.values[::-1]) for each in series]
        cut = [_cut(label, _NAMES[size[0]]) for label in labels]
        return _drawn(chart, cut[::-1], upward, description, fitted, every=True)

    return _chart(title, description, labels, series, shown, of, draw)


def _logarithmic(ticks: Sequence[float], series: Sequence[Series]) -> dict[str, Any]:
    """The options of a logarithmic axis from the first tick to the one above the largest value."""
    largest = max((value for each in series for value in each.values if value is not None), default=ticks[0])
    within = [float(tick) for tick in ticks if tick <= largest]
    above = next((float(tick) for tick in ticks if tick > largest), float(largest))
    return {"y_labels": [*within, above], "logarithmic": True, "range": (ticks[0], above)}


def _options(size: tuple[int, int], shown: Callable[[float], str]) -> dict[str, Any]:
    return {
        "width": size[0],
        "height": size[1],
        "css": (),
        "js": (),
        "show_legend": False,
        "margin": 4,
        "margin_right": 14,
        "spacing": 6,
        "max_scale": 6,
        "truncate_label": -1,
        "value_formatter": shown,
        "style": Style(label_font_size=_LETTERS),
    }


def _chart(
    title: str,
    description: str,
    labels: Sequence[str],
    series: Sequence[Series],
    shown: Callable[[float], str],
    of: str,
    draw: Callable[[tuple[int, int]], Markup],
) -> Chart:
    texts = [[UNKNOWN if value is None else shown(value) for value in each.values] for each in series]
    names = tuple(each.name for each in series)
    return Chart(
        title,
        description,
        draw(WIDE),
        draw(NARROW),
        names if len(names) > 1 else (),
        (of, *names),
        tuple(zip(labels, *texts, strict=True)),
    )


def _drawn(
    chart: Any,
    labels: Sequence[str],
    series: Sequence[Series],
    description: str,
    size: tuple[int, int],
    *,
    every: bool = False,
) -> Markup:
    longest = max(map(len, labels))
    room = len(labels) if every else max(2, (size[0] - 80) // (_LETTER * (longest + 2)))
    step = -(-len(labels) // room)
    chart.x_labels = [label if not index % step else "" for index, label in enumerate(labels)]
    for each in series:
        names = [{"value": value, "label": label} for value, label in zip(each.values, labels, strict=True)]
        chart.add(each.name, names)
    root = chart.render_tree()
    _simplify(root, [each.name for each in series] if len(series) > 1 else [])
    for name in ("id", "xmlns"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", description)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704  # nosec B704  # texts are escaped by it


def _simplify(root: Any, names: Sequence[str]) -> None:
    """Take away pygal's scripts, styles, tooltips and empty labels: a value has a title, which a pointer shows."""
    for parent in list(root.iter()):
        for child in list(parent):
            kind = str(child.get("class", ""))
            is_unlabelled = "guides" in kind and not any(text.text for text in child.iter("text"))
            if (
                not isinstance(child.tag, str)
                or child.tag in ("defs", "title")  # scripts and styles are in defs
                or kind in ("plot text-overlay", "plot tooltip-overlay")
                or is_unlabelled
            ):
                parent.remove(child)
    serie = 0
    for parent in list(root.iter()):
        kinds = str(parent.get("class", "")).split()
        if "series" in kinds:
            serie = next(int(kind.rpartition("-")[2]) for kind in kinds if kind.startswith("serie-"))
        said = {child.attrib["class"].split()[0]: child for child in parent if child.tag == "desc"}
        if "value" in said:
            prefix = [names[serie]] if names else []
            title = ElementTree.Element("title")
            label = said["label"].text if "label" in said else None
            title.text = ": ".join(filter(None, [", ".join(filter(None, [label, *prefix])), said["value"].text]))
            parent.insert(0, title)
        for child in said.values():
            parent.remove(child)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
