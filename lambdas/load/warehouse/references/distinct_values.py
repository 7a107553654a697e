"""The distinct values of columns on which a table has requirements, collected while their rows are copied into it.

A fact has a million rows and refers to some twenty members of staff: to see whether each row may stay, it is enough to
look for these. The rows themselves are not read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from ....shared.postgres import sql
from ....shared.postgres.connection import Connection
from .requirements import Requirement

MOST = 10_000  # values of a column; of one that has more, the rows are read again
TYPES = ("smallint", "integer", "bigint", "date")
"""Types of which Arrow and PostgreSQL take the same values for equal, and write them in the same way."""
_HAS_UNMET = "EXISTS (SELECT FROM unnest(CAST($values AS $type[])) AS s($column) WHERE $unmet)"


class DistinctValues:
    """The distinct values of the columns of ``required``, of those that have one column of another row."""

    def __init__(self, types: Mapping[str, str], required: Iterable[Requirement]) -> None:
        """``types``: of the columns in the warehouse. A requirement on the table's own rows is not among them."""
        self._types = types
        self._required = tuple(required)
        self._values: dict[str, pa.Array | None] = {
            entry.columns[0]: None
            for entry in self._required
            if len(entry.columns) == 1 and entry.same is None and types.get(entry.columns[0]) in TYPES
        }

    def of(self, parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """``parts``, each as it is, once its values are known."""
        for part in parts:
            for column, known in tuple(self._values.items()):
                found = _with(known, part[column])
                if found is None or len(found) > MOST:
                    del self._values[column]
                else:
                    self._values[column] = found
            yield part

    @property
    def unknown(self) -> tuple[Requirement, ...]:
        """The requirements that the values do not tell of: the rows do."""
        return tuple(entry for entry in self._required if not self._tells_of(entry))

    def has_unmet(self, connection: Connection) -> bool:
        """Whether a row with one of the values does not meet one of the other requirements."""
        asked = [
            sql.compose(
                _HAS_UNMET,
                values=sql.constant(_array(self._values[entry.columns[0]])),
                type=sql.Fragment(self._types[entry.columns[0]]),
                column=sql.identifier(entry.columns[0]),
                unmet=entry.unmet,
            )
            for entry in self._required
            if self._tells_of(entry)
        ]
        if not asked:
            return False
        return bool(connection.rows(sql.compose("SELECT $asked", asked=sql.joined(" OR ", asked)))[0][0])

    def _tells_of(self, entry: Requirement) -> bool:
        return len(entry.columns) == 1 and entry.same is None and entry.columns[0] in self._values


def _with(known: pa.Array | None, column: pa.ChunkedArray) -> pa.Array | None:
    """``known`` with the values of ``column``; None where these have not the form of their type."""
    kind = column.type
    if not (pa.types.is_signed_integer(kind) or pa.types.is_date32(kind) or pa.types.is_null(kind)):
        return None
    found = pc.unique(column).cast(pa.date32() if pa.types.is_date32(kind) else pa.int64())
    if known is None:
        return found
    return None if known.type != found.type else pc.unique(pa.concat_arrays([known, found]))


def _array(values: pa.Array | None) -> str:
    """The text of an array of PostgreSQL."""
    texts = values.cast(pa.string()).to_pylist() if values is not None else []
    return "{" + ",".join("NULL" if text is None else text for text in texts) + "}"
