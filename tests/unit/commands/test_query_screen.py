"""What ``query`` shows of a table in Arrow."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

import deploy
from lambda_toolkit.pipeline.commands import query
from lambda_toolkit.pipeline.commands.shared import options
from tests.unit.commands.test_command_screens import lines

FOUND = pa.table(
    [pa.array([7, 1234]), pa.array([0.5, None]), pa.array([Decimal("1.5"), Decimal("20.0")]), pa.array(["a", None])],
    names=["whole", "float", "exact", "text"],
)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Calls the command; the warehouse knows one query."""

    many = pa.table({"number": pa.array(range(51))})
    warehouse = SimpleNamespace(query=lambda text: {"SELECT 1": FOUND, "many": many}[text])
    target = SimpleNamespace(is_local=False)
    monkeypatch.setattr(options, "choose", lambda *_: target)
    monkeypatch.setattr(query, "_warehouse", lambda of: warehouse if of is target else None)
    return lambda *given, **more: CliRunner().invoke(deploy.main, ["query", *given], **more)


def test_numbers_are_aligned_at_the_right(call: Callable[..., Result]) -> None:
    table = [
        "2 rows",
        "│ whole │ float │ exact │ text │",
        "│     7 │   0.5 │   1.5 │ a    │",
        "│  1234 │       │  20.0 │      │",
    ]
    for given in (["--rows", "2"], []):
        assert lines(call("SELECT 1", *given).stdout) == table
    rest = "The first 1 of them. All: --rows 2, --csv, or --output FILE."
    assert lines(call("-", "--rows", "1", input="SELECT 1").stdout) == [*table[:3], rest]
    document = json.loads(call("SELECT 1", "--json").stdout)
    assert document["rows"] == [[7, 0.5, "1.5", "a"], [1234, None, "20.0", None]]
    assert [column["name"] for column in document["columns"]] == FOUND.column_names
    first = lines(call("many").stdout)
    assert (first[0], first[2], first[51]) == ("51 rows", "│      0 │", "│     49 │")
    assert first[52:] == ["The first 50 of them. All: --rows 51, --csv, or --output FILE."]
