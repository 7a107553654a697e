"""Passwords as PostgreSQL prepares them, without a server; ``tests/pipeline/test_connection.py`` compares with one."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.shared.postgres.saslprep import prepared

LIGATURE = "\ufb01"  # NFKC makes two letters of it: it shows whether a password was normalized
ALEF = "\ufe8d"  # a form of a letter that is written from right to left; NFKC makes another of it


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("plain ~", "plain ~"),
        ("", ""),
        (LIGATURE, "fi"),
        (f"a\u00a0b\u3000c{LIGATURE}", "a b cfi"),
        (f"a\u00adb\u200d{LIGATURE}", "abfi"),
        ("\u00ad", "\u00ad"),
        (ALEF, "\u0627"),
        (f"{ALEF}1{ALEF}", "\u06271\u0627"),
    ],
)
def test_password_is_mapped_and_normalized(password: str, expected: str) -> None:
    assert prepared(password.encode()) == expected.encode()


@pytest.mark.parametrize(
    "prohibited",
    [
        *("\u0221", "\x07", "\x7f", "\u0080", "\u06dd", "\ue000", "\ufdd0", "\ufffe", "\ufff9", "\u2ff0", "\u200e"),
        *("\u0340", "\U000e0001", "\U0001f600"),
        *(f"{ALEF}1", f"1{ALEF}", f"{ALEF}a{ALEF}"),
    ],
    ids=ascii,
)
def test_password_with_what_is_prohibited_stays_as_it_is(prohibited: str) -> None:
    """One of each table of RFC 3454, which PostgreSQL looks for: a ligature beside it is not normalized."""
    password = prohibited if ALEF in prohibited else f"{LIGATURE}{prohibited}{LIGATURE}"
    assert prepared(password.encode()) == password.encode()


def test_password_that_is_no_utf_8_stays_as_it_is() -> None:
    assert prepared(b"\xff" + LIGATURE.encode()) == b"\xff" + LIGATURE.encode()
