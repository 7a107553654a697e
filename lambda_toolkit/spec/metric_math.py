"""Expressions of CloudWatch's metric math: those that alarms may have here. Pure.

Numbers, metrics by their ids, ``+ - * /``, parentheses, and ``FILL(metric, number)``. Both sides know the same: the
check of a declaration, and the local stack, which evaluates alarms. Any other function is refused by its name.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence

Series = Sequence[float | None]
"""Values of periods, from the newest to the oldest; ``None`` where there is none."""
Expression = Callable[[Mapping[str, Series | None], int], list[float | None]]
"""Its values of so many periods. A series that is ``None`` is that of a metric that never had a value."""

FILL = "FILL"
METRIC_ID = "m"  # the metric of an alarm in its expression
LONGEST = 2048  # characters: CloudWatch's limit (MetricDataQuery, Expression)
_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<name>[A-Za-z_]\w*)|(?P<sign>[-+*/(),])|(?P<rest>\S))")
_BINARY: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


class ExpressionError(ValueError):
    """An expression that cannot be evaluated here. The message says which part of it."""


def parse(expression: str, ids: Collection[str]) -> Expression:
    """The expression over the metrics called ``ids``. Raises ExpressionError for what is not one, or not known here."""
    if len(expression) > LONGEST:
        raise ExpressionError(f"it has {len(expression)} characters; the limit is {LONGEST}")
    parser = _Parser(expression, ids)
    parsed = parser.sum()
    parser.expect_end()
    if not parser.named:
        raise ExpressionError(f"it names no metric; known are {', '.join(sorted(ids))}")
    return parsed


def fills_gaps(expression: str) -> bool:
    """Whether periods without data count as a value in it, so that it shows what does not happen."""
    return bool(re.search(rf"\b{FILL}\s*\(", expression, re.IGNORECASE))


class _Parser:
    """A recursive descent over the tokens of one expression."""

    def __init__(self, expression: str, ids: Collection[str]) -> None:
        found = [match for match in _TOKEN.finditer(expression) if match.lastgroup]
        self._tokens = [(str(match.lastgroup), match[str(match.lastgroup)]) for match in found]
        self._ids = ids
        self._at = 0
        self.named: set[str] = set()

    def sum(self) -> Expression:
        """Products, added and subtracted."""
        return self._chain("+-", self._product)

    def expect_end(self) -> None:
        """Raise ExpressionError where something follows."""
        if self._at < len(self._tokens):
            raise ExpressionError(f"`{self._tokens[self._at][1]}` is not expected there")

    def _product(self) -> Expression:
        return self._chain("*/", self._operand)

    def _chain(self, signs: str, part: Callable[[], Expression]) -> Expression:
        left = part()
        while (sign := self._peek()) and sign in signs:
            self._at += 1
            left = _combined(_BINARY[sign], left, part())
        return left

    def _operand(self) -> Expression:
        kind, text = self._next()
        if text == "-":
            return _combined(operator.sub, _constant(0.0), self._operand())
        if text == "(":
            inner = self.sum()
            self._take(")")
            return inner
        if kind == "number":
            return _constant(float(text))
        if kind != "name":
            raise ExpressionError(f"`{text}` is not expected there")
        if self._peek() == "(":
            return self._call(text)
        if text not in self._ids:
            raise ExpressionError(f"`{text}` is no metric of it; known are {', '.join(sorted(self._ids))}")
        self.named.add(text)
        return _metric(text)

    def _call(self, function: str) -> Expression:
        if function.upper() != FILL:
            raise ExpressionError(f"the function {function} is not known here; FILL(metric, number) is")
        self._take("(")
        inner = self.sum()
        self._take(",")
        sign = -1.0 if self._peek() == "-" else 1.0
        self._at += sign < 0
        kind, value = self._next()
        if kind != "number":
            raise ExpressionError(f"FILL with `{value}` is not known here; FILL(metric, number) is")
        self._take(")")
        return _filled(inner, sign * float(value))

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise ExpressionError("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, wanted: str) -> None:
        _, text = self._next()
        if text != wanted:
            raise ExpressionError(f"`{wanted}` is expected in place of `{text}`")


def _constant(value: float) -> Expression:
    return lambda series, periods: [value] * periods


def _metric(name: str) -> Expression:
    def values(series: Mapping[str, Series | None], periods: int) -> list[float | None]:
        return list(series[name] or [None] * periods)

    return values


def _filled(inner: Expression, value: float) -> Expression:
    """``value`` in place of none; a metric that never had a value stays without, as there is nothing to fill."""

    def values(series: Mapping[str, Series | None], periods: int) -> list[float | None]:
        if all(one is None for one in series.values()):
            return [None] * periods
        return [value if found is None else found for found in inner(series, periods)]

    return values


def _combined(apply: Callable[[float, float], float], left: Expression, right: Expression) -> Expression:
    def one(a: float | None, b: float | None) -> float | None:
        if a is None or b is None:
            return None
        try:
            return apply(a, b)
        except (ZeroDivisionError, OverflowError):
            return None  # as in CloudWatch, there is no value then

    def values(series: Mapping[str, Series | None], periods: int) -> list[float | None]:
        return [one(a, b) for a, b in zip(left(series, periods), right(series, periods), strict=True)]

    return values
