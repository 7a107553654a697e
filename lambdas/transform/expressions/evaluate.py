"""Computes the operations of an expression for the rows of a batch, a slice at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from ...shared.conversions import DATES, TEXTS, base_type
from ...shared.expression.resolve import Typed
from ...shared.expression.signatures import COMPARISONS, NOT_STRICT
from ...shared.expression.types import BOOLEAN, NUMERIC, kind
from ...shared.lake.parquet import arrow_type
from ...shared.postgres_text import postgres_text
from ..columns.currencies import NAMES
from . import arithmetic, comparisons, json_paths, moments, texts
from .casts import cast
from .evaluated import NO_REASON, Evaluated, Kernel, first_reason, numeric_text, unified

SLICE = 32 * 1024  # rows: what bounds the memory of operations that compute row by row

Read = Callable[[tuple[str, ...]], pa.ChunkedArray]
"""The column with this path, of every row."""


def evaluate(typed: Typed, read: Read, rows: int) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """The values of ``typed`` for so many rows, and why some have none: strings, NULL where a row can be computed."""
    typed = _folded(typed)
    columns = {path: read(path) for path in _paths(typed)}
    found = []
    for start in range(0, max(rows, 1), SLICE):
        count = min(SLICE, rows - start)
        sliced = {path: _one_array(column.slice(start, count)) for path, column in columns.items()}
        found.append(_evaluate(typed, sliced, count))
    values = pa.chunked_array([part.values for part in found])
    if all(part.reasons is None for part in found):
        return values, None
    reasons = [pa.nulls(len(part.values), pa.string()) if part.reasons is None else part.reasons for part in found]
    return values, pa.chunked_array(reasons, pa.string())


def _folded(typed: Typed) -> Typed:
    """Constant parts computed once, as PostgreSQL does before it reads a row: so they decide what can fail.

    A strict operation of a part that is always NULL is NULL, and a branch that is never taken is not there. A constant
    part that fails stays: it fails where it is reached.
    """
    typed = replace(typed, arguments=tuple(map(_folded, typed.arguments)))
    if typed.name == "case":
        typed = _without_untaken(typed)
    if typed.name == "nullif" and any(found.is_null for found in typed.arguments[1:]):
        typed = typed.arguments[0]
    if typed.name == "column":
        return typed
    values = [found.value for found in typed.arguments if found.name == "constant"]
    if (typed.name not in NOT_STRICT and None in values) or typed.is_null:
        return Typed("constant", typed.type, at=typed.at)
    if (typed.name == "and" and False in values) or (typed.name == "or" and True in values):
        return Typed("constant", typed.type, value=typed.name == "or", at=typed.at)
    if (
        typed.name == "constant"
        or len(values) < len(typed.arguments)
        or any(isinstance(found, tuple) for found in values)
    ):
        return typed
    found = _evaluate(typed, {}, 1)
    if found.reasons is not None:
        return typed
    value = found.values[0].as_py()
    if kind(typed.type) == NUMERIC and value is not None:
        value = Decimal(value)
    return Typed("constant", typed.type, value=value, at=typed.at)


def _without_untaken(typed: Typed) -> Typed:
    """A CASE without the branches whose condition is a constant that is not true, and those after one that is."""
    arguments: list[Typed] = []
    last = typed.arguments[-1]
    for condition, result in zip(typed.arguments[:-1:2], typed.arguments[1::2], strict=True):
        if condition.name != "constant":
            arguments += [condition, result]
        elif condition.value is True:
            last = result
            break
    if arguments:
        return replace(typed, arguments=(*arguments, last))
    return last if last.type == typed.type or last.is_null else replace(typed, arguments=(last,))


def output(values: pa.ChunkedArray, postgres_type: str) -> pa.ChunkedArray:
    """The values as PostgreSQL's output has them: a boolean as one letter, a char(n) with its blanks."""
    chunks = [_output(chunk, postgres_type) for chunk in values.chunks]
    return pa.chunked_array(chunks, pa.string())


def _paths(typed: Typed) -> frozenset[tuple[str, ...]]:
    own = frozenset({typed.value}) if typed.name == "column" else frozenset()
    return own.union(*(map(_paths, typed.arguments)))


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    if pa.types.is_timestamp(array.type):
        return array.cast(moments.TIMESTAMP)  # a timestamp with time zone: its UTC time
    return array


def _evaluate(typed: Typed, columns: Mapping[tuple[str, ...], pa.Array], rows: int) -> Evaluated:
    if typed.name == "column":
        return Evaluated(columns[typed.value])
    if typed.name == "constant":
        return Evaluated(_constant(typed, rows))
    arguments = [_evaluate(argument, columns, rows) for argument in typed.arguments]
    control = _CONTROL.get(typed.name)
    if control is not None:
        return control(typed, arguments)
    kernel = KERNELS[typed.name]
    found = kernel(typed, [argument.values for argument in arguments])
    reasons = first_reason(*(argument.reasons for argument in arguments), _of_whole_rows(found, arguments))
    if reasons is None:
        return found
    return Evaluated(pc.if_else(pc.is_valid(reasons), pa.scalar(None, found.values.type), found.values), reasons)


def _of_whole_rows(found: Evaluated, arguments: Sequence[Evaluated]) -> pa.Array | None:
    """The reasons of rows whose arguments all have a value: a strict operation is not computed of a NULL."""
    if found.reasons is None or not any(argument.values.null_count for argument in arguments):
        return found.reasons
    whole = pc.is_valid(arguments[0].values)
    for argument in arguments[1:]:
        whole = pc.and_(whole, pc.is_valid(argument.values))
    return pc.if_else(whole, found.reasons, NO_REASON)


def _constant(typed: Typed, rows: int) -> pa.Array:
    """``rows`` times the constant, as a column of its type."""
    if typed.value is None:
        return pa.nulls(rows, constant_type(typed.type))
    if kind(typed.type) == NUMERIC:
        text = numeric_text(typed.value)
        digits = text.lstrip("-").replace(".", "")
        if digits.isdecimal() and len(digits) <= 38:
            scale = len(text.partition(".")[2])
            return pa.repeat(pa.scalar(typed.value, pa.decimal128(len(digits), scale)), rows)
        return pa.repeat(pa.scalar(text, pa.string()), rows)
    if isinstance(typed.value, tuple):
        return pa.repeat(pa.scalar("", pa.string()), rows)  # the operation reads the constant itself
    return pa.repeat(pa.scalar(typed.value, constant_type(typed.type)), rows)


def constant_type(postgres_type: str) -> pa.DataType:
    """The Arrow type of a column of NULLs, or of a constant."""
    if kind(postgres_type) in DATES and kind(postgres_type) != "date":
        return moments.TIMESTAMP
    return arrow_type(base_type(postgres_type))


def _and(typed: Typed, arguments: Sequence[Evaluated]) -> Evaluated:
    """From left to right, up to the first false."""
    return _connected(arguments, stop=False)


def _or(typed: Typed, arguments: Sequence[Evaluated]) -> Evaluated:
    """From left to right, up to the first true."""
    return _connected(arguments, stop=True)


def _connected(arguments: Sequence[Evaluated], *, stop: bool) -> Evaluated:
    kernel = pc.or_kleene if stop else pc.and_kleene
    values, reasons = arguments[0].values, arguments[0].reasons
    for following in arguments[1:]:
        if following.reasons is not None:
            reached = pc.fill_null(pc.not_equal(values.cast(pa.int8()), int(stop)), True)
            reasons = first_reason(reasons, pc.if_else(reached, following.reasons, NO_REASON))
        values = kernel(values, following.values)
    return _without_failed(values, reasons)


def _without_failed(values: pa.Array, reasons: pa.Array | None) -> Evaluated:
    if reasons is None:
        return Evaluated(values)
    return Evaluated(pc.if_else(pc.is_valid(reasons), pa.scalar(None, values.type), values), reasons)


def _case(typed: Typed, arguments: Sequence[Evaluated]) -> Evaluated:
    """The result of the first true condition. What is not reached cannot fail."""
    conditions, results = arguments[:-1:2], [*arguments[1::2], arguments[-1]]
    columns = unified([found.values for found in results])
    values, reasons = columns[-1], results[-1].reasons
    for condition, column, result in reversed(list(zip(conditions, columns[:-1], results[:-1], strict=True))):
        holds = pc.fill_null(condition.values, False)
        values = pc.if_else(holds, column, values)
        if reasons is not None or result.reasons is not None or condition.reasons is not None:
            chosen = pc.if_else(holds, _or_none(result.reasons, column), _or_none(reasons, column))
            reasons = first_reason(condition.reasons, chosen)
    return _without_failed(values, reasons)


def _or_none(reasons: pa.Array | None, like: pa.Array) -> pa.Array:
    return pa.nulls(len(like), pa.string()) if reasons is None else reasons


def _coalesce(typed: Typed, arguments: Sequence[Evaluated]) -> Evaluated:
    """The first that is not NULL. What is not reached cannot fail."""
    columns = unified([found.values for found in arguments])
    values, reasons = columns[0], arguments[0].reasons
    for column, following in zip(columns[1:], arguments[1:], strict=True):
        if following.reasons is not None:
            reasons = first_reason(reasons, pc.if_else(pc.is_null(values), following.reasons, NO_REASON))
        values = pc.coalesce(values, column)
    return _without_failed(values, reasons)


def _is_null(typed: Typed, arguments: Sequence[Evaluated]) -> Evaluated:
    return _without_failed(pc.is_null(arguments[0].values), arguments[0].reasons)


def _is_boolean(typed: Typed, arguments: Sequence[Evaluated]) -> Evaluated:
    wanted = typed.name == "is true"
    values = pc.fill_null(pc.equal(arguments[0].values.cast(pa.int8()), int(wanted)), False)
    return _without_failed(values, arguments[0].reasons)


def _is_distinct(typed: Typed, arguments: Sequence[Evaluated]) -> Evaluated:
    left, right = (found.values for found in arguments)
    equal = comparisons.compared("=", kind(typed.arguments[0].type), left, right)
    one_null = pc.xor(pc.is_null(left), pc.is_null(right))
    values = pc.or_(one_null, pc.fill_null(pc.invert(equal), False))
    return _without_failed(values, first_reason(*(found.reasons for found in arguments)))


def _nullif(typed: Typed, arguments: Sequence[Evaluated]) -> Evaluated:
    value, left, right = (found.values for found in arguments)
    equal = pc.fill_null(comparisons.compared("=", kind(typed.arguments[1].type), left, right), False)
    values = pc.if_else(equal, pa.scalar(None, value.type), value)
    return _without_failed(values, first_reason(*(found.reasons for found in arguments)))


def _extreme(typed: Typed, arguments: Sequence[Evaluated]) -> Evaluated:
    """``greatest`` and ``least`` leave out NULLs; of equal values the first one stays."""
    columns = unified([found.values for found in arguments])
    better = ">" if typed.name == "greatest" else "<"
    values = columns[0]
    for column in columns[1:]:
        found = pc.fill_null(comparisons.compared(better, kind(typed.type), column, values), False)
        values = pc.if_else(pc.or_(found, pc.is_null(values)), column, values)
    return _without_failed(values, first_reason(*(found.reasons for found in arguments)))


def _concatenated(typed: Typed, arguments: Sequence[Evaluated]) -> Evaluated:
    """``concat`` leaves out NULLs, and so does ``concat_ws``, which is NULL where its separator is."""
    columns = [_output(found.values, node.type) for found, node in zip(arguments, typed.arguments, strict=True)]
    reasons = first_reason(*(found.reasons for found in arguments))
    if typed.name == "concat":
        filled = [pc.fill_null(column, "") for column in columns]
        return _without_failed(pc.binary_join_element_wise(*filled, ""), reasons)
    separator, first, *others = columns
    values = first
    for column in others:
        joined = pc.binary_join_element_wise(values, column, separator)
        values = pc.coalesce(joined, values, column)
    values = pc.if_else(pc.is_null(separator), pa.scalar(None, pa.string()), pc.fill_null(values, ""))
    return _without_failed(values, reasons)


def _output(column: pa.Array, postgres_type: str) -> pa.Array:
    """As PostgreSQL outputs a value: a boolean as one letter, a char(n) with its blanks."""
    if kind(postgres_type) == BOOLEAN:
        return pc.if_else(column, "t", "f")
    if kind(postgres_type) in TEXTS:
        return column
    return postgres_text(pa.chunked_array([column]), postgres_type).combine_chunks()


def _joined(typed: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    return Evaluated(pc.binary_join_element_wise(*columns, ""))


def _not(typed: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    return Evaluated(pc.invert(columns[0]))


def _currency_name(typed: Typed, columns: Sequence[pa.Array]) -> Evaluated:
    codes, names = pa.array(list(NAMES), pa.string()), pa.array(list(NAMES.values()), pa.string())
    values = names.take(pc.index_in(columns[0], value_set=codes))
    failed = pc.and_(pc.is_valid(columns[0]), pc.is_null(values))
    reasons = pc.if_else(failed, pa.scalar("not a currency code of ISO 4217"), NO_REASON)
    return Evaluated(values, reasons if pc.any(failed).as_py() else None)


_CONTROL: Mapping[str, Callable[[Typed, Sequence[Evaluated]], Evaluated]] = {
    "and": _and,
    "or": _or,
    "case": _case,
    "coalesce": _coalesce,
    "is null": _is_null,
    "is true": _is_boolean,
    "is false": _is_boolean,
    "is distinct from": _is_distinct,
    "nullif": _nullif,
    "greatest": _extreme,
    "least": _extreme,
    "concat": _concatenated,
    "concat_ws": _concatenated,
}
"""Operations that decide themselves what NULL means, and which of their arguments may fail."""

KERNELS: Mapping[str, Kernel] = {
    **dict.fromkeys(("+", "-", "*", "/", "%"), arithmetic.arithmetic),
    **dict.fromkeys(COMPARISONS, comparisons.comparison),
    "negative": arithmetic.negative,
    "positive": arithmetic.positive,
    "abs": arithmetic.absolute,
    **dict.fromkeys(("round", "trunc"), arithmetic.rounded),
    "sign": arithmetic.sign,
    "floor": arithmetic.floor,
    "ceil": arithmetic.ceil,
    "decimal": arithmetic.fitting,
    "cast": cast,
    "not": _not,
    "||": _joined,
    "like": texts.like,
    "ilike": texts.ilike,
    "strpos": texts.strpos,
    "starts_with": texts.starts_with,
    "split_part": texts.split_part,
    **dict.fromkeys(("lpad", "rpad"), texts.pad),
    "upper": texts.upper,
    "lower": texts.lower,
    "length": texts.length,
    **dict.fromkeys(("trim", "ltrim", "rtrim"), texts.trim),
    "substring": texts.substring,
    "left": texts.left,
    "right": texts.right,
    "replace": texts.replace,
    "->": json_paths.member,
    "->>": json_paths.member_text,
    "#>>": json_paths.path_text,
    "at time zone": moments.at_time_zone,
    "date_trunc": moments.date_trunc,
    "extract": moments.extract,
    "currency_name": _currency_name,
}
"""One for each strict operation of the closed list."""
