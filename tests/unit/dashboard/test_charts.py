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
        assert not {"style", "script", "defs", "desc"} & {element.tag for element in root.iter()}
        assert "text-overlay" not in picture and "tooltip-overlay" not in picture
        assert "<!--" not in picture, "pygal's comment has the date: the picture would be another one each day"
        titled = [each for each in root.iter() if each.find("title") is not None]
        assert all(each[0].tag == "title" for each in titled), "browsers show the first child alone"
        assert len([each for each in root.iter("circle") if each.get("r") == "3"]) == 5


def test_single_series_needs_no_legend_and_no_name():
    chart = charts.bars("T", "D", ["a", "b"], [Series("x", [3, 1])], shown, of="n")
    assert (chart.legend, chart.columns, chart.rows) == ((), ("n", "x"), (("a", "3 s"), ("b", "1 s")))
    assert (chart.title, chart.description) == ("T", "D")
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
    assert (chart.title, chart.description, chart.columns) == ("T", "D", ("n", "x"))
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


@pytest.mark.parametrize(
    ("labels", "letters", "wide", "narrow"),
    [
        (2, 4, 1, 1),
        (10, 4, 1, 2),  # a label of 4 letters has 48 pixels: 10 are beside each other, or 5
        (11, 4, 2, 3),
        (21, 4, 3, 5),
        (30, 10, 6, 15),
    ],
)
def test_every_label_that_has_room_is_written(labels, letters, wide, narrow):
    names = [f"n{number}".ljust(letters, "n") for number in range(labels)]
    chart = charts.bars("T", "D", names, [Series("x", list(range(labels)))], shown, of="n")
    for picture, every in ((chart.wide, wide), (chart.narrow, narrow)):
        assert [text for text in parts(picture, "text") if not text.endswith(" s")] == names[::every]
        assert parts(picture, "title") == [f"{name}: {number} s" for number, name in enumerate(names)]


def test_two_labels_are_written_however_long():
    names = [f"{number} {'long ' * 20}" for number in range(6)]
    chart = charts.bars("T", "D", names, [Series("x", [1] * 6)], shown, of="n")
    for picture in (chart.wide, chart.narrow):
        assert [text for text in parts(picture, "text") if "long" in text] == [names[0], names[3]]


def test_picture_has_room_for_its_labels_alone():
    """At most six numbers at an axis, no guide without a label, and little space around."""
    labels, series = [str(number) for number in range(30)], [Series("x", [number * 3 for number in range(30)])]
    for draw in (charts.line, charts.bars):
        chart = draw("T", "D", labels, series, shown, of="n")
        for picture, (width, height) in ((chart.wide, charts.WIDE), (chart.narrow, charts.NARROW)):
            root = parsed(picture)
            guides = [each for each in root.iter("g") if "guides" in each.get("class", "")]
            assert all(text.text for each in guides for text in each.iter("text"))
            assert [text for text in parts(picture, "text") if text.endswith(" s")] == [
                f"{n} s" for n in range(0, 81, 20)
            ]
            plot = next(each for each in root.iter("g") if each.get("class") == "plot")
            left, top = map(float, str(plot.get("transform"))[len("translate(") : -1].split(","))
            inner = plot.find("rect")
            assert inner is not None
            right, bottom = left + float(inner.get("width", 0)), top + float(inner.get("height", 0))
            assert (top, int(width - right), int(height - bottom)) == (4, 14, 24)
            assert left > len("80 s") * charts._LETTERS / 2


def test_value_without_a_label_has_its_title():
    chart = charts.bars("T", "D", ["", "b"], [Series("x", [3, 1])], shown, of="n")
    assert parts(chart.wide, "title") == ["3 s", "b: 1 s"]


@pytest.mark.parametrize(("text", "cut"), [("abc", "abc"), ("abcd", "abcd"), ("abcde", "abc…"), ("", "")])
def test_long_name_is_cut(text, cut):
    assert charts._cut(text, 4) == cut
