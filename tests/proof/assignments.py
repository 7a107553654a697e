"""What PostgreSQL stores of a specimen's values in the warehouse: the server is asked, once for each value."""

from __future__ import annotations

from collections.abc import Mapping

from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from tests.proof import specimens
from tests.values import hostile
from tests.values.assignment import create_assigned, is_named


def assignment(column: str, wanted: str) -> str:
    """The name under which a row has what is stored of ``column`` in a column of the type ``wanted``."""
    return f"{column} in {wanted}"


class Assignments:
    """Asks a server, and keeps its answers: they depend on nothing but the types and the value."""

    def __init__(self, connection: Connection) -> None:
        """``connection``: for this alone; it gets temporary types and functions."""
        self._connection = connection
        self._known: dict[tuple[str, str | None], dict[str, str | None]] = {}
        connection.run(hostile.CREATE_TYPES.replace("TYPE ", "TYPE pg_temp.").replace("DOMAIN ", "DOMAIN pg_temp."))
        self._wanted: dict[str, dict[str, str]] = {name: {} for name in specimens.COLUMNS}  # type -> its function
        for table in (specimens.FACT, specimens.DIMENSION):
            for name, wanted in specimens.wanted(table):
                kind = wanted.removesuffix(" NOT NULL")
                function = f"pg_temp.{name}_in_{table}"
                if kind not in self._wanted[name]:
                    connection.run(create_assigned(function, specimens.COLUMNS[name].type, kind))
                    self._wanted[name][kind] = function

    def of(self, row: Mapping[str, str | None]) -> dict[str, str | None]:
        """What is stored of the values of ``row``, a specimen; without what is rejected."""
        found: dict[str, str | None] = {}
        for name in specimens.COLUMNS:
            cell = name, row[name]
            if cell not in self._known:
                self._known[cell] = self._ask(*cell)
            found |= self._known[cell]
        return found

    def _ask(self, name: str, value: str | None) -> dict[str, str | None]:
        """Type of the warehouse -> what is stored in it, by the name of the assignment."""
        kind = specimens.COLUMNS[name].type
        stored = {}
        for wanted, function in self._wanted[name].items():
            given, verdict, written = self._connection.rows(
                f"SELECT format('%s', g.v), a.verdict, a.written"
                f" FROM (SELECT CAST(CAST(:value AS text) AS {kind}) AS v) AS g, {function}(g.v) AS a",
                value=value,
            )[0]
            if verdict == "stored" and not (value is not None and is_named(kind, wanted, given)):
                stored[assignment(name, wanted)] = written
        return stored
