"""Keys as tables of Arrow, one column for each column of the key: their order, and which of them others have.

Rows are sorted by their key: by its first column, and where that is equal by the next. A key of one column, as most
are, is compared without what several need.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ..row_set import Key

Boundary = tuple[pa.Scalar, ...]
"""A key at which a range ends: the value of each of its columns."""


def boundary(rows: pa.Table, width: int) -> Boundary:
    """The key of the last of ``rows``, of which there is one at least. ``width``: how many columns the key has."""
    return tuple(column[-1] for column in rows.columns[:width])


def text_of(key: Boundary) -> Key:
    """``key`` as text."""
    return tuple(str(value.cast(pa.string()).as_py()) for value in key)


def value_of(key: Key, schema: pa.Schema) -> Boundary:
    """The key whose texts are ``key``; its columns are the first of ``schema``."""
    return tuple(pa.scalar(text).cast(dtype) for text, dtype in zip(key, schema.types, strict=False))


def split(rows: pa.Table, last: Boundary | None) -> tuple[pa.Table, pa.Table]:
    """``rows``, sorted by their key, which is in their first columns: up to the key ``last``, and beyond it."""
    if last is None or not rows.num_rows or _up_to(boundary(rows, len(last)), last).as_py():
        return rows, rows.slice(rows.num_rows)
    here = pc.sum(_up_to(rows.columns, last)).as_py() or 0
    return rows.slice(0, here), rows.slice(here)


def contained(keys: pa.Table, others: pa.Table) -> pa.ChunkedArray:
    """Of each of ``keys``, whether it is among ``others``, which has the same columns."""
    of, among = _comparable(keys, others)
    return pc.is_in(of, value_set=among, skip_nulls=True)


def positions(keys: pa.Table, others: pa.Table) -> pa.ChunkedArray:
    """The place of each of ``keys`` in ``others``, which has the same columns; NULL where it is not there."""
    of, among = _comparable(keys, others)
    return pc.index_in(of, value_set=among, skip_nulls=True)


def ordered(keys: pa.Table) -> pa.Table:
    """``keys``, of which none is there twice, sorted; as they are where they are sorted, as they often are."""
    keys = keys.combine_chunks()
    if keys.num_columns == 1:
        column = keys.column(0)
        if len(column) <= 1 or pc.all(pc.less(column[:-1], column[1:])).as_py():
            return keys
    return keys.take(_order(keys))


def without_equal_ends(keys: pa.Table, others: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Both without what they have in common at their beginnings and at their ends.

    Of sorted keys, each once, a key that remains in one of them is in the other only if it remains there, too.
    """
    shorter = min(keys.num_rows, others.num_rows)
    start = _equal(keys.slice(0, shorter), others.slice(0, shorter))
    begin = pc.index(start, False).as_py() if shorter else 0
    if begin < 0:
        return keys.slice(shorter), others.slice(shorter)
    rest = shorter - begin
    end = _equal(keys.slice(keys.num_rows - rest), others.slice(others.num_rows - rest))
    unequal = pc.indices_nonzero(pc.invert(end))
    equal = rest - 1 - unequal[-1].as_py() if len(unequal) else rest
    return (
        keys.slice(begin, keys.num_rows - equal - begin),
        others.slice(begin, others.num_rows - equal - begin),
    )


def _equal(keys: pa.Table, others: pa.Table) -> pa.ChunkedArray:
    """Whether each of ``keys`` is the one at the same place of ``others``; keys have no NULL."""
    return functools.reduce(pc.and_, map(pc.equal, keys.columns, others.columns))


def distinct(keys: pa.Table) -> pa.Table:
    """``keys``, sorted, each once."""
    if keys.num_columns == 1:
        return pa.table([pc.unique(keys.column(0)).sort()], schema=keys.schema)
    rows = keys.take(_order(keys))
    return rows.filter(pc.invert(repeated(rows)))


def _order(keys: pa.Table) -> pa.Array:
    """The places of ``keys`` in their order; columns by number, as a name with a dot would be a path to Arrow."""
    return pc.sort_indices(keys, sort_keys=[(number, "ascending") for number in range(keys.num_columns)])


def repeated(keys: pa.Table) -> pa.Array:
    """Of each of ``keys``, which are sorted, whether it is the one before it."""
    if not keys.num_rows:
        return pa.array([], pa.bool_())
    columns = [column.combine_chunks() for column in keys.columns]
    same = functools.reduce(pc.and_, [pc.equal(column[1:], column[:-1]) for column in columns])
    return pa.concat_arrays([pa.array([False]), pc.fill_null(same, False)])


def _up_to(key: Sequence[pa.ChunkedArray] | Boundary, last: Boundary) -> pa.ChunkedArray | pa.Scalar:
    """Whether ``key`` is ``last`` or sorts before it: the columns of many keys, or the values of one."""
    found = pc.less_equal(key[len(last) - 1], last[-1])
    for column, value in zip(reversed(key[: len(last) - 1]), reversed(last[:-1]), strict=True):
        found = pc.or_(pc.less(column, value), pc.and_(pc.equal(column, value), found))
    return found


def _comparable(keys: pa.Table, others: pa.Table) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Both as single columns, in which the values of two keys are equal where the keys are; NULL equals nothing.

    Of several columns, the number of each distinct value, and then of each distinct pair of numbers: as quick as their
    texts in one, and no two keys have the same number, whatever their values contain.
    """
    of, among = keys.column(0), others.column(0)
    for more, more_among in zip(keys.columns[1:], others.columns[1:], strict=True):
        first, first_among, _ = _numbered(of, among)
        second, second_among, count = _numbered(more, more_among)
        of, among = _pair(first, second, count), _pair(first_among, second_among, count)
    return of, among


def _numbered(of: pa.ChunkedArray, among: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.Array, int]:
    """Both as the numbers of the distinct values of ``among``, NULL for another; and how many there are."""
    values = among.combine_chunks() if isinstance(among, pa.ChunkedArray) else among
    encoded = values.dictionary_encode()
    return pc.index_in(of, value_set=encoded.dictionary, skip_nulls=True), encoded.indices, len(encoded.dictionary)


def _pair(first: pa.ChunkedArray, second: pa.ChunkedArray, count: int) -> pa.ChunkedArray:
    """One number for two, of which the second is less than ``count``."""
    return pc.add(pc.multiply(first.cast(pa.int64()), count), second.cast(pa.int64()))
