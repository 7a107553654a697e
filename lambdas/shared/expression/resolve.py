"""From the tree of an expression to the operations that compute it: each with the type that PostgreSQL infers.

Where the types of the source's columns are known: in `plan`, in extract, and in transform, which computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..conversions import FLOATS, INTEGERS, TEXTS, modifiers
from .casts import cast_refusal
from .constants import READERS, InvalidValueError, time_zone
from .signatures import CALLED, COMPARISONS, EXTRACTED, NOT_STRICT, SIGNATURES, TRUNCATED_TO, Signature
from .tree import BOOLEAN as BOOLEAN_CONSTANT
from .tree import INTEGER as INTEGER_CONSTANT
from .tree import NUMERIC as NUMERIC_CONSTANT
from .tree import Call, Case, Cast, Column, Constant, ExpressionError, Node
from .types import (
    BIGINT,
    BOOLEAN,
    INTEGER,
    INTERVAL,
    JSONB,
    NUMERIC,
    TEXT,
    UNKNOWN,
    VARCHAR,
    choose,
    common_type,
    is_user_defined,
    kind,
)

MAX_PRECISION = 38  # of decimal(c, p, s)

TypeOf = Callable[[tuple[str, ...]], str]
"""The type of the column with this path. It may raise ExpressionError."""


@dataclass(frozen=True)
class Typed:
    """An operation and the type of its result."""

    name: str
    """``column``, ``constant``, ``cast``, ``case``, or a name of the closed list."""
    type: str
    """As format_type() writes it."""
    arguments: tuple[Typed, ...] = ()
    """Of ``case``: condition, result, condition, result, ..., and the result without a condition at the end."""
    value: Any = None
    """Of a column its path; of a constant its value as Python has it, None for NULL."""
    at: int = field(default=0, compare=False)

    @property
    def is_null(self) -> bool:
        """Whether it is the constant NULL."""
        return self.name == "constant" and self.value is None


def resolve(node: Node, type_of: TypeOf) -> Typed:
    """The operations of ``node``. Raises ExpressionError for what PostgreSQL refuses, or is not in the closed list."""
    typed = _resolve(node, type_of)
    typed = _coerced(typed, TEXT) if typed.type == UNKNOWN else typed
    _check_intervals(Typed("", typed.type, (typed,)))
    return typed


def resolve_condition(node: Node, type_of: TypeOf) -> Typed:
    """As ``resolve``, of a filter: the result is a boolean."""
    typed = _condition(_resolve(node, type_of), "the filter")
    _check_intervals(typed)
    return typed


def _check_intervals(typed: Typed) -> None:
    """An interval that is written in the expression is added to a date or subtracted from one, and nothing else."""
    for found in typed.arguments:
        if found.name == "constant" and kind(found.type) == INTERVAL and typed.name not in ("+", "-"):
            raise ExpressionError("an interval can be added to a date or a timestamp, or subtracted from one", found.at)
        _check_intervals(found)


def _resolve(node: Node, type_of: TypeOf) -> Typed:
    match node:
        case Column():
            return Typed("column", type_of(node.path), value=node.path, at=node.at)
        case Constant():
            return _constant(node)
        case Cast():
            return _cast(_resolve(node.operand, type_of), node.type, node.at)
        case Case():
            return _case(node, type_of)
        case Call():
            arguments = tuple(_resolve(argument, type_of) for argument in node.arguments)
            return replace(_folded(_call(node.name, arguments, node.at)), at=node.at)


def _constant(node: Constant) -> Typed:
    if node.kind == BOOLEAN_CONSTANT:
        return Typed("constant", BOOLEAN, value=node.value, at=node.at)
    if node.kind == INTEGER_CONSTANT:
        for postgres_type in (INTEGER, BIGINT):
            try:
                return Typed("constant", postgres_type, value=READERS[postgres_type](str(node.value)), at=node.at)
            except InvalidValueError:
                continue
    if node.kind in (INTEGER_CONSTANT, NUMERIC_CONSTANT):
        return Typed("constant", NUMERIC, value=_read(str(node.value), NUMERIC, node.at), at=node.at)
    return Typed("constant", UNKNOWN, value=node.value, at=node.at)


def _read(text: str, postgres_type: str, at: int) -> Any:
    try:
        return READERS[postgres_type](text)
    except InvalidValueError as error:
        raise ExpressionError(f'{error}: "{text}"', at) from error


def _coerced(typed: Typed, wanted: str) -> Typed:
    """``typed`` as the type ``wanted``, which it can be without being asked."""
    if typed.type == UNKNOWN:
        if typed.value is None or kind(wanted) in TEXTS or is_user_defined(wanted):
            return replace(typed, type=wanted)
        if kind(wanted) not in READERS:
            raise ExpressionError(f"a constant of the type {wanted} cannot be written here", typed.at)
        return replace(typed, type=wanted, value=_read(str(typed.value), kind(wanted), typed.at))
    if typed.is_null:
        return replace(typed, type=wanted)
    if kind(typed.type) == kind(wanted) and (not modifiers(wanted) or typed.type == wanted):
        return typed
    return Typed("cast", wanted, (typed,))


def _cast(operand: Typed, wanted: str, at: int) -> Typed:
    if operand.type == UNKNOWN:
        reason = cast_refusal(TEXT, wanted) if wanted != INTERVAL else None
        if reason is not None:
            raise ExpressionError(reason, at)
        if kind(wanted) in TEXTS or modifiers(wanted):
            base = TEXT if kind(wanted) in TEXTS else kind(wanted)
            operand = _coerced(operand, base)
            return operand if wanted == base else Typed("cast", wanted, (operand,), at=at)
        return replace(_coerced(operand, wanted), at=at)
    if operand.type == wanted:
        return operand
    reason = cast_refusal(operand.type, wanted)
    if reason is not None:
        raise ExpressionError(reason, at)
    if operand.is_null:
        return replace(operand, type=wanted)
    return Typed("cast", wanted, (operand,), at=at)


def _case(node: Case, type_of: TypeOf) -> Typed:
    conditions = [_condition(_resolve(condition, type_of), "WHEN") for condition, _ in node.branches]
    results = [_resolve(result, type_of) for _, result in node.branches]
    last = _resolve(node.otherwise, type_of) if node.otherwise is not None else Typed("constant", UNKNOWN, at=node.at)
    # PostgreSQL takes the type of ELSE first.
    found, results = _common([last, *results], "CASE", node.at)
    pairs = zip(conditions, results[1:], strict=True)
    arguments = (*(part for pair in pairs for part in pair), results[0])
    return Typed("case", found, arguments, at=node.at)


def _common(given: Sequence[Typed], name: str, at: int) -> tuple[str, list[Typed]]:
    found = common_type([typed.type for typed in given])
    if found is None:
        raise ExpressionError(f"{name} types {_listed(given)} cannot be matched: cast them to one type", at)
    return found, [_coerced(typed, found) for typed in given]


def _listed(given: Sequence[Typed]) -> str:
    return ", ".join(dict.fromkeys("text" if typed.type == UNKNOWN else typed.type for typed in given))


def _condition(typed: Typed, name: str) -> Typed:
    if typed.type not in (BOOLEAN, UNKNOWN):
        raise ExpressionError(f"{name} needs a boolean, not {typed.type}", typed.at)
    return _coerced(typed, BOOLEAN)


def _folded(typed: Typed) -> Typed:
    """PostgreSQL takes a strict function of a constant NULL for NULL, whatever its other arguments are."""
    if typed.name not in NOT_STRICT and any(found.is_null for found in typed.arguments):
        return Typed("constant", typed.type, at=typed.at)
    return typed


def _call(name: str, arguments: tuple[Typed, ...], at: int) -> Typed:
    if name in ("and", "or", "not"):
        return Typed(name, BOOLEAN, tuple(_condition(typed, name.upper()) for typed in arguments))
    if name in ("is true", "is false"):
        return Typed(name, BOOLEAN, tuple(_condition(typed, name.upper()) for typed in arguments))
    if name == "is null":
        return Typed(name, BOOLEAN, (_known(arguments[0]),))
    if name == "is distinct from":
        return Typed(name, BOOLEAN, _compared("=", arguments, at).arguments)
    if name in COMPARISONS:
        return _compared(name, arguments, at)
    if name == "in":
        return _in(arguments, at)
    if name == "||":
        return _concatenated(arguments, at)
    if name in ("concat", "concat_ws"):
        return _concat(name, arguments, at)
    if name in ("coalesce", "greatest", "least"):
        return _one_of(name, arguments, at)
    if name == "nullif":
        return _nullif(arguments, at)
    if name == "decimal":
        return _decimal(arguments, at)
    return _chosen(name, arguments, at)


def _nullif(arguments: tuple[Typed, ...], at: int) -> Typed:
    """The first value as the operator ``=`` takes it, then the two that are compared."""
    compared = _compared("=", arguments, at)
    if is_user_defined(compared.arguments[0].type):
        value = compared.arguments[0]
    else:
        value = _coerced(arguments[0], _signature("=", arguments, at).arguments[0])
    return Typed("nullif", value.type, (value, *compared.arguments))


def _known(typed: Typed) -> Typed:
    return _coerced(typed, TEXT) if typed.type == UNKNOWN else typed


def _chosen(name: str, arguments: Sequence[Typed], at: int) -> Typed:
    """The candidate that PostgreSQL calls. Raises ExpressionError where there is none, or another than in the list."""
    signature = _signature(name, arguments, at)
    computed = tuple(_coerced(typed, wanted) for typed, wanted in zip(arguments, signature.arguments, strict=True))
    computed = tuple(_coerced(typed, wanted) for typed, wanted in zip(computed, signature.computed, strict=True))
    _check_constants(name, computed, at)
    return Typed(name, signature.result, computed)


def _signature(name: str, arguments: Sequence[Typed], at: int) -> Signature:
    candidates = SIGNATURES[name]
    found = choose([signature.arguments for signature in candidates], [kind(typed.type) for typed in arguments])
    if found is None or not candidates[found].is_supported:
        raise ExpressionError(_no_candidate(name, arguments), at)
    return candidates[found]


def _no_candidate(name: str, arguments: Sequence[Typed]) -> str:
    shown = "-" if name == "negative" else "+" if name == "positive" else name
    taken = dict.fromkeys(" and ".join(signature.arguments) for signature in SIGNATURES[name] if signature.is_supported)
    what = "function" if name in CALLED else "operator"
    hint = ""
    if name == "round" and len(arguments) == 2 and kind(arguments[0].type) in FLOATS:
        hint = "; cast to numeric first"
    elif any(is_user_defined(typed.type) for typed in arguments):
        hint = "; cast the value of your own type to text"
    types = [UNKNOWN if typed.type == UNKNOWN else typed.type for typed in arguments]
    return f"there is no {what} {shown} for {' and '.join(types)}: it takes {', or '.join(taken)}{hint}"


def _check_constants(name: str, arguments: Sequence[Typed], at: int) -> None:
    """Fields, time zones and patterns are written in the expression: a column cannot choose them."""
    if any(kind(typed.type) == INTERVAL and typed.name != "constant" for typed in arguments):
        raise ExpressionError(f"{name} takes an interval that is a constant, such as interval '1 day'", at)
    place = {"like": 1, "ilike": 1, "extract": 0, "date_trunc": 0, "at time zone": 0, "#>>": 1}.get(name)
    if place is None:
        return
    constant = arguments[place]
    if constant.name != "constant":
        raise ExpressionError(f"{name} needs a constant, written in the expression", at)
    if constant.value is None:
        return
    value = str(constant.value)
    if name in ("like", "ilike") and _ends_with_escape(value):
        raise ExpressionError("the pattern of LIKE ends with its escape character, a backslash", constant.at)
    if name == "date_trunc" and value.lower() not in TRUNCATED_TO:
        raise ExpressionError(f"date_trunc takes {', '.join(TRUNCATED_TO)}, not {value!r}", constant.at)
    if name == "at time zone":
        try:
            time_zone(value)
        except InvalidValueError as error:
            raise ExpressionError(str(error), constant.at) from error
    if name == "extract":
        _check_field(value.lower(), arguments[1].type, constant.at)


def _ends_with_escape(pattern: str) -> bool:
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


def _check_field(name: str, postgres_type: str, at: int) -> None:
    if name not in EXTRACTED:
        raise ExpressionError(f"extract takes {', '.join(EXTRACTED)}, not {name!r}", at)
    has = {"date": ("date", "both"), "time without time zone": ("time", "both")}.get(kind(postgres_type))
    if has is not None and EXTRACTED[name] not in has:
        raise ExpressionError(f"a {postgres_type} has no {name}", at)


def _compared(name: str, arguments: tuple[Typed, ...], at: int) -> Typed:
    """A comparison. A value of an enum, or of another type of the user's, is compared with constants by its text."""
    given = [typed.type for typed in arguments]
    own = [found for found in given if is_user_defined(found)]
    if own and all(found in (own[0], UNKNOWN) for found in given) and name in ("=", "<>") and "citext" not in own[0]:
        return Typed(name, BOOLEAN, tuple(_coerced(typed, own[0]) for typed in arguments))
    return _chosen(name, arguments, at)


def _in(arguments: tuple[Typed, ...], at: int) -> Typed:
    """``x IN (a, b)`` is ``x = a OR x = b``; several constants become of one type first, where all have one with ``x``.

    ``x`` itself is not cast to it: as of an array of that type, https://www.postgresql.org/docs/current/typeconv-oper.html
    """
    left = arguments[0]
    constants = [typed for typed in arguments[1:] if not _reads(typed)]
    others = [typed for typed in arguments[1:] if _reads(typed)]
    pairs = [(left, other) for other in constants]
    found = common_type([left.type, *(typed.type for typed in constants)]) if len(constants) > 1 else None
    if found is not None and not is_user_defined(found):
        pairs = [(left, _coerced(other, kind(found))) for other in constants]
    pairs += [(left, other) for other in others]
    tests = tuple(_folded(_compared("=", pair, at)) for pair in pairs)
    return tests[0] if len(tests) == 1 else Typed("or", BOOLEAN, tests)


def _reads(typed: Typed) -> bool:
    return typed.name == "column" or any(map(_reads, typed.arguments))


def _concatenated(arguments: tuple[Typed, ...], at: int) -> Typed:
    """``||``: text with text, or with any value that is no array and no json, as its cast to text."""
    texts = [typed for typed in arguments if kind(typed.type) in (*TEXTS, UNKNOWN)]
    others = [typed for typed in arguments if typed not in texts]
    if not texts or any(kind(typed.type).endswith("[]") or kind(typed.type) == JSONB for typed in others):
        raise ExpressionError(f"|| joins texts, not {' and '.join(typed.type for typed in arguments)}: cast them", at)
    return Typed("||", TEXT, tuple(_coerced(typed, TEXT) for typed in arguments))


def _concat(name: str, arguments: tuple[Typed, ...], at: int) -> Typed:
    """Every value as PostgreSQL outputs it: a boolean as ``t``, a char(n) with its blanks."""
    if len(arguments) < (2 if name == "concat_ws" else 1):
        raise ExpressionError(f"{name} takes more values", at)
    for typed in arguments:
        if kind(typed.type).endswith("[]"):
            raise ExpressionError(f"{name} takes no array", typed.at)
    known = [_known(typed) for typed in arguments]
    if name == "concat_ws":
        if kind(known[0].type) not in TEXTS:
            raise ExpressionError("the separator of concat_ws must be a text", known[0].at)
        known[0] = _coerced(known[0], TEXT)
    return Typed(name, TEXT, tuple(known))


def _one_of(name: str, arguments: tuple[Typed, ...], at: int) -> Typed:
    if not arguments:
        raise ExpressionError(f"{name} takes one value or more", at)
    found, coerced = _common(arguments, name, at)
    if name in ("greatest", "least") and not _is_ordered(found):
        raise ExpressionError(f"{name} cannot compare values of {found}", at)
    return Typed(name, found, tuple(coerced))


def _is_ordered(postgres_type: str) -> bool:
    wanted = kind(postgres_type)
    return any(signature.arguments == (wanted, wanted) for signature in SIGNATURES["<"]) or wanted == VARCHAR


def _decimal(arguments: tuple[Typed, ...], at: int) -> Typed:
    """The pipeline's own ``decimal(c, p, s)``: a number that must fit numeric(p, s)."""
    if len(arguments) != 3 or any(typed.name != "constant" or typed.type != INTEGER for typed in arguments[1:]):
        raise ExpressionError("decimal takes a number and the integers precision and scale", at)
    precision, scale = (typed.value for typed in arguments[1:])
    if not 1 <= precision <= MAX_PRECISION or not 0 <= scale <= precision:
        raise ExpressionError(f"decimal's precision is 1 to {MAX_PRECISION}, and its scale no more than that", at)
    if kind(arguments[0].type) not in (*INTEGERS, NUMERIC):
        raise ExpressionError(f"decimal takes a number, not {arguments[0].type}", at)
    number = _coerced(arguments[0], NUMERIC)
    return Typed("decimal", f"numeric({precision},{scale})", (number,))
