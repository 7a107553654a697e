"""How PostgreSQL chooses among types: its implicit casts, its categories, and what one type several values have.

https://www.postgresql.org/docs/current/typeconv.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..conversions import DATES, FLOATS, INTEGERS, NUMBERS, TEXTS, TIME, TIMESTAMP, TIMESTAMPTZ, base_type, is_text

SMALLINT, INTEGER, BIGINT = INTEGERS
REAL, DOUBLE = FLOATS
NUMERIC, BOOLEAN, TEXT, DATE, UUID, JSON, JSONB = "numeric", "boolean", "text", "date", "uuid", "json", "jsonb"
VARCHAR, CHARACTER, BPCHAR = "character varying", "character", "bpchar"
INTERVAL, TIMETZ, TEXT_ARRAY = "interval", "time with time zone", "text[]"
UNKNOWN = "unknown"  # of a string constant, or NULL, that has no type yet

_IMPLICIT: Mapping[str, tuple[str, ...]] = {  # pg_cast where castcontext = 'i'
    SMALLINT: (INTEGER, BIGINT, NUMERIC, REAL, DOUBLE),
    INTEGER: (BIGINT, NUMERIC, REAL, DOUBLE),
    BIGINT: (NUMERIC, REAL, DOUBLE),
    NUMERIC: (REAL, DOUBLE),
    REAL: (DOUBLE,),
    TEXT: (VARCHAR, BPCHAR),
    VARCHAR: (TEXT, BPCHAR),
    BPCHAR: (TEXT, VARCHAR),
    DATE: (TIMESTAMP, TIMESTAMPTZ),
    TIMESTAMP: (TIMESTAMPTZ,),
    TIME: (INTERVAL, TIMETZ),
}
_CATEGORIES: Mapping[str, str] = {
    **dict.fromkeys(NUMBERS, "number"),
    **dict.fromkeys(TEXTS, "text"),
    **dict.fromkeys((*DATES, TIME, TIMETZ), "date"),
}
_PREFERRED = (DOUBLE, TEXT, TIMESTAMPTZ, INTERVAL, BOOLEAN)


def kind(postgres_type: str) -> str:
    """The type without its modifiers; char(n) is ``bpchar``, as its functions are declared."""
    base = base_type(postgres_type)
    return BPCHAR if base == CHARACTER else base


def is_user_defined(postgres_type: str) -> bool:
    """An enum, a domain, or a type of an extension: its values are text in the lake."""
    return kind(postgres_type) not in (*TEXTS, UNKNOWN) and is_text(postgres_type)


def category(postgres_type: str) -> str:
    """Types of one category are candidates for each other; a type without one is a category of its own."""
    return _CATEGORIES.get(kind(postgres_type), kind(postgres_type))


def is_implicit(source: str, target: str) -> bool:
    """Whether PostgreSQL turns a value of ``source`` into ``target`` wherever that is needed."""
    return source in (target, UNKNOWN) or target in _IMPLICIT.get(source, ())


def choose(candidates: Sequence[tuple[str, ...]], given: Sequence[str]) -> int | None:
    """The position of the candidate that PostgreSQL calls with ``given`` types; None: no candidate, or no best one.

    https://www.postgresql.org/docs/current/typeconv-func.html, steps 2 and 4, as far as they decide among candidates
    of the closed list: ``tests/pipeline/test_expression_types.py`` compares every two types.
    """
    if len(given) == 2 and UNKNOWN in given and tuple(given) != (UNKNOWN, UNKNOWN):
        known = next(found for found in given if found != UNKNOWN)
        same = [number for number, wanted in enumerate(candidates) if wanted == (known, known)]
        if same:
            return same[0]
    left = [
        number
        for number, wanted in enumerate(candidates)
        if len(wanted) == len(given) and all(map(is_implicit, given, wanted))
    ]
    left = _most(left, candidates, given, lambda found, wanted: found == wanted)
    left = _most(left, candidates, given, lambda found, wanted: found == wanted or wanted in _PREFERRED)
    if left:
        left = _by_category(left, candidates, given)
    return left[0] if len(left) == 1 else None


def _most(
    left: list[int],
    candidates: Sequence[tuple[str, ...]],
    given: Sequence[str],
    matches: Callable[[str, str], bool],
) -> list[int]:
    """Those with the most arguments that match."""
    scores = {
        number: sum(
            found != UNKNOWN and matches(found, wanted) for found, wanted in zip(given, candidates[number], strict=True)
        )
        for number in left
    }
    best = max(scores.values(), default=0)
    return [number for number in left if scores[number] == best]


def _by_category(left: list[int], candidates: Sequence[tuple[str, ...]], given: Sequence[str]) -> list[int]:
    """An unknown is a text where a candidate takes one, else of the category that all candidates take."""
    for place, found in enumerate(given):
        if found != UNKNOWN:
            continue
        categories = {category(candidates[number][place]) for number in left}
        if "text" not in categories and len(categories) > 1:
            return left
        wanted = "text" if "text" in categories else categories.pop()
        kept = [number for number in left if category(candidates[number][place]) == wanted]
        preferred = [number for number in kept if candidates[number][place] in _PREFERRED]
        left = preferred or kept
    return left


def common_type(given: Sequence[str]) -> str | None:
    """The one type of values of ``given`` types in CASE, COALESCE and the like; None where there is none.

    https://www.postgresql.org/docs/current/typeconv-union-case.html. A modifier stays where all have the same.
    """
    if len(set(given)) == 1:
        return TEXT if given[0] == UNKNOWN else given[0]
    known = [kind(found) for found in given if found != UNKNOWN]
    chosen = known[0]
    for found in known[1:]:
        if category(found) != category(chosen):
            return None
        if is_implicit(chosen, found) and not is_implicit(found, chosen):
            chosen = found
        elif not is_implicit(found, chosen):
            return None
    return chosen
