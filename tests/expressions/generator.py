"""Random SQL expressions on the columns of a table: of a type, or flat and of no type."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

COLUMNS: Mapping[str, str] = {  # of the table `given`, after its key
    "small": "smallint",
    "whole": "integer",
    "whole2": "integer",
    "large": "bigint",
    "price": "numeric(10,2)",
    "rate": "numeric(6,4)",
    "amount": "numeric",
    "amount2": "numeric",
    "single": "real",
    "num": "double precision",
    "num2": "double precision",
    "flag": "boolean",
    "flag2": "boolean",
    "name": "text",
    "name2": "text",
    "code": "character varying(12)",
    "mark": "character(8)",
    "born": "date",
    "born2": "date",
    "seen": "timestamp without time zone",
    "noted": "timestamp with time zone",
    "clock": "time without time zone",
    "who": "uuid",
    "doc": "jsonb",
    "raw": "json",
    "state": "mood",
    "seen3": "timestamp(3) without time zone",
    "big": "numeric(38,10)",
    "tens": "numeric(3,-2)",
    "word": "character varying",
    "noon": "time(0) without time zone",
}
_INTEGERS = ("small", "whole", "whole2", "large")
_NUMERICS = ("price", "rate", "amount", "amount2", "big", "tens")
_FLOATS = ("single", "num", "num2")
_TEXTS = ("name", "name2", "code", "mark", "word")
_STRINGS = (
    *("", " ", "a", "Ab", "é", "ß", "straße", "ΑΣ", "İI", "ﬁ", "😀x", "it''s", "%", "100%", "a_b", "  pad  ", "0", "7"),
    *("-3", "1.5", "2024-02-29", "t", "x\\y"),
)
_PATTERNS = (
    "STRA%",
    "%İ%",
    "AB",
    "%\u03c3",
    "%",
    "a%",
    "%b",
    "_%",
    "%a%b%",
    "%\\\\%%",
    "",
    "a_b",
    "%é%",
    "__",
    "%_a_%",
    "\\\\_%",
    "x\\\\\\\\y",
    "%  ",
)
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns")
_UNITS = ("microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
_LONG_UNITS = ("decade", "century", "millennium")
_DATE_FIELDS = ("year", "quarter", "month", "week", "day", "dow", "isodow", "doy", "isoyear", "epoch")
_CASTS = (
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "numeric(8,3)",
    "numeric(3,-1)",
    "real",
    "double precision",
    "text",
)
_INTERVALS = (
    *("interval '1 month'", "interval '-1 day'", "'2 years 3 mons -40 days'::interval", "interval '90 minutes'"),
    *("interval '1 week 2 days 3 hours'", "interval '11 months'", "interval '0 days'"),
)
_PATHS = ("{a}", "{}", "{a,0}", "{a,b}", "{b,-1}", '{"a b"}', "{0}", "{a,1,b}")


class Generator:
    """Makes expressions from a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311

    def any(self) -> str:
        """An expression of some type."""
        kind = self._chance.choice((*_KINDS, "flat", "flat", "mixed"))
        depth = self._chance.choice((1, 2, 2, 3, 3, 4))
        if kind == "flat":
            return self._flat()
        if kind == "mixed":
            return self._mixed()
        return self._of(kind, depth)

    def _pick(self, *options: str) -> str:
        return self._chance.choice(options)

    def _of(self, kind: str, depth: int) -> str:
        if depth <= 0 or self._chance.random() < 0.1:
            return self._leaf(kind)
        if self._chance.random() < 0.2:
            return self._of_any_kind(kind, depth - 1)
        return _KINDS[kind](self, depth - 1)

    def _leaf(self, kind: str) -> str:
        columns = {
            "integer": _INTEGERS,
            "numeric": _NUMERICS,
            "float": _FLOATS,
            "text": _TEXTS,
            "boolean": ("flag", "flag2"),
            "date": ("born", "born2"),
            "timestamp": ("seen", "noted", "seen3"),
            "json": ("doc", "raw"),
        }[kind]
        if self._chance.random() < 0.75 or kind == "json":
            return self._chance.choice(columns)
        if self._chance.random() < 0.06:
            return "NULL"
        constants = {
            "integer": ("0", "1", "2", "-1", "7", "100", "32767", "2147483647", "-2147483648", "9223372036854775807"),
            "numeric": ("0.0", "1.5", "-0.25", "100.00", "0.001", "12345678901234567890.5", "1e-5", ".5", "3.", "2e3"),
            "float": ("1.5::double precision", "'NaN'::real", "0.1::real", "1e300::float8", "2::real"),
            "text": tuple(f"'{text}'" for text in _STRINGS),
            "boolean": ("true", "false", "'t'::boolean"),
            "date": ("date '2024-02-29'", "'0001-01-01'::date", "'9999-12-31'::date", "date '1969-12-31'"),
            "timestamp": ("timestamp '2024-03-31 02:30:00'", "'2024-10-27 02:30:00'::timestamp"),
        }[kind]
        return self._chance.choice(constants)

    def _of_any_kind(self, kind: str, depth: int) -> str:
        """What every type has."""
        values = [self._of(kind, depth) for _ in range(3)]
        form = self._chance.randint(0, 5)
        if form == 0:
            return f"coalesce({', '.join(values[: self._chance.randint(1, 3)])})"
        if form == 1:
            last = f" ELSE {values[1]}" if self._chance.random() < 0.7 else ""
            return f"CASE WHEN {self._of('boolean', depth)} THEN {values[0]}{last} END"
        if form == 2 and kind not in ("json",):
            return f"nullif({values[0]}, {values[1]})"
        if form == 3 and kind not in ("json",):
            return f"{self._pick('greatest', 'least')}({', '.join(values)})"
        if form == 4 and kind not in ("json",):
            return f"CASE {values[0]} WHEN {values[1]} THEN {values[2]} ELSE {values[0]} END"
        return f"({values[0]})"

    def _integer(self, depth: int) -> str:
        form = self._chance.randint(0, 10)
        if form == 10:
            one, other = self._of("text", depth), self._leaf("text")
            return self._pick(
                f"strpos({one}, {other})", f"position({other} IN {one})", f"mod({self._leaf('integer')}, 3)"
            )
        if form < 5:
            return f"({self._of('integer', depth)} {self._pick('+', '-', '*', '/', '%')} {self._of('integer', depth)})"
        if form == 5:
            return f"{self._pick('-', '+', 'abs')}({self._of('integer', depth)})"
        if form == 6:
            return f"{self._pick('length', 'char_length')}({self._of('text', depth)})"
        if form == 7:
            kind = self._pick("integer", "numeric", "float", "text", "text")
            return f"({self._of(kind, depth)})::{self._pick('smallint', 'integer', 'bigint')}"
        if form == 8:
            return f"({self._of('date', depth)} - {self._of('date', depth)})"
        return f"cast({self._of('boolean', depth)} AS int)"

    def _numeric(self, depth: int) -> str:
        form = self._chance.randint(0, 9)
        other = self._of(self._pick("numeric", "numeric", "integer"), depth)
        if form < 5:
            pair = [self._of("numeric", depth), other]
            self._chance.shuffle(pair)
            return f"({pair[0]} {self._pick('+', '-', '*', '/', '%')} {pair[1]})"
        if form == 5:
            name = self._pick("-", "+", "abs", "round", "floor", "ceil", "ceiling", "trunc", "sign")
            return f"{name}({self._of('numeric', depth)})"
        if form == 6:
            return f"{self._pick('round', 'trunc')}({self._of('numeric', depth)}, {self._chance.randint(-3, 6)})"
        if form == 7:
            kind = self._pick("integer", "numeric", "float", "text")
            return (
                f"({self._of(kind, depth)})::{self._pick('numeric', 'numeric(8,3)', 'numeric(3,-1)', 'numeric(38,10)')}"
            )
        if form == 8:
            return f"extract({self._pick(*_DATE_FIELDS)} from {self._of('date', depth)})"
        fields = (*_DATE_FIELDS, "hour", "minute", "second")
        return f"extract({self._pick(*fields)} from {self._of('timestamp', depth)})"

    def _float(self, depth: int) -> str:
        form = self._chance.randint(0, 7)
        if form < 4:
            pair = [self._of("float", depth), self._of(self._pick("float", "integer", "numeric"), depth)]
            self._chance.shuffle(pair)
            return f"({pair[0]} {self._pick('+', '-', '*', '/')} {pair[1]})"
        if form == 4:
            return (
                f"{self._pick('-', '+', 'abs', 'round', 'floor', 'ceil', 'trunc', 'sign')}({self._of('float', depth)})"
            )
        if form == 5:
            return f"{self._pick('round', 'floor', 'ceil')}({self._of('integer', depth)})"
        kind = self._pick("integer", "numeric", "float", "text")
        return f"({self._of(kind, depth)})::{self._pick('real', 'double precision', 'float')}"

    def _text(self, depth: int) -> str:
        form = self._chance.randint(0, 15)
        value = self._of("text", depth)
        if form == 14:
            return f"split_part({value}, {self._leaf('text')}, {self._chance.randint(-2, 3)})"
        if form == 15:
            fill = self._pick("", f", {self._leaf('text')}")
            return f"{self._pick('lpad', 'rpad')}({value}, {self._chance.randint(-1, 8)}{fill})"
        if form < 2:
            return f"({value} || {self._of(self._pick('text', 'text', *_KINDS), depth)})"
        if form == 2:
            return f"{self._pick('upper', 'lower', 'trim', 'ltrim', 'rtrim', 'btrim')}({value})"
        if form == 3:
            side = self._pick("both", "leading", "trailing")
            return f"trim({side} {self._leaf('text')} from {value})"
        if form == 4:
            return f"{self._pick('substring', 'substr')}({value}, {self._chance.randint(-2, 5)})"
        if form == 5:
            return f"substring({value} from {self._chance.randint(-2, 4)} for {self._chance.randint(-1, 5)})"
        if form == 6:
            return f"{self._pick('left', 'right')}({value}, {self._chance.randint(-4, 4)})"
        if form == 7:
            return f"replace({value}, {self._leaf('text')}, {self._leaf('text')})"
        if form == 8:
            return f"concat({', '.join(self._of(self._pick(*_KINDS), depth) for _ in range(3))})"
        if form == 9:
            return (
                f"concat_ws({self._leaf('text')}, {', '.join(self._of(self._pick(*_KINDS), depth) for _ in range(3))})"
            )
        if form == 10:
            document = self._of("json", depth)
            return f"({document} {self._json_step('->>')})"
        if form == 11:
            return f"({self._of('json', depth)} #>> '{self._pick(*_PATHS)}')"
        if form == 12:
            kind = self._pick(*_KINDS)
            return f"({self._of(kind, depth)})::{self._pick('text', 'varchar(3)', 'char(4)', 'varchar')}"
        return f"{self._pick('clock', 'who', 'state', 'doc')}::text"

    def _json_step(self, operator: str) -> str:
        return operator + self._pick(" 'a'", " 'b'", " 0", " 1", " -1", " whole", " name")

    def _json(self, depth: int) -> str:
        return f"({self._of('json', depth)} {self._json_step('->')})"

    def _boolean(self, depth: int) -> str:
        form = self._chance.randint(0, 12)
        comparison = self._pick("=", "<>", "!=", "<", "<=", ">", ">=")
        kind = self._pick("integer", "numeric", "float", "text", "boolean", "date", "timestamp")
        other = self._pick("integer", "numeric", "float") if kind in ("integer", "numeric", "float") else kind
        if form < 4:
            return f"({self._of(kind, depth)} {comparison} {self._of(other, depth)})"
        if form < 6:
            return f"({self._of('boolean', depth)} {self._pick('AND', 'OR')} {self._of('boolean', depth)})"
        if form == 6:
            return f"(NOT {self._of('boolean', depth)})"
        if form == 7:
            return f"({self._of(kind, depth)} IS {self._pick('', 'NOT ')}NULL)"
        if form == 8:
            return f"({self._of('boolean', depth)} IS {self._pick('', 'NOT ')}{self._pick('TRUE', 'FALSE', 'UNKNOWN')})"
        if form == 9:
            items = ", ".join(self._of(other, 0) for _ in range(self._chance.randint(1, 3)))
            return f"({self._of(kind, depth)} {self._pick('', 'NOT ')}IN ({items}))"
        if form == 10:
            low, high = self._of(other, 0), self._of(other, 0)
            return f"({self._of(kind, depth)} {self._pick('', 'NOT ')}BETWEEN {low} AND {high})"
        if form == 11:
            like = self._pick("LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE")
            starts = f"starts_with({self._of('text', depth)}, {self._leaf('text')})"
            return self._pick(starts, *[f"({self._of('text', depth)} {like} E'{self._pick(*_PATTERNS)}')"] * 3)
        if self._chance.random() < 0.5:
            return f"({self._of(kind, depth)} IS {self._pick('', 'NOT ')}DISTINCT FROM {self._of(other, depth)})"
        return self._pick(
            "state = 'sad'",
            "state <> 'true'",
            "state IN ('sad', '1')",
            "who = who",
            "clock < '12:00:00'",
            "noon = clock",
        )

    def _date(self, depth: int) -> str:
        form = self._chance.randint(0, 4)
        if form < 2:
            return f"({self._of('date', depth)} {self._pick('+', '-')} {self._of('integer', depth)})"
        if form == 2:
            return f"({self._of('timestamp', depth)})::date"
        if form == 3:
            return f"({self._of('text', depth)})::date"
        return f"date({self._of('timestamp', depth)})"

    def _timestamp(self, depth: int) -> str:
        form = self._chance.randint(0, 5)
        if form == 5:
            interval = self._pick(*_INTERVALS)
            moment = self._of(self._pick("timestamp", "date"), depth)
            return self._pick(f"({moment} + {interval})", f"({moment} - {interval})", f"({interval} + {moment})")
        if form == 0:
            unit = self._pick(*_UNITS, *_LONG_UNITS)
            return f"date_trunc('{unit}', {self._of(self._pick('timestamp', 'date'), depth)})"
        if form in (1, 2):
            return f"({self._of('timestamp', depth)} AT TIME ZONE '{self._pick(*_ZONES)}')"
        if form == 3:
            kind = self._pick("date", "text", "timestamp")
            return f"({self._of(kind, depth)})::{self._pick('timestamp', 'timestamptz')}"
        return self._pick("seen", "noted")

    def _flat(self) -> str:
        """Operators one after the other without parentheses: precedence decides, and most do not fit their types."""
        kind = self._pick("integer", "numeric", "text", "mixed")
        operators = (
            "+",
            "-",
            "*",
            "/",
            "%",
            "||",
            "=",
            "<",
            ">=",
            "AND",
            "OR",
            "IS NULL",
            "->>",
            "::text",
            "IS NOT TRUE",
        )
        parts = []
        for _ in range(self._chance.randint(2, 5)):
            leaf = self._leaf(
                self._pick("integer", "numeric", "text", "boolean", "date", "json") if kind == "mixed" else kind
            )
            parts.append(self._pick("", "", "", "-", "NOT ") + leaf)
            operator = self._chance.choice(operators)
            parts.append(operator)
            while operator in ("IS NULL", "::text", "IS NOT TRUE"):
                operator = self._chance.choice(operators)
                parts.append(operator)
        parts.append(self._leaf("integer"))
        return " ".join(parts)

    def _mixed(self) -> str:
        """A function or an operator with any types: most are refused by both."""
        one, other = (
            self._leaf(self._pick(*_KINDS)) if self._chance.random() < 0.8 else self._pick(*COLUMNS) for _ in "ab"
        )
        form = self._chance.randint(0, 5)
        if form == 0:
            name = self._pick("upper", "length", "round", "floor", "abs", "trim", "-", "+", "ceil")
            return f"{name}({one})"
        if form == 1:
            return f"{self._pick('nullif', 'coalesce', 'greatest', 'left', 'concat', 'round')}({one}, {other})"
        if form == 2:
            return f"({one})::{self._pick(*_CASTS, 'boolean', 'date', 'timestamp', 'time', 'uuid', 'json')}"
        if form == 3:
            return f"CASE WHEN flag THEN {one} ELSE {other} END"
        if form == 4:
            return f"{one} IN ({other}, {self._leaf('integer')})"
        return f"{one} {self._pick('+', '-', '*', '/', '%', '||', '=', '<', '->', '->>', '>=')} {other}"


_KINDS: Mapping[str, Callable[[Generator, int], str]] = {
    "integer": Generator._integer,
    "numeric": Generator._numeric,
    "float": Generator._float,
    "text": Generator._text,
    "boolean": Generator._boolean,
    "date": Generator._date,
    "timestamp": Generator._timestamp,
    "json": Generator._json,
}
