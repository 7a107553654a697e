"""The pictures: what they show, where, and with which words; nothing that the policy of the page refuses."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from lambda_toolkit.pipeline.dashboard import charts
from lambda_toolkit.pipeline.dashboard.charts import Series

SERIES = [Series("slow", [5, None, 700]), Series("fast", [2, 3, 4])]
DASH = "\N{EN DASH}"


def shown(value: float) -> str:
    return f"{value:g} s"


def parsed(picture: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(picture)  # noqa: S314  # what the code made


def parts(picture: Markup, tag: str) -> list[str]:
    """The texts of the elements, in their order."""
    return [str(element.text) for element in parsed(picture).iter(tag)]


def test_lines_have_a_title_at_each_value_and_the_ticks_beside():
    chart = charts.line("Latency", "D & d", ["1", "2", "3"], SERIES, shown, of="batch", ticks=(1, 10, 60, 600, 1800))
    assert (chart.title, chart.description, chart.legend) == ("Latency", "D & d", ("slow", "fast"))
    assert chart.columns == ("batch", "slow", "fast")
    assert chart.rows == (("1", "5 s", "2 s"), ("2", DASH, "3 s"), ("3", "700 s", "4 s"))
    for picture, size in ((chart.wide, "0 0 560 240"), (chart.narrow, "0 0 320 220")):
        root = parsed(picture)
        assert root.attrib == {"class": "pygal-chart", "viewBox": size, "role": "img", "aria-label": "D & d"}
        assert parts(picture, "title") == [
            *("1, slow: 5 s", "3, slow: 700 s", "1, fast: 2 s", "2, fast: 3 s", "3, fast: 4 s"),
        ]
        assert parts(picture, "text")[:4] == ["1 s", "10 s", "60 s", "600 s"]
        kinds = {element.tag for element in root.iter()}
        assert not kinds & {"style", "script", "defs", "desc"}
        assert len([each for each in root.iter("circle") if each.get("r") == "3"]) == 5


def test_single_series_needs_no_legend_and_no_name():
    chart = charts.bars("T", "D", ["a", "b"], [Series("x", [3, 1])], shown, of="n")
    assert (chart.legend, chart.columns, chart.rows) == ((), ("n", "x"), (("a", "3 s"), ("b", "1 s")))
    assert parts(chart.wide, "title") == ["a: 3 s", "b: 1 s"]


def test_bars_are_stacked_over_their_labels():
    chart = charts.bars("T", "D", ["a", "b"], [Series("x", [30, 10]), Series("y", [20, 20])], shown, of="n")
    heights = [float(each.get("height", 0)) for each in parsed(chart.wide).iter("rect")][2:]
    assert [round(height / heights[1], 2) for height in heights] == [3, 1, 2, 2]
    assert parsed(chart.wide).get("viewBox") == "0 0 560 240"


def test_first_horizontal_bar_is_at_the_top():
    labels = ["a name much longer than that", "b", "c"]
    chart = charts.horizontal_bars("T", "D", labels, [Series("x", [3, 2, 1])], shown, of="n")
    assert chart.rows[0] == (labels[0], "3 s"), "the table has the whole name"
    for picture, name, width in ((chart.wide, "a name much longer th…", 560), (chart.narrow, "a name much …", 320)):
        root = parsed(picture)
        assert root.get("viewBox") == f"0 0 {width} {26 * 3 + 34}"
        places = {text.text: float(text.get("y", 0)) for text in root.iter("text")}
        assert places[name] < places["b"] < places["c"]
        assert parts(picture, "title") == ["c: 1 s", "b: 2 s", f"{name}: 3 s"]


@pytest.mark.parametrize(
    ("values", "labels", "top"),
    [([10, None], [1, 10, 60], 60), ([9.9], [1, 10], 10), ([61], [1, 10, 60, 61], 61), ([], [1, 10], 10)],
)
def test_logarithmic_axis_ends_above_the_largest_value(values, labels, top):
    found = charts._logarithmic((1, 10, 60), [Series("a", values), Series("b", [None])])
    assert found == {"y_labels": labels, "logarithmic": True, "range": (1, top)}


def test_labels_that_have_no_room_are_not_written():
    days = [f"2026-03-{day:02}" for day in range(1, 31)]
    chart = charts.line("T", "D", days, [Series("x", list(range(30)))], shown, of="day")
    for picture, every in ((chart.wide, 6), (chart.narrow, 15)):
        assert [text for text in parts(picture, "text") if text.startswith("2026")] == days[::every]
        assert parts(picture, "title")[:2] == ["2026-03-01: 0 s", "2026-03-02: 1 s"]


@pytest.mark.parametrize(("text", "cut"), [("abc", "abc"), ("abcd", "abcd"), ("abcde", "abc…"), ("", "")])
def test_long_name_is_cut(text, cut):
    assert charts._cut(text, 4) == cut
