"""Tables of the benchmarks: a cell's format, and a table's position in a document."""

import pytest

from benchmarks.measuring import Measurement, Timing
from benchmarks.report import as_markdown, replace_between


def measured(step: str, *seconds: float, failure: str = "") -> Measurement:
    return Measurement("a tool", "1.0", step, [Timing(item, item / 2, 19, 2, {}) for item in seconds], failure)


def test_cell_shows_the_median_or_is_empty_if_not_measured() -> None:
    """A cell is of the median and an empty one of what was not measured."""
    table = as_markdown("heading", [measured("first", 3.0, 1.0, 2.0), measured("one changed", failure="it broke")])
    assert table.splitlines()[-1] == "| a tool | 1.0 | 2.00 s, 1.00 s cpu, 19 (2) |  | failed |"


def test_a_table_takes_the_place_of_the_last_one(tmp_path) -> None:
    file = tmp_path / "document.md"
    file.write_text("before\n<!-- one -->\nold\n<!-- end -->\n<!-- two -->\nkept\n<!-- end -->\n", encoding="utf-8")
    replace_between(file, "one", "new\n")
    replace_between(file, "one", "newer\n")
    expected = "before\n<!-- one -->\nnewer\n<!-- end -->\n<!-- two -->\nkept\n<!-- end -->\n"
    assert file.read_text(encoding="utf-8") == expected
    with pytest.raises(ValueError, match="has no place for `three`"):
        replace_between(file, "three", "")
