"""Errors of the PostgreSQL server, without the values of rows: what is logged is kept for long and read by many.

https://www.postgresql.org/docs/current/protocol-error-fields.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pg8000.exceptions import DatabaseError

_KEPT = "SVCMPHstcdnFLR"  # of the fields of an error: neither DETAIL nor the statement of a function
_PLACE = re.compile(
    r"COPY \S+, line \d+(?:, column \S+?(?=[:,]|$))?|PL/\w+ function .+ line \d+ at [\w ]+", re.MULTILINE
)
_QUOTED = re.compile(  # from the first quotation mark, of any language, to the last: a value may contain some
    "(?<!encoding )(?<!parameter )[\"'\u00ab\u00bb\u201c\u201e](?:.|\\n)*[\"'\u00ab\u00bb\u201c\u201d]"
)
_HIDDEN = "..."
_DATA, _RAISED = "22", "P0"  # classes of SQLSTATE: a value does not fit; a function or trigger raised it
_OWN_WORDS = "a function or a trigger raised an error, whose message is not shown, as it may have values"


def without_values(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields of an error by their one-letter codes, without those that contain values of rows.

    DETAIL has whole rows and keys. CONTEXT keeps the line and column of a COPY, and the line of a function. A message
    quotes a value where it does not fit its type; that of a function or a trigger has its author's words, with values
    anywhere among them, under any SQLSTATE.
    """
    kept = {code: value for code, value in fields.items() if code in _KEPT}
    if "W" in fields:
        # The line of a COPY quotes the value last; what a value says of places is within the quotation marks.
        kept["W"] = " \u00b7 ".join(_PLACE.findall(_QUOTED.sub("", fields["W"])))
    kind = fields.get("C", "")[:2]
    if kind == _RAISED or _is_of_a_language(fields):
        kept["M"] = _OWN_WORDS
        kept.pop("H", None)
    elif kind == _DATA:
        kept["M"] = _QUOTED.sub(f'"{_HIDDEN}"', fields.get("M", ""))
    return kept


def _is_of_a_language(fields: Mapping[str, str]) -> bool:
    """Whether a procedural language raised it: the server's file says so, such as ``pl_exec.c`` and ``plpy_elog.c``."""
    return fields.get("F", "").rpartition("/")[2].startswith("pl")


def sqlstate(error: DatabaseError) -> str:
    """The five-character code of an error from the server; empty where it has none."""
    return str(_fields(error).get("C", ""))


def message(error: DatabaseError) -> str:
    """The server's message, with its context; without values of rows."""
    fields = _fields(error)
    parts = [str(fields.get("M", error)), str(fields.get("W", ""))]
    return " \u00b7 ".join(part.strip() for part in parts if part)


def _fields(error: DatabaseError) -> Mapping[str, Any]:
    return error.args[0] if error.args and isinstance(error.args[0], Mapping) else {}
