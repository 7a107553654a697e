"""Names in a proposal: made for the warehouse, each once, and written in TOML and in comments."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable

from lambda_toolkit.pipeline.lambdas.shared.model.declarations import RESERVED_COLUMNS
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.warehouse.create_table import SYSTEM_COLUMNS

FORBIDDEN_COLUMNS = (*RESERVED_COLUMNS, *SYSTEM_COLUMNS)
"""The names that no column of a warehouse table can have."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # in OrderDetails, and in HTTPServer
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # https://toml.io/en/v1.0.0#keys
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_LONGEST_COMMENT = 160  # characters of a text from the database


def snake(name: str) -> str:
    """The name in lower case with underscores: ``order_details`` of ``OrderDetails`` and of ``Order Details``."""
    return re.sub(r"\W+", "_", _HUMP.sub("_", name)).strip("_").lower() or "unnamed"


class Names:
    """The names that are taken, and those made free of them."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def make(self, wanted: str) -> str:
        """``wanted``, or where that is taken with the lowest number that is free: ``a``, ``a_2``; at most 63 bytes."""
        name, number = sql.bounded(wanted), 1
        while name in self._taken:
            number += 1
            name = sql.bounded(f"{wanted}_{number}")
        self._taken.add(name)
        return name

    def __contains__(self, name: str) -> bool:
        """Whether it is taken."""
        return name in self._taken


def toml_key(name: str) -> str:
    """``name`` as a key of TOML, quoted where that is necessary."""
    return name if _BARE_KEY.fullmatch(name) else toml_text(name)


def toml_text(text: str) -> str:
    """``text`` as a string of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")  # JSON's escapes are among TOML's


def toml_texts(texts: Collection[str]) -> str:
    """One text as a string, several as a list."""
    found = [toml_text(text) for text in texts]
    return found[0] if len(found) == 1 else f"[{', '.join(found)}]"


def one_line(text: str, longest: int | None = _LONGEST_COMMENT) -> str:
    """``text`` as a part of a comment: in one line, without unseen characters, and not longer than ``longest``."""
    found = _UNSEEN.sub(" ", text).strip()
    return found if longest is None or len(found) <= longest else f"{found[:longest].rstrip()} ..."
