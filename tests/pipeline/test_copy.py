"""Bulk transfer over pg8000: every row arrives once and whole, whatever the sizes, and an error leaves no debris."""

from __future__ import annotations

import struct

import pg8000.native
import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import BUFFER, PRIVATE_NAMES, connected
from lambda_toolkit.pipeline.lambdas.shared.postgres.copy_rows import whole_rows


@pytest.fixture
def connection(credentials):
    with connected(credentials[1]) as opened:
        yield opened


def copied(connection, query):
    pieces = []
    connection.copy_out(f"COPY ({query}) TO STDOUT (FORMAT csv)", pieces.append)
    return pieces


@pytest.mark.parametrize("width", [1, 5000, BUFFER - 10, BUFFER + 10, 3 * BUFFER])
def test_rows_of_any_size_arrive_once_in_order_and_whole(connection, width):
    count = max(3, 4_000_000 // width // 4)
    pieces = copied(connection, f"SELECT i, repeat('x', {width}) FROM generate_series(1, {count}) AS i")
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert b"".join(pieces) == b"".join(b"%d,%s\n" % (i, b"x" * width) for i in range(1, count + 1))


def test_many_small_rows_come_many_at_a_time(connection):
    pieces = copied(connection, "SELECT i FROM generate_series(1, 100000) AS i")
    assert len(pieces) < 1000


def test_an_empty_copy_gives_nothing(connection):
    assert copied(connection, "SELECT 1 WHERE false") == []


def test_error_during_copy_is_raised_and_connection_stays_usable(connection):
    """An error amid a copy is raised and the connection goes on."""
    with pytest.raises(DatabaseError, match="division by zero"):
        copied(connection, "SELECT 1 / (50000 - i) FROM generate_series(1, 100000) AS i")
    assert connection.rows("SELECT 1") == [[1]]
    assert copied(connection, "SELECT 'after'") == [b"after\n"]


def test_a_notice_amid_a_copy_is_no_row(connection):
    connection.run(
        """CREATE FUNCTION noticed(i int) RETURNS int LANGUAGE plpgsql AS
           $$ BEGIN IF i % 1000 = 0 THEN RAISE NOTICE 'at %', i; END IF; RETURN i; END $$"""
    )
    pieces = copied(connection, "SELECT noticed(i) FROM generate_series(1, 5000) AS i")
    assert b"".join(pieces).split() == [b"%d" % i for i in range(1, 5001)]
    assert len(connection.notices) == 5


def test_a_copy_in_counts_its_rows(connection):
    connection.run("CREATE TEMPORARY TABLE t (i int)")
    assert connection.copy_in("COPY t FROM STDIN", (b"%d\n" % i for i in range(70000))) == 70000
    assert connection.rows("SELECT count(*), sum(i) FROM t") == [[70000, sum(range(70000))]]


def frame(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


@pytest.mark.parametrize(
    ("buffered", "rows", "taken"),
    [
        (b"", [], 0),
        (b"d\0\0", [], 0),
        (frame(b"d", b"a\n"), [b"a\n"], 7),
        (frame(b"d", b"") + frame(b"d", b"bc") + frame(b"d", b"cut")[:-1], [b"", b"bc"], 12),
        (frame(b"d", b"x") + frame(b"c", b""), [b"x"], 6),
        (frame(b"N", b"notice") + frame(b"d", b"x"), [], 0),
    ],
)
def test_only_whole_rows_are_taken(buffered, rows, taken):
    assert whole_rows(buffered) == (rows, taken)


def test_installed_pg8000_has_the_private_names_that_copy_uses(connection):
    assert {name: hasattr(connection, name) for name in PRIVATE_NAMES} == dict.fromkeys(PRIVATE_NAMES, True)
    inherited = [name for name in PRIVATE_NAMES if not name.startswith("_")]
    assert all(hasattr(pg8000.native.Connection, name) for name in inherited)
    assert "peek" in dir(connection._sock)
