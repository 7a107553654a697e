"""Whether the declared key of a table identifies its rows: the catalog must say so, as rows may not show it yet."""

from __future__ import annotations

from collections.abc import Iterator

from ...shared.errors import SourceError
from .catalog import Index, TableInfo


def unique_keys(table: TableInfo) -> tuple[tuple[str, ...], ...]:
    """The columns, alone or together, of which no two rows have the same values and no row has a NULL.

    Those of each valid unique index without a condition, in the order of the indexes' names, single columns first. A
    deferrable constraint is as good as another: it is checked before its transaction commits. The index of a
    partitioned table covers all its partitions; that of a table from which others inherit covers no row of those.
    """
    if table.inheriting:
        return ()
    required = {column.name for column in table.columns if column.required}
    found = [
        tuple(column for column in index.columns if column is not None)
        for index in table.indexes
        if index.unique and index.valid and not index.partial and required.issuperset(index.columns)
    ]
    return tuple(sorted(dict.fromkeys(found), key=len))


def check_key(table: TableInfo) -> None:
    """Refuses a table whose key does not identify its rows.

    Raises SourceError that names table, key and reason, and the columns that would serve.
    """
    keys = unique_keys(table)
    if (table.key,) in keys:
        return
    raise SourceError(
        f"The key {table.key} does not identify the rows of the source table {table.name}: {_reason(table)}. Nothing "
        f"was extracted. {_advice(table, keys)}"
    )


def _reason(table: TableInfo) -> str:
    if table.inheriting:
        names = ", ".join(table.inheriting)
        return f"it also shows the rows of {names} by inheritance, and a unique index covers those of one table alone"
    return next(_index_reasons(table), "no unique index covers this column alone")


def _index_reasons(table: TableInfo) -> Iterator[str]:
    """Why the indexes on the key alone are not enough, the one that lacks least first."""
    on_key = [index for index in table.indexes if index.unique and index.columns == (table.key,)]
    if any(index.valid and not index.partial for index in on_key):
        yield "it is unique, but a row may have NULL there, as no valid NOT NULL constraint forbids it"
    for index in on_key:
        yield f"the unique index {index.name} {_lack(index)}"


def _lack(index: Index) -> str:
    if not index.valid:
        return "is not valid, as its creation failed or has not ended, or a partition lacks it"
    return "covers only the rows that satisfy its condition"


def _advice(table: TableInfo, keys: tuple[tuple[str, ...], ...]) -> str:
    single = [columns[0] for columns in keys if len(columns) == 1]
    if single:
        names = " or ".join(f'"{column}"' for column in single)
        return f"Write key = {names} in [source.{table.name}]."
    together = [f"({', '.join(columns)})" for columns in keys]
    known = f"Unique are {' and '.join(together)}, but a key is one column. " if together else ""
    return (
        f"{known}Declare a NOT NULL column that has a unique index; or create that index on {table.key}; or, where its "
        f'values are unique all the same, write compare = "content" in [source.{table.name}]: then every run reads all '
        "rows and checks that."
    )
