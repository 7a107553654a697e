"""What changed in a table since the last batch, and whether extract can go on. Without Arrow, as ``plan`` asks, too."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...shared.conversions import base_type
from ...shared.errors import SourceError
from ...shared.model.expressions import EXPRESSIONS, Expression

Columns = Mapping[str, str]
"""Column -> its PostgreSQL type, as format_type() writes it, in the table's order."""


def drift(table: str, columns: Columns, previous: Columns) -> tuple[str, ...]:
    """One line for each column added or dropped since ``previous``, the columns at the last batch."""
    if not previous:
        return ()
    added = tuple(
        f"The source column {table}.{name} ({kind}) is new. It is ingested; the warehouse is not affected."
        for name, kind in columns.items()
        if name not in previous
    )
    dropped = tuple(
        f"The source column {table}.{name} ({kind}) was dropped. Nothing in the warehouse needs it."
        for name, kind in previous.items()
        if name not in columns
    )
    return added + dropped


def check_needed(
    table: str,
    columns: Columns,
    needed: Mapping[str, Sequence[Expression]],
    previous: Columns,
    accepted: Collection[str] = (),
) -> None:
    """Refuses a table of which ``unmet_needs`` has something to say: raises SourceError with the first."""
    for need in unmet_needs(table, columns, needed, previous, accepted):
        raise SourceError(f"{need.problem} Nothing was extracted. {need.remedy}")


@dataclass(frozen=True)
class UnmetNeed:
    """A needed column that is missing, or has a type with which extract cannot go on. Both are sentences."""

    problem: str
    remedy: str


def unmet_needs(
    table: str,
    columns: Columns,
    needed: Mapping[str, Sequence[Expression]],
    previous: Columns,
    accepted: Collection[str] = (),
) -> Iterator[UnmetNeed]:
    """Each needed column that the table lacks, and each that has a type that its expressions do not accept.

    ``columns``: of the table now. ``needed``: column -> the expressions that read it. ``previous``: the columns at the
    last run; a needed one may not change its type unless ``accepted`` contains its ``table.column``.
    """
    for name, expressions in needed.items():
        kind = columns.get(name)
        if kind is None:
            yield UnmetNeed(
                f"The source table {table} lacks the column {name}, which the warehouse needs.",
                "Restore the column, or change the declaration of the tables that read it.",
            )
            continue
        for expression in expressions:
            if expression.function and base_type(kind) not in EXPRESSIONS[expression.function].accepts:
                yield UnmetNeed(
                    f"The source column {table}.{name} is of type {kind}, which {expression} cannot read.",
                    "Change the column's type back, or the declaration.",
                )
        before = previous.get(name)
        if before and not _same_type(before, kind) and f"{table}.{name}" not in accepted:
            yield UnmetNeed(
                f"The source column {table}.{name} was of type {before} and is now {kind}.",
                "Change it back; or, when the warehouse's column can hold the new type, invoke extract once with the "
                f'event {{"accept_types": ["{table}.{name}"]}}.',
            )


def _same_type(one: str, other: str) -> bool:
    """Whether they are the same but for a length, a precision or a scale."""
    varying = ("character varying", "text")
    return base_type(one) == base_type(other) or (base_type(one) in varying and base_type(other) in varying)
