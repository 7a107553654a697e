"""Passwords as PostgreSQL prepares them for SCRAM: SASLprep (RFC 4013), or the bytes as they are.

PostgreSQL accepts any password: one that SASLprep prohibits, such as one with an emoji, is used as it was given
(https://www.postgresql.org/docs/current/sasl-authentication.html). Clients that raise an error there cannot log in.
"""

from __future__ import annotations

import stringprep
import unicodedata
from collections.abc import Callable

# Not C.1.2, whose spaces are mapped before, and not C.5, whose surrogates are not in UTF-8.
_PROHIBITED: tuple[Callable[[str], bool], ...] = (
    stringprep.in_table_a1,  # code points that Unicode 3.2 does not assign
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def prepared(password: bytes) -> bytes:
    """What of ``password`` enters SCRAM, as ``pg_saslprep`` of PostgreSQL has it."""
    try:
        text = password.decode("utf-8")
    except UnicodeDecodeError:
        return password
    text = "".join(map(_mapped, text))
    # As PostgreSQL, which looks for what is prohibited before it normalizes, not after.
    if not text or any(is_prohibited(c) for c in text for is_prohibited in _PROHIBITED) or not _is_directed(text):
        return password
    return unicodedata.normalize("NFKC", text).encode()


def _mapped(character: str) -> str:
    """A space for a space of another kind, which PostgreSQL looks for first; nothing for what has no meaning."""
    if stringprep.in_table_c12(character):
        return " "
    return "" if stringprep.in_table_b1(character) else character


def _is_directed(text: str) -> bool:
    """Whether ``text`` keeps the rules of RFC 3454, section 6, on characters that are written from right to left."""
    if not any(map(stringprep.in_table_d1, text)):
        return True
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return ends and not any(map(stringprep.in_table_d2, text))
