"""Rows of a COPY in the read buffer, and errors of whoever takes or gives them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lambda_toolkit.pipeline.lambdas.shared.postgres.copy_rows import CallersError, Writer, given, whole_rows


def row(body: bytes, kind: bytes = b"d") -> bytes:
    """A message of PostgreSQL: its type, its length without the type, and what is in it."""
    return kind + (len(body) + 4).to_bytes(4) + body


LONG = row(b"x" * 70_000)


@pytest.mark.parametrize(
    ("buffered", "rows", "taken"),
    [
        (b"", [], 0),
        (row(b"ab\n"), [b"ab\n"], 8),
        (row(b""), [b""], 5),
        (row(b"a") + row(b"") + row(b"bc"), [b"a", b"", b"bc"], 18),
        (LONG + row(b"a"), [b"x" * 70_000, b"a"], 70_011),
        *((row(b"a") + row(b"bc")[:length], [b"a"], 6) for length in range(7)),
        *((row(b"bc")[:length], [], 0) for length in range(7)),
        (row(b"", b"c") + row(b"a"), [], 0),
        (row(b"a") + row(b"", b"c") + row(b"b"), [b"a"], 6),
    ],
)
def test_whole_messages_of_the_buffer_are_rows(buffered: bytes, rows: list[bytes], taken: int) -> None:
    assert whole_rows(buffered) == (rows, taken)


def test_error_of_a_disk_is_none_of_the_connection() -> None:
    got: list[bytes] = []
    Writer(got.append).write(b"a")
    assert (got, list(given([b"b", b"c"]))) == ([b"a"], [b"b", b"c"])
    for error, kind in ((OSError(28, "full"), CallersError), (ValueError("other"), ValueError)):

        def fail(rows: bytes, error: Exception = error) -> None:
            raise error

        def chunks(error: Exception = error) -> Iterator[bytes]:
            yield b"a"
            raise error

        for run in (lambda: Writer(fail).write(b"a"), lambda: list(given(chunks()))):
            with pytest.raises(kind) as caught:
                run()
            assert getattr(caught.value, "error", caught.value) is error
            assert str(caught.value) == str(error)
