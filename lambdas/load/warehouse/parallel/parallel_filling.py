"""The first rows of large facts, copied by several connections into tables beside them before the batch's transaction.

In that transaction each table then takes the place of the empty fact (``filling``), or is of no use: then it is
dropped, and the rows take the way over one connection. What a killed load leaves of such tables, the next one drops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from pg8000.exceptions import DatabaseError, InterfaceError

from ....shared.postgres.connection import Connection, transaction
from ....shared.postgres.server_errors import message
from ..interface import FirstRows
from ..schemas import SchemaNames
from ..session import Beside
from ..tables.filling import ONE_CONNECTION, is_fillable, numbered, record_numbers
from .parallel_copy import Connections, CopyFailedError, copy_in_parallel, opened, run_in_parallel
from .replacement import NotReplaceableError, Replacement, rehearse


@contextmanager
def filled_beside(
    connection: Connection, schemas: SchemaNames, connections: Connections, firsts: Iterable[FirstRows]
) -> Iterator[Beside]:
    """Fills a table beside each fact of ``firsts`` that is empty and may be replaced. At the end they are dropped.

    Outside of a transaction; ``connection`` has the lock of the writers. Raises what reading the rows raises, and
    ConnectionLostError where ``connection`` itself is lost.
    """
    beside = Beside()
    made: list[Replacement] = []
    try:
        with ExitStack() as stack:
            several: list[Connection] = []
            for first in firsts:
                name = first.table.name
                if not is_fillable(connection, schemas, first.table, first.rows):
                    continue
                try:
                    rehearse(connection, schemas, first.table)
                    several = several or stack.enter_context(opened(connections, connection))
                    made.append(Replacement.of(schemas, first.table))
                    _fill(connection, several, first, made[-1])
                except CopyFailedError as error:
                    several = []  # they may be in the middle of a copy
                    beside.notes[name] = f"{ONE_CONNECTION}: {error}"
                except NotReplaceableError as error:
                    beside.notes[name] = f"{ONE_CONNECTION}: {error}"
                except DatabaseError as error:
                    beside.notes[name] = f"{ONE_CONNECTION}: {message(error)}"
                else:
                    beside.tables[name] = made[-1]
                    beside.notes[name] = f"{len(several)} connections"
        yield beside
    finally:
        with suppress(InterfaceError, OSError):  # the session has ended: the next load drops them
            for replacement in made:
                replacement.drop(connection)


def _fill(connection: Connection, several: Sequence[Connection], first: FirstRows, into: Replacement) -> None:
    """Creates the table, copies the rows into it, and makes its indexes."""
    table = first.table
    numbers = record_numbers(table, first.read)
    if numbers is None:
        raise NotReplaceableError("its keys are not sorted here")
    with transaction(connection):
        into.create(connection)
    rows = numbered(table, first.read(table.column_names), numbers)
    copy_in_parallel(several, into.relation, (str(table.record), *table.column_names), rows)
    run_in_parallel(several, into.index_statements(connection))
