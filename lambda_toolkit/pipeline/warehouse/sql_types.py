"""The types of columns: every way to write one that PostgreSQL knows, read to what its format_type() writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lambda_toolkit.pipeline.warehouse.sql_tokens import Reader

_LARGEST_REAL, _LARGEST_FLOAT = 24, 53  # bits: float(n) up to the first is a real
_MAX_LENGTH = 10_485_760  # of a text
_MAX_BITS = 83_886_080
_MAX_DIGITS = 1000
_MAX_FRACTION = 6  # digits of seconds; more are cut with a warning

_KEYWORDS = {  # the names of the SQL standard, which are keywords -> the type's name in the catalog
    "int": "int4",
    "integer": "int4",
    "smallint": "int2",
    "bigint": "int8",
    "real": "float4",
    "decimal": "numeric",
    "dec": "numeric",
    "boolean": "bool",
}
_SERIAL = {  # an integer, NOT NULL, with a sequence as its default
    "smallserial": "smallint",
    "serial2": "smallint",
    "serial": "integer",
    "serial4": "integer",
    "bigserial": "bigint",
    "serial8": "bigint",
}
_PLAIN = (
    *("text", "bytea", "uuid", "json", "jsonb", "xml", "date", "name", "oid", "money", "pg_lsn", "jsonpath"),
    *("inet", "cidr", "macaddr", "macaddr8", "tsvector", "tsquery"),
    *("point", "line", "lseg", "box", "path", "polygon", "circle"),
    *("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"),
    *("int4multirange", "int8multirange", "nummultirange", "tsmultirange", "tstzmultirange", "datemultirange"),
)
_CATALOG: Mapping[str, str] = {  # name in the catalog -> as format_type() writes it, around what may follow it
    **{name: name for name in (*_PLAIN, "interval")},
    "bool": "boolean",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "numeric": "numeric{}",
    "varchar": "character varying{}",
    "bpchar": "character{}",
    "varbit": "bit varying{}",
    "time": "time{} without time zone",
    "timetz": "time{} with time zone",
    "timestamp": "timestamp{} without time zone",
    "timestamptz": "timestamp{} with time zone",
    "char": '"char"',
}
_INTERVALS = {  # field -> those that may follow TO
    "year": ("month",),
    "month": (),
    "day": ("hour", "minute", "second"),
    "hour": ("minute", "second"),
    "minute": ("second",),
    "second": (),
}


@dataclass(frozen=True)
class SqlType:
    """A type of a column."""

    name: str
    """As format_type() writes it, such as ``numeric(10,2)``."""
    is_serial: bool = False
    """Written as ``serial`` or one of its kind."""


def read_type(reader: Reader) -> SqlType:
    """Takes a type. Raises WarehouseError for one that is not known, with the line."""
    begin = reader.next
    found = _read_scalar(reader)
    is_array = False
    if reader.has("array"):
        is_array = True
        if reader.has("["):
            _read_size(reader)
    else:
        while reader.has("["):
            is_array = True
            if not reader.has("]"):
                _read_size(reader)
    if is_array and found.is_serial:
        reader.refuse(f"an array of {begin.text} is no type: write integer[] or bigint[]", begin)
    return SqlType(f"{found.name}[]") if is_array else found


def _read_size(reader: Reader) -> None:
    """The size of an array, which PostgreSQL ignores."""
    reader.number("the size of an array", 0, 2**31 - 1)
    reader.expect("]")


def _read_scalar(reader: Reader) -> SqlType:
    token = reader.next
    if token.kind == "quoted" or (token.kind == "word" and reader.peek(1).text == "."):
        if reader.peek(1).text == ".":
            if token.name != "pg_catalog":
                reader.refuse(f"the type {token.text}. is of another schema: write a type of PostgreSQL itself")
            reader.take()
            reader.take()
            return _catalog_type(reader, reader.next.name)
        return _named_type(reader)
    word = token.word
    if not word:
        reader.refuse(f"expected a type, found {'its end' if token.kind == 'end' else token.text[:40]}")
    if reader.has("double"):
        reader.expect("precision")
        return SqlType("double precision")
    if reader.has("float"):
        bits = _in_parentheses(reader, "the bits of a float", 1, _LARGEST_FLOAT)
        return SqlType("real" if bits is not None and bits <= _LARGEST_REAL else "double precision")
    if reader.has("national"):
        if reader.next.word not in ("character", "char"):
            reader.refuse("expected CHARACTER after NATIONAL")
        word = "character"
    if word in ("character", "char", "nchar"):
        reader.take()
        return _character(reader, is_varying=reader.has("varying"))
    if reader.has("bit"):
        is_varying = reader.has("varying")
        length = _bits(reader)
        return SqlType(f"bit varying{length}" if is_varying else f"bit{length or '(1)'}")
    if word in ("timestamp", "time"):
        reader.take()
        fraction = _fraction(reader)
        if reader.has("with", "time", "zone"):
            return SqlType(f"{word}{fraction} with time zone")
        reader.has("without", "time", "zone")
        return SqlType(f"{word}{fraction} without time zone")
    if reader.has("interval"):
        return _interval(reader)
    return _named_type(reader)


def _named_type(reader: Reader) -> SqlType:
    """A type without a schema: one of the catalog, a serial, or an unquoted keyword that means one."""
    token = reader.next
    if token.name in _SERIAL:
        reader.take()
        return SqlType(_SERIAL[token.name], is_serial=True)
    return _catalog_type(reader, _KEYWORDS.get(token.word, token.name))


def _catalog_type(reader: Reader, name: str) -> SqlType:
    """A type by its name in the catalog."""
    if name not in _CATALOG:
        reader.refuse(
            f"the type {reader.next.text[:60]} is not known here. Write one of PostgreSQL's own, such as text, "
            "integer, bigint, numeric(10,2), boolean, date, timestamp, timestamptz, uuid or jsonb"
        )
    reader.take()
    modifier = _MODIFIERS[name](reader) if name in _MODIFIERS else ""
    return SqlType(name if name == "bpchar" and not modifier else _CATALOG[name].format(modifier))


def _character(reader: Reader, *, is_varying: bool) -> SqlType:
    length = _length(reader)
    return SqlType(f"character varying{length}" if is_varying else f"character{length or '(1)'}")


def _interval(reader: Reader) -> SqlType:
    fraction = _fraction(reader)
    first = reader.next.word
    if fraction or first not in _INTERVALS:
        return SqlType(f"interval{fraction}")
    reader.take()
    fields = last = first
    if reader.has("to"):
        last = reader.take().word
        if last not in _INTERVALS[first]:
            reader.refuse(f"INTERVAL {first.upper()} TO {last.upper()} is no type")
        fields = f"{first} to {last}"
    return SqlType(f"interval {fields}{_fraction(reader) if last == 'second' else ''}")


# What is in parentheses after a type, in parentheses; empty where there are none.


def _length(reader: Reader) -> str:
    return _written(_in_parentheses(reader, "the length of a text", 1, _MAX_LENGTH))


def _bits(reader: Reader) -> str:
    return _written(_in_parentheses(reader, "the length of a bit string", 1, _MAX_BITS))


def _fraction(reader: Reader) -> str:
    return _written(_in_parentheses(reader, "the digits of a second", 0, _MAX_FRACTION))


def _digits(reader: Reader) -> str:
    if not reader.has("("):
        return ""
    digits = reader.number("the precision of a numeric", 1, _MAX_DIGITS)
    scale = reader.number("the scale of a numeric", -_MAX_DIGITS, _MAX_DIGITS) if reader.has(",") else 0
    reader.expect(")")
    return f"({digits},{scale})"


_MODIFIERS: Mapping[str, Callable[[Reader], str]] = {
    "numeric": _digits,
    "varchar": _length,
    "bpchar": _length,
    "varbit": _bits,
    **dict.fromkeys(("time", "timetz", "timestamp", "timestamptz"), _fraction),
}


def _written(number: int | None) -> str:
    return "" if number is None else f"({number})"


def _in_parentheses(reader: Reader, what: str, smallest: int, largest: int) -> int | None:
    if not reader.has("("):
        return None
    found = reader.number(what, smallest, largest)
    reader.expect(")")
    return found
