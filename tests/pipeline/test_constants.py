"""What a text means as a value of a type, as PostgreSQL reads it: texts of each form, and some one edit beside them."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

from lambda_toolkit.pipeline.lambdas.shared.expression.constants import READERS, InvalidValueError

MONTHS = "(extract(year FROM v) * 12 + extract(month FROM v))"
MICROSECONDS = "(extract(hour FROM v) * 3600000000 + extract(minute FROM v) * 60000000 + extract(microseconds FROM v))"
SHOWN = {
    "real": "(v::double precision)::text",  # exactly
    "timestamp with time zone": "(v AT TIME ZONE 'UTC')::text",
    "text[]": "to_jsonb(v)::text",
    "interval": f"{MONTHS} || ' ' || extract(day FROM v) || ' ' || {MICROSECONDS}",
}
UNITS = (
    *("year", "years", "month", "months", "mon", "mons", "week", "weeks", "day", "days", "hour", "hours", "minute"),
    *("minutes", "min", "mins", "second", "seconds", "sec", "secs", "y", "m", "d", "h", "s", "ms", "decade", "century"),
)
INTEGERS = ("0", "+7", "-7", "007", " 12\n", "\v1\f", "1_000", "0x1F", "٣", "", "-", "9" * 19, "9" * 20, "0" * 30 + "5")
NUMBERS = (*INTEGERS, "1.", ".5", "1.50", "-0.0", "1e3", "1.5E-2", "1e+5", "NaN", "inf", "-Infinity", "+inf", "infinit")
NUMBERS += ("1e400", "1e-400", "1e131072", "1e131071", "1e-16383", "1e-16384", "0e131072", "3.5e38", "1e-46", "1e-45")
NUMBERS += (
    "16777217",
    "16777217.0000001",
    "0.1",
    "1.17549435e-38",
    "8388608.5000000001",
    "3.4028235677973366e38",
    "1e39",
)
NUMBERS += ("8388609.4999999999",)  # below the middle of two reals, which a double of it is
DAYS = ("2024-02-29", "2023-02-29", "0001-01-01", "0000-01-01", "9999-12-31", "10000-01-01", "2024-2-3", "20240203")
TIMES = (
    "00:00:00",
    "23:59:59.999999",
    "24:00:00",
    "24:00:00.0",
    "24:00:01",
    "12:30:00.5",
    "12:30:00.500000",
    "7:05:06",
)
MOMENTS = (*DAYS, *(f"2024-03-31{between}{time}" for between in (" ", "T") for time in TIMES))
ZONES = ("Z", "+00", "-05:30", "+0530", "+14", "+15", "-14:59", "+1", " UTC")
TEXTS: dict[str, tuple[str, ...]] = {
    "smallint": (*INTEGERS, "32767", "32768", "-32768", "-32769"),
    "integer": (*INTEGERS, "2147483647", "2147483648", "-2147483648", "-2147483649"),
    "bigint": (*INTEGERS, "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    "numeric": NUMBERS,
    "real": NUMBERS,
    "double precision": NUMBERS,
    "boolean": (
        "true",
        "FALSE",
        "t",
        "f",
        "tr",
        "yes",
        "y",
        "no",
        "n",
        "on",
        "of",
        "off",
        "o",
        "1",
        "0",
        " on ",
        "2",
        "",
    ),
    "date": DAYS,
    "timestamp without time zone": MOMENTS,
    "timestamp with time zone": (*MOMENTS, *(f"2024-03-31 02:30:00{zone}" for zone in ZONES), "0001-01-01 00:00:00+14"),
    "time without time zone": TIMES,
    "uuid": (
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}",
        "a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11",
    ),
    "text[]": (
        "{}",
        "{a,b}",
        '{"a b", NULL,"NULL"}',
        '{"a\\"b",c\\,d}',
        "{ a b , c }",
        "{{a}}",
        "{a,}",
        "{a",
        " {a} ",
        '{""}',
    ),
    "interval": (
        *(f"{count} {unit}" for unit in UNITS for count in ("3", "-2")),
        *(
            "1 year 2 months -3 days",
            "1year2mons",
            "+5 HOURS 10 minutes 7 seconds",
            "5",
            "1.5 days",
            "1 day 2",
            "days",
            "1 day 2 days",
            "1 week 1 day",
        ),
    ),
}
EDITS = 30  # of each text
LETTERS = ' \t+-.:,/_{}"\\TZeEnN0159a²'
STRICTER = {
    "smallint": 10,
    "integer": 15,
    "bigint": 16,
    "numeric": 29,
    "real": 15,
    "double precision": 10,
    "boolean": 0,
    "date": 48,
    "timestamp without time zone": 185,
    "timestamp with time zone": 304,
    "time without time zone": 70,
    "uuid": 0,
    "text[]": 5,
    "interval": 328,
}


def edited(text: str, chance: random.Random) -> str:
    """``text`` with a character removed, added, replaced or doubled."""
    at, letter = int(chance.random() * (len(text) + 1)), LETTERS[int(chance.random() * len(LETTERS))]
    kind = int(chance.random() * 4)
    middle = ("", letter + text[at : at + 1], letter, text[at : at + 1] * 2)[kind]
    return text[:at] + middle + text[at + 1 :]


def shown(value: Any, kind: str) -> Any:
    """As the query writes it; a number as a number."""
    if kind in ("real", "double precision"):
        return repr(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if kind == "interval":
        return " ".join(map(str, value))
    if kind == "text[]":
        return list(value)
    if kind.startswith("timestamp"):
        text = value.isoformat(" ")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(value).lower() if kind == "boolean" else str(value)


def read(kind: str, text: str) -> Any:
    try:
        return shown(READERS[kind](text), kind)
    except InvalidValueError:
        return None


def as_read(answer: str | None, kind: str) -> Any:
    """The server's answer as ``shown`` has it."""
    if answer is None or kind not in ("real", "double precision", "text[]"):
        return answer
    return json.loads(answer) if kind == "text[]" else repr(float(answer))


def test_text_means_what_postgresql_reads(empty) -> None:
    """A text that is read here has PostgreSQL's value; STRICTER are those in forms that only PostgreSQL reads."""
    empty.run("SET TimeZone = 'UTC'")
    empty.run(
        "CREATE FUNCTION meant(kind text, shown text, given text) RETURNS text LANGUAGE plpgsql AS $$"
        " DECLARE found text; BEGIN EXECUTE format('SELECT %s FROM (SELECT CAST($1 AS %s) AS v) AS t', shown, kind)"
        " INTO found USING given; RETURN found; EXCEPTION WHEN others THEN RETURN NULL; END $$"
    )
    ask = "SELECT meant(:kind, :shown, t) FROM unnest(CAST(:texts AS text[])) WITH ORDINALITY AS u(t, n) ORDER BY n"
    stricter = dict.fromkeys(TEXTS, 0)
    for kind, plain in TEXTS.items():
        chance = random.Random(kind)  # noqa: S311 - the same at every run
        texts = sorted({*plain, *(edited(text, chance) for text in plain for _ in range(EDITS))})
        answers = empty.rows(ask, kind=kind, shown=SHOWN.get(kind, "v::text"), texts=texts)
        for text, (answer,) in zip(texts, answers, strict=True):
            ours = read(kind, text)
            if ours is None:
                stricter[kind] += answer is not None
            else:
                assert ours == as_read(answer, kind), (kind, text)
    assert stricter == STRICTER
