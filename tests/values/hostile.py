"""Values of every type, as text: the ones that break programs, and random ones beside them."""

from __future__ import annotations

import json
import random
import struct
import uuid
from collections.abc import Callable, Iterator, Mapping

ENUM, DOMAIN, TEXT_DOMAIN = "mood", "positive", "code"
CREATE_TYPES = f"""
    CREATE TYPE {ENUM} AS ENUM ('sad', 'so ''so''', 'Ωmega', '1', 'true');
    CREATE DOMAIN {DOMAIN} AS integer CHECK (VALUE > 0);
    CREATE DOMAIN {TEXT_DOMAIN} AS text;
"""
LETTERS = "abzAZ019 _-.,;:'\"\\\n\r\t\ufeff\u00a0Ωé😀א\u202e\x01\x7f%/{}"

INTEGERS = [
    str(base + step)
    for base in (0, -(2**15), 2**15, -(2**31), 2**31, -(2**63), 2**63, 2**53, -(2**53), 2**24, 10**15, 10**18)
    for step in (-2, -1, 0, 1, 2, 3)
]
DECIMALS = [
    *("0.00", "0.35", "-0.35", "1.50", "1.5", "99.99", "99.995", "-99.994", "100", "0.1", "0.10", "1e-10", "0.5"),
    *("1e27", "1e28", "-1e28", "1e37", "1e38", "1e40", "2.5", "3.5", "-2.5", "1e-11", "1e-16383", "9.995", "12.005"),
    *("12345678901234567890.1234567890", "0.3", "NaN", "Infinity", "-Infinity", "1000", "120000", "0.00012", "1e300"),
    *("1" * 38, "1" * 39, "9" * 309, f"0.{'0' * 400}1", f"1.{'0' * 60}", "9007199254740993", "16777217", "1e131071"),
    *("4.35", "1.005", "2.675", "9223372036854775807.0", "9223372036854775808", "-9223372036854775808.00", "32767.0"),
]
FLOATS = [
    *("0", "-0", "0.1", "0.35", "1e23", "9.5367431640625e-07", "5e-324", "2.2250738585072014e-308", "1e308", "1e15"),
    *("1e16", "123456789012345.6", "1e-4", "1e-5", "9.999e-5", "NaN", "Infinity", "-Infinity", "16777217", "3.5e38"),
    *("1.4e-45", "1e-46", "3.4028235e38", "2.5", "-2.5", "0.30000000000000004", "1e5", "1e6", "1234567", "288145984"),
    *("9007199254740993", "9223372036854775807", "9223372036854774784", "-9223372036854775808", "32767.5", "1.5e300"),
]
TEXTS = [
    *(
        "",
        " ",
        "   ",
        "abc",
        "abcd",
        "ab   ",
        "   ab",
        "\ufeff",
        "\ufeffkey",
        "\ufeff\ufeffx",
        '\ufeff"x"',
        "NULL",
        "null",
    ),
    *(
        "\\N",
        "\\.",
        "\n\\.\n",
        '"',
        '""',
        "a,b",
        "a\nb",
        "a\r\nb",
        "\r",
        "\n",
        "\t",
        "😀😀😀",
        "e\u0301",
        "א,ב",
        "\x01",
        "\\",
    ),
    *(
        "t",
        "f",
        "tr",
        "fals",
        "y",
        "N",
        "on",
        "of",
        "o",
        "oN",
        "OFF",
        "yes ",
        " true\n",
        "truee",
        "2",
        "01",
        "TRUE",
        "nan",
    ),
    *(
        "0e9",
        "0e99",
        "1e3",
        "1.0",
        "1.000",
        f"1.{'0' * 60}",
        "+5",
        "-0",
        "00012",
        ".5",
        "5.",
        ".",
        "1_000",
        "0x1F",
        "0b1",
    ),
    *(
        "1e400",
        "-1e400",
        "1e-400",
        "1e39",
        "1e-46",
        "inf",
        "-inf",
        "Infinity",
        "+Infinity",
        "NaN ",
        " 7 ",
        "\u00a07",
        "٣",
    ),
    *(
        "1" * 131_073,
        "1" * 131_072,
        f"0.{'1' * 16_384}",
        f"0.{'1' * 16_383}",
        "1e131072",
        "0e-16384",
        f"1.{'0' * 16_384}",
        "0e99999",
        "9" * 4_301,
    ),
    *(f"1.{'0' * 16_384}", "0e99999"),
    *("2024-02-29", "2023-02-29", "2023-2-3", "0001-01-01", "0000-01-01", "10000-01-01", "infinity", "today", "epoch"),
    *("2024-01-01 24:00:00", "2024-01-01 00:00:60", "2024-01-01T12:00:00", "2024-01-01 12:00:00.1234567"),
    *(
        "2024-01-01 12:00:00+02",
        "2024-01-01 12:00:00Z",
        "2024-01-01 12:00:00+02:30",
        "2024-06-30 23:59:59.9995",
        "0044-03-15 BC",
    ),
    *(
        "24:00:00",
        "24:00:00.000",
        "24:00:00.1",
        "23:59:60",
        "23:59:59.9999995",
        "12:00",
        "00:00:00",
        "12:34:56.789",
        "04:05 PM",
    ),
    *(
        "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}",
        "a0eebc999c0b4ef8bb6d6bb9bd380a11",
        "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
    ),
    *(
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 ",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g",
        "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
]
MOMENTS = [
    *(
        "0001-01-01",
        "9999-12-31",
        "10000-01-01",
        "infinity",
        "-infinity",
        "4713-01-01 BC",
        "0001-12-31 BC",
        "1970-01-01",
    ),
    *("1969-12-31 23:59:59.999999", "2024-02-29 23:59:59.9995", "2024-02-29 12:00:00.5", "1999-12-31 00:00:00.001"),
    *(
        "2024-03-31 01:30:00",
        "2024-01-01 00:00:00",
        "1900-01-01 00:00:00.1",
        "9999-12-31 23:59:59.999999",
        "2000-01-01",
    ),
    *("1883-11-18 12:00:00", "0001-01-01 00:00:00.000001", "2038-01-19 03:14:08", "294276-12-31 23:59:59"),
]
TIMES = [
    *("00:00:00", "24:00:00", "23:59:59.999999", "23:59:59.9999995", "12:00:00.5", "12:34:56.789", "00:00:00.000001"),
    *("23:59:59.5", "23:59:59.995", "01:00:00.100", "12:00:00.120000"),
]
ZONED_TIMES = [f"{time}{zone}" for time in TIMES for zone in ("+00", "-15:59", "+05:30", "+15:59:59")]
INTERVALS = [
    *("0", "1 day", "24 hours", "-1 day +02:03:04.5", "1 mon", "30 days", "1 year -1 day", "178000000 years"),
    *("-00:00:00.000001", "1 year 2 mons 3 days 04:05:06.789", "P1Y2M", "-1 mon", "1.555 seconds", "infinity"),
]
DOCUMENTS = [
    *("{}", "[]", "null", "true", '"a"', '{"a": 1.0}', '{"a":1.00 }', '{"b":1,"a":2}', '{"a":1,"a":2}', '"\\u0000"'),
    *(
        '"\\ud800"',
        '"\\ud83d\\ude00"',
        '{"a": [1, {"b": null}]}',
        "1e400",
        "-0.0",
        '"é😀\\"\\\\"',
        " [ 1 ,\n2 ] ",
        "123456789012345678901234567890",
    ),
    *("\ufeff1"[1:], '"\ufeff"', '{"": ""}'),
]
OTHERS: Mapping[str, list[str]] = {
    "interval": INTERVALS,
    "json": DOCUMENTS,
    "jsonb": DOCUMENTS,
    "xml": [
        "<a/>",
        "<a>é</a>",
        '<?xml version="1.0" encoding="UTF-8"?><a b="c"/>',
        "text",
        "<a>\n</a>",
        "<a/><b/>",
        "",
    ],
    "uuid": TEXTS,
    "bytea": ["", "\\x", "\\x00ff", "\\xdeadbeef", "abc", "\\000\\377", "a\nb", "\\\\"],
    "inet": ["10.0.0.1", "10.0.0.1/8", "0.0.0.0/0", "::1", "::1/64", "::ffff:1.2.3.4", "fe80::1/128", "10.0.0.1/32"],
    "cidr": ["10.0.0.0/8", "10.0.0.1/32", "::/0", "::1/128", "192.168.0.0/16"],
    "macaddr": ["08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"],
    "macaddr8": ["08:00:2b:ff:fe:01:02:03", "08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff:ff:ff"],
    "bit": ["1", "00000", "10101", "11111111"],
    "bit varying": ["", "1", "00000", "101010101", "1010101010", "111111111111"],
    "money": ["0", "1.50", "-1.50", "1234567.89", "92233720368547758.07"],
    "point": ["(0,0)", "(1.5,-2)", "(NaN,Infinity)", "(0.1,1e300)", "(-0,1e-320)"],
    "line": ["{1,2,3}", "{0,1,-0.5}"],
    "lseg": ["[(0,0),(1,1)]", "[(0,0),(1,-1)]"],
    "box": ["(1,1),(0,0)", "(2,0.5),(0,0)"],
    "path": ["[(0,0),(1,1)]", "((0,0),(1,1))"],
    "polygon": ["((0,0),(1,1),(1,0))"],
    "circle": ["<(0,0),1>", "<(1,1),1>"],
    "tsvector": ["", "a b", "'it''s':1A 'b':2,3", "'\\\\':1"],
    "tsquery": ["a & b", "!'it''s' | b:*A", ""],
    "oid": ["0", "4294967295", "5"],
    "pg_lsn": ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"],
    "int4range": ["empty", "[1,5)", "(,)", "[1,1]"],
    "numrange": ["empty", "[1.0,1.00]", "(,2.50)"],
    "tsrange": ["empty", "[2024-01-01,2024-01-02)", '("2024-01-01 00:00:00.5",infinity]'],
    "datemultirange": ["{}", "{[2024-01-01,2024-01-02),[2025-01-01,)}"],
    "integer[]": ["{}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[0:1]={1,2}"],
    "text[]": ["{}", '{a,NULL,"NULL","",",","\\"","{"}', "{\ufeff}", '{"a\nb"}'],
    "numeric(6,2)[]": ["{}", "{1.5,NULL,9999.99}"],
    "double precision[]": ["{}", "{0.1,NaN,1e23,-0}"],
    "timestamp without time zone[]": ["{}", '{"2024-01-01 12:00:00.5",infinity}'],
    ENUM: ["sad", "so 'so'", "Ωmega", "1", "true"],
    DOMAIN: ["1", "2147483647"],
}


def values(base: str, count: int, seed: int) -> list[str]:
    """Texts that a column of the type may take: the hostile ones, then ``count`` random ones."""
    fixed, more = _FAMILIES.get(base, (OTHERS.get(base), None))
    if fixed is None:
        raise KeyError(f"There are no values of {base}: add them to {__name__}.OTHERS.")
    chance = random.Random(f"{base} {seed}")  # noqa: S311
    return [*fixed, *(more(chance) for _ in range(count if more else 0))]


def shapes() -> Iterator[str]:
    """The types without length, precision or scale of which there are values."""
    yield from (*_FAMILIES, *OTHERS)


def _integer(chance: random.Random) -> str:
    return str(chance.randint(-(2 ** chance.randint(1, 63)), 2 ** chance.randint(1, 63) - 1))


def _decimal(chance: random.Random) -> str:
    digits = "".join(chance.choices("0123456789", k=chance.choice((1, 2, 3, 5, 8, 12, 20, 30, 45))))
    point = chance.randint(0, min(len(digits), chance.choice((0, 1, 2, 3, 10, 25))))
    text = f"{digits[: len(digits) - point] or '0'}.{digits[len(digits) - point :]}" if point else digits
    return chance.choice(("", "-")) + text + chance.choice(("", "", "", "0", "00") if point else ("", "", "00", "000"))


def _float(chance: random.Random) -> str:
    kind = chance.randint(0, 5)
    if kind == 0:
        return repr(struct.unpack("<d", struct.pack("<Q", chance.getrandbits(64)))[0])
    if kind == 1:
        return repr(struct.unpack("<f", struct.pack("<I", chance.getrandbits(32)))[0])
    if kind == 2:
        return repr(2.0 ** chance.randint(-1074, 1023))
    if kind == 3:
        return f"1e{chance.randint(-323, 308)}"
    if kind == 4:
        return str(chance.randint(-(10**6), 10**6))
    return repr(round(chance.uniform(-10_000, 10_000), chance.randint(0, 6)))


def _moment(chance: random.Random) -> str:
    year = chance.choice((chance.randint(1, 9999), chance.randint(1990, 2040)))
    fraction = chance.choice(("", ".5", ".123", ".999999", f".{chance.randint(0, 999999):06d}"))
    time = chance.choice((f" {_clock(chance)}{fraction}", "", " 00:00:00"))
    return f"{year:04d}-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}{time}"


def _clock(chance: random.Random) -> str:
    return f"{chance.randint(0, 23):02d}:{chance.randint(0, 59):02d}:{chance.randint(0, 59):02d}"


def _time(chance: random.Random) -> str:
    return _clock(chance) + chance.choice(("", ".5", ".25", f".{chance.randint(0, 999999):06d}"))


def _text(chance: random.Random) -> str:
    other = chance.choice((_integer, _decimal, _float, _moment, _time, _uuid, None, None, None))
    if other is not None:
        return chance.choice(("", "", "", " ", "\t")) + other(chance) + chance.choice(("", "", "", " ", "x"))
    return "".join(chance.choices(LETTERS, k=chance.choice((0, 1, 2, 3, 4, 5, 8, 12, 13))))


def _uuid(chance: random.Random) -> str:
    found = str(uuid.UUID(int=chance.getrandbits(128)))
    return chance.choice((found, found.upper(), found.replace("-", ""), f"{{{found}}}"))


def _document(chance: random.Random) -> str:
    return json.dumps(
        {_text(chance): chance.choice((None, 1.5, [1, 2], _text(chance)))}, ensure_ascii=chance.random() < 0.5
    )


def _interval(chance: random.Random) -> str:
    seconds = f"{chance.randint(-99999, 99999)}.{chance.randint(0, 999999):06d}"
    return f"{chance.randint(-99, 99)} mons {chance.randint(-999, 999)} days {seconds} seconds"


_Family = tuple[list[str], Callable[[random.Random], str] | None]
_FAMILIES: Mapping[str, _Family] = {
    **dict.fromkeys(("smallint", "integer", "bigint"), (INTEGERS, _integer)),
    "numeric": ([*INTEGERS, *DECIMALS], _decimal),
    **dict.fromkeys(("real", "double precision"), (FLOATS, _float)),
    "boolean": (["true", "false"], None),
    **dict.fromkeys(
        ("text", "character varying", "character", "bpchar", "name", TEXT_DOMAIN),
        ([*TEXTS, *INTEGERS, *DECIMALS, *FLOATS, *MOMENTS, *TIMES, *DOCUMENTS], _text),
    ),
    **dict.fromkeys(("date", "timestamp without time zone", "timestamp with time zone"), (MOMENTS, _moment)),
    "time without time zone": (TIMES, _time),
    "time with time zone": (ZONED_TIMES, lambda chance: _time(chance) + chance.choice(("+00", "-03:30", "+14"))),
    "uuid": (TEXTS, _uuid),
    "interval": (INTERVALS, _interval),
    **dict.fromkeys(("json", "jsonb"), (DOCUMENTS, _document)),
}
