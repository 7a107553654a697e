"""Which types of a warehouse column may become which without changing a value."""

from __future__ import annotations

from lambda_toolkit.pipeline.lambdas.shared.conversions import FLOATS, INTEGERS, base_type, modifiers

_VARYING = ("character varying", "text")


def widens(narrow: str, wide: str) -> bool:
    """Whether every value of ``narrow`` is the same value in ``wide``, and ``wide`` has more of them.

    A closed list: integers, floating-point numbers, ``numeric`` with more digits, ``varchar`` with more characters.
    """
    one, two = base_type(narrow), base_type(wide)
    if narrow == wide:
        return False
    for order in (INTEGERS, FLOATS):
        if one in order and two in order:
            return order.index(one) < order.index(two)
    if one in _VARYING and two in _VARYING:
        return one == "character varying" and _at_most(modifiers(narrow), modifiers(wide))
    if one == two == "numeric" and modifiers(narrow):
        return not modifiers(wide) or _more_digits(modifiers(narrow), modifiers(wide))
    return False


def _at_most(narrow: tuple[int, ...], wide: tuple[int, ...]) -> bool:
    return not wide or (bool(narrow) and narrow <= wide)


def _more_digits(narrow: tuple[int, ...], wide: tuple[int, ...]) -> bool:
    """Whether as many digits fit before and after the point."""
    return narrow[1] <= wide[1] and narrow[0] - narrow[1] <= wide[0] - wide[1]
