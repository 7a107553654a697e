"""Rows as transform reads them: keys in the types of other columns, what these cannot represent, and absent columns."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import UNREADABLE
from lambda_toolkit.pipeline.lambdas.transform.columns.source_rows import (
    ABSENT,
    SourceRows,
    typed_keys,
    unreadable_texts,
    with_absent_columns,
    with_typed_keys,
)

UTC = datetime.UTC
DAY = "timestamp without time zone"
MOMENT = "timestamp with time zone"


@pytest.mark.parametrize(
    ("kind", "texts", "arrow", "expected"),
    [
        ("date", ["2024-01-31", "0001-01-01"], pa.date32(), [datetime.date(2024, 1, 31), datetime.date(1, 1, 1)]),
        ("date", ["infinity", "-infinity", "0044-03-15 BC", "10000-01-01"], pa.date32(), [None] * 4),
        (DAY, ["2024-01-31 10:00:00.5"], pa.timestamp("us"), [datetime.datetime(2024, 1, 31, 10, 0, 0, 500_000)]),
        (DAY, ["infinity", "0044-03-15 00:00:00 BC", "12024-01-31 00:00:00"], pa.timestamp("us"), [None] * 3),
        (
            MOMENT,
            ["2024-01-31 10:00:00+00", "-infinity", "2024-01-31 10:00:00.000001+00"],
            pa.timestamp("us", "UTC"),
            [
                *(datetime.datetime(2024, 1, 31, 10, tzinfo=UTC), None),
                datetime.datetime(2024, 1, 31, 10, 0, 0, 1, tzinfo=UTC),
            ],
        ),
        ("double precision", ["1.5", "-Infinity"], pa.float64(), [1.5, -math.inf]),
        ("real", ["0.1"], pa.float32(), [0.10000000149011612]),
        ("text", ["infinity", "1"], pa.string(), ["infinity", "1"]),
        ("numeric", ["1.50", "NaN"], pa.string(), ["1.50", "NaN"]),
    ],
)  # fmt: skip
def test_key_has_the_type_of_any_other_column(
    kind: str, texts: list[str], arrow: pa.DataType, expected: list[Any]
) -> None:
    found = typed_keys(pa.chunked_array([texts, [None], texts]), kind)
    assert (found.values.type, found.values.to_pylist()) == (arrow, [*expected, None, *expected])
    invalid = [value is None for value in expected]
    assert (found.invalid.to_pylist() if found.invalid else [False] * (2 * len(texts) + 1)) == [
        *invalid,
        False,
        *invalid,
    ]


def test_key_that_has_its_type_already_stays() -> None:
    keys = pa.chunked_array([pa.array([1, 2], pa.int32())])
    assert typed_keys(keys, "integer").values is keys


def test_key_that_the_lake_cannot_represent_is_noted_as_text() -> None:
    """Beside what is noted of the row already, and in its row alone."""
    rows = pa.table(
        {
            "größe": pa.chunked_array([["2024-01-31", "infinity"], ["-infinity", None]]),
            "other": pa.array([1, 2, 3, 4], pa.int32()),
            UNREADABLE: pa.chunked_array([pa.nulls(2, pa.string()), ['{"price":"NaN"}', '{"price":"x"}']]),
            "until": pa.chunked_array([["infinity", "2024-01-31", "infinity", "2024-02-01"]]),
        }
    )
    types = {"größe": "date", "other": "integer", "until": "date"}
    found = with_typed_keys(SourceRows(rows, types), ["größe", "other", "until"])
    assert (found.types, found.rows.column_names) == (types, rows.column_names)
    first, last = datetime.date(2024, 1, 31), datetime.date(2024, 2, 1)
    assert found.rows["größe"].to_pylist() == [first, None, None, None]
    assert found.rows["until"].to_pylist() == [None, first, None, last]
    assert found.rows["other"] == rows["other"]
    noted = found.rows[UNREADABLE].to_pylist()
    assert [json.loads(text) for text in noted] == [
        *({"until": "infinity"}, {"größe": "infinity"}),
        *({"price": "NaN", "größe": "-infinity", "until": "infinity"}, {"price": "x"}),
    ]
    assert "größe" in noted[1], "names are found by their characters"
    assert unreadable_texts(found.rows, "größe").to_pylist() == [None, "infinity", "-infinity", None]
    assert unreadable_texts(found.rows, "price").to_pylist() == [None, None, "NaN", "x"]


def test_rows_without_notes_stay_without() -> None:
    rows = pa.table({"day": pa.chunked_array([["2024-01-31", "infinity"]])})
    found = with_typed_keys(SourceRows(rows, {"day": "date"}), ["day"]).rows
    assert found.to_pylist() == [{"day": datetime.date(2024, 1, 31)}, {"day": None}]
    assert unreadable_texts(found, "day").to_pylist() == [None, None]


def test_column_that_was_absent_is_null_and_others_stay() -> None:
    rows = pa.table({"id": [1, 2], "name": ["a", "b"]})
    found = with_absent_columns(rows, {"id": "bigint", "name": ABSENT, "town": ABSENT, "unread": "text"})
    assert found.column_names == ["id", "name", "town"]
    assert (found["name"], found["town"].type) == (rows["name"], pa.string())
    assert found["town"].to_pylist() == [None, None]
