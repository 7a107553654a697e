"""Keys of one column and of several, compared with what Python's tuples say."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.extract.capture.key_files import KeyDiff
from lambda_toolkit.pipeline.lambdas.extract.capture.sorted_keys import (
    boundary,
    contained,
    distinct,
    ordered,
    positions,
    repeated,
    split,
    text_of,
    value_of,
    without_equal_ends,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import key_of_text, key_text
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import ParquetPart, batches

COLUMNS = (  # few values, so that keys meet; some are the same as text, or joined with the next
    (pa.int32(), (1, 11, 2, -1)),
    (pa.string(), ("1", "11", "", "2", "é", "👜", "\ufffd", ", ", '"', "\\", "1, 1", "שלום", "\x01\n")),
    (pa.string(), ("1", "", "11", "1, 1", "a")),
    (pa.date32(), (date(1, 1, 1), date(2024, 2, 29), date(9999, 12, 31))),
    (pa.decimal128(10, 2), (Decimal("1.00"), Decimal("-1.00"), Decimal("11.00"))),
    (pa.bool_(), (False, True)),
)
Keys = list[tuple[object, ...]]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Keys], pa.Schema]:
    """Two lists of keys, and the schema of both."""
    columns = draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=4))
    keys = st.lists(st.tuples(*(st.sampled_from(values) for _, values in columns)), max_size=12)
    schema = pa.schema([(f".{number}", dtype) for number, (dtype, _) in enumerate(columns)])
    return [draw(keys), draw(keys)], schema


def table(keys: Keys, schema: pa.Schema, more: int = 0) -> pa.Table:
    """The keys in chunks of two rows, with so many other columns after them."""
    columns = [pa.array([key[n] for key in keys], dtype) for n, dtype in enumerate(schema.types)]
    columns += [pa.nulls(len(keys), pa.string())] * more
    names = [*schema.names, *(f"other {n}" for n in range(more))]
    whole = pa.table(columns, names)
    chunks = [whole.slice(start, 2) for start in range(0, len(keys), 2)]
    return pa.concat_tables(chunks) if chunks else whole


def rows(of: pa.Table) -> Keys:
    return list(zip(*(column.to_pylist() for column in of.columns), strict=True))


@settings(deadline=None)
@given(tables())
def test_keys_of_any_columns_are_found_among_others(drawn):
    (keys, others), schema = drawn
    found = [key in others for key in keys]
    assert contained(table(keys, schema), table(others, schema)).to_pylist() == found
    places = positions(table(keys, schema), table(others, schema)).to_pylist()
    assert [place is not None for place in places] == found
    assert all(place is None or others[place] == key for place, key in zip(places, keys, strict=True))


@settings(deadline=None)
@given(tables())
def test_keys_of_any_columns_are_sorted_and_split(drawn):
    (keys, others), schema = drawn
    assert rows(distinct(table(keys, schema))) == sorted(set(keys))
    ordered = sorted(keys)
    assert repeated(table(ordered, schema)).to_pylist() == [
        number > 0 and key == ordered[number - 1] for number, key in enumerate(ordered)
    ]
    for last in others[:1]:
        end = boundary(table([last], schema), len(schema))
        up_to, beyond = split(table(ordered, schema, more=1), end)
        assert rows(up_to.select(schema.names)) == [key for key in ordered if key <= last]
        assert rows(beyond.select(schema.names)) == [key for key in ordered if key > last]
    assert split(table(ordered, schema), None)[0].num_rows == len(ordered)


@settings(deadline=None)
@given(tables())
def test_keys_of_any_columns_are_read_back_from_their_text(drawn):
    (keys, others), schema = drawn
    texts = {}
    for key in {*keys, *others}:
        value = boundary(table([key], schema), len(schema))
        text = key_text(text_of(value))
        assert texts.setdefault(text, key) == key, "two keys have the same text"
        assert value_of(key_of_text(text, len(schema)), schema) == value


def rows_of(keys: pa.Table) -> Keys:
    """The keys, in their order."""
    return [tuple(row.values()) for row in keys.to_pylist()]


@given(drawn=tables())
@settings(max_examples=60, deadline=None)
def test_keys_of_any_columns_are_ordered_and_trimmed(drawn):
    """Only what is common at both ends is missing; what remains is as it was."""
    (left, right), schema = drawn
    mine, others = (ordered(table(list(set(keys)), schema)) for keys in (left, right))
    assert ordered(mine).equals(mine)
    assert mine.equals(distinct(table(left, schema)).combine_chunks())
    rest, known = without_equal_ends(mine, others)
    a, b, x, y = rows_of(mine), rows_of(others), rows_of(rest), rows_of(known)
    assert (set(a) - set(b), set(b) - set(a)) == (set(x) - set(y), set(y) - set(x))
    assert not (x and y) or (x[0] != y[0] and x[-1] != y[-1])


@given(drawn=tables())
@settings(max_examples=60, deadline=None)
def test_key_diff_is_that_of_sets(drawn):
    """Deleted keys were stored or written since and are not there; unexplained ones are new and not explained."""
    (left, right), schema = drawn
    written = left[: len(left) // 2] + right[: len(right) // 3]
    explained = right[: len(right) // 2]
    present, stored = (ordered(table(list(set(keys)), schema)) for keys in (right, left))
    for in_order in (True, False):
        with ParquetPart(schema) as part:
            diff = KeyDiff(table(written, schema), table(explained, schema), part, in_order=in_order)
            compared = diff(present, stored, None)
            deleted = part.rows
            part.finish()
            found = [row for rows in batches(part.file) for row in rows_of(rows)] if deleted else []
        known = set(left) | set(written)
        assert sorted(map(str, found)) == sorted(map(str, known - set(right)))
        assert diff.unexplained == len(set(right) - known - set(explained))
        assert compared.changed or set(left) == set(right)


def test_null_is_no_key_of_others():
    """Neither alone nor as one of several columns."""
    keys = pa.table([pa.array([None, 1, 2], pa.int32())], ["k"])
    assert contained(keys, keys).to_pylist() == [False, True, True]
    assert positions(keys, keys).to_pylist() == [None, 1, 2]
    pairs = pa.table([pa.array([1, None, 1], pa.int32()), pa.array([None, "a", "a"])], ["k", "n"])
    assert contained(pairs, pairs).to_pylist() == [False, False, True]
    assert positions(pairs, pairs).to_pylist() == [None, None, 2]
