"""Rows in the binary COPY format, read as PostgreSQL's documentation says: a count, and each field after its length."""

from __future__ import annotations

import datetime
import math
import struct
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.load.warehouse.binary import binary_fields
from lambda_toolkit.pipeline.lambdas.load.warehouse.binary.binary_fields import UnencodableError, as_binary, rows
from lambda_toolkit.pipeline.lambdas.load.warehouse.binary.binary_values import encoder_of

MILLENNIUM = datetime.datetime(2000, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)


def packed(form: str) -> Callable[[Any], bytes]:
    return lambda value: struct.pack(form, value)


def since_2000(value: datetime.datetime) -> bytes:
    return struct.pack(">q", (value.replace(tzinfo=None) - MILLENNIUM) // MICROSECOND)


def of_day(value: datetime.time) -> bytes:
    return struct.pack(">q", (datetime.datetime.combine(MILLENNIUM, value) - MILLENNIUM) // MICROSECOND)


def moments(zone: datetime.tzinfo | None, *, digits: int = 6) -> list[datetime.datetime]:
    """Before and after 2000, with so many decimals."""
    parts = [0, 1, 123_456, 999_999]
    found = [(1, 1, 1, 0, 0, 0), (1969, 12, 31, 23, 59, 59), (2000, 1, 1, 0, 0, 0), (9999, 12, 31, 23, 59, 59)]
    cut = 10 ** (6 - digits)
    return [datetime.datetime(*at, part // cut * cut, tzinfo=zone) for at, part in zip(found, parts, strict=True)]


TIMES = [datetime.time(0), datetime.time(23, 59, 59, 999_999), datetime.time(12, 34, 56, 7), datetime.time(1, 2, 3)]
DAYS = [datetime.date(1, 1, 1), datetime.date(1999, 12, 31), datetime.date(2000, 1, 2), datetime.date(9999, 12, 31)]
UUIDS = [uuid.UUID(int=number) for number in (0, 1, 2**127 + 5, 2**128 - 1)]
TEXTS = ["", "a", "Ω" * 9, "\\N"]
# The type of PostgreSQL, that of Arrow, four values, and the bytes of each.
COLUMNS: list[tuple[str, pa.DataType, list[Any], Callable[[Any], bytes]]] = [
    ("smallint", pa.int16(), [-(2**15), 2**15 - 1, 0, 258], packed(">h")),
    ("text", pa.string(), TEXTS, str.encode),
    ("integer", pa.int32(), [-(2**31), 2**31 - 1, -1, 258], packed(">i")),
    ("integer", pa.int16(), [-1, 7, 256, -256], packed(">i")),
    ("bigint", pa.int64(), [-(2**63), 2**63 - 1, -1, 2**40 + 1], packed(">q")),
    ("bigint", pa.int8(), [-1, 7, 127, -128], packed(">q")),
    ("real", pa.float32(), [0.5, -math.inf, 1e30, -0.0], packed(">f")),
    ("double precision", pa.float64(), [0.1, math.inf, 5e-324, -0.0], packed(">d")),
    ("boolean", pa.bool_(), [True, False, False, True], packed(">b")),
    ("date", pa.date32(), DAYS, lambda value: struct.pack(">i", (value - MILLENNIUM.date()).days)),
    ("time without time zone", pa.time64("us"), TIMES, of_day),
    ("time without time zone", pa.time32("s"), [time.replace(microsecond=0) for time in TIMES], of_day),
    ("jsonb", pa.string(), ["{}", "[1]", '"Ω"', "null"], lambda value: b"\1" + value.encode()),
    ("timestamp without time zone", pa.timestamp("us"), moments(None), since_2000),
    ("timestamp without time zone", pa.timestamp("ms"), moments(None, digits=3), since_2000),
    ("timestamp with time zone", pa.timestamp("s", "UTC"), moments(datetime.UTC, digits=0), since_2000),
    ("timestamp with time zone", pa.timestamp("us"), moments(None), since_2000),
    ("uuid", pa.string(), [str(value) for value in UUIDS], lambda value: uuid.UUID(value).bytes),
    ("bytea", pa.string(), ["\\x", "\\x00", "\\xff09", "\\x0a"], lambda value: bytes.fromhex(value[2:])),
    ("character varying", pa.string(), TEXTS, str.encode),
    ("json", pa.string(), TEXTS, str.encode),
    ("character", pa.string(), TEXTS, str.encode),
    ("integer", pa.null(), [None] * 4, bytes),
]


def read(content: bytes) -> list[list[bytes | None]]:
    """The fields of each row."""
    found, at = [], 0
    while at < len(content):
        (count,) = struct.unpack_from(">h", content, at)
        at += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", content, at)
            row.append(None if length < 0 else content[at + 4 : at + 4 + length])
            at += 4 + max(length, 0)
        found.append(row)
    return found


def written(columns: list[int], missing: Callable[[int, int], bool], first: int = 0, last: int = 4) -> None:
    """Asserts that a part of these columns is as each value alone; ``missing``: which row and column is NULL."""
    chosen = [COLUMNS[number] for number in columns]
    values = [
        [None if missing(row, place) else value for row, value in enumerate(found)]
        for place, (_, _, found, _) in enumerate(chosen)
    ]
    arrays = [pa.array(found, arrow) for found, (_, arrow, _, _) in zip(values, chosen, strict=True)]
    batch = pa.record_batch(arrays, [str(number) for number in range(len(arrays))])[first:last]
    encoders = [encoder_of(arrow, kind) for kind, arrow, _, _ in chosen]
    assert None not in encoders
    content = b"".join(rows(batch, encoders))  # type: ignore[arg-type]
    expected = [
        [None if found[row] is None else to(found[row]) for found, (_, _, _, to) in zip(values, chosen, strict=True)]
        for row in range(first, last)
    ]
    assert read(content) == expected


@pytest.mark.parametrize(
    "number", range(len(COLUMNS)), ids=lambda number: f"{COLUMNS[number][0]} of {COLUMNS[number][1]}"
)
def test_column_is_written_field_by_field(number: int) -> None:
    """Without and with NULLs, of NULLs alone, and of a part of its rows."""
    written([number], lambda row, _: False)
    written([number], lambda row, _: row in (0, 3))
    written([number], lambda row, _: True)
    written([number], lambda row, _: row == 2, 1, 3)
    written([number], lambda row, _: False, 3, 4)


def test_columns_are_written_beside_each_other() -> None:
    """In whatever order those of one width and of several are, and whichever of them have NULLs."""
    every = list(range(len(COLUMNS)))
    for columns in (every, every[::-1], [0, 2, 4], [1, 0], [0, 1], [1, 12], [0, 1, 2, 1, 0]):
        written(columns, lambda row, place: False)
        written(columns, lambda row, place: (row + place) % 3 == 0)
        written(columns, lambda row, place: place % 2 == 0, 1, 4)


def test_every_nan_is_the_one_of_postgresql() -> None:
    for kind, arrow, form, nan in (
        ("real", pa.float32(), ">f", "7fc00000"),
        ("double precision", pa.float64(), ">d", "7ff8" + "0" * 12),
    ):
        encode = encoder_of(arrow, kind)
        assert encode is not None
        other = struct.unpack(form, bytes.fromhex("ff" + nan[2:-2] + "01"))[0]
        fields = as_binary(encode(pa.array([other, 1.0, math.nan], arrow)), 3)  # type: ignore[arg-type]
        assert [field.hex() for field in fields.to_pylist()] == [nan, struct.pack(form, 1.0).hex(), nan]


@pytest.mark.parametrize(
    ("arrow", "kind"),
    [
        *((pa.int32(), "smallint"), (pa.int64(), "integer"), (pa.uint8(), "smallint"), (pa.float64(), "integer")),
        *((pa.float64(), "real"), (pa.float32(), "double precision"), (pa.int8(), "boolean"), (pa.date64(), "date")),
        *((pa.timestamp("ns"), "timestamp without time zone"), (pa.date32(), "timestamp without time zone")),
        *((pa.timestamp("us", "Europe/Berlin"), "timestamp with time zone"), (pa.binary(), "json")),
        *((pa.time64("ns"), "time without time zone"), (pa.binary(), "character")),
        *((pa.int64(), "time without time zone"), (pa.int64(), "numeric"), (pa.decimal256(40, 2), "numeric")),
        *((pa.decimal128(5, -2), "numeric"), (pa.binary(), "text"), (pa.binary(), "bytea"), (pa.string(), "inet")),
        *((pa.string(), "integer"), (pa.binary(), "uuid"), (pa.large_string(), "jsonb"), (pa.string(), "date")),
    ],
)  # fmt: skip
def test_column_of_another_type_is_left_to_the_server(arrow: pa.DataType, kind: str) -> None:
    assert encoder_of(arrow, kind) is None


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("uuid", ["{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11", "", "-" * 36]),
        ("uuid", [f"{str(UUIDS[1])[:-1]}{end}" for end in ("g", " ", "é", "")]),
        ("uuid", ["0" * 36, "00000000-0000-0000-0000-0000000000-0", "00000000-0000-0000-00000000000000000"]),
        ("bytea", ["", "abc", "\\x0", "\\xAB", "\\x 00", "x00", "\\x0g"]),
        ("time without time zone", ["1:00:00", "10:00", "10:00 PM", "10:00:00.1234567", "10:00:00.", "x10:00:00"]),
    ],
)
def test_text_of_another_form_is_left_to_the_server(kind: str, texts: list[str]) -> None:
    encode = encoder_of(pa.string(), kind)
    good = {"uuid": str(UUIDS[0]), "bytea": "\\x00"}.get(kind, "00:00:00")
    assert encode is not None
    encode(pa.array([good, good]))
    for text in texts:
        with pytest.raises(UnencodableError):
            encode(pa.array([good, text]))


def test_times_of_day_are_read_from_their_texts() -> None:
    encode = encoder_of(pa.string(), "time without time zone")
    assert encode is not None
    texts = {
        "24:00:00": 86_400_000_000,
        "00:00:00.5": 500_000,
        "01:02:03.000004": 3_723_000_004,
        "23:59:59": 86_399_000_000,
    }
    fields = as_binary(encode(pa.array(list(texts))), len(texts))  # type: ignore[arg-type]
    assert fields.to_pylist() == [struct.pack(">q", ticks) for ticks in texts.values()]


@pytest.mark.parametrize(("limit", "pieces"), [(10**6, 1), (40, 4), (1, 8)])
def test_rows_of_many_bytes_come_in_pieces(monkeypatch: pytest.MonkeyPatch, limit: int, pieces: int) -> None:
    monkeypatch.setattr(binary_fields, "MAX_BYTES", limit)
    batch = pa.record_batch([pa.array(range(8), pa.int64()), pa.array(["a" * 8] * 8)], ["a", "b"])
    encoders = [encoder_of(pa.int64(), "bigint"), encoder_of(pa.string(), "text")]
    found = list(rows(batch, encoders))  # type: ignore[arg-type]
    assert len(found) == pieces
    assert read(b"".join(found)) == [[struct.pack(">q", number), b"a" * 8] for number in range(8)]
    assert list(rows(batch[:0], encoders)) == []  # type: ignore[arg-type]
