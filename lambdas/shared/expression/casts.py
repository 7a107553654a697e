"""Which casts an expression may ask for: those whose every value is as PostgreSQL casts it."""

from __future__ import annotations

from ..conversions import DATES, NUMBERS, TEXTS, TIME, TIMESTAMP, TIMESTAMPTZ, modifiers
from .types import BOOLEAN, INTEGER, JSON, JSONB, UUID, is_user_defined, kind

_MICROSECONDS = 6
_FROM_TEXT = (*NUMBERS, BOOLEAN, *DATES, TIME, UUID)


def cast_refusal(source: str, wanted: str) -> str | None:
    """Why a value of ``source`` cannot be cast to ``wanted``; None where it can."""
    one, to = kind(source), kind(wanted)
    if to in TEXTS:
        return None
    if to not in (*_FROM_TEXT, JSON):
        return f"a cast to {wanted} is not in the list of docs/expressions.md"
    if to in (*DATES, TIME) and modifiers(wanted) and modifiers(wanted)[0] < _MICROSECONDS:
        return f"a cast to {wanted} would round the second: cast to {to}, or use date_trunc"
    if one == to or (one in TEXTS and to in _FROM_TEXT):
        return None
    if one in NUMBERS and to in NUMBERS:
        return None
    if (one, to) in ((BOOLEAN, INTEGER), (INTEGER, BOOLEAN), (JSONB, JSON)):
        return None
    if one in DATES and to in DATES:
        return None
    if one in (TIMESTAMP, TIMESTAMPTZ) and to == TIME:
        return None
    hint = ": cast it to text first" if is_user_defined(source) else ""
    if one in (JSON, JSONB):
        hint = ": take a value out of it with ->> and cast that"
    return f"PostgreSQL's cast of {source} to {wanted} is not in the list of docs/expressions.md{hint}"
